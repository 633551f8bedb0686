"""Webhooks: one event per request, signed, sent, and sent again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import httpx

from local.fal.faults import infrastructure_body
from local.fal.inputs import is_private
from local.fal.keys import SigningKeys
from local.fal.schedule import Schedule, Workers
from local.fal.settings import EmulatorSettings
from local.fal.spoiling import signed_headers, spoiled_delivery

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local.fal.requests import Request
    from local.fal.switches import Spoil

Deliver = Callable[[str, dict[str, str], bytes, float], int]
"""Posts a webhook (URL, headers, body, timeout in seconds) and gives the HTTP status, or raises."""

# fal docs: webhooks. The first attempt may take 15 s, every later one 120 s.
FIRST_TIMEOUT = 15.0
RETRY_TIMEOUT = 120.0
CONTRADICTION = "Invalid status code: 500"
PAYLOAD_ERROR = (
    "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue endpoint to"
    " retrieve the response."
)


@dataclass(frozen=True)
class Backoff:
    """Delays that grow by a factor; fal does not publish its own."""

    retries: int
    first_seconds: float
    growth: float
    ends_with_result: bool

    def delay(self, retry: int) -> float:
        """Give the wait before the retry of that number, from 1."""
        return float(self.first_seconds * self.growth ** (retry - 1))


# All 31 retries fit into the hour; ten doublings from 7 s fill two hours.
SCHEDULES = {
    "until_expiry": Backoff(retries=31, first_seconds=2.0, growth=1.2, ends_with_result=True),
    "two_hours": Backoff(retries=10, first_seconds=7.0, growth=2.0, ends_with_result=False),
}


@dataclass(frozen=True)
class Attempt:
    """One POST and what came of it: an HTTP status, or the name of the error."""

    at: float
    timeout: float
    status: int | None
    error: str | None = None

    @property
    def verdict(self) -> Literal["delivered", "dead", "again"]:
        """Any 2xx ends it, a 3xx kills it, all else is tried again."""
        match self.status and self.status // 100:
            case 2:
                return "delivered"
            case 3:
                return "dead"
        return "again"


@dataclass
class Delivery:
    """The event of a request on its way to a URL, and how far it has come."""

    url: str
    body: bytes
    signed_at: float
    ends_at: float
    spoil: "Spoil | None" = None
    spoil_first: int | None = None
    once: bool = False
    """A delivery that the emulator adds to the true one is not tried again."""
    state: Literal["pending", "delivered", "dead", "dropped", "exhausted", "expired", "lost"] = "pending"
    attempts: list[Attempt] = field(default_factory=list)


def webhook_body(request: "Request", *, contradicts: bool = False) -> bytes:
    """Give the event's bytes: keys sorted, Python's default separators, and a null error on success.

    One that contradicts tells of a failure where there was success, and of a picture where there was none.
    """
    outcome = request.outcome
    if outcome is None:
        raise ValueError("a request without an outcome has no event")
    event: dict[str, JsonValue] = {"request_id": request.id, "gateway_request_id": request.gateway_id}
    if contradicts and outcome.succeeded:
        event |= {"status": "ERROR", "error": CONTRADICTION, "payload": infrastructure_body("internal_error")}
    elif contradicts:
        event |= {"status": "OK", "error": None, "payload": {"images": []}}
    elif not outcome.succeeded:
        event |= {"status": "ERROR", "error": f"Invalid status code: {outcome.status}", "payload": outcome.body}
    elif request.script.payload_error:
        event |= {"status": "OK", "payload": None, "payload_error": PAYLOAD_ERROR}
    else:
        event |= {"status": "OK", "error": None, "payload": outcome.body}
    return json.dumps(event, sort_keys=True).encode()


def post_webhook(url: str, headers: dict[str, str], body: bytes, timeout: float) -> int:
    """Deliver over the network, following no redirect."""
    return httpx.post(url, headers=headers, content=body, timeout=timeout, follow_redirects=False).status_code


class Courier:
    """Delivers webhooks until they arrive, die, or run out of time."""

    def __init__(
        self, settings: EmulatorSettings, schedule: Schedule, workers: Workers, keys: SigningKeys, deliver: Deliver
    ) -> None:
        self._settings = settings
        self._schedule = schedule
        self._workers = workers
        self._keys = keys
        self._deliver = deliver

    def send(self, request: "Request", *, at_once: bool = False) -> None:
        """Begin the delivery of a completed request's event, if it has a webhook.

        At once means on the calling thread: when this returns, the first attempt has been answered.
        """
        if request.webhook_url is None:
            return
        faults = request.script.deliveries
        body, now, ends_at = webhook_body(request), self._schedule.clock.now(), request.redelivery_ends_at()
        for copy in range(faults.copies):
            due = now + faults.delay_seconds + copy * faults.apart_seconds
            delivery = Delivery(request.webhook_url, body, due, ends_at, faults.spoil, faults.spoil_first)
            if faults.lost:
                request.deliveries.append(delivery)
                delivery.state = "lost"
            else:
                self._dispatch(request, delivery, at_once=at_once and due <= now)
        for extra in faults.extra:
            said = webhook_body(request, contradicts=True) if extra.contradicts else body
            due = now + extra.delay_seconds
            delivery = Delivery(extra.url or request.webhook_url, said, due, ends_at, extra, once=True)
            self._dispatch(request, delivery)

    def _dispatch(self, request: "Request", delivery: Delivery, *, at_once: bool = False) -> None:
        request.deliveries.append(delivery)
        if is_private(delivery.url) and not self._settings.allow_private_webhooks:
            delivery.state = "dropped"
        elif at_once:
            self._attempt(request, delivery)
        else:
            self._schedule.at(delivery.signed_at, lambda: self._workers.do(lambda: self._attempt(request, delivery)))

    def _signed(self, request: "Request", delivery: Delivery) -> tuple[dict[str, str], bytes]:
        """Sign the event, at its first attempt's time or again for each, and spoil it as it was told."""
        done = len(delivery.attempts)
        fresh = done and self._settings.retry_signature == "fresh"
        timestamp = int(self._schedule.clock.now() if fresh else delivery.signed_at)
        key, body = self._keys.current, delivery.body
        headers = signed_headers(key, request.id, self._settings.user_id, timestamp, body)
        if delivery.spoil is None or (delivery.spoil_first is not None and done >= delivery.spoil_first):
            return headers, body
        return spoiled_delivery(delivery.spoil, key, headers, body)

    def _attempt(self, request: "Request", delivery: Delivery) -> None:
        headers, body = self._signed(request, delivery)
        timeout = RETRY_TIMEOUT if delivery.attempts else FIRST_TIMEOUT
        at = self._schedule.clock.now()
        try:
            attempt = Attempt(at, timeout, self._deliver(delivery.url, headers, body, timeout))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            attempt = Attempt(at, timeout, None, error=type(error).__name__)
        self._settle(request, delivery, attempt)

    def _settle(self, request: "Request", delivery: Delivery, attempt: Attempt) -> None:
        delivery.attempts.append(attempt)
        if attempt.verdict != "again":
            delivery.state = attempt.verdict
            return
        backoff = SCHEDULES[self._settings.delivery_schedule]
        retry = len(delivery.attempts)
        due = self._schedule.clock.now() + backoff.delay(retry)
        if delivery.once or retry > backoff.retries:
            delivery.state = "exhausted"
        elif backoff.ends_with_result and due >= delivery.ends_at:
            delivery.state = "expired"
        else:
            self._schedule.at(due, lambda: self._workers.do(lambda: self._attempt(request, delivery)))
