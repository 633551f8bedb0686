"""The heap of what happens later."""

import threading
import time
from typing import TYPE_CHECKING

import pytest

from local.fal import Emulator, EmulatorSettings, ManualClock, SystemClock
from local.fal.schedule import Schedule, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def workers() -> "Iterator[Workers]":
    """Give two threads."""
    made = Workers(2)
    yield made
    made.close()


def test_entries_run_in_the_order_of_their_times() -> None:
    """Time moves from entry to entry; of two at the same time, the first entered is first."""
    clock = ManualClock(start=0)
    schedule = Schedule(clock, Workers())
    seen: list[tuple[str, float]] = []
    for name, due in (("late", 5.0), ("b", 2.0), ("c", 2.0), ("never", 11.0)):
        schedule.at(due, lambda name=name: seen.append((name, clock.now())))  # type: ignore[misc] # mypy cannot infer a lambda's default
    schedule.after(1, lambda: schedule.after(3, lambda: seen.append(("nested", clock.now()))))
    schedule.advance(10)
    assert seen == [("b", 2), ("c", 2), ("nested", 4), ("late", 5)]
    assert (clock.now(), schedule.next_due()) == (10, 11)


def test_nothing_runs_before_it_is_due() -> None:
    """run_due does what is due and what becomes due by doing it."""
    clock = ManualClock(start=0)
    schedule = Schedule(clock, Workers())
    seen: list[str] = []
    schedule.at(0, lambda: schedule.at(0, lambda: seen.append("now")))
    schedule.at(1, lambda: seen.append("later"))
    assert schedule.run_due() == 2
    assert seen == ["now"]
    clock.sleep(1)
    assert schedule.run_due() == 1
    schedule.clear()
    assert schedule.wait_for_next() is False


def test_a_thread_runs_entries_as_the_clock_reaches_them() -> None:
    """On the machine's clock an entry is done by itself, in its time or when the clock is put forward."""
    schedule = Schedule(SystemClock(), Workers())
    soon, far = threading.Event(), threading.Event()
    schedule.start()
    schedule.after(0.05, soon.set)
    schedule.after(1000, far.set)
    assert soon.wait(5)
    assert not far.is_set()
    schedule.advance(1000)
    assert far.wait(5)
    schedule.stop()


def test_slow_work_holds_nothing_up(workers: Workers) -> None:
    """Work on threads lets the next entry run, and settling waits for it."""
    release, done = threading.Event(), []
    workers.do(lambda: done.append(release.wait(5)))
    assert done == []
    release.set()
    workers.settle(5)
    assert done == [True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_breaks_is_reported(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error on a thread is not swallowed."""
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: seen.append(given.exc_type))
    workers.do(lambda: int("none"))  # type: ignore[arg-type] # work that fails
    workers.settle(5)
    deadline = time.monotonic() + 5
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == [ValueError]


def test_who_is_held_up_is_let_go_when_it_stops() -> None:
    """The end of the emulator waits for nobody's slow answer."""
    schedule = Schedule(SystemClock(), Workers())
    schedule.start()
    waiting = threading.Thread(target=lambda: schedule.wait(3600))
    waiting.start()
    schedule.stop()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_clock_that_stands_still_gets_no_thread() -> None:
    """Starting such an emulator is a mistake, and says so."""
    with pytest.raises(TypeError):
        Emulator(EmulatorSettings(), clock=ManualClock()).start()
