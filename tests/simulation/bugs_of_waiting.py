"""Mistakes with waiting: times that fal names, pauses, locks, refusals, and what fal never began.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from types import SimpleNamespace
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.advancing
import shared.breaker
import shared.completion
import shared.fal
import shared.recovery
import shared.sending
import shared.submission
from shared.breaker import ROW, Breaker
from shared.completion import NOT_STARTED
from shared.errors import ModelFailedError, NotAcceptedError, RefusedError, UnreadableError
from shared.fal import FalClient
from shared.fal_words import read_error
from shared.jobs import JobStatus
from shared.locks import EVERYBODY
from shared.reasons import Reason
from tests.simulation.planting import around, bug


@bug
def what_never_started_counts(patch: MonkeyPatch) -> None:
    """A long queue uses up the attempts that are meant for inputs that cannot be read."""

    def end(really: Any, app: Any, job: Any, error: Any) -> Any:
        if error.type in NOT_STARTED and job.attempt > shared.completion.MOST_RESUBMITS:
            return JobStatus.FAILED, {"error": error.model_dump()}
        return really(app, job, error)

    around(patch, shared.completion, "_end", end)


@bug
def startup_timeout_fails_the_job(patch: MonkeyPatch) -> None:
    """One of fal's words for what no runner began is not known."""
    patch.setattr(shared.completion, "NOT_STARTED", NOT_STARTED - {"startup_timeout"})


@bug
def retry_after_is_ignored(patch: MonkeyPatch) -> None:
    """A wait of our own takes the place of the one that fal asks for."""
    around(patch, shared.fal, "read_retry_after", lambda *_: None)


@bug
def retry_after_is_read_as_a_number_only(patch: MonkeyPatch) -> None:
    """The other form of the header says nothing to us."""

    def read(really: Any, headers: Any, now: Any) -> Any:
        return really(headers, now) if headers.get("retry-after", "").isdigit() else None

    around(patch, shared.fal, "read_retry_after", read)


@bug
def throttle_is_taken_for_an_outage(patch: MonkeyPatch) -> None:
    """Many refusals in a row seem to say that fal is down."""

    def retry(really: Any, app: Any, job: Any, reason: Any, error: Any) -> Any:
        if reason is Reason.THROTTLED:
            app.breaker.note_failed(job.owner, str(error))
        return really(app, job, reason, error)

    around(patch, shared.sending, "_retry", retry)


@bug
def pause_is_read_once(patch: MonkeyPatch) -> None:
    """A container that knows of no pause goes on sending as long as it lives."""
    patch.setattr(shared.breaker, "KNOWN_SECONDS", 10**9)


@bug
def pause_that_cannot_be_read_is_none(patch: MonkeyPatch) -> None:
    """A table that does not answer seems to say that all is as it was."""
    patch.setattr(Breaker, "_is_old", lambda _: False)


@bug
def pause_does_not_hold_what_is_sent_again(patch: MonkeyPatch) -> None:
    """It is looked at for new jobs, and not for those that had an attempt before."""

    def again(really: Any, app: Any, job: Any, time_left: Any, **more: Any) -> Any:
        state = app.breaker.state
        with MonkeyPatch.context() as blind:
            blind.setattr(app.breaker, "state", lambda: state().model_copy(update={"paused_at": None}))
            return really(app, job, time_left, **more)

    for module in (shared.submission, shared.recovery, shared.advancing):
        around(patch, module, "attempt_again", again)


@bug
def paused_jobs_wait_for_ever(patch: MonkeyPatch) -> None:
    """After `resume` only what a lock had parked is sent."""
    patch.setattr(shared.recovery, "PARKING", frozenset({Reason.PROVIDER_LOCKED}))


@bug
def lock_lifts_the_pause(patch: MonkeyPatch) -> None:
    """Who writes of a lock writes the whole row, and the operator's word is gone."""

    def write(really: Any, self: Breaker, *others: Any) -> Any:
        written = really(self, *others)
        self._client.update_item(TableName=self._table, Key={"job_id": {"S": ROW}}, UpdateExpression="REMOVE paused_at")
        return written

    around(patch, Breaker, "_write", write)


@bug
def every_403_is_about_the_account(patch: MonkeyPatch) -> None:
    """A request that fal will never take waits for days, as if the account were locked."""
    around(patch, shared.fal, "is_about_account", lambda *_: True)


@bug
def one_owner_s_refusal_locks_everybody(patch: MonkeyPatch) -> None:
    """Blocked content is answered in the words of a locked account, and all wait for it."""
    patch.setattr(Breaker, "_whose_lock", staticmethod(lambda *_: EVERYBODY))


@bug
def one_owner_s_failures_lock_everybody(patch: MonkeyPatch) -> None:
    """Ten in a row seem to be an outage, whoever's they are."""
    around(patch, Breaker, "note_failed", lambda really, self, _, why: really(self, EVERYBODY, why))


@bug
def refused_request_is_tried_again(patch: MonkeyPatch) -> None:
    """fal's no to a request seems to be one that passes."""

    def read(really: Any, *arguments: Any) -> Any:
        try:
            return really(*arguments)
        except RefusedError as error:
            raise NotAcceptedError(str(error)) from error

    around(patch, FalClient, "_read_submitted", read)


@bug
def only_one_parked_job_probes(patch: MonkeyPatch) -> None:
    """The first of an owner's, which may be one that would be refused for what it asks for."""
    patch.setattr(shared.recovery, "zlib", SimpleNamespace(crc32=lambda _: 0))


@bug
def only_the_first_owner_probes(patch: MonkeyPatch) -> None:
    """If that one is refused for what it asks for, nobody finds out that the account is open."""
    around(patch, shared.recovery, "_next_in_turn", lambda _, parked, __: min(parked, default=""))


@bug
def untyped_failure_is_asked_after_on_and_on(patch: MonkeyPatch) -> None:
    """A failure without a type seems to be an answer that may yet get better."""

    def result(really: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return really(*arguments, **more)
        except ModelFailedError as error:
            raise UnreadableError(str(error)) from error

    around(patch, FalClient, "result", result)
    patch.setattr(shared.completion, "MOST_UNFIT", 10**6)


@bug
def delivery_without_a_reason_is_the_last_word(patch: MonkeyPatch) -> None:
    """The queue would say that fal never began, and that nothing was paid."""

    def read(_: Any, app: Any, delivery: Any, job: Any, __: Any) -> Any:
        return shared.completion._end(app, job, read_error(delivery.payload))  # noqa: SLF001 - what the bug leaves of it

    around(patch, shared.completion, "_read_failure", read)
