"""Posting: the body of `POST /jobs` becomes a submission."""

import hashlib
import ipaddress
import json
import re
import secrets
from typing import Any, NoReturn, get_args
from urllib.parse import urlsplit

from pydantic import ValidationError

from shared.app import App
from shared.endpoints import ARGUMENTS, Arguments, Endpoint, Tier
from shared.errors import InvalidSubmissionError, UploadRejectedError
from shared.images import NO_OBJECT
from shared.jobs import Job, unix_seconds
from shared.presets import DEFAULT_OUTPUT_KEY, Preset, plain
from shared.submission import Submission, TimeLeft, submit

MAX_BODY_BYTES = 128 * 1024
"""A job is one DynamoDB item of at most 400 KB, and no honest prompt comes near this."""
MAX_IDEMPOTENCY_KEY = 255
MAX_REFERENCE = 4096
PRIVATE_NAMES = (".localhost", ".local", ".internal")
MAX_IMAGES = 16
"""fal publishes no limit; each image is looked at before anything is paid, and that must end in time."""


def post_job(app: App, owner: str, body: bytes, idempotency_key: str | None, time_left: TimeLeft) -> Job:
    """Make the job that a body asks for; with an Idempotency-Key the same body again gives the same job.

    Raises:
        InvalidSubmissionError: names each field that is wrong; nothing was written, sent or paid.
    """
    fields = _read_body(body)
    fingerprint = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]
    job_id = _job_id(app, owner, idempotency_key)
    preset = _choose_preset(app, fields.pop("preset", None))
    as_list = "image_urls" in fields
    try:
        endpoint = _choose_endpoint(fields, preset)
        arguments = _read_arguments(endpoint, (preset.arguments if preset else {}) | fields)
        if preset and arguments.num_images > 1 and "{index}" not in preset.output_key:
            _refuse("num_images", f"the preset {preset.name} has one output_key for all images, so it makes one")
        arguments = _with_object_references(app, arguments)
        if not (idempotency_key and app.jobs.get(job_id)):
            # A repeated call gets its job even if the input was deleted meanwhile.
            _check_objects(app, owner, arguments)
    except InvalidSubmissionError as error:
        # A list of one became image_url on its way; the caller is told of the field that the caller wrote.
        renamed = {"image_url": "image_urls.0"} if as_list and "image_urls" not in fields else {}
        raise InvalidSubmissionError(
            {renamed.get(field, field): text for field, text in error.faults.items()}
        ) from None
    output_key = preset.output_key if preset else DEFAULT_OUTPUT_KEY
    submission = Submission(
        job_id=job_id,
        owner=owner,
        endpoint=endpoint,
        arguments=arguments,
        preset=preset.name if preset else None,
        # A posted job has no upload to be named after: without its id it would overwrite the owner's last one.
        path=owner if "{job_id}" in output_key else f"{owner}/{job_id}",
        output_key=output_key,
        on_unknown=preset.on_unknown if preset else "fail",
        fingerprint=fingerprint,
    )
    return submit(app, submission, time_left)


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidSubmissionError({field: message})


