"""What must hold of results whose pictures cannot be fetched, or not yet: they are counted, and their URLs are kept."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.reasons import PAID_AND_LOST, Reason

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

MOVED_FATES = frozenset({"moved", "moved_in_part"})
FOR_A_DAY = frozenset({*MOVED_FATES, "gone"})
"""Fates of pictures that are tried for a day."""
LOST = frozenset(PAID_AND_LOST)
"""As it is before any mistake is planted."""
LEFT_OUT = frozenset({Reason.OUTPUT_HOST_NOT_ALLOWED, Reason.OUTPUT_REFUSED})
"""Why pictures are left out whose URLs are known."""


def kind_of(job: dict[str, Any]) -> str | None:
    """The type of a job's error."""
    return (job.get("error") or {}).get("type")


def lacks_pictures(job: dict[str, Any], requests: "list[Request]") -> bool:
    """Whether a picture was paid that the job does not have, and by its own word will not have."""
    is_paid = any(request.outcome and request.outcome.units for request in requests)
    return is_paid and (job["status"] == "failed" or kind_of(job) in LOST)


def judge_kept(
    job: dict[str, Any], requests: "list[Request]", world: "World", found: Callable[[str, str], None]
) -> None:
    """Who gives pictures up keeps where they are; who has them all keeps nothing that is large."""
    text = job.get("result_json") or ""
    if job["status"] == "succeeded" and not kind_of(job) and text:
        found("I13", f"job {job['job_id']} has its pictures, and still {len(text)} bytes of fal's result")
    if not requests or kind_of(job) not in LEFT_OUT or world.fal.fate(requests[-1]) == "overlong_urls":
        return
    lost = [f"/{requests[-1].order}/{index}.jpg" for index in range(len(world.fal.made(requests[-1])))]
    if missing := [path for path in lost if path not in text]:
        found("I13", f"job {job['job_id']} has no word any more of {', '.join(missing)}")


def judge_alarm(world: "World", found: Callable[[str, str], None]) -> None:
    """A host that is not allowed is told of at once, so that it can be allowed."""
    allowed_at = world.began_at + (world.scenario.allowed_after or float("inf"))
    for request in world.fal.requests():
        is_moved = world.fal.fate(request) == "moved" or len(world.fal.made(request)) > 1
        is_early = request.completed_at is not None and request.completed_at < allowed_at
        # After an error the pictures are not looked at.
        if world.fal.fate(request) not in MOVED_FATES or world.fal.way(request) == "error_first":
            continue
        if is_moved and is_early and not world.watch.promises.counts["OutputNotAllowed"]:
            found("I10", f"{request.id} is at a host that is not allowed, and no alarm rings")
