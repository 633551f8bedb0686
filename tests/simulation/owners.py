"""What must hold of owners: each sees its own jobs, all of them, and nothing of anybody else's."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.world import World

INTRUDER = "intruder"
"""An owner who has a token, and no job."""
PAGE = 2


def judge_owners(world: "World", jobs: dict[str, dict[str, Any]]) -> None:
    """Let each owner list its jobs, page by page, and somebody else ask for each of them."""
    found = world.watch.found
    for owner in {INTRUDER, *(job["owner"] for job in jobs.values())}:
        listed = list_all(world, owner)
        own = sorted((job for job in jobs.values() if job["owner"] == owner), key=lambda job: str(job["created_at"]))
        if sorted(one["job_id"] for one in listed) != sorted(job["job_id"] for job in own):
            found("I16", f"{owner} is shown {len(listed)} jobs, and has {len(own)}")
        elif [one["created_at"] for one in listed] != [job["created_at"] for job in reversed(own)]:
            found("I16", f"{owner} is shown jobs that are not in the order of their time")
    for job_id, job in jobs.items():
        status, body = world.get(f"/jobs/{job_id}", job["owner"])
        if (status, body.get("status")) != (200, job["status"]):
            found("I2", f"job {job_id} is {job['status']}, and its owner reads {status} {body.get('status')}")
        others = [one["owner"] for one in jobs.values() if one["owner"] != job["owner"]]
        for other in {INTRUDER, *others}:
            status, body = world.get(f"/jobs/{job_id}", other)
            if status != 404 or job["owner"] in json.dumps(body):
                found("I16", f"{other} is answered {status} about job {job_id} of {job['owner']}")


def list_all(world: "World", owner: str) -> list[dict[str, Any]]:
    """All jobs that an owner is shown."""
    listed: list[dict[str, Any]] = []
    query = {"limit": str(PAGE)}
    while True:
        status, body = world.get("/jobs", owner, query)
        if status != 200:
            world.watch.found("I16", f"{owner} cannot list jobs: {status}")
            return listed
        listed += body["jobs"]
        if body["cursor"] is None:
            return listed
        query["cursor"] = body["cursor"]
