"""fal's signing keys: fetched, kept, and served while none can be fetched."""

from collections.abc import Callable

import httpx
import pytest

from shared.errors import InvalidDeliveryError, SigningKeysUnavailableError
from shared.signing_keys import SigningKeys
from tests.shared.signing_keys import (
    DAY,
    DOWN,
    HOUR,
    NEW,
    NOW,
    OLD,
    STRANGER,
    Clock,
    KeyServer,
    Process,
    Shelf,
    http_answer,
    jwk,
    jwks,
)


def test_the_second_key_server_is_asked_when_the_first_is_down(server: KeyServer, clock: Clock, shelf: Shelf) -> None:
    """fal's keys stand under two addresses, and either is enough."""
    with KeyServer() as closed:
        nowhere = closed.url
    with httpx.Client(trust_env=False) as http:
        keys = SigningKeys(http, (nowhere, server.url), clock, shelf.read, shelf.keep)
        assert keys.current() == [OLD.verify_key]
    assert shelf.reads == 0


def test_a_flood_asks_once_in_five_minutes(start: Callable[[], Process], server: KeyServer, clock: Clock) -> None:
    """However many calls fit no key, the server is asked at the first and then each five minutes."""
    process = start()
    for _ in range(100):
        assert not process.takes(STRANGER)
    assert server.calls == 1
    for _ in range(60):
        clock.now += 30
        assert not process.takes(STRANGER)
    assert server.calls == 1 + 6


def test_rotated_keys_are_found(start: Callable[[], Process], server: KeyServer, clock: Clock) -> None:
    """A signature by a new key makes the process look again, once five minutes have passed."""
    process = start()
    assert process.takes(OLD)
    server.tell(http_answer(jwks(OLD, NEW)))
    clock.now += 299
    assert not process.takes(NEW)
    clock.now += 1
    assert process.takes(NEW)
    assert process.takes(OLD)
    assert server.calls == 2


def test_keys_are_kept_once_they_have_verified(
    start: Callable[[], Process], server: KeyServer, clock: Clock, shelf: Shelf
) -> None:
    """Forged, stale and unreadable calls write nothing; the first true delivery after a fetch does, and no other."""
    process = start()
    assert not process.takes(STRANGER)
    with pytest.raises(InvalidDeliveryError, match="stale"):
        process.deliver(OLD, age=301)
    assert shelf.writes == 0
    for _ in range(3):
        assert process.takes(OLD)
    assert (shelf.writes, shelf.kept) == (1, (jwks(OLD).decode(), NOW))
    clock.now += DAY + 1
    assert process.takes(OLD)
    assert (shelf.writes, shelf.kept, server.calls) == (2, (jwks(OLD).decode(), NOW + DAY + 1), 2)
    assert shelf.reads == 0


def test_a_cold_process_asks_the_server_first(start: Callable[[], Process], server: KeyServer, shelf: Shelf) -> None:
    """What is kept is not even read while fal answers."""
    shelf.kept = jwks(STRANGER).decode(), NOW
    process = start()
    assert process.takes(OLD)
    assert not process.takes(STRANGER)
    assert (server.calls, shelf.reads) == (1, 0)


def test_a_cold_process_verifies_without_the_server(
    start: Callable[[], Process], server: KeyServer, clock: Clock, shelf: Shelf
) -> None:
    """In an outage one read brings the kept keys, nothing writes them again, and a flood asks once in five minutes."""
    assert start().takes(OLD)
    server.tell(DOWN)
    clock.now += 2 * HOUR
    process = start()
    assert process.takes(OLD)
    for _ in range(50):
        with pytest.raises(SigningKeysUnavailableError):
            process.deliver(STRANGER)
    assert (server.calls, shelf.reads, shelf.writes) == (2, 1, 1)
    clock.now += 300
    with pytest.raises(SigningKeysUnavailableError):
        process.deliver(STRANGER)
    assert (server.calls, shelf.reads, shelf.writes) == (3, 2, 1)


