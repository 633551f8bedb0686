"""The emulator on real ports, and fal's own client against it."""

import base64
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.fal import Emulator, EmulatorSettings
from local.fal.serving import Listener
from local.fal.settings import KONTEXT_ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("client_script.py")
FAST = ["--queue-seconds", "0.05", "--run-seconds", "0.05", "--megapixels", "0.005", "--concurrency", "4"]
KEY = {"Authorization": "Key id:secret"}


@dataclass
class Served:
    """A running `python -m local.fal` and what it printed."""

    process: "subprocess.Popen[str]"
    printed: dict[str, str]
    last_line: str

    @property
    def url(self) -> str:
        """Where it listens without TLS."""
        return self.printed["FAL_QUEUE_URL"]


def serve(*options: str) -> Served:
    """Start the emulator on ports that the system chooses, and read what it prints."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "local.fal", "--port", "0", "--exit-with-parent", *FAST, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    wanted = 7 if "--tls-port" in options else 5
    assert select.select([process.stdout], [], [], 20)[0]
    lines = [process.stdout.readline().strip() for _ in range(wanted)]
    return Served(process, dict(line.split("=", 1) for line in lines[1:-1]), lines[-1])


def finish(served: Served) -> int:
    """Close what leads to the process and give its exit status."""
    assert served.process.stdin is not None
    assert served.process.stdout is not None
    served.process.stdin.close()
    status = served.process.wait(10)
    served.process.stdout.close()
    return status


@pytest.fixture(scope="session")
def served() -> "Iterator[Served]":
    """Serve plain and over TLS for all tests of this module."""
    found = serve("--tls-port", "0")
    yield found
    finish(found)


@pytest.fixture(scope="session")
def report(served: Served) -> dict[str, Any]:
    """Give what the unchanged client told after its environment was pointed at the emulator."""
    image = (ROOT / "events" / "photos" / "coffee.webp").read_bytes()
    names = ("FAL_QUEUE_RUN_HOST", "SSL_CERT_FILE")
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(SCRIPT), served.url],
        env=os.environ | {name: served.printed[name] for name in names} | {"FAL_KEY": "id:secret"},
        input="data:image/webp;base64," + base64.b64encode(image).decode(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_prints_what_the_client_needs(served: Served) -> None:
    """What Darkroom's functions are set to, and for fal's own client the TLS host and the certificate to trust."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", served.url)
    assert served.printed["FAL_JWKS_URL"] == f"{served.url}/.well-known/jwks.json"
    assert served.printed["FAL_OUTPUT_HOSTS"] == served.url
    assert re.fullmatch(r"127\.0\.0\.1:\d+", served.printed["FAL_QUEUE_RUN_HOST"])
    assert Path(served.printed["SSL_CERT_FILE"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_it_prints_how_a_fault_is_switched_on() -> None:
    """The command that it prints can be pasted: the next reply is lost."""
    served = serve()
    page, _, command = served.last_line.partition(": curl ")
    assert "docs/emulator.md" in page
    url, flag, script = shlex.split(command)
    assert (flag, url) == ("-d", f"{served.url}/emulator/scripts")
    with httpx.Client(base_url=served.url, headers=KEY) as http:
        assert http.post(url, content=script).json() == {"waiting": 1}
        with pytest.raises(httpx.RemoteProtocolError):
            http.post("/fal-ai/flux-pro/kontext/text-to-image", json={"prompt": "a"})
        assert len(http.get("/emulator/requests").json()["requests"]) == 1
    assert finish(served) == 0


@pytest.mark.parametrize("endpoint", KONTEXT_ENDPOINTS)
def test_fals_own_client_works_unchanged(served: Served, report: dict[str, Any], endpoint: str) -> None:
    """Over TLS it submits, sees all three states, fetches results, subscribes and cancels."""
    found = report[endpoint]
    assert found["states"] == ["Queued", "InProgress", "Completed"]
    assert (found["by_id"], found["after_cancel"]) == ("Completed", 499)
    assert found["inference_time"] >= 0.05
    assert found["result"]["seed"] == found["subscribed"]["seed"] == 5
    urls = [found[name]["images"][0]["url"] for name in ("result", "subscribed")]
    assert all(url.startswith(f"{served.url}/files/") for url in urls)
    with httpx.Client() as http:
        first, second = (http.get(url) for url in urls)
    assert first.status_code == 200
    assert first.content == second.content


def test_fals_own_client_raises_what_the_model_refused(report: dict[str, Any]) -> None:
    """The list of details arrives as the error's message, which is why it may be no text."""
    status, message = report["refusal"]
    assert status == 422
    assert "image_url" in json.dumps(message)


def test_fals_own_client_uploads(report: dict[str, Any]) -> None:
    """Whole and parted uploads come back from the addresses that the client was told."""
    with httpx.Client() as http:
        assert http.get(report["uploads"]["whole"]).content == b"some bytes"
        assert http.get(report["uploads"]["parted"]).content == bytes(range(256)) * 8


def test_plain_http_is_there_as_well(served: Served) -> None:
    """A request over plain http runs to its end, and its URLs are plain."""
    with httpx.Client(base_url=served.url, headers=KEY) as http:
        job = http.post("/fal-ai/flux-pro/kontext/text-to-image", json={"prompt": "a"}).json()
        assert job["status_url"].startswith(f"{served.url}/fal-ai/flux-pro/requests/")
        with http.stream("GET", job["status_url"] + "/stream") as answer:
            events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
        assert events[-1]["status"] == "COMPLETED"
        assert http.get(job["response_url"]).status_code == 200


def test_one_connection_carries_many_calls(served: Served) -> None:
    """Keep-alive holds over answers with and without a body, errors and unread bodies."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=5)
    connection.connect()
    first = connection.sock
    for method, path, body in (
        ("GET", "/emulator/health", None),
        ("POST", "/nobody/nothing", b"x" * 5000),
        ("HEAD", "/emulator/health", None),
        ("POST", "/alone", b"never read"),
        ("GET", "/emulator/requests", None),
    ):
        connection.request(method, path, body=body, headers=KEY)
        connection.getresponse().read()
        assert connection.sock is first
    connection.request("POST", "/nobody/nothing", body=iter([b"in ", b"chunks"]), headers=KEY, encode_chunked=True)
    assert connection.getresponse().read() == b'{"detail": "Application \'nobody/nothing\' not found"}'
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    """The exit status is 0 and the port is free again."""
    found = serve()
    found.process.send_signal(number)
    assert found.process.wait(10) == 0
    assert finish(found) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(found.url)


def test_it_ends_with_its_parent() -> None:
    """When standard input ends, so does it."""
    assert finish(serve()) == 0


def test_threads_paint_and_deliver_while_calls_are_answered() -> None:
    """A webhook that hangs holds up neither polls nor other requests, and the clock can be put forward."""
    hold, told = threading.Event(), []

    def deliver(url: str, _headers: dict[str, str], _body: bytes, _timeout: float) -> int:
        if url.endswith("slow"):
            hold.wait(10)
        told.append(url)
        return 200

    settings = EmulatorSettings(megapixels=0.005, queue_seconds=0, run_seconds=3600)
    emulator = Emulator(settings, deliver=deliver, threads=3)
    listener = Listener(emulator, "127.0.0.1", 0)
    emulator.start()
    listener.start()
    with httpx.Client(base_url=f"http://{listener.authority}", headers=KEY) as http:
        for name in ("slow", "fast"):
            hook = {"fal_webhook": f"https://hooks.example/{name}"}
            http.post("/fal-ai/flux-pro/kontext/text-to-image", json={"prompt": "a"}, params=hook)
        releasing = threading.Timer(0.5, hold.set)
        releasing.start()
        http.post("/emulator/clock", json={"advance": 4000})
        rows = http.get("/emulator/requests").json()["requests"]
        releasing.join()
        deadline = time.monotonic() + 5
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    listener.stop()
    emulator.stop()
    assert [row["status"] for row in rows] == ["COMPLETED", "COMPLETED"]
    assert told == ["https://hooks.example/fast", "https://hooks.example/slow"]
