"""fal in a run: the real emulator, whose requests have fates and whose deliveries have ways."""

import json
from typing import TYPE_CHECKING, Any

import httpx
from botocore.exceptions import ClientError

from local.fal import Emulator, EmulatorSettings, Script
from local.fal.keys import sign
from tests.simulation.fates import FAL, HEAD, error_body, failure, pictures, success
from tests.simulation.scenarios import Fate, Way
from tests.simulation.stand_in_buckets import linked
from tests.simulation.strangers import STRANGER, Call

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

COPIES: dict[Way, float] = {"at_once": 0.0, "late": 240.0, "echoed": 240.0}
"""After how many seconds a delivery comes again, or for the first time."""
LATER_SECONDS = 5.0


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
        super().__init__(settings, clock=world.clock, deliver=self._carry, schedule=world.turns)
        self._world = world
        self._taken = 0
        self.posting = b""
        self.edited: list[bytes | None] = []
        """The input of each request, as its link led to when the request was taken."""
        self._files: list[list[bytes]] = []

    def take_script(self) -> Script:
        """What its fate makes of the request that is being taken."""
        number = self._taken
        self._taken += 1
        fate = self._fate_of(number)
        self._files.append([])
        arguments = json.loads(self.posting)
        self.edited.append(self._read_input(arguments.get("image_url")))
        if failed := failure(fate):
            return failed
        bodies = pictures(fate, number, int(arguments.get("num_images", 1)))
        self._files[number] = bodies
        for index, body in enumerate(bodies if fate != "gone" else []):
            self.files.put(f"{number}/{index}.jpg", body, "image/jpeg", 86_400)
        return success(fate, number, len(bodies))

    def requests(self) -> "list[Request]":
        """All that it took, in their order."""
        return sorted(self.queue, key=lambda request: request.order)

    def made(self, request: "Request") -> list[bytes]:
        """The pictures of a request."""
        return self._files[request.order]

    def fate(self, request: "Request") -> Fate:
        """What became of a request."""
        return self._fate_of(request.order)

    def _fate_of(self, number: int) -> Fate:
        fates = self._world.scenario.fates
        return fates[number] if number < len(fates) else "ok"

    def way(self, request: "Request") -> Way:
        """How its delivery comes."""
        ways = self._world.scenario.ways
        return ways[request.order] if request.order < len(ways) else "prompt"

    def _carry(self, url: str, headers: dict[str, str], body: bytes, timeout: float) -> int:
        request = self.queue.get(headers["X-Fal-Webhook-Request-Id"])
        way = self.way(request) if request else "prompt"
        if self._world.scenario.forged:
            self._call_forged(url, headers, body)
        if way in COPIES:
            self._call_later(COPIES[way], url, headers, body)
        if way in {"lost", "late"}:
            return 200
        if way == "error_first":
            self._call(url, *self._contradiction(headers, body))
        if way == "bare":
            headers, body = self._signed(headers, json.loads(body) | {"payload": None})
        try:
            status = self._world.turns.in_time(timeout, lambda: self._call(url, headers, body))
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time") from None
        if way == "twice":
            self._call(url, headers, body)
        if way == "contradicted":
            self._call_later(LATER_SECONDS, url, *self._contradiction(headers, body))
        return status

    def _call_forged(self, url: str, headers: dict[str, str], body: bytes) -> None:
        watch, call_back = self._world.watch, self._world.call_back
        for forged_headers, forged_body in forgeries(headers, body):
            watch.forged(call_back, url, forged_headers, forged_body)
        watch.forged(call_back, url.replace("?attempt=", "?attempt=1"), headers, body)
        watch.misdirected(call_back, self._world.nobody, headers, body)

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
        error = {"status": "ERROR", "error": "Invalid status code: 500", "payload": error_body("odd")}
        return self._signed(headers, json.loads(body) | error)

    def _signed(self, headers: dict[str, str], event: Any) -> tuple[dict[str, str], bytes]:
        content = json.dumps(event).encode()
        request_id, user_id, timestamp = (
            headers[f"X-Fal-Webhook-{name}"] for name in ("Request-Id", "User-Id", "Timestamp")
        )
        signature = sign(self.keys.current, request_id, user_id, timestamp, content)
        return headers | {"X-Fal-Webhook-Signature": signature}, content

    def sign_as_stranger(self, call: Call, number: int) -> tuple[dict[str, str], bytes]:
        """A delivery that fal has truly signed, for an account that is not ours."""
        self.files.put("stranger.jpg", HEAD + b"a stranger's", "image/jpeg", 86_400)
        names = {
            "Request-Id": f"{STRANGER}-{number}",
            "User-Id": f"user_{STRANGER}",
            "Timestamp": str(int(self.clock.now() - call.age)),
        }
        said = {"status": "ERROR", "payload": error_body(STRANGER)}
        if call.succeeded:
            images = [{"url": f"{FAL}/files/stranger.jpg?{index}"} for index in range(call.images)]
            said = {"status": "OK", "payload": {"images": images, "seed": 1}}
        return self._signed(
            {f"X-Fal-Webhook-{name}": value for name, value in names.items()},
            {"request_id": names["Request-Id"], "gateway_request_id": names["Request-Id"], "error": None, **said},
        )

    def _read_input(self, url: str | None) -> bytes | None:
        if url is None or "X-Amz-Signature" not in url:
            return None
        try:
            answer = self._world.backend.client("s3").get_object(**linked(url))
        except ClientError:
            return None
        return bytes(answer["Body"].read())
