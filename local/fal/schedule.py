"""The clock, and the one heap of everything that happens later."""

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from itertools import count
from typing import Protocol

Action = Callable[[], None]
SETTLE_SECONDS = 30.0
START_OF_MANUAL_TIME = 1_700_000_000.0


class Clock(Protocol):
    """Unix seconds that can be moved forward."""

    def now(self) -> float:
        """Give the Unix time in seconds."""
        ...

    def move(self, seconds: float) -> None:
        """Put the time forward at once."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        ...


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: float = START_OF_MANUAL_TIME) -> None:
        self._now = start

    def now(self) -> float:
        """Give the time to which the clock was last moved."""
        return self._now

    def move(self, seconds: float) -> None:
        """Put the time forward at once."""
        self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Let so much time pass without waiting."""
        self._now += seconds


class SystemClock:
    """The machine's clock plus whatever it was put forward by."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Give the machine's time plus the offset."""
        return time.time() + self._offset

    def move(self, seconds: float) -> None:
        """Put the time forward at once."""
        self._offset += seconds

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Workers:
    """Where slow work (painting, delivering) is done: on the calling thread, or on `threads` others."""

    def __init__(self, threads: int = 0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fal") if threads else None
        self._busy: set[Future[None]] = set()
        self._lock = threading.Lock()

    def do(self, work: Action) -> None:
        """Do the work now, or hand it to a thread."""
        if self._pool is None:
            work()
            return
        future = self._pool.submit(work)
        with self._lock:
            self._busy.add(future)
        future.add_done_callback(self._finished)

    def settle(self, seconds: float) -> None:
        """Wait until the work at hand is done, though no longer than so many seconds."""
        with self._lock:
            busy = tuple(self._busy)
        wait_for(busy, timeout=seconds)

    def close(self) -> None:
        """Drop the work not yet begun and wait for none."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _finished(self, future: Future[None]) -> None:
        with self._lock:
            self._busy.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))


class Schedule:
    """The heap of (due time, sequence, action), and the thread that may run it."""

    def __init__(self, clock: Clock, workers: Workers) -> None:
        self.clock = clock
        self._workers = workers
        self._heap: list[tuple[float, int, Action]] = []
        self._sequence = count()
        self._changed = threading.Condition()
        # One hand at a time runs entries, so that whoever advances the clock sees all that an entry does.
        self._running = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def at(self, due: float, action: Action) -> None:
        """Have the action done at that Unix time; of two with the same time, the one entered first."""
        with self._changed:
            heapq.heappush(self._heap, (due, next(self._sequence), action))
            self._changed.notify_all()

    def after(self, seconds: float, action: Action) -> None:
        """Have the action done so many seconds from now."""
        self.at(self.clock.now() + seconds, action)

    def next_due(self) -> float | None:
        """Say when the next entry is due, or None if there is none."""
        with self._changed:
            return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Do all that is due now, also what becomes due by doing it, and say how many actions that were."""
        done = 0
        with self._running:
            while (action := self._take_due()) is not None:
                action()
                done += 1
        return done

    def advance(self, seconds: float) -> None:
        """Move the clock from due entry to due entry, doing each, and then to the end of the time given."""
        target = self.clock.now() + seconds
        self._run_and_settle()
        while (due := self.next_due()) is not None and due <= target:
            self.clock.move(max(0.0, due - self.clock.now()))
            self._run_and_settle()
        self.clock.move(max(0.0, target - self.clock.now()))
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Hold a caller up for so long; what falls due meanwhile is done, by the thread or, without one, here."""
        if self._thread is None:
            self.advance(seconds)
            return
        ends_at = self.clock.now() + seconds
        with self._changed:
            while not self._stopping and (left := ends_at - self.clock.now()) > 0:
                self._changed.wait(min(0.5, left))

    def wait_for_next(self) -> bool:
        """Let time pass to the next thing that happens; False if nothing ever will."""
        if self._thread is None:
            due = self.next_due()
            if due is None:
                return False
            self.advance(max(0.0, due - self.clock.now()))
            return True
        with self._changed:
            self._changed.wait(0.1)
        return True

    def clear(self) -> None:
        """Forget all entries."""
        with self._changed:
            self._heap.clear()

    def start(self) -> None:
        """Run the entries on a thread of its own as the clock reaches them."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fal-schedule", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End that thread."""
        if self._thread is None:
            return
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(5)
        self._thread = None

    def _run_and_settle(self) -> None:
        self.run_due()
        # What is being painted or delivered may enter something that is due within the time given.
        self._workers.settle(SETTLE_SECONDS)

    def _take_due(self) -> Action | None:
        with self._changed:
            if self._heap and self._heap[0][0] <= self.clock.now():
                return heapq.heappop(self._heap)[2]
            return None

    def _run(self) -> None:
        while not self._stopping:
            self.run_due()
            with self._changed:
                due = self._heap[0][0] if self._heap else None
                if self._stopping or (due is not None and due <= self.clock.now()):
                    continue
                # The wait is short so that a clock put forward by another hand is noticed.
                self._changed.wait(0.5 if due is None else min(0.5, due - self.clock.now()))
