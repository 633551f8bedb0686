"""What must hold of requests at fal: they are what the caller, or the upload's preset, asked for, and nothing else."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tests.simulation.scenarios import PRESETS, Post

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World


def judge_arguments(world: "World", job: dict[str, Any], requests: "list[Request]") -> None:
    """Judge the requests of one job."""
    asked_for = asked(world, job)
    for request in requests:
        said: dict[str, Any] = json.loads(json.dumps(request.arguments))
        link = said.pop("image_url", None)
        wanted = dict(asked_for)
        key = wanted.pop("image_url", None)
        differing = [name for name, value in wanted.items() if said.get(name) != value]
        if differing or (key is None) is not (link is None) or (key and _key_of(str(link)) != key):
            world.watch.found("I15", f"{request.id} differs from what was asked for in {differing or 'its input'}")
        if request.address.endpoint != job["endpoint"]:
            world.watch.found("I15", f"{request.id} is at {request.address.endpoint}, its job at {job['endpoint']}")


def asked(world: "World", job: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the caller posted them, or as the preset has them beside the upload."""
    if upload := job.get("upload"):
        preset = PRESETS[job["preset"]]
        return dict(preset.arguments) | {"image_url": upload["key"]}
    client = next((one for one in world.clients if job["job_id"] in one.job_ids), None)
    if client is None:
        # Nobody was told of the job: its POST was not answered, and not repeated in vain.
        posts = [one for one in world.scenario.submissions if isinstance(one, Post) and one.owner == job["owner"]]
        return posts[0].fields if len(posts) == 1 else {}
    return client.post.fields


def _key_of(link: str) -> str:
    """The object that a presigned link leads to."""
    return unquote(urlsplit(link).path.lstrip("/"))
