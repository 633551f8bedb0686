"""The whole stack on this machine: AWS and fal stand-ins, functions, pump and API, started and ended together."""

import hashlib
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.serving import WSGIRequestHandler, make_server

from local.aws import create_stack, session
from local.gateway import Gateway
from local.lambdas import FunctionError, Lambdas
from local.pump import Pump
from local.resources import Template, load_template
from local.settings import ASK_SECONDS, HOST, OWNER, ROOT, TOKEN, Fal, LocalError, Ports, claim
from local.template import TemplateError
from shared.errors import SettingsError
from shared.presets import load_presets
from shared.settings import PRESETS_FILE, Settings

START_SECONDS = 30
"""How long a stand-in may take until it answers; a machine that is busy elsewhere takes many times the usual second."""
STOP_SECONDS = 1.0
EMULATOR_PACE = ("--queue-seconds", "0.3", "--run-seconds", "0.8", "--concurrency", "10")
"""Slow enough to see jobs wait and run, and as many at once as an account with some purchases may have (fal docs)."""


@dataclass(frozen=True)
class Child:
    """A process of the stack's own, and what it is called towards the user."""

    title: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        """Ask it to end, and insist after a while."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stack:
    """A running stack, as a context: on entry all is ready, on exit all is gone."""

    def __init__(self, ports: Ports, fal: Fal) -> None:
        self.ports = ports
        self.fal = fal
        self.api_url = f"http://{HOST}:{ports.api}"
        self.aws_url = f"http://{HOST}:{ports.aws}"
        self.fal_url = fal.parameters.get("FalQueueUrl", "https://queue.fal.run")
        self.template = self._load_template()
        self.log = Path(os.devnull)
        self._children: list[Child] = []
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        """Start everything, the API's port last.

        Raises:
            LocalError: something cannot run here.
        """
        try:
            self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._ending.close()

    def watch(self) -> None:
        """Wait until a stand-in dies, which none does by itself.

        Raises:
            LocalError: names it.
        """
        while True:
            self._check_children()
            time.sleep(0.25)

    def _load_template(self) -> Template:
        """Read the template, and make sure that what its functions will read is right too."""
        try:
            template = load_template(self.fal.parameters)
            for function in template.functions.values():
                Settings.from_environment(function.environment)
            load_presets(PRESETS_FILE)
        except TemplateError as error:
            raise LocalError(f"template.yaml: {error}") from error
        except SettingsError as error:
            raise LocalError(str(error)) from error
        return template

    def _open_log(self) -> IO[bytes]:
        descriptor, name = tempfile.mkstemp(prefix="darkroom-", suffix=".log")
        self.log = Path(name)
        return os.fdopen(descriptor, "ab", buffering=0)

    def _start(self) -> None:
        # What is entered first ends last. The pump's threads come to an end once AWS has gone from under them.
        api_port = self._ending.enter_context(claim("API_PORT", self.ports.api))
        claim("AWS_PORT", self.ports.aws).close()
        if self.fal.emulated:
            claim("FAL_PORT", self.ports.fal).close()
        log = self._ending.enter_context(self._open_log())
        functions = self.template.functions
        lambdas = Lambdas(functions, {"AWS_ENDPOINT_URL": self.aws_url}, log)
        once = Config(retries={"total_max_attempts": 1})
        sqs = self._ending.enter_context(closing(session().client("sqs", endpoint_url=self.aws_url, config=once)))
        longest_wait = float("inf") if self.fal.emulated else ASK_SECONDS
        pump = Pump(functions.values(), sqs, lambdas.invoke, longest_wait)
        self._ending.callback(pump.join, STOP_SECONDS)
        self._start_processes(lambdas, log)
        self._ending.callback(pump.stop)
        pump.start()
        self._open_api(api_port, Gateway(functions, lambdas.invoke))

    def _start_processes(self, lambdas: Lambdas, log: IO[bytes]) -> None:
        """Start stand-ins and containers side by side, and wait until all of them are ready."""
        self._start_child("AWS stand-in", log, "local.aws_server", "--port", str(self.ports.aws))
        if self.fal.emulated:
            address = ("--host", HOST, "--port", str(self.ports.fal), "--public-url", self.fal_url)
            self._start_child("fal emulator", log, "local.fal", *address, *EMULATOR_PACE, "--allow-private-webhooks")
        self._ending.callback(lambdas.close)
        with ThreadPoolExecutor(1) as threads:
            started = threads.submit(lambdas.start)
            self._wait_for_port("AWS stand-in", self.ports.aws)
            self._create_stack()
            if self.fal.emulated:
                self._wait_for_port("fal emulator", self.ports.fal)
            try:
                started.result()
            except FunctionError as error:
                raise LocalError(f"a function does not start: {error}; see {self.log}") from error

    def _start_child(self, title: str, log: IO[bytes], module: str, *arguments: str) -> None:
        # In a session of its own, Ctrl-C reaches only the stack, which ends its children in order.
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments, "--exit-with-parent"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        child = Child(title, process)
        self._children.append(child)
        self._ending.callback(child.end)

    def _check_children(self) -> None:
        for child in self._children:
            if child.process.poll() is not None:
                raise LocalError(f"the {child.title} ended with status {child.process.returncode}; see {self.log}")

    def _wait_for_port(self, title: str, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self._check_children()
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise LocalError(f"the {title} does not answer after {START_SECONDS} s; see {self.log}")

    def _create_stack(self) -> None:
        values = {
            "FalKey": self.fal.key,
            "Webhook": json.dumps({"url": self.api_url, "mac_key": secrets.token_hex(32)}),
            "Tokens": json.dumps({hashlib.sha256(TOKEN.encode()).hexdigest(): OWNER}),
        }
        try:
            create_stack(self.template, self.aws_url, values)
        except (BotoCoreError, ClientError) as error:
            raise LocalError(f"a resource of template.yaml cannot be made: {error}") from error

    def _open_api(self, port: socket.socket, gateway: Gateway) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = make_server(
            HOST, self.ports.api, gateway, threaded=True, request_handler=_Connection, fd=port.fileno()
        )
        self._ending.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        port.listen(128)
        thread.start()
        self._ending.callback(server.shutdown)


class _Connection(WSGIRequestHandler):
    """A connection that speaks HTTP/1.1, as API Gateway does."""

    protocol_version = "HTTP/1.1"
