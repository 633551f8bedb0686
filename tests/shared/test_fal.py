"""The client for fal: what each answer to a submission proves, and how results are read."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.endpoints import Endpoint
from shared.errors import (
    DarkroomError,
    FalError,
    ModelFailedError,
    NotAcceptedError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    SettingsError,
    ThrottledError,
    UnreadableError,
)
from shared.fal import FalClient
from shared.fal_words import read_error
from shared.jobs import JobError, Request

QUEUE = "https://queue.fal.run"
ANSWER = {
    "request_id": "r1",
    "status": "IN_QUEUE",
    "queue_position": 0,
    "response_url": f"{QUEUE}/fal-ai/flux-pro/requests/r1",
    "status_url": f"{QUEUE}/fal-ai/flux-pro/requests/r1/status",
    "cancel_url": f"{QUEUE}/fal-ai/flux-pro/requests/r1/cancel",
    "logs": None,
    "metrics": {},
}
REQUEST = Request.model_validate(ANSWER)


class Queue:
    """A queue that gives the answers of a list, and notes what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Give the next answer."""
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(queue: Queue, url: str = QUEUE, scheme: str = "Key", key: Callable[[bool], str] | None = None) -> FalClient:
    """A client of that queue."""
    http = httpx.Client(transport=httpx.MockTransport(queue))
    return FalClient(http, url, scheme, key or (lambda fresh: "" if fresh else "id:secret"), 86_400)


def submit(queue: Queue, **options: Any) -> Request:
    """Submit something."""
    return client(queue, **options).submit(Endpoint.MAX, {"prompt": "ü"}, "https://api.example/webhooks/fal/j?a=1&b=2")


def page(status: int) -> httpx.Response:
    """The page of an ingress that stands before fal."""
    return httpx.Response(status, text=f"<html><center>nginx</center>{status}</html>")


def detail(status: int, body: Any = "no", **headers: str) -> httpx.Response:
    """An answer of fal's own."""
    return httpx.Response(status, json={"detail": body}, headers=headers)


def test_a_submission_says_all_that_fal_documents() -> None:
    """Path, webhook with its own query, key, time to start under both names, and the deletion of fal's copies."""
    queue = Queue(httpx.Response(200, json=ANSWER))
    assert submit(queue) == REQUEST
    (asked,) = queue.asked
    assert (asked.method, asked.url.host, asked.url.path) == ("POST", "queue.fal.run", "/fal-ai/flux-pro/kontext/max")
    assert dict(asked.url.params) == {"fal_webhook": "https://api.example/webhooks/fal/j?a=1&b=2"}
    assert asked.headers["Authorization"] == "Key id:secret"
    assert asked.headers["X-Fal-Request-Start-Timeout"] == asked.headers["X-Fal-Request-Timeout"] == "3600"
    assert json.loads(asked.headers["X-Fal-Object-Lifecycle-Preference"]) == {"expiration_duration_seconds": 86_400}
    assert json.loads(asked.content) == {"prompt": "ü"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectError("refused"), NotAcceptedError),
        (httpx.ConnectTimeout("slow"), NotAcceptedError),
        (detail(429), ThrottledError),
        (detail(503), NotAcceptedError),
        (detail(402), ProviderLockedError),
        (detail(403, "User is locked. Reason: Exhausted balance."), ProviderLockedError),
        (detail(401, "No user found for Key ID and Secret"), ProviderLockedError),
        (detail(400), RefusedError),
        (detail(404), RefusedError),
        (detail(422, [{"loc": ["body"], "msg": "m", "type": "t"}]), RefusedError),
        (httpx.Response(302, headers={"Location": "/"}), SettingsError),
        (httpx.Response(308, headers={"Location": "https://queue.fal.run/x"}), SettingsError),
        (page(405), SettingsError),
        (httpx.Response(303, headers={"Location": "/done"}), ReplyLostError),
        (httpx.ReadTimeout("slow"), ReplyLostError),
        (httpx.ReadError("reset"), ReplyLostError),
        (httpx.WriteError("reset"), ReplyLostError),
        (httpx.RemoteProtocolError("closed"), ReplyLostError),
        (page(502), ReplyLostError),
        (page(503), ReplyLostError),
        (page(504), ReplyLostError),
        (detail(500), ReplyLostError),
        (page(408), ReplyLostError),
        (detail(409), ReplyLostError),
        (httpx.DecodingError("broken gzip"), ReplyLostError),
        (httpx.LocalProtocolError("illegal header value"), NotAcceptedError),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "no header"), NotAcceptedError),
        (detail(422, [{"loc": None, "msg": "m"}]), RefusedError),
        (httpx.Response(200, text="<html>"), ReplyLostError),
        (httpx.Response(200, json={"status": "IN_QUEUE"}), ReplyLostError),
        (httpx.Response(200, text="[" * 100_000), ReplyLostError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or f"{getattr(value, 'status_code', '')}{type(value).__name__}",
)
def test_what_each_answer_proves(answer: httpx.Response | Exception, error: type[DarkroomError]) -> None:
    """Only what proves that fal did not take the request may be tried again; and nothing is posted twice."""
    queue = Queue(answer)
    with pytest.raises(error) as raised:
        submit(queue)
    assert type(raised.value) is error
    assert len(queue.asked) == 1


