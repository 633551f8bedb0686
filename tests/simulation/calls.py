"""The calls of a simulated process: each is numbered, may fail as the plan says, and stands in the trace.

The proxies work on methods, so that one plan fits the stand-ins in memory and boto3's own clients over moto.
"""

import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.scenarios import BREAKS_FAL, REFUSED, SEEMS_LOCKED
from tests.simulation.stand_in_errors import client_error
from tests.simulation.strangers import expect_strangers

if TYPE_CHECKING:
    from tests.simulation.processes import Process

THROTTLED = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "s3": "SlowDown",
    "secretsmanager": "ThrottlingException",
    "sqs": "ThrottlingException",
}
LOCAL = frozenset({"exceptions", "meta", "generate_presigned_url"})
"""What a client does without a call."""
AWS_TIMEOUT_SECONDS = 30.0
"""Three tries of ten seconds each."""
CONNECT_SECONDS = 5.0
POST_TIMEOUT_SECONDS = 20.0
ENDPOINT = "https://aws.example"
WAIT = 600.0
"""The seconds that a refusal asks for which names a time."""
PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"
LOCKED = {"detail": "User is locked. Reason: Exhausted balance."}
NOT_TAKEN: dict[str, tuple[int, Any]] = {
    "typed500": (500, {"detail": "Internal server error", "error_type": "internal_error"}),
    "status429": (429, {"detail": "Too many requests"}),
    "wait600": (429, {"detail": "Too many requests"}),
    "wait_until": (503, {"detail": "Service unavailable"}),
    "status503": (503, {"detail": "Service unavailable"}),
    "status403": (403, LOCKED),
    "status401": (401, {"detail": "No user found for Key ID and Secret"}),
    "status500": (500, {"detail": "Internal server error"}),
    "page502": (502, PAGE),
    "json503": (503, {"message": "Service Unavailable"}),
    "status422": (422, {"detail": [{"loc": ["body", "prompt"], "msg": "It is refused.", "type": "value_error"}]}),
    "status404": (404, {"detail": "Application not found"}),
}
TAKEN: dict[str, tuple[int, Any]] = {
    "taken_page502": NOT_TAKEN["page502"],
    "taken_json503": NOT_TAKEN["json503"],
    "taken_status408": (408, {"message": "Request Timeout"}),
}
"""What a gateway says of a request that it had passed on, and that fal has taken."""


def refusal(prompt: bytes) -> tuple[int, Any] | None:
    """What fal answers to a request that it would take of nobody."""
    if REFUSED.encode() in prompt:
        return 403, PAGE
    if BREAKS_FAL.encode() in prompt:
        return NOT_TAKEN["status500"]
    return (403, LOCKED) if SEEMS_LOCKED.encode() in prompt else None


class FaultyClient:
    """A boto3 client, or a stand-in, whose every call may go wrong."""

    def __init__(self, client: Any, service: str, process: "Process") -> None:
        self._client = client
        self._service = service
        self._process = process

    def __getattr__(self, name: str) -> Any:
        """Give the method of that name, which calls the client's own."""
        if name in LOCAL:
            return getattr(self._client, name)
        method = functools.partial(self._call, name, getattr(self._client, name))
        setattr(self, name, method)
        return method

    def _call(self, name: str, method: Any, **parameters: Any) -> Any:
        operation = f"{self._service}.{name}"
        process = self._process
        kind = process.begin(operation, _subject(parameters))
        if kind == "throttled":
            raise process.failed(client_error(THROTTLED[self._service], name))
        if kind == "timeout":
            process.spend(AWS_TIMEOUT_SECONDS)
            raise process.failed(EndpointConnectionError(endpoint_url=ENDPOINT))
        left: list[Any] = []
        if kind == "unprocessed":
            ((table, wanted),) = parameters["RequestItems"].items()
            half = (len(wanted["Keys"]) + 1) // 2
            left = wanted["Keys"][half:]
            parameters["RequestItems"] = {table: wanted | {"Keys": wanted["Keys"][:half]}}
        try:
            answer = method(**parameters)
            if kind == "repeated":
                if hasattr(parameters.get("Body"), "seek"):
                    parameters["Body"].seek(0)
                answer = method(**parameters)
        except ClientError as error:
            process.did(operation, error.response["Error"]["Code"])
            if kind == "crash_after":
                raise process.crash() from None
            raise
        process.did(operation, "done")
        if kind == "crash_after":
            raise process.crash()
        if kind == "reply_lost":
            process.spend(AWS_TIMEOUT_SECONDS)
            raise process.failed(ReadTimeoutError(endpoint_url=ENDPOINT))
        return self._hand_back(answer, parameters, left) if left else answer

    @staticmethod
    def _hand_back(answer: Any, parameters: dict[str, Any], keys: list[Any]) -> Any:
        """Leave keys unread, as a throttled table does."""
        ((name, wanted),) = parameters["RequestItems"].items()
        return answer | {"UnprocessedKeys": {name: wanted | {"Keys": keys}}}


