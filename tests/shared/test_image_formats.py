"""Formats and sizes, read from real files."""

import io
from pathlib import Path

import pytest

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
    [("coffee.png", (600, 400)), ("rocket.jpg", (640, 427)), ("rocket-orientation-6.jpg", (427, 640))],
)
def test_sizes_come_from_the_head(photo: str, size: tuple[int, int]) -> None:
    """Width and height as stored, without decoding anything."""
    content = (PHOTOS / photo).read_bytes()
    image_format = sniff(content[:64])
    assert image_format is not None
    assert dimensions(io.BytesIO(content), image_format) == size


@pytest.mark.parametrize(
    "content", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x01", b"\xff\xd8\xff\xd8zzzz", b"\x89PNG\r\n\x1a\n"]
)
def test_a_damaged_head_says_no_size(content: bytes) -> None:
    """A file cut short or odd is not an error, its size is just not known."""
    image_format = sniff(content)
    assert image_format is not None
    assert dimensions(io.BytesIO(content), image_format) is None
