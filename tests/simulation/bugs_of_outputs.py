"""Mistakes with pictures, messages and the log.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.advancing
import shared.completion
import shared.job_table
import shared.posting
import shared.recovery
import shared.sending
import shared.submission
from shared.fal import FalClient
from shared.images import Images
from shared.job_table import JobTable
from shared.jobs import JobStatus
from shared.observability import logger
from tests.simulation.planting import COPIES, around, bug
from tests.simulation.processes import module_copy


@bug
def job_is_settled_before_its_outputs_are_stored(patch: MonkeyPatch) -> None:
    """First succeeded, then the pictures: a crash between leaves a job without them."""
    late: list[Any] = []

    def move(really: Any, *arguments: Any, **more: Any) -> Any:
        moved = really(*arguments, **more)
        while late:
            late.pop()()
        return moved

    def store(_: Any, self: Images, output: Any, file: Any, job_id: str) -> None:
        content = file.read()
        late.append(
            lambda: self._s3.put_object(
                Bucket=self._outputs_bucket,
                Key=output.key,
                Body=content,
                ContentType=output.content_type,
                Metadata={"darkroom-job": job_id},
            )
        )

    around(patch, Images, "store", store)
    around(patch, JobTable, "move", move)


@bug
def only_the_first_output_is_stored(patch: MonkeyPatch) -> None:
    """The second of two pictures is in the row, and not in the bucket."""

    def store(really: Any, self: Images, output: Any, *others: Any) -> None:
        if output.index != 1:
            really(self, output, *others)

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

    for module in (shared.sending, shared.advancing):
        around(patch, module, "give_up_at", give_up_at)


@bug
def host_s_error_fails_the_job(patch: MonkeyPatch) -> None:
    """A 500 on a result is taken for the request's own."""
    around(patch, FalClient, "result", lambda really, self, request, **_: really(self, request, failed=True))


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
    for number in range(COPIES):
        around(patch, module_copy("submit", number), "submit_upload", _swallow)


def _swallow(really: Any, *arguments: Any) -> Any:
    try:
        return really(*arguments)
    except Exception:  # noqa: BLE001 - this is the bug
        return []
