"""Presets: named arguments with a prompt, and the uploads that they apply to."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.endpoints import ARGUMENTS, Arguments, Endpoint, Tier
from shared.errors import SettingsError
from shared.jobs import OnUnknown, Upload

DEFAULT_OUTPUT_KEY = "{preset}/{path}/{job_id}-{index}.{ext}"
"""Where outputs go unless a preset says otherwise; the job id keeps every version of an upload apart."""

KEY_FIELDS = {"preset", "path", "job_id", "index", "ext"}


class UploadPattern(BaseModel):
    """Uploads whose key begins with `prefix` and ends with `suffix`, whose letter case does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = ""
    suffix: str = ""

    def matches(self, key: str) -> bool:
        """Whether the key fits."""
        return key.startswith(self.prefix) and key.lower().endswith(self.suffix.lower())


class Preset(BaseModel):
    """A named, validated set of arguments; the endpoint follows from `tier` and the images unless it is named.

    `on_unknown` says what follows when nothing was ever heard of a request: `fail`, or `resubmit` and maybe pay twice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = ""
    uploads: list[UploadPattern] = []
    endpoint: Endpoint | None = None
    tier: Tier | None = None
    arguments: dict[str, Any]
    output_key: str = Field(default=DEFAULT_OUTPUT_KEY, min_length=1, max_length=128)
    on_unknown: OnUnknown = "fail"
    same_bytes: Literal["edit", "skip"] = "edit"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.endpoint and self.tier:
            raise ValueError("tier: endpoint already says which tier it is; name one of them")
        if self.arguments.get("sync_mode"):
            raise ValueError("arguments.sync_mode: not in a preset; the pictures would come inside the webhook call")
        if {"image_url", "image_urls"} & self.arguments.keys():
            raise ValueError("arguments: a preset has no images of its own; they come from the upload or the caller")
        self._check_output_key()
        if self.uploads and self.endpoint and not self._model_fields_of(self.endpoint) & {"image_url", "image_urls"}:
            raise ValueError("uploads: this endpoint takes no image, so no upload can start it")
        self._check_arguments()
        return self

    def _check_output_key(self) -> None:
        try:
            parts = [part for part in string.Formatter().parse(self.output_key) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"output_key: {error}") from None
        if any(spec or conversion for _, _, spec, conversion in parts):
            raise ValueError("output_key: names stand in braces alone, without a format")
        fields = {str(name) for _, name, _, _ in parts}
        if unknown := fields - KEY_FIELDS:
            raise ValueError(
                f"output_key: unknown {', '.join(sorted(unknown))}; it may use {', '.join(sorted(KEY_FIELDS))}"
            )
        if self.arguments.get("num_images", 1) != 1 and "index" not in fields:
            raise ValueError("output_key: several images need {index}, or one would overwrite the other")
        if not fields & {"path", "job_id"}:
            raise ValueError("output_key: needs {path} or {job_id}, or every job would overwrite the last")

    def _check_arguments(self) -> None:
        endpoint = self.endpoint or Endpoint.KONTEXT
        images = {"image_url": "x", "image_urls": ["x"]}
        present = {field: images[field] for field in self._model_fields_of(endpoint) & images.keys()}
        try:
            ARGUMENTS[endpoint].model_validate(self.arguments | present)
        except ValidationError as error:
            first = error.errors()[0]
            hint = " (in quotes, or YAML reads 1:1 as a number)" if first["loc"] == ("aspect_ratio",) else ""
            raise ValueError(f"arguments.{'.'.join(map(str, first['loc']))}: {plain(first['msg'])}{hint}") from None

    @staticmethod
    def _model_fields_of(endpoint: Endpoint) -> set[str]:
        return set(ARGUMENTS[endpoint].model_fields)

    def applies_to(self, upload: Upload) -> bool:
        """Whether this upload is to be edited with this preset."""
        return any(pattern.matches(upload.key) for pattern in self.uploads)

    def arguments_for(self, upload: Upload) -> tuple[Endpoint, Arguments]:
        """What to send for one upload, its image as an s3:// reference."""
        endpoint = self.endpoint or Endpoint.choose(self.tier or "pro", images=1)
        reference = f"s3://{upload.bucket}/{upload.key}"
        images = (
            {"image_urls": [reference]} if "image_urls" in self._model_fields_of(endpoint) else {"image_url": reference}
        )
        return endpoint, ARGUMENTS[endpoint].model_validate(self.arguments | images)


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


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, and not silently the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the signature is PyYAML's
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            doubled = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"{doubled} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_presets(file: Path) -> dict[str, Preset]:
    """Read presets.yaml.

    Raises:
        SettingsError: the file breaks a rule; names the preset and the field.
    """
    try:
        content = yaml.load(file.read_bytes(), Loader=_UniqueKeyLoader) or {}  # noqa: S506 - a safe loader
    except (yaml.YAMLError, OSError) as error:
        raise SettingsError(f"{file.name}: {error}") from error
    presets = content.get("presets", {}) if isinstance(content, dict) else None
    if not isinstance(presets, dict):
        raise SettingsError(f"{file.name}: expected a mapping `presets` of names to presets")
    loaded: dict[str, Preset] = {}
    for name, body in presets.items():
        if not isinstance(body, dict) or "name" in body:
            raise SettingsError(f"{file.name}: presets.{name}: expected a mapping, without a name of its own")
        try:
            loaded[name] = Preset.model_validate({**body, "name": name})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("presets", name, *first["loc"])))
            raise SettingsError(f"{file.name}: {where}: {plain(first['msg'])}") from None
    return loaded


def check_uploads(presets: Mapping[str, Preset], outputs_prefix: str) -> None:
    """Make sure that no preset waits for uploads where only outputs stand, both in one bucket.

    Raises:
        SettingsError: one does; names the preset and the prefix.
    """
    for preset in presets.values():
        for pattern in preset.uploads:
            if pattern.prefix.startswith(outputs_prefix):
                raise SettingsError(
                    f"presets.{preset.name}.uploads: {pattern.prefix} lies in {outputs_prefix}, where outputs stand"
                )
