"""Every way in which a POST can end, with what it proves: no exception of the client's and no status is left out."""

import inspect
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from shared.endpoints import Endpoint
from shared.errors import (
    NotAcceptedError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    SettingsError,
    ThrottledError,
)
from shared.fal import FalClient

NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "LocalProtocolError", "InvalidURL"}
"""httpx docs: exceptions. These come before a byte of the request has left."""
IN_DOUBT = {
    *("TransportError", "RequestError", "TimeoutException", "NetworkError", "ProtocolError", "ProxyError"),
    *("ReadTimeout", "WriteTimeout", "ReadError", "WriteError", "CloseError", "RemoteProtocolError"),
    *("DecodingError", "TooManyRedirects"),
}
"""These come when the request may have arrived, or do not say when."""
NOT_OURS = {
    *("HTTPError", "HTTPStatusError", "CookieConflict"),
    *("StreamError", "StreamConsumed", "StreamClosed", "ResponseNotRead", "RequestNotRead"),
}
"""These are raised by calls that the client for fal does not make: raise_for_status, streams, cookies."""

BODIES: dict[str, dict[str, Any]] = {
    "empty": {"content": b""},
    "page": {"text": "<html><center>nginx</center></html>"},
    "json": {"json": {"message": "Service Unavailable"}},
    "list": {"json": ["no"]},
    "detail": {"json": {"detail": "no"}},
    "details": {"json": {"detail": [{"loc": ["body"], "msg": "no", "type": "t"}]}},
}
"""Bodies of gateways and of fal's own: only the last two have fal's form."""
OF_FAL_S_FORM = {"detail", "details"}
STATUSES = sorted(
    {*(status.value for status in HTTPStatus if status >= HTTPStatus.OK), *(460, 499, 520, 522, 524, 530, 599)}
)
"""All that are registered, and those that load balancers and CDNs have made up."""
LOCKED = {401, 402}
MOVED = {301, 302, 307, 308, 405}
TIMED_OUT = {408, 409, 460, 499}
"""A gateway gave up on a request that it had passed on, or another one like it is under way."""


def submit(answer: httpx.Response | Exception) -> tuple[type[Exception] | None, int]:
    """What a submission raises, and how many POSTs were made."""
    posts = []

    def fal(request: httpx.Request) -> httpx.Response:
        posts.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = FalClient(
        httpx.Client(transport=httpx.MockTransport(fal)),
        "https://queue.fal.run",
        "Key",
        lambda fresh: "" if fresh else "id:secret",
        86_400,
    )
    try:
        client.submit(Endpoint.MAX, {"prompt": "p"}, "https://api.example/webhooks/fal/j")
    except Exception as error:  # noqa: BLE001 - its type is what is asked for
        return type(error), len(posts)
    return None, len(posts)


def verdict(status: int, body: str) -> type[Exception]:
    """What such an answer proves, by RFC 9110 and fal's docs, errors: in doubt wherever nothing is proven."""
    if status in LOCKED:
        return ProviderLockedError
    if status in MOVED:
        return SettingsError
    if status == 429:
        return ThrottledError
    if status == 503 and body in OF_FAL_S_FORM:
        return NotAcceptedError
    if 400 <= status < 500 and status not in TIMED_OUT:
        return RefusedError
    return ReplyLostError


def exceptions() -> dict[str, type[Exception]]:
    """The exceptions that httpx has."""
    found = [getattr(httpx, name) for name in httpx.__all__]
    return {one.__name__: one for one in found if inspect.isclass(one) and issubclass(one, Exception)}


def test_every_exception_of_the_client_has_its_verdict() -> None:
    """One that a newer version brings is in no list, and fails here before it costs money."""
    assert exceptions().keys() == NOT_SENT | IN_DOUBT | NOT_OURS
    assert not NOT_SENT & IN_DOUBT
    for name in NOT_OURS:
        assert not issubclass(exceptions()[name], httpx.RequestError)


@pytest.mark.parametrize("name", sorted(NOT_SENT | IN_DOUBT))
def test_what_an_exception_proves(name: str) -> None:
    """A request that may have arrived is never called one that was not taken."""
    assert submit(exceptions()[name]("m")) == (NotAcceptedError if name in NOT_SENT else ReplyLostError, 1)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", BODIES)
def test_what_a_status_proves(status: int, body: str) -> None:
    """Whoever answers, fal or what stands before it: only what proves that nothing was taken may be sent again."""
    assert submit(httpx.Response(status, **BODIES[body])) == (verdict(status, body), 1)
