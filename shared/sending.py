"""Sending: an attempt is handed to fal, and what came of it is noted."""

from collections.abc import Callable
from math import ceil
from typing import Any

from shared import waiting
from shared.app import App
from shared.errors import (
    AwsUnavailableError,
    DarkroomError,
    NotAcceptedError,
    PausedError,
    ProviderLockedError,
    RefusedError,
    ReplyLostError,
    SettingsError,
    StatusConflictError,
    ThrottledError,
    UploadRejectedError,
)
from shared.images import is_object
from shared.jobs import MOVES, Job, JobError, JobStatus, Request, moment_text, unix_seconds
from shared.locks import EVERYBODY
from shared.observability import logger
from shared.reasons import Reason
from shared.webhook_urls import Target

POST_SECONDS = 24
"""What one POST and the note of it may take at worst: 5 s to connect, 15 s for the answer, two writes."""
MOST_TRIES = 4
PAUSE_SECONDS = 0.5
"""Tries of one attempt, as long as each provably did not reach fal's queue, and the first pause between them."""
RETRY_SECONDS = 60
MOST_RETRY_SECONDS = 900
"""When an attempt that was not accepted is followed by the next: at first, and at most."""
MOST_STRIKES = 10
"""How often a job may be refused while others are accepted before it is to blame, and not an account that flaps."""

OURS: dict[type[DarkroomError], Reason] = {
    AwsUnavailableError: Reason.AWS_UNAVAILABLE,
    SettingsError: Reason.MISCONFIGURED,
}
"""Why a job waits where the trouble is not fal's."""

MAY_BE_PAID = {JobStatus.QUEUED, JobStatus.UNCONFIRMED}
"""What becomes of a job of which fal has, or may have, a request."""

TimeLeft = Callable[[], float]
"""Seconds until the function that asks is ended."""


def attempt_again(app: App, job: Job, time_left: TimeLeft, *, probing: bool = False) -> Job:
    """Send an accepted job once more, as a new attempt; where its owner's jobs wait it is parked, unless it probes."""
    if job.claim:
        return job  # fal may have it.
    try:
        waits = app.breaker.why_waiting(job.owner)
        if waits and not (probing and waits.type == Reason.PROVIDER_LOCKED):
            is_parked = job.reason == waits.type and job.check_at == give_up_at(job)
            return job if is_parked else app.jobs.let_wait(job, give_up_at(job), waits)
        now = app.now()
        if (wait := app.throttle.wait) > time_left() - POST_SECONDS:
            return app.jobs.let_wait(job, unix_seconds(now) + ceil(wait), throttled(wait))
        lease = unix_seconds(now) + waiting.LEASE
        begun = {"attempt": job.attempt + 1, "attempt_at": moment_text(now), "check_at": lease, "error": None}
        job = app.jobs.move(job, JobStatus.SUBMITTING, **begun)
    except StatusConflictError as conflict:
        return conflict.job or job
    return send(app, job, time_left)


def throttled(wait: float) -> JobError:
    """Why a job waits that fal would refuse now, because too many came."""
    return JobError(type=Reason.THROTTLED, message=f"fal takes no request for another {wait:.0f} s")


def give_up_at(job: Job) -> int:
    """When everything that could still be done about an open job is over (Unix seconds)."""
    if job.status is JobStatus.ACCEPTED:
        return unix_seconds(job.created_at) + waiting.ACCEPTANCE
    return unix_seconds(job.attempt_at) + (waiting.STORE if job.request else waiting.ATTEMPT)


def send(app: App, job: Job, time_left: TimeLeft) -> Job:
    """Hand a `submitting` job to fal and record what came of it."""
    to, changes = _post(app, job, time_left)
    try:
        moved = _note(app, job, to, changes)
    except Exception:
        # A delivery will have to say it; until then this line is all that is known of the request.
        logger.exception("attempt not noted", job_id=job.job_id, status=to, request=changes.get("request"))
        if to not in MAY_BE_PAID:
            raise
        # Whoever sent the job is told that it is on its way: another one would be paid as well.
        return job
    why = moved.error.message if moved.error else None
    log = logger.warning if why else logger.info
    log("job sent", job_id=job.job_id, status=moved.status, reason=moved.reason, attempt=job.attempt, why=why)
    return moved


def _note(app: App, job: Job, to: JobStatus, changes: dict[str, Any]) -> Job:
    """Note fal's answer about a job, which may have moved while we waited for it.

    fal's delivery can be faster than our note, and then there is nothing to add. A lease that ran out meanwhile has
    made the job unconfirmed, and what it waits for is now known.
    """
    try:
        return app.jobs.move(job, to, **changes)
    except StatusConflictError as conflict:
        found = conflict.job or job
    if found.status is JobStatus.UNCONFIRMED and found.attempt == job.attempt and to in MOVES[found.status]:
        try:
            return app.jobs.move(found, to, **changes)
        except StatusConflictError as conflict:
            return conflict.job or found
    return found


def _post(app: App, job: Job, time_left: TimeLeft) -> tuple[JobStatus, dict[str, Any]]:
    try:
        submit_to_fal = _prepare(app, job)
    except UploadRejectedError as error:
        return JobStatus.FAILED, {"error": _error(error.kind, error)}
    except (AwsUnavailableError, SettingsError) as error:
        return _retry(app, job, OURS[type(error)], error)
    except Exception:  # noqa: BLE001 - nothing was sent, and the job must not seem to be at fal
        logger.exception("attempt not prepared", job_id=job.job_id)
        return _retry(app, job, Reason.LOOK_FAILED, DarkroomError("it could not be prepared; the log says why"))
    if time_left() < POST_SECONDS:
        # A function that ends in the middle of a POST would leave the job in doubt.
        return _retry(app, job, Reason.RETRY, NotAcceptedError("there was no time left to send it"))
    return _post_prepared(app, job, submit_to_fal, time_left)


