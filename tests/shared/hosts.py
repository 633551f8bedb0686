"""File hosts on loopback that say what a test has them say, and a network that leads public addresses to them."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest

PUBLIC = "93.184.215.14"
"""An address on the Internet."""
Say = Callable[[socket.socket], None]


class FileHost:
    """A listener on loopback; `say` gets each connection once its request is read."""

    def __init__(self, say: Say, tls: ssl.SSLContext | None = None) -> None:
        self._say = say
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # This wakes `accept`, which closing alone does not.
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls is None:
                self._answer(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secure:
                    self._answer(secure)

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
            request += more
        self.requests.append(request)
        self._say(connection)
        connection.shutdown(socket.SHUT_WR)


class Internet:
    """Where connections go: each address to a port on loopback; no other address answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ports: dict[str, int]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._ports = ports
        self._really = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", self._connect)

    def _connect(self, address: tuple[str, int], *arguments: Any, **more: Any) -> socket.socket:
        self.asked.append(address)
        if address[0] not in self._ports:
            raise ConnectionRefusedError
        return self._really(("127.0.0.1", self._ports[address[0]]), *arguments, **more)
