"""fal's queue: submit, status, result, cancel (fal docs: queue)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError

from shared.endpoints import Endpoint, Result
from shared.errors import (
    ModelFailedError,
    NotAcceptedError,
    OddResultError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    SettingsError,
    ThrottledError,
    UnknownRequestError,
    UnreadableError,
)
from shared.fal_words import Progress, is_about_account, read_error, read_progress
from shared.jobs import Request
from shared.reasons import Reason
from shared.retry_after import read_retry_after
from shared.waiting import START_TIMEOUT

ABOUT_KEY = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED}
ELSEWHERE = {
    *(HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT),
    HTTPStatus.METHOD_NOT_ALLOWED,
}
"""Answers of a server that is not the queue, and did not take the request (RFC 9110)."""
CUT_OFF = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, 460, 499}
"""4xx of a proxy that gave up on a request, which fal may have; AWS's load balancer and nginx made up the last two."""
NOT_OF_THE_REQUEST = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.PAYMENT_REQUIRED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""Statuses of a result that are about who asks, and how: they say nothing of why a request failed."""
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    UnicodeError,
)
"""Failures that come before the first byte of a request: refused, no route, DNS, TLS, a key that no header can hold."""
MAX_URL = 2048
REQUESTS = "fal-ai/flux-pro/requests"
"""Where requests of all six endpoints are, for those whose URLs never arrived (fal docs: owner and app only)."""


class FalClient:
    """A thin client that never repeats a POST: fal has no idempotency key and bills every one that it accepts.

    The key is only ever sent to the origin of `queue_url`: URLs that fal returns are put onto it, which changes nothing
    for fal itself, and lets a gateway answer with fal's own URLs.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is wired of
        self,
        http: httpx.Client,
        queue_url: str,
        auth_scheme: str,
        key: Callable[[bool], str],
        output_expiry: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._http = http
        self._now = now
        self._queue_url = queue_url
        self._auth_scheme = auth_scheme
        self._key = key
        self._output_expiry = output_expiry

    def submit(self, endpoint: Endpoint, arguments: dict[str, Any], webhook_url: str) -> Request:
        """Queue one request, billed once accepted.

        Raises:
            NotAcceptedError: it did not get into the queue, provably.
            ThrottledError: nor did it because too many came.
            ProviderLockedError: nor did it because the account or the key is refused.
            RefusedError: fal will not have this request.
            SettingsError: nor did it because the queue's URL is another server's, or an old one.
            ReplyLostError: it may be in the queue.
        """
        url = f"{self._queue_url}/{endpoint}?fal_webhook={quote(webhook_url, safe='')}"
        response = self._post(url, arguments, self._key(False))
        if response.status_code == HTTPStatus.UNAUTHORIZED and (fresh := self._key(True)):
            # A 401 is no acceptance, so one more try with a freshly read key costs nothing: it may have been rotated.
            response = self._post(url, arguments, fresh)
        return self._read_submitted(response)

    def _post(self, url: str, arguments: dict[str, Any], key: str) -> httpx.Response:
        lifecycle = json.dumps({"expiration_duration_seconds": self._output_expiry})
        headers = {
            "Authorization": f"{self._auth_scheme} {key}",
            "X-Fal-Request-Start-Timeout": str(START_TIMEOUT),
            "X-Fal-Request-Timeout": str(START_TIMEOUT),
            "X-Fal-Object-Lifecycle-Preference": lifecycle,
        }
        try:
            return self._http.post(url, json=arguments, headers=headers)
        except NEVER_SENT as error:
            raise NotAcceptedError(f"fal could not be reached: {type(error).__name__}") from error
        except httpx.RequestError as error:
            raise ReplyLostError(f"fal's answer was lost: {type(error).__name__}") from error

    def _read_submitted(self, response: httpx.Response) -> Request:
        status, body = response.status_code, _json(response)
        if response.is_success:
            try:
                return _bounded(Request.model_validate(body))
            except ValidationError as error:
                raise ReplyLostError("fal's answer could not be read") from error
        if status in ELSEWHERE:
            # Queues do not move; a request that is sent on by hand could be paid twice.
            raise SettingsError(f"FAL_QUEUE_URL is not the queue: it answers {status}{_leading_to(response)}")
        said = read_error(body, response.headers)
        message, retry_after = f"fal answered {status}: {said.message}", self._retry_after(response)
        if status in ABOUT_KEY:
            raise ProviderLockedError(message, is_about_key=True)
        if status == HTTPStatus.FORBIDDEN and is_about_account(body or response.text):
            raise ProviderLockedError(message)
        # fal's own 503 says that the request was not taken; an ingress's page says nothing about it.
        is_fal_s = isinstance(body, dict) and "detail" in body
        if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and is_fal_s):
            kind = ThrottledError if status == HTTPStatus.TOO_MANY_REQUESTS or retry_after else NotAcceptedError
            raise kind(message, retry_after)
        if response.is_client_error and status not in CUT_OFF:
            raise RefusedError(message)
        raise ReplyLostError(message, retry_after)

    def _retry_after(self, response: httpx.Response) -> float | None:
        return read_retry_after(response.headers, self._now())

    def status(self, request: Request) -> Progress:
        """The queue's word on a request: one that failed is completed too (fal docs: queue).

        Raises:
            UnreadableError: fal could not be asked.
            UnknownRequestError: it knows no such request of ours.
        """
        response = self._read("GET", request.status_url, f"{request.request_id}/status")
        body = _json(response)
        word = body.get("status") if response.is_success and isinstance(body, dict) else None
        is_no = response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}
        if is_no and not is_about_account(body or response.text):
            raise UnknownRequestError(f"fal answered {response.status_code}")
        if not isinstance(word, str):
            raise self._unreadable(response)
        return read_progress(word, body)

    def result(self, request: Request, *, failed: bool = False) -> Result:
        """The result of a request that is known to be finished, and perhaps to have `failed`.

        Raises:
            ModelFailedError: it failed, in the model's or the runner's own words.
            UnreadableError: fal could not be asked, or said something that is no result; an ingress speaks so too.
            OddResultError: it said something else than a result with images.
        """
        response = self._read("GET", request.response_url, request.request_id)
        status, body = response.status_code, _json(response)
        if response.is_success:
            try:
                return Result.model_validate(body)
            except ValidationError as error:
                if body is None:
                    raise UnreadableError("fal's result could not be read") from error
                raise OddResultError(body) from error
        told = read_error(body, response.headers)
        if failed:
            # The queue has said that the request failed: this is why, if it is not about who asks.
            is_about_request = isinstance(body, dict) and status not in NOT_OF_THE_REQUEST
        else:
            # The host's own trouble looks like a request's; only the queue's word tells them apart.
            is_named = told.type != Reason.FAL_ERROR or status == HTTPStatus.UNPROCESSABLE_ENTITY
            is_about_request = status < HTTPStatus.INTERNAL_SERVER_ERROR and is_named
        if not is_about_request:
            raise self._unreadable(response)
        raise ModelFailedError(told.type, told.message)

    def cancel(self, request: Request) -> bool:
        """Ask fal to drop a request; False when it is too late. Even True does not promise that nothing is billed.

        Raises:
            UnreadableError: fal could not be asked.
        """
        response = self._read("PUT", request.cancel_url, f"{request.request_id}/cancel")
        if response.is_success:
            return True
        if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            return False
        raise self._unreadable(response)

    def _unreadable(self, response: httpx.Response) -> UnreadableError:
        return UnreadableError(f"fal answered {response.status_code}", self._retry_after(response))

    def _read(self, method: str, url: str | None, path: str) -> httpx.Response:
        headers = {"Authorization": f"{self._auth_scheme} {self._key(False)}"}
        try:
            address = self._rebased(url) if url else None
            return self._http.request(method, address or f"{self._queue_url}/{REQUESTS}/{path}", headers=headers)
        except (httpx.RequestError, httpx.InvalidURL, ValueError) as error:
            raise UnreadableError(f"fal could not be asked: {type(error).__name__}") from error

    def _rebased(self, url: str) -> httpx.URL | None:
        """The path and query of fal's URL on the queue's own origin; None for what is no whole URL."""
        try:
            given, parts = httpx.URL(url), urlsplit(url)
        except (httpx.InvalidURL, ValueError):
            return None
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.startswith("/"):
            return None
        if url.startswith(f"{self._queue_url}/"):
            return given
        queue = httpx.URL(self._queue_url)
        return queue.copy_with(raw_path=queue.raw_path.rstrip(b"/") + given.raw_path)


def _leading_to(response: httpx.Response) -> str:
    """Where a redirect leads, without what may be secret in it."""
    parts = urlsplit(response.headers.get("Location", ""))
    return f" and leads to {parts.scheme}://{parts.hostname}" if parts.hostname else ""


def _bounded(request: Request) -> Request:
    """The request without URLs that are too long to keep: the job's row must hold it, and the id finds it as well."""
    too_long = [name for name, text in request if text and name != "request_id" and len(text) > MAX_URL]
    return request.model_copy(update=dict.fromkeys(too_long))


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
