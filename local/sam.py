"""The engine that runs functions in containers: `sam local start-api` for the API, `start-lambda` for all the rest."""

import json
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from local.children import Child, Children
from local.container_process import FunctionError
from local.resources import Function
from local.settings import HOST, ROOT, LocalError, claim
from local.template import REGION

FOR_PLAIN_SAM = ROOT / ".aws-sam" / "local" / "template.yaml"
"""The template of a stack that runs in containers, for `sam local invoke -t` and the like."""
COMMAND = ROOT / ".tools" / "sam" / "bin" / "sam"
SERVING = (str(COMMAND.with_name("python")), "-m", "local.sam_serving")
"""SAM's command where it serves: with our doorkeeper before its ports."""
STOP_SECONDS = 10.0
"""SAM removes its containers before it ends."""
START_SECONDS = 120
"""How long the first answers may take: SAM adds its emulator to the image once, and each container starts cold."""


class Sam:
    """Functions of a derived template in containers, each of which stays warm and takes one event at a time.

    secrets: values of variables that the template names; they are in no file, and in no command line.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        functions: Mapping[str, Function],
        children: Children,
        token: str,
        secrets: Mapping[str, str],
    ) -> None:
        self._children = children
        self._environment = sam_environment(functions) | dict(secrets)
        self._token = token
        self._started: list[Child] = []
        self._ending = ExitStack()
        folder = self._ending.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-"))
        self._file = write_template(template, Path(folder))
        # Beside what is built, for commands of the user's own.
        FOR_PLAIN_SAM.parent.mkdir(parents=True, exist_ok=True)
        FOR_PLAIN_SAM.write_bytes(self._file.read_bytes())
        self._ending.callback(FOR_PLAIN_SAM.unlink, missing_ok=True)
        # Events wait here as long as the container is busy.
        timeout = httpx.Timeout(None, connect=5)
        self._http = self._ending.enter_context(httpx.Client(timeout=timeout, trust_env=False))
        self._invocations = ""

    def start(self) -> None:
        """Start what takes events of queues and schedules; a container starts with its function's first event."""
        with claim("a port for sam local start-lambda", 0) as free:
            port = free.getsockname()[1]
        self._invocations = f"http://{HOST}:{port}/2015-03-31/functions"
        self._start("start-lambda", port)
        self._children.wait_for_port("sam local start-lambda", port)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function handle an event in its container."""
        try:
            answer = self._http.post(f"{self._invocations}/{function}/invocations", content=json.dumps(event))
        except httpx.HTTPError as error:
            raise FunctionError("Runtime.ExitError", f"{function}: sam local does not answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise FunctionError("ServiceException", f"{function}: sam local answers {answer.status_code} {answer.text}")
        return read_answer(answer.text)

    def open_api(self, port: socket.socket) -> None:
        """Start the API, and wait until calls come through to functions, and functions through to AWS."""
        number = port.getsockname()[1]
        api = f"http://{HOST}:{number}"
        port.close()
        self._start("start-api", number)
        self._wait_for(f"{api}/health", "does SAM find what it needs")
        self._wait_for(f"{api}/jobs", "does a firewall keep containers from the stand-ins on this machine")

    def renew(self, code: Path) -> None:
        """Refuse: containers run what was built before the start."""
        del code
        raise LocalError("the containers run what was built; end this with Ctrl-C and start it again")

    def close(self) -> None:
        """End SAM, which removes its containers."""
        for child in self._started:
            child.hang_up()
        for child in self._started:
            child.end()
        self._ending.close()

    def _start(self, command: str, port: int) -> None:
        _, *words = sam_local(command, self._file, "--host", HOST, "--port", str(port), "--warm-containers", "LAZY")
        child = self._children.start(
            f"sam local {command}",
            "local.leash",
            *SERVING,
            *words,
            environment=self._environment,
            stop_seconds=STOP_SECONDS,
        )
        self._started.append(child)

    def _wait_for(self, url: str, question: str) -> None:
        """Ask until the answer is good; where there is none in time, ask the user."""
        deadline = time.monotonic() + START_SECONDS
        last = "nothing"
        while time.monotonic() < deadline:
            self._children.check()
            try:
                left = deadline - time.monotonic()
                answer = self._http.get(url, headers={"Authorization": f"Bearer {self._token}"}, timeout=left)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == httpx.codes.OK:
                return
            last = f"{answer.status_code} {answer.text.strip()}"
            if answer.is_client_error:
                break
            # A cold start may take longer than a function has, and the next call finds it warm.
            time.sleep(0.2)
        raise LocalError(f"GET {url} is answered {last}: {question}? See {self._children.log.name}")


def write_template(template: Mapping[str, Any], folder: Path) -> Path:
    """Write a derived template where SAM can read it; JSON is YAML too."""
    file = folder / "template.yaml"
    file.write_text(json.dumps(template), encoding="utf-8")
    return file


def sam_local(command: str, template: Path, *arguments: str) -> list[str]:
    """The words of a `sam local` command; the image is there already, and SAM would ask for a newer one each time."""
    return [str(COMMAND), "local", command, *arguments, "--template", str(template), "--skip-pull-image"]


def sam_environment(functions: Mapping[str, Function]) -> dict[str, str]:
    """The environment for SAM, which would let a variable that is set there win over the template's value.

    It holds no AWS credentials: with some, SAM would ask AWS whose they are. Functions get keys that it makes up.
    """
    declared = {name for function in functions.values() for name in function.environment}
    hidden = {name for name in os.environ if name in declared or name.startswith("AWS_")}
    return {name: value for name, value in os.environ.items() if name not in hidden} | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
    }


def read_answer(text: str) -> Any:
    """What a function answered.

    Raises:
        FunctionError: it raised, ran out of time, or died.
    """
    try:
        answer = json.loads(text)
    except ValueError:
        # The runtime's own word, of a function that was cut off.
        raise FunctionError("Runtime.ExitError", text.strip() or "no answer") from None
    if isinstance(answer, dict) and "errorType" in answer:
        raise FunctionError(answer["errorType"], answer.get("errorMessage", ""))
    return answer
