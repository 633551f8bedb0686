"""Who may call a port, by what a caller says of itself. The answers come over a real port, the emulator's."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from local.fal import Emulator
from local.fal.serving import Listener
from tests.local.browsing import ATTEMPTS, LINK, ask, fetched

if TYPE_CHECKING:
    from tests.local.fal.conftest import Live

HEALTH = "/emulator/health"


@contextmanager
def listening(host: str) -> Iterator[str]:
    """An emulator that listens on this address; gives the URL that leads to it here."""
    listener = Listener(Emulator(), host, 0)
    listener.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        listener.stop()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of an emulator for all tests that change nothing of it."""
    with listening("127.0.0.1") as found:
        yield found


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8787",
        "127.9.8.7:1",
        "localhost",
        "LocalHost:5000",
        "darkroom-inputs.localhost:5000",
        "[::1]",
        "[::1]:8787",
        "[0:0:0:0:0:0:0:1]:8787",
    ],
)
def test_a_host_of_this_machine_is_answered(url: str, host: str) -> None:
    """Loopback addresses and localhost with its subdomains are this machine's, with any port, in any case."""
    assert ask(url + HEALTH, headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "notlocalhost",
        "localhost.",
        "127.0.0.1.",
        "evil.localhost.",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0:8787",
        "192.0.2.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[2001:db8::1]:8787",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "user@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1:",
        "127.0.0.1:8787:8787",
        "127.0.0.1:x",
        "127.0.0.1/",
        "127.0.0.1 evil.example",
        "127.0.0.1, evil.example",
        "",
    ],
)
def test_any_other_host_is_refused(url: str, host: str) -> None:
    """A name that leads here without being ours is refused, and so is every spelling that no browser sends."""
    answer = ask(url + HEALTH, headers={"Host": host})
    assert answer.status == 403
    assert answer.body.startswith(b"Refused: the Host header names neither localhost nor a loopback address")


