"""Which IP addresses are public, and the addresses of a host.

A name that strangers control can point anywhere, and elsewhere a moment later. So a host is looked up once, its
addresses are judged, and the connection goes to an address that was judged.
"""

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
