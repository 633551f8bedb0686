"""What the client for fal sends, call by call, and what its errors tell whoever reads them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from shared.endpoints import Endpoint
from shared.errors import ReplyLostError, SettingsError, ThrottledError, UnreadableError
from shared.fal import FalClient
from shared.jobs import Request

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUEUE = "https://queue.fal.run"
OWN = Request(
    request_id="r1",
    status_url=f"{QUEUE}/own/r1/status",
    response_url=f"{QUEUE}/own/r1",
    cancel_url=f"{QUEUE}/own/r1/cancel",
)
BARE = Request(request_id="r1")
Call = Callable[[FalClient, Request], object]
CALLS: dict[str, tuple[Call, str, str]] = {
    "status": (FalClient.status, "GET", "/status"),
    "result": (FalClient.result, "GET", ""),
    "cancel": (FalClient.cancel, "PUT", "/cancel"),
}
"""Each call about a request: its method, and the end of its path (fal docs: queue)."""


def asked(call: Call, request: Request, answer: httpx.Response) -> tuple[httpx.Request, Exception | None]:
    """What a call sends, and what it raises."""
    sent: list[httpx.Request] = []

    def fal(one: httpx.Request) -> httpx.Response:
        sent.append(one)
        return answer

    http = httpx.Client(transport=httpx.MockTransport(fal))
    client = FalClient(http, QUEUE, "Key", lambda fresh: "" if fresh else "id:secret", 86_400, lambda: NOW)
    try:
        call(client, request)
    except (UnreadableError, ReplyLostError, SettingsError, ThrottledError) as error:
        return sent[0], error
    return sent[0], None


def post(client: FalClient, _: Request) -> object:
    """Submit something."""
    return client.submit(
        Endpoint.KONTEXT, {"prompt": "p", "image_url": "https://x"}, "https://api.example/webhooks/fal/j"
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_request_is_asked_after_where_fal_said(name: str) -> None:
    """By fal's own URLs, and by its id where none are known; with the key, and by the method that fal documents."""
    call, method, end = CALLS[name]
    for request, path in ((OWN, f"/own/r1{end}"), (BARE, f"/fal-ai/flux-pro/requests/r1{end}")):
        sent, _ = asked(call, request, httpx.Response(500))
        assert (sent.method, sent.url.path, sent.url.host) == (method, path, "queue.fal.run")
        assert sent.headers["Authorization"] == "Key id:secret"


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_that_cannot_be_used_is_told_with_its_status(name: str) -> None:
    """The log and the job's error say which status it was, and the next look waits as long as fal asks for."""
    until = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    for said in ("90", until):
        _, error = asked(CALLS[name][0], OWN, httpx.Response(503, headers={"Retry-After": said}))
        assert isinstance(error, UnreadableError)
        assert "503" in str(error)
        assert error.retry_after == 90


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://other.example/login?token=secret", " and leads to https://other.example"),
        ("/elsewhere", ""),
        (None, ""),
    ],
)
def test_a_queue_that_is_elsewhere_is_told_where(location: str | None, told: str) -> None:
    """The setting is named, and where its URL leads, without what may be secret in that."""
    _, error = asked(post, BARE, httpx.Response(308, headers={"Location": location} if location else {}))
    assert isinstance(error, SettingsError)
    assert str(error) == f"FAL_QUEUE_URL is not the queue: it answers 308{told}"


def test_a_submission_s_wait_is_told_in_seconds() -> None:
    """Whatever form fal gives it, for a throttle and for what may have been taken."""
    until = format_datetime(NOW + timedelta(seconds=45), usegmt=True)
    _, throttled = asked(post, BARE, httpx.Response(429, json={"detail": "slow"}, headers={"Retry-After": until}))
    assert isinstance(throttled, ThrottledError)
    assert (throttled.retry_after, str(throttled)) == (45, "fal answered 429: slow")
    _, lost = asked(post, BARE, httpx.Response(502, text="<html>", headers={"Retry-After": until}))
    assert isinstance(lost, ReplyLostError)
    assert lost.retry_after == 45
