"""A key that is worth money: it reaches the functions and nothing else, and whoever has no token spends nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from local.aws import session
from local.foreground import take_environment
from local.settings import Fal, LocalError, Ports
from local.stand_ins import StandIns
from tests.local.test_end_to_end import Running, is_open, launched, wait_for
from tests.local.test_other_fal import emulator, requests_at

KEY = "0123abcd-key:worth-real-money"
PORTS = Ports(3000, 5000, 8787)


@pytest.fixture(scope="module")
def fal() -> Iterator[str]:
    """A fal that takes this key and no other."""
    with emulator("--allow-private-webhooks") as address:
        httpx.patch(f"{address}/emulator/settings", json={"keys": [KEY]}).raise_for_status()
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stack has its log and all else that it writes."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def running(fal: str, folder: Path) -> Iterator[Running]:
    """A stack that was started by make with the key behind it, which make repeats in a variable of its own."""
    variables = {"FAL_QUEUE_URL": fal, "FAL_JWKS_URL": f"{fal}/.well-known/jwks.json", "FAL_OUTPUT_HOSTS": fal}
    with launched(folder, FAL_KEY=KEY, MAKEFLAGS=f" -- FAL_KEY={KEY}", **variables) as stack:
        wait_for(partial(is_open, stack.ports["API_PORT"]), "the API")
        wait_for(lambda: "is ready" in stack.output.read_text(), "the text")
        yield stack


def token_of(running: Running) -> str:
    """The token that the terminal shows."""
    found = re.search(r"token: (\S+)\n", running.output.read_text())
    assert found
    return found[1]


def test_the_key_reaches_the_functions_and_the_token_is_this_run_s(running: Running, fal: str) -> None:
    """The usual token opens nothing; the one that is shown, in the curl lines too, makes a job that fal accepts."""
    token = token_of(running)
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert running.output.read_text().count(f"'Authorization: Bearer {token}'") == 2
    body = {"prompt": "a lighthouse", "tier": "max"}
    assert httpx.post(f"{running.api}/jobs", json=body, headers={"Authorization": "Bearer local"}).status_code == 401
    assert requests_at(fal) == []
    headers = {"Authorization": f"Bearer {token}"}
    job = httpx.post(f"{running.api}/jobs", json=body, headers=headers, timeout=20).json()
    assert job["status"] == "queued"
    assert [request["request_id"] for request in requests_at(fal)] == [job["request_id"]]

    def is_done() -> bool:
        answer = running.get(f"/jobs/{job['job_id']}", **headers)
        assert KEY not in answer.text
        return bool(answer.json()["status"] == "succeeded")

    wait_for(is_done, "the picture")


def test_the_aws_stand_in_never_sees_the_key(running: Running) -> None:
    """fal's secret has no value there, and nothing that moto holds has the key in it."""
    with closing(session().client("secretsmanager", endpoint_url=running.aws)) as secrets:
        with pytest.raises(secrets.exceptions.ResourceNotFoundException):
            secrets.get_secret_value(SecretId="darkroom/fal-key")
        names = [secret["Name"] for secret in secrets.list_secrets()["SecretList"]]
        assert {"darkroom/fal-key", "darkroom/tokens", "darkroom/webhook"} <= set(names)
    assert KEY not in httpx.get(f"{running.aws}/moto-api/data.json").text
    # Where the system shows it, its environment too.
    port = str(running.ports["AWS_PORT"]).encode()
    processes = [process for process in Path("/proc").glob("[0-9]*") if port in read(process / "cmdline").split(b"\0")]
    assert len(processes) == Path("/proc/self/environ").exists()
    assert not [process for process in processes if KEY.encode() in read(process / "environ")]


def read(file: Path) -> bytes:
    """Read a file of a process that may have ended meanwhile."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_the_key_is_in_no_file_and_no_command_line(running: Running, folder: Path) -> None:
    """Neither the log nor another file of the run has it, nor the terminal, nor what everybody sees of a process."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert [file for file in files if file.suffix == ".log"]
    assert not [file for file in files if KEY in file.read_text(errors="replace")]
    assert KEY not in running.output.read_text()
    listed = subprocess.run(["ps", "-axww", "-o", "args="], capture_output=True, text=True, check=True).stdout  # noqa: S607 - the system's own
    assert str(running.ports["AWS_PORT"]) in listed
    assert KEY not in listed


def test_what_is_started_inherits_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is taken out of the environment of all that follows, also where make has repeated it."""
    monkeypatch.setenv("FAL_KEY", KEY)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES"):
        monkeypatch.setenv(name, f" -- FAL_KEY={KEY}")
    assert take_environment()["FAL_KEY"] == KEY
    code = "import os, sys; sys.exit(sys.argv[1] in ''.join(os.environ.values()))"
    subprocess.run([sys.executable, "-c", code, KEY], check=True)  # noqa: S603 - our own words
    assert "PATH" in os.environ


def test_each_run_with_a_key_has_a_token_of_its_own() -> None:
    """With a key nobody can guess the token; without one, and with the key that means nothing, it is `local`."""
    queue = {"FAL_QUEUE_URL": "http://127.0.0.1:9"}
    tokens = [
        StandIns(PORTS, Fal.choose(environment, PORTS)).token
        for environment in [{"FAL_KEY": KEY}, queue | {"FAL_KEY": KEY}] * 2
    ]
    assert len(set(tokens)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens)
    for environment in ({}, queue, {"FAL_KEY": " "}, queue | {"FAL_KEY": "local:local"}):
        fal = Fal.choose(environment, PORTS)
        assert (StandIns(PORTS, fal).token, fal.secrets) == ("local", {})


def test_no_message_shows_the_key() -> None:
    """What is printed of the chosen fal leaves the key out; one that HTTP could not carry is refused unseen."""
    assert KEY not in repr(Fal.choose({"FAL_KEY": KEY}, PORTS))
    assert Fal.choose({"FAL_KEY": f" {KEY}\n"}, PORTS).secrets == {"FAL_KEY": KEY}
    for wrong in ("id:sec ret", "id:sec\nret", "id:sécret", "id:sec\x7fret"):
        with pytest.raises(LocalError, match=r"^FAL_KEY: ") as caught:
            Fal.choose({"FAL_KEY": wrong}, PORTS)
        assert "ret" not in str(caught.value)
