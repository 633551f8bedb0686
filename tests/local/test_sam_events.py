"""Which function each event of `events/` is for, and what `make invoke` says of names and answers."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.events import as_delivered, find_function, list_events, read_event
from local.invoke import is_good
from local.resources import Template
from local.settings import ROOT, LocalError
from shared.upload_events import read_uploads

FUNCTIONS = {
    "authorize": "Authorize",
    "every_minute": "Sweep",
    "health": "ReadJobs",
    "list_jobs": "ReadJobs",
    "post_job": "SubmitFromApi",
    "upload_classic": "SubmitFromUpload",
    "upload_eventbridge": "SubmitFromUpload",
    "upload_sns": "SubmitFromUpload",
    "upload_test_event": "SubmitFromUpload",
}


def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local.invoke` on a machine without Docker."""
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "local.invoke", *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_events_are_known() -> None:
    """Every file is an event with a function here, and the delivery is one without a file."""
    assert list_events() == sorted([*FUNCTIONS, "delivery"])


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items())
def test_an_event_goes_where_the_template_sends_it(template: Template, name: str, function: str) -> None:
    """The function is found by queue, schedule, route or authorizer, as AWS would."""
    assert find_function(template, read_event(name)) == function


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_event_that_the_template_knows_no_more_has_no_function(template: Template, name: str) -> None:
    """Where the template has no such trigger, none is guessed."""
    bare = {key: replace(function, routes=(), queues=(), schedules=()) for key, function in template.functions.items()}
    with pytest.raises(LocalError, match="no function that such an event starts"):
        find_function(replace(template, functions=bare), read_event(name))


def test_without_a_name_the_names_are_listed() -> None:
    """The list needs no Docker."""
    done = invoke()
    assert done.returncode == 0
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")] == list_events()
    assert "EVENT=path" in done.stdout


def test_an_unknown_name_is_named_with_those_there_are() -> None:
    """The message holds the name and the list, and comes before any word of Docker."""
    done = invoke("upload")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert (
        line == f"error: there is no event upload; the events are {', '.join(list_events())}, and a file is EVENT=path"
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("[1", "no JSON"), ("[1]", "an event is a JSON object"), ("\xff", "no JSON")],
)
def test_a_file_that_is_no_event_is_one_line(tmp_path: Path, content: str | None, why: str) -> None:
    """The file is named with what is wrong, before any word of Docker."""
    file = tmp_path / "event.json"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    done = invoke("--check", "--event", str(file))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {file}: {why}")


def test_s3_s_own_event_comes_in_a_message(template: Template) -> None:
    """What `sam local generate-event s3 put` prints is an upload of the photo that is put there."""
    described = {"key": "products/a.png", "size": 1024, "eTag": "0123456789abcdef", "versionId": "096fKKXTRTtl3on89"}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "darkroom-inputs"}, "object": described},
    }
    event = as_delivered(template, {"Records": [record]}, b"photo")
    assert find_function(template, event) == "SubmitFromUpload"
    (upload,) = read_uploads(event["Records"][0]["body"])
    assert (upload.bucket, upload.key, upload.size) == ("darkroom-inputs", "products/a.png", 5)
    assert upload.etag == hashlib.md5(b"photo", usedforsecurity=False).hexdigest()
    assert described["size"] == 1024


@pytest.mark.parametrize(
    "event",
    [{}, {"Records": []}, {"Records": [1]}, {"Records": "x"}, {"Records": [{"eventSource": "aws:sqs", "body": "x"}]}],
)
def test_an_event_of_something_else_asks_for_a_function(template: Template, event: dict[str, Any]) -> None:
    """An event that fits no function is none of S3's, and the functions to choose from are named."""
    assert as_delivered(template, event, b"") == event
    with pytest.raises(LocalError, match="FUNCTION=SubmitFromUpload, SubmitFromApi"):
        find_function(template, event)


def test_without_docker_a_known_name_says_so() -> None:
    """An event that is there needs Docker."""
    done = invoke("--check", "health")
    assert done.returncode == 1
    assert "there is no `docker` on the PATH" in done.stderr


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ({"statusCode": 202, "body": "{}"}, True),
        ({"statusCode": 401}, False),
        ({"statusCode": 503}, False),
        ({"batchItemFailures": []}, True),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, False),
        ({"isAuthorized": True, "context": {}}, True),
        ({"isAuthorized": False, "context": {}}, False),
        ({"advanced": 0}, True),
        ({"errorType": "KeyError", "errorMessage": "x"}, False),
        (None, False),
    ],
)
def test_what_counts_as_done(answer: Any, good: bool) -> None:
    """An error, a refusal and a message that is to come again make the command fail."""
    assert is_good(answer) is good
