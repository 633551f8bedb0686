"""Requests that failed: whatever form fal's word has, the job ends with it at once, and never lies about it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.fal import Script
from local.fal.scripts import ScriptedResult
from shared.errors import ReplyLostError
from tests.flow.deliveries import error, finished, held, signed
from tests.flow.test_paid_and_kept import unanswered

DETAIL = {"loc": ["body", "prompt"], "msg": "not allowed", "type": "content_policy_violation", "input": "p"}


FAILED = {"status": "COMPLETED", "error": "Invalid status code: 400", "logs": None}
BAD = {"detail": "Bad request"}


@pytest.mark.parametrize(
    ("status", "result", "message"),
    [
        (FAILED, httpx.Response(400, json=BAD), "Bad request"),
        (FAILED, httpx.Response(404, json=BAD), "Bad request"),
        (FAILED, httpx.Response(500, json=BAD), "Bad request"),
        (FAILED, httpx.Response(503, json=BAD), "Bad request"),
        (FAILED, httpx.Response(410, json={}), "Invalid status code: 400"),
        (FAILED, httpx.Response(404, json={"status": "NOT_FOUND"}), "Invalid status code: 400"),
        (FAILED, httpx.Response(422, json={"detail": [DETAIL]}), "body.prompt: not allowed"),
        ({"status": "FAILED", "error": "out of luck"}, httpx.Response(400, json={}), "out of luck"),
        ({"status": "failed", "error": "out of luck"}, httpx.Response(404, json={}), "out of luck"),
        ({"status": "ERROR"}, httpx.Response(400, json=BAD), "Bad request"),
        (
            {"status": "CANCELED"},
            httpx.Response(499, json={"detail": "Request was cancelled"}),
            "Request was cancelled",
        ),
        ({"status": "TIMED_OUT", "error": "too slow"}, httpx.Response(504, json={}), "too slow"),
        ({"status": "DONE", "error_type": "runner_server_error"}, None, "fal says DONE"),
    ],
)
def test_a_failure_found_by_asking_ends_the_job_at_the_next_look(
    system: Any, queue_says: Callable[..., None], status: Any, result: Any, message: str
) -> None:
    """No delivery came: the queue has said that the request failed, so nothing is in doubt, and its words are kept."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says(status, result)
    system.pass_time(180)
    job = system.job(job["job_id"])
    assert job["status"] == "failed"
    assert message in job["error"]["message"]
    assert job["error"]["type"] != "no_word_from_fal"


@pytest.mark.parametrize("result", [httpx.ReadTimeout("slow"), httpx.Response(502, text="<html>Bad gateway</html>")])
def test_a_reason_that_cannot_be_read_now_is_asked_for_a_few_times(
    system: Any, queue_says: Callable[..., None], result: Any
) -> None:
    """A gateway's page is no reason: fal is asked again, for half an hour at most, and then the queue's words do."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says(FAILED, result)
    system.pass_time(180)
    assert system.job(job["job_id"])["status"] == "queued"
    system.pass_time(3600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["message"]) == ("failed", "Invalid status code: 400")


@pytest.mark.long
@pytest.mark.parametrize("status", [401, 402, 403, 408, 429])
def test_what_is_said_of_the_caller_is_no_reason_of_the_request(
    system: Any, queue_says: Callable[..., None], status: int
) -> None:
    """A key that is refused at the result says nothing of why the request failed."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says(FAILED, httpx.Response(status, json={"detail": "No user found for Key ID and Secret"}))
    system.pass_time(7200)
    assert system.job(job["job_id"])["error"]["message"] == "Invalid status code: 400"


