"""The world around the code under test: fal, S3's events, the queue, the clock and clients, in virtual time."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from local.fal import EmulatorSettings, ManualClock
from shared.breaker import Breaker
from shared.waiting import T_MAX
from tests.simulation.backends import CANARIES, NOBODY, SETTINGS, TABLE, Backend
from tests.simulation.bodies import fill_rows
from tests.simulation.clients import Client, post
from tests.simulation.events import http_event
from tests.simulation.fal import Fal
from tests.simulation.fates import FAL, MOVED
from tests.simulation.faults import Plan, kinds_of
from tests.simulation.invariants import Watch
from tests.simulation.processes import FunctionFailedError, Process, Processes
from tests.simulation.scenarios import Post, Scenario, Upload
from tests.simulation.turns import Turns
from tests.simulation.uploads import Uploads

MINUTE = 60
PARKED_BY_THE_MINUTE = 1800
PARKED_LATER = 7200
"""Until when parked jobs are looked for each minute, and how often after that; seconds."""
SWEEP_LATE = 2 * MINUTE
"""The sweep after the one that is due may be the one that settles a job whose time is over."""


class Point(NamedTuple):
    """A call, at which something may go wrong; `first` in its function's run, `at` seconds after the beginning."""

    number: int
    operation: str
    subject: str
    first: bool
    process: str
    at: float


