"""Turns: all that goes on at once in a run, on one thread; at its calls one thing stands still, and another goes on."""

from collections.abc import Callable
from typing import TypeVar

from greenlet import getcurrent, greenlet

from local.fal.schedule import Action, Clock, Schedule, Workers

T = TypeVar("T")


class Turns(Schedule):
    """A run's schedule: each of its actions may stand still for a while, in which all others go on."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, Workers())
        self.standing = 0
        """How many stand still now."""

    def at(self, due: float, action: Action) -> None:
        """Have the action begin at that Unix time; of two with the same time, the one entered first."""
        super().at(due, lambda: _begin(action))

    def stand_still(self, until: float) -> None:
        """Let all others go on until that time (Unix seconds); those that began to stand still first go on first."""
        sleeper = _Sleeper()
        super().at(until, sleeper.wake)
        self._sleep(sleeper)

    def in_time(self, seconds: float, action: Callable[[], T]) -> T:
        """Do something and wait so long for its end; what is not over then goes on, and nobody hears of its end.

        Raises:
            TimeoutError: it was not over in time.
        """
        ends: list[T] = []
        sleeper = _Sleeper()

        def work() -> None:
            ends.append(action())
            if sleeper.sleeps:
                sleeper.wake()

        _begin(work)
        if not ends:
            super().at(self.clock.now() + seconds, sleeper.wake)
            self._sleep(sleeper)
        if not ends:
            raise TimeoutError
        return ends[0]

    def _sleep(self, sleeper: "_Sleeper") -> None:
        self.standing += 1
        sleeper.sleep()
        self.standing -= 1


class _Sleeper:
    """An action that stands still until somebody wakes it, once."""

    def __init__(self) -> None:
        self._me = getcurrent()
        self.sleeps = False

    def sleep(self) -> None:
        if self._me.parent is None:
            raise RuntimeError("only what the schedule has begun can stand still")
        self.sleeps = True
        self._me.parent.switch()

    def wake(self) -> None:
        if self.sleeps:
            self.sleeps = False
            # Where it stands still again or ends, who woke it goes on.
            self._me.parent = getcurrent()
            self._me.switch()


def _begin(action: Action) -> None:
    greenlet(action).switch()
