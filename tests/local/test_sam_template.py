"""What `sam local` is given to run, made of template.yaml, and how what it says is read. No Docker is needed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.container_process import FunctionError
from local.docker import host_architecture, images_of
from local.foreground import NO_PROXY
from local.resources import Template
from local.sam import read_answer, sam_environment, sam_local
from local.sam_template import derive_template
from local.settings import ROOT, LocalError

BUILT = Path("/built")


def test_functions_get_the_names_that_the_template_means(built: dict[str, Any], template: Template) -> None:
    """Each function has the template's variables, resolved as for the default engine, and what is added."""
    derived = derive_template(built, template.functions, {"AWS_ENDPOINT_URL": "http://172.17.0.1:5000"}, BUILT)
    for name, function in template.functions.items():
        variables = derived["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert variables == function.environment | {"AWS_ENDPOINT_URL": "http://172.17.0.1:5000"} | NO_PROXY
    assert derived["Resources"]["Sweep"]["Properties"]["Environment"]["Variables"]["JOB_TABLE"] == "darkroom-jobs"


def test_functions_run_what_was_built_for_this_machine(built: dict[str, Any], template: Template) -> None:
    """The code is found from any folder, and is of this machine's processor whatever is deployed."""
    derived = derive_template(built, template.functions, {}, BUILT)
    properties = derived["Resources"]["Callback"]["Properties"]
    assert properties["CodeUri"] == "/built/Callback"
    assert properties["Architectures"] == [host_architecture()]


def test_all_else_is_as_it_was_built(built: dict[str, Any], template: Template) -> None:
    """Routes, authorizer, handlers and timeouts reach SAM as the template has them."""
    derived = derive_template(built, template.functions, {}, BUILT)
    assert derived["Resources"]["Api"] == built["Resources"]["Api"]
    for name in template.functions:
        after, before = (content["Resources"][name]["Properties"] for content in (derived, built))
        changed = {"CodeUri", "Environment", "Architectures"}
        assert {key: value for key, value in after.items() if key not in changed} == {
            key: value for key, value in before.items() if key not in changed
        }


def test_a_build_of_another_template_is_refused(built: dict[str, Any], template: Template) -> None:
    """A function that is new since the build is not left out in silence."""
    more = template.functions | {"Notify": replace(template.functions["Sweep"], logical_id="Notify")}
    with pytest.raises(LocalError, match=r"template\.yaml has other functions than what was built"):
        derive_template(built, more, {}, BUILT)


def test_the_image_is_the_runtime_s(built: dict[str, Any]) -> None:
    """The images come from the template's runtimes, a function's own before the shared one."""
    assert images_of(built, "arm64") == {"public.ecr.aws/lambda/python:3.13-arm64"}
    built["Resources"]["Sweep"]["Properties"]["Runtime"] = "python3.12"
    assert "public.ecr.aws/lambda/python:3.12-arm64" in images_of(built, "arm64")


def test_sam_pulls_nothing_and_reads_the_derived_template() -> None:
    """Each command names the template and skips the pull, which has been seen to."""
    words = sam_local("start-api", Path("/t.yaml"), "--port", "3000")
    assert words[0] == str(ROOT / ".tools" / "sam" / "bin" / "sam")
    assert words[1:] == ["local", "start-api", "--port", "3000", "--template", "/t.yaml", "--skip-pull-image"]


def test_variables_of_the_terminal_stay_out(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM prefers the terminal's values to the template's, and asks AWS about credentials: it sees neither."""
    monkeypatch.setenv("POLL_SECONDS", "7")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    environment = sam_environment(template.functions)
    assert "POLL_SECONDS" not in environment
    assert environment["DOCKER_HOST"] == "unix:///run/user/1000/docker.sock"
    assert "AWS_ACCESS_KEY_ID" not in environment


def test_an_answer_is_what_the_function_gave() -> None:
    """JSON of any kind is an answer."""
    assert read_answer('{"batchItemFailures": []}') == {"batchItemFailures": []}
    assert read_answer("null") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"errorType": "KeyError", "errorMessage": "x", "stackTrace": []}', "KeyError: x"),
        ('{"errorType": "Runtime.ExitError"}', "Runtime.ExitError: "),
        ("2026-11-21 Task timed out after 1.00 seconds\n\n", "Runtime.ExitError: .*Task timed out after 1.00 seconds$"),
        ("", "Runtime.ExitError: no answer"),
    ],
)
def test_a_failure_is_no_answer(text: str, message: str) -> None:
    """An exception, a timeout, and silence are failures of the function, whose messages stay in the queue."""
    with pytest.raises(FunctionError, match=message):
        read_answer(text)
