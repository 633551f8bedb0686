"""Completion: what fal made is stored, and the job is settled, once."""

from contextlib import suppress
from typing import Any

from shared import waiting
from shared.adoption import check_account, is_about, is_of_ours
from shared.app import App
from shared.deliveries import Delivery
from shared.endpoints import Result, read_result
from shared.errors import (
    ModelFailedError,
    OddResultError,
    StatusConflictError,
    UnreadableError,
)
from shared.fal_words import NO_REASON, Progress, read_error
from shared.images import is_object
from shared.jobs import MOVES, Job, JobError, JobStatus, Request, unix_seconds
from shared.observability import count, logger
from shared.reasons import PAID_AND_LOST, PARKING, Reason
from shared.storing import MOST_UNFIT, again_at, fail_unread, store

UNREAD_INPUT = "file_download_error"
"""fal's word for an input that it could not read, before any work on it (fal docs: errors)."""
NOT_STARTED = {
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_connection_refused",
}
"""fal's words for a request that no runner began; a 5xx is never billed (fal docs: request errors, pricing)."""
MOST_RESUBMITS = 5
"""The attempts that may follow ones whose input could not be read, or that ended in doubt."""
RESUBMIT_SECONDS = 60
MOST_RESUBMIT_SECONDS = 900
"""When a job that fal did not start is sent again: at first, and at most."""
ASK_SECONDS = 30
"""When fal is asked after a request that it says failed, and could not be asked why."""
PAID = {JobStatus.STORING, JobStatus.SUCCEEDED}


def complete(app: App, delivery: Delivery) -> Job:
    """Settle the job of a delivery; a delivery that comes again finds it settled and changes nothing.

    Raises:
        InvalidDeliveryError: it is another account's word.
        StatusConflictError: fal's word is about no job, or about another request or attempt than the job's.
        UnreadableError: fal does not answer what it must be asked now; it should deliver again.
        AwsUnavailableError: the table does not say which accounts are known.
    """
    job = app.jobs.get(delivery.target.job_id)
    if job is None:
        raise StatusConflictError(job)
    if not is_about(delivery, job):
        _note_unfitting(app, delivery, job)
        raise StatusConflictError(job)
    try:
        check_account(app, delivery, job)
    except UnreadableError:
        _claim(app, delivery, job)
        raise
    if job.claim:
        if not delivery.succeeded and job.claim.request_id == delivery.request_id:
            # fal's earlier word was that it succeeded; the sweep asks which one holds.
            return _come_again(delivery, job)
        job = job.model_copy(update={"request": None})
    if job.status.is_settled or (job.status is JobStatus.STORING and not delivery.succeeded):
        # fal has already said that the pictures are made: a later word to the contrary takes nothing back.
        return _come_again(delivery, job)
    if job.request is None and delivery.succeeded:
        # Nobody else here knows the request: what follows may fail, but this word must not be lost.
        job = _move(app, job, JobStatus.STORING, {"check_at": again_at(app, job)}, delivery.request_id)
        if job.status.is_settled:
            return job
    to, changes = _read(app, delivery, job)
    job = _move(app, job, to, changes, delivery.request_id)
    logger.info("job delivered", job_id=job.job_id, status=job.status)
    return job


def _note_unfitting(app: App, delivery: Delivery, job: Job) -> None:
    """Count a result of ours that is of another request than the job's; once, as fal delivers it again and again."""
    if delivery.succeeded and delivery.request_id not in app.fit_none:
        is_lost = is_of_ours(app, delivery)
        app.fit_none.add(delivery.request_id)
        if is_lost:
            logger.error("paid result fits no request", job_id=job.job_id, request_id=delivery.request_id)
            count("PaidResultLost")


def _claim(app: App, delivery: Delivery, job: Job) -> None:
    """Keep the request of a delivery that says OK, for the sweep to ask after; until then the job is not sent again."""
    if delivery.succeeded and job.request is None and job.status in {JobStatus.ACCEPTED, JobStatus.UNCONFIRMED}:
        request = {"request_id": delivery.request_id}
        ask_at = unix_seconds(app.now()) + ASK_SECONDS
        if job.status is JobStatus.ACCEPTED and job.reason not in PARKING:
            # Asking comes before sending; and the time for that may be one that fal named.
            ask_at = max(ask_at, job.check_at or 0)
        with suppress(StatusConflictError):
            app.jobs.postpone(job, ask_at, request=request)


def _come_again(delivery: Delivery, job: Job) -> Job:
    if delivery.succeeded:
        _note_paid(job, JobStatus.SUCCEEDED)
    else:
        logger.info("delivery came again", job_id=job.job_id, status=job.status)
    return job


def _note_paid(job: Job, to: JobStatus) -> None:
    """Note what came for a job that has ended: a paid picture that was not counted as lost then is so now."""
    is_counted = job.status is JobStatus.SUCCEEDED or (job.error is not None and job.error.type in PAID_AND_LOST)
    if to in PAID and not is_counted:
        logger.error("paid result came too late", job_id=job.job_id, status=job.status)
        count("PaidResultLost")
    else:
        logger.info("delivery came again", job_id=job.job_id, status=job.status)