def _post_prepared(
    app: App, job: Job, submit_to_fal: Callable[[], Request], time_left: TimeLeft
) -> tuple[JobStatus, dict[str, Any]]:
    try:
        request = _try(app, job, submit_to_fal, time_left)
    except (AwsUnavailableError, SettingsError) as error:
        return _retry(app, job, OURS[type(error)], error)
    except ProviderLockedError as error:
        return _park(app, job, error)
    except RefusedError as error:
        app.breaker.note_answered()
        return JobStatus.FAILED, {"error": _error(Reason.REFUSED_BY_FAL, error)}
    except PausedError as error:
        return JobStatus.ACCEPTED, _parked(job, Reason.PAUSED, error)
    except ThrottledError as error:
        return _retry(app, job, Reason.THROTTLED, error)
    except NotAcceptedError as error:
        app.breaker.note_failed(job.owner, str(error))
        return _retry(app, job, Reason.RETRY, error)
    except ReplyLostError as error:
        app.breaker.note_failed(job.owner, str(error))
        # Without a request nobody can be asked, only waited for.
        doubt = {"reason": Reason.REPLY_LOST, "check_at": give_up_at(job)}
        return JobStatus.UNCONFIRMED, doubt | {"error": _error(Reason.REPLY_LOST, error)}
    app.breaker.note_accepted(job.owner)
    look = {"check_at": unix_seconds(app.now()) + app.settings.poll_seconds}
    return JobStatus.QUEUED, look | {"request": request.model_dump(exclude_none=True), "error": None}


def _retry(app: App, job: Job, reason: Reason, error: DarkroomError) -> tuple[JobStatus, dict[str, Any]]:
    wait = waiting.backoff(job.job_id, job.attempt - 1, first=RETRY_SECONDS, most=MOST_RETRY_SECONDS)
    if retry_after := getattr(error, "retry_after", None):
        # Nothing is tried before the time that fal names, and little is gained by waiting longer.
        wait = ceil(retry_after)
    again = {"reason": reason, "check_at": unix_seconds(app.now()) + int(wait)}
    kind = Reason.NOT_ACCEPTED if reason is Reason.RETRY else reason
    return JobStatus.ACCEPTED, again | {"error": _error(kind, error)}


def _park(app: App, job: Job, error: ProviderLockedError) -> tuple[JobStatus, dict[str, Any]]:
    # Who is refused again and again, each time while others are accepted, is no victim of a lock.
    whose = EVERYBODY if error.is_about_key else job.owner
    strikes = job.strikes + app.breaker.note_refused(whose, str(error))
    if strikes >= MOST_STRIKES:
        return JobStatus.FAILED, {"error": _error(Reason.REFUSED_BY_FAL, error)}
    return JobStatus.ACCEPTED, _parked(job, Reason.PROVIDER_LOCKED, error) | {"strikes": strikes}


def _parked(job: Job, reason: Reason, error: DarkroomError) -> dict[str, Any]:
    until = unix_seconds(job.created_at) + waiting.ACCEPTANCE
    return {"reason": reason, "check_at": until, "error": _error(reason, error)}


def _prepare(app: App, job: Job) -> Callable[[], Request]:
    """All that an attempt needs before anything is sent."""
    if job.upload and app.images.check_input(job.input_ref(job.arguments.image_references()[0])):
        # An output that starts a job is a loop, and every turn of it would be paid.
        raise UploadRejectedError(Reason.OWN_OUTPUT, "the object is an output of this service")
    arguments = job.arguments.with_images([fal_url(app, job, ref) for ref in job.arguments.image_references()])
    webhook_url = Target(job.job_id, job.attempt).url(app.credentials.webhook())
    app.credentials.fal_key()
    return lambda: app.fal.submit(job.endpoint, arguments, webhook_url)


def _try(app: App, job: Job, submit_to_fal: Callable[[], Request], time_left: TimeLeft) -> Request:
    """Submit, and again after a pause where that provably did not reach fal's queue and there is time."""
    tries = 0
    while True:
        try:
            with app.throttle.turn(time_left() - POST_SECONDS):
                app.breaker.check_pause()  # the turn may have come long after the last look
                return _submit_in_turn(app, submit_to_fal)
        except (PausedError, ProviderLockedError):
            raise
        except NotAcceptedError as error:
            tries += 1
            pause = waiting.backoff(job.job_id, tries, first=PAUSE_SECONDS, most=POST_SECONDS)
            if isinstance(error, ThrottledError):
                # The next turn begins with this pause.
                pause = app.throttle.wait
            has_time = time_left() >= pause + POST_SECONDS
            if tries == MOST_TRIES or not has_time or app.breaker.why_waiting(job.owner):
                raise
            if not isinstance(error, ThrottledError):
                app.sleep(pause)


def _submit_in_turn(app: App, submit_to_fal: Callable[[], Request]) -> Request:
    try:
        request = submit_to_fal()
    except ThrottledError as error:
        app.throttle.note_refused(error.retry_after)
        raise ThrottledError(str(error), app.throttle.wait) from error
    except ReplyLostError as error:
        if error.retry_after:
            app.throttle.note_refused(error.retry_after)
        raise
    app.throttle.note_accepted()
    return request


def _error(kind: str, error: Exception) -> dict[str, str]:
    return JobError(type=kind, message=str(error)).model_dump()


def fal_url(app: App, job: Job, reference: str) -> str:
    """The URL under which fal reads an input: https as it is, an object of ours by a presigned link."""
    return app.images.input_link(job.input_ref(reference)) if is_object(reference) else reference
