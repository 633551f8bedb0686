"""The Lambda stand-in: each function in containers of its own, processes that take one event at a time."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any, Protocol, cast

from local.resources import Function
from local.settings import ROOT
from local.template import REGION

MOST_CONTAINERS = 2
"""How many events a function handles at once; more wait."""
MAX_PAYLOAD = 6 * 1024 * 1024
"""Lambda takes no larger event, and gives no larger answer (Lambda docs: quotas)."""
CLOSING_SECONDS = 1.0
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
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


class Invoke(Protocol):
    """All that the API and the pump know of an engine that runs functions."""

    def __call__(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function, by its logical id, handle an event.

        Raises:
            FunctionError: it raised, ran out of time, or died.
            PayloadTooLargeError: the event is too large.
        """
        ...


class Lambdas:
    """Runs functions; `environment` is added to what the template gives them."""

    def __init__(self, functions: Mapping[str, Function], environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._pools = {name: _Pool(function, environment, log) for name, function in functions.items()}

    def start(self) -> None:
        """Start one container of each function, all at once, so that a handler that cannot be imported shows now.

        Raises:
            FunctionError: one cannot be imported.
        """
        with ThreadPoolExecutor(len(self._pools)) as threads:
            for started in [threads.submit(pool.warm) for pool in self._pools.values()]:
                started.result()

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function handle an event; waits while all its containers are busy.

        Raises:
            FunctionError: it raised, ran out of time, or died.
            PayloadTooLargeError: the event is too large.
        """
        return self._pools[function].invoke(event)

    def close(self) -> None:
        """End all containers, whatever they do."""
        containers = [container for pool in self._pools.values() for container in pool.give_up()]
        for container in containers:
            container.hang_up()
        deadline = time.monotonic() + CLOSING_SECONDS
        for container in containers:
            container.end(deadline)


class _Pool:
    """The containers of one function: the last one used is used first, and a new one is started when all are busy."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._function = function
        self._environment = environment
        self._log = log
        # A function that only a clock or the API's own check starts has no use for a second container.
        self._free = threading.BoundedSemaphore(MOST_CONTAINERS if function.routes or function.queues else 1)
        self._lock = threading.Lock()
        self._idle: list[_Container] = []
        self._all: set[_Container] = set()
        self._closed = False

    def warm(self) -> None:
        """Start the first container."""
        with self._free:
            self._put(self._take())

    def invoke(self, event: dict[str, Any]) -> Any:
        """Handle one event in a container that is free."""
        with self._free:
            container = self._take()
            try:
                return container.invoke(event)
            finally:
                self._put(container)

    def give_up(self) -> list["_Container"]:
        """Hand out all containers, and start no more."""
        with self._lock:
            self._closed = True
            return list(self._all)

    def _take(self) -> "_Container":
        with self._lock:
            while self._idle:
                container = self._idle.pop()
                if container.is_alive():
                    return container
                self._all.discard(container)
                container.end()
            if self._closed:
                raise FunctionError("Runtime.ExitError", "the stack is ending")
            container = _Container(self._function, self._environment, self._log)
            self._all.add(container)
        container.wait_until_ready()
        return container

    def _put(self, container: "_Container") -> None:
        with self._lock:
            if container.is_alive() or self._closed:
                self._idle.append(container)
                return
            self._all.discard(container)
        container.end()


class _Container:
    """One process that handles one event at a time."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._function = function
        self._log = log
        self._stream = f"local/[$LATEST]{uuid.uuid4().hex}"
        self._process = subprocess.Popen(  # noqa: S603 - the handler's name is the template's
            [sys.executable, "-m", "local.container", function.handler],
            cwd=ROOT,
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
            "LAMBDA_TASK_ROOT": str(ROOT),
            "TZ": ":UTC",
            "_HANDLER": self._function.handler,
        }
