"""Which picture format bytes are, and how large the picture is, read from its head alone: nothing is decoded."""

import io
import struct
from typing import BinaryIO, Literal

from shared.errors import UploadRejectedError
from shared.reasons import Reason

ImageFormat = Literal["jpeg", "png", "webp", "gif", "avif"]

HEAD_BYTES = 64
"""The bytes of a file that `sniff` needs."""
INPUT_HEAD_BYTES = 64 * 1024
"""The bytes of an input that are read: most cameras' JPEGs say their size within them, after EXIF and a preview."""
MAX_INPUT_PIXELS = 2 * (1024**3 // 4 // 3)
"""The most pixels of an input: Pillow, with which Kontext opens it, takes no more (Pillow docs: MAX_IMAGE_PIXELS)."""

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


BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC",
    b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "Canon raw (CR3)",
}  # fmt: skip
"""Kinds of ISO media files that hold pictures which Kontext does not take (ISO/IEC 23008-12), by brand."""
MAGIC = (
    (b"BM", "BMP"),
    (b"II*\0", "TIFF or camera raw"),
    (b"MM\0*", "TIFF or camera raw"),
    (b"II+\0", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF-", "PDF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "icon (ICO)"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
)
ADVICE = {"HEIC": "export it as JPEG, or set an iPhone to Camera > Formats > Most Compatible"}


def name_unsupported(head: bytes) -> str | None:
    """The name of a picture format that Kontext does not take; None for bytes that are none of those either."""
    if head[4:8] == b"ftyp":
        # The major brand, then the compatible ones.
        brands = (head[at : at + 4] for at in (8, *range(16, HEAD_BYTES, 4)))
        return next((BRANDS[brand] for brand in brands if brand in BRANDS), None)
    if b"<svg" in head[:HEAD_BYTES].lower():
        return "SVG"
    return next((name for magic, name in MAGIC if head.startswith(magic)), None)


def check_input_head(head: bytes) -> None:
    """Make sure, by its first bytes, that a file is a picture that Kontext takes.

    Raises:
        UploadRejectedError: it is not, or it has too many pixels; says what it is and what to do.
    """
    image_format = sniff(head)
    if image_format is None:
        if name := name_unsupported(head):
            advice = ADVICE.get(name, "convert it to JPEG or PNG")
            raise UploadRejectedError(
                Reason.UNSUPPORTED_FORMAT,
                f"the object is a {name} file, and fal takes jpg, png, webp, gif and avif: {advice}",
            )
        raise UploadRejectedError(Reason.NOT_AN_IMAGE, "the object is no jpg, png, webp, gif or avif picture")
    size = dimensions(io.BytesIO(head), image_format)
    if size and size[0] * size[1] > MAX_INPUT_PIXELS:
        raise UploadRejectedError(
            Reason.IMAGE_TOO_LARGE,
            f"the picture has {size[0]} x {size[1]} pixels, and fal opens {MAX_INPUT_PIXELS} at most: make it smaller",
        )


def dimensions(file: BinaryIO, image_format: ImageFormat) -> tuple[int, int] | None:
    """Width and height in pixels as the file says; None where it does not say them in an ordinary place.

    An AVIF is never asked: it goes to fal and never comes from there.
    """
    file.seek(0)
    try:
        if image_format == "png":
            found = _png_dimensions(file.read(24))
        elif image_format == "jpeg":
            found = _jpeg_dimensions(file)
        elif image_format == "webp":
            found = _webp_dimensions(file.read(30))
        elif image_format == "gif":
            found = struct.unpack("<6xHH", file.read(10))
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
