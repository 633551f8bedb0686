"""URLs that fal's word may hold: a corpus of hostile ones, none of which leads to a connection, and good ones."""

import itertools
import random
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from shared.downloads import Downloads
from shared.errors import OutputRefusedError
from shared.output_origins import FAL_ORIGINS, MAX_URL_CHARACTERS, Origin, find_origin
from tests.shared.hosts import PUBLIC, FileHost, Internet

LISTED = ("http://127.0.0.1:{port}", "http://[::1]:{port}", "https://cdn.example", "*.wild.example")
"""What the operator lists; the port is one where somebody listens."""

V4 = ("127.0.0.1", "169.254.169.254", "169.254.170.2", "10.0.0.1", "100.64.0.1", "192.168.1.1", "0.0.0.0")  # noqa: S104 - nothing binds to it
NAMES = (
    *("localhost", "localhost.localdomain", "ip6-localhost", "host.docker.internal", "metadata.google.internal"),
    *("instance-data.ec2.internal", "kubernetes.default.svc", "127.0.0.1.nip.io", "169-254-169-254.sslip.io"),
    *("evil.example", "fal.run", "queue.fal.run", "fal.ai", "media", "fal"),
    *("[::]", "[::1%lo]", "[::1%25lo]", "[fe80::1%25eth0]", "[fd00:ec2::254]", "[::ffff:0:0]", "[v1.fal.media]"),
    *("fal.media.evil.example", "v3.fal.media.evil.example", "xfal.media", "evil-fal.media", "v3-fal.media"),
    *("v3_fal.media", "fal.media.", "v3.fal.media.", ".fal.media", "..fal.media", "v3..fal.media", "fal..media"),
    *("-.fal.media", "-a.fal.media", "a-.fal.media", "xn--.fal.media", "*.fal.media", f"{'a' * 64}.fal.media"),
    *(f"{'a.' * 123}fal.media", "fal.media.local", "fal-media.com", "fal.media\u3002evil.example", "wild.example"),
    *("f\u0430l.media", "fal.m\u0435dia", "\uff46al.media", "fal\u3002media", "fal\uff0emedia", "fal\uff61media"),
    *("v\u00b3.fal.media", "v\u2462.fal.media", "\u200bfal.media", "fal\u00ad.media", "v3.fal.media\u2024evil.example"),
    *("\u212a.fal.media", "\u017f.fal.media", "fal.media\u2100evil.example", "fal.media\uff0fevil.example"),
    *("fal.media%00.evil.example", "fal.media%2eevil.example", "%66al.media", "v3.fal%2Emedia", "fal.media%20"),
    *("fal.media\x00", "fal.media\x00.evil.example", "fal.media\t", "fal.\nmedia", "fal.\rmedia", "fal .media"),
    *("fal.media,evil.example", "fal.media;evil.example", "fal.media&evil.example", "(fal.media)", "$v3.fal.media"),
    *("{v3}.fal.media", "<v3>.fal.media", "'v3'.fal.media", '"v3".fal.media', "v3`.fal.media", "v3|.fal.media"),
    *("[fal.media]", "[v3.fal.media", "v3.fal.media]", "[[::1]]", "", "@", ":", "?", "#", ".", "..", "%", "\\"),
)
OTHER_PORTS = (
    "0",
    "1",
    "22",
    "80",
    "0443",
    "+443",
    "-1",
    "8080",
    "8443",
    "65536",
    "99999",
    "4430",
    "\uff14\uff14\uff13",
)
SCHEMES = (
    *("http", "ftp", "ftps", "file", "gopher", "ws", "wss", "ssh", "dict", "ldap", "jar", "netdoc", "about", "blob"),
    *("javascript", "view-source", "httpx", "https+unix", "https:https", "hxxps", "", "https%3a", "\thttps", " https"),
)
AROUND = (
    # How a good host is put where it is not the host, and a bad one where it looks like none.
    *(
        "https://v3.fal.media@{}/a.jpg",
        "https://v3.fal.media:443@{}/a.jpg",
        "https://a:b@{}/a.jpg",
        "https://@{}/a.jpg",
    ),
    *(
        "https://{}#.fal.media/a.jpg",
        "https://{}#@v3.fal.media/a.jpg",
        "https://{}?.fal.media",
        "https://{}/.fal.media",
    ),
    *("https://{}\\.fal.media/a.jpg", "https://{}\\@v3.fal.media/a.jpg", "https://v3.fal.media\\@{}/a.jpg"),
    *("https://{}%23@v3.fal.media/a.jpg", "https://{}%2f.fal.media/a.jpg", "https://{}%5c.fal.media/a.jpg"),
    *("https://{}:443#.fal.media", "https://{};.fal.media/a.jpg", "https://{} .fal.media/a.jpg"),
    *("https://{}\x00.fal.media/a.jpg", "https://{}\t.fal.media/a.jpg", "https://{}\r\nHost: v3.fal.media/a.jpg"),
    *("https://v3.fal.media\n@{}/a.jpg", "https:\\\\{}\\a.jpg", "https:/{}/a.jpg", "https:///{}/a.jpg"),
    *("https:{}/a.jpg", "//{}/a.jpg", "///{}/a.jpg", "{}/a.jpg", "/\\{}/a.jpg", "https://https://{}/a.jpg"),
    *("https://[{}]/a.jpg", "https://{}.:443/a.jpg", "https://{}./a.jpg", "https://{}%00/a.jpg"),
)
ALONE = (
    *("", " ", "\x00", "nonsense", "https://", "https:", "https", "http://", "://", "//", "/files/a.jpg", "?", "#"),
    *(
        "https://v3.fal.media/a b",
        "https://v3.fal.media/a\nb",
        "https://v3.fal.media/a\x7f",
        "https://v3.fal.media/\u00e9",
    ),
    *(" https://v3.fal.media/a", "https://v3.fal.media/a ", "https://v3.fal.media/a\n", "https://v3.fal.media/\\a"),
    *(
        "https://v3.fal.media:/a",
        "https://v3.fal.media:port/a",
        "https://v3.fal.media:443:443/a",
        "https ://fal.media/a",
    ),
    *("https://v3.fal.media/" + "a" * MAX_URL_CHARACTERS, "https://" + "a." * 100_000 + "fal.media/a.jpg"),
    *(
        "DATA:image/jpeg;base64,/9j/",
        " data:image/jpeg;base64,/9j/",
        "https://v3.fal.media#",
        "https://v3.fal.media#/a",
    ),
)


