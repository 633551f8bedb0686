"""fal's word that requests come too fast, as this container heard it: nothing is sent before the time that it named.

While that word is fresh, submissions go out one at a time, each after the last one's answer: side by side all but one
of them would be refused again.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import ThrottledError

FRESH_SECONDS = 60
"""How long after a refusal submissions go out one at a time."""
FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
"""The wait after a refusal that names no time: at first, and at most; it doubles from one refusal to the next."""


class Throttle:
    """One for the container. Times are Unix seconds."""

    def __init__(self, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._now = now
        self._sleep = sleep
        self._free_at = float("-inf")
        self._refused_at = float("-inf")
        self._interval = 0.0
        self._is_named = False
        self._turn = threading.Lock()

    @property
    def is_tight(self) -> bool:
        """Whether fal refused a submission of this container just now because too many came."""
        return self._now() - self._refused_at < FRESH_SECONDS or self.wait > 0

    @property
    def wait(self) -> float:
        """The seconds until the next submission may go out."""
        return max(0.0, self._free_at - self._now())

    @property
    def interval(self) -> float:
        """The seconds between two submissions, as far as fal's refusals tell."""
        return max(self._interval, FIRST_SECONDS)

    def note_refused(self, retry_after: float | None) -> None:
        """fal refused a submission, and asks for so many seconds of patience, or says nothing of it."""
        self._is_named = bool(retry_after)
        # Several that were on their way side by side are one refusal.
        doubled = self.interval if self.wait else min(2 * self.interval, MOST_SECONDS)
        self._interval = retry_after or doubled
        self._refused_at = self._now()
        self._free_at = max(self._free_at, self._refused_at + self._interval)

    def note_accepted(self) -> None:
        """fal took a submission: where fal names no time, the wait after its next refusal need not be so long."""
        if not self._is_named:
            self._interval /= 2

    @contextmanager
    def turn(self, patience: float) -> Iterator[None]:
        """Wait for one's turn to send.

        Raises:
            ThrottledError: it does not come within `patience` seconds; nothing was sent.
        """
        if not self.is_tight:
            yield
            return
        if not self._turn.acquire(timeout=max(0.0, patience)):
            raise ThrottledError("fal takes requests too slowly for all that wait", self.interval)
        try:
            if (wait := self.wait) > patience:
                raise ThrottledError(f"fal asked to wait {wait:.0f} s more", wait)
            if wait:
                self._sleep(wait)
            yield
        finally:
            self._turn.release()
