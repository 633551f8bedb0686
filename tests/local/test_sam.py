"""The stack and single events in real containers of `sam local`; where Docker is not, skipped with the reason."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.aws import session
from local.docker import find_docker
from local.events import list_events
from local.resources import Template
from local.sam_build import built_for_host
from local.settings import ROOT, LocalError
from tests.local.browsing import ATTEMPTS, ask
from tests.local.test_end_to_end import PHOTOS, TOKEN, Running, check_end, has_outputs, is_open, launched, wait_for
from tests.local.test_other_fal import emulator, requests_at
from tests.local.test_real_key import KEY, token_of

pytestmark = pytest.mark.long

PATIENCE = 120
"""A busy machine starts a container in many seconds."""
END_SECONDS = 15


@pytest.fixture(scope="module", autouse=True)
def _built() -> Iterator[None]:
    """What the containers run, built once, also where several workers want it at the same time."""
    try:
        find_docker()
    except LocalError as error:
        pytest.skip(f"runs where Docker is: {error}")
    with built_for_host():
        yield


def log_of(stack: Running) -> str:
    """What functions, stand-ins and SAM have logged; nothing before the log is there."""
    logs = stack.output.parent.glob("darkroom-*.log")
    return "".join(log.read_text(errors="replace") for log in logs)


def containers_in(text: str) -> set[str]:
    """The containers of which SAM tells in its log."""
    return set(re.findall(r"SAM_CONTAINER_ID: ([0-9a-f]{64})", text))


def containers_left() -> set[str]:
    """All containers that Docker has, at work or not."""
    command = ["docker", "ps", "--all", "--quiet", "--no-trunc"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - docker is the user's own
    return set(listed.stdout.split())


def is_ready(stack: Running) -> bool:
    """Whether the API answers through a container."""
    assert stack.process.poll() is None, stack.output.read_text() + log_of(stack)
    return is_open(stack.ports["API_PORT"]) and "is ready" in stack.output.read_text()


@contextmanager
def started(folder: Path) -> Iterator[Running]:
    """A stack whose functions run in containers, ready."""
    with launched(folder, "--engine", "sam") as stack:
        wait_for(partial(is_ready, stack), "the API", PATIENCE)
        yield stack


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One stack for the tests that only use it; that its end leaves no container is a test as well."""
    with started(tmp_path_factory.mktemp("stack")) as stack:
        yield stack
        check_end(stack, signal.SIGTERM, END_SECONDS)
        containers = containers_in(log_of(stack))
        assert containers
        assert not containers & containers_left()


def test_an_upload_is_edited(running: Running) -> None:
    """A photo that boto3 puts into the inputs bucket comes out edited, by functions in containers that then run."""
    with closing(session().client("s3", endpoint_url=running.aws)) as s3:
        s3.upload_file(str(PHOTOS / "chelsea.png"), "darkroom-inputs", "sketch/cat & co.png")
    wait_for(partial(has_outputs, running, "pencil-sketch/sketch/cat & co/", 1), "the output", PATIENCE)
    log = log_of(running)
    for handler in ("functions.submit.from_upload", "functions.callback.handler"):
        assert f"Invoking {handler} (python3.13)" in log
    assert containers_in(log) <= containers_left()


def test_a_posted_job_succeeds(running: Running) -> None:
    """A job that is posted is taken with 202, can be read until it has succeeded, and its link works outside."""
    body = {"prompt": "A lighthouse at dusk", "tier": "max"}
    answer = httpx.post(f"{running.api}/jobs", json=body, headers=TOKEN, timeout=PATIENCE)
    assert answer.status_code == 202
    path = answer.headers["Location"]

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = httpx.get(f"{running.api}{path}", headers=TOKEN, timeout=PATIENCE).json()
        return job if job["status"] in {"succeeded", "failed", "cancelled"} else None

    job = wait_for(look, "the end of the job", PATIENCE)
    assert (job["status"], job["error"]) == ("succeeded", None)
    (output,) = job["outputs"]
    script = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
    # Tests themselves reach loopback alone, and the link leads to the network of the containers.
    picture = subprocess.run([sys.executable, "-c", script, output["url"]], capture_output=True, check=True).stdout  # noqa: S603 - our own words
    assert hashlib.sha256(picture).hexdigest() == output["sha256"]


