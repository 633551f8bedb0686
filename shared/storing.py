"""Storing: the pictures that fal made are fetched, checked and put into the outputs bucket, all of a result or none."""

import json
import time
from contextlib import ExitStack
from typing import Any

from shared import waiting
from shared.app import App
from shared.downloads import Download
from shared.endpoints import Result
from shared.errors import (
    AwsUnavailableError,
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
MAX_RESULT_BYTES = 100_000
"""The largest result kept with a job; a larger one carries its pictures inside, and is fetched again instead."""


def store(app: App, result: Result, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    """Store a result's images side by side, and say which move of the job that makes.

    Every picture is held here and checked before the first is put, so that a result is stored whole or not at all.
    """
    deadline = time.monotonic() + STORE_SECONDS
    urls = {index: image.url for index, image in enumerate(result.images) if image.url}
    if not urls:
        return fail_unread(result.content, Reason.EMPTY_RESULT, "fal's result names no picture")
    if len(urls) > job.images_asked_for:
        # Whoever pays for one picture is not sent several: the others are none of ours.
        logger.warning("result has more images than asked for", job_id=job.job_id, images=len(urls))
        urls = dict(list(urls.items())[: job.images_asked_for])
    seed = {"seed": result.seed_text}
    try:
        with ExitStack() as stack:
            downloads = app.each(lambda url: stack.enter_context(app.downloads.fetch(url, deadline)), urls.values())
            outputs = app.each(lambda item: _put(app, job, result, *item), zip(urls, downloads, strict=True))
    except OutputNotAllowedError as error:
        # The operator may add the host: fal has moved its files before.
        count("OutputNotAllowed")
        return JobStatus.STORING, _try_again(app, job, result, Reason.OUTPUT_HOST_NOT_ALLOWED, error)
    except OutputUnfitError as error:
        if job.looks >= MOST_UNFIT:
            return JobStatus.FAILED, _unstored(result, Reason.OUTPUT_REFUSED, error)
        return JobStatus.STORING, _try_again(app, job, result, Reason.OUTPUT_UNFIT, error)
    except OutputRefusedError as error:
        # The URLs stay with the job: what was paid for can still be fetched by hand.
        return JobStatus.FAILED, _unstored(result, Reason.OUTPUT_REFUSED, error)
    except (OutputUnavailableError, AwsUnavailableError) as error:
        return JobStatus.STORING, _try_again(app, job, result, Reason.OUTPUT_UNAVAILABLE, error)
    return JobStatus.SUCCEEDED, seed | {
        "outputs": [output.model_dump(exclude_none=True) for output in outputs],
        "error": None,
    }


def again_at(app: App, job: Job) -> int:
    """When a job whose outputs could not be stored is taken up again (Unix seconds)."""
    wait = waiting.backoff(job.job_id, job.looks, first=STORE_AGAIN_SECONDS, most=MOST_STORE_SECONDS)
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


def _try_again(app: App, job: Job, result: Result, kind: Reason, error: Exception) -> dict[str, Any]:
    return _unstored(result, kind, error) | {"reason": kind, "check_at": again_at(app, job)}


def _unstored(result: Result, kind: Reason, error: Exception) -> dict[str, Any]:
    images = [{"url": image.url} for image in result.images]
    flags = [result.is_nsfw(index) for index in range(len(images))]
    content = {"images": images, "seed": result.seed_text, "has_nsfw_concepts": flags}
    text = json.dumps(content)
    return {
        "error": JobError(type=kind, message=str(error)).model_dump(),
        "result_json": text if len(text) <= MAX_RESULT_BYTES else None,
        "seed": result.seed_text,
    }
