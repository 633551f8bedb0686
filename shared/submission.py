"""Submission: a job is written down, then handed to fal, once."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from shared import waiting
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
from shared.images import is_object
from shared.jobs import (
    LOCKED,
    MOVES,
    Job,
    JobError,
    JobStatus,
    OnUnknown,
    Record,
    Request,
    Upload,
    moment_text,
    unix_seconds,
)
from shared.observability import logger
from shared.presets import output_key
from shared.webhooks import Target

POST_SECONDS = 24
"""What one POST and the note of it may take at worst: 5 s to connect, 15 s for the answer, two writes."""
MOST_TRIES = 4
PAUSE_SECONDS = 0.5
"""Tries of one attempt, as long as each provably did not reach fal's queue, and the first pause between them."""
RETRY_SECONDS = 60
MOST_RETRY_SECONDS = 900
"""When an attempt that was not accepted is followed by the next: at first, and at most."""
MOST_STRIKES = 10
"""So often may a job be refused while others are accepted, before that is its own fault and no flapping account's."""
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
    on_unknown: OnUnknown = "fail"
    fingerprint: str

    def key(self, prefix: str = "") -> str:
        """The outputs' key with {index} and {ext} open; a path too long for S3 gives way to its hash."""
        key = prefix + output_key(self.output_key, preset=self.preset, path=self.path, job_id=self.job_id)
        if len(key.encode()) <= MAX_KEY_BYTES - KEY_RESERVE:
            return key
        path = hashlib.sha256(self.path.encode()).hexdigest()
        return prefix + output_key(self.output_key, preset=self.preset, path=path, job_id=self.job_id)


TimeLeft = Callable[[], float]
"""Seconds until the function that asks is ended."""


def submit(app: App, submission: Submission, time_left: TimeLeft) -> Job:
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
        return _submit_again(app, conflict.job, draft, time_left)
    logger.info("job made", job_id=job.job_id, status=job.status, endpoint=job.endpoint, preset=job.preset)
    return job if job.reason == LOCKED else send(app, job, time_left)


def _submit_again(app: App, job: Job, draft: Job, time_left: TimeLeft) -> Job:
    if job.fingerprint != draft.fingerprint:
        raise KeyReusedError
    # Only `accepted` is proven not to be at fal; everything else is under way or settled.
    return attempt_again(app, job, time_left) if job.status is JobStatus.ACCEPTED else job


def draft_job(app: App, submission: Submission) -> Job:
    """The job as it is written before fal hears of it: parked if the account is locked, else on its way."""
    now = app.now()
    parked = app.breaker.is_open()
    return Job(
        job_id=submission.job_id,
        owner=submission.owner,
        status=JobStatus.ACCEPTED if parked else JobStatus.SUBMITTING,
        reason=LOCKED if parked else None,
        endpoint=submission.endpoint,
        arguments_json=json.dumps(submission.arguments.model_dump(exclude_none=True)),
        preset=submission.preset,
        upload=submission.upload,
        output_key=submission.key(app.settings.outputs_prefix),
        on_unknown=submission.on_unknown,
        fingerprint=submission.fingerprint,
        nonce=app.nonce(),
        error=_locked(app) if parked else None,
        # A job that is only parked has had no attempt, so the next is its first.
        attempt=0 if parked else 1,
        attempt_at=now,
        created_at=now,
        updated_at=now,
        check_at=unix_seconds(now) + (waiting.ACCEPTANCE if parked else waiting.LEASE),
    )


def attempt_again(app: App, job: Job, time_left: TimeLeft, *, probing: bool = False) -> Job:
    """Send an accepted job once more, as a new attempt; while the account is locked it is parked, unless it probes."""
    try:
        if app.breaker.is_open() and not probing:
            is_parked = job.reason == LOCKED and job.check_at == give_up_at(job)
            return job if is_parked else app.jobs.park(job, give_up_at(job), _locked(app))
        now = app.now()
        lease = unix_seconds(now) + waiting.LEASE
        claim = {"attempt": job.attempt + 1, "attempt_at": moment_text(now), "check_at": lease, "error": None}
        claimed = app.jobs.move(job, JobStatus.SUBMITTING, **claim)
    except StatusConflictError as conflict:
        return conflict.job or job
    return send(app, claimed, time_left)


def _locked(app: App) -> JobError:
    return JobError(type=LOCKED, message=app.breaker.why)


def give_up_at(job: Job) -> int:
    """When everything that could still be done about an open job is over (Unix seconds)."""
    if job.status is JobStatus.ACCEPTED:
        return unix_seconds(job.created_at) + waiting.ACCEPTANCE
    return unix_seconds(job.attempt_at) + (waiting.STORE if job.request else waiting.ATTEMPT)


