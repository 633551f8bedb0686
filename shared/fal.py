"""fal's queue: submit, status, result, cancel (fal docs: queue)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError

from shared.endpoints import Endpoint, Result
from shared.errors import (
    ModelFailedError,
    NotAcceptedError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    UnreadableError,
)
from shared.jobs import JobError, Request
from shared.waiting import START_TIMEOUT

LOCKED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}
IN_DOUBT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT}
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
UNTYPED_ERROR = "fal_error"
REQUESTS = "fal-ai/flux-pro/requests"
"""Where requests of all six endpoints stand, for those whose URLs never arrived (fal docs: owner and app only)."""


@dataclass(frozen=True)
class Progress:
    """What the queue says of a request: `failed` if it ended with an error, `failure` if that came before the model."""

    is_completed: bool
    failed: bool = False
    failure: JobError | None = None


COMPLETED = Progress(is_completed=True)


class FalClient:
    """A thin client that never repeats a POST: fal has no idempotency key and bills every one that it accepts.

    The key is only ever sent to the origin of `queue_url`: URLs that fal returns are put onto it, which changes nothing
    for fal itself, and lets a gateway answer with fal's own URLs.
    """

    def __init__(
        self, http: httpx.Client, queue_url: str, auth_scheme: str, key: Callable[[bool], str], output_expiry: int
    ) -> None:
        self._http = http
        self._queue_url = queue_url
        self._auth_scheme = auth_scheme
        self._key = key
        self._output_expiry = output_expiry

    def submit(self, endpoint: Endpoint, arguments: dict[str, Any], webhook_url: str) -> Request:
        """Queue one request, billed once accepted.

        Raises:
            NotAcceptedError: it did not get into the queue, provably.
            ProviderLockedError: the account or the key is refused.
            RefusedError: fal will not have this request.
            ReplyLostError: it may be in the queue.
        """
        url = f"{self._queue_url}/{endpoint}?fal_webhook={quote(webhook_url, safe='')}"
        response = self._post(url, arguments, self._key(False))
        if response.status_code == HTTPStatus.UNAUTHORIZED and (fresh := self._key(True)):
            # A 401 is no acceptance, so once more with the key read anew costs nothing: it may have been rotated.
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
                return Request.model_validate(body)
            except ValidationError as error:
                raise ReplyLostError("fal's answer could not be read") from error
        message = f"fal answered {status}: {read_error(body, response.headers).message}"
        if status in LOCKED:
            raise ProviderLockedError(message)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise NotAcceptedError(message)
        if status == HTTPStatus.SERVICE_UNAVAILABLE and isinstance(body, dict) and "detail" in body:
            # fal's own 503 says that the request was not taken; an ingress's page says nothing about it.
            raise NotAcceptedError(message)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in IN_DOUBT:
            raise ReplyLostError(message)
        raise RefusedError(message)

    def status(self, request: Request) -> Progress:
        """The queue's word on a request: one that failed is completed too (fal docs: queue).

        Raises:
            UnreadableError: fal could not be asked, or does not know the request.
        """
        response = self._read("GET", request.status_url or f"{self._queue_url}/{REQUESTS}/{request.request_id}/status")
        body = _json(response)
        if response.is_success and isinstance(body, dict) and isinstance(body.get("status"), str):
            kind, message = body.get("error_type"), body.get("error")
            failure = JobError(type=_clean(kind), message=_clean(message or "no reason given")) if kind else None
            return Progress(body["status"] == "COMPLETED", failed=bool(kind or message), failure=failure)
        raise UnreadableError(f"fal answered {response.status_code}")

    def result(self, request: Request, *, failed: bool = False) -> Result:
        """The result of a request that is known to be finished, and perhaps to have `failed`.

        Raises:
            ModelFailedError: it failed, in the model's or the runner's own words.
            UnreadableError: fal could not be asked, or said something that is no result; an ingress speaks so too.
        """
        response = self._read("GET", request.response_url or f"{self._queue_url}/{REQUESTS}/{request.request_id}")
        status, body = response.status_code, _json(response)
        if response.is_success:
            try:
                return Result.model_validate(body)
            except ValidationError as error:
                raise UnreadableError("fal's result could not be read") from error
        failure = read_error(body, response.headers)
        # The host's own trouble looks like a request's; only the queue's status tells them apart.
        theirs = status < HTTPStatus.INTERNAL_SERVER_ERROR or failed
        if not theirs or (failure.type == UNTYPED_ERROR and status != HTTPStatus.UNPROCESSABLE_ENTITY):
            raise UnreadableError(f"fal answered {status}")
        raise ModelFailedError(failure.type, failure.message)

    def cancel(self, request: Request) -> bool:
        """Ask fal to drop a request; False when it is too late. Even True does not promise that nothing is billed.

        Raises:
            UnreadableError: fal could not be asked.
        """
        response = self._read("PUT", request.cancel_url or f"{self._queue_url}/{REQUESTS}/{request.request_id}/cancel")
        if response.is_success:
            return True
        if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            return False
        raise UnreadableError(f"fal answered {response.status_code}")

    def _read(self, method: str, url: str) -> httpx.Response:
        headers = {"Authorization": f"{self._auth_scheme} {self._key(False)}"}
        try:
            return self._http.request(method, self._rebased(url), headers=headers)
        except (httpx.RequestError, httpx.InvalidURL, ValueError) as error:
            raise UnreadableError(f"fal could not be asked: {type(error).__name__}") from error

    def _rebased(self, url: str) -> str:
        if url.startswith(f"{self._queue_url}/"):
            return url
        parts = urlsplit(url)
        return self._queue_url + parts.path + (f"?{parts.query}" if parts.query else "")


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def read_error(body: object, headers: httpx.Headers | None = None) -> JobError:
    """fal's error in both of its shapes: a list of details by the model, a text by the infrastructure.

    Source: fal docs, errors. Only types and sentences are taken: `input` echoes prompts and URLs.
    """
    content = body if isinstance(body, dict) else {}
    detail = content.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        sentences = [_sentence(item) for item in detail if isinstance(item, dict)]
        return JobError(type=_clean(detail[0].get("type") or "model_error"), message=_clean("; ".join(sentences)))
    kind = content.get("error_type") or (headers or httpx.Headers()).get("X-Fal-Error-Type") or UNTYPED_ERROR
    return JobError(type=_clean(kind), message=_clean(detail if isinstance(detail, str) else "no reason given"))


def _sentence(item: dict[str, Any]) -> str:
    loc = item.get("loc")
    return f"{'.'.join(map(str, loc if isinstance(loc, list) else []))}: {item.get('msg')}"


def _clean(text: object) -> str:
    # JSON may hold halves of characters, which no UTF-8 can.
    return str(text)[:1000].encode("utf-8", "replace").decode()
