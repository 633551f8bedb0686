"""What answers on SAM's ports: SAM itself, behind our doorkeeper. An engine without containers stands in for Docker."""

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from local.children import Children
from local.docker import Docker
from local.foreground import take_environment
from local.sam import SERVING, sam_environment, sam_local, write_template
from local.sam_template import derive_template
from local.settings import HOST, Fal, Ports, free_ports
from local.stack import Stack
from local.template_reader import load_template
from tests.local.browsing import ATTEMPTS, LINK, ask, fetched

pytestmark = pytest.mark.long

INVOCATION = "/2015-03-31/functions/{}/invocations"
KEY = "0123abcd-key:worth-real-money"


class Engine(BaseHTTPRequestHandler):
    """Says that it is there, which is all that SAM asks for before it needs a container."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a ping, and whatever else."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    def address_string(self) -> str:
        """Name the caller, who has no address on such a socket."""
        return "SAM"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Engines(socketserver.ThreadingUnixStreamServer):
    """Serves engines on a socket that is a file."""

    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine that SAM finds where Docker's would be."""
    with Engines(str(tmp_path / "engine.sock"), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
        yield
        server.shutdown()


@pytest.mark.usefixtures("engine")
def test_no_page_of_another_site_reaches_sam(tmp_path: Path, built: dict[str, Any]) -> None:
    """SAM answers programs as it always does, and 403 comes before it for foreign pages and foreign names."""
    functions = load_template().functions
    file = write_template(derive_template(built, functions, {}, tmp_path), tmp_path)
    method, path = "POST", INVOCATION.format("Nobody")
    port = free_ports()["API_PORT"]
    url = f"http://{HOST}:{port}"
    _, *arguments = sam_local("start-lambda", file, "--host", HOST, "--port", str(port))
    with (tmp_path / "log").open("ab") as log, ExitStack() as ending:
        children = Children(log)
        ending.callback(children.end)
        environment = sam_environment(functions)
        children.start("start-lambda", "local.leash", *SERVING, *arguments, environment=environment, stop_seconds=10)
        children.wait_for_port("start-lambda", port)
        ask(f"{url}{path}?mac=0123", method)
        for headers in ({}, {"Host": f"localhost:{port}"}, {"Origin": url} | fetched("cors", site="same-origin")):
            answer = ask(url + path, method, headers)
            assert b"Function not found" in answer.body
        for name, (tried, headers) in ATTEMPTS.items():
            answer = ask(url + path, tried, headers)
            assert (answer.status, answer.body.startswith(b"Refused: ")) == (403, tried != "HEAD"), name
            assert not [header for header in answer.headers if header.startswith("access-control-")]
        assert ask(url + path, method, {"Host": "evil.example"}).body.startswith(b"Refused: ")
        assert not ask(url + path, headers=LINK).body.startswith(b"Refused: ")
        # SAM tells of each function that it lacks: what stands in the body of a refused call is no call.
        hidden = f"POST {INVOCATION.format('Hidden')} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\n{{}}"
        assert ask(url + path, *ATTEMPTS["text that is posted"], hidden.encode()).status == 403
        ask(url + INVOCATION.format("Last"), "POST")
    noted = (tmp_path / "log").read_text()
    assert "Last not found" in noted
    assert "Hidden" not in noted
    assert "mac=" not in noted


@pytest.mark.usefixtures("engine")
def test_a_real_key_is_in_no_file_and_no_command_line(
    tmp_path: Path, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The derived template names the key's variable, without a value; SAM has the value in its environment alone."""
    monkeypatch.setenv("FAL_KEY", KEY)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for module in ("stack", "sam_engine"):
        monkeypatch.setattr(f"local.{module}.built_for_host", lambda: nullcontext(tmp_path))
    monkeypatch.setattr("local.sam_engine.read_built", lambda _: built)
    ports = Ports.read({}, defaults=free_ports())
    stack = Stack(ports, Fal.choose(take_environment(), ports), Docker(HOST, (HOST,)))
    with (tmp_path / "log").open("ab") as log, ExitStack() as ending:
        stack._children = Children(log)  # noqa: SLF001 - the part of a start that needs no container
        ending.callback(stack._children.end)  # noqa: SLF001 - the same
        sam = stack._make_engine(log)  # noqa: SLF001 - the same
        ending.callback(sam.close)
        sam.start()
        (file,) = tmp_path.glob("darkroom-*/template.yaml")
        derived = json.loads(file.read_text())
        assert derived["Resources"]["Sweep"]["Properties"]["Environment"]["Variables"]["FAL_KEY"] == ""
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        listed = subprocess.run(["ps", "-axww", "-o", "args="], capture_output=True, text=True, check=True).stdout  # noqa: S607 - the system's own
        assert str(file) in listed
        assert KEY not in listed


def test_without_a_key_of_the_user_s_functions_have_none(built: dict[str, Any]) -> None:
    """A function sees those variables that its template names, and this one is only named where there is a value."""
    functions = load_template().functions
    for resource in derive_template(built, functions, {}, Path("/built"))["Resources"].values():
        assert "FAL_KEY" not in resource["Properties"].get("Environment", {}).get("Variables", {})