def spellings(address: str) -> Iterator[str]:
    """One IPv4 address in the forms that some resolver or parser somewhere takes."""
    a, b, c, d = parts = [int(part) for part in address.split(".")]
    whole = int.from_bytes(bytes(parts))
    yield from (str(whole), hex(whole), f"0{whole:o}", f"{whole:#X}", str(whole + 2**32), f"0{whole}")
    yield from (".".join(map(hex, parts)), ".".join(f"0{part:o}" for part in parts), f"0x{whole:016x}")
    yield from (
        f"{a}.{b}.{c * 256 + d}",
        f"{a}.{b * 65536 + c * 256 + d}",
        f"{a}.{b}.{c}.0{d:o}",
        f"{a:#x}.{b}.{c}.{d}",
    )
    yield from (
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"{a + 256}.{b}.{c}.{d}",
        f"{address}.",
        f"{a}.{b}.{c}.{d}.",
        f" {address}",
    )
    yield address.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})
    yield address.translate({ord(str(digit)): 0x245F + digit for digit in range(1, 10)})
    yield from (address.replace(".", dot) for dot in ("\u3002", "\uff0e", "\uff61", "%2e", ".."))
    yield from (f"[::ffff:{address}]", f"[::{address}]", f"[64:ff9b::{address}]", f"[0:0:0:0:0:ffff:{address}]")
    yield from (f"[::ffff:{whole >> 16:x}:{whole & 0xFFFF:x}]", f"[2002:{whole >> 16:x}:{whole & 0xFFFF:x}::1]")
    yield from (
        f"[2001:0:0:0:0:0:{~whole >> 16 & 0xFFFF:x}:{~whole & 0xFFFF:x}]",
        f"[::ffff:{address}%25lo]",
        f"[{address}]",
    )


def hostile(port: int) -> list[str]:
    """All URLs of the corpus; `port` is one where the operator's host listens."""
    hosts = [*V4, *itertools.chain.from_iterable(map(spellings, V4)), *NAMES]
    urls = [
        *(f"https://{host}/a.jpg" for host in hosts),
        *(f"http://{host}/a.jpg" for host in hosts),
        # The port alone makes nobody the operator's host.
        *(f"{scheme}://{host}:{port}/a.jpg" for host in hosts for scheme in ("http", "https")),
        *(f"https://v3.fal.media:{other}/a.jpg" for other in (*OTHER_PORTS, str(port))),
        *(f"{scheme}://v3.fal.media/a.jpg" for scheme in SCHEMES),
        *(form.format(host) for form in AROUND for host in ("evil.example", f"127.0.0.1:{port}", *V4)),
        *("http://cdn.example/a.jpg", "https://a.cdn.example/a.jpg", f"http://127.0.0.1:{port + 1}/a.jpg"),
        *ALONE,
    ]
    own = {f"http://127.0.0.1:{port}/a.jpg"}
    return [url for url in dict.fromkeys(urls) if url not in own]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FileHost, Internet]]:
    """A host that every address leads to, and that nobody shall ask."""

    class Everywhere(dict[str, int]):
        def __contains__(self, _: object) -> bool:
            return True

        def __missing__(self, _: str) -> int:
            return host.port

    with FileHost(lambda _: None) as host:
        yield host, Internet(monkeypatch, Everywhere())


