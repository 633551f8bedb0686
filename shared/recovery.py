"""Recovery: open jobs whose time has come are looked at and moved on, and parked ones when they may be sent."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, zip_longest
from math import ceil

from shared import waiting
from shared.advancing import MOST_LOOK_SECONDS, advance
from shared.app import App
from shared.errors import RowTooLargeError
from shared.jobs import Job, JobError, JobStatus, unix_seconds
from shared.locks import EVERYBODY, State
from shared.observability import logger
from shared.reasons import PARKING, Reason
from shared.sending import POST_SECONDS, TimeLeft, attempt_again, give_up_at

MOST_JOBS = 5000
"""The due jobs that one sweep takes up; what it has no time for stays due."""
MOST_UNPARKED = 1000
"""The parked jobs that one sweep sends after a lock or a pause, so that they do not all come at once."""
JOB_SECONDS = 60
"""What one job may take at worst: two answers of fal, the outputs, the writes."""
TURN_SECONDS = 30
"""What a job that is sent side by side with others may wait until fal takes it: a throttle is found out sooner."""
DELAY_SECONDS = 30
"""What is left for noting that a job comes later; a read and a write, with the SDK's repetitions."""
FAILED_LOOK_SECONDS = 300

Look = Callable[[Job], Job | None]
"""What is to be done about a job; gives the job if that changed it."""


@dataclass
class Swept:
    """What a sweep did: jobs advanced, those whose delivery never came, those given up, looks that failed.

    `throttled`: jobs that were due to be sent, and are sent one at a time since fal takes requests slowly.
    """

    advanced: int = 0
    undelivered: int = 0
    given_up: int = 0
    failed: int = 0
    is_locked: bool = False
    is_paused: bool = False
    throttled: list[str] = field(default_factory=list)


def sweep(app: App, time_left: TimeLeft) -> Swept:
    """Advance what is due, then send what was parked, or some of that to find out; all while there is time."""
    swept = Swept()
    now = unix_seconds(app.now())

    def advance_if_due(job: Job) -> Job | None:
        # The index lags behind the table: the job may have been moved, and given more time, meanwhile.
        if job.check_at is None or job.check_at > now:
            return None
        if job.status is not JobStatus.ACCEPTED:
            return advance(app, job, time_left)
        return _send_beside_others(app, swept, job, lambda: advance(app, job, _briskly(time_left)))

    state = app.breaker.read()
    parked = app.indexes.list_parked()
    if not state.paused_at:
        _send_parked(app, swept, state, parked, time_left)
    _look_at_each(app, swept, app.indexes.list_due(now, MOST_JOBS), time_left, advance_if_due)
    if parked:
        # Nobody sends these now, so somebody must see when their time is over.
        overdue = app.indexes.list_due(now, MOST_JOBS, parked=True)
        _look_at_each(app, swept, overdue, time_left, advance_if_due)
    _send_throttled(app, swept, time_left)
    state = app.breaker.state()
    swept.is_locked, swept.is_paused = bool(state.locks), bool(state.paused_at)
    return swept


def _send_parked(app: App, swept: Swept, state: State, parked: dict[str, list[str]], time_left: TimeLeft) -> None:
    """Send parked jobs of owners whom nothing holds up, and of the others one for each lock, to find out."""

    def unpark(job: Job) -> Job | None:
        if job.reason not in PARKING:
            return None
        return _send_beside_others(app, swept, job, lambda: attempt_again(app, job, _briskly(time_left)))

    def probe(job: Job) -> Job | None:
        return attempt_again(app, job, time_left, probing=True) if job.reason in PARKING else None

    free = [parked[owner] for owner in sorted(parked) if not state.of(owner)]
    # Owners in turn, so that one's crowd does not stand before another's few.
    in_turn = [job_id for job_id in chain.from_iterable(zip_longest(*free)) if job_id]
    _look_at_each(app, swept, in_turn[:MOST_UNPARKED], time_left, unpark)
    app.breaker.close_idle(parked)
    names = [EVERYBODY] if EVERYBODY in state.locks else sorted(state.locks)
    for name in names:
        owner = _next_in_turn(parked, state) if name == EVERYBODY else name
        if owner in parked and app.breaker.claim_probe(name, owner):
            # Any of them, so that a few that would be refused for their content cannot stand before all.
            chosen = parked[owner][zlib.crc32(str(app.now()).encode()) % len(parked[owner])]
            _look_at_each(app, swept, [chosen], time_left, probe)


