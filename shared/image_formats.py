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
VP8_START = b"\x9d\x01\x2a"
VP8L_SIGNATURE = 0x2F
MAX_SEGMENTS = 1000
"""As many segments of a JPEG are looked at: more than real files have, fewer than would take a second."""


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
    """Width and height in pixels as the file says; None where it does not say them in an ordinary place.

    A GIF and an AVIF are never asked: they go to fal and never come from there.
    """
    file.seek(0)
    try:
        if image_format == "png":
            found = _png_dimensions(file.read(24))
        elif image_format == "jpeg":
            found = _jpeg_dimensions(file)
        elif image_format == "webp":
            found = _webp_dimensions(file.read(30))
        else:
            return None
    except struct.error:
        return None  # A file cut short says nothing of its size.
    return found if found and all(found) else None


def _png_dimensions(head: bytes) -> tuple[int, int] | None:
    name, width, height = struct.unpack(">12x4sII", head)
    return (width, height) if name == b"IHDR" else None


def _webp_dimensions(head: bytes) -> tuple[int, int] | None:
    """The three kinds of WebP (RFC 9649): extended, lossless, and lossy."""
    kind, body = head[12:16], head[20:]
    if kind == b"VP8X":
        less_one = struct.unpack_from("<3s3s", body, 4)
        width, height = (int.from_bytes(side, "little") + 1 for side in less_one)
        return width, height
    if kind == b"VP8L":
        signature, sizes = struct.unpack_from("<BI", body)
        return ((sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1) if signature == VP8L_SIGNATURE else None
    if kind == b"VP8 ":
        start, width, height = struct.unpack_from("<3x3sHH", body)
        return (width & 0x3FFF, height & 0x3FFF) if start == VP8_START else None
    return None


def _jpeg_dimensions(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker, length = struct.unpack(">HH", file.read(4))
        if marker in JPEG_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        beyond = length - LENGTH_BYTES
        if marker < FIRST_MARKER or beyond < 0:
            return None
        file.seek(beyond, 1)
    return None
