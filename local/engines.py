"""The engines that run functions, and the API before them: here the default one, `local.sam_engine` has the other."""

import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from werkzeug.serving import WSGIRequestHandler, make_server

from local.container_process import FunctionError
from local.fal.doorkeeper import Doorkeeper
from local.gateway import Gateway
from local.lambdas import Invoke, Lambdas
from local.resources import Function
from local.settings import HOST, LocalError


class Engine(Protocol):
    """All that the stack knows of what runs its functions."""

    def start(self) -> None:
        """Make functions ready to be invoked.

        Raises:
            LocalError: they cannot be.
        """
        ...

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Have a function, by its logical id, handle an event.

        Raises:
            FunctionError: it raised, ran out of time, or died.
        """
        ...

    def open_api(self, port: socket.socket) -> None:
        """Answer for the API from now on, on a port that was claimed.

        Raises:
            LocalError: that is not possible.
        """
        ...

    def renew(self, code: Path) -> None:
        """Run the code of a folder from now on, without losing what is under way.

        Raises:
            LocalError: that is not possible; all stays as it is.
        """
        ...

    def close(self) -> None:
        """End all that was started."""
        ...


@contextmanager
def serve_api(port: socket.socket, functions: Mapping[str, Function], invoke: Invoke) -> Iterator[None]:
    """Answer for the API on a thread, on a port that was claimed, as long as the block lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(
        HOST,
        port.getsockname()[1],
        Doorkeeper(Gateway(functions, invoke), is_linked=True, has_pages=True),
        threaded=True,
        request_handler=_Connection,
        fd=port.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    port.listen(128)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Processes:
    """The default engine: functions in processes of their own."""

    def __init__(
        self, functions: Mapping[str, Function], environment: Mapping[str, str], log: IO[bytes], code: Path
    ) -> None:
        self._lambdas = Lambdas(functions, environment, log, code)
        self._functions = functions
        self._log = log
        self._ending = ExitStack()
        self._ending.callback(self._lambdas.close)
        self.invoke = self._lambdas.invoke

    def start(self) -> None:
        """Start a container of each function, so that a handler that cannot be imported shows now."""
        try:
            self._lambdas.start()
        except FunctionError as error:
            raise LocalError(f"a function does not start: {error}; see {self._log.name}") from error

    def open_api(self, port: socket.socket) -> None:
        """Serve the API before the containers."""
        self._ending.enter_context(serve_api(port, self._functions, self.invoke))

    def renew(self, code: Path) -> None:
        """Start other containers; the old ones finish what they do."""
        try:
            self._lambdas.renew(code)
        except FunctionError as error:
            raise LocalError(f"{error}; see {self._log.name}") from error

    def close(self) -> None:
        """Close the API first, then the containers."""
        self._ending.close()


class _Connection(WSGIRequestHandler):
    """A connection that speaks HTTP/1.1, as API Gateway does."""

    protocol_version = "HTTP/1.1"
