"""What does not end by itself is taken up again by the clock's function, and ends."""

from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from local.fal import Script
from shared import waiting
from shared.errors import NotAcceptedError, ProviderLockedError, RefusedError, ReplyLostError
from shared.fal import FalClient


def refuse_delivery(*_: object) -> int:
    """A webhook that never arrives."""
    return 404


def failing_submit(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Exception]:
    """Let the next submissions fail so, and those after them go through."""
    left = list(errors)
    really = FalClient.submit

    def submit(self: FalClient, *arguments: Any) -> Any:
        if left:
            raise left.pop(0)
        return really(self, *arguments)

    monkeypatch.setattr(FalClient, "submit", submit)
    return left


def test_a_lost_webhook_is_made_good_within_three_minutes(system: Any) -> None:
    """When no delivery comes, the job is asked after, and its outputs are stored all the same."""
    system.deliver = refuse_delivery
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    finished = system.fal.clock.now()
    while system.job(job["job_id"])["status"] != "succeeded":
        system.pass_time(60)
        assert system.fal.clock.now() - finished <= 180
    assert len(system.job(job["job_id"])["outputs"]) == 1
    assert len(system.requests()) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(NotAcceptedError("refused"), "retry"), (ProviderLockedError("locked"), "provider_locked")],
    ids=["not accepted", "locked"],
)
def test_what_fal_did_not_take_is_sent_again(
    system: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """The caller has its 202, the job says what it waits for, and the second attempt is the only paid one."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    failing_submit(monkeypatch, error)
    status, job = system.post({"prompt": "p"})
    assert (status, job["status"], job["reason"], job["error"]) == (202, "accepted", reason, None)
    assert system.sweep() == 0
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_the_same_upload_again_sends_what_was_not_taken(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second copy of the event is as good a reason to try again as the clock."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    failing_submit(monkeypatch, NotAcceptedError("refused"))
    event = system.put("sketch/a.png")
    system.upload(event)
    assert system.jobs()[0]["status"] == "accepted"
    system.upload(event)
    assert system.jobs()[0]["status"] == "queued"
    assert len(system.requests()) == 1


def test_what_fal_refuses_is_failed(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that no second try would get through ends the job, with fal's reason."""
    failing_submit(monkeypatch, RefusedError("fal answered 404: unknown app"))
    status, job = system.post({"prompt": "p"})
    assert (status, job["status"]) == (202, "failed")
    assert job["error"] == {"type": "refused_by_fal", "message": "fal answered 404: unknown app"}


def test_a_lost_reply_is_never_posted_again(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job waits for its delivery, which adopts it; nothing is sent a second time."""
    really = FalClient.submit

    def lose(self: FalClient, *arguments: Any) -> Any:
        really(self, *arguments)
        raise ReplyLostError("lost")

    monkeypatch.setattr(FalClient, "submit", lose)
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"], job["request_id"]) == ("unconfirmed", "reply_lost", None)
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_a_lost_reply_without_a_delivery_fails_in_the_end(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the longest time in which fal could still speak, the job is failed with the reason, unpaid or not."""
    failing_submit(monkeypatch, ReplyLostError("fal's answer was lost"))
    _, job = system.post({"prompt": "p"})
    system.pass_time(3600, 600)
    assert system.job(job["job_id"])["status"] == "unconfirmed"
    system.pass_time(waiting.ATTEMPT, 600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "reply_lost")
    assert system.requests() == []


def test_a_function_that_died_while_sending_leaves_no_second_request(
    system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of a killed attempt becomes unconfirmed when its lease ends, and the delivery settles it."""
    really = FalClient.submit

    def die(self: FalClient, *arguments: Any) -> Any:
        really(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(FalClient, "submit", die)
    system.deliver = refuse_delivery
    with pytest.raises(KeyboardInterrupt):
        system.post({"prompt": "p"})
    (job,) = system.jobs()
    assert job["status"] == "submitting"
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "unconfirmed"
    del system.deliver
    system.fal.advance(3600)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


@pytest.fixture
def files_down(system: Any) -> Iterator[list[bool]]:
    """Takes fal's file host down; emptying the list brings it up again."""
    down = [True]
    emulator = system.app.http

    def answer(request: httpx.Request) -> httpx.Response:
        if down and request.url.path.startswith("/files/"):
            return httpx.Response(503)
        found = emulator.request(request.method, request.url, headers=request.headers, content=request.read())
        size = {"Content-Length": str(len(found.content))}
        return httpx.Response(found.status_code, headers=size, stream=httpx.ByteStream(found.content))

    with httpx.Client(transport=httpx.MockTransport(answer)) as system.app.http:
        yield down
    system.app.http = emulator


def test_outputs_that_cannot_be_had_yet_are_stored_later(system: Any, files_down: list[bool]) -> None:
    """A file host that is down makes the job storing, with 200 for fal, and the clock finishes it."""
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.answers == [200]
    assert system.job(job["job_id"])["status"] == "storing"
    system.pass_time(120)
    assert system.job(job["job_id"])["status"] == "storing"
    files_down.clear()
    system.pass_time(120)
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.long
@pytest.mark.usefixtures("files_down")
def test_outputs_that_never_can_be_had_fail_in_the_end(system: Any) -> None:
    """fal's file host never comes back: the job ends with that reason."""
    _, job = system.post({"prompt": "p"})
    system.pass_time(waiting.STORE - 1200, 1200)
    assert system.job(job["job_id"])["status"] == "storing"
    system.pass_time(2400, 1200)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "output_unavailable")


def test_an_error_at_fal_without_a_delivery_fails_the_job(system: Any) -> None:
    """The result fetch tells the model's own error, which ends the job."""
    system.deliver = refuse_delivery
    body = {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}
    system.fal.add_scripts(Script.model_validate({"result": {"status": 422, "body": body}}))
    _, job = system.post({"prompt": "p"})
    system.pass_time(180)
    job = system.job(job["job_id"])
    assert job["status"] == "failed"
    assert job["error"] == {"type": "content_policy_violation", "message": "body.prompt: flagged"}


def test_a_job_in_the_queue_is_left_alone(system: Any) -> None:
    """While fal says that it is not done, the job stays queued and is looked at again."""
    system.fal.change_settings({"queue_seconds": 1000})
    _, job = system.post({"prompt": "p"})
    system.pass_time(600)
    assert system.job(job["job_id"])["status"] == "queued"
    system.pass_time(600)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_no_time_left_means_nothing_is_begun(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock's function leaves what it cannot finish to its next turn."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    failing_submit(monkeypatch, NotAcceptedError("refused"))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(120)
    system.hurry()
    assert system.sweep() == 0
    assert system.job(job["job_id"])["status"] == "accepted"
    system.take_time()
    assert system.sweep() == 1


def test_a_settled_job_is_never_due(system: Any) -> None:
    """Once settled, a job has left the index of open jobs."""
    system.post({"prompt": "p"})
    system.fal.advance(10)
    system.fal.advance(7200)
    assert system.sweep() == 0


@pytest.mark.parametrize("secret", ["darkroom/fal-key", "darkroom/webhook"])
def test_a_secret_that_cannot_be_read_sends_nothing_and_loses_nothing(system: Any, secret: str) -> None:
    """The job waits as accepted, proven not to be at fal, and goes through once the secret is there."""
    secrets = boto3.client("secretsmanager")
    value = secrets.get_secret_value(SecretId=secret)["SecretString"]
    secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"]) == ("accepted", "aws_unavailable")
    assert secret in job["why"]
    secrets.create_secret(Name=secret, SecretString=value)
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


@pytest.mark.parametrize(("attribute", "value"), [("arguments_json", "{}"), ("endpoint", "no endpoint")])
def test_one_job_that_cannot_be_advanced_does_not_hold_up_others(
    system: Any, monkeypatch: pytest.MonkeyPatch, attribute: str, value: str
) -> None:
    """A row that trips the code, when it is read or later, is put off, and the ones behind it are done."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    failing_submit(monkeypatch, NotAcceptedError("refused"), NotAcceptedError("refused"))
    _, first = system.post({"prompt": "p"})
    _, second = system.post({"prompt": "p"})
    boto3.client("dynamodb").update_item(
        TableName="darkroom-jobs",
        Key={"job_id": {"S": first["job_id"]}},
        UpdateExpression="SET #attribute = :value",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":value": {"S": value}},
    )
    system.pass_time(180)
    row = system.row(first["job_id"])
    assert "settled_at" not in row
    assert int(row["check_at"]["N"]) > system.fal.clock.now()
    assert system.job(second["job_id"])["status"] == "succeeded"
