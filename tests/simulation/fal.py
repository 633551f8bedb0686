"""fal in a run: the real emulator, whose requests have fates and whose deliveries have ways."""

import json
from typing import TYPE_CHECKING, Any

import httpx

from local.fal import Emulator, EmulatorSettings, Script
from local.fal.keys import sign
from local.fal.scripts import ScriptedResult
from tests.simulation.scenarios import PROMPT, Fate, Way

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

FAL = "http://127.0.0.1:8787"
LATE_SECONDS = 240.0
LATER_SECONDS = 5.0
LARGE = 12_000
"""Bytes that make a result one of those which fal keeps for six minutes only."""
HEAD = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
"""The beginning of a JPEG of 16 by 16 pixels."""


def error_body(kind: str) -> dict[str, Any]:
    """A model's error; its `input` echoes the prompt, which must stay out of the log."""
    detail = {"loc": ["body", "image_url"], "msg": "It could not be done.", "type": kind, "input": {"prompt": PROMPT}}
    return {"detail": [detail]}


def forgeries(headers: dict[str, str], body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """A delivery altered in several ways, none of which fal has signed."""
    name = "X-Fal-Webhook-Signature"
    flipped = headers[name][:-1] + ("0" if headers[name][-1] != "0" else "1")
    unsigned = {header: value for header, value in headers.items() if header != name}
    return [
        (headers | {name: flipped}, body),
        (headers, body + b" "),
        (headers | {"X-Fal-Webhook-Timestamp": "1600000000"}, body),
        (headers | {"X-Fal-Webhook-Request-Id": "another"}, body),
        (unsigned, body),
    ]


class Fal(Emulator):
    """The emulator of a run."""

    def __init__(self, world: "World", settings: EmulatorSettings) -> None:
        super().__init__(settings, clock=world.clock, deliver=self._carry)
        self._world = world
        self._taken = 0
        self.posting = b""
        self._files: list[list[bytes]] = []

    def take_script(self) -> Script:
        """The fate of the request that is being taken."""
        scenario, number = self._world.scenario, self._taken
        self._taken += 1
        fate: Fate = scenario.fates[number] if number < len(scenario.fates) else "ok"
        self._files.append([])
        images = int(json.loads(self.posting).get("num_images", 1))
        if fate == "runner_error":
            return Script(infrastructure_error="runner_server_error")
        if fate in {"error", "download_error"}:
            kind = "file_download_error" if fate == "download_error" else "content_policy_violation"
            return Script(result=ScriptedResult(status=422, body=error_body(kind)))
        bodies = [HEAD + f"request {number}, image {index}".encode() for index in range(images)]
        self._files[number] = bodies
        records: list[Any] = []
        for index, body in enumerate(bodies):
            path = f"{number}/{index}.jpg"
            self.files.put(path, body, "image/jpeg", 86_400)
            records.append({"url": f"{FAL}/files/{path}", "content_type": "image/jpeg"})
        content: dict[str, Any] = {"images": records, "seed": number, "prompt": PROMPT}
        if fate == "large":
            content["timings"] = "x" * LARGE
        return Script(
            result=ScriptedResult(body=content, billable_units=images),
            payload_error=fate == "payload_error",
            queue_seconds=10_000 if fate == "never_started" else None,
        )

    def requests(self) -> "list[Request]":
        """All that it took, in their order."""
        return sorted(self.queue, key=lambda request: request.order)

    def made(self, request: "Request") -> list[bytes]:
        """The pictures of a request."""
        return self._files[request.order]

    def way(self, request: "Request") -> Way:
        """How its delivery comes."""
        ways = self._world.scenario.ways
        return ways[request.order] if request.order < len(ways) else "prompt"

    def _carry(self, url: str, headers: dict[str, str], body: bytes, timeout: float) -> int:
        way = self.way(next(one for one in self.queue if one.id == headers["X-Fal-Webhook-Request-Id"]))
        if self._world.scenario.forged:
            for forged_headers, forged_body in forgeries(headers, body):
                self._world.watch.forged(self._world.call_back, url, forged_headers, forged_body)
            other = url.replace("?attempt=", "?attempt=1")
            self._world.watch.forged(self._world.call_back, other, headers, body)
            self._world.watch.misdirected(self._world.call_back, self._world.nobody, headers, body)
        if way == "lost":
            return 200
        if way == "late":
            self._call_later(LATE_SECONDS, url, headers, body)
            return 200
        if way == "error_first":
            self._call(url, *self._contradiction(headers, body))
        began = self.clock.now()
        status = self._call(url, headers, body)
        if self.clock.now() - began > timeout:
            raise httpx.ReadTimeout("no answer in time")
        if way == "twice":
            self._call(url, headers, body)
        if way == "echoed":
            self._call_later(LATE_SECONDS, url, headers, body)
        if way == "contradicted":
            self._call_later(LATER_SECONDS, url, *self._contradiction(headers, body))
        return status

    def _call(self, url: str, headers: dict[str, str], body: bytes) -> int:
        status = self._world.call_back(url, headers, body)
        succeeded = json.loads(body)["status"] == "OK"
        self._world.watch.answered(url, headers["X-Fal-Webhook-Request-Id"], succeeded=succeeded, status=status)
        return status

    def _call_later(self, seconds: float, url: str, headers: dict[str, str], body: bytes) -> None:
        def call() -> None:
            self._call(url, headers, body)

        self.schedule.after(seconds, call)

    def _contradiction(self, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """fal's word that the request failed, truly signed."""
        event = json.loads(body) | {
            "status": "ERROR",
            "error": "Invalid status code: 500",
            "payload": error_body("odd"),
        }
        content = json.dumps(event).encode()
        request_id, user_id, timestamp = (
            headers[f"X-Fal-Webhook-{name}"] for name in ("Request-Id", "User-Id", "Timestamp")
        )
        signature = sign(self.keys.current, request_id, user_id, timestamp, content)
        return headers | {"X-Fal-Webhook-Signature": signature}, content
