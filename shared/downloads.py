"""Outputs on their way from fal's file hosts to a file of ours: only from allowed hosts, in bounded size and time."""

import base64
import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO, Self

import httpx

from shared.cutoff import Cutoff
from shared.errors import OutputRefusedError, OutputUnavailableError, OutputUnfitError
from shared.image_formats import HEAD_BYTES, ImageFormat, dimensions, sniff
from shared.output_origins import FAL_ORIGINS, Origin, find_origin
from shared.public_addresses import LookUp, addresses_of, is_public, look_up

MAX_BYTES = 64 * 1024 * 1024
"""The largest output that is stored; four megapixels as PNG stay far below."""

MAX_PIXELS = 100_000_000
"""The largest picture that is stored: Kontext makes about one megapixel, and whoever opens one unpacks them all."""

CONNECT_SECONDS = 5
TOO_SLOW = "the output's host is too slow"

STORED_FORMATS: dict[ImageFormat, tuple[str, str]] = {
    "jpeg": ("image/jpeg", "jpg"),
    "png": ("image/png", "png"),
    "webp": ("image/webp", "webp"),
}
"""What may be stored, with its content type and file extension: pictures, and nothing that a browser would run."""


class Download:
    """An output in a temporary file of its own; closing it deletes the file.

    A picture by its head is a picture: HTML may follow in the same file, but it is kept and served as image/jpeg.
    """

    def __init__(self, file: BinaryIO, size: int, sha256: str) -> None:
        """Judge the file by its head.

        Raises:
            OutputUnfitError: it is no picture.
            OutputRefusedError: it must not be stored.
        """
        self.file = file
        self.size = size
        self.sha256 = sha256
        file.seek(0)
        image_format = sniff(file.read(HEAD_BYTES))
        if image_format not in STORED_FORMATS:
            raise OutputUnfitError("the output is no JPEG, PNG or WebP picture")
        self.content_type, self.extension = STORED_FORMATS[image_format]
        self.dimensions = dimensions(file, image_format)
        if self.dimensions is None:
            raise OutputUnfitError("the output is a damaged picture")
        width, height = self.dimensions
        if width * height > MAX_PIXELS:
            raise OutputRefusedError(f"the output has more than {MAX_PIXELS} pixels")
        file.seek(0)

    def __enter__(self) -> Self:
        """Keep the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the file go."""
        self.file.close()


class Downloads:
    """Fetches outputs by their URL, which is fal's word and is not trusted."""

    def __init__(
        self, http: httpx.Client, hosts: tuple[str, ...], max_bytes: int = MAX_BYTES, ask: LookUp = look_up
    ) -> None:
        self._http = http
        self._origins = (*FAL_ORIGINS, *(Origin.parse(entry) for entry in hosts))
        self._max_bytes = max_bytes
        self._ask = ask

    def fetch(self, url: str, deadline: float) -> Download:
        """Bring one output here before `deadline` (time.monotonic).

        Raises:
            OutputRefusedError: it must not be stored: wrong host, too large.
            OutputUnfitError: what came is no picture.
            OutputUnavailableError: it cannot be fetched now.
        """
        if url.startswith("data:"):
            # It came inside an event or an answer, and so is no larger than those can be.
            try:
                return self._spool(iter([_decode_data_uri(url)]), deadline)
            except OutputUnfitError as error:
                raise OutputRefusedError(str(error)) from error
        origin = find_origin(url, self._origins)
        target = httpx.URL(url)
        *others, last = [target] if origin.may_be_private else self._pinned(target, deadline)
        try:
            for route in others:
                with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return self._get(target, route, deadline)
            return self._get(target, last, deadline)
        except httpx.RequestError as error:
            if time.monotonic() >= deadline:
                raise OutputUnavailableError(TOO_SLOW) from error
            raise OutputUnavailableError(f"the output's host failed: {type(error).__name__}") from error

    def _pinned(self, target: httpx.URL, deadline: float) -> list[httpx.URL]:
        """The same URL at each of its host's addresses, which all must be public.

        One private address among public ones is no slip to work around: that is how a host is led to the inside.
        """
        host = target.raw_host.decode()
        try:
            addresses = addresses_of(host, deadline, self._ask)
        except OSError as error:
            raise OutputUnavailableError(f"the output's host has no address: {type(error).__name__}") from error
        if not addresses:
            raise OutputUnavailableError("the output's host has no address")
        if not all(map(is_public, addresses)):
            raise OutputRefusedError(f"the output's host {host} has an address that is not public")
        return [target.copy_with(host=address) for address in addresses]

    def _get(self, target: httpx.URL, route: httpx.URL, deadline: float) -> Download:
        left = deadline - time.monotonic()
        if left <= 0:
            raise OutputUnavailableError(TOO_SLOW)
        # Connecting may take its time twice: for TCP and for TLS.
        timeout = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left / 2))
        headers = {
            "Host": target.netloc.decode(),
            # Bytes are taken as they are on the wire, so that a few of them cannot unpack into very many.
            "Accept-Encoding": "identity",
            # Several hosts share an address; a connection that was made for one is not for another.
            "Connection": "close",
        }
        with Cutoff(deadline) as cutoff:
            # The certificate must be the host's, whichever address it is asked at.
            extensions = {"sni_hostname": target.raw_host.decode(), "trace": cutoff.trace}
            with self._http.stream(
                "GET", route, headers=headers, timeout=timeout, follow_redirects=False, extensions=extensions
            ) as response:
                self._check_answer(response)
                return self._spool(response.iter_raw(), deadline)

    def _check_answer(self, response: httpx.Response) -> None:
        if response.is_redirect:
            raise OutputRefusedError("the output's host redirects elsewhere")
        if response.status_code != HTTPStatus.OK:
            # 404 and 410 too: a file may reach its host later than the word of it.
            raise OutputUnavailableError(f"the output's host answered {response.status_code}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise OutputRefusedError("the output is packed")
        length = response.headers.get("Content-Length")
        if length is None and "Transfer-Encoding" not in response.headers:
            raise OutputUnavailableError("the output's host does not say where it ends: it may be cut short")
        if int(length or 0) > self._max_bytes:
            raise OutputRefusedError(self._too_large)

    @property
    def _too_large(self) -> str:
        return f"the output is larger than {self._max_bytes} bytes"

    def _spool(self, chunks: Iterator[bytes], deadline: float) -> Download:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the Download closes it
        size, digest = 0, hashlib.sha256()
        try:
            for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    raise OutputRefusedError(self._too_large)
                if time.monotonic() > deadline:
                    raise OutputUnavailableError(TOO_SLOW)
                digest.update(chunk)
                file.write(chunk)
            return Download(file, size, digest.hexdigest())
        except BaseException:
            file.close()
            raise


def _decode_data_uri(url: str) -> bytes:
    head, separator, data = url.partition(",")
    if not separator or not head.endswith(";base64"):
        raise OutputRefusedError("the output is a data URI in a form that fal does not use")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise OutputRefusedError("the output's data URI is damaged") from error