def test_an_answer_with_the_id_alone_is_enough() -> None:
    """URLs that never arrived are where fal's docs say that they are: under owner and app."""
    queue = Queue(httpx.Response(200, json={"request_id": "r1"}), httpx.Response(200, json={"status": "COMPLETED"}))
    fal = client(queue)
    request = fal.submit(Endpoint.MAX, {}, "https://api.example")
    assert fal.status(request).is_completed
    assert str(queue.asked[1].url) == f"{QUEUE}/fal-ai/flux-pro/requests/r1/status"


def test_a_rotated_key_is_read_anew_once() -> None:
    """A 401 makes the key be read again; it is no acceptance, so a second POST pays nothing twice."""
    keys = {False: "old", True: "new"}
    queue = Queue(detail(401), httpx.Response(200, json=ANSWER))
    assert submit(queue, key=keys.__getitem__).request_id == "r1"
    assert [asked.headers["Authorization"] for asked in queue.asked] == ["Key old", "Key new"]
    with pytest.raises(ProviderLockedError):
        submit(Queue(detail(401), detail(401)), key=keys.__getitem__)


@pytest.mark.parametrize("base", ["https://gateway.example", "https://gateway.example/fal"])
def test_a_gateway_gets_its_own_key_and_fal_never_does(base: str) -> None:
    """URLs that name fal's host are put onto the gateway, for status, result and cancel."""
    answers = [httpx.Response(202, json={"status": "IN_QUEUE"}), detail(404), detail(404)]
    queue = Queue(httpx.Response(200, json={**ANSWER, "logs": 1}), *answers)
    gateway = client(queue, base, "Bearer")
    request = gateway.submit(Endpoint.MAX, {}, "https://api.example")
    assert not gateway.status(request).is_completed
    with pytest.raises(UnreadableError):
        gateway.result(request)
    assert gateway.cancel(request) is False
    assert all(str(asked.url).startswith(f"{base}/fal-ai/flux-pro/") for asked in queue.asked)
    assert {asked.headers["Authorization"] for asked in queue.asked} == {"Bearer id:secret"}


def test_a_gateway_s_own_urls_stay_as_they_are() -> None:
    """What already lies under the gateway's address is not put under it again."""
    url = "https://gateway.example/fal/requests/r1/status?x=1"
    queue = Queue(httpx.Response(200, json={"status": "COMPLETED"}))
    request = REQUEST.model_copy(update={"status_url": url})
    assert client(queue, "https://gateway.example/fal").status(request).is_completed
    assert str(queue.asked[0].url) == url


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ReadTimeout("slow"), UnreadableError),
        (page(502), UnreadableError),
        (httpx.Response(200, text="x"), UnreadableError),
        (detail(401), UnreadableError),
        (httpx.Response(404, json={"status": "NOT_FOUND"}), UnreadableError),
    ],
)
def test_a_status_that_cannot_be_had(answer: httpx.Response | Exception, error: type[FalError]) -> None:
    """Nothing is known when fal cannot be asked, or does not know the request (any more)."""
    with pytest.raises(error):
        client(Queue(answer)).status(REQUEST)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectError("down"), UnreadableError),
        (page(503), UnreadableError),
        (detail(401), UnreadableError),
        (detail(429), UnreadableError),
        (httpx.Response(200, json={"images": []}), UnreadableError),
        (httpx.Response(404, json={"status": "NOT_FOUND"}), UnreadableError),
        (detail(503, "Service temporarily unavailable"), UnreadableError),
        (detail(500, "Internal Server Error"), UnreadableError),
        (detail(400, "Request is still in progress"), UnreadableError),
        (httpx.DecodingError("broken gzip"), UnreadableError),
        (detail(422, "refused"), ModelFailedError),
        (detail(500, "x", **{"X-Fal-Error-Type": "runner_server_error"}), UnreadableError),
        (
            detail(422, [{"loc": ["body", "prompt"], "msg": "bad", "type": "content_policy_violation"}]),
            ModelFailedError,
        ),
        (httpx.Response(504, json={"detail": "late", "error_type": "request_timeout"}), UnreadableError),
    ],
)
def test_a_result_that_cannot_be_had(answer: httpx.Response | Exception, error: type[FalError]) -> None:
    """Only what the model or the runner says of itself is final; an ingress speaks in much the same words."""
    with pytest.raises(error):
        client(Queue(answer)).result(REQUEST)


@pytest.mark.parametrize("kind", ["internal_error", "downstream_service_error"])
def test_an_error_that_the_queue_has_told_of(kind: str) -> None:
    """A 500 is the request's own when the queue says that the request failed, and the host's trouble when not."""
    answer = httpx.Response(500, json={"detail": "x", "error_type": kind})
    with pytest.raises(ModelFailedError, match="x"):
        client(Queue(answer)).result(REQUEST, failed=True)
    with pytest.raises(UnreadableError):
        client(Queue(answer)).result(REQUEST)