def test_no_hostile_url_leads_anywhere(nobody: tuple[FileHost, Internet], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the corpus is refused, no name of it is looked up, and nobody is asked, not even who listens there."""
    host, internet = nobody
    looked_up: list[str] = []

    def ask(name: str) -> list[str]:
        looked_up.append(name)
        return [PUBLIC]

    def system(name: str, *_: object, **__: object) -> list[object]:
        looked_up.append(name)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", system)
    urls = hostile(host.port)
    assert len(urls) > 1500
    with httpx.Client(trust_env=False) as http:
        downloads = Downloads(http, tuple(entry.format(port=host.port) for entry in LISTED), ask=ask)
        kept = []
        for url in urls:
            try:
                downloads.fetch(url, time.monotonic() + 5).file.close()
            except OutputRefusedError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever else comes is told with its URL
                kept.append((url, repr(error)))
            else:
                kept.append((url, "stored"))
    assert kept == []
    assert (looked_up, internet.asked, host.connections) == ([], [], 0)


def test_the_listener_of_the_corpus_can_be_reached(nobody: tuple[FileHost, Internet]) -> None:
    """What the corpus counts is no blind counter: the URL that the operator lists does connect."""
    host, internet = nobody
    with httpx.Client(trust_env=False) as http, pytest.raises(Exception, match="failed"):
        Downloads(http, (f"http://127.0.0.1:{host.port}",)).fetch(
            f"http://127.0.0.1:{host.port}/a", time.monotonic() + 5
        )
    assert (len(internet.asked), host.connections) == (1, 1)


GOOD = {
    "https://fal.media/files/a.jpg": ("fal.media", 443),
    "https://v3.fal.media/files/zebra/P0_q-9~x.jpeg": ("v3.fal.media", 443),
    "https://v3b.fal.media:443/files/a.jpg": ("v3b.fal.media", 443),
    "https://a.b.c.fal.media/a": ("a.b.c.fal.media", 443),
    "HTTPS://V3.Fal.Media/a.jpg": ("v3.fal.media", 443),
    "https://fal.media": ("fal.media", 443),
    "https://fal.media/": ("fal.media", 443),
    "https://v3.fal.media?a=b": ("v3.fal.media", 443),
    "https://v3.fal.media/files/%C3%A9%20%2F%00.png?Expires=1&Signature=a%2Bb~c/d&x=@:!$'()*,;=[]": (
        "v3.fal.media",
        443,
    ),
    "https://v3.fal.media//a/../b/./c.jpg#top": ("v3.fal.media", 443),
    "https://v3.fal.media/@evil.example/https://evil.example/a.jpg": ("v3.fal.media", 443),
    "https://127.0.0.1.fal.media/a.jpg": ("127.0.0.1.fal.media", 443),
    "https://xn--bcher-kva.fal.media/a.jpg": ("xn--bcher-kva.fal.media", 443),
    "https://v3.fal.media/" + "a" * (MAX_URL_CHARACTERS - 21): ("v3.fal.media", 443),
    "https://cdn.example/a.jpg": ("cdn.example", 443),
    "https://a.b.wild.example/a.jpg": ("a.b.wild.example", 443),
    "http://127.0.0.1:8787/files/a.jpg": ("127.0.0.1", 8787),
    "http://[::1]:8787/files/a.jpg": ("::1", 8787),
}
ORIGINS = (*FAL_ORIGINS, *(Origin.parse(entry.format(port=8787)) for entry in LISTED))


@pytest.mark.parametrize("url", GOOD)
def test_good_urls_pass(url: str) -> None:
    """What fal and the operator's hosts write is allowed, and httpx reads the same host and port in it."""
    host, port = GOOD[url]
    assert find_origin(url, ORIGINS).takes(url.partition(":")[0].lower(), host, port)
    read = httpx.URL(url)
    assert (read.raw_host.decode(), read.port or 443) == (host, port)


@pytest.mark.parametrize(
    ("url", "may_be_private"),
    [
        ("https://v3.fal.media/a", False),
        ("https://fal.media/a", False),
        ("https://a.wild.example/a", False),
        ("https://cdn.example/a", True),
        ("http://127.0.0.1:8787/a", True),
    ],
)
def test_who_may_be_private(url: str, *, may_be_private: bool) -> None:
    """A host that the operator wrote; none of a wildcard, whose names nobody has seen, and none of fal's."""
    also_fal = (*ORIGINS, Origin.parse("v3.fal.media"))
    assert find_origin(url, also_fal).may_be_private is may_be_private


def test_what_passes_is_read_in_one_way() -> None:
    """Whatever is put together of odd pieces: what is allowed has a host of fal's for httpx as well."""
    pieces = [
        *"aZ09-_.:/?#@\\[]%&;,'\"\t\n\0 \u3002\uff0e\u00ad\u212a",
        "https://",
        "http://",
        "fal.media",
        ".fal.media",
        "443",
    ]
    chance = random.Random(23)  # noqa: S311 - so that every run tries the same
    allowed = 0
    for _ in range(100_000):
        url = "https://" * chance.randint(0, 1) + "".join(chance.choices(pieces, k=chance.randint(1, 6)))
        try:
            find_origin(url, FAL_ORIGINS)
        except OutputRefusedError:
            continue
        allowed += 1
        read = httpx.URL(url)
        host = read.raw_host.decode()
        assert (url, host == "fal.media" or host.endswith(".fal.media")) == (url, True)
        assert (url, read.scheme, read.port, read.userinfo) == (url, "https", None, b"")
    assert allowed > 300