def _briskly(time_left: TimeLeft) -> TimeLeft:
    """The time of one job among many, from now on: it is not to stand and wait for its turn for long."""
    spared = max(0.0, time_left() - POST_SECONDS - TURN_SECONDS)
    return lambda: time_left() - spared


def _send_beside_others(app: App, swept: Swept, job: Job, attempt: Callable[[], Job]) -> Job | None:
    """Send a job, unless fal takes requests slowly: then it is sent later, one at a time."""
    moved = None if app.throttle.is_tight else attempt()
    if moved is None or moved.reason == Reason.THROTTLED:
        swept.throttled.append(job.job_id)
    return moved


def _next_in_turn(parked: dict[str, list[str]], state: State) -> str:
    """The owner whose job is to find out whether everybody's lock has ended, after the one whose job was the last.

    Who has a lock of its own would most likely be refused for that, which says nothing of the others.
    """
    last = state.locks[EVERYBODY].probed
    owners = sorted(parked.keys() - state.locks.keys()) or sorted(parked)
    return next((owner for owner in owners if owner > last), owners[0] if owners else "")


def _send_throttled(app: App, swept: Swept, time_left: TimeLeft) -> None:
    """Send one at a time what was due while fal takes requests slowly; what there is no time for comes later."""

    def attempt(job: Job) -> Job | None:
        return advance(app, job, time_left) if job.status is JobStatus.ACCEPTED else None

    def delay(job: Job) -> None:
        # Each has its turn, so that those at the end are not read again each minute, before all others.
        wait = min(turns[job.job_id] * app.throttle.interval, MOST_LOOK_SECONDS)
        if job.status is JobStatus.ACCEPTED and job.reason not in PARKING:
            app.jobs.postpone(job, unix_seconds(app.now()) + ceil(wait))

    waiting_jobs = iter(swept.throttled)
    while time_left() >= JOB_SECONDS and (job_id := next(waiting_jobs, None)):
        _look_at_each(app, swept, [job_id], time_left, attempt)
    turns = {job_id: position for position, job_id in enumerate(waiting_jobs)}
    _look_at_each(app, swept, turns, time_left, delay, needs=DELAY_SECONDS)


def _look_at_each(  # noqa: PLR0913 - five that every look needs, and one for looks that need little time
    app: App, swept: Swept, job_ids: Iterable[str], time_left: TimeLeft, look: Look, *, needs: float = JOB_SECONDS
) -> None:
    failed: list[str] = []

    def look_at(job_id: str) -> tuple[Job, Job | None] | None:
        if time_left() < needs:
            return None
        try:
            job = app.jobs.get(job_id)
            return (job, look(job)) if job and not job.status.is_settled else None
        except Exception:  # noqa: BLE001 - one job that cannot be advanced must not hold up those behind it
            logger.exception("job not advanced", job_id=job_id)
            failed.append(job_id)
            _put_off(app, job_id)
            return None

    for looked in app.each(look_at, job_ids):
        match looked:
            case Job() as job, Job() as moved:
                _count(app, swept, job, moved)
    swept.failed += len(failed)


def _count(app: App, swept: Swept, job: Job, moved: Job) -> None:
    logger.info("job advanced", job_id=job.job_id, status=moved.status, reason=moved.reason)
    swept.advanced += 1
    if job.status is JobStatus.QUEUED and moved.status in {JobStatus.SUCCEEDED, JobStatus.STORING}:
        swept.undelivered += 1
    if moved.status is JobStatus.FAILED and unix_seconds(app.now()) >= give_up_at(job):
        swept.given_up += 1


def _put_off(app: App, job_id: str) -> None:
    now = app.now()
    error = JobError(type=Reason.LOOK_FAILED, message="the job could not be advanced; the log says why")
    ended_before = now - timedelta(seconds=waiting.T_MAX)
    try:
        app.jobs.put_off(job_id, unix_seconds(now) + FAILED_LOOK_SECONDS)
    except RowTooLargeError:
        # Nothing can be noted of it any more, and it would be the first that is due for ever.
        logger.exception("job ended, since its row is full", job_id=job_id)
        ended_before = now
    except Exception:  # noqa: BLE001 - nor must a table that does not answer; the job stays due
        logger.exception("job not put off", job_id=job_id)
        return
    try:
        app.jobs.give_up(job_id, ended_before, error)
    except Exception:  # noqa: BLE001 - the same
        logger.exception("job not given up", job_id=job_id)