def test_who_may_call(running: Running) -> None:
    """Without a token, or with a wrong one, 401 as a problem; health needs none, and fal's route refuses by itself."""
    get = partial(httpx.get, timeout=PATIENCE)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = get(f"{running.api}/jobs", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:darkroom:problem:unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="darkroom"')
    assert get(f"{running.api}/nowhere").json()["type"] == "urn:darkroom:problem:route-not-found"
    assert get(f"{running.api}/health").json() == {"status": "ok"}
    assert httpx.post(f"{running.api}/webhooks/fal/0069", content=b"{}", timeout=PATIENCE).status_code == 401


def test_a_wrong_body_is_a_problem_that_names_the_field(running: Running) -> None:
    """The functions' own answers come through as they are."""
    body = {"prompt": "x", "num_images": 9}
    answer = httpx.post(f"{running.api}/jobs", json=body, headers=TOKEN, timeout=PATIENCE)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "num_images"


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_page_of_another_site_reaches_sam(running: Running, attempt: str) -> None:
    """The API in containers refuses what the API in processes refuses."""
    method, headers = ATTEMPTS[attempt]
    answer = ask(f"{running.api}/health", method, headers)
    assert (answer.status, answer.body.startswith(b"Refused: ")) == (403, method != "HEAD")


def test_a_real_key_reaches_containers_and_no_file(tmp_path: Path) -> None:
    """A fal that takes one key takes it from a container; no file of the run and no command line has it."""
    docker = find_docker()
    addresses = [word for address in docker.addresses for word in ("--host", address)]
    with emulator(*addresses, "--allow-private-webhooks") as here:
        there = f"http://{docker.host}:{here.rpartition(':')[2]}"
        settings = {"keys": [KEY], "public_url": there}
        httpx.patch(f"{here}/emulator/settings", json=settings).raise_for_status()
        variables = {
            "FAL_QUEUE_URL": there,
            "FAL_JWKS_URL": f"{there}/.well-known/jwks.json",
            "FAL_OUTPUT_HOSTS": there,
        }
        with launched(tmp_path, "--engine", "sam", FAL_KEY=KEY, **variables) as stack:
            wait_for(partial(is_ready, stack), "the API", PATIENCE)
            assert "they answer whoever finds their ports" in stack.output.read_text()
            headers = {"Authorization": f"Bearer {token_of(stack)}"}
            body = {"prompt": "A lighthouse at dusk", "tier": "max"}
            job = httpx.post(f"{stack.api}/jobs", json=body, headers=headers, timeout=PATIENCE).json()
            assert [request["request_id"] for request in requests_at(here)] == [job["request_id"]]
            files = [file for file in tmp_path.rglob("*") if file.is_file()]
            assert {"template.yaml", "output"} <= {file.name for file in files}
            assert not [file for file in files if KEY.encode() in file.read_bytes()]
            command = ["ps", "-axww", "-o", "args="]
            assert KEY not in subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - the system's own
            check_end(stack, signal.SIGTERM, END_SECONDS)


def test_ctrl_c_ends_a_stack_that_is_still_starting(tmp_path: Path) -> None:
    """A signal in the middle of the start leaves neither processes nor containers."""
    with launched(tmp_path, "--engine", "sam") as stack:
        wait_for(partial(is_open, stack.ports["AWS_PORT"]), "AWS", PATIENCE)
        check_end(stack, signal.SIGINT, END_SECONDS)
        assert not containers_in(log_of(stack)) & containers_left()


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    """When the stack is killed outright, SAM notices, removes its containers and ends."""
    with started(tmp_path) as stack:
        stack.process.kill()
        stack.process.wait()
        wait_for(lambda: not stack.open_ports(), "the end of the processes", PATIENCE)
        containers = containers_in(log_of(stack))
        assert containers
        wait_for(lambda: not containers & containers_left(), "the end of the containers", PATIENCE)


JOBS_AFTER = {
    "delivery": ["succeeded"],
    **{name: ["queued"] for name in ("post_job", "upload_classic", "upload_eventbridge", "upload_sns")},
}
"""What has become of the job that an event makes, or is about."""


@pytest.mark.parametrize("name", list_events())
def test_make_invoke(name: str, template: Template) -> None:
    """Each event goes through its function in a container, which does what it is asked, and leaves nothing behind."""
    done = subprocess.run(["make", "invoke", f"NAME={name}"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - make is the user's own
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "errorType" not in answer
    invoked = re.findall(r"Invoking (\S+) \(python3\.13\)", done.stderr)
    handlers = {function.handler for function in template.functions.values()}
    assert invoked
    assert handlers.issuperset(invoked)
    assert re.findall(r"^job \S+ (\w+)$", done.stderr, re.MULTILINE) == JOBS_AFTER.get(name, [])
    containers = containers_in(done.stderr)
    assert len(containers) == (2 if name == "delivery" else 1)
    assert not containers & containers_left()


def test_ctrl_c_ends_an_invocation(tmp_path: Path) -> None:
    """A signal while the function runs ends it with 130, and no container stays."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "local.invoke", "upload_eventbridge"]
    with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:  # noqa: S603 - our own module
        containers = wait_for(lambda: containers_in(log.read_text()), "the container", PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS + 10) == 130
    assert not containers & containers_left()
