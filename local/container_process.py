"""A container of the Lambda stand-in: a process that takes one event at a time."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from local.resources import Function
from local.settings import ROOT
from local.template import REGION

MAX_PAYLOAD = 6 * 1024 * 1024
"""Lambda takes no larger event, and gives no larger answer (Lambda docs: quotas)."""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR")
"""What a container sees of this process's environment; with more, a user's profile or proxy would have a say."""


class FunctionError(Exception):
    """A function did not answer; `error_type` is what Lambda would say."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message

    def payload(self) -> dict[str, str]:
        """The error as Lambda gives it to whoever invoked."""
        return {"errorType": self.error_type, "errorMessage": self.message}


class PayloadTooLargeError(Exception):
    """The event is larger than what Lambda takes."""


class ContainerProcess:
    """One process that handles one event at a time."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: IO[bytes], code: Path) -> None:
        self._code = code
        self._function = function
        self._log = log
        self._stream = f"local/[$LATEST]{uuid.uuid4().hex}"
        self._process = subprocess.Popen(  # noqa: S603 - the handler's name is the template's
            [sys.executable, "-m", "local.container", function.handler],
            cwd=code,
            env=self._own_environment() | dict(environment) | function.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        self._events = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    def wait_until_ready(self) -> None:
        """Wait until the handler is imported.

        Raises:
            FunctionError: it cannot be.
        """
        try:
            self._read_answer()
        except FunctionError as error:
            raise FunctionError("Runtime.ImportModuleError", f"{self._function.handler}: {error}") from error

    def invoke(self, event: dict[str, Any]) -> Any:
        """Handle one event; a handler that runs too long is killed with its container."""
        request_id = str(uuid.uuid4())
        payload = json.dumps(event)
        if len(payload) > MAX_PAYLOAD:
            raise PayloadTooLargeError
        timed_out = threading.Event()

        def expire() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(self._function.timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            # A process that died cannot be written to; the answer that does not come says so.
            with suppress(BrokenPipeError):
                self._events.write(self._call(payload, request_id))
                self._events.flush()
            return self._read_answer(request_id)
        except FunctionError as error:
            if error.error_type != "Runtime.ExitError":
                raise
            if timed_out.is_set():
                message = f"RequestId: {request_id} Error: Task timed out after {self._function.timeout:.2f} seconds"
                error = FunctionError("Sandbox.Timedout", message)
            # The container cannot say so any more.
            self._log.write(f"{self._function.name}: {error}\n".encode())
            raise error from None
        finally:
            timer.cancel()

    def is_alive(self) -> bool:
        """Whether it can take another event."""
        return self._process.poll() is None

    def hang_up(self) -> None:
        """Tell it that no event will follow."""
        with suppress(BrokenPipeError):
            self._events.close()

    def end(self, deadline: float = 0) -> None:
        """Wait for its end, and kill it at the deadline (time.monotonic)."""
        self.hang_up()
        try:
            self._process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _read_answer(self, request_id: str = "") -> Any:
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            self._process.kill()
            status = self._process.wait()
            raise FunctionError(
                "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {status}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise FunctionError(answer["error"]["errorType"], answer["error"]["errorMessage"])
        if len(line) > MAX_PAYLOAD:
            raise FunctionError("Function.ResponseSizeTooLarge", f"the answer is larger than {MAX_PAYLOAD} bytes")
        return answer["result"]

    def _call(self, payload: str, request_id: str) -> bytes:
        context = {
            "aws_request_id": request_id,
            "deadline": time.time() + self._function.timeout,
            "function_name": self._function.name,
            "memory_limit_in_mb": self._function.memory,
            "invoked_function_arn": self._function.arn,
            "log_group_name": f"/aws/lambda/{self._function.name}",
            "log_stream_name": self._stream,
        }
        return f'{{"event": {payload}, "context": {json.dumps(context)}}}\n'.encode()

    def _own_environment(self) -> dict[str, str]:
        """What Lambda itself sets."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_LAMBDA_FUNCTION_NAME": self._function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "LAMBDA_TASK_ROOT": str(self._code),
            # The runtime is here, also where the code is not.
            "PYTHONPATH": str(ROOT),
            "TZ": ":UTC",
            "_HANDLER": self._function.handler,
        }
