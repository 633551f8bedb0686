"""A key server on this machine, and processes that verify with its keys."""

import base64
import json
import socketserver
import time
from typing import Any

import httpx
from nacl.signing import SigningKey

from shared.deliveries import Delivery, Verifier, sign
from shared.errors import InvalidDeliveryError
from shared.settings import WebhookSecret
from shared.signing_keys import SigningKeys
from shared.webhook_urls import Target

OLD, NEW, STRANGER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
NOW = 1_700_000_000
HOUR = 3600
DAY = 24 * HOUR
SECRET = WebhookSecret(url="https://api.example", mac_key="k" * 64)
TARGET = Target("0" * 32, 1)
BODY = b'{"error": null, "gateway_request_id": "r1", "payload": {"images": []}, "request_id": "r1", "status": "OK"}'
# The eight points of small order, as libsodium and RFC 8032 encode them, and two of them written in a second way.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def jwk(point: bytes, **changes: Any) -> dict[str, Any]:
    """A public key as fal publishes it, but for the changes."""
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(point).decode().rstrip("=")} | changes


def jwks(*keys: Any) -> bytes:
    """A JWKS document of keys, or of entries as they are."""
    entries = [jwk(bytes(key.verify_key)) if isinstance(key, SigningKey) else key for key in keys]
    return json.dumps({"keys": entries}).encode()


def http_answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer on the wire."""
    fields = {"Content_Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class KeyServer(socketserver.ThreadingTCPServer):
    """A server that answers every call with the bytes that it is told, whole or by the byte, and notes the calls."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answer = http_answer(jwks(OLD))
        self.whole = 0
        self.pause = 0.0
        self.calls = 0
        self.asked = b""
        self.finished = False

    @property
    def url(self) -> str:
        """Where the document is."""
        return f"http://127.0.0.1:{self.server_address[1]}/.well-known/jwks.json"

    def tell(self, answer: bytes, *, whole: int | None = None, pause: float = 0.0) -> None:
        """Answer so from now on: the first `whole` bytes at once, and each later one after a pause in seconds."""
        self.answer, self.whole, self.pause = answer, len(answer) if whole is None else whole, pause


class _Answer(socketserver.BaseRequestHandler):
    server: KeyServer

    def handle(self) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += self.request.recv(4096)
        self.server.calls += 1
        self.server.asked, self.server.finished = asked, False
        answer, pause = self.server.answer, self.server.pause
        try:
            self.request.sendall(answer[: self.server.whole])
            for place in range(self.server.whole, len(answer)):
                time.sleep(pause)
                self.request.sendall(answer[place : place + 1])
        except OSError:
            # The caller has had enough.
            return
        self.server.finished = True


class Clock:
    """Seconds that the test sets."""

    now = float(NOW)

    def __call__(self) -> float:
        """Give the time."""
        return self.now


class Shelf:
    """A place outside the process; notes what is asked of it."""

    def __init__(self) -> None:
        self.kept: tuple[str, float] | None = None
        self.reads = 0
        self.writes = 0

    def read(self) -> tuple[str, float] | None:
        """Give what is kept."""
        self.reads += 1
        return self.kept

    def keep(self, document: str, fetched_at: float) -> None:
        """Keep a document."""
        self.writes += 1
        self.kept = document, fetched_at


class Process:
    """One process's verifier, and deliveries to try it with."""

    def __init__(self, url: str, clock: Clock, shelf: Shelf, http: httpx.Client) -> None:
        self._clock = clock
        self.keys = SigningKeys(http, (url,), clock, shelf.read, shelf.keep)
        self._verifier = Verifier(lambda: SECRET, self.keys, "", clock)

    def deliver(self, key: SigningKey, age: int = 0) -> Delivery:
        """Verify a delivery that a key has signed."""
        timestamp = int(self._clock.now) - age
        headers = sign(key, request_id="r1", user_id="user_1", timestamp=timestamp, body=BODY)
        query = dict(httpx.URL(TARGET.url(SECRET)).params)
        return self._verifier.verify(TARGET.job_id, query, headers, BODY)

    def takes(self, key: SigningKey) -> bool:
        """Whether a delivery by this key is verified; False for refused, an error for what cannot be told."""
        try:
            return self.deliver(key).succeeded
        except InvalidDeliveryError:
            return False


DOWN = http_answer(b"", "503 Service Unavailable")
