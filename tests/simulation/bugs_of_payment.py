"""Mistakes by which something would be paid twice.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from typing import Any

import httpx
from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.advancing
import shared.completion
import shared.job_table
import shared.posting
import shared.recovery
import shared.sending
import shared.submission
from shared.errors import NotAcceptedError, ReplyLostError, StatusConflictError
from shared.fal import FalClient
from shared.job_table import JobTable
from shared.jobs import JobStatus, Upload
from shared.webhook_urls import Target
from tests.simulation.planting import around, bug


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
        if job.claim:
            return job
        claimed = job.model_copy(update={"status": JobStatus.SUBMITTING, "attempt": job.attempt + 1})
        to, changes = shared.sending._post(app, claimed, time_left)  # noqa: SLF001 - the bug leaves out what is around it
        return app.jobs._update(job, {"status": to.value, **changes})  # noqa: SLF001 - the same

    for module in (shared.submission, shared.recovery, shared.advancing):
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

    around(patch, shared.completion, "is_about", is_about)
