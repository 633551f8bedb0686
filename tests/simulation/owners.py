"""What must hold of owners: each sees its own jobs, all of them, and nothing of anybody else's."""

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.clients import get

if TYPE_CHECKING:
    from tests.simulation.world import World

INTRUDER = "intruder"
"""An owner who has a token, and no job."""
PAGE = 2


def judge_owners(world: "World", jobs: dict[str, dict[str, Any]]) -> None:
    """Let each owner list its jobs, page by page, and somebody else ask for each of them."""
    for owner in {INTRUDER, *(job["owner"] for job in jobs.values())}:
        _judge_list(world, owner, [job for job in jobs.values() if job["owner"] == owner])
    for client in world.clients:
        for job_id in client.job_ids & jobs.keys():
            if (owner := jobs[job_id]["owner"]) != client.post.owner:
                world.watch.found("I16", f"{client.post.owner} posted, and was given job {job_id} of {owner}")
    for job in jobs.values():
        _judge_sight(world, job, {INTRUDER, *(one["owner"] for one in jobs.values())} - {job["owner"]})


def _judge_list(world: "World", owner: str, own: list[dict[str, Any]]) -> None:
    listed = list_all(world, owner)
    newest_first = sorted((str(job["created_at"]) for job in own), reverse=True)
    if sorted(one["job_id"] for one in listed) != sorted(job["job_id"] for job in own):
        world.watch.found("I16", f"{owner} is shown {len(listed)} jobs, and has {len(own)}")
    elif [one["created_at"] for one in listed] != newest_first:
        world.watch.found("I16", f"{owner} is shown jobs that are not in the order of their time")


def _judge_sight(world: "World", job: dict[str, Any], others: set[str]) -> None:
    path = f"/jobs/{job['job_id']}"
    status, body = get(world, path, job["owner"])
    if (status, body.get("status")) != (200, job["status"]):
        world.watch.found("I2", f"job {job['job_id']} is {job['status']}, and its owner reads {body.get('status')}")
    for other in others:
        status, body = get(world, path, other)
        if status != 404 or job["owner"] in json.dumps(body):
            world.watch.found("I16", f"{other} is answered {status} about job {job['job_id']} of {job['owner']}")


def list_all(world: "World", owner: str) -> list[dict[str, Any]]:
    """All jobs that an owner is shown."""
    listed: list[dict[str, Any]] = []
    query = {"limit": str(PAGE)}
    while True:
        status, body = get(world, "/jobs", owner, query)
        if status != 200:
            world.watch.found("I16", f"{owner} cannot list jobs: {status}")
            return listed
        listed += body["jobs"]
        if body["cursor"] is None:
            return listed
        query["cursor"] = body["cursor"]
