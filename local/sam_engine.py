"""The engine that runs functions in containers: `sam local start-lambda`, and a new one beside it when code changes."""

import json
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import httpx

from local.children import Children
from local.container_process import FunctionError
from local.engines import serve_api
from local.resources import Function
from local.sam import SERVING, STOP_SECONDS, read_answer, sam_environment, sam_local, write_template
from local.sam_build import FOR_PLAIN_SAM, built_for_host
from local.sam_template import derive_template, read_built
from local.settings import HOST, LocalError, claim

WARMING = 3
"""How often a function is tried: SAM adds its emulator to the image once, and a cold start may outlast a timeout."""
HARMLESS: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/",
    "headers": {},
    "requestContext": {"http": {"method": "OPTIONS", "path": "/"}, "requestId": "-", "stage": "$default"},
    "Records": [{"messageId": "-", "eventSource": "aws:sqs", "body": '{"Event": "s3:TestEvent"}'}],
}
"""An event that no function does anything about: a call of no route, without a token, and S3's own try of a queue.

The sweep does its round.
"""


class Sam:
    """Functions in containers, each of which stays warm and takes one event at a time.

    environment: variables for all functions. secrets: more of them, whose values are in no file and no command line.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
        children: Children,
    ) -> None:
        self._functions = functions
        self._serve = partial(_Serving, functions, environment, secrets, children)
        self._ending = ExitStack()
        self._changed = threading.Condition()
        self._retiring = ThreadPoolExecutor(1)
        self._is_closing = False
        self._serving: _Serving | None = None

    def start(self) -> None:
        """Build what is not built, and start what takes events."""
        self._serving = self._serve()

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function handle an event in its container; waits while that is busy."""
        with self._changed:
            serving = self._serving
            if serving is None:
                raise FunctionError("Runtime.ExitError", "the stack is not running")
            serving.busy += 1
        try:
            return serving.invoke(function, event)
        finally:
            with self._changed:
                serving.busy -= 1
                self._changed.notify_all()

    def open_api(self, port: socket) -> None:
        """Start the containers, now that the stand-ins are filled, and serve the API before them."""
        if self._serving:
            self._serving.warm()
            _offer(self._serving)
        self._ending.enter_context(serve_api(port, self._functions, self.invoke))

    def renew(self, code: Path) -> None:
        """Build again, beside what runs; new containers take over, and the old ones end when they are done."""
        del code  # SAM builds what it reads itself
        fresh = self._serve()
        try:
            fresh.warm()
        except BaseException:
            fresh.close()
            raise
        with self._changed:
            old, self._serving = self._serving, fresh
        _offer(fresh)
        if old:
            self._retiring.submit(self._retire, old)

    def close(self) -> None:
        """End SAM, which removes its containers."""
        self._ending.close()
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._serving:
            self._serving.close()
        self._retiring.shutdown()
        FOR_PLAIN_SAM.unlink(missing_ok=True)

    def _retire(self, old: "_Serving") -> None:
        with self._changed:
            self._changed.wait_for(lambda: not old.busy or self._is_closing)
        old.close()


def _offer(serving: "_Serving") -> None:
    """Put the template where `sam` commands of the user's own find it."""
    FOR_PLAIN_SAM.write_bytes(serving.template.read_bytes())


class _Serving:
    """One `sam local start-lambda`, with the folder that its containers run."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
        children: Children,
    ) -> None:
        self.busy = 0
        self._functions = functions
        self._children = children
        with ExitStack() as ending:
            built = ending.enter_context(built_for_host())
            # The template is a file: it names secrets, and SAM fills them in from its own environment.
            variables = {**environment, **dict.fromkeys(secrets, "")}
            template = derive_template(read_built(built), functions, variables, built)
            folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-"))
            self.template = file = write_template(template, Path(folder))
            # Events wait here as long as the container is busy.
            timeout = httpx.Timeout(None, connect=5)
            self._http = ending.enter_context(httpx.Client(timeout=timeout, trust_env=False))
            with claim("a port for sam local start-lambda", 0) as free:
                port = free.getsockname()[1]
            self._url = f"http://{HOST}:{port}/2015-03-31/functions"
            _, *words = sam_local(
                "start-lambda", file, "--host", HOST, "--port", str(port), "--warm-containers", "LAZY"
            )
            child = children.start(
                "sam local start-lambda",
                "local.leash",
                *SERVING,
                *words,
                environment={**sam_environment(functions), **secrets},
                stop_seconds=STOP_SECONDS,
            )
            ending.callback(children.end_one, child)
            children.wait_for_port("sam local start-lambda", port)
            self._ending = ending.pop_all()

    def warm(self) -> None:
        """Start the container of each function, so that one that cannot be imported shows now.

        Raises:
            LocalError: one cannot be.
        """
        with ThreadPoolExecutor(len(self._functions)) as threads:
            for warmed in [threads.submit(self._warm, function) for function in self._functions]:
                warmed.result()

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Have a function handle an event in its container."""
        try:
            answer = self._http.post(f"{self._url}/{function}/invocations", content=json.dumps(event))
        except httpx.HTTPError as error:
            raise FunctionError("Runtime.ExitError", f"{function}: sam local does not answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise FunctionError("ServiceException", f"{function}: sam local answers {answer.status_code} {answer.text}")
        return read_answer(answer.text)

    def close(self) -> None:
        """End SAM, which removes its containers."""
        self._ending.close()

    def _warm(self, function: str) -> None:
        for left in reversed(range(WARMING)):
            self._children.check()
            try:
                self.invoke(function, HARMLESS)
            except FunctionError as error:
                if left:
                    continue
                # What is wrong before a handler is called has a name of the runtime's.
                question = (
                    "" if str(error).startswith("Runtime.") else "; does a firewall keep containers from this machine?"
                )
                raise LocalError(f"{function} does not run in a container: {error}{question}") from error
            else:
                return
