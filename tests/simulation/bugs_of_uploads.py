"""Mistakes with what comes from elsewhere: versions of uploads, other accounts, hosts, and pictures that are lost.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

import json
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.adoption
import shared.completion
import shared.job_table
import shared.storing
import shared.uploads
from shared.errors import OutputNotAllowedError
from shared.images import Images
from shared.job_table import JobTable
from shared.jobs import Job, Upload
from shared.reasons import Reason
from tests.simulation.planting import COPIES, around, bug
from tests.simulation.processes import module_copy


@bug
def link_names_no_version(patch: MonkeyPatch) -> None:
    """fal reads whatever stands under the key when it begins."""

    def link(really: Any, self: Images, ref: Any) -> Any:
        return really(self, ref.model_copy(update={"version_id": None}))

    around(patch, Images, "input_link", link)


@bug
def versions_of_a_key_are_one_upload(patch: MonkeyPatch) -> None:
    """What is put again under a key seems to be the same upload, and is never edited."""

    def job_id(really: Any, self: Upload, *others: Any) -> Any:
        return really(self.model_copy(update={"version": "any"}), *others)

    around(patch, Upload, "job_id", job_id)


@bug
def overwritten_object_is_edited(patch: MonkeyPatch) -> None:
    """In a bucket without versions the newer bytes are paid for twice."""

    def check(really: Any, self: Images, ref: Any) -> Any:
        return really(self, ref.model_copy(update={"etag": None}))

    around(patch, Images, "check_input", check)


@bug
def empty_upload_makes_a_job(patch: MonkeyPatch) -> None:
    """Each photo that a tool writes in two steps leaves a failed job beside its own."""

    def choose(really: Any, app: Any, upload: Upload) -> Any:
        return really(app, upload.model_copy(update={"size": None}))

    around(patch, shared.uploads, "_choose_presets", choose)


@bug
def older_event_is_dropped(patch: MonkeyPatch) -> None:
    """Once a newer version of a key is known, the event of an older one seems to be of no use."""

    def submit(really: Any, app: Any, upload: Upload, time_left: Any) -> Any:
        newest = vars(app).setdefault("newest", {})
        if upload.version < newest.setdefault(upload.key, upload.version):
            return []
        newest[upload.key] = upload.version
        return really(app, upload, time_left)

    for number in range(COPIES):
        around(patch, module_copy("submit", number), "submit_upload", submit)


@bug
def every_signed_delivery_is_believed(patch: MonkeyPatch) -> None:
    """fal signs for all of its customers, and one of them knows a URL of ours."""
    around(patch, shared.completion, "check_account", lambda *_: None)


@bug
def adoption_is_not_asked_after(patch: MonkeyPatch) -> None:
    """The first delivery that comes says which account is ours."""
    around(patch, shared.adoption, "is_of_ours", lambda *_: True)


@bug
def more_images_than_asked_for_are_stored(patch: MonkeyPatch) -> None:
    """Whatever a result names is put into the bucket."""
    patch.setattr(Job, "images_asked_for", property(lambda _: 1000))


@bug
def host_that_is_not_allowed_ends_the_job(patch: MonkeyPatch) -> None:
    """fal moves its files, and every paid picture is given up before anybody hears of it."""

    def judge(really: Any, error: Any, job: Job) -> Any:
        verdict = really(error, job)
        return verdict._replace(reason=Reason.OUTPUT_REFUSED) if isinstance(error, OutputNotAllowedError) else verdict

    around(patch, shared.storing, "_judge", judge)


@bug
def lost_picture_is_not_counted(patch: MonkeyPatch) -> None:
    """A paid picture is given up, and no alarm rings."""
    patch.setattr(shared.job_table, "PAID_AND_LOST", frozenset())


@bug
def row_is_full_before_it_is_paid(patch: MonkeyPatch) -> None:
    """Text in ASCII takes six bytes for some characters, and a row that just fits is paid and never written again."""

    def create(really: Any, self: JobTable, job: Job) -> Any:
        return really(self, job.model_copy(update={"arguments_json": json.dumps(json.loads(job.arguments_json))}))

    around(patch, JobTable, "create", create)
    patch.setattr(shared.job_table, "ROOM_BYTES", 0)


@bug
def odd_result_is_kept_whole(patch: MonkeyPatch) -> None:
    """What could not be read is kept however large it is, and the row cannot say that the job failed."""
    patch.setattr(shared.storing, "MAX_RESULT_BYTES", 10**7)
