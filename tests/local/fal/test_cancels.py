"""Cancelling."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

HOOK = {"fal_webhook": "https://hooks.example/fal"}


def test_a_cancel_is_accepted_with_a_202(fal: "Fal") -> None:
    """A queued request leaves the queue, is never run and costs nothing."""
    job = fal.submit()
    answer = fal.http.put(job["cancel_url"])
    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    fal.emulator.advance(60)
    seen = fal.seen(job)
    assert (seen["attempts"], seen["billed_units"], seen["result_status"]) == (0, 0, 499)
    assert fal.status(job)["error_type"] == "client_cancelled"


@pytest.mark.parametrize("word", ["OK", "CANCELLATION_REQUESTED"])
def test_a_cancel_may_be_answered_with_a_200(fal: "Fal", word: str) -> None:
    """Code and word are settings, since sources disagree."""
    fal.set(cancel_status=200, cancel_word=word)
    answer = fal.http.put(fal.submit()["cancel_url"])
    assert (answer.status_code, answer.json()) == (200, {"status": word})


def test_a_completed_request_cannot_be_cancelled(fal: "Fal") -> None:
    """The answer is a 400, and the result stays; so it is for a second cancel."""
    job = fal.submit()
    fal.emulator.advance(10)
    answer = fal.http.put(job["cancel_url"])
    assert (answer.status_code, answer.json()) == (400, {"status": "ALREADY_COMPLETED"})
    assert fal.http.get(job["response_url"]).status_code == 200
    other = fal.submit()
    assert [fal.http.put(other["cancel_url"]).status_code for _ in range(2)] == [202, 400]


def test_an_unknown_request_cannot_be_cancelled(fal: "Fal") -> None:
    """The answer is a 404."""
    answer = fal.http.put("/fal-ai/flux-pro/requests/nobody/cancel")
    assert (answer.status_code, answer.json()) == (404, {"status": "NOT_FOUND"})


@pytest.mark.parametrize("by_script", [True, False])
def test_a_running_request_may_complete_in_spite_of_a_cancel(fal: "Fal", by_script: bool) -> None:
    """The cancel is accepted, and still there is a result and a bill."""
    if by_script:
        fal.script({"cancelled_running_completes": True})
    else:
        fal.set(cancelled_running_completes=True)
    job = fal.submit(params=HOOK)
    fal.emulator.advance(1)
    assert fal.http.put(job["cancel_url"]).status_code == 202
    assert fal.status(job)["status"] == "IN_PROGRESS"
    fal.emulator.advance(10)
    assert fal.http.get(job["response_url"]).status_code == 200
    assert (fal.seen(job)["billed_units"], fal.seen(job)["cancel_asked"]) == (1, True)
    assert json.loads(fal.sent[0].body)["status"] == "OK"


@pytest.mark.parametrize(
    ("running", "switch", "told"),
    [
        (False, {}, 0),
        (False, {"webhook_on_queued_cancel": True}, 1),
        (True, {}, 1),
        (True, {"webhook_on_running_cancel": False}, 0),
    ],
)
def test_whether_a_cancel_calls_the_webhook_is_a_switch(
    fal: "Fal",
    running: bool,
    switch: dict[str, object],
    told: int,
) -> None:
    """By default a queued request ends in silence and a running one with an ERROR."""
    fal.set(**switch)
    job = fal.submit(params=HOOK)
    fal.emulator.advance(1 if running else 0)
    fal.http.put(job["cancel_url"])
    fal.emulator.advance(60)
    events = [json.loads(one.body) for one in fal.sent]
    assert [(event["status"], event["payload"]["error_type"]) for event in events] == [
        ("ERROR", "client_cancelled")
    ] * told


def test_a_cancelled_run_makes_room_for_the_next(fal: "Fal") -> None:
    """The place of a cancelled request is taken at once."""
    fal.set(concurrency=1, run_seconds=100)
    first, second = fal.submit(), fal.submit()
    fal.emulator.advance(1)
    assert fal.status(second)["status"] == "IN_QUEUE"
    fal.http.put(first["cancel_url"])
    fal.emulator.run_due()
    assert fal.status(second)["status"] == "IN_PROGRESS"
