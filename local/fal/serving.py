"""Serving the emulator on ports: keep-alive HTTP/1.1, plain and over TLS."""

import io
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wsgi import LimitedStream

from local.fal.doorkeeper import Doorkeeper
from local.fal.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# How soon a listener notices that it shall stop.
POLL_SECONDS = 0.05
BODILESS = frozenset({"204", "304"})


class _Body(LimitedStream):
    """A body that is read when it is asked for; one that the caller breaks off is no body."""

    def __init__(self, stream: io.BufferedIOBase, length: int) -> None:
        super().__init__(stream, length)  # type: ignore[arg-type] # it is read from, and nothing else

    def on_disconnect(self, error: Exception | None = None) -> None:
        """End the connection."""
        raise ConnectionResetError("the caller hung up") from error


class KeepAliveHandler(WSGIRequestHandler):
    """Answers several calls on one connection, which werkzeug's own handler closes after each."""

    protocol_version = "HTTP/1.1"
    # A reply is buffered and leaves as one packet, without waiting for the acknowledgement of another.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    logs_calls = False

    def run_wsgi(self) -> None:
        """Answer one call once all of its body is read, so that the next one begins where it ends."""
        environ = self.make_environ()
        if not environ.get("wsgi.input_terminated"):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"] = _Body(self.rfile, length) if length else io.BytesIO()
        # A ConnectionCutError that is raised here or while the answer is made closes the connection, as any does.
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> "Callable[[bytes], object]":
            begun[:] = [(status, headers)]
            return self.wfile.write

        pieces: Iterable[bytes] = self.server.app(environ, start_response)
        environ["wsgi.input"].read()
        try:
            self._send(*begun[0], pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _send(self, status: str, headers: list[tuple[str, str]], pieces: "Iterable[bytes]") -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or code in BODILESS
        chunked = not bodiless and all(name.lower() != "content-length" for name, _ in headers)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in () if bodiless else pieces:
            if chunked and piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            else:
                self.wfile.write(piece)
            # What is made piece by piece also leaves so.
            self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def finish(self) -> None:
        """End the connection; if the caller has left it, what was still to be sent is dropped."""
        try:
            super().finish()
        except ConnectionError:
            self.rfile.close()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write a line about the call, if such lines are wanted."""
        if self.logs_calls:
            super().log_request(code, size)


class LoggingHandler(KeepAliveHandler):
    """Writes a line about each call."""

    logs_calls = True


class Listener:
    """One port on which the emulator answers, served by threads; its host and its public URL's are its names."""

    def __init__(
        self, emulator: Emulator, host: str, port: int, *, tls: ssl.SSLContext | None = None, logs_calls: bool = False
    ) -> None:
        def known_names() -> set[str]:
            # Files are fetched under the public URL, whatever it is set to.
            return {host, _host_of(emulator.settings.public_url)}

        self._server: BaseWSGIServer = make_server(
            host,
            port,
            Doorkeeper(emulator, known_names, is_linked=True),
            threaded=True,
            request_handler=LoggingHandler if logs_calls else KeepAliveHandler,
            ssl_context=tls,
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[POLL_SECONDS], name=f"fal-{self.port}", daemon=True
        )
        self.host = host

    @property
    def port(self) -> int:
        """The port, also where the system chose it."""
        return int(self._server.server_port)

    @property
    def authority(self) -> str:
        """Host and port as a URL writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more and give the port back."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
