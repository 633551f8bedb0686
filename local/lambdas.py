"""The Lambda stand-in: each function in containers of its own."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol

from local.container_process import ContainerProcess, FunctionError
from local.resources import Function
from local.settings import ROOT

MOST_CONTAINERS = 2
"""How many events a function handles at once; more wait."""
CLOSING_SECONDS = 1.0


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
    """Runs functions; `environment` is added to what the template gives them, `code` is the folder of their code."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        environment: Mapping[str, str],
        log: IO[bytes],
        code: Path = ROOT,
    ) -> None:
        self._pools = {name: _Pool(function, environment, log, code) for name, function in functions.items()}

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

    def renew(self, code: Path) -> None:
        """Let containers with the code of a folder take over: new ones first, then the old end when they are done.

        Raises:
            FunctionError: a handler cannot be imported any more; all stays as it is.
        """
        fresh: dict[_Pool, ContainerProcess] = {}
        try:
            with ThreadPoolExecutor(len(self._pools)) as threads:
                for pool, made in [(pool, threads.submit(pool.prepare, code)) for pool in self._pools.values()]:
                    fresh[pool] = made.result()
        except FunctionError:
            for container in fresh.values():
                container.end()
            raise
        for pool, container in fresh.items():
            pool.adopt(container, code)

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

    def __init__(self, function: Function, environment: Mapping[str, str], log: IO[bytes], code: Path) -> None:
        self._code = code
        self._function = function
        self._environment = environment
        self._log = log
        # A function that only a clock or the API's own check starts has no use for a second container.
        self._free = threading.BoundedSemaphore(MOST_CONTAINERS if function.routes or function.queues else 1)
        self._lock = threading.Lock()
        self._idle: list[ContainerProcess] = []
        self._all: set[ContainerProcess] = set()
        self._outdated: set[ContainerProcess] = set()
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

    def prepare(self, code: Path) -> ContainerProcess:
        """Start a container that takes no event yet."""
        container = ContainerProcess(self._function, self._environment, self._log, code)
        container.wait_until_ready()
        return container

    def adopt(self, container: ContainerProcess, code: Path) -> None:
        """Let a container that was prepared take events, and no other that is there; busy ones end what they do."""
        with self._lock:
            if self._closed:
                idle = [container]
            else:
                self._code = code
                idle, self._idle = self._idle, [container]
                self._outdated = self._all - set(idle)
                self._all = self._outdated | {container}
        for old in idle:
            old.end()

    def give_up(self) -> list[ContainerProcess]:
        """Hand out all containers, and start no more."""
        with self._lock:
            self._closed = True
            return list(self._all)

    def _take(self) -> ContainerProcess:
        with self._lock:
            while self._idle:
                container = self._idle.pop()
                if container.is_alive():
                    return container
                self._all.discard(container)
                container.end()
            if self._closed:
                raise FunctionError("Runtime.ExitError", "the stack is ending")
            container = ContainerProcess(self._function, self._environment, self._log, self._code)
            self._all.add(container)
        container.wait_until_ready()
        return container

    def _put(self, container: ContainerProcess) -> None:
        with self._lock:
            if self._closed or (container.is_alive() and container not in self._outdated):
                self._idle.append(container)
                return
            self._all.discard(container)
            self._outdated.discard(container)
        container.end()
