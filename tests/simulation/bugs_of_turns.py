"""Mistakes that show where two functions run at once, where reads are late, and where a table is busy.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from collections.abc import Iterator
from typing import Any

import httpx
from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.fal
import shared.sending
from shared.errors import AwsUnavailableError, NotAcceptedError, StatusConflictError
from shared.fal import FalClient
from shared.job_indexes import JobIndexes
from shared.job_table import JobTable, job_of_row
from shared.jobs import MOVES, JobStatus
from tests.simulation.planting import around, bug


@bug
def late_note_is_written_over_the_truth(patch: MonkeyPatch) -> None:
    """Who was slow to note what fal had answered writes it over what has become known meanwhile."""

    def note(_: Any, app: Any, job: Any, to: JobStatus, changes: Any) -> Any:
        try:
            return app.jobs.move(job, to, **changes)
        except StatusConflictError as conflict:
            found = conflict.job
            if found is None or found.status.is_settled:
                return found or job
            return app.jobs._update(found, {"status": to.value, **changes})  # noqa: SLF001 - the bug is that it is forced

    around(patch, shared.sending, "_note", note)


@bug
def decision_rests_on_a_late_read(patch: MonkeyPatch) -> None:
    """A read that is not consistent costs half, and shows what was."""

    def get(self: JobTable, job_id: str) -> Any:
        answer = self._client.get_item(TableName=self._table, Key={"job_id": {"S": job_id}})
        return job_of_row(answer["Item"]) if "Item" in answer else None

    patch.setattr(JobTable, "get", get)


@bug
def keys_that_are_handed_back_are_left(patch: MonkeyPatch) -> None:
    """What a busy table gives back unread seems not to be there."""

    def get_many(really: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        try:
            yield from really(*arguments, **more)
        except AwsUnavailableError:
            return

    patch.setattr("shared.job_indexes.MOST_READS", 1)
    around(patch, JobIndexes, "_get_many", get_many)


@bug
def storing_begins_anew(patch: MonkeyPatch) -> None:
    """A job whose pictures cannot be stored yet goes back to where it was, and the table of moves is made to fit."""
    patch.setitem(MOVES, JobStatus.STORING, MOVES[JobStatus.STORING] | {JobStatus.QUEUED})

    def postpone(really: Any, self: JobTable, job: Any, check_at: int, **changes: Any) -> Any:
        if job.status is JobStatus.STORING:
            return self.move(job, JobStatus.QUEUED, check_at=check_at)
        return really(self, job, check_at, **changes)

    around(patch, JobTable, "postpone", postpone)


@bug
def cancel_is_taken_for_granted(patch: MonkeyPatch) -> None:
    """Whatever fal answers, the request seems to be cancelled."""
    around(patch, FalClient, "cancel", lambda really, *arguments: really(*arguments) or True)


@bug
def late_request_runs_on(patch: MonkeyPatch) -> None:
    """The job of a request that takes too long fails, and fal is not told."""
    patch.setattr(FalClient, "cancel", lambda *_: True)


@bug
def write_that_failed_seems_unsent(patch: MonkeyPatch) -> None:
    """An error of writing is taken for one of connecting."""
    patch.setattr("shared.fal.NEVER_SENT", (*shared.fal.NEVER_SENT, httpx.WriteError, httpx.WriteTimeout))


@bug
def every_503_in_json_is_fal_s_own(patch: MonkeyPatch) -> None:
    """A gateway that speaks JSON is taken for fal."""

    def read(really: Any, self: FalClient, response: Any) -> Any:
        if response.status_code == 503 and response.headers.get("content-type") == "application/json":
            raise NotAcceptedError("unavailable")
        return really(self, response)

    around(patch, FalClient, "_read_submitted", read)


@bug
def timeout_of_a_gateway_is_a_refusal(patch: MonkeyPatch) -> None:
    """A 408 seems to be the caller's fault, as the other 4xx are."""
    patch.setattr("shared.fal.CUT_OFF", frozenset())


@bug
def lost_webhook_is_missed_for_an_hour(patch: MonkeyPatch) -> None:
    """fal is asked so seldom that a picture comes long after it was made."""

    def move(really: Any, self: JobTable, job: Any, to: JobStatus, **changes: Any) -> Any:
        if to is JobStatus.QUEUED and "check_at" in changes:
            changes["check_at"] += 3600
        return really(self, job, to, **changes)

    around(patch, JobTable, "move", move)
