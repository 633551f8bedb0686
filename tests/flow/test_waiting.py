"""How long jobs wait, what makes an attempt be followed by another, and when a job is given up."""

from typing import Any

import httpx
import pytest

from local.fal import Script
from shared import waiting
from shared.completion import MOST_RESUBMITS
from shared.errors import NotAcceptedError, ReplyLostError
from shared.fal import FalClient
from shared.sending import MOST_TRIES
from tests.flow.deliveries import error, held, signed

UNREAD = {"detail": [{"loc": ["body", "image_url"], "msg": "cannot be had", "type": "file_download_error"}]}


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, times: float) -> list[float]:
    """Let so many submissions fail so; gives the times at which any was made."""
    really = FalClient.submit
    made: list[float] = []

    def submit(self: FalClient, *arguments: Any) -> Any:
        made.append(0)
        if len(made) <= times:
            raise error
        return really(self, *arguments)

    monkeypatch.setattr(FalClient, "submit", submit)
    return made


def unread(times: int) -> list[Script]:
    """Requests whose input cannot be read."""
    return [Script.model_validate({"result": {"status": 422, "body": UNREAD}})] * times


def test_what_was_not_taken_is_tried_again_at_once(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that has the time makes up to four tries, with growing pauses, and the caller sees a queued job."""
    failing(monkeypatch, NotAcceptedError("refused"), MOST_TRIES - 1)
    pauses: list[float] = []
    system.app.sleep = pauses.append
    _, job = system.post({"prompt": "p"})
    assert job["status"] == "queued"
    assert len(pauses) == MOST_TRIES - 1
    assert 0.25 <= pauses[0] < pauses[-1] <= 4


def test_tries_end_with_the_time(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that could be cut off in the middle of another try leaves it to a later one."""
    made = failing(monkeypatch, NotAcceptedError("refused"), 1)
    system.hurry()
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"], len(made)) == ("accepted", "retry", 1)


def test_tries_become_rarer(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour in which fal cannot be reached costs a job a dozen attempts, and none of them is paid."""
    made = failing(monkeypatch, NotAcceptedError("refused"), float("inf"))
    monkeypatch.setattr("shared.breaker.FAILURES_TO_OPEN", 10**6)
    _, job = system.post({"prompt": "p"})
    system.pass_time(3600)
    assert system.job(job["job_id"])["status"] == "accepted"
    assert 4 <= len(made) / MOST_TRIES <= 12


def test_jobs_that_failed_together_do_not_return_together() -> None:
    """Waits double up to a bound, and are spread over half of their length."""
    waits = [waiting.backoff(f"job {number}", 3, first=60, most=900) for number in range(200)]
    assert 240 <= min(waits) < 260
    assert 460 < max(waits) <= 480
    assert waiting.backoff("job", 1000, first=60, most=900) <= 900


def test_an_unknown_attempt_is_failed_when_it_is_dead(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word about an attempt, and without leave to risk a second payment, the job fails, and not before."""
    failing(monkeypatch, ReplyLostError("lost"), 1)
    _, job = system.post({"prompt": "p"})
    system.pass_time(waiting.ATTEMPT - 600, 600)
    assert system.job(job["job_id"])["status"] == "unconfirmed"
    system.pass_time(1200, 600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "reply_lost")
    assert system.requests() == []


@pytest.fixture
def resubmitting(system: Any) -> Any:
    """The system, with a preset that would rather pay twice than lose a job."""
    for name, preset in system.app.presets.items():
        system.app.presets[name] = preset.model_copy(update={"on_unknown": "resubmit"})
    return system


def test_a_preset_may_send_a_dead_attempt_again(resubmitting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `on_unknown: resubmit` an attempt that nothing was heard of is followed by another, once it is dead."""
    system = resubmitting
    made = failing(monkeypatch, ReplyLostError("lost"), 1)
    system.upload(system.put("sketch/a.png"))
    system.pass_time(waiting.ATTEMPT - 600, 600)
    assert len(made) == 1
    system.pass_time(1200, 600)
    (job,) = system.jobs()
    assert (job["status"], len(made)) == ("succeeded", 2)


def test_sending_again_ends_too(resubmitting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no attempt is ever heard of, the job fails after a bounded number of them."""
    made = failing(monkeypatch, ReplyLostError("lost"), float("inf"))
    resubmitting.upload(resubmitting.put("sketch/a.png"))
    resubmitting.pass_time(waiting.T_MAX, 3600)
    (job,) = resubmitting.jobs()
    assert (job["status"], job["error"]["type"]) == ("failed", "reply_lost")
    assert len(made) == MOST_RESUBMITS + 1


def test_a_delivery_of_an_attempt_that_another_followed(resubmitting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word about an older attempt, later than fal could ever speak, changes nothing."""
    system = resubmitting
    really = FalClient.submit

    def lose(self: FalClient, *arguments: Any) -> Any:
        really(self, *arguments)
        raise ReplyLostError("lost")

    kept = held(system)
    with monkeypatch.context() as patch:
        patch.setattr(FalClient, "submit", lose)
        system.upload(system.put("sketch/a.png"))
    system.fal.change_settings({"queue_seconds": 900})
    system.pass_time(waiting.ATTEMPT + 600, 600)
    (job,) = system.jobs()
    assert job["status"] == "queued"
    system.fal.clock.move(-(system.fal.clock.now() - int(kept[0][1]["X-Fal-Webhook-Timestamp"])))
    before = system.row(job["job_id"])
    assert system.call_back(*kept[0]) == 404
    assert system.row(job["job_id"]) == before


def test_an_input_that_fal_could_not_read_is_sent_again(system: Any) -> None:
    """A link that died in the queue costs nothing: the job is sent again with a fresh one, and paid once."""
    system.fal.add_scripts(*unread(1))
    system.upload(system.put("sketch/a.png"))
    system.fal.advance(10)
    (job,) = system.jobs()
    assert (job["status"], job["reason"], job["request_id"]) == ("accepted", "file_download_error", None)
    system.pass_time(300)
    assert system.jobs()[0]["status"] == "succeeded"
    first, second = system.requests()
    assert first["webhook_url"] != second["webhook_url"]
    assert [request["billed_units"] for request in (first, second)] == [0, 1]


def test_the_same_word_again_sends_nothing_more(system: Any) -> None:
    """The delivery that says so comes twice, before and after the job is sent again: one more request, and no third."""
    system.fal.add_scripts(*unread(1))
    system.upload(system.put("sketch/a.png"))
    system.fal.advance(10)
    assert system.call_back(*system.deliveries[0]) == 200
    system.pass_time(120)
    assert len(system.requests()) == 2
    assert system.call_back(*system.deliveries[0]) == 404
    system.pass_time(300)
    assert system.jobs()[0]["status"] == "succeeded"
    assert len(system.requests()) == 2


def test_an_input_that_can_never_be_read_fails_the_job(system: Any) -> None:
    """After a bounded number of attempts fal's own word ends the job."""
    system.fal.add_scripts(*unread(20))
    system.upload(system.put("sketch/a.png"))
    system.pass_time(3 * 3600, 300)
    (job,) = system.jobs()
    assert (job["status"], job["error"]["type"]) == ("failed", "file_download_error")
    assert len(system.requests()) == MOST_RESUBMITS + 1


def test_the_same_word_again_does_not_cost_the_last_attempt(system: Any) -> None:
    """With no attempt to follow the next one, a copy of the word that led to it changes nothing."""
    system.fal.add_scripts(*unread(MOST_RESUBMITS))
    system.upload(system.put("sketch/a.png"))
    while len(system.deliveries) < MOST_RESUBMITS:
        system.pass_time(60)
    (job,) = system.jobs()
    assert job["status"] == "accepted"
    before = system.row(job["job_id"])
    assert system.call_back(*system.deliveries[-1]) == 200
    assert system.row(job["job_id"]) == before
    system.pass_time(3600, 300)
    assert system.jobs()[0]["status"] == "succeeded"


def test_a_foreign_image_that_cannot_be_read_fails_at_once(system: Any) -> None:
    """A caller's own URL is not ours to renew."""
    system.fal.add_scripts(*unread(1))
    _, job = system.post({"prompt": "p", "image_url": "https://example.com/a.png"})
    system.fal.advance(10)
    assert system.job(job["job_id"])["error"]["type"] == "file_download_error"
    assert len(system.requests()) == 1


def test_an_unread_input_without_a_delivery(system: Any) -> None:
    """The same word, learned by asking, has the same effect."""
    system.deliver = lambda *_: 404
    system.fal.add_scripts(*unread(1))
    system.upload(system.put("sketch/a.png"))
    system.pass_time(900)
    assert system.jobs()[0]["status"] == "succeeded"
    assert len(system.requests()) == 2


def test_an_error_after_the_pictures_takes_nothing_back(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OK, then ERROR while the outputs are still being stored: the job succeeds."""
    kept = held(system)
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    with (
        monkeypatch.context() as patch,
        httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as down,
    ):
        patch.setattr(system.app.downloads, "_http", down)
        assert system.call_back(*kept[0]) == 200
    assert system.job(job["job_id"])["status"] == "storing"
    assert system.call_back(*signed(system, kept[0], error(kept[0], UNREAD))) == 200
    assert system.job(job["job_id"])["status"] == "storing"
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_a_request_that_never_ends_is_cancelled_and_the_job_failed(system: Any) -> None:
    """fal keeps it running for longer than it ever should: we ask it to drop it, and say why the job failed."""
    system.fal.change_settings({"run_seconds": 10**6})
    _, job = system.post({"prompt": "p"})
    system.pass_time(waiting.ATTEMPT + 1200, 600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "no_word_from_fal")
    assert system.requests()[0]["cancel_asked"]
