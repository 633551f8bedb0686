"""fal's webhook calls: the URL that we hand out, and the proof that a call is fal's word about this job.

The signature shows that fal signed the call, for any of its customers (fal docs: webhooks); the MAC in the URL shows
that it is about our job.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import httpx
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from shared.errors import InvalidDeliveryError, SigningKeysUnavailableError, StaleDeliveryError
from shared.fal_words import clean
from shared.jobs import MAX_REQUEST_ID, Record
from shared.settings import WebhookSecret

TOLERANCE = 300
"""Seconds that a delivery's timestamp may be off."""
KEYS_MAX_AGE = 24 * 3600
"""Seconds after which fal's keys are to be fetched again (fal docs: webhooks)."""
KEYS_MAX_STALE = 7 * 24 * 3600
"""Seconds for which keys serve while no newer ones can be had; after that they count as none."""
KEYS_FETCH_INTERVAL = 300
"""Seconds between two looks for new keys, so that a flood of forged calls causes one look at most."""
KEYS_FIRST_INTERVAL = 10
"""The same, as long as no key is known at all."""
KEYS_MAX_BYTES = 65_536
KEYS_SECONDS = 3
"""How long one key server's whole answer may take; fal waits 15 s for the answer to a delivery."""

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
        if not any(hmac.compare_digest(target.mac(mac_key), mac) for mac_key in secret().mac_keys):
            raise InvalidDeliveryError("the MAC does not fit")
        return target


class Delivery(Record):
    """One verified webhook call. Nothing but `Verifier.verify` makes one."""

    target: Target
    request_id: str
    user_id: str
    succeeded: bool
    payload: Any = None
    error: str | None = None


class SigningKeys:
    """fal's public keys: the newest that can be had, looked for every five minutes at most, old ones rather than none.

    Two places know them: fal's key server, which is asked first, and what `read` gives of what `keep` was handed, a
    JWKS document and the time of its fetch. Ages are taken without their sign, so that a clock that was set back does
    not hold up the next look.
    """

    def __init__(
        self,
        http: httpx.Client,
        urls: tuple[str, ...],
        clock: Callable[[], float],
        read: Callable[[], tuple[str, float] | None],
        keep: Callable[[str, float], None],
    ) -> None:
        self._http = http
        self._urls = urls
        self._clock = clock
        self._read = read
        self._keep = keep
        self._keys: list[VerifyKey] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._unkept: str | None = None

    def current(self) -> list[VerifyKey]:
        """The keys to verify with.

        Raises:
            SigningKeysUnavailableError: none that are young enough are known, and none can be had now.
        """
        if self._age() > KEYS_MAX_AGE:
            self.refresh()
        if self._age() > KEYS_MAX_STALE:
            raise SigningKeysUnavailableError("fal's signing keys cannot be had")
        return self._keys

    @property
    def are_new(self) -> bool:
        """Whether they are as new as keys may be: a signature that fits none of them is forged."""
        return self._age() < KEYS_FETCH_INTERVAL

    def refresh(self) -> bool:
        """Look for newer keys unless that was done just now; True when there are some."""
        now = self._clock()
        # fal does not sign its tries anew, and they grow stale: without any key five minutes would lose them all.
        interval = KEYS_FETCH_INTERVAL if self._age() <= KEYS_MAX_STALE else KEYS_FIRST_INTERVAL
        if abs(now - self._tried_at) < interval:
            return False
        self._tried_at = now
        for url in self._urls:
            document = self._fetch_in_time(url)
            if self._take(document, now):
                self._unkept = document
                return True
        kept = self._read()
        # A time ahead of this clock's is not for that the newer one.
        return kept is not None and abs(now - kept[1]) < self._age() and self._take(*kept)

    def confirm(self) -> None:
        """Keep freshly fetched keys outside the process too, once, now that a true delivery has fitted them."""
        if self._unkept is not None:
            document, self._unkept = self._unkept, None
            self._keep(document, self._fetched_at)

    def _age(self) -> float:
        return abs(self._clock() - self._fetched_at)

    def _take(self, document: str, fetched_at: float) -> bool:
        keys = read_jwks(document)
        if keys:
            self._keys, self._fetched_at, self._unkept = keys, fetched_at, None
        return bool(keys)

    def _fetch_in_time(self, url: str) -> str:
        """Fetch a document, or nothing; a server that sends it by the byte is left behind with its thread.

        httpx bounds each step alone, and looking up a name not at all.
        """
        pool = ThreadPoolExecutor(1)
        try:
            return pool.submit(self._fetch, url).result(KEYS_SECONDS)
        except (httpx.HTTPError, ValueError, TimeoutError):
            return ""
        finally:
            pool.shutdown(wait=False)

    def _fetch(self, url: str) -> str:
        deadline = time.monotonic() + KEYS_SECONDS
        # Bytes are taken as they are on the wire, so that a few of them cannot unpack into very many.
        headers = {"Accept-Encoding": "identity"}
        body = b""
        with self._http.stream("GET", url, headers=headers, timeout=KEYS_SECONDS) as response:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > KEYS_MAX_BYTES or time.monotonic() > deadline:
                    return ""
            return body.decode() if response.is_success else ""


def read_jwks(document: str) -> list[VerifyKey]:
    """The Ed25519 keys of a JWKS document; entries of another kind or form are passed over.

    So are keys for which anyone can sign: points of small order.
    """
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    keys = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519":
            try:
                x = str(entry["x"])
                # JWKs leave base64 padding out (RFC 8037) and Python wants it.
                point = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
                if crypto_core_ed25519_is_valid_point(point):
                    keys.append(VerifyKey(point))
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
            raise SigningKeysUnavailableError("the signature may be of a key that cannot be had now")
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
