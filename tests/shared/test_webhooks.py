"""The verifier: one valid delivery, and each test spoils one thing."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey
from pydantic import ValidationError

from shared.deliveries import Verifier, sign, signed_message
from shared.errors import InvalidDeliveryError
from shared.settings import WebhookSecret
from shared.signing_keys import SigningKeys
from shared.webhook_urls import Target

KEY = SigningKey(bytes(range(32)))
NOW = 1_700_000_000
SECRET = WebhookSecret(url="https://api.example", mac_key="k" * 64)
TARGET = Target("0123abcd", 1)
BODY = b'{"error": null, "gateway_request_id": "r1", "payload": {"images": []}, "request_id": "r1", "status": "OK"}'
SPKI_ORDER = 2**252 + 27742317777372353535851937790883648493


def jwks(*keys: SigningKey) -> bytes:
    """A JWKS document with unpadded keys, as fal publishes it."""
    encoded = [base64.urlsafe_b64encode(bytes(key.verify_key)).decode().rstrip("=") for key in keys]
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x} for x in encoded]}).encode()


def query(target: Target = TARGET, secret: WebhookSecret = SECRET) -> dict[str, str]:
    """The query of the URL that fal was given."""
    return dict(httpx.URL(target.url(secret)).params)


@pytest.fixture
def make() -> Callable[..., Verifier]:
    """Builds a verifier that knows fal's key and another; it may be pinned to an account."""

    def build(user_id: str = "", secret: WebhookSecret = SECRET) -> Verifier:
        document = jwks(SigningKey(b"\1" * 32), KEY)
        http = httpx.Client(
            transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(document)))
        )
        keys = SigningKeys(http, ("https://fal.example/jwks",), lambda: NOW, lambda: None, lambda *_: None)
        return Verifier(lambda: secret, keys, user_id, lambda: NOW)

    return build


def headers(body: bytes = BODY, **changes: Any) -> dict[str, str]:
    """Valid headers of a body, but for the changes."""
    return sign(KEY, **{"request_id": "r1", "user_id": "user_1", "timestamp": NOW, "body": body, **changes})


def test_the_known_vector_is_signed_as_fal_signs() -> None:
    """Message, public key and signature equal the figures that were computed from fal's description."""
    assert (
        signed_message("r1", "user_1", str(NOW), BODY)
        == b"r1\nuser_1\n1700000000\n44d5e73d85a825fb0bf53a4ff78c767d760b202dad0a08c11b8b616c23779d45"
    )
    signature = headers()["x-fal-webhook-signature"]
    assert signature.startswith("f7ebbaf2ae75c61eae1b6545820d40b2")
    assert signature.endswith("02809a90c72bcc1be8b7d04f6de8c521c53a9b802bca4a817803")


def test_a_true_delivery_is_read(make: Callable[..., Verifier]) -> None:
    """All checks pass, and the delivery says which job, attempt and request it is about."""
    delivery = make().verify(TARGET.job_id, query(), headers(), BODY)
    assert (delivery.target, delivery.request_id, delivery.succeeded) == (TARGET, "r1", True)
    assert delivery.payload == {"images": []}


