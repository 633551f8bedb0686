"""The whole stack as its user has it: `python -m local` in a process, boto3 and HTTP from outside."""

import hashlib
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx
import pytest

from local.aws import session
from local.settings import ROOT, claim, free_ports

pytestmark = pytest.mark.long

PHOTOS = ROOT / "events" / "photos"
TOKEN = {"Authorization": "Bearer local"}
DEADLINE = 30
T = TypeVar("T")


@dataclass
class Running:
    """A stack in a process of its own."""

    process: subprocess.Popen[bytes]
    ports: dict[str, int]
    output: Path

    @property
    def api(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.ports['API_PORT']}"

    @property
    def aws(self) -> str:
        """The AWS stand-in's address."""
        return f"http://127.0.0.1:{self.ports['AWS_PORT']}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask the API."""
        return httpx.get(f"{self.api}{path}", headers=headers or TOKEN)

    def open_ports(self) -> list[str]:
        """Say which ports somebody still answers on."""
        return [name for name, port in self.ports.items() if is_open(port)]


def is_open(port: int) -> bool:
    """Whether anybody answers on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(look: Callable[[], T | None], what: str, seconds: float = DEADLINE) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds} s")


@contextmanager
def launched(folder: Path, *options: str, **variables: str) -> Iterator[Running]:
    """Launch a stack on free ports, with options and variables; what is left of it in the end is killed."""
    with launched_in(ROOT, folder, *options, **variables) as stack:
        yield stack


@contextmanager
def launched_in(project: Path, folder: Path, *options: str, **variables: str) -> Iterator[Running]:
    """The same for a copy of the project."""
    ports = free_ports()
    output = folder / "output"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FAL_", "AWS_"))}
    # What a user may have: a profile that is not there, and an office's proxy, which does not lead to this machine.
    environment |= {"AWS_PROFILE": "nobody", "HTTP_PROXY": "http://127.0.0.1:9", "TMPDIR": str(folder)}
    environment |= {name: str(port) for name, port in ports.items()} | variables
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "local", *options],
            cwd=project,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, ports, output)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One stack for the tests that only use it; its end is a test as well."""
    with launched(tmp_path_factory.mktemp("stack")) as stack:

        def ready() -> bool:
            assert stack.process.poll() is None, stack.output.read_text()
            return is_open(stack.ports["API_PORT"]) and stack.get("/health").status_code == 200

        wait_for(ready, "the API")
        settings = f"http://127.0.0.1:{stack.ports['FAL_PORT']}/emulator/settings"
        httpx.patch(settings, json={"queue_seconds": 0.1, "run_seconds": 0.2}).raise_for_status()
        yield stack
        check_end(stack, signal.SIGTERM)


def check_end(stack: Running, number: signal.Signals, seconds: float = 8) -> None:
    """Make sure that a signal ends everything at once, which is within so many seconds."""
    began = time.monotonic()
    stack.process.send_signal(number)
    assert stack.process.wait(10 + seconds) == 0
    assert time.monotonic() - began < seconds
    assert stack.open_ports() == []


def outputs_of(running: Running, prefix: str) -> list[str]:
    """The keys in the outputs bucket under a prefix."""
    with closing(session().client("s3", endpoint_url=running.aws)) as s3:
        listed = s3.list_objects_v2(Bucket="darkroom-outputs", Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in listed]


def has_outputs(running: Running, prefix: str, count: int) -> bool:
    """Whether so many outputs are under a prefix."""
    return len(outputs_of(running, prefix)) == count


def settled(running: Running, job_id: str) -> dict[str, Any]:
    """The job once it is settled."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = running.get(f"/jobs/{job_id}").json()
        return job if job["status"] in {"succeeded", "failed", "cancelled"} else None

    return wait_for(look, f"the end of job {job_id}")


def test_it_says_where_everything_is(running: Running) -> None:
    """The terminal shows addresses, buckets, table, token and the log."""
    text = wait_for(running.output.read_text, "the text")
    for part in (
        running.api,
        running.aws,
        "darkroom-inputs",
        "darkroom-jobs",
        "token: local",
        "curl ",
        "upload_file",
        ".log",
    ):
        assert part in text


def test_an_upload_is_edited(running: Running) -> None:
    """A photo under a preset's prefix is edited, each time it is uploaded; its jobs belong to the local owner."""
    for count in (1, 2):
        with closing(session().client("s3", endpoint_url=running.aws)) as s3:
            s3.upload_file(str(PHOTOS / "chelsea.png"), "darkroom-inputs", "sketch/cat & co.png")
        wait_for(partial(has_outputs, running, "pencil-sketch/sketch/cat & co/", count), f"output {count}")
    jobs = running.get("/jobs?limit=100").json()["jobs"]
    assert [job["preset"] for job in jobs if job["upload"]] == ["pencil-sketch", "pencil-sketch"]


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    readme = (ROOT / "README.md").read_text()
    return [part.split("```")[0] for part in readme.split(f"```{language}\n")[1:]]


