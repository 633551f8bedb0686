"""Mistakes with what owners see, what fal is asked, and which picture is which.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.completion
import shared.posting
import shared.reading
import shared.storing
from shared.fal import FalClient
from shared.job_indexes import JobIndexes
from shared.jobs import JobStatus
from tests.simulation.planting import around, bug


@bug
def job_is_shown_to_whoever_knows_its_id(patch: MonkeyPatch) -> None:
    """An id is long, so it seems to be secret enough."""
    around(patch, shared.reading, "read_job", lambda _, app, __, job_id: shared.reading.view(app, app.jobs.get(job_id)))
    patch.setattr("functions.jobs.read_job", shared.reading.read_job)


@bug
def list_forgets_the_last_of_a_page(patch: MonkeyPatch) -> None:
    """The cursor leads to one job too far."""

    def list_owned(really: Any, *arguments: Any) -> Any:
        jobs, following = really(*arguments)
        return (jobs[:-1] if following else jobs), following

    around(patch, JobIndexes, "list_owned", list_owned)


@bug
def key_is_not_its_owner_s_own(patch: MonkeyPatch) -> None:
    """Two owners who call their orders alike are given one job."""
    around(patch, shared.posting, "_job_id", lambda really, app, _, key: really(app, "everybody", key))


@bug
def one_picture_is_enough(patch: MonkeyPatch) -> None:
    """Of several pictures the first is stored, and the job has succeeded."""

    def store(really: Any, app: Any, result: Any, job: Any) -> Any:
        return really(app, result.model_copy(update={"images": result.images[:1]}), job)

    around(patch, shared.completion, "store", store)


@bug
def pictures_change_places(patch: MonkeyPatch) -> None:
    """Outputs are numbered from the last."""

    def store(really: Any, app: Any, result: Any, job: Any) -> Any:
        return really(app, result.model_copy(update={"images": result.images[::-1]}), job)

    around(patch, shared.completion, "store", store)


@bug
def every_request_is_for_one_picture(patch: MonkeyPatch) -> None:
    """The number of pictures is left to fal."""

    def submit(really: Any, self: FalClient, endpoint: Any, arguments: Any, url: str) -> Any:
        return really(self, endpoint, {k: v for k, v in arguments.items() if k != "num_images"}, url)

    around(patch, FalClient, "submit", submit)


@bug
def late_picture_is_left(patch: MonkeyPatch) -> None:
    """A job of which fal has once said that it failed stays failed, whatever the queue shows."""

    def conclude(really: Any, app: Any, job: Any, *more: Any) -> Any:
        to, changes = really(app, job, *more)
        if to is JobStatus.SUCCEEDED and job.error:
            return JobStatus.FAILED, {"error": job.error.model_dump()}
        return to, changes

    around(patch, shared.completion, "_conclude", conclude)
