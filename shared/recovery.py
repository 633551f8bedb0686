"""Recovery: open jobs whose time has come are looked at and moved on, and parked ones when the account may send."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from shared import waiting
from shared.app import App
from shared.completion import MOST_RESUBMITS, fetch_and_store
from shared.errors import AwsUnavailableError, SettingsError, StatusConflictError, UnreadableError
from shared.fal import COMPLETED
from shared.jobs import LOCKED, Job, JobError, JobStatus, unix_seconds
from shared.observability import logger
from shared.submission import TimeLeft, attempt_again, give_up_at

MOST_JOBS = 5000
"""How many due jobs one sweep takes up; what it has no time for stays due."""
MOST_UNPARKED = 200
"""How many parked jobs one sweep sends after a lock, so that they do not all come at once."""
JOB_SECONDS = 60
"""What one job may take at worst: two answers of fal, the outputs, the writes."""
LOOK_SECONDS = 60
MOST_LOOK_SECONDS = 900
"""When a job is looked at again that nothing could be learned of: at first, and at most."""
FAILED_LOOK_SECONDS = 300
GIVEN_UP = {"no_word_from_fal", "not_accepted", "reply_lost", "output_unavailable", "output_unfit", LOCKED}
"""The error types of jobs that ended because their time was over."""

Look = Callable[[Job], Job | None]


@dataclass
class Swept:
    """What a sweep did: jobs advanced, those whose delivery never came, those given up, looks that failed."""

    advanced: int = 0
    undelivered: int = 0
    given_up: int = 0
    failed: int = 0
    is_locked: bool = False


def sweep(app: App, time_left: TimeLeft) -> Swept:
    """Advance what is due, then send what was parked, or one job of that to find out; all while there is time."""
    swept = Swept()
    now = unix_seconds(app.now())

    def advance_if_due(job: Job) -> Job | None:
        # The index lags behind the table: the job may have been moved, and given more time, meanwhile.
        return advance(app, job, time_left) if job.check_at is not None and job.check_at <= now else None

    def unpark(job: Job) -> Job | None:
        return advance(app, job, time_left) if job.reason == LOCKED else None

    def probe(job: Job) -> Job | None:
        return attempt_again(app, job, time_left, probing=True) if job.reason == LOCKED else None

    parked = app.jobs.list_parked(MOST_UNPARKED)
    if not app.breaker.read().is_open:
        _look_at_each(app, swept, parked, time_left, unpark)
    elif not parked:
        app.breaker.close_if_idle()
    elif app.breaker.claim_probe():
        # Any of them, so that a few that would be refused for their content cannot stand before all.
        chosen = parked[zlib.crc32(str(now).encode()) % len(parked)]
        _look_at_each(app, swept, [chosen], time_left, probe)
    _look_at_each(app, swept, app.jobs.list_due(now, MOST_JOBS), time_left, advance_if_due)
    if app.breaker.is_open():
        # Nobody sends these now, so somebody must see when their time is over.
        _look_at_each(app, swept, app.jobs.list_due(now, MOST_JOBS, parked=True), time_left, advance_if_due)
    swept.is_locked = app.breaker.is_open()
    return swept


def _look_at_each(app: App, swept: Swept, job_ids: Iterable[str], time_left: TimeLeft, look: Look) -> None:
    failed: list[str] = []

    def look_at(job_id: str) -> tuple[Job, Job | None] | None:
        if time_left() < JOB_SECONDS:
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
                _count(swept, job, moved)
    swept.failed += len(failed)


def _count(swept: Swept, job: Job, moved: Job) -> None:
    logger.info("job advanced", job_id=job.job_id, status=moved.status, reason=moved.reason)
    swept.advanced += 1
    if job.status is JobStatus.QUEUED and moved.status in {JobStatus.SUCCEEDED, JobStatus.STORING}:
        swept.undelivered += 1
    if moved.status is JobStatus.FAILED and moved.error and moved.error.type in GIVEN_UP:
        swept.given_up += 1


def _put_off(app: App, job_id: str) -> None:
    now = app.now()
    error = JobError(type="look_failed", message="the job could not be advanced; the log says why")
    try:
        app.jobs.put_off(job_id, unix_seconds(now) + FAILED_LOOK_SECONDS)
        app.jobs.give_up(job_id, now - timedelta(seconds=waiting.T_MAX), error)
    except Exception:  # noqa: BLE001 - nor must a table that does not answer; the job stays due
        logger.exception("job not put off", job_id=job_id)


def advance(app: App, job: Job, time_left: TimeLeft) -> Job:
    """Do the next needed thing for an open job; doing it twice does no harm."""
    try:
        if job.status is JobStatus.SUBMITTING:
            # Its function died in the middle: fal may have the request, so it waits for a delivery like any lost reply.
            return app.jobs.move(job, JobStatus.UNCONFIRMED, reason="lease_expired", check_at=give_up_at(job))
        if unix_seconds(app.now()) >= give_up_at(job):
            return _give_up(app, job, time_left)
        if job.status is JobStatus.ACCEPTED:
            return attempt_again(app, job, time_left)
        return _ask(app, job)
    except StatusConflictError as conflict:
        return conflict.job or job


def _ask(app: App, job: Job) -> Job:
    if job.request is None:
        # Nothing can be asked without a request, only waited for.
        return app.jobs.postpone(job, give_up_at(job))
    try:
        progress = COMPLETED if job.status is JobStatus.STORING else app.fal.status(job.request)
        if progress.is_completed:
            return fetch_and_store(app, job, progress)
        if unix_seconds(app.now()) >= unix_seconds(job.attempt_at) + waiting.ATTEMPT and app.fal.cancel(job.request):
            error = JobError(type="no_word_from_fal", message="fal did not finish the request in time; it is cancelled")
            return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump())
        return app.jobs.postpone(job, unix_seconds(app.now()) + app.settings.poll_seconds)
    except (UnreadableError, AwsUnavailableError, SettingsError) as error:
        logger.warning("job not looked at", job_id=job.job_id, looks=job.looks, why=str(error))
        wait = waiting.backoff(job.job_id, job.looks, first=LOOK_SECONDS, most=MOST_LOOK_SECONDS)
        check_at = min(unix_seconds(app.now()) + int(wait), give_up_at(job))
        return app.jobs.postpone(job, check_at, looks=job.looks + 1)


def _give_up(app: App, job: Job, time_left: TimeLeft) -> Job:
    """End a job whose time is over; or, where its preset says so, send it again although fal may have billed it."""
    young = unix_seconds(app.now()) < unix_seconds(job.created_at) + waiting.ACCEPTANCE
    again = job.on_unknown == "resubmit" and young and job.resubmits < MOST_RESUBMITS
    if job.status is JobStatus.UNCONFIRMED and again:
        changes = {"reason": "resubmit", "request": None, "resubmits": job.resubmits + 1, "error": None}
        return attempt_again(app, app.jobs.move(job, JobStatus.ACCEPTED, **changes), time_left)
    error = job.error or JobError(type="no_word_from_fal", message="fal neither delivered a result nor showed one")
    # What is known of a result stays with the job, for whoever looks into it.
    return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump(), result_json=job.result_json)