def curl(running: Running, command: str) -> dict[str, Any]:
    """Make the call that a curl line of the README makes, on machines that lack curl too."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("http://")).replace("http://127.0.0.1:3000", running.api)
    given = {flag: value for flag, value in itertools.pairwise(words) if flag in {"-H", "-d"}}
    name, _, value = given["-H"].partition(": ")
    answer = httpx.request("POST" if "-d" in given else "GET", url, headers={name: value}, content=given.get("-d"))
    answered: dict[str, Any] = answer.raise_for_status().json()
    return answered


def test_the_readme_s_calls_work(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two curl lines post a job and read it, and its upload is edited under the key that it names."""
    post, read = (block for block in blocks("sh") if "curl" in block)
    job = curl(running, post)
    assert (job["status"], job["endpoint"]) == ("queued", "fal-ai/flux-pro/kontext/max/text-to-image")
    settled(running, job["job_id"])
    assert curl(running, read.replace("0069…", job["job_id"]))["status"] == "succeeded"
    monkeypatch.chdir(ROOT)
    before = len(outputs_of(running, "studio-shot/products/coffee/"))
    (upload,) = (block for block in blocks("python") if "upload_file" in block)
    code = upload.replace("http://127.0.0.1:5000", running.aws)
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - the README's own lines
    wait_for(partial(has_outputs, running, "studio-shot/products/coffee/", before + 1), "the output")


CURL = """\
import sys, urllib.request
words, headers, data = iter(sys.argv[1:]), {}, None
for word in words:
    if word == "-H":
        name, _, headers[name] = next(words).partition(": ")
    elif word == "-d":
        data = next(words).encode()
    else:
        url = word
with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
    print(answer.read().decode())
"""


def test_the_printed_lines_work(running: Running, tmp_path: Path) -> None:
    """What the terminal shows can be pasted into a shell: jobs, a fault and an upload, all on the ports in use."""
    lines = running.output.read_text().split("Post a job")[1].splitlines()
    script = "\n".join(line for line in lines if line.startswith("  "))
    assert script.count("curl ") == 3
    (tmp_path / "curl.py").write_text(CURL)
    shell = f'curl() {{ {sys.executable} "{tmp_path}/curl.py" "$@"; }}; set -e\n{script}'
    before = len(outputs_of(running, "studio-shot/products/coffee/"))
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607 - the printed lines
    posted, listed, scripts = map(json.loads, done.stdout.splitlines())
    assert posted["status"] == "queued"
    assert posted["job_id"] in {job["job_id"] for job in listed["jobs"]}
    assert scripts == {"waiting": 1}
    wait_for(partial(has_outputs, running, "studio-shot/products/coffee/", before + 1), "the output")


def test_a_posted_job_succeeds(running: Running) -> None:
    """A job that is posted can be read until it has succeeded, and its link gives the picture."""
    with closing(session().client("s3", endpoint_url=running.aws)) as s3:
        s3.upload_file(str(PHOTOS / "coffee.png"), "darkroom-inputs", "mine/coffee.png")
    body = {"prompt": "Make the cup blue", "image_url": "mine/coffee.png", "tier": "max", "output_format": "png"}
    answer = httpx.post(f"{running.api}/jobs", json=body, headers=TOKEN)
    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    assert answer.headers["Location"] == f"/jobs/{job_id}"
    job = settled(running, job_id)
    assert (job["status"], job["endpoint"], job["error"]) == ("succeeded", "fal-ai/flux-pro/kontext/max", None)
    (output,) = job["outputs"]
    picture = httpx.get(output["url"]).content
    assert hashlib.sha256(picture).hexdigest() == output["sha256"]
    assert picture.startswith(b"\x89PNG")