class World:
    """One run."""

    def __init__(self, scenario: Scenario, plan: Plan, backend: Backend, clock: ManualClock) -> None:
        self.scenario = scenario
        self.plan = plan
        self.backend = backend
        self.clock = clock
        self.settings = SETTINGS
        self.canaries = CANARIES
        self.nobody = NOBODY
        self.began_at = clock.now()
        self.trace: list[tuple[float, str, str, str, str]] = []
        self.points: list[Point] = []
        self.clients: list[Client] = []
        self._skew = -scenario.skew
        self.watch = Watch(self)
        self.turns = Turns(clock)
        self.fal = Fal(
            self,
            EmulatorSettings(
                public_url=FAL,
                allow_private_webhooks=True,
                run_seconds=scenario.run_seconds,
                concurrency=scenario.slots,
            ),
        )
        self.transport = httpx.WSGITransport(app=self.fal)
        self.processes = Processes(self)
        self.uploads = Uploads(self)
        if scenario.versioned:
            backend.keep_versions()
        if scenario.lag:
            backend.lag(scenario.lag)
        self._swept_at = self.began_at
        self.pauses = 0
        self._is_over = False
        self._nonces = 0
        self._dice = random.Random(scenario.name)  # noqa: S311 - a run that repeats is the purpose

    # What the code under test draws on.

    def nonce(self) -> str:
        """The next nonce; nobody draws the same one twice."""
        self._nonces += 1
        return f"nonce-{self._nonces}"

    def next_skew(self) -> float:
        """By how many seconds the next function's clock is ahead."""
        self._skew = -self._skew
        return self._skew

    def token(self, size: int) -> str:
        """The next text that looks random."""
        return self._dice.randbytes(size).hex()

    def next_call(self, process: Process, operation: str, subject: str, *, first: bool) -> str | None:
        """Number a call, and say what is to go wrong with it."""
        if self._is_over:
            # Whoever looks at the end finds a table that is busy.
            return "unprocessed" if operation == "dynamodb.batch_get_item" else None
        number = len(self.points) + 1
        after = self.clock.now() - self.began_at
        self.points.append(Point(number, operation, subject, first, process.name, after))
        kind = self.plan.at(number, operation, first=first)
        if kind is None:
            kind = next((one.kind for one in self.scenario.outages if one.hits(operation, after)), None)
        if kind is not None and kind not in kinds_of(operation):
            raise ValueError(f"call {number} is {process.name}'s {operation}, to which {kind} cannot happen")
        return kind

    def note(self, process: str, operation: str, subject: str, outcome: str) -> None:
        """Add a line to the trace, which ends where the run does."""
        if not self._is_over:
            self.trace.append((self.clock.now() - self.began_at, process, operation, subject, outcome))

    # Time.

    def run(self) -> None:
        """Let everything happen until all is settled or T_MAX is over."""
        for submission in self.scenario.submissions:
            self._begin(submission)
        if self.scenario.paused:
            self._begin_pause(*self.scenario.paused)
        if self.scenario.allowed_after is not None:
            self.fal.schedule.at(self.began_at + self.scenario.allowed_after, self._allow_moved)
        if self.scenario.filled_after is not None:
            self.fal.schedule.at(self.began_at + self.scenario.filled_after, lambda: fill_rows(self.backend, TABLE))
        whole = T_MAX + SWEEP_LATE + max(one.at for one in self.scenario.submissions)
        self.run_until(self.began_at + whole, whole=True)
        if dead := self.backend.take_dead_letters():
            # When all is well again, somebody looks at what was given up, and gives it back to the queue.
            self.run_until(self.began_at + max((one.at + one.seconds for one in self.scenario.outages), default=0.0))
            for body in dead:
                self.uploads.hand_over(body)
            self.run_until(self.clock.now() + T_MAX + SWEEP_LATE, whole=True)
        if self.turns.standing:
            raise RuntimeError(f"{self.turns.standing} stand still for ever")
        self.clock.move(self.scenario.lag)
        self._is_over = True

    def run_until(self, target: float, *, whole: bool = False) -> None:
        """Let everything happen that is due until then; with `whole` stop where nothing more will happen."""
        schedule = self.fal.schedule
        while True:
            schedule.run_due()
            sweep_at, due = self._next_sweep(), schedule.next_due()
            moments = [moment for moment in (sweep_at, due) if moment is not None and moment <= target]
            if not moments:
                break
            moment = min(moments)
            self.clock.move(max(0.0, moment - self.clock.now()))
            if moment == sweep_at:
                self._swept_at = moment
                for _ in range(2 if self.scenario.sweeps == "doubled" else 1):
                    schedule.at(moment, self._sweep)
        if not whole or self._next_sweep() is not None:
            self.clock.move(max(0.0, target - self.clock.now()))

    def _next_sweep(self) -> float | None:
        """The next minute in which a job is due; the minutes before it would find nothing.

        Parked jobs are looked for each minute; where that goes on for hours, now and then stands for it.
        """
        rows = [row for row in self.backend.rows() if "check_at" in row and "open_shard" in row]
        if not rows:
            return None
        due = [int(row["check_at"]["N"]) for row in rows]
        if self.scenario.sweeps == "each_minute":
            due.append(int(self._swept_at + MINUTE))
        if any(row["open_shard"]["S"].startswith("parked") for row in rows):
            is_long = self.clock.now() - self.began_at > PARKED_BY_THE_MINUTE
            due.append(int(self._swept_at + (PARKED_LATER if is_long else MINUTE)))
        earliest = max(min(due), self._swept_at + 1, self.clock.now())
        return self.began_at + -((self.began_at - earliest) // MINUTE) * MINUTE

    def _sweep(self) -> None:
        try:
            self.processes.invoke("sweep.handler", {})
        except FunctionFailedError:
            return

    # What begins.

    def _begin(self, submission: Upload | Post) -> None:
        at = self.clock.now() + submission.at
        if isinstance(submission, Upload):
            self.uploads.expect(submission, at)
            return
        if "image_url" in submission.fields:
            self.uploads.put_input(submission.fields["image_url"])
        client = Client(submission)
        self.clients.append(client)
        for delay in (0.0, *submission.copies):
            self.fal.schedule.at(at + delay, lambda: post(self, client))

    def _begin_pause(self, at: float, until: float) -> None:
        """Let the operator stop all sending, and let it go on later."""
        breaker = Breaker(
            self.backend.client("dynamodb"), TABLE, lambda: datetime.fromtimestamp(self.clock.now(), UTC), self.nonce
        )

        def switch(turn: Callable[[], bool]) -> Callable[[], None]:
            return lambda: self.note("operator", turn.__name__, "", str(turn()))

        self.fal.schedule.at(self.began_at + at, switch(breaker.pause))
        self.fal.schedule.at(self.began_at + until, switch(breaker.resume))

    def _allow_moved(self) -> None:
        """Let the operator add the host to which fal has moved its files, and deploy."""
        self.settings = self.settings.model_copy(update={"fal_output_hosts": (*self.settings.fal_output_hosts, MOVED)})
        self.processes.renew()

    # What is looked at without a call.

    def stored(self, key: str) -> bytes | None:
        """The object in the outputs bucket."""
        found = self.backend.objects().get((self.settings.outputs_bucket, key))
        return found.content if found else None

    @staticmethod
    def asked_for(job: dict[str, Any]) -> int:
        """How many pictures a job was to have."""
        return int(json.loads(job.get("arguments_json", "{}")).get("num_images", 1))

    # Deliveries.

    def call_back(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Hand a webhook call to the callback function, and give the status that it answers."""
        event = http_event("POST", url, headers, body)
        event["pathParameters"] = {"job_id": urlsplit(url).path.rpartition("/")[2]}
        try:
            status = int(self.processes.invoke("callback.handler", event)["statusCode"])
        except FunctionFailedError:
            status = 502
        self.note("fal", "delivery", urlsplit(url).path.rpartition("/")[2], str(status))
        return status
