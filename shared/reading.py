"""Reading: jobs as their owners see them, with fresh links."""

import re
from typing import Any

from shared.app import App
from shared.errors import InvalidSubmissionError, JobNotFoundError
from shared.jobs import Job, JobStatus, moment_text

MOST_JOBS = 100
DEFAULT_JOBS = 20
FILTERS = [status for status in JobStatus if status is not JobStatus.CANCELLED]
"""The statuses that may be asked for: nothing cancels a job yet."""


def read_job(app: App, owner: str, job_id: str) -> dict[str, Any]:
    """One job of an owner.

    Raises:
        JobNotFoundError: there is none; another owner's job is none.
    """
    job = app.jobs.get(job_id)
    if job is None or job.owner != owner:
        raise JobNotFoundError(job_id)
    return view(app, job)


def list_jobs(app: App, owner: str, query: dict[str, str]) -> dict[str, Any]:
    """An owner's jobs, newest first, filtered by status and preset, a page at a time.

    Raises:
        InvalidSubmissionError: a query parameter is wrong; names it.
    """
    status, preset = query.get("status"), query.get("preset")
    if status is not None and status not in FILTERS:
        raise InvalidSubmissionError({"status": f"expected one of {', '.join(FILTERS)}"})
    limit = query.get("limit", str(DEFAULT_JOBS))
    if not (re.fullmatch(r"[0-9]{1,3}", limit) and 1 <= int(limit) <= MOST_JOBS):
        raise InvalidSubmissionError({"limit": f"expected a number from 1 to {MOST_JOBS}"})

    def wanted(job: Job) -> bool:
        return status in (None, job.status) and preset in (None, job.preset)

    try:
        jobs, cursor = app.indexes.list_owned(owner, wanted, int(limit), query.get("cursor"))
    except ValueError:
        raise InvalidSubmissionError({"cursor": "not a cursor that an earlier page gave"}) from None
    return {"jobs": [view(app, job) for job in jobs], "cursor": cursor}


def view(app: App, job: Job) -> dict[str, Any]:
    """The job as the API shows it; a seed is text, since it may exceed what JavaScript's numbers hold.

    `why` says in words, fal's or S3's where they are theirs, what an open job waits for, or why images are missing;
    `missing` is the number of images that a job was to have, and that fal did not make or that could not be stored.
    """
    return {
        "job_id": job.job_id,
        "status": job.status,
        "reason": job.reason,
        "why": job.error.message if job.error and job.status is not JobStatus.FAILED else None,
        "endpoint": job.endpoint,
        "preset": job.preset,
        "upload": {"bucket": job.upload.bucket, "key": job.upload.key} if job.upload else None,
        "request_id": job.request.request_id if job.request else None,
        "outputs": [
            {
                "index": output.index,
                "bucket": app.settings.outputs_bucket,
                "key": output.key,
                "url": app.images.output_link(output.key),
                "content_type": output.content_type,
                "width": output.width,
                "height": output.height,
                "bytes": output.bytes,
                "sha256": output.sha256,
                "nsfw": output.nsfw,
            }
            for output in job.outputs
        ],
        "missing": max(0, job.images_asked_for - len(job.outputs)) if job.status is JobStatus.SUCCEEDED else 0,
        "seed": job.seed,
        "error": job.error.model_dump() if job.error and job.status is JobStatus.FAILED else None,
        "created_at": moment_text(job.created_at),
        "updated_at": moment_text(job.updated_at),
        "settled_at": moment_text(job.settled_at) if job.settled_at else None,
    }
