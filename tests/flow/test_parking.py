"""While fal refuses the account, jobs wait; they are not failed, and fal is hardly asked."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ReadTimeoutError

from shared import waiting
from shared.app import App
from shared.breaker import FAILURES_TO_OPEN, KNOWN_SECONDS, PROBES_TO_CLOSE
from shared.errors import NotAcceptedError
from shared.fal import FalClient
from tests.flow.gates import LOCK, Gate

if TYPE_CHECKING:
    from collections.abc import Callable


class Lock(Gate):
    """Answers like a locked account, or with another `status`, the POSTs that `refuses` says; None lets all through."""

    def __init__(self, system: Any) -> None:
        super().__init__(system, self._lock)
        self.status: int | None = None
        self.refuses: Callable[[httpx.Request], bool] = lambda _: True

    def _lock(self, request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(self.status, json=LOCK) if self.status and self.refuses(request) else None


@pytest.fixture
def gate(system: Any) -> Lock:
    """The gate of the system's fal; open until told otherwise."""
    return Lock(system)


def another_container(system: Any, gate: Lock) -> App:
    """A second application, which shares nothing with the first but what AWS keeps."""
    clock = system.fal.clock
    return App(
        system.app.settings,
        client=system.app.client,
        http=httpx.Client(transport=gate),
        now=lambda: datetime.fromtimestamp(clock.now(), UTC),
        sleep=clock.sleep,
    )


def statuses(system: Any) -> dict[str, int]:
    """How many jobs stand where."""
    found = [row["status"]["S"] for row in system.rows() if "status" in row]
    return {status: found.count(status) for status in set(found)}


@pytest.mark.parametrize("status", [401, 402, 403])
def test_each_refusal_of_the_account_parks(system: Any, gate: Lock, status: int) -> None:
    """A refused job waits with its reason shown, the next ones are not sent at all, and the API says 202 to each."""
    gate.status = status
    answers = [system.post({"prompt": "p"}) for _ in range(3)]
    assert [(code, job["status"], job["reason"]) for code, job in answers] == [(202, "accepted", "provider_locked")] * 3
    # A 401 is tried once more with the key read again.
    assert gate.answers == [401, 401] if status == 401 else [status]


def test_a_lock_ends_after_several_accepted_probes(system: Any, gate: Lock) -> None:
    """One request a minute is sent; only after three in a row do all others follow."""
    gate.status = 403
    for _ in range(10):
        system.post({"prompt": "p"})
    system.pass_time(120)
    gate.status = None
    gate.answers.clear()
    for probes in range(1, PROBES_TO_CLOSE):
        system.pass_time(60)
        assert gate.answers == [200] * probes
    system.pass_time(180)
    assert gate.answers == [200] * 10
    assert statuses(system) == {"succeeded": 10}


def test_one_accepted_request_does_not_end_a_lock(system: Any, gate: Lock) -> None:
    """After an unlock one request may pass before the next is refused: the count starts over."""
    gate.status = 403
    for _ in range(8):
        system.post({"prompt": "p"})
    for passes in (True, True, False, True, True):
        gate.status = None if passes else 403
        system.pass_time(60)
    assert statuses(system)["accepted"] == 4
    system.pass_time(180)
    assert statuses(system) == {"succeeded": 8}
    assert len(system.requests()) == 8


def test_a_lock_that_ends_with_nothing_left_to_probe(system: Any, gate: Lock) -> None:
    """A single parked job that is accepted ends the lock: the next job need not wait."""
    gate.status = 403
    system.post({"prompt": "p"})
    gate.status = None
    system.pass_time(180)
    assert statuses(system) == {"succeeded": 1}
    assert system.post({"prompt": "p"})[1]["status"] == "queued"


def test_all_containers_know_of_a_lock(system: Any, gate: Lock) -> None:
    """A container that starts during a lock sends nothing; one that was warm learns of it within a minute."""
    warm = another_container(system, gate)
    assert warm.breaker.why_waiting("shop") is None
    gate.status = 403
    system.post({"prompt": "p"})
    assert another_container(system, gate).breaker.why_waiting("shop") is not None
    assert warm.breaker.why_waiting("shop") is None
    system.fal.advance(KNOWN_SECONDS)
    assert warm.breaker.why_waiting("shop") is not None


def test_two_sweeps_at_once_probe_once(system: Any, gate: Lock) -> None:
    """The clock's event may come twice: one of the two sends the probe."""
    gate.status = 403
    for _ in range(5):
        system.post({"prompt": "p"})
    system.fal.advance(60)
    gate.answers.clear()
    system.sweep()
    system.sweep()
    assert gate.answers == [403]


