"""Addresses: which are public, and how a host's are found."""

import threading
import time

import pytest

from shared.public_addresses import addresses_of, is_public, look_up

PRIVATE = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254"),  # noqa: S104 - nothing binds
    *("169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:20::1"),
    *("2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.1", "2606:4700::6810:84e5", "2a00:1450::8")
NO_ADDRESS = ("", "localhost", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.1", "[::1]", "1.1.1.1:80", "1.1.1.1 ")


@pytest.mark.parametrize("address", [*PRIVATE, *NO_ADDRESS])
def test_what_is_not_public(address: str) -> None:
    """Private, special and tunnelled addresses, whatever they hold, one of an interface's own, and what is none."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    """Ordinary addresses of the Internet."""
    assert is_public(address)


def test_the_system_finds_addresses() -> None:
    """The system's resolver knows this machine, and says its address as `is_public` reads it."""
    assert "127.0.0.1" in look_up("localhost")


def test_each_address_comes_once() -> None:
    """A resolver that repeats itself makes no second try of the same address."""
    assert addresses_of("a.example", time.monotonic() + 5, lambda _: ["1.1.1.1", "8.8.8.8", "1.1.1.1"]) == [
        "1.1.1.1",
        "8.8.8.8",
    ]


def test_a_name_without_addresses() -> None:
    """The resolver's error comes through as it is."""

    def fail(host: str) -> list[str]:
        raise OSError(f"{host} is unknown")

    with pytest.raises(OSError, match=r"a\.example is unknown"):
        addresses_of("a.example", time.monotonic() + 5, fail)


def test_a_resolver_that_never_answers() -> None:
    """It is left at the deadline, while it is still at work."""
    given_up = threading.Event()
    waited: list[bool] = []

    def hang(_: str) -> list[str]:
        waited.append(given_up.wait(10))
        return ["1.1.1.1"]

    with pytest.raises(TimeoutError):
        addresses_of("a.example", time.monotonic() + 0.1, hang)
    assert waited == []
    given_up.set()
