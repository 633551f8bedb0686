"""Mistakes with the rows of jobs, and with who looks at them.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.advancing
import shared.completion
import shared.job_table
import shared.posting
import shared.recovery
import shared.submission
from shared.job_indexes import JobIndexes
from shared.job_table import JobTable
from shared.jobs import JobStatus
from tests.simulation.planting import COPIES, around, bug
from tests.simulation.processes import module_copy


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

    for number in range(COPIES):
        around(patch, module_copy("callback", number), "complete", complete)


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
    patch.setattr(JobIndexes, "list_parked", lambda *_: {})
    around(
        patch,
        JobIndexes,
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
    patch.setattr(shared.advancing, "_ask", lambda app, job: app.jobs.postpone(job, job.check_at + 3600))
