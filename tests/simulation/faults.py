"""What can go wrong at a call, and the plans that say where it does."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

WAIT_SECONDS = {"wait8": 8.0, "wait55": 55.0}
"""A function stands still before a call and the world goes on: deliveries come, the clock's function runs."""
WAITS = tuple(WAIT_SECONDS)
WRITES = frozenset({"put_item", "update_item", "put_object", "delete_item", "transact_write_items"})

AWS_READ = ("crash_before", "crash_after", "throttled", "timeout", *WAITS)
AWS_WRITE = (*AWS_READ, "reply_lost", "repeated")
BATCH_READ = (*AWS_READ, "unprocessed")
POST_KINDS = (
    "crash_before",
    "crash_after",
    "refused",
    "no_connection",
    "status429",
    "wait600",
    "wait_until",
    "status503",
    "status403",
    "status401",
    "page502",
    "status500",
    "status422",
    "status404",
    "sent_not_taken",
    "write_failed",
    "json503",
    "taken_write_failed",
    "taken_json503",
    "taken_status408",
    "taken_reply_lost",
    "taken_reply_cut",
    "taken_page502",
    "taken_unreadable",
    *WAITS,
)
GET_KINDS = ("crash_before", "crash_after", "refused", "page502", "typed500", "cut", "slow", *WAITS)
DELETE_KINDS = ("reply_lost", "throttled")

NAMES = tuple(dict.fromkeys((*AWS_WRITE, *BATCH_READ, *POST_KINDS, *GET_KINDS)))


def kinds_of(operation: str) -> tuple[str, ...]:
    """What may happen at a call of this kind."""
    service, _, name = operation.partition(".")
    if service == "sqs":
        return DELETE_KINDS if name == "delete_message_batch" else ()
    if service == "fal":
        return POST_KINDS if name == "submit" else GET_KINDS
    if name == "batch_get_item":
        return BATCH_READ
    return AWS_WRITE if name in WRITES else AWS_READ


class CrashError(BaseException):
    """The process is gone: nothing of the code under test sees this, only who runs the process."""


class Plan(Protocol):
    """Says what happens at a call."""

    def at(self, number: int, operation: str, *, first: bool) -> str | None:
        """The kind of fault at the call of that number, which may be the first of its function's run."""
        ...


@dataclass(frozen=True)
class FixedPlan:
    """Faults by the number of the call."""

    faults: Mapping[int, str] = field(default_factory=dict)

    def at(self, number: int, operation: str, *, first: bool) -> str | None:
        """The fault of that number."""
        del operation, first
        return self.faults.get(number)

    def __str__(self) -> str:
        """As it stands in a replay token."""
        return "+".join(f"{number}.{kind}" for number, kind in sorted(self.faults.items()))

    @classmethod
    def parse(cls, text: str) -> "FixedPlan":
        """Read it back."""
        pairs = (part.split(".") for part in text.split("+") if part)
        faults = {int(number): kind for number, kind in pairs}
        if unknown := set(faults.values()) - set(NAMES):
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        return cls(faults)


@dataclass
class RandomPlan:
    """A fault at each call with some probability, up to a number of them; `made` is what it came to."""

    dice: random.Random
    rate: float
    most: int
    made: dict[int, str] = field(default_factory=dict)

    def at(self, number: int, operation: str, *, first: bool) -> str | None:
        """Throw the dice."""
        if len(self.made) >= self.most or self.dice.random() >= self.rate:
            return None
        kinds = choices(operation, first=first)
        if not kinds:
            return None
        self.made[number] = self.dice.choice(kinds)
        return self.made[number]


def choices(operation: str, *, first: bool) -> tuple[str, ...]:
    """The faults that differ at a call: a crash before it is one after the call before, unless it is the first."""
    kinds = kinds_of(operation)
    return kinds if first else tuple(kind for kind in kinds if kind != "crash_before")
