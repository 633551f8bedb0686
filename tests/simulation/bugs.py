"""Bugs that may be planted in the code under test, one at a time, to show that the simulation would find them.

Each is a mistake that somebody could make in good faith, and stands for a rule that the code keeps.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import httpx
from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.completion
import shared.job_table
import shared.posting
import shared.recovery
import shared.submission
import shared.webhooks
from shared.errors import InvalidDeliveryError, NotAcceptedError, ReplyLostError, StatusConflictError
from shared.fal import FalClient
from shared.images import Images
from shared.job_table import JobTable
from shared.jobs import JobError, JobStatus, Upload
from shared.observability import logger
from shared.webhooks import Target, Verifier
from tests.simulation.processes import module_copy

Plant = Callable[[MonkeyPatch], None]
BUGS: dict[str, Plant] = {}
DEPTHS = 3
"""How deep functions of a kind run within one another."""


def bug(plant: Plant) -> Plant:
    """Add a bug to the list, under its function's name."""
    BUGS[plant.__name__] = plant
    return plant


def around(patch: MonkeyPatch, place: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Put `wrapper(really, *arguments)` in the place of a function."""
    really = getattr(place, name)

    @wraps(really)
    def call(*arguments: Any, **more: Any) -> Any:
        return wrapper(really, *arguments, **more)

    patch.setattr(place, name, call)


# --- payment ---------------------------------------------------------------------------------------------------------


@bug
def post_is_repeated_when_its_reply_is_lost(patch: MonkeyPatch) -> None:
    """The HTTP client's usual retry, which pays again."""

    def submit(really: Any, *arguments: Any) -> Any:
        try:
            return really(*arguments)
        except ReplyLostError:
            return really(*arguments)

    around(patch, FalClient, "submit", submit)


@bug
def gateway_page_is_taken_for_a_refusal(patch: MonkeyPatch) -> None:
    """A 502 of an ingress seems to say that fal did not take the request."""

    def read(really: Any, self: FalClient, response: httpx.Response) -> Any:
        if response.status_code == 502:
            raise NotAcceptedError("a bad gateway")
        return really(self, response)

    around(patch, FalClient, "_read_submitted", read)


@bug
def unreadable_answer_is_taken_for_a_refusal(patch: MonkeyPatch) -> None:
    """A 200 that cannot be read seems to have failed."""

    def read(really: Any, *arguments: Any) -> Any:
        try:
            return really(*arguments)
        except ReplyLostError as error:
            raise NotAcceptedError("unreadable") from error

    around(patch, FalClient, "_read_submitted", read)


@bug
def row_is_written_after_the_post(patch: MonkeyPatch) -> None:
    """First the request, then its row: a crash between leaves a paid request that nobody knows."""

    def create(really: Any, self: JobTable, job: Any) -> Any:
        return job if job.status is JobStatus.SUBMITTING else really(self, job)

    def move(really: Any, self: JobTable, job: Any, to: JobStatus, **changes: Any) -> Any:
        if job.status is JobStatus.SUBMITTING and self.get(job.job_id) is None:
            JobTable_create(self, job)
        return really(self, job, to, **changes)

    JobTable_create = JobTable.create  # noqa: N806 - the method as it was
    around(patch, JobTable, "create", create)
    around(patch, JobTable, "move", move)


@bug
def existing_row_is_taken_for_our_own(patch: MonkeyPatch) -> None:
    """A conflict at the first write is ignored, so that each copy of an event is sent."""

    def create(really: Any, self: JobTable, job: Any) -> Any:
        try:
            return really(self, job)
        except StatusConflictError as conflict:
            return conflict.job

    around(patch, JobTable, "create", create)


@bug
def expired_lease_is_sent_again(patch: MonkeyPatch) -> None:
    """A function that died while sending is taken for one that did not send."""

    def advance(really: Any, app: Any, job: Any, time_left: Any) -> Any:
        if job.status is JobStatus.SUBMITTING:
            job = app.jobs.move(job, JobStatus.ACCEPTED, reason="retry")
        return really(app, job, time_left)

    around(patch, shared.recovery, "advance", advance)


@bug
def attempt_is_sent_without_a_claim(patch: MonkeyPatch) -> None:
    """Two who find an accepted job both send it."""

    def again(_: Any, app: Any, job: Any, time_left: Any, **__: Any) -> Any:
        claimed = job.model_copy(update={"status": JobStatus.SUBMITTING, "attempt": job.attempt + 1})
        to, changes = shared.submission._post(app, claimed, time_left)  # noqa: SLF001 - the bug leaves out what is around it
        return app.jobs._update(job, {"status": to.value, **changes})  # noqa: SLF001 - the same

    for module in (shared.submission, shared.recovery):
        around(patch, module, "attempt_again", again)


@bug
def upload_s_job_has_a_random_id(patch: MonkeyPatch) -> None:
    """Each copy of an event makes a job of its own."""
    numbers = iter(range(10**9))
    patch.setattr(Upload, "job_id", lambda *_: f"{next(numbers):032x}")


@bug
def idempotency_key_is_ignored(patch: MonkeyPatch) -> None:
    """A call that is repeated makes another job."""
    around(patch, shared.posting, "_job_id", lambda really, app, owner, _: really(app, owner, None))


@bug
def dead_is_declared_too_early(patch: MonkeyPatch) -> None:
    """An attempt whose reply was lost is given up, and sent again, while fal may still work on it."""
    patch.setattr("shared.waiting.ATTEMPT", 600)


@bug
def verdict_on_an_old_attempt_is_taken_for_the_new_one_s(patch: MonkeyPatch) -> None:
    """The attempt in the delivery's URL is not looked at."""

    def is_about(really: Any, delivery: Any, job: Any) -> bool:
        target = Target(delivery.target.job_id, job.attempt)
        return bool(really(delivery.model_copy(update={"target": target}), job.model_copy(update={"request": None})))

    around(patch, shared.completion, "_is_about", is_about)


# --- the table -------------------------------------------------------------------------------------------------------


@bug
def update_has_no_condition(patch: MonkeyPatch) -> None:
    """Whoever writes last is right."""

    def update(really: Any, self: JobTable, job: Any, changes: Any) -> Any:
        now = self.get(job.job_id)
        return really(self, now or job, changes)

    around(patch, JobTable, "_update", update)


@bug
def own_write_is_not_recognised(patch: MonkeyPatch) -> None:
    """A write that the SDK repeated, since its reply was lost, seems to be another's."""

    def own(really: Any, error: Any, _: str) -> Any:
        return really(error, "nobody's")

    around(patch, shared.job_table, "_own_write", own)


@bug
def settled_job_is_settled_again(patch: MonkeyPatch) -> None:
    """The last word wins, and not the first."""

    def complete(really: Any, app: Any, delivery: Any) -> Any:
        job = app.jobs.get(delivery.target.job_id)
        if job and job.status is JobStatus.SUCCEEDED and not delivery.succeeded:
            return app.jobs._update(job, {"status": "failed"})  # noqa: SLF001 - no legal move does that
        return really(app, delivery)

    for depth in range(DEPTHS):
        around(patch, module_copy("callback", depth), "complete", complete)


@bug
def open_job_is_in_no_index(patch: MonkeyPatch) -> None:
    """A job that is queued is not looked at any more."""

    def entering(really: Any, *arguments: Any) -> Any:
        return {name: value for name, value in really(*arguments).items() if name != "check_at"} | {"check_at": None}

    around(patch, JobTable, "_entering", entering)
    around(
        patch,
        JobTable,
        "move",
        lambda really, self, job, to, **changes: really(
            self, job, to, **{k: v for k, v in changes.items() if k != "check_at"}
        ),
    )


@bug
def parked_jobs_are_forgotten(patch: MonkeyPatch) -> None:
    """After a lock nobody sends what waited for its end, nor sees that its time is over."""
    patch.setattr(JobTable, "list_parked", lambda *_: [])
    around(
        patch,
        JobTable,
        "list_due",
        lambda really, self, now, limit, *, parked=False: [] if parked else really(self, now, limit),
    )


@bug
def lease_never_expires(patch: MonkeyPatch) -> None:
    """A job whose function died is on its way for ever."""

    def advance(really: Any, app: Any, job: Any, time_left: Any) -> Any:
        return job if job.status is JobStatus.SUBMITTING else really(app, job, time_left)

    around(patch, shared.recovery, "advance", advance)


@bug
def queued_jobs_are_not_asked_after(patch: MonkeyPatch) -> None:
    """A webhook that never comes leaves its job to its end."""
    patch.setattr(shared.recovery, "_ask", lambda app, job: app.jobs.postpone(job, job.check_at + 3600))


# --- deliveries ------------------------------------------------------------------------------------------------------


@bug
def mac_is_not_checked(patch: MonkeyPatch) -> None:
    """fal's signature alone is trusted, which any of its customers can have."""
    patch.setattr("shared.webhooks.hmac.compare_digest", lambda *_: True)


@bug
def signature_is_not_checked(patch: MonkeyPatch) -> None:
    """Whoever knows a webhook URL speaks for fal."""
    patch.setattr(Verifier, "_check_signature", lambda *_: None)


@bug
def body_is_written_anew_before_it_is_hashed(patch: MonkeyPatch) -> None:
    """The JSON is the same and its bytes are not: true deliveries are refused."""

    def message(really: Any, request_id: str, user_id: str, timestamp: str, body: bytes) -> bytes:
        try:
            body = json.dumps(json.loads(body), separators=(",", ":")).encode()
        except ValueError:
            raise InvalidDeliveryError("not JSON") from None
        return bytes(really(request_id, user_id, timestamp, body))

    around(patch, shared.webhooks, "signed_message", message)


@bug
def delivery_about_no_job_is_answered_200(patch: MonkeyPatch) -> None:
    """fal is told that it arrived, and does not come again."""
    for depth in range(DEPTHS):
        around(patch, module_copy("callback", depth), "complete", _nobody_is_settled)


def _nobody_is_settled(really: Any, app: Any, delivery: Any) -> Any:
    try:
        return really(app, delivery)
    except StatusConflictError as conflict:
        if conflict.job is None:
            return app.jobs.get(delivery.target.job_id) or _Settled()
        raise


class _Settled:
    status = JobStatus.SUCCEEDED


@bug
def only_known_requests_are_adopted(patch: MonkeyPatch) -> None:
    """A delivery for a job whose reply was lost fits no request."""

    def is_about(really: Any, delivery: Any, job: Any) -> bool:
        return job.request is not None and bool(really(delivery, job))

    around(patch, shared.completion, "_is_about", is_about)


@bug
def only_word_of_a_request_is_refused_for_its_age(patch: MonkeyPatch) -> None:
    """fal's later tries are stale, and nobody else knows the request."""
    for depth in range(DEPTHS):
        patch.setattr(module_copy("callback", depth), "is_awaited", lambda *_: False)


@bug
def keys_are_looked_for_too_rarely(patch: MonkeyPatch) -> None:
    """One failed look for fal's keys, with none at hand, shuts all deliveries out for hours."""
    patch.setattr("shared.webhooks.KEYS_FIRST_INTERVAL", 20_000)
    patch.setattr("shared.webhooks.KEYS_FETCH_INTERVAL", 20_000)


@bug
def missing_payload_is_a_failure(patch: MonkeyPatch) -> None:
    """OK without a payload is a success whose result is at the queue."""

    def read(really: Any, app: Any, delivery: Any, job: Any) -> Any:
        if delivery.succeeded and delivery.payload is None:
            return JobStatus.FAILED, {"error": JobError(type="no_payload", message="none").model_dump()}
        return really(app, delivery, job)

    around(patch, shared.completion, "_read", read)


@bug
def error_after_ok_fails_the_job(patch: MonkeyPatch) -> None:
    """While outputs are being stored, a contradiction takes the pictures back."""

    def come_again(really: Any, delivery: Any, job: Any) -> Any:
        if job.status is JobStatus.STORING:
            raise _ContradictedError(job)
        return really(delivery, job)

    def complete(really: Any, app: Any, delivery: Any) -> Any:
        try:
            return really(app, delivery)
        except _ContradictedError as contradicted:
            return app.jobs.move(contradicted.args[0], JobStatus.FAILED)

    around(patch, shared.completion, "_come_again", come_again)
    for depth in range(DEPTHS):
        around(patch, module_copy("callback", depth), "complete", complete)


class _ContradictedError(Exception):
    pass


# --- outputs ---------------------------------------------------------------------------------------------------------


@bug
def job_is_settled_before_its_outputs_are_stored(patch: MonkeyPatch) -> None:
    """First succeeded, then the pictures: a crash between leaves a job without them."""
    late: list[Any] = []

    def move(really: Any, *arguments: Any, **more: Any) -> Any:
        moved = really(*arguments, **more)
        while late:
            late.pop()()
        return moved

    def store(_: Any, self: Images, key: str, file: Any, *others: str) -> None:
        content_type, job_id = others
        content = file.read()
        late.append(
            lambda: self._s3.put_object(
                Bucket=self._outputs_bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                Metadata={"darkroom-job": job_id},
            )
        )

    around(patch, Images, "store", store)
    around(patch, JobTable, "move", move)


@bug
def only_the_first_output_is_stored(patch: MonkeyPatch) -> None:
    """The second of two pictures is in the row, and not in the bucket."""

    def store(really: Any, self: Images, key: str, *others: Any) -> None:
        if not key.rpartition("-")[2].startswith("1."):
            really(self, key, *others)

    around(patch, Images, "store", store)


@bug
def outputs_of_all_jobs_share_their_keys(patch: MonkeyPatch) -> None:
    """The next job's picture takes the place of the last one's."""
    patch.setattr(shared.submission.Submission, "key", lambda _: "output-{index}.{ext}")


@bug
def delivery_is_answered_before_its_pictures_are_safe(patch: MonkeyPatch) -> None:
    """What could not be stored is forgotten, though fal was told that it was taken."""

    def move(really: Any, app: Any, job: Any, to: JobStatus, *others: Any) -> Any:
        return job if to is JobStatus.STORING else really(app, job, to, *others)

    around(patch, shared.completion, "_move", move)


@bug
def request_is_given_up_without_asking(patch: MonkeyPatch) -> None:
    """Whatever time fal could not be asked, the picture is thrown away when it is over."""

    def give_up_at(really: Any, job: Any) -> int:
        return int(really(job.model_copy(update={"request": None})))

    for module in (shared.submission, shared.recovery):
        around(patch, module, "give_up_at", give_up_at)


@bug
def host_s_error_fails_the_job(patch: MonkeyPatch) -> None:
    """A 500 on a result is taken for the request's own."""
    around(patch, FalClient, "result", lambda really, self, request, **_: really(self, request, failed=True))


# --- logs and messages -----------------------------------------------------------------------------------------------


@bug
def prompt_is_logged(patch: MonkeyPatch) -> None:
    """A helpful line shows what was asked for."""

    def submit(really: Any, app: Any, submission: Any, time_left: Any) -> Any:
        logger.info("submitting", arguments=submission.arguments.model_dump())
        return really(app, submission, time_left)

    for module in (shared.posting, shared.submission):
        around(patch, module, "submit", submit)


@bug
def fal_key_is_logged(patch: MonkeyPatch) -> None:
    """A helpful line shows how fal was called."""

    def post(really: Any, self: FalClient, url: str, arguments: Any, key: str) -> Any:
        logger.info("posting", authorization=f"Key {key}")
        return really(self, url, arguments, key)

    around(patch, FalClient, "_post", post)


@bug
def message_is_deleted_although_nothing_was_written(patch: MonkeyPatch) -> None:
    """An error of the table is noted, and the upload with it."""
    for depth in range(DEPTHS):
        around(patch, module_copy("submit", depth), "submit_upload", _swallow)


def _swallow(really: Any, *arguments: Any) -> Any:
    try:
        return really(*arguments)
    except Exception:  # noqa: BLE001 - this is the bug
        return []
