"""Which function each event of `events/` is for, and what `make invoke` says of names and answers."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from local.events import find_function, list_events, read_event
from local.invoke import is_good
from local.resources import Template
from local.settings import ROOT, LocalError

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
    assert done.stdout.split()[-len(list_events()) :] == list_events()


def test_an_unknown_name_is_named_with_those_there_are() -> None:
    """The message holds the name and the list, and comes before any word of Docker."""
    done = invoke("upload")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == f"error: there is no event upload; the events are {', '.join(list_events())}"


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
