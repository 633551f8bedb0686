"""What fal has made is paid for, and is kept, whatever fails around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import NoCredentialsError

from local.fal import Script
from shared import waiting
from shared.errors import NotAcceptedError, ReplyLostError
from shared.fal import FalClient
from tests.flow.deliveries import Delivery, error, held, signed


@contextmanager
def answering(system: Any, status: int, body: dict[str, Any] | None = None) -> Iterator[None]:
    """Let every call to fal get the same answer for a while."""
    working = system.app.fal._http  # noqa: SLF001 - fal's host is to fail, and its files' host is not
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status, json=body))) as broken:
        system.app.fal._http = broken  # noqa: SLF001 - the same
        yield
    system.app.fal._http = working  # noqa: SLF001 - the same


def unanswered(
    system: Any, monkeypatch: pytest.MonkeyPatch, reply: Exception, *scripts: Script
) -> tuple[str, Delivery]:
    """A job whose reply was lost, and fal's delivery about it, which has not come yet."""
    really = FalClient.submit

    def submit(self: FalClient, *arguments: Any) -> Any:
        really(self, *arguments)
        raise reply

    system.fal.add_scripts(*scripts)
    kept = held(system)
    with monkeypatch.context() as patch:
        patch.setattr("shared.sending.MOST_TRIES", 1)
        patch.setattr(FalClient, "submit", submit)
        _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    return job["job_id"], kept[0]


def test_a_request_is_asked_after_before_it_is_given_up(system: Any) -> None:
    """No delivery, and no sweep for four hours: the picture is there, and is fetched."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    system.fal.advance(waiting.ATTEMPT + 60)
    system.sweep()
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_long_outage_of_fal_s_reads_loses_nothing(system: Any) -> None:
    """fal tells nothing for longer than a request may live, and then it does."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    with answering(system, 503):
        system.pass_time(waiting.ATTEMPT + 3600, 600)
    system.pass_time(1800, 300)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_an_old_delivery_about_a_job_that_waits_for_it(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal may not re-sign its retries; where no other word ever came of an attempt, an old one is taken."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"))
    system.fal.advance(400)
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"
    before = system.row(job_id)
    assert system.call_back(*delivery) == 401
    assert system.row(job_id) == before


def test_an_old_delivery_about_a_job_that_knows_its_request(system: Any) -> None:
    """It may be a copy of one that was taken, and is refused: asking will do."""
    kept = held(system)
    _, job = system.post({"prompt": "p"})
    system.fal.advance(400)
    before = system.row(job["job_id"])
    assert system.call_back(*kept[0]) == 401
    assert system.row(job["job_id"]) == before


