"""References: the images that a posted job names, judged before anything is written or paid."""

import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

from shared.app import App
from shared.endpoints import Arguments
from shared.errors import InvalidSubmissionError, UploadRejectedError
from shared.images import NO_OBJECT
from shared.jobs import ObjectRef
from shared.public_addresses import may_be_public
from shared.reasons import Reason

MAX_REFERENCE = 4096
OUTPUT = re.compile(r"(?P<job_id>[0-9a-f]{32})/(?P<index>[0-9])")
OF_OUTPUTS = "; a key alone is an upload's, and an output is job_id/index or s3://bucket/key"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidSubmissionError({field: message})


def with_full_references(app: App, owner: str, arguments: Arguments) -> Arguments:
    """The arguments with uploads' keys, and outputs of the owner's jobs, written out as s3:// references.

    Raises:
        InvalidSubmissionError: an image is neither https, nor an object in one of the stack's buckets.
        AwsUnavailableError: the table does not answer.
    """
    changes: dict[str, Any] = {}
    if hasattr(arguments, "image_url"):
        changes["image_url"] = _full_reference(app, owner, "image_url", arguments.image_url)
    if hasattr(arguments, "image_urls"):
        references = enumerate(arguments.image_urls)
        changes["image_urls"] = [
            _full_reference(app, owner, f"image_urls.{index}", reference) for index, reference in references
        ]
    return arguments.model_copy(update=changes)


def _full_reference(app: App, owner: str, field: str, reference: str) -> str:
    if len(reference) > MAX_REFERENCE:
        _refuse(field, f"longer than {MAX_REFERENCE} characters")
    if CONTROL.search(reference):
        _refuse(field, "holds a line break or another control character")
    scheme = reference.partition(":")[0].lower()
    if scheme == "https":
        if not _is_public(reference):
            _refuse(field, "not a URL that fal can read: whole, in ASCII, without a password, and of a public host")
        return reference
    inputs, outputs = app.settings.inputs_bucket, app.settings.outputs_bucket
    if scheme == "s3":
        ref = ObjectRef.parse(reference)
        if not ref.key or not (ref.bucket == inputs or app.settings.is_outputs_place(ref.bucket, ref.key)):
            _refuse(field, f"expected s3://<bucket>/<key> in {inputs} or {outputs}/{app.settings.outputs_prefix}")
        return reference
    if scheme in {"http", "data", "ftp", "file"} or "://" in reference:
        _refuse(field, "expected an https URL, an s3:// reference, the key of an upload or an output as job_id/index")
    if named := OUTPUT.fullmatch(reference):
        return _output(app, owner, field, named["job_id"], int(named["index"]))
    return f"s3://{inputs}/{reference}"


def _output(app: App, owner: str, field: str, job_id: str, index: int) -> str:
    job = app.jobs.get(job_id)
    if job is None or job.owner != owner:
        _refuse(field, f"there is no job {job_id}")
    output = next((output for output in job.outputs if output.index == index), None)
    if output is None:
        _refuse(field, f"the job {job_id} is {job.status}, and has no output {index}")
    return f"s3://{app.settings.outputs_bucket}/{output.key}"


def _is_public(url: str) -> bool:
    """Whether fal can read the URL: a whole one, of a host that is not private (fal docs: toolkit)."""
    if not re.fullmatch(r"[!-~]+", url) or "\\" in url or not url.lower().startswith("https://"):
        return False
    try:
        parts = urlsplit(url)
        # Reading the port raises ValueError where it is no number up to 65535.
        is_whole = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    return is_whole and may_be_public(parts.hostname or "")


def check_objects(app: App, owner: str, arguments: Arguments) -> None:
    """Make sure that each object can be edited, and that an output belongs to who asks for it.

    Raises:
        InvalidSubmissionError: names the image.
        AwsUnavailableError: S3 or the table does not answer.
    """
    references = arguments.image_references()
    for index, reference in enumerate(references):
        if reference.startswith("s3://"):
            ref = ObjectRef.parse(reference)
            # Among the outputs may be what this service did not make: the bucket can be an old one.
            is_among_outputs = app.settings.is_outputs_place(ref.bucket, ref.key)
            try:
                maker = app.images.check_input(ref)
                source = app.jobs.get(maker) if maker else None
                if (maker or is_among_outputs) and (source is None or source.owner != owner):
                    raise UploadRejectedError(Reason.UPLOAD_GONE, NO_OBJECT)
            except UploadRejectedError as error:
                field = "image_url" if hasattr(arguments, "image_url") else f"image_urls.{index}"
                hint = OF_OUTPUTS if error.kind == Reason.UPLOAD_GONE and not is_among_outputs else ""
                raise InvalidSubmissionError({field: f"{reference}: {error}{hint}"}) from error
