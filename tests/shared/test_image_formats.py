"""Formats and sizes, read from real files."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from shared.image_formats import dimensions, sniff

PHOTOS = Path(__file__).parent.parent.parent / "events" / "photos"


@pytest.mark.parametrize(
    ("photo", "image_format"),
    [
        ("coffee.png", "png"),
        ("coffee.webp", "webp"),
        ("coffee.avif", "avif"),
        ("chelsea.gif", "gif"),
        ("rocket.jpg", "jpeg"),
        ("rocket-orientation-6.jpg", "jpeg"),
        ("rocket.heic", None),
        ("README.md", None),
    ],
)
def test_real_files_are_known_by_their_bytes(photo: str, image_format: str | None) -> None:
    """The five formats that Kontext takes are told apart, and HEIC and text are none of them."""
    assert sniff((PHOTOS / photo).read_bytes()[:64]) == image_format


@pytest.mark.parametrize(
    "head", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<html>", b"RIFF1234WAVE", b"%PDF-1.7"]
)
def test_nothing_else_passes_for_a_picture(head: bytes) -> None:
    """Active content and other files have no format."""
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("photo", "size"),
    [
        *(("coffee.png", (600, 400)), ("rocket.jpg", (640, 427)), ("rocket-orientation-6.jpg", (427, 640))),
        *(("coffee.webp", (600, 400)), ("coffee.avif", None), ("chelsea.gif", (451, 300))),
    ],
)
def test_sizes_come_from_the_head(photo: str, size: tuple[int, int] | None) -> None:
    """Width and height as stored, without decoding anything; an AVIF does not say them in one place."""
    content = (PHOTOS / photo).read_bytes()
    image_format = sniff(content[:64])
    assert image_format is not None
    assert dimensions(io.BytesIO(content), image_format) == size


@pytest.mark.parametrize(("lossless", "alpha"), [(True, False), (False, False), (False, True)])
def test_the_three_kinds_of_webp(*, lossless: bool, alpha: bool) -> None:
    """Lossless, lossy and extended, as a real library writes them."""
    file = io.BytesIO()
    Image.new("RGBA" if alpha else "RGB", (300, 1025), 0x80204060 if alpha else 0).save(file, "WEBP", lossless=lossless)
    assert file.getvalue()[12:16] == (b"VP8L" if lossless else b"VP8X" if alpha else b"VP8 ")
    assert dimensions(file, "webp") == (300, 1025)


def png(width: int, height: int, name: bytes = b"IHDR") -> bytes:
    """The head of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, name, width, height)


def webp(kind: bytes, body: bytes) -> bytes:
    """The head of a WebP."""
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + body


FRAME = b"\xff\xc0\0\x11\x08\0\x05\0\x07"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (png(2**32 - 1, 2**31), (2**32 - 1, 2**31)),
        (webp(b"VP8X", b"\0" * 4 + b"\xff" * 6), (2**24, 2**24)),
        (webp(b"VP8L", b"\x2f" + b"\xff" * 4), (2**14, 2**14)),
        (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + b"\xff" * 4), (2**14 - 1, 2**14 - 1)),
        (b"\xff\xd8" + FRAME, (7, 5)),
        (b"\xff\xd8" + b"\xff\xe1\0\2" * 999 + FRAME, (7, 5)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_largest_that_a_head_can_say(content: bytes, size: tuple[int, int]) -> None:
    """Each format's fields are read to their last bit, and a JPEG's frame after many segments."""
    image_format = sniff(content)
    assert image_format is not None
    assert dimensions(io.BytesIO(content), image_format) == size


@pytest.mark.parametrize(
    "content",
    [
        *(b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x01", b"\xff\xd8\xff\xd8zzzz", b"\xff\xd8\xff\xe1\0\2<html>"),
        *(b"\xff\xd8" + FRAME[:-1], b"\xff\xd8" + FRAME[:5] + b"\0\0\0\7", b"\xff\xd8" + FRAME[:5] + b"\0\7\0\0"),
        b"\xff\xd8" + b"\xff\xe1\0\2" * 1000 + FRAME,
        *(b"\x89PNG\r\n\x1a\n", png(1, 1)[:-1], png(0, 1), png(1, 0), png(1, 1, b"IDAT")),
        *(webp(b"VP8X", b"\0" * 9), webp(b"VP8L", b"\x2f\0\0\0"), webp(b"VP8L", b"\x2e" + b"\0" * 4)),
        *(webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a\1\0\1"), webp(b"VP8 ", b"\0\0\0\x9d\x01\x2b\1\0\1\0")),
        *(webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a\0\0\1\0"), webp(b"VP9 ", b"\1" * 20), b"RIFF\0\0\0\0WEBP"),
    ],
    ids=lambda content: repr(content[:32]),
)
def test_a_damaged_head_says_no_size(content: bytes) -> None:
    """A file cut short or odd, or one without width or height, is not an error: its size is just not known."""
    image_format = sniff(content)
    assert image_format is not None
    assert dimensions(io.BytesIO(content), image_format) is None
