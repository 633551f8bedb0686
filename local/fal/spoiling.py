"""A delivery's bytes and headers: signed as fal signs, or wrong in the way that is asked for."""

import hashlib
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from local.fal.keys import sign

if TYPE_CHECKING:
    from local.fal.switches import Spoil, WebhookHeader

REQUEST_ID: "WebhookHeader" = "X-Fal-Webhook-Request-Id"
USER_ID: "WebhookHeader" = "X-Fal-Webhook-User-Id"
TIMESTAMP: "WebhookHeader" = "X-Fal-Webhook-Timestamp"
SIGNATURE: "WebhookHeader" = "X-Fal-Webhook-Signature"
# RFC 8032: the order of the group. S and S plus the order are the same number to a careless verifier.
ORDER = 2**252 + 27742317777372353535851937790883648493
UNPUBLISHED = SigningKey(hashlib.sha256(b"a key that fal never had").digest())


def signed_headers(key: SigningKey, request_id: str, user_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers of a true delivery."""
    return {
        "Content-Type": "application/json",
        REQUEST_ID: request_id,
        USER_ID: user_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(key, request_id, user_id, str(timestamp), body),
    }


def spoiled_delivery(
    spoil: "Spoil", key: SigningKey, true_headers: dict[str, str], body: bytes
) -> tuple[dict[str, str], bytes]:
    """Give headers and bytes of the delivery with all that is wrong about it."""
    headers = signed_headers(
        UNPUBLISHED if spoil.signature == "wrong_key" else key,
        true_headers[REQUEST_ID],
        spoil.user_id or true_headers[USER_ID],
        int(true_headers[TIMESTAMP]) + spoil.timestamp_seconds,
        body,
    )
    headers[SIGNATURE] = _spoiled_signature(spoil.signature, headers[SIGNATURE])
    headers |= {str(name): value for name, value in spoil.set_headers.items()}
    # A dict holds a name once, and HTTP takes it in any case: so the second is written in small letters.
    headers |= {name.lower(): headers[name] for name in spoil.double_headers}
    for name in spoil.drop_headers:
        headers.pop(name, None)
    return headers, _spoiled_body(spoil.body, body)


def _spoiled_signature(how: str | None, signature: str) -> str:
    match how:
        case "flipped":
            return f"{signature[:-1]}{int(signature[-1], 16) ^ 1:x}"
        case "truncated":
            return signature[: len(signature) // 2]
        case "not_hex":
            return "g" + signature[1:]
        case "non_canonical":
            number = int.from_bytes(bytes.fromhex(signature[64:]), "little") + ORDER
            return signature[:64] + number.to_bytes(32, "little").hex()
        case "zeros":
            return "0" * len(signature)
    return signature


def _spoiled_body(how: str | None, body: bytes) -> bytes:
    middle = len(body) // 2
    match how:
        case "padded":
            return body + b" "
        case "flipped":
            return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        case "truncated":
            return body[:middle]
    return body
