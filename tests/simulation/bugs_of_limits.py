"""Mistakes with rows near the limit, and with results whose pictures cannot be fetched.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

import json
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.job_table
import shared.posting
import shared.storing
from shared.errors import RowTooLargeError
from shared.job_table import JobTable
from shared.jobs import Job, JobStatus
from tests.simulation.planting import around, bug


@bug
def text_is_kept_in_ascii(patch: MonkeyPatch) -> None:
    """Some characters take six times their room, and a body within its limit is refused."""

    def create(really: Any, self: JobTable, job: Job) -> Any:
        return really(self, job.model_copy(update={"arguments_json": json.dumps(json.loads(job.arguments_json))}))

    around(patch, JobTable, "create", create)


@bug
def large_bodies_are_taken(patch: MonkeyPatch) -> None:
    """Whatever fits into a row today is taken, and what is promised has no meaning."""
    patch.setattr(shared.posting, "MAX_BODY_BYTES", 10**7)


@bug
def row_s_size_is_not_checked(patch: MonkeyPatch) -> None:
    """A row that is too large is found out by DynamoDB: a fault of ours, again and again, in place of a 422."""

    def create(really: Any, self: JobTable, job: Job) -> Any:
        # As in the bug of ASCII, without which no body makes so large a row.
        return really(self, job.model_copy(update={"arguments_json": json.dumps(json.loads(job.arguments_json))}))

    around(patch, JobTable, "create", create)
    patch.setattr(shared.job_table, "row_bytes", lambda _: 0)


@bug
def full_row_is_ended_with_all_that_is_in_it(patch: MonkeyPatch) -> None:
    """The end of a job needs room that its row does not have, and nothing makes any."""

    def give_up(_: Any, self: JobTable, *arguments: Any) -> None:
        try:
            self._give_up(*arguments)
        except RowTooLargeError:
            return

    around(patch, JobTable, "give_up", give_up)


@bug
def result_stays_with_a_job_that_succeeded(patch: MonkeyPatch) -> None:
    """Each row keeps for ninety days what was needed for seconds."""

    def entering(really: Any, self: JobTable, job: Job, to: JobStatus, *others: Any) -> Any:
        changes = really(self, job, to, *others)
        changes.pop("result_json", None)
        return changes

    around(patch, JobTable, "_entering", entering)


@bug
def host_that_is_not_allowed_rings_nothing(patch: MonkeyPatch) -> None:
    """The day in which the host could be allowed passes without anybody's knowing."""
    patch.setattr(shared.storing, "count", lambda *_: None)


@bug
def urls_of_lost_pictures_are_dropped(patch: MonkeyPatch) -> None:
    """Paid pictures are given up, and nobody can fetch them by hand."""

    def move(really: Any, self: JobTable, job: Job, to: JobStatus, **changes: Any) -> Any:
        return really(self, job, to, **(changes | ({"result_json": None} if to is JobStatus.FAILED else {})))

    around(patch, JobTable, "move", move)


@bug
def one_lost_picture_costs_the_others(patch: MonkeyPatch) -> None:
    """The pictures that could be had wait for one that never comes, and are given up with it."""
    patch.setattr(shared.storing, "PATIENCE", 10**9)


@bug
def lost_part_is_not_counted(patch: MonkeyPatch) -> None:
    """A job that has some of its pictures looks like any that succeeded."""

    def count_end(really: Any, to: JobStatus, error: Any, **more: Any) -> None:
        really(to, error if to is JobStatus.FAILED else None, **more)

    around(patch, shared.job_table, "_count_end", count_end)
