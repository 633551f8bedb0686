"""Completion: what fal made is stored, and the job is settled, once."""

import json
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from pydantic import ValidationError

from shared import waiting
from shared.app import App
from shared.downloads import Download
from shared.endpoints import Result
from shared.errors import (
    AwsUnavailableError,
    ModelFailedError,
    OutputRefusedError,
    OutputUnavailableError,
    OutputUnfitError,
    StatusConflictError,
    UnreadableError,
)
from shared.fal import Progress, read_error
from shared.images import is_object
from shared.jobs import MOVES, Job, JobError, JobStatus, Output, Request, unix_seconds
from shared.observability import count, logger
from shared.webhooks import Delivery

STORE_SECONDS = 7
"""How long fetching may take within a delivery: fal waits 15 s for the answer."""
STORE_AGAIN_SECONDS = 30
MOST_STORE_SECONDS = 900
"""When a job whose outputs could not be stored is taken up again: at first, and at most."""
MOST_UNFIT = 5
"""So many looks later what comes for an output must be a picture."""
UNREAD_INPUT = "file_download_error"
"""fal's word for an input that it could not read, before any work on it (fal docs: errors)."""
NOT_STARTED = {"request_timeout", "startup_timeout"}
"""fal's words for a request that waited too long; a 5xx is never billed (fal docs: request errors, pricing)."""
MOST_RESUBMITS = 5
"""So many attempts may follow ones that ended unpaid or in doubt."""
RESUBMIT_SECONDS = 60
PAID = {JobStatus.STORING, JobStatus.SUCCEEDED}
MAX_RESULT_BYTES = 100_000
"""The largest result kept with a job; a larger one carries its pictures inside, and is fetched again instead."""


def complete(app: App, delivery: Delivery) -> Job:
    """Settle the job of a delivery; a delivery that comes again finds it settled and changes nothing.

    Raises:
        StatusConflictError: fal's word is about no job, or about another request or attempt than the job's.
        UnreadableError: the result that the delivery lacks cannot be had now; fal shall deliver again.
    """
    job = app.jobs.get(delivery.target.job_id)
    if job is None or not _is_about(delivery, job):
        raise StatusConflictError(job)
    if job.status.is_settled or (job.status is JobStatus.STORING and not delivery.succeeded):
        # fal has already said that the pictures are made: a later word to the contrary takes nothing back.
        return _come_again(delivery, job)
    if job.request is None and delivery.succeeded:
        # Nobody else here knows the request: what follows may fail, but this word must not be lost.
        job = _move(app, job, JobStatus.STORING, {"check_at": _again(app, job)}, delivery.request_id)
        if job.status.is_settled:
            return job
    to, changes = _read(app, delivery, job)
    job = _move(app, job, to, changes, delivery.request_id)
    logger.info("job delivered", job_id=job.job_id, status=job.status)
    return job


def is_awaited(app: App, delivery: Delivery) -> bool:
    """Whether a job of ours has had no word yet of the attempt that a delivery is about.

    Then it is no copy of one that was taken, however old it is: fal may not sign its later tries anew.
    """
    if delivery.target in app.answered:
        return False
    job = app.jobs.get(delivery.target.job_id)
    if job is not None and not job.status.is_settled and job.request is None and _is_about(delivery, job):
        return True
    # That stays so, and copies need not be looked up.
    app.answered.add(delivery.target)
    return False


def _is_about(delivery: Delivery, job: Job) -> bool:
    known = job.request is None or job.request.request_id == delivery.request_id
    return known and job.attempt == delivery.target.attempt


def _come_again(delivery: Delivery, job: Job) -> Job:
    if delivery.succeeded:
        _note_late(job, JobStatus.SUCCEEDED)
    else:
        logger.info("delivery came again", job_id=job.job_id, status=job.status)
    return job


def _note_late(job: Job, to: JobStatus) -> None:
    if to in PAID and job.status is not JobStatus.SUCCEEDED:
        logger.error("paid result came too late", job_id=job.job_id, status=job.status)
        count("PaidResultLost")
    else:
        logger.info("delivery came again", job_id=job.job_id, status=job.status)