def _subject(parameters: dict[str, Any]) -> str:
    """What a call is about, for the reader of a trace."""
    key = parameters.get("Key") or parameters.get("Item") or parameters.get("SecretId") or ""
    if isinstance(key, dict):
        key = key.get("job_id", {}).get("S", "")
    return str(key)


class FaultyTransport(httpx.BaseTransport):
    """The way to fal, on which every exchange may go wrong."""

    def __init__(self, transport: httpx.BaseTransport, process: "Process") -> None:
        self._transport = transport
        self._process = process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Make one exchange."""
        operation = _operation(request)
        world = self._process.world
        if operation == "fal.submit":
            world.watch.promises.sending(self._process.name, self._process.not_before)
            world.watch.sending(request.url.params["fal_webhook"])
            if world.scenario.foreign:
                expect_strangers(world, request.url.params["fal_webhook"])
        kind = self._process.begin(operation, request.url.path.rpartition("/")[2])
        if kind in {"refused", "no_connection", "sent_not_taken", "write_failed", "slow"}:
            raise self._process.failed(self._fail(kind, request))
        told = refusal(request.content) if operation == "fal.submit" else None
        if told or kind in NOT_TAKEN:
            status, body = told or NOT_TAKEN[str(kind)]
            self._process.did(operation, str(status))
            return _answer(status, body, {} if told else self._ask_to_wait(kind))
        self._process.world.fal.posting = request.content
        response = self._transport.handle_request(request)
        content = response.read()
        self._process.did(operation, str(response.status_code))
        return self._spoil(kind, response, content)

    def _ask_to_wait(self, kind: str | None) -> dict[str, str]:
        """Name a time before which nothing is to be sent, where the kind of refusal does, in one of HTTP's forms."""
        until = self._process.world.clock.now() + WAIT
        if kind not in {"wait600", "wait_until"}:
            return {}
        self._process.not_before = int(until)
        as_date = format_datetime(datetime.fromtimestamp(int(until), UTC), usegmt=True)
        return {"Retry-After": str(int(WAIT)) if kind == "wait600" else as_date}

    def _fail(self, kind: str, request: httpx.Request) -> httpx.TransportError:
        """Let the time of an exchange pass that fal never sees, or sees and does not take."""
        if kind == "refused":
            return httpx.ConnectError("Connection refused", request=request)
        if kind == "no_connection":
            self._process.spend(CONNECT_SECONDS)
            return httpx.ConnectTimeout("timed out", request=request)
        if kind == "write_failed":
            return httpx.WriteError("Broken pipe", request=request)
        self._process.spend(float(request.extensions["timeout"]["read"]))
        return httpx.ReadTimeout("timed out", request=request)

    def _spoil(self, kind: str | None, response: httpx.Response, content: bytes) -> httpx.Response:
        """Give fal's answer, or what becomes of it on its way."""
        if kind == "crash_after":
            raise self._process.crash()
        if kind == "taken_reply_lost":
            self._process.spend(POST_TIMEOUT_SECONDS)
            raise self._process.failed(httpx.ReadTimeout("timed out"))
        if kind == "taken_reply_cut":
            raise self._process.failed(httpx.RemoteProtocolError("Server disconnected"))
        if kind == "taken_write_failed":
            # All had been written, and the connection ended before the client knew.
            raise self._process.failed(httpx.WriteTimeout("timed out"))
        if kind in TAKEN:
            return _answer(*TAKEN[kind])
        if kind == "taken_unreadable":
            return httpx.Response(200, content=content[: len(content) // 2])
        if kind == "cut":
            headers = {"Content-Length": str(len(content))}
            return httpx.Response(response.status_code, headers=headers, stream=_CutStream(content, self._process))
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(content))


class _CutStream(httpx.SyncByteStream):
    """The first half of a body, and then the end of the connection, as httpx tells it."""

    def __init__(self, content: bytes, process: "Process") -> None:
        self._content = content
        self._process = process

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[: len(self._content) // 2]
        raise self._process.failed(httpx.RemoteProtocolError("peer closed connection"))


def _operation(request: httpx.Request) -> str:
    path = request.url.path
    if path.endswith("jwks.json"):
        return "fal.keys"
    if path.startswith("/files/"):
        return "fal.file"
    if request.method == "PUT":
        return "fal.cancel"
    if request.method == "POST":
        return "fal.submit"
    return "fal.status" if path.endswith("/status") else "fal.result"


def _answer(status: int, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    if isinstance(body, str):
        return httpx.Response(status, html=body, headers=headers)
    return httpx.Response(status, json=body, headers=headers)
