"""Outputs on their way from fal's file hosts to a file of ours: only from allowed hosts, in bounded size and time."""

import base64
import hashlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self
from urllib.parse import SplitResult, urlsplit

import httpx

from shared.errors import OutputRefusedError, OutputUnavailableError
from shared.image_formats import HEAD_BYTES, ImageFormat, dimensions, sniff

MAX_BYTES = 64 * 1024 * 1024
"""The largest output that is stored; four megapixels as PNG stay far below."""

STORED_FORMATS: dict[ImageFormat, tuple[str, str]] = {
    "jpeg": ("image/jpeg", "jpg"),
    "png": ("image/png", "png"),
    "webp": ("image/webp", "webp"),
}
"""What may be stored, with its content type and file extension: pictures, and nothing that a browser would run."""


@dataclass(frozen=True)
class Origin:
    """A place that outputs may come from; `*.` before the host takes its subdomains too."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Read a host, which means https, or a whole origin, which alone can mean plain http."""
        parts = urlsplit(entry if "://" in entry else f"https://{entry}")
        return cls(parts.scheme, parts.hostname or "", parts.port)

    def allows(self, url: SplitResult) -> bool:
        """Whether the URL is of this origin."""
        host = url.hostname or ""
        fits = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return fits and url.scheme == self.scheme and (url.port or _default(url)) == (self.port or _default(url))


def _default(url: SplitResult) -> int:
    return 80 if url.scheme == "http" else 443


FAL_HOSTS = (Origin.parse("fal.media"), Origin.parse("*.fal.media"))


class Download:
    """An output in a temporary file of its own; closing it deletes the file."""

    def __init__(self, file: BinaryIO, size: int, sha256: str) -> None:
        self.file = file
        self.size = size
        self.sha256 = sha256
        file.seek(0)
        image_format = sniff(file.read(HEAD_BYTES))
        if image_format not in STORED_FORMATS:
            file.close()
            raise OutputRefusedError("the output is no JPEG, PNG or WebP picture")
        self.content_type, self.extension = STORED_FORMATS[image_format]
        self.dimensions = dimensions(file, image_format)
        if self.dimensions is None and image_format != "webp":
            file.close()
            raise OutputRefusedError("the output is a damaged picture")
        file.seek(0)

    def __enter__(self) -> Self:
        """Keep the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the file go."""
        self.file.close()


class Downloads:
    """Fetches outputs by their URL, which is fal's word and is not trusted."""

    def __init__(self, http: httpx.Client, hosts: tuple[str, ...], max_bytes: int = MAX_BYTES) -> None:
        self._http = http
        self._origins = (*FAL_HOSTS, *(Origin.parse(entry) for entry in hosts))
        self._max_bytes = max_bytes

    def fetch(self, url: str, deadline: float) -> Download:
        """Bring one output here before `deadline` (time.monotonic).

        Raises:
            OutputRefusedError: it must not be stored: wrong host, too large, no picture.
            OutputUnavailableError: it could not be had now.
        """
        if url.startswith("data:"):
            return self._spool(iter([_decode_data_uri(url)]), deadline)
        self._check(url)
        timeout = httpx.Timeout(max(deadline - time.monotonic(), 0.1), connect=5)
        try:
            # Bytes are taken as they are on the wire, so that a few of them cannot unpack into very many.
            headers = {"Accept-Encoding": "identity"}
            with self._http.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=False) as response:
                self._check_answer(response)
                return self._spool(response.iter_raw(), deadline)
        except httpx.RequestError as error:
            raise OutputUnavailableError(f"the output's host failed: {type(error).__name__}") from error

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            # httpx reads URLs its own way, so it must find the same host in this one.
            same = httpx.URL(url).host == parts.hostname
            allowed = same and any(origin.allows(parts) for origin in self._origins)
        except (ValueError, httpx.InvalidURL):
            raise OutputRefusedError("the output's URL is none") from None
        if not allowed or parts.username is not None or parts.password is not None:
            where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            raise OutputRefusedError(f"the output is at {where}, and FAL_OUTPUT_HOSTS does not list that")

    def _check_answer(self, response: httpx.Response) -> None:
        if response.is_redirect:
            raise OutputRefusedError("the output's host redirects elsewhere")
        if not response.is_success:
            raise OutputUnavailableError(f"the output's host answered {response.status_code}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise OutputRefusedError("the output is packed")
        if int(response.headers.get("Content-Length", 0)) > self._max_bytes:
            raise OutputRefusedError(f"the output is larger than {self._max_bytes} bytes")

    def _spool(self, chunks: Iterator[bytes], deadline: float) -> Download:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the Download closes it
        size, digest = 0, hashlib.sha256()
        try:
            for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    raise OutputRefusedError(f"the output is larger than {self._max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise OutputUnavailableError("the output's host is too slow")
                digest.update(chunk)
                file.write(chunk)
        except BaseException:
            file.close()
            raise
        return Download(file, size, digest.hexdigest())


def _decode_data_uri(url: str) -> bytes:
    head, separator, data = url.partition(",")
    if not separator or not head.endswith(";base64"):
        raise OutputRefusedError("the output is a data URI in a form that fal does not use")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise OutputRefusedError("the output's data URI is damaged") from error
