"""fal's webhook calls: the URL that we hand out, and the proof that a call is fal's word about this job.

The signature shows that fal signed the call, for any of its customers (fal docs: webhooks); the MAC in the URL shows
that it is about our job.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from shared.errors import InvalidDeliveryError, SigningKeysUnavailableError
from shared.jobs import Record
from shared.settings import WebhookSecret

TOLERANCE = 300
"""Seconds that a delivery's timestamp may be off."""
KEYS_MAX_AGE = 24 * 3600
"""Seconds for which fal's keys may be kept."""
KEYS_FETCH_INTERVAL = 300
"""Seconds between two looks for new keys, so that a flood of forged calls causes one fetch at most."""
KEYS_MAX_BYTES = 65_536
KEYS_SECONDS = 3
"""How long a key server may be silent; fal waits 15 s for the answer to a delivery."""

HEADER = "x-fal-webhook-"
HEADERS = ("request-id", "user-id", "timestamp", "signature")


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
            raise InvalidDeliveryError("the URL is none of ours")
        target = cls(job_id=job_id, attempt=int(attempt))
        if not hmac.compare_digest(target.mac(secret().mac_key), mac):
            raise InvalidDeliveryError("the MAC does not fit")
        return target


class Delivery(Record):
    """One verified webhook call. Nothing but `Verifier.verify` makes one."""

    target: Target
    request_id: str
    succeeded: bool
    payload: Any = None


class SigningKeys:
    """fal's public keys: kept for a day, looked for every five minutes at most, served stale rather than not at all."""

    def __init__(self, http: httpx.Client, urls: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._http = http
        self._urls = urls
        self._clock = clock
        self._keys: list[VerifyKey] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")

    def current(self) -> list[VerifyKey]:
        """The keys to verify with.

        Raises:
            SigningKeysUnavailableError: none are kept and none can be fetched now.
        """
        if self._clock() - self._fetched_at > KEYS_MAX_AGE:
            self.refresh()
        if not self._keys:
            raise SigningKeysUnavailableError("fal's signing keys cannot be fetched")
        return self._keys

    def refresh(self) -> bool:
        """Look for new keys unless that was done just now; True when a set was fetched."""
        now = self._clock()
        if now - self._tried_at < KEYS_FETCH_INTERVAL:
            return False
        self._tried_at = now
        for url in self._urls:
            if keys := self._fetch(url):
                self._keys, self._fetched_at = keys, now
                return True
        return False

    def _fetch(self, url: str) -> list[VerifyKey]:
        try:
            with self._http.stream("GET", url, timeout=KEYS_SECONDS) as response:
                if not response.is_success:
                    return []
                body = b""
                for chunk in response.iter_bytes(KEYS_MAX_BYTES):
                    body += chunk
                    if len(body) > KEYS_MAX_BYTES:
                        return []
            return read_jwks(body)
        except httpx.HTTPError:
            return []


def read_jwks(body: bytes) -> list[VerifyKey]:
    """The Ed25519 keys of a JWKS document; entries of another kind or form are passed over."""
    try:
        entries = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    keys = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519":
            try:
                x = str(entry["x"])
                # JWKs leave base64 padding out (RFC 8037) and Python wants it.
                keys.append(VerifyKey(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))))
            except (ValueError, KeyError, TypeError):
                continue
    return keys


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
            InvalidDeliveryError: theirs; it is not fal's word about this job, or too old.
            SigningKeysUnavailableError: ours; it cannot be checked now.
        """
        request_id, user_id, timestamp, signature = (headers.get(HEADER + name, "") for name in HEADERS)
        if not (request_id and user_id and re.fullmatch(r"[0-9]{1,12}", timestamp)):
            raise InvalidDeliveryError("a header is missing")
        if not re.fullmatch(r"[0-9a-fA-F]{128}", signature):
            raise InvalidDeliveryError("the signature is not 64 bytes of hex")
        if self._user_id and user_id != self._user_id:
            raise InvalidDeliveryError("the delivery belongs to another account")
        target = Target.from_url(job_id, query, self._secret)
        self._check_signature(signed_message(request_id, user_id, timestamp, body), bytes.fromhex(signature))
        if abs(self._clock() - int(timestamp)) > TOLERANCE:
            raise InvalidDeliveryError("the delivery is stale")
        return _load(target, request_id, body)

    def _check_signature(self, message: bytes, signature: bytes) -> None:
        if not (_fits(self._keys.current(), message, signature) or self._fits_newer_keys(message, signature)):
            raise InvalidDeliveryError("the signature fits none of fal's keys")

    def _fits_newer_keys(self, message: bytes, signature: bytes) -> bool:
        return self._keys.refresh() and _fits(self._keys.current(), message, signature)


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


def _load(target: Target, request_id: str, body: bytes) -> Delivery:
    try:
        content = json.loads(body)
        if content["status"] not in {"OK", "ERROR"}:
            raise InvalidDeliveryError("the delivery's status is neither OK nor ERROR")
        if request_id not in {content["request_id"], content.get("gateway_request_id")}:
            raise InvalidDeliveryError("header and body name different requests")
        return Delivery(
            target=target,
            request_id=content["request_id"],
            succeeded=content["status"] == "OK",
            payload=content.get("payload"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDeliveryError("the body is not a delivery") from error
