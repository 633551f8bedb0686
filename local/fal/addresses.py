"""The parts of fal's URLs: owner, app, path, request id, and what is asked of the request."""

from dataclasses import dataclass

# fal's client: these two shift owner and app by one segment.
NAMESPACES = frozenset({"workflows", "comfy"})


@dataclass(frozen=True)
class Address:
    """An endpoint (`app` is what request URLs carry of it), and perhaps a request of it."""

    app: str
    endpoint: str
    request_id: str | None = None
    asked: str = ""


def parse_address(path: str) -> Address | None:
    """Read a URL path; None if it names no owner and app.

    Request URLs may carry the whole endpoint path, a trailing slash, or none of the two.
    """
    segments = [segment for segment in path.split("/") if segment]
    depth = 3 if segments and segments[0] in NAMESPACES else 2
    if len(segments) < depth:
        return None
    app = "/".join(segments[:depth])
    if "requests" not in segments[depth:]:
        return Address(app, "/".join(segments))
    at = segments.index("requests", depth)
    rest = segments[at + 1 :]
    if not rest:
        return None
    return Address(app, "/".join(segments[:at]), request_id=rest[0], asked="/".join(rest[1:]))
