"""Where an output may be: judged by its URL alone, which is fal's word and is not trusted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from shared.errors import OutputNotAllowedError, OutputRefusedError

MAX_URL_CHARACTERS = 8192
"""As long as a request line that servers still read; fal's own URLs have some hundred characters."""

# One way to write a URL, and no other: so it can be read in one way only, by us, by httpx and by the resolver.
URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9._-]+|\[[0-9a-f]*:[0-9a-f:.]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:[/?][!-\[\]-~]*)?",  # all that ASCII prints, but for space and backslash
    re.ASCII | re.IGNORECASE,
)
MAX_PORT = 65535
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class Origin:
    """A place that outputs may come from; `*.` before the host takes its subdomains instead."""

    scheme: str
    host: str
    port: int
    may_be_private: bool = False
    """Whether the host's addresses may be private: where the operator wrote just this host."""

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Read the operator's word: a host, which means https, or a whole origin, which alone can mean plain http."""
        parts = urlsplit(entry if "://" in entry else f"https://{entry}")
        host = parts.hostname or ""
        return cls(parts.scheme, host, parts.port or _default_port(parts.scheme), not host.startswith("*."))

    def takes(self, scheme: str, host: str, port: int) -> bool:
        """Whether a URL with these parts is of this origin."""
        fits = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return fits and (scheme, port) == (self.scheme, self.port)


def _default_port(scheme: str) -> int:
    return 80 if scheme == "http" else 443


FAL_ORIGINS = (Origin("https", "fal.media", 443), Origin("https", "*.fal.media", 443))


def find_origin(url: str, origins: Iterable[Origin]) -> Origin:
    """The first of the origins that a URL is of.

    Raises:
        OutputNotAllowedError: none.
        OutputRefusedError: the URL is written oddly.
    """
    parts = URL.fullmatch(url) if len(url) <= MAX_URL_CHARACTERS else None
    if parts is None:
        raise OutputRefusedError("the output's URL is malformed")
    scheme, host = parts["scheme"].lower(), parts["host"].lower().strip("[]")
    port = int(parts["port"] or _default_port(scheme))
    if (":" not in host and not NAME.fullmatch(host)) or port > MAX_PORT:
        raise OutputRefusedError("the output's URL has no proper host")
    for origin in origins:
        if origin.takes(scheme, host, port):
            return origin
    raise OutputNotAllowedError(
        f"the output is at {scheme}://{host}:{port}, which FalOutputHosts does not list; add it if it is fal's"
    )
