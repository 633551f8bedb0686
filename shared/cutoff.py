"""The end of a connection's time."""

import contextlib
import socket
import time
from collections.abc import Mapping
from threading import Timer
from typing import Any, Self


class Cutoff:
    """Shuts a connection down at a deadline, whatever is waited for then.

    httpx gives each read its time, and a host that sends a byte a second, in its headers too, is in time for ever.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._timer: Timer | None = None

    def __enter__(self) -> Self:
        """Wait for a connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the connection be."""
        if self._timer:
            self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn from httpx which connection is meant (httpx docs: extensions, "trace")."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self.__exit__()
            connection = info["return_value"].get_extra_info("socket")
            self._timer = Timer(max(self._deadline - time.monotonic(), 0), _shut_down, [connection])
            self._timer.daemon = True
            self._timer.start()


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # It is closed already.
        # Not TLS's own way, which would take the object from under a read that goes on meanwhile.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
