"""Where it is in doubt who knows what, nothing is paid twice and nothing that is paid is lost."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.fal import Script
from shared import waiting
from shared.errors import AwsUnavailableError, NotAcceptedError, ProviderLockedError, ReplyLostError
from shared.fal import FalClient
from shared.images import Images
from shared.job_indexes import JobIndexes
from shared.job_table import JobTable
from shared.jobs import JobStatus
from shared.presets import Preset
from shared.sending import attempt_again


def after_submitting(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Let something happen once fal has a request and before its answer is known here."""
    really = FalClient.submit

    def submit(self: FalClient, *arguments: Any) -> Any:
        request = really(self, *arguments)
        then()
        return request

    monkeypatch.setattr(FalClient, "submit", submit)


def fails_with(error: Exception) -> Callable[[], object]:
    """Something that fails."""

    def fail() -> object:
        raise error

    return fail


def test_a_delivery_before_our_own_note(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal can be done before its answer is noted: the job is settled, and knows its request."""
    after_submitting(monkeypatch, lambda: system.fal.advance(10))
    _, job = system.post({"prompt": "p"})
    assert job["status"] == "succeeded"
    assert job["request_id"] == system.requests()[0]["request_id"]


def test_outputs_of_an_adopted_request_are_stored_later(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reply lost, then the file host down when the delivery comes: the pictures are stored once they can be fetched."""
    after_submitting(monkeypatch, fails_with(ReplyLostError("lost")))
    _, job = system.post({"prompt": "p"})
    working = system.app.http
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as broken:
        monkeypatch.setattr(system.app.downloads, "_http", broken)
        system.fal.advance(10)
    assert system.answers == [200]
    assert system.job(job["job_id"])["status"] == "storing"
    monkeypatch.setattr(system.app.downloads, "_http", working)
    system.pass_time(120)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_a_lost_reply_and_a_lost_payload(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery without its payload names the request, and its result is fetched, although no URL of it ever came."""
    after_submitting(monkeypatch, fails_with(ReplyLostError("lost")))
    system.fal.add_scripts(Script(payload_error=True))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_delivery_for_a_job_that_seemed_not_to_be_at_fal(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal's own word is better than our conclusion: the job is settled, and not sent again."""
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    after_submitting(monkeypatch, fails_with(NotAcceptedError("seemed so")))
    _, job = system.post({"prompt": "p"})
    assert job["status"] == "accepted"
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "succeeded"
    system.pass_time(180)
    assert len(system.requests()) == 1


def test_a_job_that_waited_long_has_its_full_time_at_fal(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of a locked account do not count against the attempt that comes after them."""
    left = [ProviderLockedError("locked")] * 20
    really = FalClient.submit

    def submit(self: FalClient, *arguments: Any) -> Any:
        if left:
            raise left.pop()
        return really(self, *arguments)

    monkeypatch.setattr(FalClient, "submit", submit)
    system.fal.change_settings({"queue_seconds": 900})
    _, job = system.post({"prompt": "p"})
    system.pass_time(4 * 3600, 600)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_an_index_that_lags_moves_nothing(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that the index still calls due, and that has more time by its row, is left alone."""
    _, job = system.post({"prompt": "p"})
    before = system.row(job["job_id"])
    monkeypatch.setattr(JobIndexes, "list_due", lambda *_, **__: [job["job_id"], "nothing"])
    assert system.sweep() == 0
    assert system.row(job["job_id"]) == before


def test_an_answer_after_the_lease_is_still_noted(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that was so slow that its job became unconfirmed adds what it learned."""

    def outlast_the_lease() -> None:
        system.fal.clock.move(190)
        assert system.sweep() == 1
        assert system.jobs()[0]["status"] == "unconfirmed"

    system.deliver = lambda *_: 404
    after_submitting(monkeypatch, outlast_the_lease)
    _, job = system.post({"prompt": "p"})
    assert job["status"] == "queued"
    system.pass_time(240)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_one_odd_image_does_not_drop_the_others(system: Any) -> None:
    """A result of one picture and one empty place is stored as the one picture that it is."""
    _, job = system.post({"prompt": "p", "num_images": 2})
    system.deliver = lambda *_: 404
    system.fal.advance(10)
    request = system.requests()[0]
    system.fal.add_scripts(Script.model_validate({"result": {"body": mixed_result(system, request["request_id"])}}))
    del system.deliver
    _, other = system.post({"prompt": "p", "num_images": 2})
    system.fal.advance(10)
    other = system.job(other["job_id"])
    assert other["status"] == "succeeded"
    assert [output["index"] for output in other["outputs"]] == [1]
    assert system.job(job["job_id"])["status"] in {"queued", "succeeded"}


def mixed_result(system: Any, request_id: str) -> dict[str, Any]:
    """A result with no picture in its first place."""
    with httpx.Client(transport=httpx.WSGITransport(app=system.fal), base_url=system.app.settings.fal_queue_url) as fal:
        result = fal.get(f"/fal-ai/flux-pro/requests/{request_id}", headers={"Authorization": "Key id:secret"}).json()
    return {"images": [{"url": None}, result["images"][1]], "seed": 1}


def test_a_stranger_s_output_is_no_input(system: Any) -> None:
    """Another owner's output is treated as one that does not exist."""
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    key = system.job(job["job_id"])["outputs"][0]["key"]
    status, refused = system.post({"prompt": "p", "image_url": f"s3://darkroom-outputs/{key}"}, owner="stranger")
    assert status == 422
    message = f"s3://darkroom-outputs/{key}: the object does not exist (any more)"
    assert refused["errors"] == [{"field": "image_url", "message": message}]
    assert len(system.requests()) == 1


def test_posted_jobs_of_a_preset_with_a_stable_key_stay_apart(system: Any) -> None:
    """A key made for uploads' names does not let two posted jobs overwrite each other."""
    poster = Preset(name="poster", arguments={"prompt": "p"}, output_key="{preset}/{path}.{ext}")
    system.app.presets["poster"] = poster
    ids = [system.post({"preset": "poster"})[1]["job_id"] for _ in range(2)]
    system.fal.advance(10)
    keys = [system.job(job_id)["outputs"][0]["key"] for job_id in ids]
    assert keys == [f"poster/shop/{job_id}.jpg" for job_id in ids]


def test_a_preset_with_one_key_makes_one_picture(system: Any) -> None:
    """Several pictures under one key would overwrite each other: refused before anything is paid."""
    poster = Preset(name="poster", arguments={"prompt": "p"}, output_key="{preset}/{path}.{ext}")
    system.app.presets["poster"] = poster
    status, refused = system.post({"preset": "poster", "num_images": 2})
    assert (status, refused["errors"][0]["field"], system.requests()) == (422, "num_images", [])


def test_trouble_with_s3_is_a_503(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an input cannot be looked at, the caller is told to come again, and nothing is written or paid."""
    system.put("a.png")
    monkeypatch.setattr(Images, "check_input", lambda *_: fails_with(AwsUnavailableError("SlowDown"))())
    answer = system.http("POST", "/jobs", body=b'{"prompt": "p", "image_url": "a.png"}')
    assert (answer["statusCode"], json.loads(answer["body"])["title"]) == (503, "Unavailable")
    assert (system.rows(), system.requests()) == ([], [])


def test_a_paid_result_that_comes_too_late_is_told_and_changes_nothing(
    system: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery after the job was given up is answered, and the log names the job."""
    held: list[Any] = []

    def hold(*call: Any) -> int:
        held.append(call)
        return 503

    system.deliver = hold
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    row = system.app.jobs.get(job["job_id"])
    system.app.jobs.move(row, JobStatus.FAILED)
    before = system.row(job["job_id"])
    url, headers, body, _ = held[0]
    assert system.call_back(url, headers, body) == 200
    assert system.row(job["job_id"]) == before
    assert "paid result came too late" in caplog.text


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "AccessDenied"])
def test_an_upload_that_s3_does_not_hand_over_now(system: Any, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Trouble with S3 says nothing about the photo: the job waits, and is sent when S3 answers again."""
    event = system.put("sketch/a.png")
    client = system.app.client("s3")
    trouble = ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")
    with monkeypatch.context() as patch:
        patch.setattr(client, "get_object", lambda **_: fails_with(trouble)())
        assert system.upload(event) == []
    (job,) = system.jobs()
    assert (job["status"], job["reason"]) == ("accepted", "aws_unavailable")
    assert code in job["why"]
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_a_photo_that_is_too_large_is_not_sent(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fal downloads is refused before anything is paid."""
    monkeypatch.setattr("shared.images.MAX_INPUT_BYTES", 1000)
    system.upload(system.put("sketch/a.png"))
    (job,) = system.jobs()
    assert (job["status"], job["error"]["type"], system.requests()) == ("failed", "file_too_large", [])


@pytest.mark.long
def test_s3_trouble_while_storing_ends_like_any_other(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that takes nothing makes the job storing, with its result kept, and it ends one way or the other."""
    with monkeypatch.context() as patch:
        patch.setattr(system.app.client("s3"), "put_object", lambda **_: fails_with(denied())())
        _, job = system.post({"prompt": "p"})
        _, lost = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.answers == [200, 200]
        assert {found["status"] for found in system.jobs()} == {"storing"}
        before = system.row(lost["job_id"])
    system.app.jobs.put_off(lost["job_id"], 2**40)
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert "result_json" in before
    monkeypatch.setattr(system.app.client("s3"), "put_object", lambda **_: fails_with(denied())())
    system.app.jobs.put_off(lost["job_id"], 0)
    system.pass_time(waiting.STORE, 1200)
    ended = system.job(lost["job_id"])
    assert (ended["status"], ended["error"]["type"]) == ("failed", "output_unavailable")
    assert system.row(lost["job_id"])["result_json"] == before["result_json"]


def denied() -> ClientError:
    """What S3 answers to who may not."""
    return ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "PutObject")


def test_the_verdict_on_an_attempt_is_not_that_on_the_next(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a failure of the first attempt is being read, a second one goes out: it is not failed by the first."""
    really = JobTable.move
    went_out: list[str] = []

    def race(self: JobTable, job: Any, to: JobStatus, **changes: Any) -> Any:
        if to is JobStatus.FAILED and not went_out:
            went_out.append(job.job_id)
            attempt_again(system.app, job, lambda: 60)
        return really(self, job, to, **changes)

    seem_lost = [NotAcceptedError("seemed so")]
    post = FalClient.submit

    def submit(self: FalClient, *arguments: Any) -> Any:
        request = post(self, *arguments)
        if seem_lost:
            raise seem_lost.pop()
        return request

    monkeypatch.setattr(FalClient, "submit", submit)
    system.fal.add_scripts(Script.model_validate({"result": {"status": 422, "body": {"detail": "no"}}}))
    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    _, job = system.post({"prompt": "p"})
    monkeypatch.setattr(JobTable, "move", race)
    system.fal.advance(2.1)
    assert went_out == [job["job_id"]]
    monkeypatch.setattr(JobTable, "move", really)
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_urls_of_a_request_are_kept(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that was read before our own note does not replace the request by its id alone."""
    really = JobTable.get
    notes: list[Any] = []

    def read_before_the_note(self: JobTable, job_id: str) -> Any:
        job = really(self, job_id)
        return notes.pop() if notes and job else job

    after_submitting(monkeypatch, lambda: notes.append(really(system.app.jobs, system.rows()[0]["job_id"]["S"])))
    _, job = system.post({"prompt": "p"})
    monkeypatch.setattr(JobTable, "get", read_before_the_note)
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert "status_url" in system.row(job["job_id"])["request"]["M"]


def test_a_refusal_after_the_lease_is_noted(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proven no that comes very late still makes the job accepted, so that it is sent again."""

    def outlast_the_lease(*_: Any) -> Any:
        system.fal.clock.move(190)
        assert system.sweep() == 1
        raise NotAcceptedError("refused at last")

    monkeypatch.setattr("shared.sending.MOST_TRIES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(FalClient, "submit", outlast_the_lease)
        _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"]) == ("accepted", "retry")
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.parametrize("url", ["https://evil.example:99999/a.png", "data:image/png;base64,é", "https://[x/a.png"])
def test_odd_urls_of_outputs_end_the_job(system: Any, url: str) -> None:
    """Whatever stands where a URL should, the job is failed with a reason, and does not trip over it for ever."""
    body = {"images": [{"url": url}]}
    system.fal.add_scripts(Script.model_validate({"result": {"status": 200, "body": body}}))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "output_refused")