def _read(app: App, delivery: Delivery, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    request = job.request or Request(request_id=delivery.request_id)
    if not delivery.succeeded:
        return _read_failure(app, delivery, job, request)
    if result := read_result(delivery.payload):
        return store(app, result, job)
    try:
        # It was too large or too odd for a webhook call, but the result is there, and paid for.
        return store(app, app.fal.result(request), job)
    except ModelFailedError as error:
        # A delivery has just said the opposite.
        raise UnreadableError(f"fal's result says {error.kind}") from error
    except OddResultError as error:
        if delivery.payload is None:
            raise
        return fail_unread(error.content, Reason.UNREADABLE_RESULT, str(error))


def _read_failure(app: App, delivery: Delivery, job: Job, request: Request) -> tuple[JobStatus, dict[str, Any]]:
    """What follows a delivery that says ERROR; one that does not say why has the queue asked for it."""
    error = read_error(delivery.payload)
    if error.type != Reason.FAL_ERROR or error.message != NO_REASON:
        return _end(app, job, error)
    said = JobError(type=Reason.FAL_ERROR, message=delivery.error or NO_REASON)
    try:
        progress = app.fal.status(request)
        if progress.is_completed:
            return _conclude(app, job, request, progress, said)
        raise UnreadableError("fal says that the request failed, and that it runs")
    except UnreadableError:
        if JobStatus.QUEUED not in MOVES[job.status] | {job.status}:
            raise
        # What it says is kept with the job, and the sweep asks.
        noted = {
            "reason": Reason.FAL_ERROR,
            "error": said.model_dump(),
            "check_at": unix_seconds(app.now()) + ASK_SECONDS,
        }
        return JobStatus.QUEUED, noted


def _end(app: App, job: Job, error: JobError) -> tuple[JobStatus, dict[str, Any]]:
    """What follows an error at fal: the job fails, unless fal did not begin with it, and it cost nothing."""
    references = job.arguments.image_references()
    link_died = error.type == UNREAD_INPUT and bool(references) and all(map(is_object, references))
    never_began = error.type in NOT_STARTED
    if job.status is JobStatus.ACCEPTED and (link_died or never_began):
        # It is to be sent again already; this may be a copy of the word that said so.
        return JobStatus.ACCEPTED, {}
    is_over = job.status is JobStatus.STORING or (link_died and job.resubmits >= MOST_RESUBMITS)
    if is_over or not (link_died or never_began):
        return JobStatus.FAILED, {"error": error.model_dump()}
    # What fal did not start counts nothing: only time ends it.
    tries, most = (job.resubmits, waiting.HOUR) if link_died else (job.attempt - 1, MOST_RESUBMIT_SECONDS)
    wait = waiting.backoff(job.job_id, tries, first=RESUBMIT_SECONDS, most=most)
    again = {"reason": error.type, "request": None, "resubmits": job.resubmits + link_died}
    return JobStatus.ACCEPTED, again | {"error": error.model_dump(), "check_at": unix_seconds(app.now()) + int(wait)}


def _move(app: App, job: Job, to: JobStatus, changes: dict[str, Any], request_id: str) -> Job:
    """Move a job, also if it was written meanwhile; the first to settle it wins.

    Raises:
        StatusConflictError: what was learned is about an attempt that another has followed.
    """
    while True:
        try:
            if to is job.status is JobStatus.ACCEPTED:
                # It is to be sent again already.
                return job
            if to is job.status:
                return app.jobs.postpone(job, **{"looks": job.looks_at(changes.get("reason")) + 1, **changes})
            # A request that came with its URLs is worth more than its id alone.
            request = job.request or Request(request_id=request_id)
            return app.jobs.move(job, to, **{"request": request.model_dump(exclude_none=True), **changes})
        except StatusConflictError as conflict:
            if conflict.job is None or conflict.job.attempt != job.attempt:
                raise
            job = conflict.job
            if job.status.is_settled or to not in MOVES[job.status] | {job.status}:
                _note_paid(job, to)
                return job


def fetch_and_store(app: App, job: Job, progress: Progress) -> Job:
    """Finish a job that fal has finished: fetch its result unless it is kept, store it, settle the job.

    Raises:
        UnreadableError: fal cannot be asked now.
    """
    if job.request is None:
        raise ValueError("a job without a request has no result at fal")
    to, changes = _conclude(app, job, job.request, progress, progress.error)
    return _move(app, job, to, changes, job.request.request_id)


def _find_result(app: App, job: Job, request: Request, *, failed: bool = False) -> Result:
    """What fal made, as it is kept with the job or as fal shows it."""
    if job.result_json:
        return Result.model_validate_json(job.result_json)
    return app.fal.result(request, failed=failed)


def _conclude(
    app: App, job: Job, request: Request, progress: Progress, said: JobError | None
) -> tuple[JobStatus, dict[str, Any]]:
    """What follows a request's end; `said`: why it failed, where nothing better can be learned."""
    if progress.error and progress.has_reason:
        return _end(app, job, progress.error)
    try:
        return store(app, _find_result(app, job, request, failed=progress.error is not None), job)
    except ModelFailedError as error:
        told = JobError(type=error.kind, message=str(error))
        is_silent = told.type == Reason.FAL_ERROR and told.message == NO_REASON
        return _end(app, job, (said if is_silent else None) or told)
    except UnreadableError as error:
        if progress.error:
            error.reason = Reason.FAL_ERROR
        else:
            error.reason = Reason.UNREADABLE_RESULT if isinstance(error, OddResultError) else Reason.RESULT_UNAVAILABLE
        if job.looks_at(error.reason) < MOST_UNFIT:
            raise
        if progress.error and said:
            # The queue has said that it failed: nothing is in doubt but the reason.
            return _end(app, job, said)
        if isinstance(error, OddResultError):
            return fail_unread(error.content, Reason.UNREADABLE_RESULT, str(error))
        raise