def test_what_the_queue_says_of_a_failed_request() -> None:
    """Completed is not succeeded: an error with a type is the runner's word, one without is the model's."""
    runner = {"status": "COMPLETED", "error": "Runner disconnected", "error_type": "runner_disconnected"}
    model = {"status": "COMPLETED", "error": "Invalid status code: 422"}
    queue = Queue(*(httpx.Response(200, json=body) for body in (runner, model)))
    first, second = (client(queue).status(REQUEST) for _ in range(2))
    assert first.error == JobError(type="runner_disconnected", message="Runner disconnected")
    assert second.error == JobError(type="fal_error", message="Invalid status code: 422")
    assert [(said.is_completed, said.has_reason) for said in (first, second)] == [(True, True), (True, False)]


@pytest.mark.parametrize(
    "url",
    [
        *("https://[x/status", "@evil.example/status", "//evil.example/status", "evil.example/status", "/status"),
        *("https:///status", "https:@evil.example/x", "ftp://queue.fal.run/x", "javascript:1", "https://:443/x", "\\"),
    ],
)
def test_the_key_goes_to_the_queue_s_host_whatever_came_as_a_url(url: str) -> None:
    """What is no whole URL is not used: the request is asked after where fal's docs say that it is."""
    queue = Queue(*(httpx.Response(200, json={"status": "COMPLETED", "images": [{"url": "u"}]}) for _ in range(3)))
    request = Request(request_id="r1", status_url=url, response_url=url, cancel_url=url)
    fal = client(queue)
    assert fal.status(request).is_completed
    fal.result(request)
    fal.cancel(request)
    where = [str(asked.url).removeprefix(f"{QUEUE}/fal-ai/flux-pro/requests/r1") for asked in queue.asked]
    assert where == ["/status", "", "/cancel"]


@pytest.mark.parametrize("host", ["queue.fal.run@evil.example", "evil.example", "queue.fal.run.evil.example", "user@x"])
@pytest.mark.parametrize("base", [QUEUE, "https://gateway.example/fal"])
def test_another_host_s_url_is_asked_for_at_the_queue(host: str, base: str) -> None:
    """Of a whole URL only path and query are taken: the key leaves for no other host."""
    queue = Queue(httpx.Response(200, json={"status": "COMPLETED"}))
    request = Request(request_id="r1", status_url=f"https://{host}/a/../b//c?d=@evil.example")
    client(queue, base).status(request)
    assert (queue.asked[0].url.scheme, queue.asked[0].url.host) == ("https", httpx.URL(base).host)


def test_urls_that_are_too_long_to_keep_are_left_out() -> None:
    """The job's row must hold what fal answers; the id finds the request as well. An id too long is no answer."""
    long = f"{QUEUE}/{'x' * 3000}"
    request = submit(Queue(httpx.Response(200, json={**ANSWER, "status_url": long})))
    assert (request.request_id, request.status_url, request.response_url) == ("r1", None, ANSWER["response_url"])
    with pytest.raises(ReplyLostError):
        submit(Queue(httpx.Response(200, json={**ANSWER, "request_id": "r" * 201})))


def test_a_result_is_read() -> None:
    """Images and a seed of any size."""
    body = {"images": [{"url": "https://v3.fal.media/a.jpg"}], "seed": 17454220438242315174}
    result = client(Queue(httpx.Response(200, json=body))).result(REQUEST)
    assert (result.images[0].url, result.seed) == ("https://v3.fal.media/a.jpg", 17454220438242315174)


@pytest.mark.parametrize(("status", "dropped"), [(202, True), (200, True), (400, False), (404, False)])
def test_cancel_says_whether_it_was_in_time(status: int, dropped: bool) -> None:
    """Any 2xx is a promise to try, 400 and 404 mean too late."""
    queue = Queue(httpx.Response(status, json={"status": "x"}))
    assert client(queue).cancel(REQUEST) is dropped
    assert queue.asked[0].method == "PUT"


def test_a_cancel_that_cannot_be_asked() -> None:
    """Anything else is not known."""
    with pytest.raises(UnreadableError):
        client(Queue(page(502))).cancel(REQUEST)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            {
                "detail": [
                    {"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation", "input": "SECRET"}
                ]
            },
            "content_policy_violation",
            "body.prompt: no",
        ),
        ({"detail": "Request timed out", "error_type": "request_timeout"}, "request_timeout", "Request timed out"),
        ({"detail": "x"}, "from_header", "x"),
        ({}, "from_header", "no reason given"),
        (None, "from_header", "no reason given"),
        ({"detail": []}, "from_header", "no reason given"),
        ({"detail": {"input": "SECRET"}}, "from_header", "no reason given"),
        ({"detail": [{"loc": 7, "msg": "\ud800"}]}, "model_error", ": ?"),
    ],
)
def test_both_shapes_of_errors_are_read(body: Any, kind: str, message: str) -> None:
    """A list of details or a text, and never the input that they echo."""
    error = read_error(body, httpx.Headers({"X-Fal-Error-Type": "from_header"}))
    assert (error.type, error.message) == (kind, message)
    assert read_error({"detail": "x"}).type == "fal_error"
