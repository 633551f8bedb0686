"""fal's webhook calls: the proof that a call is fal's word about this job.

The signature shows that fal signed the call, for any of its customers (fal docs: webhooks); the MAC in the URL shows
that it is about our job.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from shared.errors import InvalidDeliveryError, SigningKeysUnavailableError, StaleDeliveryError
from shared.fal_words import clean
from shared.jobs import MAX_REQUEST_ID, Record
from shared.settings import WebhookSecret
from shared.signing_keys import SigningKeys
from shared.webhook_urls import Target

TOLERANCE = 300
"""Seconds that a delivery's timestamp may be off."""

HEADER = "x-fal-webhook-"
HEADERS = ("request-id", "user-id", "timestamp", "signature")


class Delivery(Record):
    """One verified webhook call. Nothing but `Verifier.verify` makes one."""

    target: Target
    request_id: str
    user_id: str
    succeeded: bool
    payload: Any = None
    error: str | None = None


class Verifier:
    """Turns webhook calls into deliveries, or refuses them; a refusal costs no AWS call."""

    def __init__(
        self, secret: Callable[[], WebhookSecret], keys: SigningKeys, user_id: str, clock: Callable[[], float]
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._user_id = user_id
        self._clock = clock

    def verify(self, job_id: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Delivery:
        """Check everything, cheapest first, and only then read the body; `headers` by lower-case name.

        Raises:
            InvalidDeliveryError: theirs; it is not fal's word about this job.
            StaleDeliveryError: theirs; it is, but too old.
            SigningKeysUnavailableError: ours; it cannot be checked now, or not with keys that are new enough to say no.
        """
        request_id, user_id, timestamp, signature = (headers.get(HEADER + name, "") for name in HEADERS)
        # A newline would let the lines of what is signed be shared out among the headers in another way.
        if not (re.fullmatch(r"[ -~]+", request_id) and re.fullmatch(r"[ -~]+", user_id)):
            raise InvalidDeliveryError("the request or the account has no name in plain ASCII")
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise InvalidDeliveryError("the timestamp is no number of seconds")
        if not re.fullmatch(r"[0-9a-fA-F]{128}", signature):
            raise InvalidDeliveryError("the signature is not 64 bytes of hex")
        if self._user_id and user_id != self._user_id:
            raise InvalidDeliveryError("the delivery belongs to another account")
        target = Target.from_url(job_id, query, self._secret)
        self._check_signature(signed_message(request_id, user_id, timestamp, body), bytes.fromhex(signature))
        age = self._clock() - int(timestamp)
        if age < -TOLERANCE:
            raise InvalidDeliveryError("the delivery is ahead of its time")
        delivery = _load(target, request_id, user_id, body)
        if age > TOLERANCE:
            raise StaleDeliveryError(delivery)
        self._keys.confirm()
        return delivery

    def _check_signature(self, message: bytes, signature: bytes) -> None:
        if _fits(self._keys.current(), message, signature):
            return
        if self._keys.refresh() and _fits(self._keys.current(), message, signature):
            return
        if not self._keys.are_new:
            raise SigningKeysUnavailableError("the signature may be by a key that cannot be fetched now")
        raise InvalidDeliveryError("the signature fits none of fal's keys")


def signed_message(request_id: str, user_id: str, timestamp: str, body: bytes) -> bytes:
    """What fal signs: three header values and the hash of the raw body, one a line."""
    return "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]).encode()


def sign(key: SigningKey, *, request_id: str, user_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that fal would send with `body`: for tests and for tools that make deliveries."""
    signature = key.sign(signed_message(request_id, user_id, str(timestamp), body)).signature.hex()
    values = (request_id, user_id, str(timestamp), signature)
    return {HEADER + name: value for name, value in zip(HEADERS, values, strict=True)}


def _fits(keys: list[VerifyKey], message: bytes, signature: bytes) -> bool:
    # No header names the key, so each is tried.
    for key in keys:
        try:
            key.verify(message, signature)
        except BadSignatureError:
            continue
        return True
    return False


def _load(target: Target, request_id: str, user_id: str, body: bytes) -> Delivery:
    try:
        content = json.loads(body)
        if content["status"] not in {"OK", "ERROR"}:
            raise InvalidDeliveryError("the delivery's status is neither OK nor ERROR")
        if request_id not in {content["request_id"], content.get("gateway_request_id")}:
            raise InvalidDeliveryError("header and body name different requests")
        if len(content["request_id"]) > MAX_REQUEST_ID:
            raise InvalidDeliveryError("the request's id is too long to be kept")
        error = content.get("error")
        return Delivery(
            target=target,
            request_id=content["request_id"],
            user_id=user_id,
            succeeded=content["status"] == "OK",
            payload=content.get("payload"),
            error=clean(error) if error else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDeliveryError("the body is not a delivery") from error
