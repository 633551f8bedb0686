"""fal's signing keys and the document that publishes them."""

import base64
import hashlib
from typing import TYPE_CHECKING

from nacl.signing import SigningKey
from pydantic import JsonValue

from local.fal.settings import EmulatorSettings

if TYPE_CHECKING:
    from local.fal.schedule import Clock


class SigningKeys:
    """An endless row of Ed25519 keys made from a seed; the newest signs, and the last few are published."""

    def __init__(self, settings: EmulatorSettings, clock: "Clock") -> None:
        self._settings = settings
        self._clock = clock
        self._number = 0
        self._old_number = 0
        self._old_ends_at = 0.0

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._key(self._old_number if self._clock.now() < self._old_ends_at else self._number)

    def rotate(self, old_signs_seconds: float = 0.0) -> None:
        """Publish a new key and the oldest no more; the new one signs, the old one perhaps for a while yet."""
        self._old_number = self._number
        self._old_ends_at = self._clock.now() + old_signs_seconds
        self._number += 1

    def reset(self) -> None:
        """Sign with the first key again."""
        self._number = 0
        self._old_ends_at = 0.0

    def document(self) -> dict[str, JsonValue]:
        """Give the JWKS."""
        oldest = self._number - self._settings.jwks_keys + 1
        return {"keys": [jwk(self._key(number)) for number in range(oldest, self._number + 1)]}

    def _key(self, number: int) -> SigningKey:
        return SigningKey(hashlib.sha256(f"{self._settings.seed}/{number}".encode()).digest())


def jwk(key: SigningKey) -> JsonValue:
    """Give a public key as RFC 8037 writes it: x is base64url without padding, 43 characters."""
    x = base64.urlsafe_b64encode(key.verify_key.encode()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x}


def sign(key: SigningKey, request_id: str, user_id: str, timestamp: str, body: bytes) -> str:
    """Sign a delivery: hex Ed25519 over the three texts and the body's digest, each on a line."""
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()])
    return key.sign(message.encode()).signature.hex()
