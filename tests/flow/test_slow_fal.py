"""fal takes requests slowly, or not for long: what a function does with the time it has."""

from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest

from functions import submit
from functions import sweep as sweep_function
from shared import waiting
from shared.throttle import FIRST_SECONDS
from tests.flow.gates import Gate, Ticking
from tests.flow.test_pace import bucket, refuse
from tests.flow.test_pause import another_container, operator, statuses


def test_a_pause_while_a_job_waits_for_its_turn(system: Any) -> None:
    """What waits in a function until fal takes it does not go out after the pause."""
    gate = Gate(system, lambda _: refuse(retry_after="90"))
    system.app.breaker.pause()
    system.post({"prompt": "p"})
    operator(system).resume()
    really = system.app.sleep

    def sleep(seconds: float) -> None:
        operator(system).pause()
        really(seconds)

    system.app.sleep = sleep
    system.context = Ticking(system, 120)
    system.sweep()
    assert len(gate.times) == 1


@pytest.mark.long
@pytest.mark.usefixtures("one_at_a_time")
@pytest.mark.parametrize("is_parked", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_cold_sweep_that_meets_a_throttle_has_time_for_looks(
    system: Any, monkeypatch: pytest.MonkeyPatch, *, is_parked: bool, named: bool
) -> None:
    """A paid picture whose webhook is lost does not wait behind sixty jobs that fal takes one at a time."""
    system.deliver = lambda *_: 503
    gate = Gate(system)
    _, lost = system.post({"prompt": "lost"})
    system.fal.advance(5)
    operator(system).pause()
    system.app.breaker.read()
    for _ in range(60):
        system.post({"prompt": "p"})
    operator(system).resume()
    for row in [] if is_parked else system.rows():
        if row.get("reason", {}).get("S") == "paused":
            due = {
                "reason": {"S": "retry"},
                "open_shard": {"S": row["open_shard"]["S"].removeprefix("parked-")},
                "check_at": {"N": str(int(system.fal.clock.now()) - 10)},
            }
            boto3.client("dynamodb").put_item(TableName="darkroom-jobs", Item=row | due)
    gate.answer = bucket(system, 30, named=named, refused_count=False)
    system.fal.advance(120)
    cold = another_container(system)
    monkeypatch.setattr(sweep_function, "app", lambda: cold)
    system.context = Ticking(system, 120)
    system.sweep()
    assert system.job(lost["job_id"])["status"] == "succeeded"


def test_refusals_side_by_side_are_one(system: Any) -> None:
    """Sixteen POSTs that were under way together, and are refused without a time, make a wait of seconds."""
    for _ in range(16):
        system.app.throttle.note_refused(None)
    assert system.app.throttle.wait <= 2 * FIRST_SECONDS


@pytest.mark.long
def test_a_pause_over_a_weekend_of_many_jobs(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that had to wait for others after `resume` are sent though their time is over meanwhile."""
    monkeypatch.setattr("shared.recovery.MOST_UNPARKED", 2)
    system.app.breaker.pause()
    for _ in range(60):
        system.post({"prompt": "p"})
    system.pass_time(waiting.ACCEPTANCE - 4800, 4800)
    system.fal.advance(3600)
    operator(system).resume()
    system.pass_time(3600)
    assert statuses(system) == {"succeeded": 60}


@pytest.mark.long
def test_containers_together_keep_near_the_bound(
    make_system: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten containers let an owner post some jobs more than the bound, and not ten times as many."""
    system = make_system({"MOST_OPEN_JOBS": "100"})
    system.app.breaker.pause()
    apps = [another_container(system) for _ in range(10)]
    taken = 0
    for number in range(350):
        monkeypatch.setattr(submit, "app", lambda app=apps[number % 10]: app)
        taken += system.post({"prompt": "p"}, owner="crowd")[0] == 202
    assert 100 <= taken <= 200


def test_open_jobs_of_uploads_are_not_counted(make_system: Callable[..., Any]) -> None:
    """Nobody's calls are refused for what was put into the bucket, as nothing could be done about it."""
    system = make_system({"MOST_OPEN_JOBS": "5"})
    system.app.breaker.pause()
    for number in range(6):
        system.upload(system.put(f"sketch/{number}.png", sequencer=str(number)))
    assert system.post({"prompt": "p"}, owner="shop")[0] == 202


def test_a_batch_of_uploads_while_fal_is_slow(system: Any) -> None:
    """The function has no time to send all of a batch: each has its job, and no message comes back."""
    Gate(system, lambda _: refuse(retry_after="10"))
    system.context = Ticking(system, 150)
    events = [system.put(f"sketch/{number}.png", sequencer=str(number)) for number in range(5)]
    assert system.upload(*events) == []
    assert len(system.rows()) == 5


def test_a_refusal_that_names_no_json(system: Any) -> None:
    """An ingress's page with 429 is a throttle like fal's own."""
    Gate(system, lambda _: httpx.Response(429, text="slow down", headers={"Retry-After": "600, 60"}))
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"]) == ("accepted", "throttled")
    assert int(system.row(job["job_id"])["check_at"]["N"]) >= system.fal.clock.now() + 599
