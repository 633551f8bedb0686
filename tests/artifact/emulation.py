"""Functions in AWS's own runtime client and emulator, where `make local` has processes of its own."""

import json
import os
import platform
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from local.artifact import Python
from local.container_process import FunctionError
from local.resources import Function
from local.settings import HOST, ROOT
from local.template import REGION

MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""This machine's processor, as Lambda calls it."""
START_SECONDS = 30


def rapid() -> Path:
    """The emulator's program, which comes with the SAM CLI."""
    (program,) = (ROOT / ".tools" / "sam").glob(
        f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{MACHINE}"
    )
    return program


@dataclass(frozen=True)
class Runtime:
    """What a function runs on; `compiled` is the file that the probe writes to."""

    python: Python
    client: Path
    task: Path
    compiled: Path

    def environment(self) -> dict[str, str]:
        """What makes Python find the client and the probe."""
        probe = Path(__file__).parent / "probe"
        return {"PYTHONPATH": f"{probe}{os.pathsep}{self.client}", "COMPILED": str(self.compiled)}

    def compiled_modules(self) -> list[str]:
        """The artifact's sources that were compiled so far."""
        lines = self.compiled.read_text().splitlines() if self.compiled.exists() else []
        return [line for line in lines if Path(line).is_relative_to(self.task)]


class EmulatedLambdas:
    """Does what local.lambdas.Lambdas does, with one emulator for each function."""

    def __init__(
        self,
        runtime: Runtime,
        functions: Mapping[str, Function],
        environment: Mapping[str, str],
        log: IO[bytes],
        _code: Path,
    ) -> None:
        self._emulators = {
            name: _Emulator(runtime, function, dict(environment), log) for name, function in functions.items()
        }

    def start(self) -> None:
        """Wait until all emulators answer; each imports its handler with its first event."""
        for emulator in self._emulators.values():
            emulator.wait_until_ready()

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function, by its logical id, handle an event.

        Raises:
            FunctionError: it raised, or could not be imported.
        """
        return self._emulators[function].invoke(event)

    def close(self) -> None:
        """End all emulators."""
        for emulator in self._emulators.values():
            emulator.close()


class _Emulator:
    """One emulator, which handles one event at a time."""

    def __init__(self, runtime: Runtime, function: Function, environment: dict[str, str], log: IO[bytes]) -> None:
        self._lock = threading.Lock()
        self._http = httpx.Client(base_url=f"http://{HOST}:{_free_port()}", timeout=function.timeout + START_SECONDS)
        own = {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
            "LAMBDA_TASK_ROOT": str(runtime.task),
            "LANG": "en_US.UTF-8",
            "PATH": os.environ["PATH"],
            "TZ": ":UTC",
        }
        addresses = ["--runtime-interface-emulator-address", f"{HOST}:{self._http.base_url.port}"]
        addresses += ["--runtime-api-address", f"{HOST}:{_free_port()}"]
        self._process = subprocess.Popen(  # noqa: S603 - AWS's own program
            [str(rapid()), *addresses, runtime.python.path, "-m", "awslambdaric", function.handler],
            cwd=runtime.task,
            env=own | environment | function.environment | runtime.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until it takes events."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection((HOST, self._http.base_url.port or 0), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise FunctionError("Runtime.ExitError", "the emulator does not answer")

    def invoke(self, event: dict[str, Any]) -> Any:
        """Handle one event."""
        with self._lock:
            answer = self._http.post("/2015-03-31/functions/function/invocations", content=json.dumps(event))
        result = answer.json()
        if answer.status_code != httpx.codes.OK or (isinstance(result, dict) and "errorType" in result):
            raise FunctionError(result.get("errorType", "Unknown"), result.get("errorMessage", answer.text))
        return result

    def close(self) -> None:
        """End it, and the runtime that it started."""
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with closing(socket.create_server((HOST, 0))) as taken:
        port: int = taken.getsockname()[1]
        return port