def test_sending_can_be_paused(running: Running) -> None:
    """`LOCAL=1 make pause` stops a running stack's sending, /health shows it, and `make resume` lets it go on."""

    def switch(command: str) -> str:
        environment = os.environ | {"LOCAL": "1"} | {name: str(port) for name, port in running.ports.items()}
        words = ["make", "--no-print-directory", command, f"PYTHON={sys.executable}"]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - make is the user's own
        return done.stdout

    def shows(paused: bool) -> bool:
        return ("paused_at" in running.get("/health", Accept="*/*").json()) is paused

    assert "Sending is paused for the local stack" in switch("pause")
    wait_for(lambda: shows(True), "the pause", 60)
    wait_for(lambda: post_words(running)["reason"] == "paused", "a job that waits", 60)
    job_id = post_words(running)["job_id"]
    assert "Sending goes on for the local stack" in switch("resume")
    assert settled(running, job_id)["status"] == "succeeded"
    wait_for(lambda: shows(False), "the end of the pause", 60)


def post_words(running: Running) -> dict[str, Any]:
    """Post a job, and give it as it was made."""
    time.sleep(0.5)  # each post is real work for this machine
    job: dict[str, Any] = httpx.post(f"{running.api}/jobs", json={"prompt": "p"}, headers=TOKEN).json()
    return job


def test_who_may_call(running: Running) -> None:
    """Without a token, or with a wrong one, 401 as a problem that says so; health needs none."""
    for headers, fault in (({"Accept": "*/*"}, ""), ({"Authorization": "Bearer wrong"}, ', error="invalid_token"')):
        answer = running.get("/jobs", **headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="darkroom"{fault}'
        problem = answer.json()
        assert problem["type"] == "urn:darkroom:problem:unauthenticated"
        assert unquote(problem["instance"]) == f"urn:darkroom:call:{answer.headers['apigw-requestid']}"
    assert running.get("/nowhere").json()["type"] == "urn:darkroom:problem:route-not-found"
    assert running.get("/health", Accept="*/*").json() == {"status": "ok"}


def test_a_wrong_body_is_a_problem_that_names_the_field(running: Running) -> None:
    """The functions' own answers come through as they are."""
    answer = httpx.post(f"{running.api}/jobs", json={"prompt": "x", "num_images": 9}, headers=TOKEN)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "num_images"


def test_ctrl_c_ends_a_stack_that_is_still_starting(tmp_path: Path) -> None:
    """A signal in the middle of the start leaves nothing behind either."""
    with launched(tmp_path) as stack:
        wait_for(partial(is_open, stack.ports["AWS_PORT"]), "AWS")
        check_end(stack, signal.SIGINT)


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    """When the stack is killed outright, its children notice and end."""
    with launched(tmp_path) as stack:
        for name in ("AWS_PORT", "FAL_PORT"):
            wait_for(partial(is_open, stack.ports[name]), name)
        stack.process.kill()
        stack.process.wait()
        wait_for(lambda: not stack.open_ports(), "the end of the children", 5)


@pytest.mark.parametrize("variable", ["API_PORT", "AWS_PORT", "FAL_PORT"])
def test_a_taken_port_is_named(tmp_path: Path, variable: str) -> None:
    """A port that somebody has ends it with one line that names the variable."""
    ports = free_ports()
    with claim(variable, ports[variable]) as taken:
        taken.listen()
        line = what_stops_it(tmp_path, ports)
    assert line.startswith(f"error: {variable}: port {ports[variable]} is taken")
    assert not any(is_open(port) for port in ports.values())


@pytest.mark.parametrize("variables", [("API_PORT", "AWS_PORT"), ("API_PORT", "AWS_PORT", "FAL_PORT")])
def test_all_taken_ports_are_named_at_once(tmp_path: Path, variables: tuple[str, ...]) -> None:
    """One line names every port that somebody has, with its variable, and ends with a command that works instead."""
    ports = free_ports()
    with ExitStack() as others:
        for variable in variables:
            others.enter_context(claim(variable, ports[variable])).listen()
        line = what_stops_it(tmp_path, ports)
        named, _, advice = line.partition("; choose others, such as ")
        assert named == "error: " + "; ".join(f"{variable}: port {ports[variable]} is taken" for variable in variables)
        *proposed, make, local = advice.strip("`").split(" ")
        assert (make, local) == ("make", "local")
        changed = {name: int(port) for name, _, port in (word.partition("=") for word in proposed)}
        assert tuple(changed) == variables
        assert len(set((ports | changed).values())) == 3
        for name, port in changed.items():
            claim(name, port).close()


def what_stops_it(folder: Path, ports: dict[str, int]) -> str:
    """Start a stack on these ports, which cannot run; gives the one line that says why. Nothing is left in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "local"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)} | {name: str(port) for name, port in ports.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert list(folder.iterdir()) == []
    (line,) = done.stderr.splitlines()
    return line
