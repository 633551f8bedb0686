"""The processes that the stack starts: stand-ins, and SAM's servers. They are watched, and ended in order."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local.settings import HOST, ROOT, LocalError

START_SECONDS = 30
"""How long a stand-in may take until it answers; a machine that is busy elsewhere takes many times the usual second."""
STOP_SECONDS = 1.0


@dataclass(frozen=True)
class Child:
    """A process of the stack's own, and what it is called towards the user."""

    title: str
    process: subprocess.Popen[bytes]
    stop_seconds: float = STOP_SECONDS

    def hang_up(self) -> None:
        """Ask it to end."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()

    def end(self) -> None:
        """Ask it to end, and insist after a while."""
        self.hang_up()
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def open_log() -> IO[bytes]:
    """Make a new file for what children print; it stays."""
    descriptor, name = tempfile.mkstemp(prefix="darkroom-", suffix=".log")
    os.close(descriptor)
    return Path(name).open("ab", buffering=0)


class Children:
    """All children of one stack; what they print goes to `log`, a file."""

    def __init__(self, log: IO[bytes]) -> None:
        self.log = log
        self._children: list[Child] = []

    def start(
        self,
        title: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stop_seconds: float = STOP_SECONDS,
    ) -> Child:
        """Start one of our own modules, which is to end by itself when its standard input ends."""
        # In a session of its own, Ctrl-C reaches only the stack, which ends its children in order.
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ if environment is None else environment,
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        child = Child(title, process, stop_seconds)
        self._children.append(child)
        return child

    def end_one(self, child: Child) -> None:
        """End one that is not wanted any more."""
        self._children.remove(child)
        child.end()

    def end(self) -> None:
        """End them, the last one first."""
        for child in reversed(self._children):
            child.end()

    def check(self) -> None:
        """Make sure that all run, as each does until it is ended.

        Raises:
            LocalError: one does not; names it.
        """
        for child in list(self._children):
            if child.process.poll() is not None:
                raise LocalError(f"the {child.title} ended with status {child.process.returncode}; see {self.log.name}")

    def wait_for_port(self, title: str, port: int) -> None:
        """Wait until a child answers on its port.

        Raises:
            LocalError: it does not in time, or a child ended.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise LocalError(f"the {title} does not answer after {START_SECONDS} s; see {self.log.name}")
