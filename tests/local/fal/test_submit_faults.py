"""What can go wrong with a submit, and whether fal has the request afterwards."""

import itertools
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest

from local.fal import ConnectionCutError, EmulatorTransport, Script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.fal.conftest import Fal, Live

PAINT = "fal-ai/flux-pro/kontext/text-to-image"
BODY = {"prompt": "a tiger"}
HOOK = {"fal_webhook": "https://hooks.example/fal"}


def accepted(fal: "Fal") -> int:
    """How many requests fal has, and bills."""
    return len(fal.http.get("/emulator/requests").json()["requests"])


@contextmanager
def real_client() -> "Iterator[fal_client.SyncClient]":
    """Give fal's own client, and close its connections."""
    client = fal_client.SyncClient(key="id:secret")
    yield client
    client._client.close()  # noqa: SLF001 - it has no close of its own


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 429, 500, 503])
def test_a_submit_is_refused_once_and_then_accepted(fal: "Fal", status: int) -> None:
    """A script is for one call: the refused one leaves nothing behind, and the next is a usual one."""
    fal.script({"submit": {"answer": status}})
    answer = fal.post()
    assert (answer.status_code, "x-fal-request-id" in answer.headers, accepted(fal)) == (status, False, 0)
    assert fal.post().status_code == 200
    assert accepted(fal) == 1


def test_fals_own_503_has_a_json_body_and_a_500_need_not(fal: "Fal") -> None:
    """The one says by its type that nothing was accepted; of the other nobody knows."""
    fal.script({"submit": {"answer": 503, "retry_after": 7}}, {"submit": {"answer": 500}})
    unavailable, error = fal.post(), fal.post()
    assert unavailable.json()["error_type"] == unavailable.headers["X-Fal-Error-Type"] == "runner_scheduling_failure"
    assert unavailable.headers["Retry-After"] == "7"
    assert (error.headers["Content-Type"].split(";")[0], error.text) == ("text/plain", "Internal Server Error")


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("status", [502, 503, 504])
def test_nginx_answers_a_page_and_fal_has_the_request_or_not(fal: "Fal", status: int, taken: bool) -> None:
    """The page is the same in both cases, so that a caller cannot know."""
    fal.script({"submit": {"answer": f"nginx_{status}", "accepted": taken}})
    answer = fal.post()
    assert answer.status_code == status
    assert "nginx" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "x-fal-request-id" not in answer.headers
    assert accepted(fal) == taken


@pytest.mark.parametrize("taken", [False, True])
def test_a_500_may_come_after_the_request_was_accepted(fal: "Fal", taken: bool) -> None:
    """Both can be played."""
    fal.script({"submit": {"answer": 500, "accepted": taken}})
    assert fal.post().status_code == 500
    assert accepted(fal) == taken


def test_a_lost_reply_leaves_a_request_that_runs_and_tells(live: "Live") -> None:
    """The socket is closed once the body was read; the request completes and is billed all the same."""
    live.script({"submit": {"answer": "closed", "accepted": True}})
    with pytest.raises(httpx.RemoteProtocolError):
        live.http.post(f"/{PAINT}", json=BODY)
    (request,) = live.requests()
    assert request["arguments"] == BODY
    live.emulator.advance(1)
    assert live.requests()[0]["billed_units"] == 1


def test_a_socket_closed_before_the_body_leaves_nothing(live: "Live") -> None:
    """It is closed upon the headers alone, while the caller still holds the body back."""
    live.script({"submit": {"answer": "closed"}})
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /{PAINT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key id:secret\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1) == b""
    assert live.requests() == []


def test_a_caller_that_hangs_up_within_its_body_has_submitted_nothing(live: "Live") -> None:
    """Half a body is no request, and the emulator goes on answering."""
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /{PAINT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key id:secret\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head.encode() + b'{"pro')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert live.requests() == []


def test_an_unreadable_200_leaves_a_request(fal: "Fal") -> None:
    """Its body is cut off before the id, and no header tells it."""
    fal.script({"submit": {"answer": "malformed"}})
    answer = fal.post()
    assert answer.status_code == 200
    assert "x-fal-request-id" not in answer.headers
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    assert accepted(fal) == 1


