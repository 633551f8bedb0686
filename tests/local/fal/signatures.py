"""Checking a delivery's signature as fal's docs say."""

import base64
import hashlib
from typing import TYPE_CHECKING

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal, Sent


def verifies(sent: "Sent", keys: list[dict[str, str]]) -> bool:
    """Check a delivery: any of the published keys may have signed it."""
    headers = {name.lower(): value for name, value in sent.headers.items()}
    names = ("request-id", "user-id", "timestamp")
    parts = [headers[f"x-fal-webhook-{name}"] for name in names]
    message = "\n".join([*parts, hashlib.sha256(sent.body).hexdigest()]).encode()
    for key in keys:
        x = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        try:
            VerifyKey(x).verify(message, bytes.fromhex(headers["x-fal-webhook-signature"]))
        except (BadSignatureError, ValueError):
            continue
        return True
    return False


def published(fal: "Fal") -> list[dict[str, str]]:
    """Fetch the public keys, for which nobody needs a key of their own."""
    answer = fal.http.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    keys: list[dict[str, str]] = answer.json()["keys"]
    return keys
