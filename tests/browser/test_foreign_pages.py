"""Pages of other sites in a real Chromium against the stack's three ports; where there is none, skipped with a word."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote

import httpx
import pytest

from local.aws import session
from local.settings import ROOT, Fal, Ports, free_ports
from local.stack import Stack

PAGE = Path(__file__).with_name("foreign_page.html")
REBOUND = "rebound.example"
DEADLINE = 60
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; .ci/run installs one where it may")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack for the pages of this module."""
    ports = Ports.read({}, defaults=free_ports())
    with Stack(ports, Fal.choose({}, ports)) as running:
        yield running
    running.log.unlink()


def put_picture(stack: Stack) -> str:
    """Put a picture in a bucket, and presign a link to it."""
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        s3.upload_file(str(ROOT / "events" / "photos" / "coffee.png"), "darkroom-outputs", "cup.png")
        return s3.generate_presigned_url("get_object", Params={"Bucket": "darkroom-outputs", "Key": "cup.png"})


def visit(stack: Stack, host: str, profile: Path) -> dict[str, str]:
    """Serve the page on another address and have Chromium show it; gives what it says that it could do."""
    told: SimpleQueue[dict[str, str]] = SimpleQueue()

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = PAGE.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        places = {"api": stack.api_url, "aws": stack.aws_url, "fal": stack.fal_url}
        asked = quote(json.dumps(places | {"link": put_picture(stack), "rebound": REBOUND}))
        switches = (*SWITCHES, f"--user-data-dir={profile}", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1")
        process = subprocess.Popen(  # noqa: S603 - the browser that was found
            [str(CHROMIUM), *switches, f"http://{host}:{site.server_port}/?{asked}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return told.get(timeout=DEADLINE)
        finally:
            process.terminate()
            process.wait()
            site.shutdown()


@pytest.mark.parametrize(
    ("host", "sees_pictures"),
    [("127.0.0.2", False), ("localhost", False), ("127.0.0.1", True)],
    ids=["another address", "another name", "another port"],
)
def test_a_foreign_page_reads_and_changes_nothing(stack: Stack, tmp_path: Path, host: str, sees_pictures: bool) -> None:
    """Whatever a page tries, it reads no answer and changes nothing; one of this very address may show pictures."""
    seen = visit(stack, host, tmp_path / "profile")
    assert seen.pop("stored picture") == ("loaded" if sees_pictures else "failed")
    assert len(seen) > 25
    # Of an opaque answer a page learns that there was one; what it says is below.
    assert {name: what for name, what in seen.items() if what not in {"failed", "opaque"}} == {}
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        assert "Contents" not in s3.list_objects_v2(Bucket="darkroom-inputs")
        assert s3.list_objects_v2(Bucket="darkroom-outputs")["KeyCount"] == 1
    assert httpx.get(f"{stack.fal_url}/emulator/scripts").json() == {"scripts": []}
    assert httpx.get(f"{stack.api_url}/jobs", headers={"Authorization": "Bearer local"}).json()["jobs"] == []
