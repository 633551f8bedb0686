"""Who may call a port of this machine: programs, and pages of that very port. Pages of other sites may not.

Any page can have the browser that shows it call 127.0.0.1. A browser says by which name it calls (Host), for a page of
which origin (Origin), and from how far away (Sec-Fetch-Site), and no page can change what it says. So a name that is
not this machine's is refused, which ends DNS rebinding, and so is whatever comes from another site.

This file imports nothing but the standard library: SAM's own Python loads it as well.
"""

import re
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
EVERY_ADDRESS = {str(IPv4Address(0)), str(IPv6Address(0))}
"""What a server listens on that listens on all addresses."""
HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[0-9a-z._-]+))(?::[0-9]{1,5})?")
"""A Host in small letters. Userinfo, two hosts in one and a dot at the end fit nowhere; no client sends them."""
USUAL_PORTS = {"http": ":80", "https": ":443"}
"""What a browser leaves out of an origin."""
NEAR = {"same-origin", "same-site", "none"}
"""Values of Sec-Fetch-Site; `none` is an address that somebody typed, and a program says nothing at all."""

STRANGE_HOST = (
    "Refused: the Host header names neither localhost nor a loopback address, nor a name that this port was started"
    " with. Call it as 127.0.0.1.\n"
)
STRANGE_PAGE = (
    "Refused: a page of another site may not call this port. To look at the address, paste it into a new tab.\n"
)


class Doorkeeper:
    """A WSGI application before another one, which lets in whoever may call it, and answers all others with 403.

    application: what stands behind it; no CORS header leaves it, whatever it says.
    names: gives the names and addresses besides loopback by which this port is known; 0.0.0.0 stands for every address.
    is_linked: a link on another site may lead here, which is right where a GET changes nothing.
    has_pages: some answers are pages with scripts. All others are shown in a sandbox, so that a stored file that turns
        out to be a page does not speak for this port.
    """

    def __init__(
        self,
        application: "WSGIApplication",
        names: Callable[[], Collection[str]] = tuple,
        *,
        is_linked: bool = False,
        has_pages: bool = False,
    ) -> None:
        self._application = application
        self._names = names
        self._is_linked = is_linked
        self._has_pages = has_pages

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one call, as WSGI has it."""
        refusal = self._refusal(environ)
        if refusal is not None:
            body = refusal.encode()
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            start_response("403 Forbidden", [*headers, ("X-Content-Type-Options", "nosniff")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

        def start(status: str, headers: list[tuple[str, str]], *exc_info: object) -> Callable[[bytes], object]:
            kept = [header for header in headers if not header[0].lower().startswith("access-control-")]
            if not self._has_pages:
                kept += [("Content-Security-Policy", "sandbox"), ("X-Content-Type-Options", "nosniff")]
            return start_response(status, kept, *exc_info)  # type: ignore[arg-type] # what the application gave

        return self._application(environ, start)

    def _refusal(self, environ: "WSGIEnvironment") -> str | None:
        """Say why the caller is refused, or None if it may come in."""
        # A server joins doubled headers by a comma, and puts the host of an absolute target in Host's place.
        host = environ.get("HTTP_HOST", "").lower()
        if not self._is_ours(host):
            return STRANGE_HOST
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not _is_origin(origin.lower(), environ["wsgi.url_scheme"], host):
            return STRANGE_PAGE
        if environ.get("HTTP_SEC_FETCH_SITE", "none").lower() in NEAR:
            return None
        return None if self._is_linked and _follows_link(environ) else STRANGE_PAGE

    def _is_ours(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return False
        names = {_plain(name) for name in self._names()}
        try:
            address = IPv6Address(found["v6"]) if found["v6"] else IPv4Address(found["name"])
        except ValueError:
            name = found["name"]
            return name is not None and (name == "localhost" or name.endswith(".localhost") or name in names)
        # Rebinding needs a name of DNS's; a page that calls by an address is known by its Origin.
        return any(address in network for network in LOOPBACK) or not names.isdisjoint(EVERY_ADDRESS | {str(address)})


def _is_origin(origin: str, scheme: str, host: str) -> bool:
    usual = USUAL_PORTS[scheme]
    return origin.removesuffix(usual) == f"{scheme}://{host.removesuffix(usual)}"


def _follows_link(environ: "WSGIEnvironment") -> bool:
    mode, shown_as = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
    return (environ["REQUEST_METHOD"], mode, shown_as) == ("GET", "navigate", "document")


def _plain(name: str) -> str:
    """A name in small letters, an IPv6 address in its one short form."""
    try:
        return str(IPv6Address(name))
    except ValueError:
        return name.lower()
