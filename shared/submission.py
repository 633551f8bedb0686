"""Submission: a job is written down, then handed to fal, once."""

import hashlib
import json
from datetime import timedelta
from typing import Any

from shared.app import App
from shared.endpoints import Arguments, Endpoint
from shared.errors import (
    AwsUnavailableError,
    KeyReusedError,
    NotAcceptedError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    SettingsError,
    StatusConflictError,
    UploadRejectedError,
)
from shared.jobs import MOVES, Job, JobError, JobStatus, Record, Upload, moment_text, unix_seconds
from shared.observability import logger
from shared.presets import output_key
from shared.webhooks import Target

LEASE_SECONDS = 180
"""How long an attempt may be on the wire before it counts as lost; longer than any function lives."""
RETRY_SECONDS = 60
POLL_SECONDS = 120
"""When a queued job is first asked after, if no delivery came."""
MAX_KEY_BYTES = 1024
"""The longest key that S3 takes, in UTF-8."""
KEY_RESERVE = 16
"""Bytes kept for what is filled in later, the index and the extension."""


class Submission(Record):
    """What a caller asks for, validated.

    `path` stands in the outputs' key for the upload or the owner; `fingerprint` is the same for the same submission.
    """

    job_id: str
    owner: str
    endpoint: Endpoint
    arguments: Arguments
    preset: str | None = None
    upload: Upload | None = None
    path: str
    output_key: str
    fingerprint: str

    def key(self) -> str:
        """The outputs' key with {index} and {ext} open; a path too long for S3 gives way to its hash."""
        key = output_key(self.output_key, preset=self.preset, path=self.path, job_id=self.job_id)
        if len(key.encode()) <= MAX_KEY_BYTES - KEY_RESERVE:
            return key
        path = hashlib.sha256(self.path.encode()).hexdigest()
        return output_key(self.output_key, preset=self.preset, path=path, job_id=self.job_id)


def submit(app: App, submission: Submission) -> Job:
    """Make the job of a submission and send it to fal; one that was made before gives the job that it made then.

    Raises:
        KeyReusedError: the job's id belongs to another submission.
    """
    draft = draft_job(app, submission)
    try:
        job = app.jobs.create(draft)
    except StatusConflictError as conflict:
        if conflict.job is None:
            raise
        return _submit_again(app, conflict.job, draft)
    logger.info("job submitting", job_id=job.job_id, endpoint=job.endpoint, preset=job.preset)
    return send(app, job)


def _submit_again(app: App, job: Job, draft: Job) -> Job:
    if job.fingerprint != draft.fingerprint:
        raise KeyReusedError
    # Only `accepted` is proven not to be at fal; everything else is under way or settled.
    return attempt_again(app, job) if job.status is JobStatus.ACCEPTED else job


def draft_job(app: App, submission: Submission) -> Job:
    """The job as it is written before fal hears of it."""
    now = app.now()
    return Job(
        job_id=submission.job_id,
        owner=submission.owner,
        status=JobStatus.SUBMITTING,
        endpoint=submission.endpoint,
        arguments_json=json.dumps(submission.arguments.model_dump(exclude_none=True)),
        preset=submission.preset,
        upload=submission.upload,
        output_key=submission.key(),
        fingerprint=submission.fingerprint,
        nonce=app.nonce(),
        attempt_at=now,
        created_at=now,
        updated_at=now,
        check_at=unix_seconds(now) + LEASE_SECONDS,
    )


def attempt_again(app: App, job: Job) -> Job:
    """Send an accepted job once more, as a new attempt."""
    now = app.now()
    lease = unix_seconds(now) + LEASE_SECONDS
    claim = {"attempt": job.attempt + 1, "attempt_at": moment_text(now), "check_at": lease, "error": None}
    try:
        claimed = app.jobs.move(job, JobStatus.SUBMITTING, **claim)
    except StatusConflictError as conflict:
        return conflict.job or job
    return send(app, claimed)


def send(app: App, job: Job) -> Job:
    """Hand a `submitting` job to fal and record what came of it."""
    to, changes = _post(app, job)
    if "wait" in changes:
        changes["check_at"] = unix_seconds(app.now() + timedelta(seconds=changes.pop("wait")))
    try:
        moved = app.jobs.move(job, to, **changes)
    except StatusConflictError as conflict:
        moved = _note_late(app, conflict.job or job, job.attempt, to, changes)
    why = moved.error.message if moved.error else None
    log = logger.warning if why else logger.info
    log("job sent", job_id=job.job_id, status=moved.status, reason=moved.reason, attempt=job.attempt, why=why)
    return moved


def _note_late(app: App, job: Job, attempt: int, to: JobStatus, changes: dict[str, Any]) -> Job:
    """Note fal's answer about a job that moved while we waited for it.

    fal's delivery can be faster than our note, and then there is nothing to add. A lease that ran out meanwhile has
    made the job unconfirmed, and what it waits for is now known.
    """
    if job.status is JobStatus.UNCONFIRMED and job.attempt == attempt and to in MOVES[job.status]:
        try:
            return app.jobs.move(job, to, **changes)
        except StatusConflictError as conflict:
            return conflict.job or job
    return job


def _post(app: App, job: Job) -> tuple[JobStatus, dict[str, Any]]:
    try:
        if job.upload and app.images.check_input(job.upload.bucket, job.upload.key):
            # An output that starts a job is a loop, and every turn of it would be paid.
            raise UploadRejectedError("own_output", "the object is an output of this service")
        arguments = job.arguments.with_images([fal_url(app, ref) for ref in job.arguments.image_references()])
        webhook_url = Target(job.job_id, job.attempt).url(app.credentials.webhook())
        request = app.fal.submit(job.endpoint, arguments, webhook_url)
    except UploadRejectedError as error:
        return JobStatus.FAILED, {"error": _error(error.kind, error)}
    except RefusedError as error:
        return JobStatus.FAILED, {"error": _error("refused_by_fal", error)}
    except ProviderLockedError as error:
        return JobStatus.ACCEPTED, {
            "reason": "provider_locked",
            "error": _error("provider_locked", error),
            "wait": RETRY_SECONDS,
        }
    except (NotAcceptedError, AwsUnavailableError, SettingsError) as error:
        return JobStatus.ACCEPTED, {"reason": "retry", "error": _error("not_accepted", error), "wait": RETRY_SECONDS}
    except ReplyLostError as error:
        return JobStatus.UNCONFIRMED, {
            "reason": "reply_lost",
            "error": _error("reply_lost", error),
            "wait": POLL_SECONDS,
        }
    return JobStatus.QUEUED, {"request": request.model_dump(exclude_none=True), "error": None, "wait": POLL_SECONDS}


def _error(kind: str, error: Exception) -> dict[str, str]:
    return JobError(type=kind, message=str(error)).model_dump()


def fal_url(app: App, reference: str) -> str:
    """The URL under which fal reads an input: https as it is, an object of ours by a presigned link."""
    if not reference.startswith("s3://"):
        return reference
    bucket, _, key = reference.removeprefix("s3://").partition("/")
    return app.images.input_link(bucket, key)
