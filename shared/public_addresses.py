"""Which IP addresses are public, and the addresses of a host.

A name that strangers control can point anywhere, and elsewhere a moment later. So a host is looked up once, its
addresses are judged, and the connection goes to an address that was judged.
"""

import re
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network

LookUp = Callable[[str], Iterable[str]]
"""All addresses of a host; raises OSError where it has none now."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The only part of IPv6 that hosts on the Internet have (RFC 4291, IANA's registry).

Outside are unspecified, loopback, link-local, private and multicast addresses, and the ones that hold an IPv4 address:
mapped, compatible, NAT64.
"""

SPECIAL = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)
"""What `is_global` takes for public, or did in some version of Python."""


def is_public(address: str) -> bool:
    """Whether a host on the Internet can have this address; False for what is no address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    # A zone (`%eth0`) is a word about this machine's own networks.
    ordinary = isinstance(ip, IPv4Address) or (ip in GLOBAL_UNICAST and ip.scope_id is None)
    return ordinary and ip.is_global and not ip.is_multicast and not any(ip in network for network in SPECIAL)


PRIVATE_NAMES = frozenset(
    {
        *("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "home.arpa"),
        *("corp", "private", "invalid", "test"),
    }
)
"""Ends of names that mean nothing on the Internet, or another machine on each network (RFC 6761, 6762, 8375)."""


def may_be_public(host: str) -> bool:
    """Whether a host, as a URL spells it, can be one on the Internet; a name is not looked up.

    IPv4 addresses have spellings that only some clients know (`127.1`, `0x7f000001`): of these none is taken.
    """
    host = host.removesuffix(".").lower()
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        return is_public(host)
    labels = host.split(".")
    is_number = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]) is not None
    ends = {".".join(labels[-count:]) for count in (1, 2)}
    return len(labels) > 1 and all(labels) and not is_number and not ends & PRIVATE_NAMES


def look_up(host: str) -> list[str]:
    """Ask the system's resolver for all addresses of a host.

    Raises:
        OSError: it has none, or the resolver failed.
    """
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def addresses_of(host: str, deadline: float, ask: LookUp) -> list[str]:
    """The addresses of a host, each once, before `deadline` (time.monotonic); a resolver keeps no time of its own.

    Raises:
        OSError: there are none now; TimeoutError is one.
    """
    pool = ThreadPoolExecutor(1)
    try:
        asked = pool.submit(ask, host)
        return list(dict.fromkeys(asked.result(max(deadline - time.monotonic(), 0))))
    finally:
        pool.shutdown(wait=False)
