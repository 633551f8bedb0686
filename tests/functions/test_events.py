"""Each event file goes through its real handler."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions import authorize, callback, jobs, submit, sweep
from local.sam_engine import HARMLESS

EVENTS = Path(__file__).parent.parent.parent / "events"
KEY = "products/blue cup+saucer.png"


def read(name: str) -> dict[str, Any]:
    """One event file."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def test_no_event_file_is_left_out() -> None:
    """Every file has its test here."""
    handled = {"authorize", "every_minute", "health", "list_jobs", "post_job"}
    uploads = {"upload_classic", "upload_eventbridge", "upload_sns", "upload_test_event"}
    assert handled | uploads == {file.stem for file in EVENTS.glob("*.json")}


@pytest.mark.parametrize("name", ["upload_eventbridge", "upload_classic", "upload_sns"])
def test_uploads_in_each_form(system: Any, name: str) -> None:
    """The same object is found, whichever way its notice came."""
    system.put(KEY)
    assert submit.from_upload(read(name), system.context) == {"batchItemFailures": []}
    (job,) = system.jobs()
    assert (job["upload"]["key"], job["status"]) == (KEY, "queued")


def test_one_object_is_one_job_by_whichever_way(system: Any) -> None:
    """The three forms of one notice make one job and one paid request."""
    system.put(KEY)
    for name in ("upload_eventbridge", "upload_classic", "upload_sns"):
        submit.from_upload(read(name), system.context)
    assert len(system.jobs()) == len(system.requests()) == 1


def test_the_test_event_makes_nothing(system: Any) -> None:
    """What S3 sends at set-up is answered and forgotten."""
    assert submit.from_upload(read("upload_test_event"), system.context) == {"batchItemFailures": []}
    assert system.rows() == []


def test_the_api_s_events(system: Any) -> None:
    """A job is posted, the list and the health check answer."""
    assert submit.from_api(read("post_job"), system.context)["statusCode"] == 202
    assert jobs.handler(read("list_jobs"), system.context)["statusCode"] == 200
    assert json.loads(jobs.handler(read("health"), system.context)["body"])["status"] == "ok"


def test_the_authorizer_s_event(system: Any) -> None:
    """The token of the file is nobody's in this system."""
    assert authorize.handler(read("authorize"), system.context)["context"] == {"owner": ""}


def test_the_clock_s_event(system: Any) -> None:
    """An idle minute advances nothing."""
    assert sweep.handler(read("every_minute"), system.context) == {"advanced": 0}


@pytest.mark.parametrize(
    "handler", [submit.from_upload, submit.from_api, callback.handler, jobs.handler, authorize.handler]
)
def test_containers_are_warmed_by_an_event_that_does_nothing(system: Any, handler: Any) -> None:
    """Each function answers it, and neither writes nor asks AWS anything."""
    assert handler(HARMLESS, system.context)
    assert system.aws_calls == []
    assert system.rows() == []
