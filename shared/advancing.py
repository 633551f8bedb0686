"""Advancing: the next needed thing is done for an open job; the only way in which a job recovers."""

from math import ceil
from typing import Any

from shared import waiting
from shared.app import App
from shared.completion import MOST_RESUBMITS, fetch_and_store
from shared.errors import (
    AwsUnavailableError,
    DarkroomError,
    SettingsError,
    StatusConflictError,
    UnknownRequestError,
    UnreadableError,
)
from shared.fal_words import COMPLETED
from shared.jobs import Job, JobError, JobStatus, Request, unix_seconds
from shared.observability import logger
from shared.reasons import PARKING, Reason
from shared.sending import TimeLeft, attempt_again, give_up_at

LOOK_SECONDS = 60
MOST_LOOK_SECONDS = 900
"""When a job is looked at again that nothing could be learned of: at first, and at most."""
MOST_NOES = 3
"""So often in a row must fal say that it has no such request of ours, until that is believed."""
GRACE_SECONDS = waiting.HOUR
"""How long after its time a job that was parked may still be sent, as others had to go first."""


def advance(app: App, job: Job, time_left: TimeLeft) -> Job:
    """Do the next needed thing for an open job; doing it twice does no harm."""
    try:
        if job.status is JobStatus.SUBMITTING:
            # Its function died in the middle: fal may have the request, so it waits for a delivery like any lost reply.
            why = "the function that sent it ended before it could note fal's answer"
            error = JobError(type=Reason.NO_WORD_FROM_FAL, message=why).model_dump()
            doubt = {"reason": Reason.LEASE_EXPIRED, "error": error, "check_at": give_up_at(job)}
            return app.jobs.move(job, JobStatus.UNCONFIRMED, **doubt)
        if unix_seconds(app.now()) >= give_up_at(job) and not _may_still_be_sent(app, job):
            return _give_up(app, job, time_left)
        if job.claim:
            return _ask_whose(app, job, job.claim)
        if job.status is JobStatus.ACCEPTED:
            return attempt_again(app, job, time_left)
        return _ask(app, job)
    except StatusConflictError as conflict:
        return conflict.job or job


def _may_still_be_sent(app: App, job: Job) -> bool:
    """Whether a job whose time ran out while it was parked has its one attempt now that nothing holds it up."""
    waited = job.reason in PARKING and not job.claim and app.breaker.why_waiting(job.owner) is None
    return waited and unix_seconds(app.now()) < give_up_at(job) + GRACE_SECONDS


def _ask_whose(app: App, job: Job, claim: Request) -> Job:
    """Ask fal after a request that a delivery named: where it is none of our key's, all is as it was before."""
    try:
        progress = app.fal.status(claim)
        if progress.is_completed:
            job = fetch_and_store(app, job, progress)
            return app.jobs.postpone(job, unix_seconds(app.now()), request=None) if job.claim else job
        if job.status is JobStatus.UNCONFIRMED:
            return app.jobs.move(job, JobStatus.QUEUED)
        return app.jobs.postpone(job, unix_seconds(app.now()) + app.settings.poll_seconds)
    except UnknownRequestError as error:
        if job.looks < MOST_NOES - 1:
            return _look_later(app, job, error, looks=job.looks + 1)
        unclaimed = job.model_copy(update={"request": None})
        check_at = unix_seconds(app.now()) if job.status is JobStatus.ACCEPTED else give_up_at(unclaimed)
        return app.jobs.postpone(job, check_at, request=None)
    except (UnreadableError, AwsUnavailableError, SettingsError) as error:
        # The reason stays, to which the job may return.
        return _look_later(app, job, error, looks=0)


def _ask(app: App, job: Job) -> Job:
    if job.request is None:
        # Nothing can be asked without a request, only waited for.
        return app.jobs.postpone(job, give_up_at(job))
    try:
        progress = COMPLETED if job.status is JobStatus.STORING else app.fal.status(job.request)
        if progress.is_completed:
            return fetch_and_store(app, job, progress)
        if unix_seconds(app.now()) >= unix_seconds(job.attempt_at) + waiting.ATTEMPT and app.fal.cancel(job.request):
            error = JobError(
                type=Reason.NO_WORD_FROM_FAL, message="fal did not finish the request in time; it is cancelled"
            )
            return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump())
        # Whatever trouble there was is over.
        return app.jobs.postpone(job, unix_seconds(app.now()) + app.settings.poll_seconds, reason=None, error=None)
    except (UnreadableError, AwsUnavailableError, SettingsError) as error:
        if reason := getattr(error, "reason", None):
            why = JobError(type=reason, message=str(error)).model_dump()
            return _look_later(app, job, error, looks=job.looks_at(reason) + 1, reason=reason, error=why)
        return _look_later(app, job, error, looks=job.looks + 1)


def _look_later(app: App, job: Job, trouble: DarkroomError, *, looks: int, **changes: Any) -> Job:
    logger.warning("job not looked at", job_id=job.job_id, looks=job.looks, why=str(trouble))
    wait = waiting.backoff(job.job_id, max(looks - 1, 0), first=LOOK_SECONDS, most=MOST_LOOK_SECONDS)
    asked_to_wait = getattr(trouble, "retry_after", None) or 0
    check_at = min(unix_seconds(app.now()) + ceil(max(wait, asked_to_wait)), give_up_at(job))
    return app.jobs.postpone(job, check_at, looks=looks, **changes)


def _give_up(app: App, job: Job, time_left: TimeLeft) -> Job:
    """End a job whose time is over; or, where its preset says so, send it again although fal may have billed it."""
    young = unix_seconds(app.now()) < unix_seconds(job.created_at) + waiting.ACCEPTANCE
    again = job.on_unknown == "resubmit" and young and job.resubmits < MOST_RESUBMITS
    if job.status is JobStatus.UNCONFIRMED and again:
        changes = {"reason": Reason.RESUBMIT, "request": None, "resubmits": job.resubmits + 1, "error": None}
        return attempt_again(app, app.jobs.move(job, JobStatus.ACCEPTED, **changes), time_left)
    if job.claim:
        # Whose request it is was never learned, so it must not speak for its account.
        why = f"a delivery says that request {job.claim.request_id} succeeded; fal never said whether it is one of ours"
        lost = JobError(type=Reason.RESULT_UNAVAILABLE, message=why)
        return app.jobs.move(job, JobStatus.FAILED, error=lost.model_dump(), request=None)
    error = job.error or JobError(type=Reason.NO_WORD_FROM_FAL, message="fal neither delivered a result nor showed one")
    # What is known of a result stays with the job, for whoever looks into it.
    return app.jobs.move(job, JobStatus.FAILED, error=error.model_dump(), result_json=job.result_json)
