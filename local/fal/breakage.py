"""How an answer is broken: a closed connection, nginx's pages, fal's own refusals, a 200 that cannot be read."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx
from werkzeug.wrappers import Response

from local.fal.access import UNKNOWN_KEY
from local.fal.answers import LOCKED, answer, refuse
from local.fal.faults import INFRASTRUCTURE, InfrastructureFault

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local.fal.emulator import Emulator
    from local.fal.switches import Breakage

NGINX = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
NGINX_STATUSES = {"nginx_502": 502, "nginx_503": 503, "nginx_504": 504}
# What fal's infrastructure says itself, flat and with its error type.
TYPED: dict[int, InfrastructureFault] = {400: "bad_request", 503: "runner_scheduling_failure"}
DETAILS: dict[int, str] = {
    401: UNKNOWN_KEY,
    402: "Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
    403: LOCKED,
    404: "Not Found",
    409: "Conflict",
    429: "Too many requests",
}


class ConnectionCutError(ConnectionResetError):
    """The emulator hangs up.

    A werkzeug server, ours among them, closes the socket on it. An in-process caller gets it raised from the call, or
    from reading the answer's body; with an `EmulatorTransport` it gets what httpx raises over a network instead.
    """


class EmulatorTransport(httpx.WSGITransport):
    """Calls the emulator in process, and turns its hanging up into httpx's own error."""

    def __init__(self, emulator: "Emulator") -> None:
        # httpx gives the path as text, and WSGI wants its bytes, each as a character.
        super().__init__(
            lambda environ, start: emulator(
                environ | {"PATH_INFO": environ["PATH_INFO"].encode().decode("latin-1")}, start
            )
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one call.

        Raises:
            httpx.RemoteProtocolError: the emulator hung up.
        """
        try:
            response = super().handle_request(request)
        except ConnectionCutError as error:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.") from error
        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - it is what WSGITransport makes
        response.stream = _Stream(response.stream)
        return response


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except ConnectionCutError as error:
            message = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(message) from error

    def close(self) -> None:
        self._stream.close()


def broken_answer(kind: "Breakage", retry_after: int | None = None) -> Response:
    """Give the answer that is broken in that way; none of them carries x-fal-request-id.

    Raises:
        ConnectionCutError: there is no answer.
    """
    if kind == "closed":
        raise ConnectionCutError("the emulator hangs up, as it was told")
    if kind == 500:  # noqa: PLR2004 - the one status that is nobody's in particular
        response = Response("Internal Server Error", 500, content_type="text/plain")
    elif isinstance(kind, int):
        response = refuse_with(kind)
    elif kind == "malformed":
        response = Response(b'{"request_id": ', 200, content_type="application/json")
    else:
        status = HTTPStatus(NGINX_STATUSES[kind])
        response = Response(NGINX.format(f"{status} {status.phrase}"), status, content_type="text/html")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def refuse_with(status: int) -> Response:
    """Refuse in fal's own JSON; the texts of 402, 409 and 429 are not documented."""
    fault = TYPED.get(status)
    if fault is not None:
        return refuse(fault, status, INFRASTRUCTURE[fault][1])
    body: JsonValue = {"detail": DETAILS[status]}
    return answer(body, status)
