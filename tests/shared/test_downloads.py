"""Downloads: only from allowed places, in bounded size and time, and only pictures."""

import base64
import bz2
import gzip
import hashlib
import lzma
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from shared.downloads import Downloads
from shared.errors import OutputRefusedError, OutputUnavailableError, OutputUnfitError
from tests.shared.hosts import PUBLIC

PHOTO = (Path(__file__).parent.parent.parent / "events" / "photos" / "rocket.jpg").read_bytes()
PACKED = base64.b64encode(PHOTO).decode()
URL = "https://v3.fal.media/files/a.jpg"
Answer = Callable[[httpx.Request], httpx.Response]


def served(content: bytes, **headers: str) -> httpx.Response:
    """A body that is yet to be read, as from a socket."""
    headers = {"Content-Length": str(len(content)), **{name.replace("_", "-"): headers[name] for name in headers}}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))


def photo(_: httpx.Request) -> httpx.Response:
    """A host that hands the photo over."""
    return served(PHOTO)


def downloads(answer: Answer = photo, hosts: tuple[str, ...] = (), max_bytes: int = 1_000_000) -> Downloads:
    """Downloads over a host of the test's own."""
    return Downloads(httpx.Client(transport=httpx.MockTransport(answer)), hosts, max_bytes, ask=lambda _: [PUBLIC])


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


def test_every_other_place_is_refused_without_a_call() -> None:
    """Nothing is asked of a host that outputs may not come from, and the reason names it."""

    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    with pytest.raises(
        OutputRefusedError, match=r"^the output is at https://evil\.example:443, which FalOutputHosts does not"
    ):
        downloads(never, ("cdn.example",)).fetch("https://evil.example/a.jpg", soon())


def png(width: int, height: int) -> bytes:
    """The head of a PNG of this size."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def jpeg(width: int, height: int) -> bytes:
    """The head of a JPEG of this size."""
    return b"\xff\xd8" + struct.pack(">HHBHH", 0xFFC0, 17, 8, height, width)


HTML = b"<html><script>alert(1)</script>"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"x", b"\0" * 1000, HTML, b"<!-- " + PHOTO, b" " + PHOTO, b"\xef\xbb\xbf" + HTML, b"%PDF-1.7", b"MZ"),
        *(b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<?xml version='1.0'?><svg/>", b"GIF89a" + b"\0" * 100),
        *(b"GIF89a=1;alert(1)//", b"BM" + HTML, b"\0\0\1\0" + HTML, b"RIFF1234WAVE", b"RIFF1234WEBP" + HTML, b"II*\0"),
        *(b"\xff\xd8\xff", b"\xff\xd8\xff" + HTML, b"\xff\xd8\xff\xe0\0\x04" + HTML, PHOTO[:100]),
        *(b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + HTML, png(0, 100), png(100, 0), jpeg(100, 0)),
        *(png(2**32 - 1, 2**32 - 1), png(10_001, 10_000), jpeg(65535, 65535)),
        *(gzip.compress(PHOTO, mtime=0), zlib.compress(PHOTO), lzma.compress(PHOTO), bz2.compress(PHOTO)),
        b"\xff\xd8" + b"\xff\xe1\0\2" * 200_000 + jpeg(1, 1)[2:],
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_is_no_picture_is_not_kept(content: bytes) -> None:
    """Nothing, text, active content, other files, damaged pictures, packed ones, and ones of monstrous size."""
    with pytest.raises((OutputRefusedError, OutputUnfitError), match=r"picture|pixels"):
        downloads(lambda _: served(content)).fetch(URL, soon())


@pytest.mark.parametrize("content", [png(10_000, 10_000), jpeg(1, 1), PHOTO + HTML])
def test_a_picture_by_its_head_is_a_picture(content: bytes) -> None:
    """Up to a hundred megapixels; what follows a picture in its file is kept, and is still of the picture's type."""
    with downloads(lambda _: served(content, Content_Type="text/html")).fetch(URL, soon()) as download:
        assert download.content_type in {"image/png", "image/jpeg"}
        assert download.file.read() == content


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "identity, gzip", "aws-chunked"])
@pytest.mark.parametrize("content", [PHOTO, gzip.compress(PHOTO, mtime=0)], ids=["lying", "packed"])
def test_what_is_packed_is_not_kept(coding: str, content: bytes) -> None:
    """Nothing is unpacked, and nothing is stored that says it should be, whether that is so or not."""
    with pytest.raises(OutputRefusedError, match="packed"):
        downloads(lambda _: served(content, Content_Encoding=coding)).fetch(URL, soon())


def test_not_packed_may_be_said() -> None:
    """`identity` is the one coding that changes nothing."""
    downloads(lambda _: served(PHOTO, Content_Encoding="Identity")).fetch(URL, soon()).file.close()


@pytest.mark.parametrize("headers", [{"Content-Length": str(len(PHOTO))}, {"Transfer-Encoding": "chunked"}])
def test_the_limit_is_the_last_size_that_passes(headers: dict[str, str]) -> None:
    """By what is promised, and by what comes where nothing is."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(PHOTO))

    downloads(answer, max_bytes=len(PHOTO)).fetch(URL, soon()).file.close()
    with pytest.raises(OutputRefusedError, match=f"larger than {len(PHOTO) - 1} bytes"):
        downloads(answer, max_bytes=len(PHOTO) - 1).fetch(URL, soon())


def test_a_host_that_cannot_be_reached_is_unavailable() -> None:
    """A broken connection is worth another try."""

    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    with pytest.raises(OutputUnavailableError, match="ReadError"):
        downloads(broken).fetch(URL, soon())


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
    uri = "data:image/jpeg;base64," + PACKED
    with downloads().fetch(uri, soon()) as download:
        assert download.file.read() == PHOTO


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "data:",
            "data:,",
            "data:;base64,",
            "data:image/jpeg;base64",
            "data:image/jpeg,abc",
            "data:image/jpeg;base64,",
        ),
        *(
            "data:image/jpeg;base64,@@@",
            "data:image/jpeg;base64,/9j",
            "data:image/jpeg;base64,\u00e9",
            "data://v3.fal.media",
        ),
        *("data:text/html;base64,PGI+", "data:image/jpeg;base64,PGI+", "data:text/html,<script>alert(1)</script>"),
        *(f"data:image/jpeg;base64,{PACKED[:76]}\n{PACKED[76:]}", f"data:image/jpeg;base64,%2F{PACKED[1:]}"),
        *(f"data:image/jpeg;base64 ,{PACKED}", f"data:image/jpeg;base32,{PACKED}", f" data:image/jpeg;base64,{PACKED}"),
        *(f"DATA:image/jpeg;base64,{PACKED}", f"data:image/jpeg,{PACKED}", f"data:image/jpeg;base64,{PACKED * 30}"),
    ],
    ids=lambda uri: repr(uri[:40]),
)
def test_other_data_uris_are_refused(uri: str) -> None:
    """Damaged ones, other encodings, other content, and one of more bytes than may be stored."""
    with pytest.raises(OutputRefusedError):
        downloads().fetch(uri, soon())
