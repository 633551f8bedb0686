"""Every environment variable that Darkroom reads, typed, read once."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.errors import SettingsError

PRESETS_FILE = Path(__file__).resolve().parent.parent / "presets.yaml"


class WebhookSecret(BaseModel):
    """Where fal delivers, the API's base URL, and the key of the MAC in each webhook URL.

    While the key is rotated, `previous_mac_key` is taken too: requests under way carry its MAC.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    url: str
    mac_key: Annotated[str, Field(min_length=1)]
    previous_mac_key: str = ""

    @property
    def mac_keys(self) -> tuple[str, ...]:
        """The keys whose MACs are good; an empty one, which anybody knows, is none."""
        return (self.mac_key, self.previous_mac_key) if self.previous_mac_key else (self.mac_key,)


def _names_host_and_port(parts: SplitResult) -> bool:
    # Reading the port raises ValueError where it is no number up to 65535.
    return bool(parts.hostname) and parts.port != 0 and parts.username is None


class Settings(BaseModel):
    """The settings of one function; each field is the environment variable of its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    job_table: Annotated[str, Field(min_length=1)]
    inputs_bucket: Annotated[str, Field(min_length=1)]
    outputs_bucket: Annotated[str, Field(min_length=1)]
    outputs_prefix: Annotated[str, Field(validate_default=True, max_length=256)] = ""
    upload_owner: Annotated[str, Field(min_length=1)] = "uploads"
    fal_queue_url: str = "https://queue.fal.run"
    fal_jwks_url: tuple[str, ...] = (
        "https://rest.fal.ai/.well-known/jwks.json",
        "https://rest.alpha.fal.ai/.well-known/jwks.json",
    )
    fal_output_hosts: tuple[str, ...] = ()
    fal_output_expiry: Annotated[int, Field(ge=3600)] = 86_400
    fal_auth_scheme: Literal["Key", "Bearer"] = "Key"
    fal_user_id: str = ""
    poll_seconds: Annotated[int, Field(ge=1, le=120)] = 120
    most_open_jobs: Annotated[int, Field(ge=0)] = 5000
    fal_key: str = ""
    fal_key_secret: str = ""
    webhook_secret: str = ""
    tokens_secret: str = ""

    @field_validator("outputs_prefix")
    @classmethod
    def _tells_outputs_from_uploads(cls, value: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*/)*", value):
            raise ValueError("expected folders, each of letters, digits and ._- (not first) with a slash at its end")
        if not value and info.data.get("inputs_bucket") == info.data.get("outputs_bucket"):
            raise ValueError("needed where both buckets are one, or each output would be an upload")
        return value

    @field_validator("fal_jwks_url", "fal_output_hosts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("fal_queue_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not _names_host_and_port(parts) or parts.query or parts.fragment:
            raise ValueError("expected an http(s) address without query")
        return value.rstrip("/")

    @field_validator("fal_jwks_url")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            parts = urlsplit(entry)
            if parts.scheme not in {"http", "https"} or not _names_host_and_port(parts):
                raise ValueError(f"{entry!r} is no http(s) address")
        return value

    @field_validator("fal_output_hosts")
    @classmethod
    def _are_hosts_or_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            parts = urlsplit(entry if "://" in entry else f"https://{entry}")
            if parts.scheme not in {"http", "https"} or not _names_host_and_port(parts) or parts.path.strip("/"):
                raise ValueError(f"{entry!r} is neither a host nor an origin")
        return value

    def is_outputs_place(self, bucket: str, key: str) -> bool:
        """Whether an object stands where outputs are put, and nothing else."""
        return bucket == self.outputs_bucket and key.startswith(self.outputs_prefix)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as absent.

        Raises:
            SettingsError: one is missing or wrong; names the variable.
        """
        given = {name: environment[name.upper()] for name in cls.model_fields if environment.get(name.upper())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsError(f"{str(first['loc'][0]).upper()}: {first['msg']}") from None
