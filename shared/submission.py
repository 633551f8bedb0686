"""Submission: a job is written down, then handed to fal, once."""

import hashlib
import json
from math import ceil

from shared import waiting
from shared.app import App
from shared.endpoints import Arguments, Endpoint
from shared.errors import KeyReusedError, StatusConflictError
from shared.jobs import Job, JobStatus, OnUnknown, Record, Upload, unix_seconds
from shared.observability import count, logger
from shared.presets import output_key
from shared.reasons import Reason
from shared.sending import POST_SECONDS, TimeLeft, attempt_again, send, throttled

MAX_KEY_BYTES = 1024
"""The longest key that S3 takes, in UTF-8."""
KEY_RESERVE = 16
"""Bytes kept for what is filled in later, the index and the extension."""


class Submission(Record):
    """What a caller asks for, validated.

    `path` is the part of the outputs' key that names the upload or the owner. `fingerprint` is the same for the same
    submission.
    """

    job_id: str
    owner: str
    endpoint: Endpoint
    arguments: Arguments
    preset: str | None = None
    upload: Upload | None = None
    path: str
    output_key: str
    on_unknown: OnUnknown = "fail"
    fingerprint: str

    def key(self, prefix: str = "") -> str:
        """The outputs' key with {index} and {ext} open; a path too long for S3 gives way to its hash."""
        key = self._fill(prefix, self.path)
        if len(key.encode()) <= MAX_KEY_BYTES - KEY_RESERVE:
            return key
        return self._fill(prefix, hashlib.sha256(self.path.encode()).hexdigest())

    def _fill(self, prefix: str, path: str) -> str:
        return safe_key(prefix + output_key(self.output_key, preset=self.preset, path=path, job_id=self.job_id))


def safe_key(key: str) -> str:
    """The key with a `_` before each segment that some client would drop or fold away: empty ones, `.` and `..`."""
    return "/".join(f"_{segment}" if segment in {"", ".", ".."} else segment for segment in key.split("/"))


def submit(app: App, submission: Submission, time_left: TimeLeft) -> Job:
    """Make the job of a submission and send it to fal; one that was made before gives the job that it made then.

    Raises:
        KeyReusedError: the job's id belongs to another submission.
        InvalidSubmissionError: it is too large to be kept with all that will be written beside it.
    """
    draft = draft_job(app, submission, time_left)
    try:
        job = app.jobs.create(draft)
    except StatusConflictError as conflict:
        if conflict.job is None:
            raise
        return submit_again(app, conflict.job, submission.fingerprint, time_left)
    count("JobBegun")
    logger.info("job made", job_id=job.job_id, status=job.status, endpoint=job.endpoint, preset=job.preset)
    return send(app, job, time_left) if job.status is JobStatus.SUBMITTING else job


def submit_again(app: App, job: Job, fingerprint: str, time_left: TimeLeft) -> Job:
    """Give the job that a submission made before; one that waits to be sent again is sent, unless fal named a time.

    Raises:
        KeyReusedError: the job is of another submission.
    """
    if job.fingerprint != fingerprint:
        raise KeyReusedError
    # Only `accepted` is proven not to be at fal; everything else is under way or settled.
    if job.status is not JobStatus.ACCEPTED:
        return job
    is_early = job.reason == Reason.THROTTLED and unix_seconds(app.now()) < (job.check_at or 0)
    return job if is_early else attempt_again(app, job, time_left)


def draft_job(app: App, submission: Submission, time_left: TimeLeft) -> Job:
    """The job as it is written before fal hears of it: on its way, or waiting for whatever keeps it from being sent."""
    now = app.now()
    waits = app.breaker.why_waiting(submission.owner)
    check_at = unix_seconds(now) + (waiting.ACCEPTANCE if waits else waiting.LEASE)
    if waits is None and (wait := app.throttle.wait) > time_left() - POST_SECONDS:
        waits = throttled(wait)
        check_at = unix_seconds(now) + ceil(wait)
    return Job(
        job_id=submission.job_id,
        owner=submission.owner,
        status=JobStatus.ACCEPTED if waits else JobStatus.SUBMITTING,
        reason=waits.type if waits else None,
        endpoint=submission.endpoint,
        arguments_json=json.dumps(submission.arguments.model_dump(exclude_none=True), ensure_ascii=False),
        preset=submission.preset,
        upload=submission.upload,
        output_key=submission.key(app.settings.outputs_prefix),
        on_unknown=submission.on_unknown,
        fingerprint=submission.fingerprint,
        nonce=app.nonce(),
        error=waits,
        # A job that only waits has had no attempt, so the next is its first.
        attempt=0 if waits else 1,
        attempt_at=now,
        created_at=now,
        updated_at=now,
        check_at=check_at,
    )
