"""What is known of the account at fal: whose requests it refuses, and whether the operator has stopped all sending."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from shared.jobs import Record

EVERYBODY = "*"
"""The name of a lock that holds for every owner; no owner is called so."""
MOST_LOCKS = 20
"""The locks that are kept: everybody's requests read them."""


class Lock(Record):
    """That fal refuses an owner, or everybody.

    `accepted`, `doubts`: probes in a row that ended so. `others_at`: when fal last accepted another owner's request,
    0 where it has not done so since the lock opened. `probe_at`, `refused_at`, `others_at`: Unix seconds; before
    `probe_at` nobody probes. `probed`: whose job was last.
    """

    why: str
    accepted: int = 0
    doubts: int = 0
    probe_at: int = 0
    refused_at: int = 0
    others_at: int = 0
    probed: str = ""
    opened_at: str = ""


class State(Record):
    """What the row says: the locks by owner, and since when the operator has paused all sending, if so."""

    locks: dict[str, Lock] = Field(default_factory=dict)
    paused_at: str | None = None
    nonce: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_older_form(cls, content: Any) -> Any:
        """A row of an older version knew one lock, everybody's."""
        if isinstance(content, dict) and "is_open" in content and "locks" not in content:
            return {"nonce": content.get("nonce", ""), "locks": {EVERYBODY: content} if content["is_open"] else {}}
        return content

    def text(self) -> str:
        """The locks as the row holds them, so that functions of the version before can read them beside ours."""
        either = self.locks.get(EVERYBODY) or Lock(why="")
        content = self.model_dump(include={"locks"}) | {"is_open": EVERYBODY in self.locks}
        return json.dumps(either.model_dump(include={"why", "probe_at", "opened_at"}) | content)

    def changed(self, changes: Mapping[str, dict[str, Any] | None], nonce: str) -> Self:
        """The state after changes of locks by name; None closes one.

        Of too many locks that gives way which was refused longest ago: the next refusal opens it again.
        """
        locks = {name: lock.model_dump() for name, lock in self.locks.items()}
        for name, change in changes.items():
            locks[name] = locks.get(name, {}) | (change or {})
            if change is None:
                del locks[name]
        oldest_first = sorted(locks, key=lambda name: (name == EVERYBODY, locks[name].get("refused_at", 0)))
        kept = {name: locks[name] for name in oldest_first[-MOST_LOCKS:]}
        return self.model_validate({"locks": kept, "paused_at": self.paused_at, "nonce": nonce})

    def of(self, owner: str) -> dict[str, Lock]:
        """The locks that hold for an owner, everybody's first."""
        return {name: self.locks[name] for name in (EVERYBODY, owner) if name in self.locks}


def holds_up(name: str, owners: Collection[str]) -> bool:
    """Whether a lock of that name holds up any of the owners."""
    return bool(owners) if name == EVERYBODY else name in owners