def test_a_request_is_known_before_its_result_is_fetched(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reply lost, delivery without payload, result not available: the request's id is kept, and asked for later."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"), Script(payload_error=True))
    with answering(system, 502):
        assert system.call_back(*delivery) == 503
    system.pass_time(300)
    assert system.job(job_id)["status"] == "succeeded"


def test_a_job_that_seemed_not_to_be_at_fal_is_not_sent_again(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal's word that it is stops that at once, even if nothing else can be done about it yet."""
    job_id, delivery = unanswered(system, monkeypatch, NotAcceptedError("seemed so"), Script(payload_error=True))
    with answering(system, 502):
        assert system.call_back(*delivery) == 503
    system.pass_time(600)
    assert system.job(job_id)["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_a_host_s_error_is_not_the_request_s(system: Any) -> None:
    """OK without a payload, and then a 500 in fal's own words: the picture is there all the same."""
    system.fal.add_scripts(Script(payload_error=True))
    kept = held(system)
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    with answering(system, 500, {"detail": "Internal server error", "error_type": "internal_error"}):
        assert system.call_back(*kept[0]) == 503
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_runner_s_error_without_a_delivery_fails_the_job(system: Any) -> None:
    """The queue's own word about a request that failed is taken when asking is all that is left."""
    system.deliver = lambda *_: 404
    system.fal.add_scripts(Script(infrastructure_error="runner_server_error"))
    _, job = system.post({"prompt": "p"})
    system.pass_time(300)
    assert system.job(job["job_id"])["error"]["type"] == "runner_server_error"


def test_what_fails_before_anything_is_sent_is_sent_later(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw, before the POST, leaves a job that is proven not to be at fal."""

    def fail(*_: object, **__: object) -> None:
        raise NoCredentialsError

    with monkeypatch.context() as patch:
        patch.setattr(system.app.client("s3"), "generate_presigned_url", fail)
        assert system.upload(system.put("sketch/a.png")) == []
        (row,) = system.rows()
        assert (row["status"]["S"], row["reason"]["S"]) == ("accepted", "aws_unavailable")
    system.pass_time(180)
    assert system.jobs()[0]["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_no_post_is_begun_that_could_be_cut_off(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One upload with two presets and a slow fal: the second waits for another turn, and both are edited."""
    end = system.fal.clock.now() + 30
    really = FalClient.submit
    left: list[float] = []

    def submit(self: FalClient, *arguments: Any) -> Any:
        left.append(end - system.fal.clock.now())
        system.fal.clock.move(15)
        return really(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FalClient, "submit", submit)
        patch.setattr(
            type(system.context),
            "get_remaining_time_in_millis",
            lambda _: int((end - system.fal.clock.now()) * 1000),
        )
        assert system.upload(system.put("cars/a.jpg")) == []
    assert left == [30]
    system.pass_time(300)
    assert {job["status"] for job in system.jobs()} == {"succeeded"}
    assert len(system.requests()) == len(system.jobs()) == 2


@pytest.mark.long
def test_a_row_that_nobody_can_read_ends_too(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every look at a job fails, it is failed once its time is over."""
    monkeypatch.setattr(FalClient, "submit", lambda *_: (_ for _ in ()).throw(NotAcceptedError("no")))
    _, job = system.post({"prompt": "p"})
    boto3.client("dynamodb").update_item(
        TableName="darkroom-jobs",
        Key={"job_id": {"S": job["job_id"]}},
        UpdateExpression="SET endpoint = :none",
        ExpressionAttributeValues={":none": {"S": "none"}},
    )
    system.pass_time(waiting.T_MAX - 3600, 3600)
    assert "settled_at" not in system.row(job["job_id"])
    system.pass_time(2 * 3600, 3600)
    row = system.row(job["job_id"])
    assert (row["status"]["S"], row["error"]["M"]["type"]["S"]) == ("failed", "look_failed")
    assert "open_shard" not in row


def test_a_caller_s_dead_link_among_ours_fails_at_once(system: Any) -> None:
    """One URL of the caller's is enough: a fresh link for the others would not help."""
    unread = {"detail": [{"loc": ["body"], "msg": "m", "type": "file_download_error"}]}
    system.fal.add_scripts(*[Script.model_validate({"result": {"status": 422, "body": unread}})] * 9)
    system.put("a.png")
    _, job = system.post({"prompt": "p", "image_urls": ["a.png", "https://example.com/b.png"]})
    system.pass_time(3600, 300)
    assert system.job(job["job_id"])["status"] == "failed"
    assert len(system.requests()) == 1


def test_a_request_that_never_started_is_sent_again(system: Any) -> None:
    """fal gave it up in its queue, which is never billed: another attempt may find the queue shorter."""
    system.fal.add_scripts(Script(infrastructure_error="request_timeout"))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(30)
    assert system.job(job["job_id"])["reason"] == "request_timeout"
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert [request["billed_units"] for request in system.requests()] == [0, 1]


def test_an_error_page_in_a_picture_s_place_costs_no_picture(system: Any) -> None:
    """A file host that answers 200 with a page, or with nothing, a few times: the picture comes after that."""
    for answer in ("html", "empty"):
        system.fal.add_scripts(Script.model_validate({"files": {"answer": answer, "first": 2}}))
        _, job = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.job(job["job_id"])["status"] == "storing"
        system.pass_time(600)
        assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_page_that_stays_fails_the_job(system: Any) -> None:
    """What never becomes a picture is given up within the hour, and was never stored."""
    system.fal.add_scripts(Script.model_validate({"files": {"answer": "html"}}))
    _, job = system.post({"prompt": "p"})
    system.pass_time(3600)
    assert system.job(job["job_id"])["error"]["type"] == "output_refused"
    assert "Contents" not in system.s3.list_objects_v2(Bucket="darkroom-outputs")


def test_an_error_after_an_adoption_takes_nothing_back(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truly signed ERROR behind the OK that a job was adopted by: the picture is stored."""
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"), Script(payload_error=True))
    with answering(system, 502):
        assert system.call_back(*delivery) == 503
    assert system.call_back(*signed(system, delivery, error(delivery, {"detail": "no"}))) == 200
    system.pass_time(300)
    assert system.job(job_id)["status"] == "succeeded"
