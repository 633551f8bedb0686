"""Attempts, concurrency and the bill."""

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from local.fal import Emulator, EmulatorSettings, EmulatorTransport, ManualClock
from local.fal.scripts import Script
from tests.local.fal.conftest import PAINT

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

HOOK = {"fal_webhook": "https://hooks.example/fal"}


@pytest.mark.parametrize("fault", ["runner_disconnected", "request_timeout", "runner_connection_error"])
def test_a_503_or_504_is_run_again_under_a_new_gateway_id(fal: "Fal", fault: str) -> None:
    """The request goes back to the queue and succeeds later, under its own id."""
    fal.script({"fail_attempts": 2, "fail_attempts_with": fault})
    job = fal.submit(params=HOOK)
    fal.emulator.advance(2.1)
    assert fal.status(job)["status"] == "IN_QUEUE"
    first = fal.seen(job)["gateway_request_id"]
    fal.emulator.advance(60)
    seen = fal.seen(job)
    assert (seen["attempts"], seen["result_status"]) == (3, 200)
    event = json.loads(fal.sent[0].body)
    assert event["request_id"] == job["request_id"]
    assert len({event["gateway_request_id"], first, job["request_id"]}) == 3


def test_there_are_at_most_ten_attempts(fal: "Fal") -> None:
    """What keeps failing ends with its error after the tenth."""
    fal.script({"infrastructure_error": "runner_connection_refused"})
    job = fal.submit()
    fal.emulator.advance(300)
    assert fal.seen(job)["attempts"] == 10
    assert fal.http.get(job["response_url"]).status_code == 503


def test_a_models_own_503_is_run_again(fal: "Fal") -> None:
    """The status decides, not who gave it."""
    fal.script({"result": {"status": 503, "body": {"detail": "busy"}}})
    job = fal.submit()
    fal.emulator.advance(300)
    assert fal.seen(job)["attempts"] == 10


@pytest.mark.parametrize(
    "script",
    [
        {"infrastructure_error": "runner_server_error"},
        {"infrastructure_error": "runner_incomplete_response"},
        {"result": {"status": 429, "body": None}},
        {"result": {"status": 422, "body": None}},
    ],
)
def test_a_500_502_or_4xx_is_not_run_again(fal: "Fal", script: dict[str, object]) -> None:
    """One attempt, and that is the result."""
    fal.script(script)
    job = fal.submit()
    fal.emulator.advance(300)
    assert fal.seen(job)["attempts"] == 1
    assert fal.seen(job)["gateway_request_id"] == job["request_id"]


def test_a_retry_after_the_start_deadline_is_a_timeout(fal: "Fal") -> None:
    """The deadline for the start counts the waits of retries too."""
    fal.script({"fail_attempts": 5})
    job = fal.submit(headers={"X-Fal-Request-Start-Timeout": "1"})
    fal.emulator.advance(60)
    answer = fal.http.get(job["response_url"])
    assert (answer.status_code, answer.headers["X-Fal-Request-Timeout-Type"]) == (504, "user")
    assert fal.seen(job)["attempts"] == 1


def test_two_run_at_once_and_the_others_wait(fal: "Fal") -> None:
    """Concurrency counts what runs; what waits is neither refused nor lost."""
    jobs = [fal.submit() for _ in range(5)]
    fal.emulator.advance(1)
    assert [fal.status(job)["status"] for job in jobs] == ["IN_PROGRESS"] * 2 + ["IN_QUEUE"] * 3
    fal.emulator.advance(1.2)
    assert [fal.status(job)["status"] for job in jobs] == ["COMPLETED"] * 2 + ["IN_PROGRESS"] * 2 + ["IN_QUEUE"]
    fal.emulator.advance(10)
    assert {fal.status(job)["status"] for job in jobs} == {"COMPLETED"}


def test_a_raised_concurrency_takes_effect_at_once(fal: "Fal") -> None:
    """Changing the setting starts what waits."""
    fal.set(run_seconds=100)
    jobs = [fal.submit() for _ in range(4)]
    fal.emulator.advance(1)
    assert fal.http.patch("/emulator/settings", json={"concurrency": 4}).status_code == 200
    fal.emulator.run_due()
    assert [fal.status(job)["status"] for job in jobs] == ["IN_PROGRESS"] * 4


@pytest.mark.parametrize(
    ("script", "arguments", "units"),
    [
        ({}, {"prompt": "a", "num_images": 3}, "3"),
        ({"infrastructure_error": "internal_error"}, {"prompt": "a"}, "0"),
        ({}, {"prompt": "a", "num_images": 5}, "0"),
        ({"billed_422": True}, {}, "1"),
        ({"result": {"status": 422, "body": None, "billable_units": 2}}, {"prompt": "a"}, "2"),
    ],
)
def test_the_bill(fal: "Fal", script: dict[str, object], arguments: dict[str, object], units: str) -> None:
    """Pictures cost a unit each, a 5xx and a refused argument nothing, and a 422 only where that is asked."""
    fal.script(script)
    answer = fal.call(arguments)
    assert answer.headers["x-fal-billable-units"] == units


def test_the_same_seed_gives_the_same_trace() -> None:
    """In a new emulator the same calls have the same ids, gateway ids, times and results."""

    def trace(seed: int) -> list[tuple[object, ...]]:
        emulator = Emulator(EmulatorSettings(megapixels=0.005, seed=seed), clock=ManualClock(), deliver=lambda *_: 200)
        emulator.add_scripts(Script(), Script(fail_attempts=1))
        with httpx.Client(transport=EmulatorTransport(emulator), base_url="http://127.0.0.1:8787") as http:
            for _ in range(2):
                http.post(f"/{PAINT}", json={"prompt": "a"}, params=HOOK, headers={"Authorization": "Key id:secret"})
            emulator.advance(60)
            rows = http.get("/emulator/requests").json()["requests"]
        return [(row["request_id"], row["gateway_request_id"], row["completed_at"], row["result"]) for row in rows]

    assert len({row[0] for row in trace(0)}) == 2
    assert trace(0) == trace(0)
    assert trace(1) != trace(0)


def test_ids_do_not_come_again(fal: "Fal") -> None:
    """After a reset a request that was open is unknown, and no later one answers in its place."""
    before = fal.submit(arguments={"prompt": "a"})
    assert fal.http.post("/emulator/reset").status_code == 200
    after = fal.submit(arguments={"prompt": "b"})
    assert after["request_id"] != before["request_id"]
    fal.emulator.advance(60)
    assert fal.http.get(before["status_url"]).status_code == 404