def test_a_slow_answer_comes_after_all_that_happens_meanwhile(fal: "Fal") -> None:
    """The request was accepted at once; on a clock that stands still, the wait is what moves it."""
    fal.script({"submit": {"seconds": 20}})
    before = fal.emulator.clock.now()
    job = fal.submit(params=HOOK)
    assert fal.emulator.clock.now() == before + 20
    assert (job["status"], fal.status(job)["status"], len(fal.sent)) == ("IN_QUEUE", "COMPLETED", 1)
    assert fal.seen(job)["submitted_at"] == before


def test_a_slow_answer_holds_up_nobody_else(live: "Live") -> None:
    """Over a socket the caller runs into its own timeout, while others are answered and the clock may be put on."""
    live.script({"submit": {"seconds": 3600}})
    with pytest.raises(httpx.ReadTimeout):
        live.http.post(f"/{PAINT}", json=BODY, timeout=0.3)
    live.script({"submit": {"seconds": 3600}})
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(live.http.post(f"/{PAINT}", json=BODY).status_code))
    waiting.start()
    deadline = time.monotonic() + 10
    while len(live.requests()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    live.http.post("/emulator/clock", json={"advance": 3600})
    waiting.join(10)
    assert answers == [200]


def test_in_process_a_lost_connection_is_an_exception(fal: "Fal") -> None:
    """A plain WSGI transport lets the emulator's own error through; the emulator's transport makes it httpx's."""
    fault = Script.model_validate({"submit": {"answer": "closed", "accepted": True}})
    fal.emulator.add_scripts(fault, fault)
    headers = {"Authorization": "Key id:secret"}
    plain, mapping = httpx.WSGITransport(app=fal.emulator), EmulatorTransport(fal.emulator)
    with httpx.Client(transport=plain) as http, pytest.raises(ConnectionCutError):
        http.post(f"http://fal.test/{PAINT}", json=BODY, headers=headers)
    with httpx.Client(transport=mapping) as http, pytest.raises(httpx.RemoteProtocolError):
        http.post(f"http://fal.test/{PAINT}", json=BODY, headers=headers)
    assert accepted(fal) == 2


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([{"answer": 409}], 1),
        ([{"answer": 429}], 1),
        ([{"answer": "nginx_503"}], 1),
        ([{"answer": "nginx_502", "accepted": True}], 2),
        ([{"answer": "closed"}], 1),
        ([{"answer": "closed", "accepted": True}], 2),
        ([{"answer": "closed", "accepted": True}, {"answer": "nginx_504", "accepted": True}], 3),
    ],
)
def test_fals_own_client_posts_again(
    live: "Live", monkeypatch: pytest.MonkeyPatch, faults: list[dict[str, object]], requests: int
) -> None:
    """One submit of fal_client becomes as many billed requests as replies were lost on the way, and one more."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"{live.url}/")
    live.script(*({"submit": fault} for fault in faults))
    with real_client() as client:
        request_id = client.submit(PAINT, dict(BODY)).request_id
    found = live.requests()
    assert found[-1]["request_id"] == request_id
    assert len(found) == requests


@pytest.mark.parametrize("answer", [500, 503, "malformed"])
def test_fals_own_client_gives_up_at_once(live: "Live", monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """What is neither a lost connection nor nginx's is raised, and nothing is posted again."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"{live.url}/")
    live.script({"submit": {"answer": answer}}, {"seed": 1})
    with real_client() as client, pytest.raises((fal_client.FalClientHTTPError, ValueError)):
        client.submit(PAINT, dict(BODY))
    assert live.http.get("/emulator/scripts").json() == {"scripts": [{"seed": 1}]}


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ({"answer": 418}, "answer"),
        ({"answer": 409, "accepted": True}, "accepted"),
        ({"accepted": False}, "accepted"),
        ({"seconds": -1}, "seconds"),
        ({"delay": 1}, "delay"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fal: "Fal", fault: dict[str, Any], names: str) -> None:
    """The 422 names the field."""
    answer = fal.http.post("/emulator/scripts", json={"submit": fault})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert names in (*itertools.chain(detail["loc"]), *detail["msg"].replace(",", " ").split())
    assert detail["loc"][:2] == [0, "submit"]