@pytest.mark.parametrize("word", ["QUEUED", "PENDING", "PROCESSING", "RUNNING", "in_queue", "IN_PROGRESS"])
def test_a_gateway_s_words_for_waiting(system: Any, queue_says: Callable[..., None], word: str) -> None:
    """What waits or runs is asked after, and is no failure; the picture is stored when it is there."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says({"status": word})
    system.pass_time(600)
    assert (system.job(job["job_id"])["status"], system.job(job["job_id"])["why"]) == ("queued", None)
    queue_says()
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.parametrize("word", ["SUCCEEDED", "succeeded", "OK", "DONE", "completed", "FINISHED"])
def test_a_gateway_s_words_for_done(system: Any, queue_says: Callable[..., None], word: str) -> None:
    """Another word without an error may mean that the result is there: it is fetched."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says({"status": word})
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.parametrize("payload", [None, {}, [], "text", {"detail": None}, {"detail": []}, {"images": []}])
def test_an_error_delivery_without_a_reason_has_the_queue_asked(system: Any, payload: Any) -> None:
    """The reason is at the queue, in the model's own words."""
    system.fal.add_scripts(Script(result=ScriptedResult(status=422, body={"detail": [DETAIL]})))
    job_id, delivery = finished(system)
    assert system.call_back(*signed(system, delivery, error(delivery, payload))) == 200
    assert system.job(job_id)["error"] == {
        "type": "content_policy_violation",
        "message": "body.prompt: not allowed",
    }


def test_an_unpaid_failure_without_a_reason_is_sent_again(system: Any) -> None:
    """A request that never started says so at the queue alone: the job goes on."""
    system.fal.add_scripts(Script(infrastructure_error="startup_timeout"))
    kept = held(system)
    _, job = system.post({"prompt": "p"})
    system.fal.advance(60)
    assert system.call_back(*signed(system, kept[0], error(kept[0], None))) == 200
    assert system.job(job["job_id"])["reason"] == "startup_timeout"
    del system.deliver
    system.pass_time(300)
    assert system.job(job["job_id"])["status"] == "succeeded"


def test_an_error_delivery_whose_reason_cannot_be_asked_for_is_not_forgotten(
    system: Any, queue_says: Callable[..., None]
) -> None:
    """fal is down: what the delivery says is shown, and the sweep asks; where nothing better comes, it is why."""
    job_id, delivery = finished(system)
    queue_says(httpx.ConnectError("down"), httpx.ConnectError("down"))
    assert system.call_back(*signed(system, delivery, error(delivery, None))) == 200
    job = system.job(job_id)
    assert (job["status"], job["why"]) == ("queued", "Invalid status code: 422")
    system.pass_time(25 * 3600, 3600)
    job = system.job(job_id)
    assert (job["status"], job["error"]["message"]) == ("failed", "Invalid status code: 422")


def test_an_error_delivery_is_checked_where_it_gives_no_reason(system: Any) -> None:
    """An ERROR without a word of why, about a request that the queue knows as done: the paid picture is stored."""
    job_id, delivery = finished(system)
    assert system.call_back(*signed(system, delivery, error(delivery, None))) == 200
    assert system.job(job_id)["status"] == "succeeded"


def test_the_delivery_s_own_error_is_the_least(system: Any, queue_says: Callable[..., None]) -> None:
    """Where the queue has no words either, the delivery's are kept."""
    job_id, delivery = finished(system)
    queue_says({"status": "COMPLETED", "error": ""}, httpx.Response(400, json={}))
    assert system.call_back(*signed(system, delivery, error(delivery, None))) in {200, 503}
    queue_says({"status": "FAILED"}, httpx.Response(400, json={}))
    assert system.call_back(*signed(system, delivery, error(delivery, None))) == 200
    assert system.job(job_id)["error"]["message"] == "Invalid status code: 422"


def test_a_reply_that_was_lost_and_an_error_without_reason(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery is the first word of its request: it is asked after, and the job ends with the model's words."""
    script = Script(result=ScriptedResult(status=422, body={"detail": [DETAIL]}))
    job_id, delivery = unanswered(system, monkeypatch, ReplyLostError("lost"), script)
    assert system.call_back(*signed(system, delivery, error(delivery, None))) == 200
    assert system.job(job_id)["error"]["type"] == "content_policy_violation"
