"""How often and how long fal tries to deliver."""

import itertools
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.fal.deliveries import post_webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.fal.conftest import Fal, Sent

HOOK = "https://hooks.example/fal"
DAY = 86400


def deliver(fal: "Fal", receive: "Callable[[Sent], int]", hook: str = HOOK, **script: object) -> dict[str, Any]:
    """Complete a request with that receiver, let a day pass, and give what became of the delivery."""
    fal.receive = receive
    fal.script(script)
    job = fal.submit(params={"fal_webhook": hook})
    fal.emulator.advance(DAY)
    found: dict[str, Any]
    (found,) = fal.seen(job)["deliveries"]
    return found


def refuse(error: Exception) -> "Callable[[Sent], int]":
    """Give a receiver that fails so."""

    def receive(_sent: "Sent") -> int:
        raise error

    return receive


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_ends_it(fal: "Fal", status: int) -> None:
    """One attempt, and it counts as delivered."""
    assert deliver(fal, lambda _: status)["state"] == "delivered"
    assert len(fal.sent) == 1


def test_the_first_attempt_may_take_15_seconds_and_the_others_120(fal: "Fal") -> None:
    """The timeouts are the deliverer's to keep."""
    deliver(fal, lambda _: 200 if len(fal.sent) == 3 else 503)
    assert [sent.timeout for sent in fal.sent] == [15, 120, 120]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_an_error_status_is_tried_again(fal: "Fal", status: int) -> None:
    """4xx as much as 5xx."""
    found = deliver(fal, lambda _: 200 if len(fal.sent) == 2 else status)
    assert [one["status"] for one in found["attempts"]] == [status, 200]
    assert found["state"] == "delivered"
    assert fal.sent[0].body == fal.sent[1].body


@pytest.mark.parametrize(
    "error", [TimeoutError(), httpx.ReadTimeout(""), httpx.ConnectError(""), ConnectionResetError()]
)
def test_a_timeout_or_network_error_is_tried_again(fal: "Fal", error: Exception) -> None:
    """No answer is as good as a bad one."""
    found = deliver(fal, lambda sent: 200 if len(fal.sent) == 2 else refuse(error)(sent))
    assert [one["error"] for one in found["attempts"]] == [type(error).__name__, None]
    assert found["state"] == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_the_end(fal: "Fal", status: int) -> None:
    """A 3xx is not followed and not tried again."""
    assert deliver(fal, lambda _: status)["state"] == "dead"
    assert len(fal.sent) == 1


@pytest.mark.parametrize(
    "hook",
    [
        "http://127.0.0.1:9/x",
        "http://[::1]/x",
        "http://10.1.2.3/x",
        "http://169.254.169.254/latest",
        "http://localhost/x",
        "https://svc.internal/x",
        "http://printer/x",
        "no url",
        "http://[broken",
    ],
)
def test_a_private_target_is_dropped(fal: "Fal", hook: str) -> None:
    """Nothing is sent to where fal cannot reach; the result is there all the same."""
    assert deliver(fal, lambda _: 200, hook)["state"] == "dropped"
    assert fal.sent == []
    fal.set(allow_private_webhooks=True)
    assert deliver(fal, lambda _: 200, hook)["state"] == "delivered"


def test_the_backoff_grows_through_at_most_31_retries(fal: "Fal") -> None:
    """All of them fit into the hour that a usual result lives."""
    assert deliver(fal, lambda _: 500)["state"] == "exhausted"
    assert len(fal.sent) == 32
    delays = [after.at - before.at for before, after in itertools.pairwise(fal.sent)]
    assert delays == sorted(delays)
    assert delays[-1] > 10 * delays[0]
    assert fal.sent[-1].at - fal.sent[0].at < 3600


def test_delivery_stops_when_a_large_result_would_expire(fal: "Fal") -> None:
    """Six minutes for 10 KB and more, though payload storage keeps the result itself."""
    found = deliver(fal, lambda _: 500, result={"status": 200, "body": "x" * 20_000})
    assert found["state"] == "expired"
    assert len(fal.sent) < 32
    assert 240 < fal.sent[-1].at - fal.sent[0].at < 360


def test_slow_failures_run_into_the_hour(fal: "Fal") -> None:
    """Where each attempt takes its whole timeout, the end comes before the retries are used up."""

    def time_out(sent: "Sent") -> int:
        fal.emulator.clock.move(sent.timeout)
        raise TimeoutError

    assert deliver(fal, time_out)["state"] == "expired"
    assert 3000 < fal.sent[-1].at - fal.sent[0].at < 3600


def test_the_older_schedule_is_ten_retries_in_two_hours(fal: "Fal") -> None:
    """The older docs' schedule does not end with the result."""
    fal.set(delivery_schedule="two_hours")
    assert deliver(fal, lambda _: 500, result={"status": 200, "body": "x" * 20_000})["state"] == "exhausted"
    assert len(fal.sent) == 11
    assert 6000 < fal.sent[-1].at - fal.sent[0].at <= 7200


def test_the_clock_is_put_forward_by_a_call(fal: "Fal") -> None:
    """An hour of retries takes no time, and each happens at its own moment."""
    fal.receive = lambda _: 500
    fal.submit(params={"fal_webhook": HOOK})
    before = fal.emulator.clock.now()
    answer = fal.http.post("/emulator/clock", json={"advance": 3600})
    assert answer.json() == {"now": before + 3600}
    assert len({sent.at for sent in fal.sent}) == 32


def test_a_retry_carries_the_first_signature_or_a_fresh_one(fal: "Fal") -> None:
    """fal does not say which, so it is a setting."""
    for mode, stamps in (("original", 1), ("fresh", 4)):
        fal.sent.clear()
        fal.set(retry_signature=mode)
        deliver(fal, lambda _: 200 if len(fal.sent) == 4 else 500)
        assert len({sent.headers["X-Fal-Webhook-Timestamp"] for sent in fal.sent}) == stamps
        assert len({sent.headers["X-Fal-Webhook-Signature"] for sent in fal.sent}) == stamps


class Receiver(BaseHTTPRequestHandler):
    """Redirects every POST to where it would be a 200."""

    def do_POST(self) -> None:
        """Answer by the path."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/there" else 302)
        self.send_header("Location", "/there")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_real_deliverer_follows_no_redirect() -> None:
    """Over a socket, the 302 itself is the answer."""
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert post_webhook(f"{base}/here", {"X-A": "b"}, b"{}", 5) == 302
        assert post_webhook(f"{base}/there", {"X-A": "b"}, b"{}", 5) == 200
        server.shutdown()
        thread.join()
