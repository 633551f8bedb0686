"""Requests that a delivery named while fal could not say whose they are: asked after, and neither lost nor believed."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.fal import Script
from shared.errors import NotAcceptedError, ReplyLostError
from tests.flow.deliveries import REQUEST_ID
from tests.flow.gates import LOCK
from tests.flow.test_accounts import STRANGER, foreign, learn
from tests.flow.test_paid_and_kept import answering, unanswered


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (httpx.Response(403, json={"detail": "Forbidden"}), 60),
        (httpx.Response(404, json={}), 60),
        (httpx.Response(403, json=LOCK), 3600),
    ],
)
def test_a_claim_outlasts_what_says_little(
    system: Any,
    monkeypatch: pytest.MonkeyPatch,
    queue_says: Any,
    answer: httpx.Response,
    seconds: int,
) -> None:
    """One no is no proof, and a locked account's are none at all: the request is not sent and paid again."""
    job_id, delivery = unanswered(system, monkeypatch, NotAcceptedError("so it seemed"))
    with answering(system, 502):
        assert system.call_back(*delivery) == 503
    queue_says(answer)
    system.pass_time(seconds)
    queue_says()
    system.pass_time(900)
    assert system.job(job_id)["status"] == "succeeded"
    assert len(system.requests()) == 1


@pytest.mark.long
def test_a_claim_that_ends_unknown_teaches_no_account(
    system: Any, monkeypatch: pytest.MonkeyPatch, counted: Callable[[str], float]
) -> None:
    """fal could not be asked until the end: a stranger's word stays a stranger's, and what may be paid is counted."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    with answering(system, 502):
        assert system.call_back(*foreign(system, delivery)) == 503
        system.pass_time(26 * 3600, 900)
    job = system.job(job_id)
    assert (job["status"], job["error"]["type"]) == ("failed", "result_unavailable")
    assert counted("PaidResultLost") == 1
    stamp = str(int(system.fal.clock.now()))
    system.call_back(*foreign(system, delivery, timestamp=stamp))
    row = system.row("shared#accounts")
    assert row is None or STRANGER not in row["accounts"]["S"]


def test_the_true_word_beside_a_stranger_s_claim(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored under its own request, also where its result has to be asked for."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"), Script(payload_error=True))
    with answering(system, 502):
        assert system.call_back(*foreign(system, delivery)) == 503
    learn(system)
    system.call_back(*delivery)
    system.pass_time(600)
    job = system.job(job_id)
    assert (job["status"], job["request_id"] != REQUEST_ID) == ("succeeded", True)


def test_a_gateway_that_spreads_requests_over_accounts(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are learned, each once, and a lost reply of any is adopted."""
    for _ in range(2):
        for number in range(6):
            system.fal.change_settings({"user_id": f"user_{number}"})
            learn(system)
    system.fal.change_settings({"user_id": "user_0"})
    _, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    assert system.call_back(*delivery) == 200
