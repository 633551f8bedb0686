"""The whole stack on this machine: AWS and fal stand-ins, functions, pump and API, started and ended together."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Self

from botocore.config import Config

from local.aws import session
from local.children import STOP_SECONDS, Children, open_log
from local.docker import Docker
from local.engines import Engine, Processes
from local.pump import Pump
from local.sam import Sam
from local.sam_template import derive_template, read_built
from local.settings import ASK_SECONDS, HOST, Fal, Ports, claim_all
from local.stand_ins import StandIns


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
        """Wait until a process of the stack dies, which none does by itself.

        Raises:
            LocalError: names it.
        """
        while True:
            self._children.check()
            time.sleep(0.25)

    def _start(self) -> None:
        # What is entered first ends last. The pump's threads come to an end once AWS has gone from under them.
        api_port, *others = claim_all([("API_PORT", self.ports.api, HOST), *self.stand_ins.wanted_ports()])
        self._ending.enter_context(api_port)
        for other in others:
            other.close()
        log = self._ending.enter_context(open_log())
        self.log = Path(log.name)
        self._children = Children(log)
        engine = self._make_engine(log)
        functions = self.template.functions
        once = Config(retries={"total_max_attempts": 1})
        sqs = self._ending.enter_context(closing(session().client("sqs", endpoint_url=self.aws_url, config=once)))
        longest_wait = float("inf") if self.fal.emulated else ASK_SECONDS
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

    def _make_engine(self, log: IO[bytes]) -> Engine:
        functions = self.template.functions
        if self.docker is None:
            return Processes(functions, {"AWS_ENDPOINT_URL": self.aws_url} | self.fal.secrets, log)
        # The template is a file: it names the key's variable, and SAM fills it in from its own environment.
        environment = {"AWS_ENDPOINT_URL": f"http://{self.docker.host}:{self.ports.aws}"}
        template = derive_template(read_built(), functions, environment | dict.fromkeys(self.fal.secrets, ""))
        return Sam(template, functions, self._children, self.token, self.fal.secrets)
