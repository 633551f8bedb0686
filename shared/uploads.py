"""Uploads: each preset that applies to an upload makes one job of it."""

from shared.app import App
from shared.errors import UploadSkippedError
from shared.jobs import Job, Upload
from shared.submission import Submission, TimeLeft, submit


def submit_upload(app: App, upload: Upload, time_left: TimeLeft) -> list[Job]:
    """Make the jobs of one upload; the same upload again makes none and costs one write each.

    Raises:
        UploadSkippedError: nothing is to be done about this object.
    """
    if upload.bucket != app.settings.inputs_bucket:
        raise UploadSkippedError("not in the inputs bucket")
    if app.settings.is_outputs_place(upload.bucket, upload.key):
        raise UploadSkippedError("among the outputs")
    if upload.key.endswith("/"):
        raise UploadSkippedError("a folder")
    presets = [preset for preset in app.presets.values() if preset.applies_to(upload)]
    if not presets:
        raise UploadSkippedError("no preset applies")
    jobs = []
    for preset in presets:
        endpoint, arguments = preset.arguments_for(upload)
        job_id = upload.job_id(preset.name)
        submission = Submission(
            job_id=job_id,
            owner=app.settings.upload_owner,
            endpoint=endpoint,
            arguments=arguments,
            preset=preset.name,
            upload=upload,
            path=_without_extension(upload.key),
            output_key=preset.output_key,
            on_unknown=preset.on_unknown,
            fingerprint=job_id,
        )
        jobs.append(submit(app, submission, time_left))
    return jobs


def _without_extension(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)
