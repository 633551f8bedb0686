"""Functions in containers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.container import serve
from local.container_process import MAX_PAYLOAD, FunctionError, PayloadTooLargeError
from local.lambdas import Lambdas
from local.resources import Function, QueueSource
from local.settings import ROOT

HANDLERS = "tests.local.handlers"


def function(handler: str, timeout: int = 10, *, queue: bool = False) -> Function:
    """A function with a handler of these tests."""
    return Function(
        logical_id=handler,
        name=f"darkroom-{handler}",
        arn=f"arn:aws:lambda:us-east-1:123456789012:function:darkroom-{handler}",
        handler=f"{HANDLERS}.{handler}",
        timeout=timeout,
        memory=512,
        environment={"JOB_TABLE": "darkroom-jobs"},
        routes=(),
        queues=(QueueSource("uploads", "arn", 10, reports_failures=True),) if queue else (),
        schedules=(),
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the containers of this module log."""
    return tmp_path_factory.mktemp("lambdas") / "log"


@pytest.fixture(scope="module")
def lambdas(log: Path) -> Iterator[Lambdas]:
    """Containers for the handlers of these tests."""
    os.environ["DARKROOM_TEST_SECRET"] = "x"
    functions = {
        "echo": function("echo"),
        "fail": function("fail"),
        "sleep": function("sleep", timeout=1),
        "nap": function("sleep", queue=True),
        "leave": function("leave"),
        "answer_with_bytes": function("answer_with_bytes"),
    }
    with log.open("ab", buffering=0) as file:
        running = Lambdas(functions, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, file)
        running.start()
        yield running
        running.close()
    del os.environ["DARKROOM_TEST_SECRET"]


def test_a_handler_sees_what_lambda_shows(lambdas: Lambdas) -> None:
    """A handler gets the event, the context, and the environment of the template and of Lambda, and no other."""
    names = ["JOB_TABLE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_NAME", "DARKROOM_TEST_SECRET"]
    answer = lambdas.invoke("echo", {"names": names, "text": "ü\n"})
    assert answer["event"]["text"] == "ü\n"
    assert answer["environment"] == {
        "JOB_TABLE": "darkroom-jobs",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "darkroom-echo",
        "DARKROOM_TEST_SECRET": None,
    }
    assert answer["function"] == "darkroom-echo"
    assert answer["arn"].endswith(":function:darkroom-echo")
    assert answer["memory"] == 512
    assert 8_000 < answer["remaining"] <= 10_000


def test_a_container_is_used_again(lambdas: Lambdas) -> None:
    """One event after another goes to the same process, which keeps its state."""
    first, second = (lambdas.invoke("echo", {}) for _ in range(2))
    assert first["pid"] == second["pid"] != os.getpid()
    assert second["calls"] == first["calls"] + 1


def test_prints_go_to_the_log(lambdas: Lambdas, log: Path) -> None:
    """What a handler prints is in the log, with a report of the invocation."""
    lambdas.invoke("echo", {})
    text = log.read_text()
    assert "a handler prints" in text
    assert "REPORT darkroom-echo RequestId: " in text


def test_an_exception_becomes_lambdas_error(lambdas: Lambdas, log: Path) -> None:
    """A handler's exception comes back as type and message, and its traceback is in the log."""
    with pytest.raises(FunctionError) as caught:
        lambdas.invoke("fail", {})
    assert caught.value.payload() == {"errorType": "ValueError", "errorMessage": "no such thing"}
    assert "handlers.py" in log.read_text()


def test_an_answer_that_is_no_json_is_an_error(lambdas: Lambdas) -> None:
    """Lambda gives back JSON only."""
    with pytest.raises(FunctionError, match="TypeError"):
        lambdas.invoke("answer_with_bytes", {})


def test_a_handler_that_takes_too_long_is_ended(lambdas: Lambdas, log: Path) -> None:
    """A handler is killed at its timeout, and the next event finds a new container."""
    with pytest.raises(FunctionError) as caught:
        lambdas.invoke("sleep", {"seconds": 30})
    assert caught.value.error_type == "Sandbox.Timedout"
    assert caught.value.message.endswith("Task timed out after 1.00 seconds")
    assert "Task timed out" in log.read_text()
    assert lambdas.invoke("sleep", {"seconds": 0}) != os.getpid()


