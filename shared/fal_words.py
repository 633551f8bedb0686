"""What fal says of a request, read: in the queue's status, in both forms of its errors, in a refusal."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.jobs import JobError
from shared.reasons import Reason

WHO = r"(users?|accounts?|teams?|organi[sz]ations?|workspaces?|keys?|tokens?|subscriptions?)"
WHAT = r"(locked|blocked|suspended|disabled|deactivated|revoked|expired|banned|on hold)"
MONEY = r"(balance|credits?|funds|quota|billing|spend(ing)?|budget|invoices?|payments?)"
SPENT = (
    r"(exhausted|insufficient|not enough|no|out of|exceeded|reached|depleted|too low|negative|empty|overdue|past due"
    r"|failed|declined|required|limit)"
)
LOCK_WORDS = re.compile(
    rf"\b({WHO}\b.{{0,40}}\b{WHAT}|{WHAT} {WHO}|{MONEY}\b.{{0,30}}\b{SPENT}|{SPENT}\b.{{0,20}}\b{MONEY})\b",
    re.IGNORECASE | re.DOTALL,
)
"""What a 403 says where the account is meant, and not the request: fal's words, and those of resellers and gateways."""
ECHOED = {"input", "ctx"}
"""Fields of fal's details that repeat what was sent, which may hold any words."""
NO_REASON = "no reason given"
MAX_WORDS = 1000
"""The characters of fal's words that are read, or kept."""
UNDER_WAY = {"IN_QUEUE", "IN_PROGRESS", "QUEUED", "PENDING", "PROCESSING", "RUNNING"}
"""The queue's words for a request that is not finished: fal has the first two, gateways have others."""
FAILED_WORDS = {"FAILED", "FAILURE", "ERROR", "CANCELLED", "CANCELED"}
"""A gateway's words for a request that ended without a result; fal says COMPLETED, and the error beside it."""


@dataclass(frozen=True)
class Progress:
    """What the queue says of a request; `error`: why it failed, of type FAL_ERROR where the queue names none."""

    is_completed: bool
    error: JobError | None = None

    @property
    def has_reason(self) -> bool:
        """Whether the queue itself says why the request failed."""
        return self.error is not None and self.error.type != Reason.FAL_ERROR


COMPLETED = Progress(is_completed=True)


def read_progress(word: str, body: Mapping[str, Any]) -> Progress:
    """Read a status: what is neither waiting nor running has ended, whatever word a gateway has for it."""
    if word.upper() in UNDER_WAY:
        return Progress(is_completed=False)
    kind, message = body.get("error_type"), body.get("error")
    if not kind and not message and word.upper() not in FAILED_WORDS:
        return COMPLETED
    error = JobError(type=clean(kind or Reason.FAL_ERROR), message=clean(message or f"fal says {word}"))
    return Progress(is_completed=True, error=error)


def is_about_account(body: object) -> bool:
    """Whether a 403 means the account, and not the request that it answers; it may say so in any of its fields."""
    return any(LOCK_WORDS.search(text[:MAX_WORDS]) for text in _texts(body))


def _texts(body: object) -> Iterator[str]:
    unread = [body]
    while unread:
        match unread.pop():
            case str() as text:
                yield text
            case list() as items:
                unread += items
            case dict() as fields:
                unread += [value for name, value in fields.items() if name not in ECHOED]


def read_error(body: object, headers: Mapping[str, str] | None = None) -> JobError:
    """fal's error in both of its shapes: a list of details by the model, a text by the infrastructure.

    Source: fal docs, errors. Only types and sentences are taken: `input` echoes prompts and URLs.
    """
    content = body if isinstance(body, dict) else {}
    detail = content.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        sentences = [_sentence(item) for item in detail if isinstance(item, dict)]
        return JobError(type=clean(detail[0].get("type") or Reason.MODEL_ERROR), message=clean("; ".join(sentences)))
    kind = content.get("error_type") or (headers or {}).get("X-Fal-Error-Type") or Reason.FAL_ERROR
    return JobError(type=clean(kind), message=clean(detail if isinstance(detail, str) else NO_REASON))


def _sentence(item: dict[str, Any]) -> str:
    loc = item.get("loc")
    return f"{'.'.join(map(str, loc if isinstance(loc, list) else []))}: {item.get('msg')}"


def clean(text: object) -> str:
    """Text as a row can hold it, and not too much of it."""
    # JSON may hold halves of characters, which no UTF-8 can.
    return str(text)[:MAX_WORDS].encode("utf-8", "replace").decode()
