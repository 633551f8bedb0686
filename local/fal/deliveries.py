"""Webhooks: one event per request, signed, sent, and sent again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import httpx

from local.fal.inputs import is_private
from local.fal.keys import SigningKeys, sign
from local.fal.schedule import Schedule, Workers
from local.fal.settings import EmulatorSettings

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local.fal.requests import Request

Deliver = Callable[[str, dict[str, str], bytes, float], int]
"""Posts a webhook (URL, headers, body, timeout in seconds) and gives the HTTP status, or raises."""

# fal docs: webhooks. The first attempt may take 15 s, every later one 120 s.
FIRST_TIMEOUT = 15.0
RETRY_TIMEOUT = 120.0
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
    """The one event of a request, and how far it has come."""

    url: str
    body: bytes
    signed_at: float
    ends_at: float
    state: Literal["pending", "delivered", "dead", "dropped", "exhausted", "expired"] = "pending"
    attempts: list[Attempt] = field(default_factory=list)


def webhook_body(request: "Request") -> bytes:
    """Give the event's bytes: keys sorted, Python's default separators, and a null error on success."""
    outcome = request.outcome
    if outcome is None:
        raise ValueError("a request without an outcome has no event")
    event: dict[str, JsonValue] = {"request_id": request.id, "gateway_request_id": request.gateway_id}
    if not outcome.succeeded:
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

    def send(self, request: "Request") -> None:
        """Begin the delivery of a completed request's event, if it has a webhook."""
        if request.webhook_url is None:
            return
        now = self._schedule.clock.now()
        delivery = Delivery(request.webhook_url, webhook_body(request), now, request.redelivery_ends_at())
        request.deliveries.append(delivery)
        if is_private(delivery.url) and not self._settings.allow_private_webhooks:
            delivery.state = "dropped"
            return
        self._schedule.at(now, lambda: self._attempt(request, delivery))

    def headers(self, request: "Request", delivery: Delivery) -> dict[str, str]:
        """Sign the event: at its first attempt's time, or anew for each."""
        fresh = delivery.attempts and self._settings.retry_signature == "fresh"
        timestamp = str(int(self._schedule.clock.now() if fresh else delivery.signed_at))
        user_id = self._settings.user_id
        return {
            "Content-Type": "application/json",
            "X-Fal-Webhook-Request-Id": request.id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": sign(self._keys.current, request.id, user_id, timestamp, delivery.body),
        }

    def _attempt(self, request: "Request", delivery: Delivery) -> None:
        headers = self.headers(request, delivery)
        timeout = RETRY_TIMEOUT if delivery.attempts else FIRST_TIMEOUT

        def work() -> None:
            at = self._schedule.clock.now()
            try:
                attempt = Attempt(at, timeout, self._deliver(delivery.url, headers, delivery.body, timeout))
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                attempt = Attempt(at, timeout, None, error=type(error).__name__)
            self._settle(request, delivery, attempt)

        self._workers.do(work)

    def _settle(self, request: "Request", delivery: Delivery, attempt: Attempt) -> None:
        delivery.attempts.append(attempt)
        if attempt.verdict != "again":
            delivery.state = attempt.verdict
            return
        backoff = SCHEDULES[self._settings.delivery_schedule]
        retry = len(delivery.attempts)
        due = self._schedule.clock.now() + backoff.delay(retry)
        if retry > backoff.retries:
            delivery.state = "exhausted"
        elif backoff.ends_with_result and due >= delivery.ends_at:
            delivery.state = "expired"
        else:
            self._schedule.at(due, lambda: self._attempt(request, delivery))
