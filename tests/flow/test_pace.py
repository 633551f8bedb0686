"""What fal is sent, and when: not before the time that it names, and again what it never started."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from local.fal import Script
from shared import waiting
from shared.retry_after import MOST_SECONDS, read_retry_after
from tests.flow.gates import Gate

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


def refuse(status: int = 429, retry_after: str | None = None, **headers: str) -> httpx.Response:
    """fal's own words for too many requests."""
    named = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(status, json={"detail": "Too many requests"}, headers={**named, **headers})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "600"}, 600),
        ({"Retry-After": " 10 "}, 10),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "600, 60"}, 600),
        ({"Retry-After": "600s"}, 600),
        ({"Retry-After": "+600 seconds"}, 600),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "9" * 400}, MOST_SECONDS),
        ({"Retry-After": format_datetime(LATER, usegmt=True)}, 600),
        ({"Retry-After": "Thursday, 26-Nov-26 12:10:00 GMT"}, 600),
        ({"Retry-After": "Thu Nov 26 12:10:00 2026"}, 600),
        ({"Retry-After": "Thu, 26 Nov 2026 12:10:00 +0000"}, 600),
        ({"Retry-After": "Thu, 26 Nov 2026 13:10:00 +0100"}, 600),
        # fal's clock is an hour ahead of ours.
        ({"Retry-After": "Thu, 26 Nov 2026 13:10:00 GMT", "Date": "Thu, 26 Nov 2026 13:00:00 GMT"}, 600),
        ({"Retry-After": "Thu, 26 Nov 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Fri, 26 Nov 2100 12:00:00 GMT"}, MOST_SECONDS),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "\u0661\u0662"}, None),
        ({"Retry-After": "Thu, 99 Nov 2026 12:10:00 GMT"}, None),
    ],
)
def test_each_form_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, and a date in each of HTTP's three forms; what says nothing is none, and every wait is bounded."""
    assert read_retry_after(headers, NOW) == seconds


@pytest.mark.long
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_fal_is_not_tried_before_the_time_that_it_names(system: Any, status: int, form: str) -> None:
    """One POST, and the next after ten minutes: not by the sweep, not by a repeated call, not for another job."""

    def answer(_: httpx.Request) -> httpx.Response | None:
        until = datetime.fromtimestamp(began + 600, UTC)
        named = "600" if form == "seconds" else format_datetime(until, usegmt=True)
        return refuse(status, named) if system.fal.clock.now() < began + 600 else None

    began = system.fal.clock.now() // 1
    gate = Gate(system, answer)
    status_code, job = system.post({"prompt": "p"}, idempotency_key="k")
    assert (status_code, job["status"], job["reason"]) == (202, "accepted", "throttled")
    assert "Too many requests" in job["why"]
    for _ in range(9):
        system.post({"prompt": "p"}, idempotency_key="k")
        system.post({"prompt": "another"})
        system.pass_time(60)
    assert len(gate.times) == 1
    system.pass_time(900)
    assert {job["status"] for job in system.jobs()} == {"succeeded"}
    assert min(gate.times[1:]) >= began + 600
    assert len(gate.accepted) == 10


def test_a_short_wait_is_waited_out_by_the_function(system: Any) -> None:
    """Where fal asks for a moment, the caller need not wait for the sweep."""
    answers = iter([refuse(retry_after="2")])
    gate = Gate(system, lambda _: next(answers, None))
    _, job = system.post({"prompt": "p"})
    assert job["status"] == "queued"
    assert gate.times[1] - gate.times[0] >= 2


