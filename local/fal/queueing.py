"""fal's queue: who waits, who runs, who runs again, and how each request ends."""

import random
import threading
import uuid
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from heapq import merge
from itertools import count, islice
from math import ceil
from typing import Literal

from local.fal.deliveries import Courier
from local.fal.faults import RERUN_STATUSES
from local.fal.requests import Outcome, Request, State
from local.fal.runner import Runner, infrastructure_outcome
from local.fal.schedule import Schedule, Workers
from local.fal.settings import EmulatorSettings

CancelVerdict = Literal["REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]


class Queue:
    """All requests of the account, from submit to expiry."""

    def __init__(
        self, settings: EmulatorSettings, schedule: Schedule, workers: Workers, runner: Runner, courier: Courier
    ) -> None:
        self._settings = settings
        self._schedule = schedule
        self._workers = workers
        self._runner = runner
        self._courier = courier
        self._lock = threading.RLock()
        self._requests: dict[str, Request] = {}
        self._lines: dict[str, list[Request]] = {}
        self._running: set[str] = set()
        self._order = count()
        self._random = random.Random(settings.seed)  # noqa: S311 - a trace that repeats is the purpose

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._requests.values()))

    def make_id(self) -> str:
        """Give the next id of the seed's row, shaped as a random UUID."""
        with self._lock:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def next_order(self) -> int:
        """Give the next place in the order of arrival."""
        return next(self._order)

    def accept(self, request: Request) -> None:
        """Take a request into the queue."""
        with self._lock:
            request.gateway_id = request.id
            self._requests[request.id] = request
            self._join_line(request)
            wait = (
                self._settings.queue_seconds if request.script.queue_seconds is None else request.script.queue_seconds
            )
            request.ready_at = request.submitted_at + wait
            if request.script.deliveries.at_submit:
                self._begin(request)
                return
            if request.script.start == State.IN_PROGRESS:
                self._start(request)
                return
            self._schedule.at(request.ready_at, self._start_ready)
            if request.start_deadline is not None:
                self._schedule.at(request.start_deadline, lambda: self._miss_start(request))

    def complete(self, request: Request) -> None:
        """End a request that completes within its submit: its one attempt runs here, and its event is sent from here.

        No lock is held meanwhile, since whoever is told may call back.
        """
        outcome = self._runner.run(request)
        with self._lock:
            if request.state is State.COMPLETED:
                return
            self._finish(request, outcome, tell=False)
        self._courier.send(request, at_once=True)

    def find(self, request_id: str) -> Request | None:
        """Give the request, or None when there is none or its result has expired."""
        with self._lock:
            request = self._requests.get(request_id)
            if request is None or request.expires_at() <= self._schedule.clock.now():
                return None
            return request

    def get(self, request_id: str) -> Request | None:
        """Give the request, expired or not."""
        with self._lock:
            return self._requests.get(request_id)

    def length(self, endpoint: str) -> int:
        """Count what waits at the endpoint, strangers' requests too."""
        with self._lock:
            return self._settings.others_queued + len(self._lines.get(endpoint, []))

    def position(self, request: Request) -> int:
        """Count what is ahead of the request: ours, and the strangers, who leave evenly until it is ready."""
        with self._lock:
            ahead = bisect_left(self._lines.get(request.address.endpoint, []), _turn(request), key=_turn)
            span = request.ready_at - request.submitted_at
            left = max(0.0, request.ready_at - self._schedule.clock.now())
            return ahead + (ceil(self._settings.others_queued * left / span) if span else 0)

    def cancel(self, request: Request) -> CancelVerdict:
        """Take the request out of the queue, or ask its runner to stop, which it may not do."""
        with self._lock:
            if request.state is State.COMPLETED:
                return "ALREADY_COMPLETED"
            request.cancel_asked = True
            completes = request.script.cancelled_running_completes
            if completes is None:
                completes = self._settings.cancelled_running_completes
            if request.state is State.IN_QUEUE:
                self._finish(
                    request, infrastructure_outcome("client_cancelled"), tell=self._settings.webhook_on_queued_cancel
                )
            elif not completes:
                self._finish(
                    request, infrastructure_outcome("client_cancelled"), tell=self._settings.webhook_on_running_cancel
                )
            return "REQUESTED"

    def wake(self) -> None:
        """Look again who may start, since a setting may have changed."""
        self._schedule.at(self._schedule.clock.now(), self._start_ready)

    def clear(self) -> None:
        """Forget all requests; their ids do not come again, since somebody may still ask after them."""
        with self._lock:
            self._requests.clear()
            self._lines.clear()
            self._running.clear()
            self._order = count()

    def _join_line(self, request: Request) -> None:
        insort(self._lines.setdefault(request.address.endpoint, []), request, key=_turn)

    def _leave_line(self, request: Request) -> None:
        line = self._lines.get(request.address.endpoint, [])
        place = bisect_left(line, _turn(request), key=_turn)
        if place < len(line) and line[place] is request:
            del line[place]

    def _start_ready(self) -> None:
        with self._lock:
            now = self._schedule.clock.now()
            # fal docs: concurrency. What waits does not count, and nothing that waits is refused.
            free = max(0, self._settings.concurrency - len(self._running))
            ready = (one for one in merge(*self._lines.values(), key=_turn) if one.ready_at <= now)
            for request in list(islice(ready, free)):
                self._start(request)

    def _begin(self, request: Request) -> None:
        now = self._schedule.clock.now()
        self._leave_line(request)
        request.state = State.IN_PROGRESS
        request.attempts += 1
        request.started_at = now
        request.log(_iso(now), f"Runner takes {request.address.endpoint}, attempt {request.attempts}")
        self._running.add(request.id)

    def _start(self, request: Request) -> None:
        self._begin(request)
        now = self._schedule.clock.now()
        attempt = request.attempts
        # The work begins from the heap, so that a submit is answered before any input is fetched.
        self._schedule.at(now, lambda: self._workers.do(lambda: self._work(request, attempt, now)))

    def _work(self, request: Request, attempt: int, started_at: float) -> None:
        outcome = self._runner.run(request)
        seconds = self._settings.run_seconds if request.script.run_seconds is None else request.script.run_seconds
        due = max(self._schedule.clock.now(), started_at + seconds)
        self._schedule.at(due, lambda: self._end_attempt(request, attempt, outcome))

    def _end_attempt(self, request: Request, attempt: int, outcome: Outcome) -> None:
        with self._lock:
            if request.state is not State.IN_PROGRESS or request.attempts != attempt or request.id not in self._running:
                return
            if outcome.status in RERUN_STATUSES and attempt < request.attempts_allowed:
                self._rerun(request)
            else:
                self._finish(request, outcome, tell=True)

    def _rerun(self, request: Request) -> None:
        now = self._schedule.clock.now()
        self._running.discard(request.id)
        request.state = State.IN_QUEUE
        self._join_line(request)
        request.gateway_id = self.make_id()
        request.ready_at = now + self._settings.retry_seconds
        if request.start_deadline is not None and request.start_deadline <= now:
            self._miss_start(request)
        else:
            self._schedule.at(request.ready_at, self._start_ready)
        self._schedule.at(now, self._start_ready)

    def _miss_start(self, request: Request) -> None:
        with self._lock:
            if request.state is State.IN_QUEUE:
                self._finish(request, infrastructure_outcome("request_timeout", timeout_type="user"), tell=True)

    def _finish(self, request: Request, outcome: Outcome, *, tell: bool) -> None:
        now = self._schedule.clock.now()
        self._running.discard(request.id)
        self._leave_line(request)
        request.state = State.COMPLETED
        request.completed_at = now
        request.outcome = outcome if outcome.succeeded else replace(outcome, inline=False)
        request.log(_iso(now), f"Answered {outcome.status}")
        if tell:
            self._courier.send(request)
        self._schedule.at(now, self._start_ready)


def _turn(request: Request) -> tuple[bool, int]:
    """Low priority waits behind normal; within one, the order of arrival."""
    return request.low_priority, request.order


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
