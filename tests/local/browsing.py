"""What a browser sends for a page of another site, as Chromium was seen to send it, and a caller that sends just so."""

from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

PAGE = "http://127.0.0.2:8000"
"""The origin of the page; for a browser every loopback address is another site."""

Headers = dict[str, str]


def fetched(mode: str, dest: str = "empty", site: str = "cross-site") -> Headers:
    """The headers that tell for what a browser fetches."""
    return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}


ATTEMPTS: dict[str, tuple[str, Headers]] = {
    "fetch": ("GET", fetched("cors") | {"Origin": PAGE}),
    "fetch without CORS": ("GET", fetched("no-cors")),
    "fetch of the head": ("HEAD", fetched("cors") | {"Origin": PAGE}),
    "text that is posted": ("POST", fetched("no-cors") | {"Origin": PAGE, "Content-Type": "text/plain;charset=UTF-8"}),
    "text posted from a sandbox": ("POST", fetched("no-cors") | {"Origin": "null", "Content-Type": "text/plain"}),
    "beacon": (
        "POST",
        fetched("no-cors") | {"Origin": PAGE, "Content-Type": "text/plain", "Sec-Fetch-Storage-Access": "none"},
    ),
    "preflight": (
        "OPTIONS",
        fetched("cors")
        | {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-amz-target",
            "Access-Control-Request-Private-Network": "true",
        },
    ),
    "what a preflight allowed": ("PUT", fetched("cors") | {"Origin": PAGE}),
    "form": (
        "POST",
        fetched("navigate", "document") | {"Origin": PAGE, "Content-Type": "application/x-www-form-urlencoded"},
    ),
    "form in a frame": ("POST", fetched("navigate", "iframe") | {"Origin": PAGE, "Content-Type": "text/plain"}),
    "picture": ("GET", fetched("no-cors", "image")),
    "script": ("GET", fetched("no-cors", "script")),
    "style sheet": ("GET", fetched("no-cors", "style")),
    "frame": ("GET", fetched("navigate", "iframe")),
    "object": ("GET", fetched("navigate", "object")),
    "stream of events": ("GET", fetched("cors") | {"Origin": PAGE, "Accept": "text/event-stream"}),
    "web socket": (
        "GET",
        {
            "Origin": PAGE,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ),
    "post of a browser that tells no more": ("POST", {"Origin": PAGE}),
}
"""By what the page does: the method, and the headers that matter."""
LINK = fetched("navigate", "document")
"""What comes with a link that was followed on another site."""


class Answer(NamedTuple):
    """A status, the headers by their names in small letters, and the body."""

    status: int
    headers: Headers
    body: bytes


def ask(
    url: str, method: str = "GET", headers: Headers | list[tuple[str, str]] | None = None, body: bytes = b""
) -> Answer:
    """Send a request with these headers and, unless they say otherwise, the URL's host; a name may come twice."""
    parts = urlsplit(url)
    given = list(headers.items()) if isinstance(headers, dict) else headers or []
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.putrequest(method, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", skip_host=True)
    if "host" not in {name.lower() for name, _ in given}:
        given = [("Host", parts.netloc), *given]
    for name, value in [*given, ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found