def test_reads_keep_to_the_time_that_fal_names(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status that is answered 429 is not asked for again before that."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    asked: list[float] = []
    really = system.app.fal._http.request  # noqa: SLF001 - the wire

    def request(method: str, *arguments: Any, **more: Any) -> httpx.Response:
        asked.append(system.fal.clock.now())
        return refuse(retry_after="3000") if len(asked) == 1 else really(method, *arguments, **more)

    monkeypatch.setattr(system.app.fal._http, "request", request)  # noqa: SLF001 - the same
    system.pass_time(3600)
    assert asked[1] - asked[0] >= 3000
    assert system.job(job["job_id"])["status"] == "succeeded"


def bucket(system: Any, seconds: float, *, named: bool, refused_count: bool) -> Callable[[httpx.Request], Any]:
    """A limiter that lets one POST through in so many seconds; refused ones may count against it too."""
    last = [float("-inf")]

    def answer(_: httpx.Request) -> httpx.Response | None:
        now = system.fal.clock.now()
        left = last[0] + seconds - now
        if left <= 0 or refused_count:
            last[0] = now
        return None if left <= 0 else refuse(retry_after=str(-int(-left // 1)) if named else None)

    return answer


@pytest.mark.long
@pytest.mark.parametrize("refused_count", [True, False])
def test_thirty_jobs_at_one_submission_in_ten_seconds(system: Any, *, refused_count: bool) -> None:
    """All are done within six minutes, hardly more often refused than accepted, and none is taken for locked."""
    gate = Gate(system, bucket(system, 10, named=True, refused_count=refused_count))
    began = system.fal.clock.now()
    system.hurry()
    for _ in range(30):
        assert system.post({"prompt": "p"})[1]["reason"] in {None, "throttled"}
    system.take_time()
    reasons = set()
    while system.fal.clock.now() < began + 360:
        system.pass_time(60)
        reasons |= {job["reason"] for job in system.jobs()}
    assert {job["status"] for job in system.jobs()} == {"succeeded"}
    assert gate.answers.count(429) <= 45
    assert reasons <= {None, "throttled"}
    assert len(system.requests()) == 30


def test_a_throttle_that_names_no_time(system: Any) -> None:
    """Without Retry-After the waits double, and no run of 429 is taken for an outage or a lock."""
    gate = Gate(system, bucket(system, 10, named=False, refused_count=False))
    for _ in range(20):
        system.post({"prompt": "p"})
    system.pass_time(1200)
    assert {job["status"] for job in system.jobs()} == {"succeeded"}
    assert gate.answers.count(429) < 5 * len(gate.accepted)
    assert not system.app.breaker.read().locks


def test_jobs_that_come_while_fal_asks_to_wait_cost_no_attempt(system: Any) -> None:
    """They are written down as waiting, with one call each, and have their first attempt when it is time."""
    Gate(system, lambda _: refuse(retry_after="300") if system.fal.clock.now() < began + 300 else None)
    began = system.fal.clock.now()
    system.post({"prompt": "p"})
    system.aws_calls.clear()
    _, job = system.post({"prompt": "p"})
    assert system.aws_calls == ["PutItem"]
    assert (job["status"], job["reason"]) == ("accepted", "throttled")
    system.pass_time(600)
    assert system.row(job["job_id"])["attempt"]["N"] == "1"
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.long
def test_a_sweep_has_time_for_others_while_fal_is_slow(system: Any) -> None:
    """However many jobs wait for their turn, a lost webhook is made good within three minutes."""
    system.deliver = lambda *_: 503
    _, lost = system.post({"prompt": "lost"})
    system.fal.advance(5)
    Gate(system, bucket(system, 30, named=True, refused_count=False))
    for _ in range(100):
        system.post({"prompt": "p"})
    system.pass_time(180)
    assert system.job(lost["job_id"])["status"] == "succeeded"


NOT_STARTED = (
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_connection_refused",
)


@pytest.mark.long
@pytest.mark.parametrize("kind", NOT_STARTED)
def test_what_never_started_counts_nothing(system: Any, kind: str) -> None:
    """Twenty requests that fal gave up in its queue, unpaid: the job goes on, and the twenty-first is edited."""
    system.fal.add_scripts(*[Script(infrastructure_error=kind, fail_attempts_with=kind)] * 20)
    _, job = system.post({"prompt": "p"})
    system.pass_time(20 * 1500, 300)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert [request["billed_units"] for request in system.requests()] == [0] * 20 + [1]


@pytest.mark.long
def test_what_never_starts_ends_with_its_time(system: Any) -> None:
    """After three days in which fal began nothing the job fails with fal's own word, and nothing was paid."""
    system.fal.change_settings({"concurrency": 1})
    system.fal.add_scripts(*[Script(infrastructure_error="startup_timeout")] * 2000)
    _, job = system.post({"prompt": "p"})
    system.pass_time(waiting.ACCEPTANCE + 7200, 1800)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "startup_timeout")
    assert sum(request["billed_units"] for request in system.requests()) == 0
