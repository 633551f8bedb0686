"""Clients: who posts jobs until there is an answer, and who reads them."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.simulation.backends import API
from tests.simulation.events import http_event
from tests.simulation.processes import FunctionFailedError
from tests.simulation.scenarios import Post

if TYPE_CHECKING:
    from tests.simulation.world import World

POST_AGAIN_SECONDS = (2.0, 10.0, 60.0, 300.0, 1800.0)
"""When a client whose POST was not answered tries again."""


@dataclass
class Client:
    """Somebody who posts a job, and what the answers were."""

    post: Post
    answers: list[int] = field(default_factory=list)
    job_ids: set[str] = field(default_factory=set)

    @property
    def body(self) -> bytes:
        """What is posted."""
        return json.dumps(self.post.fields, ensure_ascii=False).encode()


def post(world: "World", client: Client, again: tuple[float, ...] = POST_AGAIN_SECONDS) -> None:
    """Post a job, and again later as long as there is no answer and the client has a key."""
    headers = {"content-type": "application/json"}
    if client.post.key:
        headers["idempotency-key"] = client.post.key
    event = http_event("POST", f"{API}/jobs", headers, client.body)
    event["requestContext"]["authorizer"] = {"lambda": {"owner": client.post.owner}}
    try:
        answer = world.processes.invoke("submit.from_api", event)
        status = int(answer["statusCode"])
    except FunctionFailedError:
        status = 502
    client.answers.append(status)
    world.note("client", "POST /jobs", "", str(status))
    if status == 202:
        client.job_ids.add(json.loads(answer["body"])["job_id"])
    if status >= 500 and again and client.post.key:
        world.turns.after(again[0], lambda: post(world, client, again[1:]))


def get(world: "World", path: str, owner: str, query: dict[str, str] | None = None) -> tuple[int, Any]:
    """What an owner is answered to a GET: the status and the body."""
    event = http_event("GET", f"{API}{path}?{urlencode(query or {})}", {}, b"")
    event["requestContext"]["authorizer"] = {"lambda": {"owner": owner}}
    answer = world.processes.invoke("jobs.handler", event)
    return int(answer["statusCode"]), json.loads(answer["body"])
