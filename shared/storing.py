"""Storing: the pictures that fal made are fetched, checked and put into the outputs bucket, all of a result at once."""

import json
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from shared import waiting
from shared.app import App
from shared.downloads import Download
from shared.endpoints import Result
from shared.errors import (
    AwsUnavailableError,
    DarkroomError,
    OutputNotAllowedError,
    OutputRefusedError,
    OutputUnavailableError,
    OutputUnfitError,
)
from shared.jobs import Job, JobError, JobStatus, Output, unix_seconds
from shared.observability import count, logger
from shared.reasons import Reason

STORE_SECONDS = 7
"""How long fetching may take within a delivery: fal waits 15 s for the answer."""
STORE_AGAIN_SECONDS = 30
MOST_STORE_SECONDS = 900
"""When a job whose outputs could not be stored is taken up again: at first, and at most."""
MOST_UNFIT = 5
"""After this many looks, an output that is still not a picture fails the job."""
PATIENCE = waiting.STORE - waiting.HOUR
"""Seconds from the start of an attempt until outputs are stored without the missing ones: fal deletes them soon."""
MAX_RESULT_BYTES = 100_000
"""The largest result kept with a job; a larger one carries its pictures inside, and is fetched again instead."""


def store(app: App, result: Result, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    """Store a result's images side by side, and say which move of the job that makes.

    Nothing is put while more may come: every picture is held here and checked before the first is put. What can never
    be stored does not keep the others away: the job succeeds without it, and says so.
    """
    deadline = time.monotonic() + STORE_SECONDS
    urls = {index: image.url for index, image in enumerate(result.images) if image.url}
    if not urls:
        return fail_unread(result.content, Reason.EMPTY_RESULT, "fal's result names no picture")
    if len(urls) > job.images_asked_for:
        # Nobody who pays for one picture is sent several: the others were made for somebody else.
        logger.warning("result has more images than asked for", job_id=job.job_id, images=len(urls))
        urls = dict(list(urls.items())[: job.images_asked_for])

    def fetch(url: str) -> Download | Trouble:
        try:
            return stack.enter_context(app.downloads.fetch(url, deadline))
        except (OutputUnavailableError, OutputUnfitError, OutputRefusedError) as error:
            return _judge(error, job)

    with ExitStack() as stack:
        fetched = dict(zip(urls, app.each(fetch, urls.values()), strict=True))
        pictures = {index: one for index, one in fetched.items() if isinstance(one, Download)}
        trouble = min((one for one in fetched.values() if isinstance(one, Trouble)), default=None)
        is_late = unix_seconds(app.now()) >= unix_seconds(job.attempt_at) + PATIENCE
        if trouble and trouble.may_end and not (pictures and is_late):
            count("OutputNotAllowed" if trouble.reason is Reason.OUTPUT_HOST_NOT_ALLOWED else "OutputUnavailable")
            return JobStatus.STORING, _try_again(app, job, result, trouble)
        try:
            outputs = app.each(lambda item: _put(app, job, result, *item), pictures.items())
        except AwsUnavailableError as error:
            count("OutputUnavailable")
            return JobStatus.STORING, _try_again(app, job, result, Trouble(0, Reason.OUTPUT_UNAVAILABLE, str(error)))
    # The URLs of what was not stored stay with the job: what was paid for can still be fetched by hand.
    unstored = _unstored(result, trouble) if trouble else {"seed": result.seed_text, "error": None}
    if not pictures:
        return JobStatus.FAILED, unstored
    return JobStatus.SUCCEEDED, unstored | {"outputs": [output.model_dump(exclude_none=True) for output in outputs]}


class Trouble(NamedTuple):
    """Why an output cannot be stored; of several that comes first which decides what follows."""

    order: int
    reason: Reason
    message: str

    @property
    def may_end(self) -> bool:
        """Whether the output may still be fetched."""
        return self.reason is not Reason.OUTPUT_REFUSED


def _judge(error: DarkroomError, job: Job) -> Trouble:
    if isinstance(error, OutputNotAllowedError):
        # The operator may add the host: fal has moved its files before.
        return Trouble(0, Reason.OUTPUT_HOST_NOT_ALLOWED, str(error))
    if isinstance(error, OutputUnfitError) and job.looks_at(Reason.OUTPUT_UNFIT) < MOST_UNFIT:
        return Trouble(1, Reason.OUTPUT_UNFIT, str(error))
    if isinstance(error, OutputUnavailableError):
        return Trouble(2, Reason.OUTPUT_UNAVAILABLE, str(error))
    return Trouble(3, Reason.OUTPUT_REFUSED, str(error))


def again_at(app: App, job: Job, reason: Reason | None = None) -> int:
    """When a job whose outputs could not be stored is taken up again (Unix seconds)."""
    wait = waiting.backoff(job.job_id, job.looks_at(reason), first=STORE_AGAIN_SECONDS, most=MOST_STORE_SECONDS)
    return unix_seconds(app.now()) + int(wait)


def fail_unread(content: object, kind: Reason, message: str) -> tuple[JobStatus, dict[str, Any]]:
    """Fail a job whose result has no picture that could be found; what fal said stays with it."""
    text = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")[:MAX_RESULT_BYTES]
    error = JobError(type=kind, message=message).model_dump()
    return JobStatus.FAILED, {"error": error, "result_json": text.decode("utf-8", "ignore")}


def _put(app: App, job: Job, result: Result, index: int, download: Download) -> Output:
    width, height = download.dimensions or (None, None)
    output = Output(
        index=index,
        key=job.output_key.format(index=index, ext=download.extension),
        content_type=download.content_type,
        width=width,
        height=height,
        bytes=download.size,
        sha256=download.sha256,
        nsfw=result.is_nsfw(index),
    )
    app.images.store(output, download.file, job.job_id)
    return output


def _try_again(app: App, job: Job, result: Result, trouble: Trouble) -> dict[str, Any]:
    return _unstored(result, trouble) | {"reason": trouble.reason, "check_at": again_at(app, job, trouble.reason)}


def _unstored(result: Result, trouble: Trouble) -> dict[str, Any]:
    images = [{"url": image.url} for image in result.images]
    flags = [result.is_nsfw(index) for index in range(len(images))]
    content = {"images": images, "seed": result.seed_text, "has_nsfw_concepts": flags}
    text = json.dumps(content)
    return {
        "error": JobError(type=trouble.reason, message=trouble.message).model_dump(),
        "result_json": text if len(text) <= MAX_RESULT_BYTES else None,
        "seed": result.seed_text,
    }
