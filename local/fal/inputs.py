"""Input images: fetched, measured and opened as fal's runners do it."""

import base64
import binascii
import io
import ipaddress
import warnings
from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

import httpx
from PIL import Image, ImageOps, UnidentifiedImageError

from local.fal.faults import ModelError, make_detail
from local.fal.files import FileStore
from local.fal.settings import EmulatorSettings

Fetch = Callable[[str], bytes]
Location = tuple[str | int, ...]

# The six formats that Kontext's page lists, jpg and jpeg being one.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# fal docs: toolkit. A download may take 30 s and follow five redirects.
DOWNLOAD_SECONDS = 30.0
DOWNLOAD_REDIRECTS = 5
SHOWN_CHARACTERS = 2048
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan")


class InputTooLargeError(Exception):
    """The file is larger than a runner downloads."""


def make_fetch(settings: EmulatorSettings) -> Fetch:
    """Give the fetch that really downloads."""

    def fetch(url: str) -> bytes:
        content = bytearray()
        with (
            httpx.Client(follow_redirects=True, max_redirects=DOWNLOAD_REDIRECTS, timeout=DOWNLOAD_SECONDS) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > settings.max_input_bytes:
                    raise InputTooLargeError
        return bytes(content)

    return fetch


def is_private(url: str) -> bool:
    """Whether the URL's host is, by its name or address, none that fal can reach from outside."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_SUFFIXES)


class InputLoader:
    """Opens input images by their URLs."""

    def __init__(self, settings: EmulatorSettings, files: FileStore, fetch: Fetch) -> None:
        self._settings = settings
        self._files = files
        self._fetch = fetch

    def load(self, loc: Location, url: str) -> Image.Image:
        """Give the image upright and in RGB.

        Raises:
            ModelError: it cannot be fetched, is too large, or is no image that the model reads.
        """
        content = self._read(loc, url)
        if len(content) > self._settings.max_input_bytes:
            raise self._too_large(loc, url)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                    upright = ImageOps.exif_transpose(opened).convert("RGBA")
        except (
            UnidentifiedImageError,
            OSError,
            SyntaxError,
            ValueError,
            Image.DecompressionBombError,
            Image.DecompressionBombWarning,
        ) as error:
            message = (
                "Failed to load the image. Please ensure the image file is not corrupted and is in a supported format."
            )
            raise ModelError([make_detail("image_load_error", message, loc=loc, given=_shown(url))]) from error
        paper = Image.new("RGB", upright.size, "white")
        paper.paste(upright, mask=upright.getchannel("A"))
        return paper

    def _read(self, loc: Location, url: str) -> bytes:
        try:
            if url.startswith("data:"):
                return decode_data_uri(url)
            base = f"{self._settings.public_url}/files/"
            if url.startswith(base):
                # What the emulator serves itself need not go over the network.
                stored = self._files.get(url.removeprefix(base))
                if stored is None:
                    raise FileNotFoundError(url)
                return stored.content
            if is_private(url) and not self._settings.allow_private_inputs:
                raise PermissionError(url)
            return self._fetch(url)
        except InputTooLargeError as error:
            raise self._too_large(loc, url) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            message = "Failed to download the file. Please check if the URL is accessible and try again."
            raise ModelError([make_detail("file_download_error", message, loc=loc, given=_shown(url))]) from error

    def _too_large(self, loc: Location, url: str) -> ModelError:
        limit = self._settings.max_input_bytes
        message = f"File size exceeds the maximum allowed size of {limit} bytes."
        return ModelError(
            [make_detail("file_too_large", message, loc=loc, given=_shown(url), context={"max_size": limit})]
        )


def _shown(url: str) -> str:
    """Give what an error repeats of the input: a URL whole, but no megabytes of a data URI."""
    return url if len(url) <= SHOWN_CHARACTERS else url[:SHOWN_CHARACTERS] + "…"


def decode_data_uri(uri: str) -> bytes:
    """Give the bytes of a data URI.

    Raises:
        ValueError: it has no comma, or its base64 is none.
    """
    head, comma, data = uri.partition(",")
    if not comma:
        raise ValueError("a data URI needs a comma")
    try:
        return base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
    except binascii.Error as error:
        raise ValueError("not base64") from error
