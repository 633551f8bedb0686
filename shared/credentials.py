"""The three secrets: fal's key, where fal delivers and with which MAC, and who holds which bearer token."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from shared.errors import AwsUnavailableError, SettingsError
from shared.settings import Settings, WebhookSecret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE = 300
"""Seconds for which a secret is kept in memory: so long a rotated one may still be used."""
TOKENS_UNREAD = "tokens_unread"
"""What the authorizer tells of a call whose token could not be looked up."""


class Credentials:
    """Secrets, read when first needed and again when they are old."""

    def __init__(
        self,
        client: Callable[[], "SecretsManagerClient"],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._kept: dict[str, tuple[float, str]] = {}

    def fal_key(self, fresh: bool = False) -> str:  # noqa: FBT001, FBT002 - one switch, named where it is used
        """The key for fal; with `fresh` a new copy, or nothing when the setting holds the only one.

        A newline at its end, which editors and shells add, would make fal refuse it.
        """
        if self._settings.fal_key:
            return "" if fresh else self._settings.fal_key.strip()
        return self._read(self._settings.fal_key_secret, "FAL_KEY_SECRET", fresh=fresh).strip()

    def webhook(self) -> WebhookSecret:
        """Where fal delivers."""
        text = self._read(self._settings.webhook_secret, "WEBHOOK_SECRET")
        try:
            return WebhookSecret.model_validate_json(text)
        except ValidationError as error:
            raise SettingsError("WEBHOOK_SECRET: the secret needs `url` and `mac_key`") from error

    def owner_of(self, token: str) -> str | None:
        """Whose token it is; the secret holds SHA-256 hashes, so it gives no token away."""
        hashes = json.loads(self._read(self._settings.tokens_secret, "TOKENS_SECRET"))
        owner = hashes.get(hashlib.sha256(token.encode()).hexdigest())
        return owner if isinstance(owner, str) else None

    def _read(self, name: str, setting: str, *, fresh: bool = False) -> str:
        """Give a secret's text.

        Raises:
            AwsUnavailableError: Secrets Manager does not hand it over.
            SettingsError: the setting names none.
        """
        if not name:
            raise SettingsError(f"{setting}: not set")
        read_at, text = self._kept.get(name, (0.0, ""))
        if fresh or name not in self._kept or self._clock() - read_at > MAX_AGE:
            try:
                text = self._client().get_secret_value(SecretId=name)["SecretString"]
            except (BotoCoreError, ClientError) as error:
                raise AwsUnavailableError(f"the secret {name} cannot be read: {type(error).__name__}") from error
            self._kept[name] = (self._clock(), text)
        return text
