"""Downloads: only from allowed places, in bounded size and time, and only pictures."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from shared.downloads import Downloads
from shared.errors import OutputRefusedError, OutputUnavailableError

PHOTO = (Path(__file__).parent.parent.parent / "events" / "photos" / "rocket.jpg").read_bytes()
URL = "https://v3.fal.media/files/a.jpg"
Answer = Callable[[httpx.Request], httpx.Response]


def served(content: bytes) -> httpx.Response:
    """A body that is yet to be read, as from a socket."""
    return httpx.Response(200, stream=httpx.ByteStream(content))


def photo(_: httpx.Request) -> httpx.Response:
    """A host that hands the photo over."""
    return served(PHOTO)


def downloads(answer: Answer = photo, hosts: tuple[str, ...] = (), max_bytes: int = 1_000_000) -> Downloads:
    """Downloads over a host of the test's own."""
    return Downloads(httpx.Client(transport=httpx.MockTransport(answer)), hosts, max_bytes)


def soon() -> float:
    """A deadline far enough away."""
    return time.monotonic() + 5


def test_a_picture_arrives_byte_for_byte() -> None:
    """File, size, hash, type and dimensions are the original's."""
    with downloads().fetch(URL, soon()) as download:
        assert download.file.read() == PHOTO
        assert (download.size, download.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
        assert (download.content_type, download.extension, download.dimensions) == ("image/jpeg", "jpg", (640, 427))


@pytest.mark.parametrize(
    "url",
    [
        "https://fal.media/a.jpg",
        "https://v3b.fal.media:443/a.jpg",
        "https://cdn.example/a.jpg",
        "https://a.wild.example/a.jpg",
        "http://127.0.0.1:8787/a.jpg",
    ],
)
def test_allowed_places(url: str) -> None:
    """fal.media, its subdomains over https, and what the setting lists, http where it says http."""
    hosts = ("cdn.example", "*.wild.example", "http://127.0.0.1:8787")
    with downloads(hosts=hosts).fetch(url, soon()) as download:
        assert download.size == len(PHOTO)


@pytest.mark.parametrize(
    "url",
    [
        "http://v3.fal.media/a.jpg",
        "https://v3.fal.media:8443/a.jpg",
        "https://fal.media.evil.example/a.jpg",
        "https://evilfal.media/a.jpg",
        "https://evil.example/fal.media/a.jpg",
        "https://user:password@v3.fal.media/a.jpg",
        "https://@v3.fal.media/a.jpg",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "https://2852039166/",
        "https://127.0.0.1:8787/a.jpg",
        "http://127.0.0.1:8788/a.jpg",
        "http://127.0.0.1/a.jpg",
        "http://cdn.example/a.jpg",
        "https://[broken/a.jpg",
        "https://v3.fal.media:port/a.jpg",
        "file:///etc/passwd",
        "ftp://v3.fal.media/a.jpg",
        "//v3.fal.media/a.jpg",
        "https://v3.fal.media/a\nb",
        "https://xn--.fal.media/a.jpg",
        "https://evil.example\\@v3.fal.media/a.jpg",
        "nonsense",
    ],
)
def test_every_other_place_is_refused_without_a_call(url: str) -> None:
    """Nothing is asked of a host that outputs may not come from."""

    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    with pytest.raises(OutputRefusedError):
        downloads(never, ("cdn.example", "http://127.0.0.1:8787")).fetch(url, soon())


def endless() -> Iterator[bytes]:
    """A body without end."""
    while True:
        yield b"\xff\xd8\xff" * 1000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: httpx.Response(302, headers={"Location": "https://169.254.169.254/"}), OutputRefusedError),
        (lambda _: httpx.Response(200, content=endless()), OutputRefusedError),
        (lambda _: httpx.Response(200, headers={"Content-Length": "2000000"}, content=endless()), OutputRefusedError),
        (lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b"x"])), OutputRefusedError),
        (lambda _: served(b"<html><script>alert(1)</script>"), OutputRefusedError),
        (lambda _: served(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), OutputRefusedError),
        (lambda _: served(b""), OutputRefusedError),
        (lambda _: served(b"GIF89a" + b"\0" * 100), OutputRefusedError),
        (lambda _: httpx.Response(404), OutputUnavailableError),
        (lambda _: httpx.Response(503), OutputUnavailableError),
    ],
    ids=["redirect", "endless", "too large", "packed", "html", "svg", "empty", "gif", "gone", "down"],
)
def test_what_is_no_picture_is_not_kept(answer: Answer, error: type[Exception]) -> None:
    """Refused for good where a second try cannot help, unavailable where it can."""
    with pytest.raises(error):
        downloads(answer).fetch(URL, soon())


def test_a_host_that_cannot_be_reached_is_unavailable() -> None:
    """A broken connection is worth another try."""

    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    with pytest.raises(OutputUnavailableError, match="ReadError"):
        downloads(broken).fetch(URL, soon())


def test_a_slow_host_is_left_at_the_deadline() -> None:
    """Bytes that trickle in do not hold the callback up beyond its time."""

    def trickle() -> Iterator[bytes]:
        for index in range(len(PHOTO)):
            time.sleep(0.01)
            yield PHOTO[index : index + 1]

    begun = time.monotonic()
    with pytest.raises(OutputUnavailableError, match="slow"):
        downloads(lambda _: httpx.Response(200, content=trickle())).fetch(URL, begun + 0.2)
    assert time.monotonic() - begun < 2


def test_identity_encoding_is_asked_for() -> None:
    """Hosts are told not to pack what they send."""
    asked: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Accept-Encoding"])
        return photo(request)

    downloads(note).fetch(URL, soon()).file.close()
    assert asked == ["identity"]


def test_a_data_uri_is_its_own_download() -> None:
    """With sync_mode the picture is in the URL itself."""
    uri = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    with downloads().fetch(uri, soon()) as download:
        assert download.file.read() == PHOTO


@pytest.mark.parametrize(
    "uri", ["data:image/jpeg,abc", "data:image/jpeg;base64,@@@", "data:text/html;base64,PGI+", "data:"]
)
def test_other_data_uris_are_refused(uri: str) -> None:
    """Damaged ones, other encodings and other content are not kept."""
    with pytest.raises(OutputRefusedError):
        downloads().fetch(uri, soon())
