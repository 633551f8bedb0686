"""Uploads: each preset that applies to an upload makes one job of it."""

import re
from collections.abc import Collection

from shared.app import App
from shared.errors import UploadSkippedError, UploadUnmatchedError
from shared.jobs import Job, JobStatus, Upload
from shared.observability import logger
from shared.presets import Preset
from shared.sending import TimeLeft
from shared.submission import Submission, submit

JUNK = re.compile(
    r"(.*/)?(\._[^/]*|\.ds_store|\.localized|icon\r|thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|\.keep|\.gitkeep)"
    r"|(.*/)?(__macosx|\.spotlight-v100|\.trashes|\.fseventsd|@eadir|\$recycle\.bin)/.*"
    r"|.*_\$folder\$",
    re.IGNORECASE | re.DOTALL,
)
"""Keys of what no user meant to upload: what macOS, Windows, Synology, git and Hadoop leave beside files."""
MOST_LIVES = 8
"""The failed jobs of the same bytes under one key that are looked through where `same_bytes` is `skip`."""


def submit_upload(app: App, upload: Upload, time_left: TimeLeft) -> list[Job]:
    """Make the jobs of one upload; the same upload again makes none and costs one write each.

    Raises:
        UploadSkippedError: nothing is to be done about this object.
        ExceptionGroup: some of its jobs could not be made now; the others were.
    """
    presets = _choose_presets(app, upload)
    jobs: list[Job] = []
    failures: list[Exception] = []
    for preset in presets:
        try:
            jobs.append(_submit_with(app, upload, preset, time_left))
        except Exception as error:  # noqa: BLE001 - one preset's trouble must not cost the other's job; it is raised below
            failures.append(error)
    if failures:
        raise ExceptionGroup("jobs of an upload were not made", failures)
    return jobs


def _choose_presets(app: App, upload: Upload) -> list[Preset]:
    if upload.bucket != app.settings.inputs_bucket:
        raise UploadSkippedError("not in the inputs bucket")
    if app.settings.is_outputs_place(upload.bucket, upload.key):
        raise UploadSkippedError("among the outputs")
    chosen = choose_presets(app.presets.values(), upload)
    if upload.size == 0:
        raise UploadSkippedError("empty")
    return chosen


def choose_presets(presets: Collection[Preset], upload: Upload) -> list[Preset]:
    """Those of the presets that an upload starts, which is at least one.

    Raises:
        UploadSkippedError: it starts none; says why.
    """
    if upload.key.endswith("/"):
        raise UploadSkippedError("a folder")
    if JUNK.fullmatch(upload.key):
        raise UploadSkippedError("a file that a system leaves beside others")
    if chosen := [preset for preset in presets if preset.applies_to(upload)]:
        return chosen
    if any(preset.excludes(upload) for preset in presets):
        raise UploadSkippedError("excluded by its preset")
    raise UploadUnmatchedError("no preset applies")


def _submit_with(app: App, upload: Upload, preset: Preset, time_left: TimeLeft) -> Job:
    if preset.same_bytes == "skip" and upload.etag:
        # The ETag is the identity, so the same bytes find the job that they have. One that failed is followed by
        # another: whoever uploads the photo once more wants it edited.
        for life in range(MOST_LIVES):
            job_id = upload.job_id(preset.name, of=f"{upload.etag}/{life}")
            job = submit(app, _make_submission(app, upload, preset, job_id), time_left)
            is_of_this_upload = job.upload is not None and job.upload.version == upload.version
            if is_of_this_upload or job.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
                if not is_of_this_upload:
                    logger.info("upload has the bytes of an earlier one", key=upload.key, job_id=job.job_id)
                return job
    return submit(app, _make_submission(app, upload, preset, upload.job_id(preset.name)), time_left)


def _make_submission(app: App, upload: Upload, preset: Preset, job_id: str) -> Submission:
    endpoint, arguments = preset.arguments_for(upload)
    return Submission(
        job_id=job_id,
        owner=app.settings.upload_owner,
        endpoint=endpoint,
        arguments=arguments,
        preset=preset.name,
        upload=upload,
        path=without_extension(upload.key),
        output_key=preset.output_key,
        on_unknown=preset.on_unknown,
        fingerprint=job_id,
    )


def without_extension(key: str) -> str:
    """The part of an upload's key that its outputs' keys take over."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)