def send(app: App, job: Job, time_left: TimeLeft) -> Job:
    """Hand a `submitting` job to fal and record what came of it."""
    to, changes = _post(app, job, time_left)
    try:
        moved = app.jobs.move(job, to, **changes)
    except StatusConflictError as conflict:
        moved = _note_late(app, conflict.job or job, job.attempt, to, changes)
    except Exception:
        # A delivery will have to say it; until then this line is all that is known of the request.
        logger.exception("attempt not noted", job_id=job.job_id, status=to, request=changes.get("request"))
        raise
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


def _post(app: App, job: Job, time_left: TimeLeft) -> tuple[JobStatus, dict[str, Any]]:
    try:
        submit_to_fal = _prepare(app, job)
    except UploadRejectedError as error:
        return JobStatus.FAILED, {"error": _error(error.kind, error)}
    except (AwsUnavailableError, SettingsError) as error:
        return _retry(app, job, error)
    except Exception as error:  # noqa: BLE001 - nothing was sent, and the job must not seem to be at fal
        logger.exception("attempt not prepared", job_id=job.job_id)
        return _retry(app, job, error)
    if time_left() < POST_SECONDS:
        # A function that ends in the middle of a POST would leave the job in doubt.
        return _retry(app, job, NotAcceptedError("there was no time left to send it"))
    try:
        request = _try(app, job, submit_to_fal, time_left)
    except RefusedError as error:
        app.breaker.note_answered()
        return JobStatus.FAILED, {"error": _error("refused_by_fal", error)}
    except ProviderLockedError as error:
        return _park(app, job, error)
    except NotAcceptedError as error:
        app.breaker.note_failed(str(error))
        return _retry(app, job, error)
    except (AwsUnavailableError, SettingsError) as error:
        return _retry(app, job, error)
    except ReplyLostError as error:
        app.breaker.note_failed(str(error))
        # Without a request nobody can be asked, only waited for.
        doubt = {"reason": "reply_lost", "check_at": give_up_at(job)}
        return JobStatus.UNCONFIRMED, doubt | {"error": _error("reply_lost", error)}
    app.breaker.note_accepted()
    look = {"check_at": unix_seconds(app.now()) + app.settings.poll_seconds}
    return JobStatus.QUEUED, look | {"request": request.model_dump(exclude_none=True), "error": None}


def _retry(app: App, job: Job, error: Exception) -> tuple[JobStatus, dict[str, Any]]:
    wait = waiting.backoff(job.job_id, job.attempt - 1, first=RETRY_SECONDS, most=MOST_RETRY_SECONDS)
    again = {"reason": "retry", "check_at": unix_seconds(app.now()) + int(wait)}
    return JobStatus.ACCEPTED, again | {"error": _error("not_accepted", error)}


def _park(app: App, job: Job, error: ProviderLockedError) -> tuple[JobStatus, dict[str, Any]]:
    # Who is refused again and again, each time while others are accepted, is no victim of a lock.
    strikes = job.strikes + app.breaker.note_locked(str(error))
    if strikes >= MOST_STRIKES:
        return JobStatus.FAILED, {"error": _error("refused_by_fal", error)}
    until = unix_seconds(job.created_at) + waiting.ACCEPTANCE
    parked = {"reason": LOCKED, "strikes": strikes, "check_at": until}
    return JobStatus.ACCEPTED, parked | {"error": _error(LOCKED, error)}


def _prepare(app: App, job: Job) -> Callable[[], Request]:
    """All that an attempt needs before anything is sent."""
    if job.upload and app.images.check_input(job.upload.bucket, job.upload.key):
        # An output that starts a job is a loop, and every turn of it would be paid.
        raise UploadRejectedError("own_output", "the object is an output of this service")
    arguments = job.arguments.with_images([fal_url(app, ref) for ref in job.arguments.image_references()])
    webhook_url = Target(job.job_id, job.attempt).url(app.credentials.webhook())
    app.credentials.fal_key()
    return lambda: app.fal.submit(job.endpoint, arguments, webhook_url)


def _try(app: App, job: Job, submit_to_fal: Callable[[], Request], time_left: TimeLeft) -> Request:
    """Submit, and again after a pause where that provably did not reach fal's queue and there is time."""
    tries = 0
    while True:
        try:
            return submit_to_fal()
        except ProviderLockedError:
            raise
        except NotAcceptedError:
            tries += 1
            pause = waiting.backoff(job.job_id, tries, first=PAUSE_SECONDS, most=POST_SECONDS)
            if tries == MOST_TRIES or app.breaker.is_open() or time_left() < pause + POST_SECONDS:
                raise
        app.sleep(pause)


def _error(kind: str, error: Exception) -> dict[str, str]:
    return JobError(type=kind, message=str(error)).model_dump()


def fal_url(app: App, reference: str) -> str:
    """The URL under which fal reads an input: https as it is, an object of ours by a presigned link."""
    if not is_object(reference):
        return reference
    bucket, _, key = reference.removeprefix("s3://").partition("/")
    return app.images.input_link(bucket, key)