@pytest.mark.long
def test_a_job_that_alone_is_refused_does_not_hold_up_the_others(
    system: Any, gate: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fal answers some blocked contents like a locked account: such a job fails in the end, and all others pass."""
    monkeypatch.setattr("shared.sending.MOST_STRIKES", 3)
    gate.status, gate.refuses = 403, lambda request: b"forbidden" in request.content
    _, bad = system.post({"prompt": "forbidden"})
    for _ in range(12):
        system.post({"prompt": "p"})
    system.pass_time(1800)
    assert statuses(system)["succeeded"] == 12
    for _ in range(4):
        system.post({"prompt": "p"})
        system.pass_time(300)
    assert statuses(system) == {"failed": 1, "succeeded": 16}
    assert system.job(bad["job_id"])["error"]["type"] == "refused_by_fal"
    assert len(system.requests()) == 16


def test_a_long_run_of_errors_parks_too(system: Any, gate: Lock) -> None:
    """When every submission ends in doubt, the next ones are kept from the same fate."""
    gate.status = 500
    for _ in range(FAILURES_TO_OPEN + 5):
        system.post({"prompt": "p"})
    assert statuses(system) == {"unconfirmed": FAILURES_TO_OPEN, "accepted": 5}
    gate.status = None
    system.pass_time(600)
    assert statuses(system) == {"unconfirmed": FAILURES_TO_OPEN, "succeeded": 5}


def test_an_error_now_and_then_parks_nothing(system: Any, gate: Lock) -> None:
    """Failures that do not come in a row are no outage."""
    for number in range(4 * FAILURES_TO_OPEN):
        gate.status = 500 if number % 2 else None
        system.post({"prompt": "p"})
    assert statuses(system).keys() == {"unconfirmed", "queued"}


@pytest.mark.long
def test_a_lock_over_a_weekend_costs_no_job(system: Any, gate: Lock) -> None:
    """Almost three days later the parked job is still there, and is edited."""
    gate.status = 403
    system.post({"prompt": "p"})
    system.pass_time(waiting.ACCEPTANCE - 3600, 3600)
    gate.status = None
    system.pass_time(300)
    assert statuses(system) == {"succeeded": 1}


@pytest.mark.long
def test_a_lock_without_end_fails_the_job_with_its_reason(system: Any, gate: Lock) -> None:
    """After three days nobody waits for it any more: nothing was paid, and the owner reads why."""
    gate.status = 403
    _, job = system.post({"prompt": "p"})
    _, second = system.post({"prompt": "p"})
    system.pass_time(waiting.ACCEPTANCE + 3600, 3600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "provider_locked")
    assert system.job(second["job_id"])["status"] == "failed"
    assert system.requests() == []


def test_the_same_call_again_during_a_lock(system: Any, gate: Lock) -> None:
    """A repeated call finds the parked job and sends nothing."""
    gate.status = 403
    _, first = system.post({"prompt": "p"}, idempotency_key="k")
    _, again = system.post({"prompt": "p"}, idempotency_key="k")
    assert first == again
    assert gate.answers == [403]


def test_a_table_that_does_not_tell_may_hold_a_pause(system: Any, gate: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the breaker's row cannot be read nothing is sent, as it may be paused; what waits goes out afterwards."""

    def fail(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with monkeypatch.context() as patch:
        patch.setattr(system.app.client("dynamodb"), "get_item", fail)
        _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"], gate.answers) == ("accepted", "aws_unavailable", [])
    assert "paused" in job["why"]
    system.pass_time(120)
    assert gate.answers == [200]


@pytest.mark.long
def test_a_handful_of_refused_contents_does_not_lock_everybody(system: Any, gate: Lock) -> None:
    """However many such jobs stand in front, the others get their turn as probes."""
    gate.status, gate.refuses = 403, lambda request: b"forbidden" in request.content
    for _ in range(6):
        system.post({"prompt": "forbidden"})
    system.fal.advance(1)
    for _ in range(4):
        system.post({"prompt": "p"})
    system.pass_time(3600)
    assert statuses(system)["succeeded"] == 4


@pytest.mark.long
def test_an_account_that_flaps_fails_no_healthy_job(system: Any, gate: Lock) -> None:
    """Where one request passes after each unlock, jobs take longer, and none is blamed."""
    gate.status = 403
    for _ in range(30):
        system.post({"prompt": "p"})
    for minute in range(40):
        gate.status = None if minute % 2 else 403
        system.pass_time(60)
    gate.status = None
    system.pass_time(1800)
    assert statuses(system) == {"succeeded": 30}


@pytest.mark.long
def test_an_outage_is_not_probed_at_the_cost_of_many_jobs(system: Any, gate: Lock) -> None:
    """A probe that ends in doubt may lose its job: the next comes later and later."""
    gate.status = 500
    for _ in range(FAILURES_TO_OPEN + 10):
        system.post({"prompt": "p"})
    system.pass_time(3600)
    assert FAILURES_TO_OPEN < statuses(system)["unconfirmed"] <= FAILURES_TO_OPEN + 7
    gate.status = None
    system.pass_time(1800)
    assert statuses(system)["succeeded"] >= 3


def test_an_outage_that_parked_nothing_is_over_by_itself(system: Any, gate: Lock) -> None:
    """With nothing to probe with, the breaker closes: the next job finds out as well as a probe would."""
    gate.status = 500
    for _ in range(FAILURES_TO_OPEN):
        system.post({"prompt": "p"})
    gate.status = None
    system.pass_time(180)
    assert system.post({"prompt": "p"})[1]["status"] == "queued"


def test_one_failure_after_an_outage_is_one_failure(system: Any, gate: Lock) -> None:
    """A container that saw the run of failures which opened the breaker starts its count over."""
    gate.status = 500
    for _ in range(FAILURES_TO_OPEN):
        system.post({"prompt": "p"})
    gate.status = None
    system.pass_time(180)
    gate.status = 500
    system.post({"prompt": "p"})
    assert another_container(system, gate).breaker.why_waiting("shop") is None


def test_failed_tries_of_one_submission_count_once(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few jobs in a minute without DNS are no outage of fal."""

    def refuse(*_: object) -> None:
        raise NotAcceptedError("dns")

    monkeypatch.setattr(FalClient, "submit", refuse)
    for _ in range(FAILURES_TO_OPEN - 1):
        system.post({"prompt": "p"})
    assert system.app.breaker.why_waiting("shop") is None
    system.post({"prompt": "p"})
    assert system.app.breaker.why_waiting("shop") is not None


def test_a_parked_job_is_not_due(system: Any, gate: Lock) -> None:
    """One whose next look was moved by a trouble is parked again, and costs nothing after that."""
    gate.status = 403
    _, job = system.post({"prompt": "p"})
    system.post({"prompt": "p"})
    system.app.jobs.put_off(job["job_id"], 0)
    advanced = []
    for _ in range(4):
        system.fal.advance(5)
        advanced.append(system.sweep())
    assert advanced == [1, 0, 0, 0]


def test_probes_come_before_slow_looks(system: Any, gate: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the looks at other jobs take, the minute's probe is sent."""
    system.fal.change_settings({"queue_seconds": 3000, "concurrency": 100})
    for _ in range(3):
        system.post({"prompt": "q"})
    gate.status = 403
    system.post({"prompt": "p"})
    system.post({"prompt": "p"})
    gate.status = None
    left: dict[str, int] = {}
    really = FalClient.status

    def slow(self: FalClient, *arguments: Any) -> Any:
        left["now"] -= 20_000
        return really(self, *arguments)

    monkeypatch.setattr(FalClient, "status", slow)
    monkeypatch.setattr(type(system.context), "get_remaining_time_in_millis", lambda _: left["now"])
    system.app.threads = 1
    for _ in range(3):
        system.fal.clock.move(125)
        left["now"] = 80_000
        system.sweep()
    assert "accepted" not in statuses(system)


def test_a_refusal_in_another_thread_is_not_overlooked(system: Any) -> None:
    """Two threads of one container write at once: whoever read the older state gives way."""
    breaker = system.app.breaker
    breaker.note_refused("shop", "refused")
    breaker.note_accepted("shop")
    breaker.note_accepted("shop")
    really = breaker._nonce  # noqa: SLF001 - the moment between the reading and the writing

    def interrupted() -> str:
        breaker._nonce = really  # noqa: SLF001 - once
        breaker.note_refused("shop", "refused meanwhile")
        return str(really())

    breaker._nonce = interrupted  # noqa: SLF001 - the same
    breaker.note_accepted("shop")
    assert breaker.read().locks


def test_a_function_without_time_is_no_outage(system: Any) -> None:
    """Jobs that are left to a later turn say nothing about fal."""
    system.context.milliseconds = 20_000
    for _ in range(FAILURES_TO_OPEN):
        system.post({"prompt": "p"})
    assert statuses(system) == {"accepted": FAILURES_TO_OPEN}
    assert system.app.breaker.why_waiting("shop") is None
