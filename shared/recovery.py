"""Recovery: open jobs whose time has come are looked at, and moved on."""

from collections.abc import Callable
from contextlib import suppress

from shared.app import App
from shared.completion import fetch_and_store
from shared.errors import StatusConflictError, StillInProgressError, UnreadableError
from shared.jobs import Job, JobError, JobStatus, unix_seconds
from shared.observability import logger
from shared.submission import LEASE_SECONDS, attempt_again

MOST_JOBS = 200
LOOK_AGAIN_SECONDS = 60
FAILED_LOOK_SECONDS = 300
GIVE_UP_SECONDS = 3 * 3600
"""After so long without fal's word a job is failed: START_TIMEOUT, the run and the hour of deliveries are over."""


def sweep(app: App, has_time: Callable[[], bool]) -> int:
    """Advance the jobs that are due, while there is time; says how many."""
    advanced = 0
    for job_id in app.jobs.list_due(unix_seconds(app.now()), MOST_JOBS):
        if not has_time():
            break
        job = app.jobs.get(job_id)
        if job and not job.status.is_settled:
            try:
                moved = advance(app, job)
            except Exception:  # noqa: BLE001 - one job that cannot be advanced must not hold up those behind it
                logger.exception("job not advanced", job_id=job_id)
                _put_off(app, job)
                continue
            logger.info("job advanced", job_id=job_id, status=moved.status)
            advanced += 1
    return advanced


def _put_off(app: App, job: Job) -> None:
    # A job that moved before it failed has its next look set already.
    with suppress(StatusConflictError):
        app.jobs.postpone(job, unix_seconds(app.now()) + FAILED_LOOK_SECONDS)


def advance(app: App, job: Job) -> Job:
    """Do the next needed thing for an open job; doing it twice does no harm."""
    try:
        if job.status is JobStatus.ACCEPTED:
            return attempt_again(app, job)
        if job.status is JobStatus.SUBMITTING:
            # Its function died in the middle: fal may have the request, so it waits for a delivery like any lost reply.
            check_at = unix_seconds(app.now()) + LEASE_SECONDS
            return app.jobs.move(job, JobStatus.UNCONFIRMED, reason="lease_expired", check_at=check_at)
        if job.status is JobStatus.UNCONFIRMED or job.request is None:
            return _wait_or_give_up(app, job)
        return _ask(app, job)
    except StatusConflictError as conflict:
        return conflict.job or job


def _ask(app: App, job: Job) -> Job:
    try:
        moved = fetch_and_store(app, job)
    except (StillInProgressError, UnreadableError):
        return _wait_or_give_up(app, job)
    # Outputs whose host never hands them over must end some time too.
    return moved if moved.status.is_settled or not _is_too_old(app, moved) else _give_up(app, moved)


def _wait_or_give_up(app: App, job: Job) -> Job:
    if _is_too_old(app, job):
        return _give_up(app, job)
    return app.jobs.postpone(job, unix_seconds(app.now()) + LOOK_AGAIN_SECONDS)


def _is_too_old(app: App, job: Job) -> bool:
    return unix_seconds(app.now()) - unix_seconds(job.created_at) > GIVE_UP_SECONDS


def _give_up(app: App, job: Job) -> Job:
    error = job.error or JobError(type="no_word_from_fal", message="fal neither delivered a result nor has one")
    return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump())
