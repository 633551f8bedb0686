"""The whole stack on this machine: AWS and fal stand-ins, functions, pump and API, started and ended together."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Self

from botocore.config import Config

from local.artifact import PRESETS
from local.aws import session
from local.children import STOP_SECONDS, Children, open_log
from local.docker import Docker
from local.engines import Engine, Processes
from local.pump import Pump
from local.sam_build import built_for_host
from local.sam_engine import Sam
from local.settings import HOST, Fal, LocalError, Ports, claim_all
from local.stand_ins import StandIns
from local.watching import CodeWatch
from shared.errors import SettingsError
from shared.preset_file import load_presets

LOOK_SECONDS = 0.25
"""How often the stack looks at its processes and its files."""
MOST_NAMED = 3
"""The files of a change that are named."""


class Stack:
    """A running stack, as a context: on entry all is ready, on exit all is gone.

    `docker`: where functions are to run in containers; None runs them in processes.
    """

    def __init__(self, ports: Ports, fal: Fal, docker: Docker | None = None) -> None:
        self.ports = ports
        self.fal = fal
        self.stand_ins = StandIns(ports, fal, docker)
        self.api_url = self.stand_ins.api_url
        self.aws_url = self.stand_ins.aws_url
        self.fal_url = self.stand_ins.fal_url
        self.token = self.stand_ins.token
        self.template = self.stand_ins.template
        self.log = Path(os.devnull)
        self.docker = docker
        self._code = CodeWatch()
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

    def watch(self, tell: Callable[[str], None]) -> None:
        """Wait until a process of the stack dies, which none does by itself; meanwhile give functions what changes.

        Raises:
            LocalError: names it.
        """
        while True:
            self._children.check()
            if changed := self._code.look():
                tell(self._renew(changed))
            time.sleep(LOOK_SECONDS)

    def _renew(self, changed: list[str]) -> str:
        """Have the functions run what has changed, and say how that went."""
        files = ", ".join(changed[:MOST_NAMED]) + (", …" if len(changed) > MOST_NAMED else "")
        code = self._copy_code()
        try:
            load_presets(code / PRESETS)
            self._engine.renew(code)
        except (SettingsError, LocalError) as error:
            shutil.rmtree(code)
            return f"{files} changed, and is not used: {error}"
        return f"{files} changed, and is used from now on"

    def _start(self) -> None:
        # What is entered first ends last. The pump's threads come to an end once AWS has gone from under them.
        api_port, *others = claim_all([("API_PORT", self.ports.api, HOST), *self.stand_ins.wanted_ports()])
        self._ending.enter_context(api_port)
        for other in others:
            other.close()
        log = self._ending.enter_context(open_log())
        self.log = Path(log.name)
        self._children = Children(log)
        engine = self._engine = self._make_engine(log)
        functions = self.template.functions
        once = Config(retries={"total_max_attempts": 1})
        sqs = self._ending.enter_context(closing(session().client("sqs", endpoint_url=self.aws_url, config=once)))
        # Where jobs are finished by asking, the sweep comes as often as they are to be asked about.
        longest_wait = float(self.fal.parameters.get("PollSeconds", "inf"))
        pump = Pump(functions.values(), sqs, engine.invoke, longest_wait)
        self._ending.callback(pump.join, STOP_SECONDS)
        self._ending.callback(self._children.end)
        self._ending.callback(engine.close)
        self.stand_ins.start(self._children)
        # Stand-ins and functions start side by side.
        with ThreadPoolExecutor(1) as threads:
            started = threads.submit(engine.start)
            self.stand_ins.fill(self._children)
            started.result()
        self._ending.callback(pump.stop)
        pump.start()
        engine.open_api(api_port)

    def _copy_code(self) -> Path:
        """A copy of the code for functions to run, so that one that is started later runs the same as the others."""
        made = tempfile.TemporaryDirectory(prefix="darkroom-code-", ignore_cleanup_errors=True)
        folder = Path(self._ending.enter_context(made))
        self._code.copy(folder)
        return folder

    def _make_engine(self, log: IO[bytes]) -> Engine:
        functions = self.template.functions
        if self.docker is None:
            environment = {"AWS_ENDPOINT_URL": self.aws_url} | self.fal.secrets
            return Processes(functions, environment, log, self._copy_code())
        with built_for_host():
            pass  # On the main thread, where Ctrl-C ends it; the engine finds it done.
        environment = {"AWS_ENDPOINT_URL": f"http://{self.docker.host}:{self.ports.aws}"}
        return Sam(functions, environment, self.fal.secrets, self._children)
