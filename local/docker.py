"""Docker as `sam local` needs it: whether it answers, has the image, and by which address containers reach us.

`python -m local.docker` says whether all is there, before anything is installed or built for it.
"""

import ipaddress
import json
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.settings import HOST, LocalError
from local.template import TEMPLATE_FILE, read_yaml

ANSWER_SECONDS = 20
DESKTOP_HOST = "host.docker.internal"
"""What Docker Desktop calls this machine inside containers (Docker docs: networking how-tos)."""
REPOSITORY = "public.ecr.aws/lambda"
ARCHITECTURES = {"arm64": "arm64", "aarch64": "arm64", "x86_64": "x86_64", "AMD64": "x86_64"}
"""What platforms call their processor, and what Lambda does."""
WITHOUT = "`make local` without ENGINE=sam needs no Docker"


@dataclass(frozen=True)
class Docker:
    """How containers and this machine reach each other.

    host: the name of this machine that leads to it from a container and from itself, so that links serve both.
    addresses: where stand-ins listen, so that it does; none of them is open to the network.
    """

    host: str
    addresses: tuple[str, ...]


def find_docker() -> Docker:
    """Ask Docker what it is, and have it pull the images that it lacks.

    Raises:
        LocalError: it is not there, does not answer, cannot pull, or its containers cannot reach this machine.
    """
    if shutil.which("docker") is None:
        raise LocalError(f"sam local needs Docker, and there is no `docker` on the PATH; {WITHOUT}")
    _ask("does not answer", "version", "--format", "{{.Server.Version}}")
    for image in images_of(read_yaml(TEMPLATE_FILE.read_text(encoding="utf-8")), host_architecture()):
        provide_image(image)
    network = json.loads(_ask("has no network `bridge`", "network", "inspect", "bridge"))
    gateway = read_gateway(network[0])
    if _is_ours(gateway):
        return Docker(gateway, (HOST, gateway))
    # The gateway is in a machine of its own, as with Docker Desktop, which brings calls of its name to our loopback.
    try:
        socket.gethostbyname(DESKTOP_HOST)
    except OSError:
        raise LocalError(
            f"Docker runs in a machine of its own: add `127.0.0.1 {DESKTOP_HOST}` to the hosts file of this one, so"
            f" that links that containers make lead back to it"
        ) from None
    return Docker(DESKTOP_HOST, (HOST,))


def read_gateway(network: Mapping[str, Any]) -> str:
    """This machine's IPv4 address in a network, from what `docker network inspect` says.

    Raises:
        LocalError: it has none.
    """
    for config in network["IPAM"].get("Config") or []:
        subnet = ipaddress.ip_network(config["Subnet"], strict=False)
        if isinstance(subnet, ipaddress.IPv4Network):
            # Where nobody chose a gateway, Docker takes the first address and may not say so.
            return str(config.get("Gateway") or next(subnet.hosts()))
    raise LocalError("Docker's network `bridge` has no IPv4 address of this machine")


def host_architecture() -> str:
    """This machine's processor as Lambda calls it.

    Raises:
        LocalError: Lambda has no such one.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise LocalError(f"Lambda has no image for this machine's processor, {machine}")
    return ARCHITECTURES[machine]


def images_of(template: Mapping[str, Any], architecture: str) -> set[str]:
    """The images that SAM puts its runtime emulator into: python3.13 makes …/python:3.13-x86_64."""
    shared = template.get("Globals", {}).get("Function", {})
    images = set()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            runtime = (shared | resource["Properties"])["Runtime"]
            language = runtime.rstrip("0123456789.")
            images.add(f"{REPOSITORY}/{language}:{runtime.removeprefix(language)}-{architecture}")
    return images


def provide_image(image: str) -> None:
    """Pull an image that is not there; one that is there is taken as it is, which is fast and works offline.

    Raises:
        LocalError: it cannot be pulled.
    """
    if _run("image", "inspect", image).returncode == 0:
        return
    print(f"Pulling {image} (once, some hundred megabytes) …", flush=True)
    pulled = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)  # noqa: S603, S607 - docker is the user's own, on the PATH
    if pulled.returncode:
        raise LocalError(f"the image {image} is not there and cannot be pulled: {_last_line(pulled.stderr)}")


def _is_ours(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        try:
            taken.bind((address, 0))
        except OSError:
            return False
        return True


def _ask(complaint: str, *arguments: str) -> str:
    done = _run(*arguments)
    if done.returncode:
        raise LocalError(f"sam local needs Docker, and it {complaint}: {_last_line(done.stderr)}; {WITHOUT}")
    return done.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)  # noqa: S603 - docker is the user's own
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {ANSWER_SECONDS} s")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it does not say why"


def main() -> int:
    """Say what is missing, if anything is; the result is the exit code."""
    try:
        find_docker()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
