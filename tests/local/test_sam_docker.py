"""What is said where Docker is missing, mute, or different. A `docker` of these tests stands in for the real one."""

import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import docker
from local.children import Children
from local.docker import find_docker, host_architecture, provide_image, read_gateway
from local.settings import HOST, ROOT, Fal, LocalError, Ports, free_ports
from local.stand_ins import StandIns
from tests.local.browsing import ask

LOOPBACK_NETWORK = '[{"IPAM": {"Config": [{"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.9"}]}}]'
FOREIGN_NETWORK = '[{"IPAM": {"Config": [{"Subnet": "192.0.2.0/24", "Gateway": "192.0.2.1"}]}}]'
IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"


def put_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, *cases: str) -> Path:
    """Put a `docker` on the path that does what the shell's `case` says, and keep its command lines in a file."""
    program = folder / "docker"
    lines = "\n".join(cases)
    program.write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\ncase "$*" in\n{lines}\nesac\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "calls"


def test_without_docker_one_line_says_so(tmp_path: Path) -> None:
    """Without `docker` on the path the command ends with one line that says what is missing and what works."""
    done = subprocess.run(
        [sys.executable, "-m", "local", "--engine", "sam"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: sam local needs Docker, and there is no `docker` on the PATH")
    assert list(tmp_path.iterdir()) == []


def test_make_asks_for_docker_before_it_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make local ENGINE=sam` and `make invoke` end at once where Docker is mute: nothing is installed or built."""
    calls = put_docker(tmp_path, monkeypatch, "*) echo Cannot connect to the Docker daemon >&2; exit 1;;")
    for words in (["local", "ENGINE=sam"], ["invoke", "NAME=health"]):
        done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - make is the user's own
        assert done.returncode != 0
        assert done.stdout == ""
        assert (
            "error: sam local needs Docker, and it does not answer: Cannot connect to the Docker daemon" in done.stderr
        )
    assert calls.read_text().split("\n") == ["version --format {{.Server.Version}}"] * 2 + [""]


def test_an_image_that_cannot_be_pulled_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is neither there nor to be had ends the start, with the reason that Docker gives."""
    put_docker(
        tmp_path, monkeypatch, "version*) ;;", "image*) exit 1;;", "pull*) echo dial tcp: no such host >&2; exit 1;;"
    )
    image = f"{IMAGE.rpartition('-')[0]}-{host_architecture()}"
    with pytest.raises(LocalError, match=f"image {image} is not there and cannot be pulled: dial tcp: no such host"):
        find_docker()


def test_an_image_that_is_there_is_not_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is there is used as it is, without a word to its registry."""
    calls = put_docker(tmp_path, monkeypatch, "image*) ;;")
    provide_image(IMAGE)
    assert calls.read_text() == f"image inspect {IMAGE}\n"


def test_an_image_that_is_not_there_is_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing image is pulled, and the user is told why it takes so long."""
    calls = put_docker(tmp_path, monkeypatch, "image*) exit 1;;", "pull*) ;;")
    provide_image(IMAGE)
    assert calls.read_text().splitlines()[-1] == f"pull --quiet {IMAGE}"
    assert f"Pulling {IMAGE}" in capsys.readouterr().out


def test_a_gateway_of_this_machine_is_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux the gateway of Docker's network is this machine: stand-ins listen there besides, and nowhere else."""
    put_docker(tmp_path, monkeypatch, f"network*) echo '{LOOPBACK_NETWORK}';;")
    found = find_docker()
    assert (found.host, found.addresses) == ("127.0.0.9", ("127.0.0.1", "127.0.0.9"))


def test_a_docker_in_a_machine_of_its_own_is_reached_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gateway is not this machine, containers use Docker Desktop's name for it, if it leads back here."""
    put_docker(tmp_path, monkeypatch, f"network*) echo '{FOREIGN_NETWORK}';;")
    monkeypatch.setattr(docker, "DESKTOP_HOST", "localhost")
    found = find_docker()
    assert (found.host, found.addresses) == ("localhost", ("127.0.0.1",))
    monkeypatch.setattr(docker, "DESKTOP_HOST", "host.docker.invalid")
    with pytest.raises(LocalError, match=r"add `127\.0\.0\.1 host\.docker\.invalid` to the hosts file"):
        find_docker()


def test_a_gateway_that_docker_does_not_name_is_the_first_address() -> None:
    """Docker may name a network's subnet alone; IPv6 is passed over."""
    config = [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "172.18.0.0/16"}]
    assert read_gateway({"IPAM": {"Config": config}}) == "172.18.0.1"
    with pytest.raises(LocalError, match="no IPv4 address"):
        read_gateway({"IPAM": {"Config": None}})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FAL_QUEUE_URL", "http://127.0.0.1:9000"),
        ("FAL_JWKS_URL", "https://a.example/keys,http://localhost:9000/keys"),
        ("FAL_OUTPUT_HOSTS", "a.example,localhost"),
    ],
)
def test_another_fal_on_loopback_is_refused(variable: str, value: str) -> None:
    """A container is another machine, where loopback is not ours: the variable is named at the start."""
    environment = {"FAL_QUEUE_URL": "http://172.17.0.1:9000", variable: value}
    with pytest.raises(LocalError, match=rf"{variable}: a container does not reach .*have it listen on 172\.17\.0\.1"):
        Fal.choose(environment, Ports(1, 2, 3), "172.17.0.1")
    assert Fal.choose(environment, Ports(1, 2, 3)).parameters["FalQueueUrl"] == environment["FAL_QUEUE_URL"]


def test_stand_ins_answer_by_the_name_that_containers_use(tmp_path: Path) -> None:
    """Where containers call this machine by a name, both stand-ins answer to it, and to no other one."""
    ports = Ports.read({}, defaults=free_ports())
    found = docker.Docker(docker.DESKTOP_HOST, (HOST,))
    stand_ins = StandIns(ports, Fal.choose({}, ports, found.host), found)
    with (tmp_path / "log").open("ab") as log, ExitStack() as ending:
        children = Children(log)
        ending.callback(children.end)
        stand_ins.start(children)
        for title, port, path in (("AWS", ports.aws, "/"), ("fal", ports.fal, "/emulator/health")):
            children.wait_for_port(title, port)
            for host, status in ((found.host, 200), ("localhost", 200), ("gateway.docker.internal", 403)):
                answer = ask(f"http://{HOST}:{port}{path}", headers={"Host": f"{host}:{port}"})
                assert answer.status == status


def test_the_emulator_is_where_containers_reach_it() -> None:
    """Functions in containers are given the emulator's address on the gateway, for its outputs too."""
    parameters = Fal.choose({}, Ports(1, 2, 3), "172.17.0.1").parameters
    assert parameters["FalQueueUrl"] == parameters["FalOutputHosts"] == "http://172.17.0.1:3"
