"""Another customer of fal, who has learned a webhook URL of ours, and what it must not bring about."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.reasons import Reason
from shared.waiting import HOUR, STORE

if TYPE_CHECKING:
    from tests.simulation.world import World

STRANGER = "stranger"
"""Stands in all that is a stranger's: request ids, its account, its pictures' URLs and its errors' type."""


class Call(NamedTuple):
    """A delivery of a stranger's, so many seconds after our request was taken or lost; `age`: since it was signed."""

    after: float
    succeeded: bool
    age: float = 0.0
    images: int = 1


CALLS = (
    Call(0.0, succeeded=True),
    Call(0.5, succeeded=False),
    Call(1.0, succeeded=False, age=7200.0),
    Call(8.0, succeeded=True, images=5),
    Call(9.0, succeeded=True, age=7200.0),
    Call(400.0, succeeded=False),
    Call(401.0, succeeded=True),
    Call(20_000.0, succeeded=False),
)


def expect_strangers(world: "World", url: str) -> None:
    """Let a stranger call this URL of ours, while the request is on its way, in doubt, running, and over."""

    def make(call: Call, number: int) -> Callable[[], None]:
        return lambda: _deliver(world, url, call, number)

    for number, call in enumerate(CALLS):
        world.fal.schedule.after(call.after, make(call, number))


def _deliver(world: "World", url: str, call: Call, number: int) -> None:
    """Make one call, which must move no job and ring no alarm."""
    before, pauses, counts = _standing(world), world.pauses, world.watch.promises.counts.copy()
    status = world.call_back(url, *world.fal.sign_as_stranger(call, number))
    if status < 400:
        world.watch.found("I14", f"a stranger's delivery was answered {status}")
    if world.pauses != pauses:
        return  # All else went on meanwhile.
    if before != _standing(world):
        world.watch.found("I14", "a stranger's delivery moved a job")
    if lies := {name for name in ("PaidResultLost", "JobFailed", "JobSucceeded") if _grew(world, counts, name)}:
        world.watch.found("I14", f"a stranger's delivery is counted as {', '.join(sorted(lies))}")


def _grew(world: "World", counts: dict[str, int], name: str) -> bool:
    return world.watch.promises.counts[name] != counts.get(name, 0)


def _standing(world: "World") -> dict[str, Any]:
    """Where each job stands; a request that is to be asked after may be noted beside it."""
    names = ("status", "attempt", "outputs", "error", "result_json", "seed", "settled_at", "resubmits", "strikes")
    return {row["job_id"]["S"]: [row.get(name) for name in names] for row in world.backend.rows() if "status" in row}


def judge_strangers(world: "World", jobs: dict[str, dict[str, Any]], found: Callable[[str, str], None]) -> None:
    """Nothing of a stranger's is left in any row or bucket."""
    never_answered = any(outage.hits("fal.status", STORE - HOUR) for outage in world.scenario.outages)
    for job_id, job in jobs.items():
        # Who could not learn in a day whose a request is says so, and which it was.
        is_open_question = never_answered and (job.get("error") or {}).get("type") == Reason.RESULT_UNAVAILABLE
        names = ("outputs", "result_json", "request", *(() if is_open_question else ("error",)))
        if left := [name for name in names if STRANGER in repr(job.get(name))]:
            found("I14", f"job {job_id} has a stranger's {', '.join(left)}")
    accounts = next((row for row in world.backend.rows() if row["job_id"]["S"] == "shared#accounts"), {})
    if STRANGER in repr(accounts):
        found("I14", "a stranger's account is known as one of ours")
    for (_, key), stored in world.backend.objects().items():
        if STRANGER.encode() in stored.content:
            found("I14", f"{key} is a stranger's picture")
