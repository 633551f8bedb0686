"""An operator stops all spending: what comes waits, what is under way is finished, and nothing but `resume` ends it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.fal import Script
from shared import waiting
from shared.app import App
from shared.breaker import Breaker
from tests.flow.gates import LOCK, Gate


def statuses(system: Any) -> dict[str, int]:
    """How many jobs are where."""
    found = [row["status"]["S"] for row in system.rows()]
    return {status: found.count(status) for status in set(found)}


def another_container(system: Any) -> App:
    """An application that shares with the system's nothing but AWS, its clock and fal."""
    app = system.app
    return App(app.settings, client=app.client, http=app.http, now=app.now, sleep=app.sleep)


def operator(system: Any) -> Breaker:
    """Who pauses: a process of its own."""
    return another_container(system).breaker


@pytest.mark.long
def test_a_pause_in_the_middle_of_two_hundred_uploads(system: Any) -> None:
    """Nothing more is sent within a minute; all are done after `resume`, each once."""
    gate = Gate(system)
    system.fal.change_settings({"concurrency": 10, "run_seconds": 30})
    events = [system.put(f"sketch/{index:03}.png", sequencer=f"{index:04}") for index in range(200)]
    for start in range(0, 100, 5):
        assert system.upload(*events[start : start + 5]) == []
        system.fal.advance(1)
    assert operator(system).pause()
    paused_at = system.fal.clock.now()
    for start in range(100, 200, 5):
        assert system.upload(*events[start : start + 5]) == []
        system.fal.advance(5)
    system.pass_time(3600, 300)
    assert max(gate.times) - paused_at <= 60
    assert statuses(system).keys() == {"succeeded", "accepted"}
    assert {job["reason"] for job in system.jobs()} == {None, "paused"}
    sent = len(gate.times)
    assert operator(system).resume()
    system.pass_time(1800, 300)
    assert statuses(system) == {"succeeded": 200}
    assert len(gate.accepted) == len(gate.times) == len(system.requests()) == 200 > sent


def test_posts_are_taken_and_say_why_they_wait(system: Any) -> None:
    """202, with the reason in a word and in a sentence, and one call to the table."""
    operator(system).pause()
    system.app.breaker.read()
    system.aws_calls.clear()
    status, job = system.post({"prompt": "p"})
    assert (status, job["status"], job["reason"]) == (202, "accepted", "paused")
    assert "paused" in job["why"]
    assert system.aws_calls == ["PutItem"]


def test_what_is_under_way_is_finished(system: Any) -> None:
    """Deliveries are taken, and lost ones made good, while nothing new is sent."""
    _, first = system.post({"prompt": "p"})
    deliver = system.deliver
    system.deliver = lambda *_: 503
    _, second = system.post({"prompt": "p"})
    system.deliver = deliver
    operator(system).pause()
    system.pass_time(300)
    assert [system.job(job["job_id"])["status"] for job in (first, second)] == ["succeeded", "succeeded"]


@pytest.mark.long
@pytest.mark.parametrize("comes", ["while it waits", "with a lock", "after a lock"])
def test_no_probe_and_no_lock_s_end_lifts_a_pause(system: Any, comes: str) -> None:
    """A locked account is not even probed, and where its lock ends first the pause holds on."""
    locked = [comes != "while it waits"]
    gate = Gate(system, lambda _: httpx.Response(403, json=LOCK) if locked[0] else None)
    for _ in range(5):
        system.post({"prompt": "p"})
    if comes == "after a lock":
        system.pass_time(120)
    operator(system).pause()
    system.pass_time(60)
    sent = len(gate.times)
    locked[0] = False
    for _ in range(3):
        system.post({"prompt": "p"})
    system.pass_time(7200)
    assert len(gate.times) == sent
    operator(system).resume()
    system.pass_time(600)
    assert statuses(system) == {"succeeded": 8}


def test_a_pause_survives_every_container(system: Any) -> None:
    """It is in the table: whoever starts later knows of it, and whoever was warm within a minute."""
    warm = another_container(system)
    assert warm.breaker.why_waiting("shop") is None
    operator(system).pause()
    waits = another_container(system).breaker.why_waiting("shop")
    assert waits is not None
    assert waits.type == "paused"
    system.fal.advance(50)
    assert warm.breaker.why_waiting("anybody") == waits


def test_what_fal_refused_or_never_started_waits_too(system: Any) -> None:
    """A job that would be sent again is kept by the pause like a new one."""
    system.fal.add_scripts(Script(infrastructure_error="request_timeout"))
    _, job = system.post({"prompt": "p"})
    operator(system).pause()
    system.pass_time(1800)
    assert system.job(job["job_id"])["reason"] == "paused"
    assert len(system.requests()) == 1
    operator(system).resume()
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_repeated_call_does_not_get_past_a_pause(system: Any) -> None:
    """Posting again, and an event that comes again, find the job as it waits."""
    operator(system).pause()
    _, job = system.post({"prompt": "p"}, idempotency_key="k")
    event = system.put("sketch/a.png")
    for _ in range(3):
        assert system.post({"prompt": "p"}, idempotency_key="k")[1] == job
        assert system.upload(event) == []
        system.pass_time(60)
    assert system.requests() == []
    assert len(system.rows()) == 2


def test_health_shows_a_pause(system: Any) -> None:
    """Since when, and nothing of it where there is none."""
    assert system.get("/health") == (200, {"status": "ok"})
    operator(system).pause()
    system.fal.advance(60)
    status, body = system.get("/health")
    assert (status, body["status"], body["paused_at"][:4].isdigit()) == (200, "ok", True)
    operator(system).resume()
    system.fal.advance(60)
    assert system.get("/health") == (200, {"status": "ok"})


def test_each_minute_of_a_pause_is_counted(system: Any, counted: Callable[[str], float]) -> None:
    """The dashboard shows it, and an alarm rings when it was forgotten."""
    operator(system).pause()
    system.pass_time(600)
    assert counted("Paused") == 10
    assert counted("ProviderLocked") == 0


def test_a_pause_of_days_fails_what_waits_with_its_reason(system: Any) -> None:
    """Whatever happens, a job ends: after three days it is told that it was the pause, and nothing was paid."""
    operator(system).pause()
    _, job = system.post({"prompt": "p"})
    system.pass_time(waiting.ACCEPTANCE + 3600, 3600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"], system.requests()) == ("failed", "paused", [])