def _read(app: App, delivery: Delivery, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    if not delivery.succeeded:
        return _end(app, job, read_error(delivery.payload))
    try:
        if delivery.payload is None:
            # It was too large or too odd for a webhook call, but the result is there, and paid for.
            request = job.request or Request(request_id=delivery.request_id)
            return store(app, app.fal.result(request), job)
        return store(app, Result.model_validate(delivery.payload), job)
    except ModelFailedError as error:
        # A delivery has just said the opposite.
        raise UnreadableError(f"fal's result says {error.kind}") from error
    except ValidationError:
        return JobStatus.FAILED, {"error": _error("unreadable_result", "fal's result has no images")}


def _end(app: App, job: Job, error: JobError) -> tuple[JobStatus, dict[str, Any]]:
    """What follows an error at fal: the job fails, unless it was one of waiting too long, and cost nothing."""
    if job.reason == error.type:
        # A copy of the word after which it waits to be sent again.
        return JobStatus.ACCEPTED, {}
    references = job.arguments.image_references()
    link_died = error.type == UNREAD_INPUT and bool(references) and all(map(is_object, references))
    done = job.status is JobStatus.STORING or job.resubmits >= MOST_RESUBMITS
    if done or not (link_died or error.type in NOT_STARTED):
        return JobStatus.FAILED, {"error": error.model_dump()}
    wait = waiting.backoff(job.job_id, job.resubmits, first=RESUBMIT_SECONDS, most=waiting.HOUR)
    again = {"reason": error.type, "request": None, "resubmits": job.resubmits + 1}
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
                return app.jobs.postpone(job, **{"looks": job.looks + 1, **changes})
            # A request that came with its URLs is worth more than its id alone.
            request = job.request or Request(request_id=request_id)
            return app.jobs.move(job, to, **{"request": request.model_dump(exclude_none=True), **changes})
        except StatusConflictError as conflict:
            if conflict.job is None or conflict.job.attempt != job.attempt:
                raise
            job = conflict.job
            if job.status.is_settled or to not in MOVES[job.status] | {job.status}:
                _note_late(job, to)
                return job


def fetch_and_store(app: App, job: Job, progress: Progress) -> Job:
    """Finish a job that fal has finished: fetch its result unless it is kept, store it, settle the job.

    Raises:
        UnreadableError: fal cannot be asked now.
    """
    if job.request is None:
        raise ValueError("a job without a request has no result at fal")
    try:
        if progress.failure:
            to, changes = _end(app, job, progress.failure)
        else:
            kept = job.result_json
            result = Result.model_validate_json(kept) if kept else app.fal.result(job.request, failed=progress.failed)
            to, changes = store(app, result, job)
    except ModelFailedError as error:
        to, changes = _end(app, job, JobError(type=error.kind, message=str(error)))
    return _move(app, job, to, changes, job.request.request_id)


def store(app: App, result: Result, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    """Store a result's images side by side, and say which move of the job that makes.

    Every picture is held here and checked before the first is put, so that a result is stored whole or not at all.
    """
    deadline = time.monotonic() + STORE_SECONDS
    urls = {index: image.url for index, image in enumerate(result.images) if image.url}
    seed = None if result.seed is None else str(result.seed)
    if not urls:
        return JobStatus.FAILED, {"error": _error("no_media_generated", "fal's result names no picture"), "seed": seed}
    try:
        with ExitStack() as stack:
            downloads = app.each(lambda url: stack.enter_context(app.downloads.fetch(url, deadline)), urls.values())
            outputs = app.each(lambda item: _put(app, job, *item), zip(urls, downloads, strict=True))
    except OutputUnfitError as error:
        if job.looks >= MOST_UNFIT:
            return JobStatus.FAILED, _unstored(result, "output_refused", error) | {"seed": seed}
        late = {"seed": seed, "check_at": _again(app, job)}
        return JobStatus.STORING, _unstored(result, "output_unfit", error) | late
    except OutputRefusedError as error:
        # The URLs stay with the job: what was paid for can still be fetched by hand.
        return JobStatus.FAILED, _unstored(result, "output_refused", error) | {"seed": seed}
    except (OutputUnavailableError, AwsUnavailableError) as error:
        late = {"seed": seed, "check_at": _again(app, job)}
        return JobStatus.STORING, _unstored(result, "output_unavailable", error) | late
    return JobStatus.SUCCEEDED, {"outputs": _dump(outputs), "seed": seed, "error": None}


def _again(app: App, job: Job) -> int:
    wait = waiting.backoff(job.job_id, job.looks, first=STORE_AGAIN_SECONDS, most=MOST_STORE_SECONDS)
    return unix_seconds(app.now()) + int(wait)


def _put(app: App, job: Job, index: int, download: Download) -> Output:
    key = job.output_key.format(index=index, ext=download.extension)
    app.images.store(key, download.file, download.content_type, job.job_id)
    width, height = download.dimensions or (None, None)
    return Output(
        index=index,
        key=key,
        content_type=download.content_type,
        width=width,
        height=height,
        bytes=download.size,
        sha256=download.sha256,
    )


def _unstored(result: Result, kind: str, error: Exception) -> dict[str, Any]:
    content = {"images": [{"url": image.url} for image in result.images], "seed": result.seed}
    text = json.dumps(content)
    return {"error": _error(kind, str(error)), "result_json": text if len(text) <= MAX_RESULT_BYTES else None}


def _dump(outputs: Iterable[Output]) -> list[dict[str, Any]]:
    return [output.model_dump(exclude_none=True) for output in outputs]


def _error(kind: str, message: str) -> dict[str, str]:
    return JobError(type=kind, message=message).model_dump()
