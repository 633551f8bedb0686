"""What a key server may answer, and that useless documents replace no keys."""

import gzip
import json
from collections.abc import Callable

import pytest

import shared.signing_keys
from shared.errors import SigningKeysUnavailableError
from shared.signing_keys import read_jwks
from tests.shared.signing_keys import (
    DAY,
    DOWN,
    NEW,
    OLD,
    SMALL_ORDER,
    Clock,
    KeyServer,
    Process,
    Shelf,
    http_answer,
    jwk,
    jwks,
)

POINT = bytes(NEW.verify_key)
USELESS: dict[str, bytes] = {
    "down": DOWN,
    "not found": http_answer(jwks(NEW), "404 Not Found"),
    "moved": http_answer(jwks(NEW), "302 Found", Location="/.well-known/jwks.json"),
    "nothing at all": b"",
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x46",
    "cut short": http_answer(jwks(NEW), Content_Length="5000"),
    "empty": http_answer(b""),
    "no keys": http_answer(jwks()),
    "oversized": http_answer(jwks(NEW, {"padding": "x" * 70_000})),
    "a bomb": http_answer(gzip.compress(jwks(NEW) + b" " * 50_000_000), Content_Encoding="gzip"),
    "packed": http_answer(gzip.compress(jwks(NEW)), Content_Encoding="gzip"),
    "a page": http_answer(b"<!doctype html><title>fal</title>"),
    "another encoding": http_answer(jwks(NEW).decode().encode("utf-16")),
    "a list": http_answer(json.dumps([jwk(POINT)]).encode()),
    "no list": http_answer(json.dumps({"keys": jwk(POINT)}).encode()),
    "odd entries": http_answer(jwks(7, None, [], {"kty": "OKP", "crv": "Ed25519"}, jwk(POINT, x=7), jwk(POINT, x="é"))),
    "nested": http_answer(b'{"keys": ' + b"[" * 30_000),
    "RSA": http_answer(jwks(jwk(POINT, kty="RSA"), {"kty": "RSA", "n": "AQAB", "e": "AQAB"})),
    "EC": http_answer(jwks(jwk(POINT, kty="EC", crv="P-256"))),
    "X25519": http_answer(jwks(jwk(POINT, crv="X25519"), jwk(POINT, crv="ed25519"), jwk(POINT, crv=None))),
    "a shared secret": http_answer(jwks(jwk(POINT, kty="oct", k=jwk(POINT)["x"]))),
    "short and long": http_answer(jwks(jwk(POINT[:-1]), jwk(POINT + b"\0"), jwk(b""))),
    "small order": http_answer(jwks(*(jwk(bytes.fromhex(point)) for point in SMALL_ORDER))),
    "no point": http_answer(jwks(jwk(b"\2" + b"\0" * 31), jwk(b"\xff" * 32))),
}


@pytest.mark.parametrize("what", USELESS)
def test_a_useless_document_replaces_no_keys(
    start: Callable[[], Process], server: KeyServer, clock: Clock, shelf: Shelf, what: str
) -> None:
    """With no keys that makes it our fault; kept ones outlive it, and the next good document is taken."""
    warm = start()
    assert warm.takes(OLD)
    server.tell(USELESS[what])
    shelf.kept = None
    with pytest.raises(SigningKeysUnavailableError):
        start().deliver(OLD)
    clock.now += DAY + 1
    calls = server.calls
    assert warm.takes(OLD)
    assert server.calls == calls + 1
    server.tell(http_answer(jwks(NEW)))
    clock.now += 300
    assert warm.takes(NEW)
    assert not warm.takes(OLD)


GOOD = http_answer(jwks(OLD))
SLOW: dict[str, tuple[bytes, int, float]] = {
    "silent": (GOOD, 0, 60),
    "by the byte": (GOOD, 0, 0.02),
    "headers by the byte": (http_answer(b""), 17, 0.02),
    "body by the byte": (GOOD, len(GOOD) - 40, 0.02),
    "last byte missing": (GOOD, len(GOOD) - 1, 60),
}


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_server_is_left_in_time(
    start: Callable[[], Process], server: KeyServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A good document that would be whole some time is given up while its server is still at it."""
    monkeypatch.setattr(shared.signing_keys, "KEYS_SECONDS", 0.3)
    answer, whole, pause = SLOW[how]
    server.tell(answer, whole=whole, pause=pause)
    with pytest.raises(SigningKeysUnavailableError):
        start().deliver(OLD)
    assert (server.calls, server.finished) == (1, False)
    monkeypatch.undo()
    server.tell(GOOD)
    assert start().takes(OLD)


def test_a_document_is_asked_for_unpacked(start: Callable[[], Process], server: KeyServer) -> None:
    """Servers that pack what they send, where they may, are told not to; and no key of ours goes to them."""
    assert start().takes(OLD)
    assert b"accept-encoding: identity\r\n" in server.asked.lower()
    assert b"authorization" not in server.asked.lower()


def test_odd_entries_of_a_key_set_are_passed_over() -> None:
    """Keys of another kind, damaged ones, and those for which anyone can sign, do not spoil the rest."""
    odd = [7, {"kty": "RSA"}, jwk(b"short"), {"kty": "OKP"}, *(jwk(bytes.fromhex(point)) for point in SMALL_ORDER)]
    assert read_jwks(jwks(*odd, OLD, jwk(POINT, x=jwk(POINT)["x"] + "=")).decode()) == [OLD.verify_key, NEW.verify_key]