def test_a_container_that_dies_is_replaced(lambdas: Lambdas) -> None:
    """A process that ends in the middle is an error, and so is only that one event."""
    for _ in range(2):
        with pytest.raises(FunctionError, match=r"Runtime\.ExitError: .*exited with error: 3"):
            lambdas.invoke("leave", {})


def test_an_idle_container_that_was_killed_is_replaced(lambdas: Lambdas) -> None:
    """A container that died between two events costs no event."""
    pid = lambdas.invoke("echo", {})["pid"]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert lambdas.invoke("echo", {})["pid"] != pid


def test_two_events_run_side_by_side(lambdas: Lambdas) -> None:
    """A function that is busy gets a second container."""
    with ThreadPoolExecutor(2) as threads:
        pids = list(threads.map(lambdas.invoke, ["nap"] * 2, [{"seconds": 0.5}] * 2))
    assert len(set(pids)) == 2


def test_a_large_event_is_refused(lambdas: Lambdas) -> None:
    """Lambda takes events of 6 MB at most."""
    with pytest.raises(PayloadTooLargeError):
        lambdas.invoke("echo", {"text": "x" * MAX_PAYLOAD})


def test_a_large_answer_is_an_error(lambdas: Lambdas) -> None:
    """An answer of more than 6 MB does not come through either."""
    with pytest.raises(FunctionError, match="ResponseSizeTooLarge"):
        lambdas.invoke("echo", {"text": "x" * (MAX_PAYLOAD - 20)})


@pytest.mark.parametrize("handler", ["nobody", "echo.more"])
def test_a_handler_that_cannot_be_imported_shows_at_the_start(handler: str, log: Path) -> None:
    """A wrong handler in the template is found before the first event."""
    with log.open("ab", buffering=0) as file:
        broken = Lambdas({"broken": function(handler)}, {}, file)
        with pytest.raises(FunctionError, match=rf"Runtime\.ImportModuleError: {HANDLERS}.{handler}"):
            broken.start()
        broken.close()


def test_a_container_ends_with_its_parent() -> None:
    """A container whose standard input ends is done, so none outlives the stack."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "local.container", f"{HANDLERS}.echo"],
        cwd=ROOT,
        input=b"",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == {"result": "ready"}


def test_no_event_is_taken_when_closed(log: Path) -> None:
    """Once closed, all processes are gone and invocations fail."""
    with log.open("ab", buffering=0) as file:
        running = Lambdas({"echo": function("echo")}, {}, file)
        pid = running.invoke("echo", {})["pid"]
        running.close()
        with pytest.raises(FunctionError, match="the stack is ending"):
            running.invoke("echo", {})
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_container_answers_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop inside a container answers each line with a line, errors included."""
    context: dict[str, Any] = {
        "aws_request_id": "1",
        "deadline": time.time() + 5,
        "function_name": "darkroom-echo",
        "memory_limit_in_mb": 512,
        "invoked_function_arn": "arn",
        "log_group_name": "group",
        "log_stream_name": "stream",
    }
    events = tmp_path / "events"
    events.write_text(json.dumps({"event": {"seconds": 0}, "context": context}) + "\n")
    answers = tmp_path / "answers"
    for handler in ("sleep", "fail", "nobody"):
        with events.open("rb") as lines, answers.open("ab") as out:
            serve(f"{HANDLERS}.{handler}", lines, out)
    said = [json.loads(line) for line in answers.read_text().splitlines()]
    assert said[:3] == [{"result": "ready"}, {"result": os.getpid()}, {"result": "ready"}]
    assert said[3]["error"]["errorType"] == "ValueError"
    assert said[4]["error"]["errorType"] == "AttributeError"
    assert "REPORT darkroom-echo RequestId: 1" in capsys.readouterr().out
