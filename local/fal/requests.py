"""A request, its states, and what became of it."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import JsonValue

from local.fal.addresses import Address
from local.fal.scripts import Script

if TYPE_CHECKING:
    from local.fal.deliveries import Delivery

KIB = 1024
HOUR = 3600.0
# fal docs: queue. A result is kept for an hour, or for six minutes when its JSON is 10 KB or more.
LARGE_RESULT_BYTES = 10 * KIB
LARGE_RESULT_SECONDS = 360.0
# fal docs: payload storage keeps results for 30 days, but none over 1 MB.
STORED_SECONDS = 30 * 86400.0
UNSTORABLE_BYTES = 1024 * KIB


class State(StrEnum):
    """The three states of fal's queue; a failed request is COMPLETED too."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


@dataclass(frozen=True)
class Outcome:
    """What the model or the infrastructure answered."""

    status: int
    body: JsonValue
    units: int = 0
    error: str | None = None
    error_type: str | None = None
    timeout_type: str | None = None
    retryable: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    inline: bool = False
    """The pictures are in the body (`sync_mode`), which keeps the request out of fal's history."""

    @cached_property
    def body_bytes(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body).encode()

    @property
    def succeeded(self) -> bool:
        """Whether the pictures were made."""
        return self.status < 400  # noqa: PLR2004 - where HTTP's errors begin


@dataclass
class Request:
    """One accepted submit."""

    id: str
    address: Address
    body: bytes
    order: int
    submitted_at: float
    script: Script = field(default_factory=Script)
    webhook_url: str | None = None
    low_priority: bool = False
    attempts_allowed: int = 10
    store_io: bool = True
    start_deadline: float | None = None
    lifecycle: dict[str, JsonValue] | None = None

    state: State = State.IN_QUEUE
    gateway_id: str = ""
    ready_at: float = 0.0
    attempts: int = 0
    started_at: float | None = None
    completed_at: float | None = None
    cancel_asked: bool = False
    status_calls: int = 0
    result_calls: int = 0
    outcome: Outcome | None = None
    logs: list[dict[str, JsonValue]] = field(default_factory=list)
    deliveries: list["Delivery"] = field(default_factory=list)

    @property
    def arguments(self) -> JsonValue:
        """The body as JSON, or as text if it is none."""
        try:
            parsed: JsonValue = json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")
        return parsed

    @property
    def in_history(self) -> bool:
        """Whether the payload is stored, which neither sync_mode nor X-Fal-Store-IO: 0 allows."""
        return self.store_io and not (self.outcome is not None and self.outcome.inline)

    def log(self, now: str, message: str) -> None:
        """Keep one line of the runner's log."""
        self.logs.append({"message": message, "level": "INFO", "source": "USER", "timestamp": now})

    def redelivery_ends_at(self) -> float:
        """Say when fal stops delivering: at the short expiry of the result, stored or not."""
        if self.outcome is None or self.completed_at is None:
            return float("inf")
        large = len(self.outcome.body_bytes) >= LARGE_RESULT_BYTES
        return self.completed_at + (LARGE_RESULT_SECONDS if large else HOUR)

    def expires_at(self) -> float:
        """Say when the result is forgotten."""
        if self.outcome is None or self.completed_at is None:
            return float("inf")
        if self.in_history and len(self.outcome.body_bytes) <= UNSTORABLE_BYTES:
            return self.completed_at + STORED_SECONDS
        return self.redelivery_ends_at()