def _flip(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


def _with(name: str, value: str | None) -> dict[str, str]:
    given = headers() | ({name: value} if value is not None else {})
    return {key: item for key, item in given.items() if value is not None or key != name}


def _non_canonical(signature: str) -> str:
    scalar = int.from_bytes(bytes.fromhex(signature[64:]), "little") + SPKI_ORDER
    return signature[:64] + scalar.to_bytes(32, "little").hex()


SIGNATURE = "x-fal-webhook-signature"
SPOILED: dict[str, tuple[str, dict[str, str], dict[str, str], bytes]] = {
    "no request id": (TARGET.job_id, query(), _with("x-fal-webhook-request-id", None), BODY),
    "no user id": (TARGET.job_id, query(), _with("x-fal-webhook-user-id", None), BODY),
    "no timestamp": (TARGET.job_id, query(), _with("x-fal-webhook-timestamp", None), BODY),
    "no signature": (TARGET.job_id, query(), _with(SIGNATURE, None), BODY),
    "another request id": (TARGET.job_id, query(), _with("x-fal-webhook-request-id", "r2"), BODY),
    "a request id with a line too many": (
        TARGET.job_id,
        query(),
        headers(request_id="r1\nuser_1")
        | {"x-fal-webhook-request-id": "r1", "x-fal-webhook-user-id": "user_1\nuser_1"},
        BODY,
    ),
    "a request id that is no text": (TARGET.job_id, query(), _with("x-fal-webhook-request-id", "\ud800"), BODY),
    "an Arabic timestamp": (TARGET.job_id, query(), _with("x-fal-webhook-timestamp", "\u0661" * 10), BODY),
    "another user id": (TARGET.job_id, query(), _with("x-fal-webhook-user-id", "user_2"), BODY),
    "another timestamp": (TARGET.job_id, query(), _with("x-fal-webhook-timestamp", str(NOW + 1)), BODY),
    "a timestamp in words": (TARGET.job_id, query(), _with("x-fal-webhook-timestamp", "now"), BODY),
    "a doubled timestamp": (TARGET.job_id, query(), _with("x-fal-webhook-timestamp", f"{NOW},{NOW}"), BODY),
    "a flipped signature": (TARGET.job_id, query(), _with(SIGNATURE, _flip(headers()[SIGNATURE])), BODY),
    "a short signature": (TARGET.job_id, query(), _with(SIGNATURE, headers()[SIGNATURE][:-2]), BODY),
    "a doubled signature": (TARGET.job_id, query(), _with(SIGNATURE, ",".join([headers()[SIGNATURE]] * 2)), BODY),
    "a signature not of hex": (TARGET.job_id, query(), _with(SIGNATURE, "g" * 128), BODY),
    "an empty signature": (TARGET.job_id, query(), _with(SIGNATURE, "0" * 128), BODY),
    "a non-canonical signature": (TARGET.job_id, query(), _with(SIGNATURE, _non_canonical(headers()[SIGNATURE])), BODY),
    "a changed body": (TARGET.job_id, query(), headers(), BODY.replace(b"OK", b"ok")),
    "a re-serialised body": (
        TARGET.job_id,
        query(),
        headers(),
        json.dumps(json.loads(BODY), separators=(",", ":")).encode(),
    ),
    "a body cut short": (TARGET.job_id, query(), headers(), BODY[:-1]),
    "301 s old": (TARGET.job_id, query(), headers(timestamp=NOW - 301), BODY),
    "301 s ahead": (TARGET.job_id, query(), headers(timestamp=NOW + 301), BODY),
    "a stranger's key": (
        TARGET.job_id,
        query(),
        sign(SigningKey(b"\2" * 32), request_id="r1", user_id="user_1", timestamp=NOW, body=BODY),
        BODY,
    ),
    "another job": ("ffff", query(), headers(), BODY),
    "another attempt": (TARGET.job_id, query() | {"attempt": "2"}, headers(), BODY),
    "no MAC": (TARGET.job_id, {"attempt": "1"}, headers(), BODY),
    "another MAC": (TARGET.job_id, query() | {"mac": _flip(query()["mac"])}, headers(), BODY),
    "a MAC of another secret": (TARGET.job_id, query(secret=WebhookSecret(url="", mac_key="x")), headers(), BODY),
    "no query": (TARGET.job_id, {}, headers(), BODY),
    "a body that is no JSON": (TARGET.job_id, query(), headers(b"no"), b"no"),
    "a body that is a list": (TARGET.job_id, query(), headers(b"[]"), b"[]"),
    "a third status": (
        TARGET.job_id,
        query(),
        headers(BODY.replace(b'"OK"', b'"MAYBE"')),
        BODY.replace(b'"OK"', b'"MAYBE"'),
    ),
    "a body about another request": (
        TARGET.job_id,
        query(),
        headers(BODY.replace(b"r1", b"r2")),
        BODY.replace(b"r1", b"r2"),
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_whatever_is_spoiled_is_refused(make: Callable[..., Verifier], what: str) -> None:
    """One thing wrong with a true delivery, and it is none."""
    with pytest.raises(InvalidDeliveryError):
        make().verify(*SPOILED[what])


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_five_minutes_either_way_are_tolerated(make: Callable[..., Verifier], offset: int) -> None:
    """The tolerance includes its ends."""
    assert make().verify(TARGET.job_id, query(), headers(timestamp=NOW + offset), BODY).request_id == "r1"


def test_a_pinned_account_refuses_others(make: Callable[..., Verifier]) -> None:
    """A delivery that fal signed for another account is refused where the account is set."""
    assert make("user_1").verify(TARGET.job_id, query(), headers(), BODY).request_id == "r1"
    with pytest.raises(InvalidDeliveryError, match="another account"):
        make("user_1").verify(TARGET.job_id, query(), headers(user_id="user_2"), BODY)


def test_a_retried_request_is_known_by_its_gateway_id(make: Callable[..., Verifier]) -> None:
    """After fal's own retry the header may name the last try; the delivery is about the request."""
    body = BODY.replace(b'"gateway_request_id": "r1"', b'"gateway_request_id": "r9"')
    delivery = make().verify(TARGET.job_id, query(), headers(body, request_id="r9"), body)
    assert delivery.request_id == "r1"


ROTATED = WebhookSecret(url=SECRET.url, mac_key="n" * 64, previous_mac_key=SECRET.mac_key)


def test_a_rotated_mac_key_takes_deliveries_under_way(make: Callable[..., Verifier]) -> None:
    """While the secret holds the previous key too, MACs of both are good, and new URLs carry the new one."""
    verifier = make(secret=ROTATED)
    assert query(secret=ROTATED)["mac"] != query()["mac"]
    for given in (query(), query(secret=ROTATED)):
        assert verifier.verify(TARGET.job_id, given, headers(), BODY).target == TARGET


def test_the_key_to_come_may_be_taken_before_it_is_used(make: Callable[..., Verifier]) -> None:
    """The second place may hold the next key as well: then no process is behind when URLs begin to carry its MAC."""
    ahead = WebhookSecret(url=SECRET.url, mac_key=SECRET.mac_key, previous_mac_key=ROTATED.mac_key)
    assert query(secret=ahead) == query()
    assert make(secret=ahead).verify(TARGET.job_id, query(secret=ROTATED), headers(), BODY).target == TARGET


@pytest.mark.parametrize("previous", ["", "another"])
def test_a_mac_key_that_is_gone_is_refused(make: Callable[..., Verifier], previous: str) -> None:
    """Neither the MAC of a key that the secret no longer holds is good, nor that of an empty one."""
    secret = WebhookSecret(url="", mac_key="n" * 64, previous_mac_key=previous)
    for mac_key in (SECRET.mac_key, "" if not previous else "y"):
        forged = {"attempt": "1", "mac": TARGET.mac(mac_key)}
        with pytest.raises(InvalidDeliveryError, match="MAC"):
            make(secret=secret).verify(TARGET.job_id, forged, headers(), BODY)


def test_an_empty_mac_key_is_no_secret() -> None:
    """Whoever empties the key learns it at once, and does not let everybody in."""
    with pytest.raises(ValidationError):
        WebhookSecret(url="", mac_key="")
