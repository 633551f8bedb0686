"""An emulator on a clock that stands still, a caller for it, and a receiver for its webhooks."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from local.fal import Emulator, EmulatorSettings, EmulatorTransport, ManualClock
from local.fal.serving import Listener

KONTEXT = "fal-ai/flux-pro/kontext"
PAINT = "fal-ai/flux-pro/kontext/text-to-image"
PHOTO = "https://photos.example/cat.png"
HOOK = "https://hooks.example/fal?job=1"


@dataclass(frozen=True)
class Sent:
    """One delivery as its receiver saw it."""

    at: float
    url: str
    headers: dict[str, str]
    body: bytes
    timeout: float


@dataclass
class Fal:
    """The emulator and everything around it: a caller, the web it fetches from, and a webhook's receiver."""

    emulator: Emulator
    http: httpx.Client
    web: dict[str, bytes | Exception]
    sent: list[Sent]
    receive: Callable[[Sent], int] = field(default=lambda _sent: 200)

    def set(self, **changes: object) -> None:
        """Change settings."""
        self.emulator.change_settings(changes)

    def post(self, endpoint: str = PAINT, arguments: object = None, **options: Any) -> httpx.Response:
        """Submit and give the raw answer."""
        given = {"prompt": "a tiger", "seed": 7} if arguments is None else arguments
        return self.http.post(f"/{endpoint}", json=given, **options)

    def submit(self, endpoint: str = PAINT, arguments: object = None, **options: Any) -> dict[str, Any]:
        """Submit and give what was answered."""
        answer = self.post(endpoint, arguments, **options)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def call(self, arguments: object = None, endpoint: str = PAINT, **options: Any) -> httpx.Response:
        """Submit, let a minute pass, and fetch the result."""
        job = self.submit(endpoint, arguments, **options)
        self.emulator.advance(60)
        return self.http.get(job["response_url"])

    def status(self, job: dict[str, Any], query: str = "") -> dict[str, Any]:
        """Poll the status."""
        found: dict[str, Any] = self.http.get(job["status_url"] + query).json()
        return found

    def seen(self, job: dict[str, Any]) -> dict[str, Any]:
        """Ask the emulator what it knows of the request."""
        found: dict[str, Any] = self.http.get(f"/emulator/requests/{job['request_id']}").json()
        return found

    def script(self, *scripts: dict[str, Any]) -> None:
        """Tell the next submits what to do."""
        self.http.post("/emulator/scripts", json=list(scripts)).raise_for_status()


@dataclass(frozen=True)
class Live:
    """An emulator on a port, on the machine's clock, and a caller."""

    emulator: Emulator
    url: str
    http: httpx.Client

    def script(self, *scripts: dict[str, Any]) -> None:
        """Tell the next submits what to do."""
        self.http.post("/emulator/scripts", json=list(scripts)).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """What fal accepted, and bills."""
        found: list[dict[str, Any]] = self.http.get("/emulator/requests").json()["requests"]
        return found


@pytest.fixture
def photo() -> bytes:
    """Make a small PNG whose left half is red and whose right half shows a circle."""
    image = Image.new("RGB", (160, 120), "white")
    brush = ImageDraw.Draw(image)
    brush.rectangle((0, 0, 80, 120), fill="red")
    brush.ellipse((95, 30, 145, 80), fill="navy")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def fal(photo: bytes) -> Iterator[Fal]:
    """Give an emulator with tiny pictures, in process, whose time only the test moves."""
    web: dict[str, bytes | Exception] = {PHOTO: photo}
    sent: list[Sent] = []
    clock = ManualClock()

    def fetch(url: str) -> bytes:
        if url not in web:
            raise httpx.ConnectError(f"no such host: {url}")
        found = web[url]
        if isinstance(found, Exception):
            raise found
        return found

    def deliver(url: str, headers: dict[str, str], body: bytes, timeout: float) -> int:
        sent.append(Sent(clock.now(), url, headers, body, timeout))
        return made.receive(sent[-1])

    emulator = Emulator(EmulatorSettings(megapixels=0.005), clock=clock, deliver=deliver, fetch=fetch)
    with httpx.Client(
        transport=EmulatorTransport(emulator),
        base_url="http://127.0.0.1:8787",
        headers={"Authorization": "Key id:secret"},
    ) as http:
        made = Fal(emulator, http, web, sent)
        yield made


@pytest.fixture
def live() -> Iterator[Live]:
    """Serve an emulator whose requests take no time."""
    settings = EmulatorSettings(megapixels=0.005, queue_seconds=0, run_seconds=0, allow_private_webhooks=True)
    emulator = Emulator(settings, threads=4)
    listener = Listener(emulator, "127.0.0.1", 0)
    url = f"http://{listener.authority}"
    emulator.change_settings({"public_url": url})
    emulator.start()
    listener.start()
    with httpx.Client(base_url=url, headers={"Authorization": "Key id:secret"}, timeout=10) as http:
        yield Live(emulator, url, http)
    listener.stop()
    emulator.stop()