def _read_body(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        _refuse("body", f"larger than {MAX_BODY_BYTES} bytes")
    try:
        fields = json.loads(body, parse_constant=lambda name: _refuse("body", f"{name} is not JSON"))
    except (ValueError, RecursionError):
        _refuse("body", "not JSON")
    if not isinstance(fields, dict):
        _refuse("body", "expected a JSON object")
    return fields


def _job_id(app: App, owner: str, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        # Ordered by time, so that ids sort as jobs came; the rest is random.
        return f"{unix_seconds(app.now()):010x}{secrets.token_hex(11)}"
    if not re.fullmatch(rf"[!-~]{{1,{MAX_IDEMPOTENCY_KEY}}}", idempotency_key):
        _refuse("Idempotency-Key", f"expected 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters")
    return hashlib.sha256(json.dumps([owner, idempotency_key]).encode()).hexdigest()[:32]


def _choose_preset(app: App, name: object) -> Preset | None:
    if name is None:
        return None
    if not isinstance(name, str) or name not in app.presets:
        _refuse("preset", f"no such preset; there are {', '.join(sorted(app.presets))}")
    return app.presets[name]


def _choose_endpoint(fields: dict[str, Any], preset: Preset | None) -> Endpoint:
    """The endpoint that is named, or that tier and images make; takes its own fields out of `fields`."""
    endpoint, tier = fields.pop("endpoint", None), fields.pop("tier", None)
    if tier is not None and tier not in get_args(Tier):
        _refuse("tier", f"expected one of {', '.join(get_args(Tier))}")
    if endpoint is not None and tier is not None:
        _refuse("tier", "endpoint already says which tier it is; name one of them")
    if endpoint is not None and endpoint not in list(Endpoint):
        _refuse("endpoint", f"expected one of {', '.join(Endpoint)}")
    images = _count_images(fields)
    if preset and preset.uploads and images == 0:
        _refuse("image_url", f"the preset {preset.name} edits an image")
    if endpoint is not None:
        return Endpoint(endpoint)
    if preset and preset.endpoint and tier is None:
        return preset.endpoint
    chosen = Endpoint.choose(tier or (preset.tier if preset else None) or "pro", images)
    if images == 1 and "image_urls" in fields:
        fields["image_url"] = fields.pop("image_urls")[0]
    return chosen


def _count_images(fields: dict[str, Any]) -> int:
    """None, one, or several (2): as many as the choice of an endpoint must tell apart."""
    if "image_url" in fields and "image_urls" in fields:
        _refuse("image_urls", "give image_url or image_urls, not both")
    if "image_url" in fields:
        return 1
    if "image_urls" not in fields:
        return 0
    references = fields["image_urls"]
    if isinstance(references, list) and len(references) > MAX_IMAGES:
        _refuse("image_urls", f"more than {MAX_IMAGES} images")
    return 1 if isinstance(references, list) and len(references) == 1 and isinstance(references[0], str) else 2


def _read_arguments(endpoint: Endpoint, fields: dict[str, Any]) -> Arguments:
    try:
        return ARGUMENTS[endpoint].model_validate(fields)
    except ValidationError as error:
        faults = {}
        for fault in error.errors():
            cause = fault.get("ctx", {}).get("error")
            field = getattr(cause, "field", None) or ".".join(map(str, fault["loc"])) or "body"
            faults[field] = f"not a field of {endpoint}" if fault["type"] == "extra_forbidden" else plain(fault["msg"])
        raise InvalidSubmissionError(faults) from None


def _with_object_references(app: App, arguments: Arguments) -> Arguments:
    """The arguments with uploads' keys written out as s3:// references.

    Raises:
        InvalidSubmissionError: an image is neither https, nor an object in one of the stack's buckets.
    """
    changes: dict[str, Any] = {}
    if hasattr(arguments, "image_url"):
        changes["image_url"] = _full_reference(app, "image_url", arguments.image_url)
    if hasattr(arguments, "image_urls"):
        references = enumerate(arguments.image_urls)
        changes["image_urls"] = [
            _full_reference(app, f"image_urls.{index}", reference) for index, reference in references
        ]
    return arguments.model_copy(update=changes)


def _full_reference(app: App, field: str, reference: str) -> str:
    if len(reference) > MAX_REFERENCE:
        _refuse(field, f"longer than {MAX_REFERENCE} characters")
    scheme = reference.partition(":")[0].lower()
    if scheme == "https":
        if not _is_public(reference):
            _refuse(field, "not a URL that fal can read: whole, in ASCII, and of a public host")
        return reference
    inputs, outputs = app.settings.inputs_bucket, app.settings.outputs_bucket
    if scheme == "s3":
        bucket, _, key = reference.removeprefix("s3://").partition("/")
        if not key or not (bucket == inputs or app.settings.is_outputs_place(bucket, key)):
            _refuse(field, f"expected s3://<bucket>/<key> in {inputs} or {outputs}/{app.settings.outputs_prefix}")
        return reference
    if scheme in {"http", "data", "ftp", "file"} or "://" in reference:
        _refuse(field, "expected an https URL, an s3:// reference or the key of an upload")
    return f"s3://{inputs}/{reference}"


def _is_public(url: str) -> bool:
    """Whether fal can read the URL: a whole one, of a host that is not private (fal docs: toolkit)."""
    try:
        parts = urlsplit(url)
        # Reading the port raises ValueError where it is no number up to 65535.
        whole = url.lower().startswith("https://") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    host = parts.hostname or ""
    if (
        not whole
        or not re.fullmatch(r"[!-~]+", url)
        or "\\" in url
        or host == "localhost"
        or host.endswith(PRIVATE_NAMES)
    ):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True  # A name, and not an address.


def _check_objects(app: App, owner: str, arguments: Arguments) -> None:
    """Make sure that each object can be edited, and that an output belongs to who asks for it.

    Raises:
        InvalidSubmissionError: names the image.
        AwsUnavailableError: S3 or the table does not answer.
    """
    references = arguments.image_references()
    for index, reference in enumerate(references):
        if reference.startswith("s3://"):
            bucket, _, key = reference.removeprefix("s3://").partition("/")
            try:
                maker = app.images.check_input(bucket, key)
                source = app.jobs.get(maker) if maker else None
                # Among the outputs may stand what is none of ours: the bucket can be an old one.
                is_output = maker is not None or app.settings.is_outputs_place(bucket, key)
                if is_output and (source is None or source.owner != owner):
                    raise UploadRejectedError("upload_gone", NO_OBJECT)
            except UploadRejectedError as error:
                field = "image_url" if hasattr(arguments, "image_url") else f"image_urls.{index}"
                raise InvalidSubmissionError({field: f"{reference}: {error}"}) from error
