"""A stranger with an account at fal and a webhook URL of ours: whatever fal signs for them, it changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import NotAcceptedError, ReplyLostError
from tests.flow.deliveries import REQUEST_ID, Delivery, error, finished, signed
from tests.flow.test_paid_and_kept import answering, unanswered

STRANGER = "user_stranger"
FOREIGN_ID = "11111111-2222-4333-8444-555555555555"


def foreign(system: Any, delivery: Delivery, **changes: Any) -> Delivery:
    """A delivery to the same URL about a request of a stranger's, truly signed by fal."""
    body = json.loads(delivery[2]) | {"request_id": FOREIGN_ID, "gateway_request_id": FOREIGN_ID}
    return signed(system, delivery, body | changes.pop("body", {}), request_id=FOREIGN_ID, user_id=STRANGER, **changes)


def learn(system: Any) -> None:
    """Let a job of ours go through, so that our account is known."""
    really = system.__dict__.pop("deliver", None)
    system.post({"prompt": "teaches the account"})
    system.fal.advance(10)
    if really:
        system.deliver = really


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("status", ["OK", "ERROR"])
@pytest.mark.parametrize("age", [0, 7200])
def test_a_foreign_delivery_about_a_job_that_knows_no_request(
    system: Any, monkeypatch: pytest.MonkeyPatch, status: str, age: int, *, known: bool
) -> None:
    """Refused, fresh or hours old, OK or ERROR, whether our account is known yet or not; the true one is taken."""
    if known:
        learn(system)
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    timestamp = str(int(system.fal.clock.now()))
    system.fal.clock.move(age)
    body = {"status": status, **({"payload": {"detail": "stolen"}} if status == "ERROR" else {})}
    before = system.row(job_id)
    for _ in range(3):
        assert system.call_back(*foreign(system, delivery, body=body, timestamp=timestamp)) == 401
    assert system.row(job_id) == before
    assert "Contents" not in system.s3.list_objects_v2(Bucket="darkroom-outputs", Prefix=f"jobs/shop/{job_id}")
    assert system.call_back(*delivery) == 200
    job = system.job(job_id)
    assert (job["status"], job["request_id"]) == ("succeeded", delivery[1][REQUEST_ID])


def test_a_foreign_delivery_costs_little(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of the job and one of the accounts, or a question to fal: never a write, and no alarm of lost pictures."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    learn(system)
    system.call_back(*foreign(system, delivery))
    system.aws_calls.clear()
    system.call_back(*foreign(system, delivery))
    assert system.aws_calls == ["GetItem", "GetItem"]
    assert system.job(job_id)["status"] == "unconfirmed"


def test_our_account_is_learned_once_and_by_all(system: Any) -> None:
    """The first delivery about a request that we know teaches it, with one write; no later one writes again."""
    learn(system)
    row = system.row("shared#accounts")
    assert json.loads(row["accounts"]["S"]) == [system.fal.settings.user_id]
    system.aws_calls.clear()
    learn(system)
    assert system.aws_calls == ["PutItem", "UpdateItem", "GetItem", "PutObject", "UpdateItem"]


def test_a_key_of_another_account_heals_by_itself(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the key is exchanged, adoptions wait until a delivery about a known request has taught the new account."""
    learn(system)
    system.fal.change_settings({"user_id": "user_new"})
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    assert system.call_back(*delivery) == 401
    learn(system)
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"


def test_a_pinned_account_takes_no_other(make_system: Callable[..., Any]) -> None:
    """With FalUserId nothing is learned and nothing asked: only that account's deliveries are taken."""
    system = make_system({"FAL_USER_ID": "user_pinned"}, user_id="user_pinned")
    job_id, delivery = finished(system)
    assert system.call_back(*signed(system, delivery, user_id=STRANGER)) == 401
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"
    rows = system.app.dynamodb.scan(TableName="darkroom-jobs")["Items"]
    assert "shared#accounts" not in {row["job_id"]["S"] for row in rows}


@pytest.mark.parametrize("reply", [ReplyLostError("lost"), NotAcceptedError("seemed so")])
def test_an_adoption_while_fal_cannot_be_asked(system: Any, monkeypatch: pytest.MonkeyPatch, reply: Exception) -> None:
    """Before any account is known: the request is kept, not sent again, and asked after when fal answers."""
    job_id, delivery = unanswered(system, monkeypatch, reply)
    with answering(system, 502):
        assert system.call_back(*delivery) == 503
        system.pass_time(600)
        assert system.job(job_id)["outputs"] == []
    system.pass_time(1800)
    assert system.job(job_id)["status"] == "succeeded"
    assert len(system.requests()) == 1


@pytest.mark.parametrize("reply", [ReplyLostError("lost"), NotAcceptedError("seemed so")])
def test_a_foreign_adoption_while_fal_cannot_be_asked(
    system: Any, monkeypatch: pytest.MonkeyPatch, reply: Exception
) -> None:
    """When fal answers again it knows no such request of ours: all is as before, and the true delivery is taken."""
    job_id, delivery = unanswered(system, monkeypatch, reply)
    with answering(system, 502):
        assert system.call_back(*foreign(system, delivery)) == 503
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["request_id"] == delivery[1][REQUEST_ID]
    assert system.job(job_id)["status"] == "succeeded"


def test_a_foreign_claim_is_dropped(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's request that was kept while fal was down is forgotten, and the job goes on as if it never came."""
    job_id, delivery = unanswered(system, monkeypatch, NotAcceptedError("seemed so"))
    with answering(system, 502):
        assert system.call_back(*foreign(system, delivery)) == 503
    system.pass_time(600)
    job = system.job(job_id)
    assert (job["status"], job["request_id"] == FOREIGN_ID) == ("succeeded", False)
    assert len(system.requests()) == 2  # fal had taken the first in truth, and its delivery is held back here


def test_fal_s_true_word_about_another_request_is_counted(system: Any, counted: Callable[[str], float]) -> None:
    """A picture of our account that fits no job's request was paid: it is a 404, and it is not lost unseen."""
    job_id, delivery = finished(system)
    other = json.loads(delivery[2]) | {"request_id": FOREIGN_ID, "gateway_request_id": FOREIGN_ID}
    assert system.call_back(*delivery) == 200
    assert system.call_back(*signed(system, delivery, other, request_id=FOREIGN_ID)) == 404
    assert counted("PaidResultLost") == 1
    assert system.call_back(*foreign(system, delivery)) == 404
    assert counted("PaidResultLost") == 1
    assert system.job(job_id)["status"] == "succeeded"


def test_a_request_s_id_too_long_to_keep_is_refused(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the job's row has no room for is no id of fal's."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    long = "r" * 5000
    body = json.loads(delivery[2]) | {"request_id": long}
    assert system.call_back(*signed(system, delivery, body, request_id=long)) == 401
    assert system.job(job_id)["status"] == "unconfirmed"


def test_errors_of_a_stranger_end_nothing(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with an error in each of fal's forms."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    learn(system)
    for payload in (None, {"detail": "no"}, {"detail": "late", "error_type": "request_timeout"}):
        assert system.call_back(*foreign(system, delivery, body=error(delivery, payload))) == 401
    assert system.job(job_id)["status"] == "unconfirmed"