def test_without_any_key_it_is_looked_for_soon_again(
    start: Callable[[], Process], server: KeyServer, clock: Clock, shelf: Shelf
) -> None:
    """Where neither server nor table have keys, a flood makes one look and one read in ten seconds.

    fal's later tries are still fresh when the keys are there.
    """
    server.tell(DOWN)
    process = start()
    for _ in range(3):
        for _ in range(50):
            with pytest.raises(SigningKeysUnavailableError):
                process.deliver(OLD)
        clock.now += 10
    assert (server.calls, shelf.reads) == (3, 3)
    server.tell(http_answer(jwks(OLD)))
    assert process.takes(OLD)


def test_who_cannot_tell_says_so(start: Callable[[], Process], server: KeyServer, clock: Clock) -> None:
    """A signature that fits no new key is forged; where the keys are old it may be a new key's, and fal is to retry."""
    process = start()
    assert process.takes(OLD)
    server.tell(DOWN)
    clock.now += 299
    assert not process.takes(NEW)
    clock.now += 1
    with pytest.raises(SigningKeysUnavailableError):
        process.deliver(NEW)
    server.tell(http_answer(jwks(NEW)))
    clock.now += 300
    assert process.takes(NEW)
    assert not process.takes(OLD)


def test_another_process_s_newer_keys_are_taken(
    start: Callable[[], Process], server: KeyServer, clock: Clock, shelf: Shelf
) -> None:
    """In an outage a process with old keys learns those that another fetched before; older ones teach it nothing."""
    process = start()
    assert process.takes(OLD)
    shelf.kept = jwks(STRANGER).decode(), NOW - 1
    server.tell(DOWN)
    clock.now += HOUR
    with pytest.raises(SigningKeysUnavailableError):
        process.deliver(STRANGER)
    shelf.kept = jwks(NEW).decode(), NOW + 1
    clock.now += HOUR
    assert process.takes(NEW)


@pytest.mark.parametrize(("age", "good"), [(7 * DAY, True), (7 * DAY + 1, False), (-600, True), (-8 * DAY, False)])
def test_kept_keys_serve_for_a_week(
    start: Callable[[], Process], server: KeyServer, shelf: Shelf, age: int, good: bool
) -> None:
    """Older ones count as none; a clock ten minutes ahead does no harm, and one days ahead is not believed."""
    server.tell(DOWN)
    shelf.kept = jwks(OLD).decode(), NOW - age
    process = start()
    if good:
        assert process.takes(OLD)
    else:
        with pytest.raises(SigningKeysUnavailableError):
            process.deliver(OLD)


@pytest.mark.parametrize(
    "kept", ["", "{}", "<html>", '{"keys": []}', jwks(jwk(bytes(NEW.verify_key), kty="EC")).decode()]
)
def test_a_spoiled_copy_is_none(start: Callable[[], Process], server: KeyServer, shelf: Shelf, kept: str) -> None:
    """What is kept is read as sceptically as what is fetched."""
    server.tell(DOWN)
    shelf.kept = kept, NOW
    with pytest.raises(SigningKeysUnavailableError):
        start().deliver(NEW)


@pytest.mark.parametrize("jump", [-600, 600, -3 * DAY])
def test_a_clock_that_jumps(start: Callable[[], Process], server: KeyServer, clock: Clock, jump: int) -> None:
    """After a jump either way new keys are still looked for, within five minutes and never more often than that."""
    process = start()
    assert process.takes(OLD)
    clock.now += jump
    server.tell(http_answer(jwks(NEW)))
    assert process.takes(NEW)
    for _ in range(20):
        assert not process.takes(STRANGER)
    assert server.calls == 2


def test_a_clock_that_is_set_back_a_little(start: Callable[[], Process], server: KeyServer, clock: Clock) -> None:
    """Seconds back are no reason to look again: the next look is due five minutes after the last, by that clock."""
    process = start()
    for _ in range(100):
        clock.now -= 1
        assert not process.takes(STRANGER)
    assert server.calls == 1
    clock.now = NOW + 300
    assert not process.takes(STRANGER)
    assert server.calls == 2
