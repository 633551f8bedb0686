"""Presets: named arguments with a prompt, and the uploads that they apply to."""

import json
import re
import string
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.endpoints import ARGUMENTS, Arguments, Endpoint, Tier
from shared.errors import SettingsError
from shared.faults import Fault, did_you_mean, read_faults, refuse
from shared.jobs import OnUnknown, Upload
from shared.pattern_texts import INVISIBLE
from shared.upload_patterns import EVERYTHING, UploadPattern, read_patterns

DEFAULT_OUTPUT_KEY = "{preset}/{path}/{job_id}-{index}.{ext}"
"""Where outputs go unless a preset says otherwise; the job id keeps every version of an upload apart."""

KEY_FIELDS = ("preset", "path", "job_id", "index", "ext")
IMAGES: dict[str, Any] = {"image_url": "x", "image_urls": ["x"]}
"""Stand-ins for what a preset leaves open: the images that come from the upload or the caller."""
NO_IMAGES = "a preset has no images of its own; they come from the upload or the caller"
NO_ARGUMENT = "belongs beside `arguments`, not in it"
NO_SYNC_MODE = "not in a preset; the pictures would come inside the webhook call"
MAX_ARGUMENTS_BYTES = 64 * 1024
"""The most that a preset's arguments may measure as JSON: the whole job is one row of at most 400 KB."""

ELSEWHERE = {
    **dict.fromkeys(Arguments.model_fields, "belongs in `arguments`"),
    **dict.fromkeys(IMAGES, NO_IMAGES),
    **dict.fromkeys(UploadPattern.model_fields, "belongs in a pattern, such as `uploads: [{ prefix: products/ }]`"),
}
"""Where a field belongs that people write beside those of a preset."""

SameBytes = Literal["edit", "skip"]
"""What follows an upload whose bytes have a job under its key already: another job, or none."""


class Preset(BaseModel):
    """A named, validated set of arguments; the endpoint follows from `tier` and the images unless it is named.

    `exclude` takes uploads out again that `uploads` lets in. `on_unknown` says what follows when nothing was ever heard
    of a request: `fail`, or `resubmit` and maybe pay twice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Each field is judged with those above it: a fault in one hides no fault in another.
    name: str
    description: str = ""
    endpoint: Endpoint | None = None
    tier: Tier | None = None
    arguments: dict[str, Any]
    uploads: list[UploadPattern] = []
    exclude: list[UploadPattern] = []
    same_bytes: SameBytes = "edit"
    output_key: str = Field(default=DEFAULT_OUTPUT_KEY, min_length=1, max_length=128)
    on_unknown: OnUnknown = "fail"

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
            simple = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63]
            raise ValueError(
                "a name is lower-case letters, digits and hyphens, at most 63, beginning with a letter or digit"
                + (f"; write {simple}" if simple else "")
            )
        return name

    @field_validator("tier")
    @classmethod
    def _is_not_told_twice(cls, tier: Tier | None, info: ValidationInfo) -> Tier | None:
        if tier and info.data.get("endpoint"):
            raise ValueError("endpoint already says which tier it is; name one of them")
        return tier

    @field_validator("arguments")
    @classmethod
    def _are_what_the_endpoint_takes(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        model = ARGUMENTS[info.data.get("endpoint") or Endpoint.KONTEXT]
        faults = [Fault((field,), NO_IMAGES) for field in sorted(IMAGES.keys() & given.keys())]
        if given.get("sync_mode"):
            faults.append(Fault(("sync_mode",), NO_SYNC_MODE))
        if len(json.dumps(given, ensure_ascii=False, default=str).encode(errors="replace")) > MAX_ARGUMENTS_BYTES:
            faults.append(Fault((), f"larger than {MAX_ARGUMENTS_BYTES // 1024} KB as JSON; a job's row has no room"))
        told = {field for fault in faults for field in fault.where}
        own = {field: value for field, value in given.items() if field not in told}
        fields = model.model_fields.keys() - IMAGES.keys() - {"sync_mode"}
        try:
            model.model_validate(own | {field: IMAGES[field] for field in model.model_fields.keys() & IMAGES.keys()})
        except ValidationError as error:
            faults += read_faults(error, fields, dict.fromkeys(cls.model_fields, NO_ARGUMENT))
        if faults:
            refuse(faults)
        return given

    @field_validator("uploads", mode="plain")
    @classmethod
    def _read_uploads(cls, given: object, info: ValidationInfo) -> list[UploadPattern]:
        patterns, faults = ([EVERYTHING], []) if given == "everything" else read_patterns(given, "uploads")
        endpoint = info.data.get("endpoint")
        if endpoint and not ARGUMENTS[endpoint].model_fields.keys() & IMAGES.keys():
            faults.append(Fault((), "this endpoint takes no image, so no upload can start it"))
        if faults:
            refuse(faults)
        return patterns

    @field_validator("exclude", mode="plain")
    @classmethod
    def _read_exclude(cls, given: object, info: ValidationInfo) -> list[UploadPattern]:
        patterns, faults = read_patterns(given, "exclude")
        uploads: list[UploadPattern] | None = info.data.get("uploads")
        if uploads == []:
            faults.append(Fault((), "does nothing without `uploads`; leave it out"))
        elif uploads and not faults:
            faults += _judge_exclude(uploads, patterns)
        if faults:
            refuse(faults)
        return patterns

    @field_validator("same_bytes")
    @classmethod
    def _is_about_uploads(cls, same_bytes: SameBytes, info: ValidationInfo) -> SameBytes:
        if same_bytes == "skip" and info.data.get("uploads") == []:
            raise ValueError("does nothing without `uploads`; leave it out")
        return same_bytes

    @field_validator("output_key")
    @classmethod
    def _tells_outputs_apart(cls, template: str, info: ValidationInfo) -> str:
        images = info.data.get("arguments", {}).get("num_images", 1)
        faults = [Fault((), text) for text in _judge_output_key(template, images)]
        if info.data.get("same_bytes") == "skip" and "{job_id}" not in template:
            faults.append(
                Fault((), "needs {job_id} beside `same_bytes: skip`: an output that was overwritten is not made again")
            )
        if faults:
            refuse(faults)
        return template

    def applies_to(self, upload: Upload) -> bool:
        """Whether this upload is to be edited with this preset."""
        return any(pattern.matches(upload.key) for pattern in self.uploads) and not self.excludes(upload)

    def excludes(self, upload: Upload) -> bool:
        """Whether this upload is left alone on purpose."""
        return any(pattern.matches(upload.key) for pattern in self.exclude)

    def arguments_for(self, upload: Upload) -> tuple[Endpoint, Arguments]:
        """What to send for one upload, its image as an s3:// reference."""
        endpoint = self.endpoint or Endpoint.choose(self.tier or "pro", images=1)
        reference = f"s3://{upload.bucket}/{upload.key}"
        model = ARGUMENTS[endpoint]
        images = {"image_urls": [reference]} if "image_urls" in model.model_fields else {"image_url": reference}
        return endpoint, model.model_validate(self.arguments | images)


