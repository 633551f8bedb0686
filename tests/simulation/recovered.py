"""What must hold of recovery: whatever came before, a finished request is a settled job within three minutes."""

from typing import TYPE_CHECKING, Any

from tests.simulation.places import FOR_A_DAY
from tests.simulation.versions import seconds

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

MINUTES = 180
"""What docs/operating.md promises of a lost webhook."""
WAIT = 60.0
"""The longest that a function stands still at a call."""
ASKED_AGAIN = {*FOR_A_DAY, "pages", "page_in_part", "no_bytes", "vast", "none", "fewer"}
"""Fates of pictures that are asked for again, as they may yet come."""


def judge_recovered(world: "World", job: dict[str, Any], requests: "list[Request]") -> None:
    """Judge a job that was known to be at fal when its request ended, and met no trouble after that."""
    last = requests[-1] if requests else None
    if last is None or last.completed_at is None or last.outcome is None or not last.outcome.succeeded:
        return
    is_known = world.watch.queued_at.get(job["job_id"], float("inf")) <= last.completed_at
    is_its_own = (job.get("request") or {}).get("request_id") == last.id
    if not (is_known and is_its_own) or world.fal.fate(last) in ASKED_AGAIN or is_troubled_after(world, last):
        return
    if world.scenario.filled_after is not None or "settled_at" not in job:
        return
    late = seconds(job["settled_at"]) - last.completed_at
    if late > MINUTES + world.scenario.lag + 2 * world.scenario.skew:
        world.watch.found("I17", f"job {job['job_id']} was settled {late:.0f} s after fal had finished")


def is_troubled_after(world: "World", request: "Request") -> bool:
    """Whether anything went wrong at a call, or was still out, after a request had ended."""
    ended = (request.completed_at or 0.0) - world.began_at
    faults = any(at >= ended and outcome.startswith("! ") for at, _, _, _, outcome in world.trace)
    standing = any(at + WAIT >= ended and "wait" in outcome for at, _, _, _, outcome in world.trace)
    return faults or standing or any(one.at + one.seconds >= ended for one in world.scenario.outages)
