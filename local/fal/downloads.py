"""Output files as they are fetched, and what can be wrong with them."""

import struct
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request as Call
from werkzeug.wrappers import Response

from local.fal.answers import answer
from local.fal.breakage import ConnectionCutError

if TYPE_CHECKING:
    from local.fal.emulator import Emulator
    from local.fal.files import StoredFile
    from local.fal.switches import FileFault

KIB = 1024
MIB = 1024 * KIB
BOMB_BYTES = 1024 * MIB
"""What a gzip bomb unpacks to; about a thousandth of it goes over the wire."""
HUGE_SIDE = 60_000
# Output files are public, also for pages of other origins.
PUBLIC = {"Access-Control-Allow-Origin": "*"}
HTML = b"<!doctype html><html><body><script>alert(1)</script></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _huge_picture() -> bytes:
    """Give a PNG of a few bytes whose header tells of 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", HUGE_SIDE, HUGE_SIDE, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(KIB))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


# What comes under a picture's name and type.
OTHER_BYTES: dict[object, bytes] = {"empty": b"", "html": HTML, "svg": SVG, "huge": _huge_picture()}


def download(emulator: "Emulator", call: Call, path: str) -> Response:
    """Answer the fetch of a file, or of a range of it."""
    stored = emulator.files.get(path)
    if stored is None:
        return answer({"detail": "Not Found"}, 404)
    own = stored.fault
    fault = own if own is not None and own.answer is not None else emulator.settings.files
    if fault is None or fault.answer is None:
        given = _give(stored, stored.content)
        return given.make_conditional(call, accept_ranges=True, complete_length=len(stored.content))
    number = emulator.files.count_fetch(path)
    if fault.first is not None and number > fault.first:
        return _give(stored, stored.content)
    return _spoiled(emulator, stored, fault)


def _give(stored: "StoredFile", content: bytes) -> Response:
    return Response(content, 200, PUBLIC, content_type=stored.content_type)


def _spoiled(emulator: "Emulator", stored: "StoredFile", fault: "FileFault") -> Response:
    match fault.answer:
        case "closed":
            raise ConnectionCutError("the emulator hangs up on a file's fetch, as it was told")
        case 403 | 404 | 500:
            return answer({"detail": HTTPStatus(fault.answer).phrase}, fault.answer)
        case "redirect":
            return Response(status=302, headers={"Location": fault.location or ""})
        case "drip" | "short":
            pieces = _drip(emulator, stored.content, fault.seconds) if fault.answer == "drip" else _half(stored.content)
            return _stream(stored, pieces, {"Content-Length": str(len(stored.content))})
        case "endless":
            return _stream(stored, _endless(stored.content), {})
        case "gzip_bomb":
            return _stream(stored, _bomb(stored.content), {"Content-Encoding": "gzip"})
        case "polyglot":
            return _give(stored, stored.content + HTML)
        case answered:
            return _give(stored, OTHER_BYTES[answered])


def _stream(stored: "StoredFile", pieces: Iterator[bytes], headers: dict[str, str]) -> Response:
    return Response(pieces, 200, PUBLIC | headers, content_type=stored.content_type)


def _drip(emulator: "Emulator", content: bytes, seconds: float) -> Iterator[bytes]:
    for at in range(0, len(content), KIB):
        emulator.schedule.wait(seconds)
        yield content[at : at + KIB]


def _half(content: bytes) -> Iterator[bytes]:
    yield content[: len(content) // 2]
    raise ConnectionCutError("the emulator hangs up in the middle of a file, as it was told")


def _endless(content: bytes) -> Iterator[bytes]:
    yield content
    while True:
        yield bytes(64 * KIB)


def _bomb(content: bytes) -> Iterator[bytes]:
    """Give the picture and then zeros, packed while they are sent, so that whoever stops early costs little."""
    packer = zlib.compressobj(1, wbits=31)
    yield packer.compress(content)
    zeros = bytes(MIB)
    for _ in range(BOMB_BYTES // MIB):
        yield packer.compress(zeros)
    yield packer.flush()
