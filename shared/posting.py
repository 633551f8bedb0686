"""Posting: the body of `POST /jobs` becomes a submission."""

import hashlib
import json
import re
import secrets
from typing import Any, NoReturn, get_args

from pydantic import ValidationError

from shared.app import App
from shared.endpoints import ARGUMENTS, Arguments, Endpoint, Tier
from shared.errors import InvalidSubmissionError
from shared.jobs import Job, unix_seconds
from shared.presets import DEFAULT_OUTPUT_KEY, Preset, plain
from shared.references import check_objects, with_full_references
from shared.sending import TimeLeft
from shared.submission import Submission, submit, submit_again

MAX_BODY_BYTES = 128 * 1024
"""A job is one DynamoDB item of at most 400 KB, and no honest prompt comes near this."""
MAX_IDEMPOTENCY_KEY = 255
MAX_IMAGES = 16
"""fal publishes no limit; each image is looked at before anything is paid, and that must end in time."""


def post_job(app: App, owner: str, body: bytes, idempotency_key: str | None, time_left: TimeLeft) -> Job:
    """Make the job that a body asks for; with an Idempotency-Key the same body again gives the same job.

    Raises:
        InvalidSubmissionError: names each field that is wrong; nothing was written, sent or paid.
        TooManyOpenJobsError: the owner has as many jobs under way as one may have.
    """
    fields = _read_body(body)
    fingerprint = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]
    job_id = _job_id(app, owner, idempotency_key)
    if idempotency_key and (job := app.jobs.get(job_id)):
        # A repeated call gets its job, whatever has changed since: presets, inputs, room for more jobs.
        return submit_again(app, job, fingerprint, time_left)
    preset = _choose_preset(app, fields.pop("preset", None))
    as_list = "image_urls" in fields
    try:
        endpoint = _choose_endpoint(fields, preset)
        arguments = _read_arguments(endpoint, (preset.arguments if preset else {}) | fields)
        if preset and arguments.num_images > 1 and "{index}" not in preset.output_key:
            _refuse("num_images", f"the preset {preset.name} has one output_key for all images, so it makes one")
        arguments = with_full_references(app, owner, arguments)
        check_objects(app, owner, arguments)
    except InvalidSubmissionError as error:
        # A list of one became image_url on its way; the caller is told of the field that the caller wrote.
        renamed = {"image_url": "image_urls.0"} if as_list and "image_urls" not in fields else {}
        raise InvalidSubmissionError(
            {renamed.get(field, field): text for field, text in error.faults.items()}
        ) from None
    app.open_jobs.admit(owner)
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
        fields = json.loads(
            body, parse_float=_number, parse_constant=lambda name: _refuse("body", f"{name} is not JSON")
        )
    except (ValueError, RecursionError):
        _refuse("body", "not JSON")
    if not isinstance(fields, dict):
        _refuse("body", "expected a JSON object")
    return fields


def _number(text: str) -> float:
    """A JSON number; 4.0 and 4 are the same to all who send it, so a repeated call may have either."""
    value = float(text)
    return int(value) if value.is_integer() else value


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
