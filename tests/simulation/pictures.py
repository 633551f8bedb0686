"""What must hold of outputs: each is what fal made for its job, all that fal made are there, and each in its place."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

Found = Callable[[str, str], None]


def judge_outputs(world: "World", job: dict[str, Any], requests: "list[Request]") -> None:
    """Judge the outputs of one job."""
    found, outputs = world.watch.found, job.get("outputs", [])
    if job["status"] != "succeeded":
        if outputs:
            found("I3", f"job {job['job_id']} is {job['status']}, and has outputs")
        return
    for output in outputs:
        _judge_stored(world, output, found)
    paid = [request for request in requests if request.outcome and request.outcome.units]
    made = [_expected(world, job, request) for request in paid]
    shown = {int(output["index"]): world.stored(output["key"]) for output in outputs}
    if len(shown) != len(outputs) or len({output["key"] for output in outputs}) != len(outputs):
        found("I3", f"job {job['job_id']} has several outputs in one place")
    elif not job.get("error") and shown not in made:
        found("I3", f"job {job['job_id']} has the outputs {sorted(shown)}, which are not all that fal made, in order")
    elif not shown or not any(shown.items() <= one.items() for one in made):
        found("I3", f"job {job['job_id']} has outputs that fal did not make for it, or none")


def _expected(world: "World", job: dict[str, Any], request: "Request") -> dict[int, bytes | None]:
    """The pictures of a request by their place in its result, as many as were asked for."""
    made: list[bytes | None] = list(world.fal.made(request))
    if world.fal.fate(request) == "same_twice":
        made = made[:1] * len(made)
    return dict(enumerate(made[: world.asked_for(job)]))


def _judge_stored(world: "World", output: dict[str, Any], found: Found) -> None:
    content = world.stored(output["key"])
    if content is None:
        found("I3", f"the output {output['key']} is not there")
    elif (hashlib.sha256(content).hexdigest(), len(content)) != (output["sha256"], output["bytes"]):
        found("I3", f"the output {output['key']} is not what its job says")