def test_two_hosts_are_refused_and_so_is_none(url: str) -> None:
    """A Host that comes twice names nobody, in either order; one that is missing does not either."""
    good, bad = "127.0.0.1:8787", "evil.example"
    for hosts in ([good, bad], [bad, good], [good, good]):
        assert ask(url + HEALTH, headers=[("Host", host) for host in hosts]).status == 403
    assert raw(url, f"GET {HEALTH} HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def raw(url: str, request: str) -> bytes:
    """Send text as it is, and give all that is answered until nothing more comes."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=2) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_host_of_an_absolute_target_counts(url: str) -> None:
    """A target that is a whole URL says itself who is asked, whatever Host says, and by the same rules."""
    for host, status in (("evil.example", 403), ("user@127.0.0.1", 403), ("127.0.0.1", 200)):
        for header in ("127.0.0.1", "evil.example"):
            request = f"GET http://{host}{HEALTH} HTTP/1.1\r\nHost: {header}\r\nConnection: close\r\n\r\n"
            assert raw(url, request).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8787", "http://127.0.0.1:8787", 200),
        ("LOCALHOST:8787", "http://localhost:8787", 200),
        ("localhost:8787", "HTTP://LocalHost:8787", 200),
        ("[::1]:8787", "http://[::1]:8787", 200),
        ("localhost", "http://localhost", 200),
        ("localhost:80", "http://localhost", 200),
        ("127.0.0.1:8787", "https://127.0.0.1:8787", 403),
        ("127.0.0.1:8787", "http://127.0.0.1:3000", 403),
        ("127.0.0.1:8787", "http://127.0.0.1", 403),
        ("127.0.0.1:8787", "http://localhost:8787", 403),
        ("localhost:8787", "http://evil.localhost:8787", 403),
        ("127.0.0.1:8787", "http://127.0.0.1:8787.evil.example", 403),
        ("127.0.0.1:8787", "http://evil.example", 403),
        ("127.0.0.1:8787", "http://127.0.0.1:8787@evil.example", 403),
        ("127.0.0.1:8787", "http://127.0.0.1:8787, http://evil.example", 403),
        ("127.0.0.1:8787", "127.0.0.1:8787", 403),
        ("127.0.0.1:8787", "null", 403),
        ("127.0.0.1:8787", "", 403),
        ("127.0.0.1:8787", "file://", 403),
        ("127.0.0.1:8787", "chrome-extension://abcdefghijklmnop", 403),
    ],
)
def test_only_the_port_s_own_origin_may_call_it(url: str, host: str, origin: str, status: int) -> None:
    """An Origin must be the very one that the request was sent to: scheme, host and port."""
    assert ask(url + HEALTH, headers={"Host": host, "Origin": origin}).status == status
    assert ask(url + HEALTH, headers=[("Host", host), ("Origin", origin), ("Origin", origin)]).status == 403


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_page_of_another_site_is_refused(url: str, attempt: str) -> None:
    """Whatever such a page has the browser send to the controls, nothing is done and nothing can be read."""
    method, headers = ATTEMPTS[attempt]
    answer = ask(f"{url}/emulator/scripts", method, headers, b'{"seed": 666}' if method == "POST" else b"")
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.body == b"" if method == "HEAD" else answer.body.startswith(b"Refused: a page of another site")
    assert httpx.get(f"{url}/emulator/scripts").json() == {"scripts": []}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", fetched("navigate", "document", "none"), 200),
        ("GET", fetched("no-cors", "image", "same-site"), 200),
        ("GET", fetched("cors", "empty", "same-origin"), 200),
        ("GET", LINK, 200),
        ("HEAD", LINK, 403),
        ("POST", LINK, 403),
        ("GET", LINK | {"Sec-Fetch-Dest": "embed"}, 403),
        ("GET", LINK | {"Origin": "null"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", {"Sec-Fetch-Site": "Cross-Site"}, 403),
        ("GET", {"Sec-Fetch-Site": "none, cross-site"}, 403),
        ("GET", {"Sec-Fetch-Site": ""}, 403),
    ],
)
def test_who_comes_without_an_origin(url: str, method: str, headers: dict[str, str], status: int) -> None:
    """Programs, typed addresses, pages of this machine and links that are followed may look; nothing else may."""
    assert ask(url + HEALTH, method, headers).status == status


def test_the_body_of_a_refused_call_is_not_the_next_call(live: "Live") -> None:
    """A page cannot hide a call of its own, with headers as it likes, in the body of one that is refused."""
    hidden = b"POST /emulator/lock HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 15\r\n\r\n" + b'{"seconds": 60}'
    for path in ("/emulator/scripts", "/fal-ai/flux-pro/kontext", "/files/upload"):
        assert ask(live.url + path, *ATTEMPTS["text that is posted"], hidden).status == 403
    assert live.http.post("/fal-ai/flux-pro/kontext/text-to-image", json={"prompt": "a"}).status_code == 200


def test_a_page_among_the_files_does_not_speak_for_the_port(live: "Live") -> None:
    """Files are shown in a sandbox, where no script runs and which has no origin, and as what they say they are."""
    live.script({"files": {"answer": "html"}})
    job = live.http.post("/fal-ai/flux-pro/kontext/text-to-image", json={"prompt": "a"}).json()
    for _ in range(100):
        answer = live.http.get(job["response_url"])
        if answer.status_code == 200:
            break
    url = answer.json()["images"][0]["url"]
    headers = ask(url).headers
    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"


def test_other_names_are_those_it_was_started_with(live: "Live") -> None:
    """The public URL's host is answered as long as it is one, since the files are fetched by it."""
    assert ask(live.url + HEALTH, headers={"Host": "fal:8787"}).status == 403
    for url, host in (("http://fal:8787", "FAL:8787"), ("http://[FE80::1]:8787/", "[fe80:0::1]:8787")):
        live.http.patch("/emulator/settings", json={"public_url": url}).raise_for_status()
        assert ask(live.url + HEALTH, headers={"Host": host}).status == 200
        assert ask(live.url + HEALTH, headers={"Host": host, "Origin": "http://evil.example"}).status == 403
    for url in ("http://[", live.url):
        live.http.patch("/emulator/settings", json={"public_url": url}).raise_for_status()
        assert ask(live.url + HEALTH, headers={"Host": "fal:8787"}).status == 403


def test_one_that_listens_on_every_address_is_called_by_any_but_by_no_name() -> None:
    """With 0.0.0.0 callers of the network come by addresses that nobody lists; a name may be a rebound one."""
    with listening("0.0.0.0") as url:  # noqa: S104 - what is tested; it ends with the test
        for host, status in (
            ("192.0.2.1:8787", 200),
            ("[2001:db8::1]", 200),
            ("127.0.0.1", 200),
            ("evil.example", 403),
        ):
            assert ask(url + HEALTH, headers={"Host": host}).status == status
        assert ask(url + HEALTH, headers={"Host": "192.0.2.1", "Origin": "http://evil.example"}).status == 403
