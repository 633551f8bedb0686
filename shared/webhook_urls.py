"""The URL that fal is to call about a job; its MAC shows that we made it, and for which attempt."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from shared.errors import InvalidDeliveryError
from shared.settings import WebhookSecret


@dataclass(frozen=True)
class Target:
    """What a webhook URL says: the job, and which attempt at it."""

    job_id: str
    attempt: int

    def url(self, secret: WebhookSecret) -> str:
        """The URL that fal is to call, sealed with a MAC."""
        return f"{secret.url}/webhooks/fal/{self.job_id}?attempt={self.attempt}&mac={self.mac(secret.mac_key)}"

    def mac(self, mac_key: str) -> str:
        """HMAC-SHA256 over all that the URL says, in hex."""
        message = json.dumps([self.job_id, self.attempt])
        return hmac.new(mac_key.encode(), message.encode(), hashlib.sha256).hexdigest()

    @classmethod
    def from_url(cls, job_id: str, query: Mapping[str, str], secret: Callable[[], WebhookSecret]) -> Self:
        """Read a called URL back.

        Raises:
            InvalidDeliveryError: it is not one that we made.
        """
        attempt, mac = query.get("attempt", ""), query.get("mac", "")
        if not (re.fullmatch(r"[1-9][0-9]{0,5}", attempt) and re.fullmatch(r"[0-9a-f]{64}", mac)):
            raise InvalidDeliveryError("the URL was not made here")
        target = cls(job_id=job_id, attempt=int(attempt))
        if not any(hmac.compare_digest(target.mac(mac_key), mac) for mac_key in secret().mac_keys):
            raise InvalidDeliveryError("the MAC does not fit")
        return target