def output_key(template: str, *, preset: str | None, path: str, job_id: str) -> str:
    """The key with all but {index} and {ext} filled in, which are known only when an output is there."""
    filled = {"preset": preset or "jobs", "path": path, "job_id": job_id, "index": "{index}", "ext": "{ext}"}
    # A user's key may hold braces of its own: they are doubled, as the last filling halves them again.
    escaped = {
        name: value if name in {"index", "ext"} else value.replace("{", "{{").replace("}", "}}")
        for name, value in filled.items()
    }
    return template.format(**escaped)


def plain(message: str) -> str:
    """pydantic's message without the name of Python's exception."""
    return message.removeprefix("Value error, ")


def _judge_exclude(uploads: list[UploadPattern], exclude: list[UploadPattern]) -> Iterator[Fault]:
    for number, pattern in enumerate(exclude):
        if covered := [str(upload) for upload in uploads if pattern.covers(upload)]:
            yield Fault((number,), f"takes away all that {covered[0]} of `uploads` takes; leave one of them out")
        elif not any(pattern.meets(upload) for upload in uploads):
            example = f", such as {uploads[0].prefix}{pattern.prefix}" if uploads[0].prefix and pattern.prefix else ""
            yield Fault((number,), f"fits none of the preset's uploads; a prefix is that of the whole key{example}")


def _judge_output_key(template: str, images: object) -> Iterator[str]:
    try:
        parts = [part for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError:
        yield f"has a brace without its other half; expected something such as {DEFAULT_OUTPUT_KEY}"
        return
    if any(spec or conversion for _, _, spec, conversion in parts):
        yield "names stand in braces alone, without a format"
    fields = {str(name) for _, name, _, _ in parts}
    for unknown in sorted(fields - set(KEY_FIELDS)):
        listed = ", ".join(f"{{{field}}}" for field in KEY_FIELDS)
        yield f"unknown {{{unknown}}}{did_you_mean(unknown, KEY_FIELDS)}; expected one of {listed}"
    if images != 1 and "index" not in fields:
        yield "several images need {index}, or one would overwrite the other"
    if not fields & {"path", "job_id"}:
        yield "needs {path} or {job_id}, or every job would overwrite the last"
    if {"", ".", ".."} & set(template.split("/")) or "://" in template:
        yield "a key has no empty, . or .. folder names, no / at either end, and no bucket"
    if INVISIBLE.search(template):
        yield "a key has no line breaks, tabs or other characters that cannot be seen"


def check_uploads(presets: Mapping[str, Preset], outputs_prefix: str) -> None:
    """Make sure that no preset waits for uploads where only outputs go, both in one bucket.

    `uploads: everything` is none of these: outputs are left out before presets are asked.

    Raises:
        SettingsError: one does; names each such preset and prefix.
    """
    faults = [
        f"presets.{preset.name}.uploads: {pattern.prefix} lies in {outputs_prefix}, where outputs go;"
        " no upload there starts anything, so choose another prefix"
        for preset in presets.values()
        for pattern in preset.uploads
        if pattern.prefix.startswith(outputs_prefix)
    ]
    if faults:
        raise SettingsError("\n".join(faults))
