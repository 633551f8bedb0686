"""Which picture format bytes are, and how large the picture is, read from its head alone: nothing is decoded."""

import struct
from typing import BinaryIO, Literal

ImageFormat = Literal["jpeg", "png", "webp", "gif", "avif"]

HEAD_BYTES = 64
"""As many bytes of a file as `sniff` needs."""

JPEG_FRAMES = set(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
"""The frame headers SOF0 to SOF15, without the three codes among them that mean something else."""

FIRST_MARKER = 0xFF00
LENGTH_BYTES = 2
"""A JPEG segment's length counts its own bytes."""


def sniff(head: bytes) -> ImageFormat | None:
    """The format, by its magic bytes; None for anything that Kontext does not take, HEIC and SVG among it."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:6] in {b"GIF87a", b"GIF89a"}:
        return "gif"
    # An ISO media file lists its brands; avis is an AVIF sequence.
    if head[4:8] == b"ftyp" and any(brand in head[8:HEAD_BYTES] for brand in (b"avif", b"avis")):
        return "avif"
    return None


def dimensions(file: BinaryIO, image_format: ImageFormat) -> tuple[int, int] | None:
    """Width and height in pixels as the file says; None where it does not say them in an ordinary place."""
    file.seek(0)
    try:
        if image_format == "png":
            width, height = struct.unpack(">II", file.read(24)[16:24])
            return width, height
        if image_format == "jpeg":
            return _jpeg_dimensions(file)
    except struct.error:
        pass  # A file cut short says nothing of its size.
    return None


def _jpeg_dimensions(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while True:
        marker, length = struct.unpack(">HH", file.read(4))
        if marker in JPEG_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        beyond = length - LENGTH_BYTES
        if marker < FIRST_MARKER or beyond < 0:
            return None
        file.seek(beyond, 1)
