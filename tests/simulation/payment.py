"""What must hold of payment: nothing is paid twice, and what was paid is thrown away only for a reason with a name."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from shared.waiting import ATTEMPT, LEASE, STORE
from tests.simulation.places import kind_of

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.scenarios import Fate
    from tests.simulation.world import World

DOUBT = frozenset({"reply_lost", "no_word_from_fal"})
"""How a job fails of whose request fal never told anything."""
UNFIT: dict["Fate", str] = {
    "vast": "unreadable_result",
    "none": "unreadable_result",
    "overlong_urls": "output_refused",
    "pages": "output_refused",
    "page_in_part": "output_refused",
    "no_bytes": "output_refused",
    "gone": "output_unavailable",
}
"""How a job fails whose result has no picture that could be stored."""
ENDLESS = frozenset({"stuck", "stuck_for_good"})
"""Fates of requests that run for longer than fal lets any run."""
NEEDED = ("dynamodb.get_item", "dynamodb.update_item", "fal.keys", "secretsmanager.get_secret_value")
"""The calls without which no delivery is taken."""


def judge_payment(world: "World", job: dict[str, Any], requests: "list[Request]") -> None:
    """Judge one job, and its requests in their order."""
    found = world.watch.found
    for earlier, later in pairwise(requests):
        failed = earlier.outcome is not None and not earlier.outcome.succeeded
        over = earlier.completed_at is not None and earlier.completed_at <= later.submitted_at
        # An attempt's time begins with its claim, and its function has the lease to send it.
        if not (failed and over) and later.submitted_at - earlier.submitted_at < ATTEMPT - LEASE:
            found("I1", f"job {job['job_id']} was sent again while {earlier.id} lived")
    paid = [request for request in requests if request.outcome and request.outcome.units]
    if len(paid) > 1 and job.get("on_unknown") != "resubmit":
        found("I1", f"job {job['job_id']} was paid {len(paid)} times")
    # Whoever has a job sent again that may have been paid is told of the last request only.
    paid = [request for request in paid if job.get("on_unknown") != "resubmit" or request is requests[-1]]
    if paid and job["status"] == "failed" and kind_of(job) not in excuses(world, job, paid[0]):
        found("thrown away", f"job {job['job_id']} is failed ({kind_of(job)}), and {paid[0].id} was paid")
    if paid and job["status"] == "cancelled":
        found("thrown away", f"job {job['job_id']} is cancelled, and {paid[0].id} was paid")


def excuses(world: "World", job: dict[str, Any], request: "Request") -> frozenset[str]:
    """The types of error with which a job may have failed although this request of it was paid."""
    fate, way, allowed_after = world.fal.fate(request), world.fal.way(request), world.scenario.allowed_after
    excused: set[str] = set()
    if not any(world.fal.made(request)) or fate in UNFIT:
        excused.add(UNFIT.get(fate, UNFIT["none"]))
    if fate == "moved" and (allowed_after is None or allowed_after > STORE):
        excused.add("output_host_not_allowed")
    if world.scenario.filled_after is not None:
        excused.add("look_failed")
    if way in {"error_first", "contradicted"} and world.watch.settled_from(job["job_id"]) != "storing":
        excused.add("odd")
    if request.cancel_asked:
        # fal agreed, and did not keep to it.
        excused.add("no_word_from_fal")
    # Without a request's id nothing can be asked, and a delivery that is lost, or comes late, tells none.
    told_none = way in {"lost", "late"} or fate in ENDLESS or _was_out_for_all_tries(world, request)
    if not job.get("request") and told_none:
        excused |= DOUBT
    return frozenset(excused)


def _was_out_for_all_tries(world: "World", request: "Request") -> bool:
    """Whether something that every delivery needs was out from the first try of this one to the last."""
    tries = [attempt.at - world.began_at for one in request.deliveries for attempt in one.attempts]
    return bool(tries) and any(
        all(outage.hits(operation, at) for at in tries) for outage in world.scenario.outages for operation in NEEDED
    )
