"""Recovery: open jobs whose time has come are looked at, and moved on."""

from collections.abc import Callable

from shared.app import App
from shared.completion import fetch_and_store
from shared.errors import AwsUnavailableError, SettingsError, StatusConflictError, UnreadableError
from shared.jobs import Job, JobError, JobStatus, unix_seconds
from shared.observability import logger
from shared.submission import attempt_again

MOST_JOBS = 200
LOOK_AGAIN_SECONDS = 60
FAILED_LOOK_SECONDS = 300
GIVE_UP_SECONDS = 3 * 3600
"""After so long without fal's word a job is failed: START_TIMEOUT, the run and the hour of deliveries are over."""


def sweep(app: App, has_time: Callable[[], bool]) -> int:
    """Advance the jobs that are due, while there is time; says how many."""
    advanced = 0
    now = unix_seconds(app.now())
    for job_id in app.jobs.list_due(now, MOST_JOBS):
        if not has_time():
            break
        try:
            job = app.jobs.get(job_id)
            # The index lags behind the table: the job may have been moved, and given more time, meanwhile.
            if job is None or job.check_at is None or job.check_at > now:
                continue
            moved = advance(app, job)
        except Exception:  # noqa: BLE001 - one job that cannot be advanced must not hold up those behind it
            logger.exception("job not advanced", job_id=job_id)
            _put_off(app, job_id, now + FAILED_LOOK_SECONDS)
            continue
        logger.info("job advanced", job_id=job_id, status=moved.status)
        advanced += 1
    return advanced


def _put_off(app: App, job_id: str, check_at: int) -> None:
    try:
        app.jobs.put_off(job_id, check_at)
    except Exception:  # noqa: BLE001 - nor must a table that does not answer; the job stays due
        logger.exception("job not put off", job_id=job_id)


def advance(app: App, job: Job) -> Job:
    """Do the next needed thing for an open job; doing it twice does no harm."""
    try:
        if job.status is JobStatus.ACCEPTED:
            return attempt_again(app, job)
        if job.status is JobStatus.SUBMITTING:
            # Its function died in the middle: fal may have the request, so it waits for a delivery like any lost reply.
            return app.jobs.move(job, JobStatus.UNCONFIRMED, reason="lease_expired", check_at=_give_up_at(job))
        if job.request is None:
            # Nothing can be asked without a request, only waited for.
            return _wait_or_give_up(app, job, _give_up_at(job))
        return _ask(app, job)
    except StatusConflictError as conflict:
        return conflict.job or job


def _ask(app: App, job: Job) -> Job:
    look_again = unix_seconds(app.now()) + LOOK_AGAIN_SECONDS
    try:
        if job.request and job.status is not JobStatus.STORING and app.fal.status(job.request) != "COMPLETED":
            return _wait_or_give_up(app, job, look_again)
        moved = fetch_and_store(app, job)
    except (UnreadableError, AwsUnavailableError, SettingsError):
        return _wait_or_give_up(app, job, look_again)
    # Outputs whose host never hands them over must end some time too.
    return moved if moved.status.is_settled else _wait_or_give_up(app, moved, moved.check_at or look_again)


def _give_up_at(job: Job) -> int:
    """When everything that fal could still do about an attempt is over."""
    return unix_seconds(job.attempt_at) + GIVE_UP_SECONDS


def _wait_or_give_up(app: App, job: Job, check_at: int) -> Job:
    if unix_seconds(app.now()) >= _give_up_at(job):
        error = job.error or JobError(type="no_word_from_fal", message="fal neither delivered a result nor has one")
        # What is known of a result stays with the job, for whoever looks into it.
        return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump(), result_json=job.result_json)
    return job if job.check_at == check_at else app.jobs.postpone(job, check_at)
