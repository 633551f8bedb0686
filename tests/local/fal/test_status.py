"""Status polls and the stream."""

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal


def test_the_position_in_the_queue_counts_down_to_zero(fal: "Fal") -> None:
    """IN_QUEUE is a 202 with a 0-based position, which falls while strangers and our own leave."""
    fal.set(others_queued=4, queue_seconds=4)
    fal.submit()
    job = fal.submit()
    positions = []
    for _ in range(4):
        answer = fal.http.get(job["status_url"])
        assert answer.status_code == 202
        assert answer.json()["status"] == "IN_QUEUE"
        positions.append(answer.json()["queue_position"])
        fal.emulator.advance(1)
    assert positions == [5, 4, 3, 2]
    assert fal.status(job)["status"] == "IN_PROGRESS"


def test_the_last_in_line_gets_to_position_zero(fal: "Fal") -> None:
    """With one runner, each request that leaves moves the others up."""
    fal.set(concurrency=1, queue_seconds=0.5, run_seconds=2)
    jobs = [fal.submit() for _ in range(3)]
    positions = [fal.status(jobs[2])["queue_position"]]
    for _ in range(2):
        fal.emulator.advance(2)
        positions.append(fal.status(jobs[2])["queue_position"])
    assert positions == [2, 1, 0]


def test_a_running_request_is_a_202_with_logs(fal: "Fal") -> None:
    """IN_PROGRESS always carries the key logs, which fal's client reads."""
    job = fal.submit()
    fal.emulator.advance(1)
    answer = fal.http.get(job["status_url"] + "?logs=1")
    assert answer.status_code == 202
    assert answer.json()["status"] == "IN_PROGRESS"
    (line,) = answer.json()["logs"]
    assert (line["level"], line["source"]) == ("INFO", "USER")
    assert line["timestamp"] == "2023-11-14T22:13:20.500Z"


def test_a_completed_request_is_a_200_with_its_inference_time(fal: "Fal") -> None:
    """COMPLETED carries logs, metrics and no error."""
    fal.script({"run_seconds": 3.42})
    job = fal.submit()
    fal.emulator.advance(10)
    answer = fal.http.get(job["status_url"])
    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["logs"], found["metrics"]) == ("COMPLETED", None, {"inference_time": 3.42})
    assert "error" not in found
    assert "error_type" not in found


def test_an_infrastructure_failure_is_completed_with_an_error_type(fal: "Fal") -> None:
    """The failure shows in error and error_type, and there are no metrics."""
    fal.script({"infrastructure_error": "runner_disconnected"})
    job = fal.submit()
    fal.emulator.advance(60)
    found = fal.status(job, "?logs=0")
    assert found["status"] == "COMPLETED"
    assert (found["error"], found["error_type"]) == ("Runner disconnected", "runner_disconnected")
    assert found["metrics"] == {}


def test_a_model_failure_is_completed_without_an_error_type(fal: "Fal") -> None:
    """What the model refuses is COMPLETED too, and only the result says what it was."""
    job = fal.submit(arguments={})
    fal.emulator.advance(10)
    found = fal.status(job)
    assert (found["status"], found["error"]) == ("COMPLETED", "Invalid status code: 422")
    assert "error_type" not in found


def test_there_is_never_a_fourth_state(fal: "Fal") -> None:
    """Successes, failures, retries and cancels pass through three states only."""
    fal.set(run_seconds=1)
    fal.script({}, {"infrastructure_error": "internal_error"}, {"fail_attempts": 1}, {"result": {"status": 422}})
    jobs = [fal.submit() for _ in range(6)]
    fal.http.put(jobs[4]["cancel_url"])
    states = set()
    for step in range(60):
        states |= {fal.status(job)["status"] for job in jobs}
        if step == 15:
            fal.http.put(jobs[5]["cancel_url"])
        fal.emulator.advance(0.1)
    fal.emulator.advance(60)
    assert {fal.status(job)["status"] for job in jobs} == {"COMPLETED"}
    assert states == {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [("?logs=1", True), ("?logs=true", True), ("?logs=0", False), ("?logs=false", False), ("", False)],
)
def test_logs_are_asked_for_in_four_ways(fal: "Fal", query: str, shown: bool) -> None:
    """The Python client says true and false, the others 1 and 0; without logs the key is null."""
    job = fal.submit()
    fal.emulator.advance(10)
    assert (fal.status(job, query)["logs"] is not None) is shown


@pytest.mark.parametrize("what", ["", "/status", "/status/stream", "/nonsense"])
def test_an_unknown_request_is_not_found(fal: "Fal", what: str) -> None:
    """The answer to an unknown id is a 404 with its own status word."""
    answer = fal.http.get(f"/fal-ai/flux-pro/requests/00000000-0000-4000-8000-000000000000{what}")
    assert (answer.status_code, answer.json()) == (404, {"status": "NOT_FOUND"})


def test_a_bad_key_cannot_poll(fal: "Fal") -> None:
    """Status, result and cancel need the key as the submit does."""
    fal.set(keys=["id:secret"])
    job = fal.submit()
    for method, url in (("GET", "status_url"), ("GET", "response_url"), ("PUT", "cancel_url")):
        assert fal.http.request(method, job[url], headers={"Authorization": "Key a:b"}).status_code == 401
    assert fal.status(job)["status"] == "IN_QUEUE"


def test_no_request_jumps_to_completed(fal: "Fal") -> None:
    """As set by default, a poller sees a request wait, run and complete."""
    job = fal.submit()
    seen: list[str] = []
    for _ in range(30):
        state = fal.status(job)["status"]
        seen += [state] if seen[-1:] != [state] else []
        fal.emulator.advance(0.1)
    assert seen == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_request_completes_at_once_where_that_is_asked(fal: "Fal") -> None:
    """With no wait and no run, all that is due at the submit finishes the request."""
    fal.set(queue_seconds=0, run_seconds=0)
    job = fal.submit()
    fal.emulator.run_due()
    assert fal.status(job)["status"] == "COMPLETED"


def test_polling_is_cheap(fal: "Fal") -> None:
    """A poll takes a few milliseconds at most, also among many requests."""
    jobs = [fal.submit() for _ in range(50)]
    began = time.perf_counter()
    for _ in range(100):
        fal.status(jobs[-1])
    assert time.perf_counter() - began < 2.0


def test_the_stream_shows_each_change_and_ends(fal: "Fal") -> None:
    """Each event is a status object, and the last one says COMPLETED."""
    job = fal.submit()
    with fal.http.stream("GET", job["status_url"] + "/stream?logs=1") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    states = [event["status"] for event in events]
    assert list(dict.fromkeys(states)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert states.count("COMPLETED") == 1
    assert events[-1]["response_url"] == job["response_url"]
