"""fal's public keys, with which its deliveries are verified (fal docs: webhooks)."""

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import VerifyKey

from shared.errors import SigningKeysUnavailableError

KEYS_MAX_AGE = 24 * 3600
"""Seconds after which fal's keys are to be fetched again (fal docs: webhooks)."""
KEYS_MAX_STALE = 7 * 24 * 3600
"""Seconds for which keys are used while newer ones cannot be fetched; after that they count as none."""
KEYS_FETCH_INTERVAL = 300
"""Seconds between two looks for new keys, so that a flood of forged calls causes one look at most."""
KEYS_FIRST_INTERVAL = 10
"""The same, as long as no key is known at all."""
KEYS_MAX_BYTES = 65_536
KEYS_SECONDS = 3
"""How long one key server's whole answer may take; fal waits 15 s for the answer to a delivery."""


class SigningKeys:
    """fal's public keys: the newest there are, looked for every five minutes at most, and old ones rather than none.

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
            SigningKeysUnavailableError: none that are young enough are known, and none can be fetched now.
        """
        if self._age() > KEYS_MAX_AGE:
            self.refresh()
        if self._age() > KEYS_MAX_STALE:
            raise SigningKeysUnavailableError("fal's signing keys cannot be fetched")
        return self._keys

    @property
    def are_new(self) -> bool:
        """Whether they are as new as keys may be: a signature that fits none of them is forged."""
        return self._age() < KEYS_FETCH_INTERVAL

    def refresh(self) -> bool:
        """Look for newer keys unless that was done just now; True when there are some."""
        now = self._clock()
        # fal does not re-sign its retries, and they grow stale: without any key five minutes would lose them all.
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
