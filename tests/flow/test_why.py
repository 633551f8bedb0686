"""A job that waits says for what: a reason in one word, and a sentence, in the words of whoever said it."""

from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from local.fal import Script
from shared.errors import NotAcceptedError, ReplyLostError
from shared.fal import FalClient
from tests.flow.gates import LOCK, Gate


def waiting(system: Any) -> tuple[str, str, str]:
    """Status, reason and sentence of the only job, which is open and has no error of its own."""
    (job,) = system.jobs()
    assert (job["error"], job["settled_at"]) == (None, None)
    return job["status"], job["reason"], job["why"]


@pytest.mark.parametrize(
    ("answer", "status", "reason", "says"),
    [
        (httpx.Response(403, json=LOCK), "accepted", "provider_locked", "Exhausted balance"),
        (httpx.Response(401, json={"detail": "No user found"}), "accepted", "provider_locked", "No user found"),
        (
            httpx.Response(429, json={"detail": "Slow down"}, headers={"Retry-After": "99"}),
            "accepted",
            "throttled",
            "Slow down",
        ),
        (httpx.Response(503, json={"detail": "Maintenance"}), "accepted", "retry", "Maintenance"),
        (httpx.Response(502, text="<html>"), "unconfirmed", "reply_lost", "502"),
        (httpx.Response(500, json={"detail": "Oops"}), "unconfirmed", "reply_lost", "Oops"),
    ],
)
def test_what_fal_said_at_the_submission(system: Any, answer: Any, status: str, reason: str, says: str) -> None:
    """A refusal, a throttle, a lock, a doubt: each in fal's words."""
    Gate(system, lambda _: answer)
    system.post({"prompt": "p"})
    assert waiting(system)[:2] == (status, reason)
    assert says in waiting(system)[2]


def test_what_could_not_be_reached(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is no word of fal's, and is told as what it is."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    monkeypatch.setattr(FalClient, "submit", lambda *_: (_ for _ in ()).throw(NotAcceptedError("fal: no route")))
    system.post({"prompt": "p"})
    assert waiting(system) == ("accepted", "retry", "fal: no route")


@pytest.mark.parametrize("code", ["SlowDown", "AccessDenied", "InternalError"])
def test_what_s3_said(system: Any, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A look at the upload that failed says so, and is not told as fal's refusal."""
    event = system.put("sketch/a.png")

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")

    monkeypatch.setattr(system.app.client("s3"), "get_object", refuse)
    system.upload(event)
    assert waiting(system)[:2] == ("accepted", "aws_unavailable")
    assert code in waiting(system)[2]


def test_what_is_misconfigured(system: Any) -> None:
    """A secret that holds the wrong thing is named."""
    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId="darkroom/webhook", SecretString="{}")
    system.post({"prompt": "p"})
    assert waiting(system)[:2] == ("accepted", "misconfigured")
    assert "WEBHOOK_SECRET" in waiting(system)[2]


def test_what_our_own_trouble_is(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is not told as fal's, and its details stay in the log."""
    monkeypatch.setattr(system.app.images, "input_link", lambda _: 1 / 0)
    system.upload(system.put("sketch/a.png"))
    assert waiting(system)[:2] == ("accepted", "look_failed")
    assert "log" in waiting(system)[2]


def test_what_fal_said_of_the_request(system: Any) -> None:
    """A request that fal did not start, and an input that it could not read, in fal's words."""
    system.fal.add_scripts(Script(infrastructure_error="startup_timeout"))
    system.post({"prompt": "p"})
    system.fal.advance(30)
    assert waiting(system) == ("accepted", "startup_timeout", "Runner startup timed out")


def test_what_keeps_a_picture(system: Any) -> None:
    """A host that does not hand a picture over is told while the job stores."""
    system.fal.add_scripts(Script.model_validate({"files": {"answer": 404}}))
    system.post({"prompt": "p"})
    system.fal.advance(10)
    assert waiting(system)[:2] == ("storing", "output_unavailable")
    assert "404" in waiting(system)[2]


def test_a_function_that_died_in_the_middle(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the request, and that is what is said."""

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FalClient, "submit", die)
        with pytest.raises(Killed):
            system.post({"prompt": "p"})
    system.pass_time(300)
    assert waiting(system)[:2] == ("unconfirmed", "lease_expired")
    assert "function" in waiting(system)[2]


def test_a_job_that_goes_well_says_nothing(system: Any) -> None:
    """Under way, and done, there is nothing to explain."""
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"], job["why"]) == ("queued", None, None)
    system.fal.advance(10)
    assert (system.job(job["job_id"])["reason"], system.job(job["job_id"])["why"]) == (None, None)


def test_an_answer_that_was_lost(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in doubt says how the doubt came about."""
    monkeypatch.setattr(FalClient, "submit", lambda *_: (_ for _ in ()).throw(ReplyLostError("fal's answer was lost")))
    system.post({"prompt": "p"})
    assert waiting(system) == ("unconfirmed", "reply_lost", "fal's answer was lost")
