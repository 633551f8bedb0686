"""Webhook calls as they come over the wire, the true ones that fal would make, and how API Gateway hands them over."""

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from nacl.signing import SigningKey

from shared.api import raw_body
from shared.deliveries import Verifier, sign
from shared.errors import InvalidDeliveryError
from shared.settings import WebhookSecret
from shared.signing_keys import SigningKeys
from shared.webhook_urls import Target

NOW = 1_700_000_000
PREFIX = "/webhooks/fal/"
SECRET = WebhookSecret(url="https://api.example", mac_key="k" * 64)
ACCOUNT = "user_2ab3c4"
FAL_OLD, FAL, STRANGER, MISPLACED = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3, 4))
"""Two keys of fal's, one that it does not know, and one whose point fal's document names under other kinds of key."""
REQUEST_ID, USER_ID, TIMESTAMP, SIGNATURE = SIGNED = (
    "X-Fal-Webhook-Request-Id",
    "X-Fal-Webhook-User-Id",
    "X-Fal-Webhook-Timestamp",
    "X-Fal-Webhook-Signature",
)
Random = random.Random


def seeded(*parts: object) -> Random:
    """A source of chance that is the same for the same parts."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - it makes test cases, and no secret


@dataclass(frozen=True)
class Call:
    """One POST: path and query as they are sent, headers in their order, and whether the gateway wraps the body."""

    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    wrapped: bool = False

    def value(self, name: str) -> str:
        """A header's first value."""
        return next(value for key, value in self.headers if key == name)

    @property
    def texts(self) -> tuple[str, str, str]:
        """Request, account and timestamp."""
        return self.value(REQUEST_ID), self.value(USER_ID), self.value(TIMESTAMP)

    def with_values(self, **values: str) -> "Call":
        """The call with other values of headers; underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in values.items()}
        return replace(self, headers=tuple((key, named.get(key, value)) for key, value in self.headers))

    def signed(self, key: SigningKey = FAL, **values: str) -> "Call":
        """The call with other values or another body, signed for them; by fal unless told otherwise."""
        made = self.with_values(**values)
        return made.with_values(**{SIGNATURE.replace("-", "_"): signature(key, *made.texts, made.body)})

    @cached_property
    def event(self) -> dict[str, Any]:
        """What API Gateway makes of it: names in small letters, repeated ones joined by commas (AWS docs: HTTP API)."""
        headers, query = join(self.headers, str.lower), join(parse_qsl(self.query, keep_blank_values=True), str)
        event: dict[str, Any] = {"version": "2.0", "headers": headers, "queryStringParameters": query}
        event["pathParameters"] = {"job_id": unquote(self.path.removeprefix(PREFIX))}
        try:
            text = None if self.wrapped else self.body.decode()
        except UnicodeDecodeError:
            text = None
        wrapped = text is None
        return event | {"body": base64.b64encode(self.body).decode() if wrapped else text, "isBase64Encoded": wrapped}

    @property
    def meaning(self) -> tuple[object, ...]:
        """All that a delivery says: calls of one meaning are one delivery, however they are written down.

        A signature is bytes, so its hex may have small or capital letters.
        """
        headers, query = self.event["headers"], self.event["queryStringParameters"]
        texts = [headers.get(name.lower()) for name in SIGNED]
        if texts[3] is not None and texts[3].isascii():
            texts[3] = texts[3].lower()
        return self.event["pathParameters"]["job_id"], query.get("attempt"), query.get("mac"), *texts, self.body


def join(pairs: Any, name: Callable[[str], str]) -> dict[str, str]:
    """Values by name, those of one name joined by commas."""
    joined: dict[str, str] = {}
    for key, value in pairs:
        joined[name(key)] = f"{joined[name(key)]},{value}" if name(key) in joined else value
    return joined


def signature(key: SigningKey, request_id: str, user_id: str, timestamp: str, body: bytes) -> str:
    """A true signature of texts that need not be what they should."""
    return key.sign("\n".join([request_id, user_id, timestamp, digest(body)]).encode()).signature.hex()


def digest(body: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(body).hexdigest()


def true_calls(seed: object, count: int = 60) -> list[Call]:
    """Calls that fal would make: all forms of body, both of its keys, timestamps up to five minutes off."""
    return [_true_call(seeded(seed, "true", number), number) for number in range(count)]


def _true_call(rng: Random, number: int) -> Call:
    request_id, gateway_id = (str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(2))
    event = _event(rng, number) | {"request_id": request_id, "gateway_request_id": gateway_id}
    if number % 2:
        event["gateway_request_id"] = request_id
    body = json.dumps(event, sort_keys=True).encode()
    target = Target(f"{rng.getrandbits(128):032x}", rng.choice([1, 1, 2, 10, 999_999]))
    named = rng.choice([request_id, event["gateway_request_id"]])
    timestamp = NOW + rng.choice([-300, -299, -1, 0, 0, 1, 300])
    headers = sign(rng.choice([FAL_OLD, FAL]), request_id=named, user_id=ACCOUNT, timestamp=timestamp, body=body)
    parts = urlsplit(target.url(SECRET))
    named_headers = zip(SIGNED, headers.values(), strict=True)
    return Call(parts.path, parts.query, (("Content-Type", "application/json"), *named_headers), body)


def _event(rng: Random, number: int) -> dict[str, Any]:
    """One of the bodies that fal's documents and captured calls show."""
    payload: dict[str, Any]
    match number % 6:
        case 0:
            detail = [{"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}]
            return {"status": "ERROR", "error": "Invalid status code: 422", "payload": {"detail": detail}}
        case 1:
            payload = {"detail": "Request timed out", "error_type": "request_timeout"}
            return {"status": "ERROR", "error": "Invalid status code: 504", "payload": payload}
        case 2:
            return {"status": "OK", "payload": None, "payload_error": "Response payload is not JSON serializable."}
        case 3:
            picture = {"url": f"data:image/png;base64,{base64.b64encode(rng.randbytes(600)).decode()}"}
            return {"status": "OK", "error": None, "payload": {"images": [picture]}}
    images = [
        {"content_type": "image/jpeg", "height": 1024, "url": f"https://v3.fal.media/{rng.random()}", "width": 1024}
        for _ in range(rng.randint(1, 4))
    ]
    payload = {
        "has_nsfw_concepts": [False] * len(images),
        "images": images,
        "prompt": rng.choice(["a red shoe", "ein Schuh, größer", "\u9774\U0001f45f", "line\nbreak"]),
        "seed": 17454220438242315174,
        "timings": {"inference": 2.107286687077714},
    }
    return {"status": "OK", "error": None, "payload": payload}


def judge(account: str) -> Callable[[Call], bool]:
    """The real verifier behind the real reading of an event, with fal's keys: whether it takes a call.

    With an account, deliveries of other accounts are to be refused.
    """
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(_jwks()))))
    keys = SigningKeys(http, ("https://fal.example/jwks",), lambda: NOW, lambda: None, lambda *_: None)
    verifier = Verifier(lambda: SECRET, keys, account, lambda: NOW)

    def takes(call: Call) -> bool:
        event = APIGatewayProxyEventV2(call.event)
        job_id = event.path_parameters.get("job_id", "")
        try:
            verifier.verify(job_id, event.query_string_parameters, event.headers, raw_body(event))
        except InvalidDeliveryError:
            return False
        return True

    return takes


def encoded(point: bytes) -> str:
    """base64url without padding, as JWKs have it."""
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _jwks() -> bytes:
    misplaced = encoded(bytes(MISPLACED.verify_key))
    kinds = [("OKP", "X25519"), ("OKP", "Ed448"), ("EC", "P-256"), ("RSA", "Ed25519"), ("oct", "Ed25519"), ("OKP", "")]
    foreign = [{"kty": kty, "crv": crv, "x": misplaced, "k": misplaced} for kty, crv in kinds]
    neutral = {"kty": "OKP", "crv": "Ed25519", "x": encoded(b"\1" + b"\0" * 31)}
    own = [{"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes(key.verify_key))} for key in (FAL_OLD, FAL)]
    return json.dumps({"keys": [*foreign, neutral, *own]}).encode()
