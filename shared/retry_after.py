"""The header Retry-After: how long a server asks to wait, in each form that HTTP has for it (RFC 9110, 10.2.3)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.waiting import HOUR

MOST_SECONDS = 6 * HOUR
"""The longest wait that is taken from a header: a slip of the other side must not stop everything for days."""

SECONDS = re.compile(r"\+?([0-9]+(?:\.[0-9]*)?) ?(?:s|sec|seconds)?", re.ASCII | re.IGNORECASE)
"""A number of seconds, also with the unit that some servers write."""


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds to wait, from 0 to MOST_SECONDS; None where the header is absent or says nothing.

    A date is measured by the server's own clock where the answer carries its Date. A header that stands there twice, as
    fal's and a gateway's, reads as a list: the longest wait counts.
    """
    text = headers.get("Retry-After", "").strip()
    numbers = [SECONDS.fullmatch(part.strip()) for part in text.split(",") if part.strip()]
    if any(numbers):
        return min(max(float(number[1]) for number in numbers if number), MOST_SECONDS)
    if (until := _read_date(text)) is None:
        return None
    asked_at = _read_date(headers.get("Date", "")) or now
    return min(max((until - asked_at).total_seconds(), 0), MOST_SECONDS)


def _read_date(text: str) -> datetime | None:
    """A date in one of HTTP's three forms, all of which mean UTC."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
