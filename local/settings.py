"""How the local stack is to run: its ports, and which fal its functions talk to."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LOOPBACK = {HOST, "localhost", "::1"}
DEFAULT_PORTS = {"API_PORT": 3000, "AWS_PORT": 5000, "FAL_PORT": 8787}
OWNER = "local"
TOKEN = "local"  # noqa: S105 - the one token that the local stack knows, and prints
LOCAL_KEY = "local:local"
ASK_SECONDS = 5
"""How often a fal is asked that is not the stack's own emulator."""
FAL_PARAMETERS = {
    "FAL_QUEUE_URL": "FalQueueUrl",
    "FAL_JWKS_URL": "FalJwksUrl",
    "FAL_OUTPUT_HOSTS": "FalOutputHosts",
    "FAL_OUTPUT_EXPIRY": "FalOutputExpiry",
    "FAL_AUTH_SCHEME": "FalAuthScheme",
    "FAL_USER_ID": "FalUserId",
}
"""The template's parameter for each environment variable that the user may set."""


class LocalError(Exception):
    """The local stack cannot run; the message is for whoever started it."""


@dataclass(frozen=True)
class Ports:
    """Where the API, AWS and fal answer on this machine."""

    api: int
    aws: int
    fal: int

    @classmethod
    def read(cls, environment: Mapping[str, str], defaults: Mapping[str, int] = DEFAULT_PORTS) -> Self:
        """Read API_PORT, AWS_PORT and FAL_PORT.

        Raises:
            LocalError: one is no port; names the variable.
        """
        ports = []
        for variable, default in defaults.items():
            text = environment.get(variable) or str(default)
            if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
                raise LocalError(f"{variable}={text} is no port: expected a number from 1 to 65535")
            ports.append(int(text))
        if len(set(ports)) < len(ports):
            raise LocalError(f"{', '.join(defaults)}: two of them are the same port")
        return cls(*ports)


@dataclass(frozen=True)
class Fal:
    """The fal that functions talk to: parameters for the template, and the key."""

    emulated: bool
    parameters: dict[str, str]
    key: str

    @classmethod
    def choose(cls, environment: Mapping[str, str], ports: Ports, host: str = HOST) -> Self:
        """Take the fal at FAL_QUEUE_URL; the real one where only FAL_KEY is set; else the emulator on this `host`.

        Raises:
            LocalError: functions are in containers, and one is to call this machine `localhost`, which is itself there.
        """
        if host != HOST:
            _refuse_loopback(environment, host)
        given = {
            parameter: environment[name] for name, parameter in FAL_PARAMETERS.items() if environment.get(name)
        } | {"UploadOwner": OWNER}
        key = environment.get("FAL_KEY", "")
        if environment.get("FAL_QUEUE_URL") or key:
            # It may be unable to call this machine: then asking is all that finishes a job.
            return cls(emulated=False, parameters=given | {"PollSeconds": str(ASK_SECONDS)}, key=key or LOCAL_KEY)
        origin = f"http://{host}:{ports.fal}"
        parameters = {
            "FalQueueUrl": origin,
            "FalJwksUrl": f"{origin}/.well-known/jwks.json",
            "FalOutputHosts": origin,
            "UploadOwner": OWNER,
        }
        return cls(emulated=True, parameters=parameters, key=LOCAL_KEY)

    @property
    def is_real(self) -> bool:
        """Whether it is fal itself, which bills and cannot reach this machine."""
        return not self.emulated and "FalQueueUrl" not in self.parameters


def _refuse_loopback(environment: Mapping[str, str], host: str) -> None:
    for variable in ("FAL_QUEUE_URL", "FAL_JWKS_URL", "FAL_OUTPUT_HOSTS"):
        for address in filter(None, environment.get(variable, "").split(",")):
            if urlsplit(address if "://" in address else f"//{address}").hostname in LOOPBACK:
                raise LocalError(
                    f"{variable}: a container does not reach this machine as {address}; have it listen on {host}"
                )


def claim(variable: str, port: int, address: str = HOST) -> socket.socket:
    """Take a port of this machine, without answering on it yet.

    Raises:
        LocalError: somebody else has it; names the variable.
    """
    claimed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((address, port))
    except OSError as error:
        claimed.close()
        raise LocalError(
            f"{variable}: port {port} is taken ({error.strerror}); choose another with {variable}=…"
        ) from None
    return claimed


def free_ports() -> dict[str, int]:
    """Choose a port for each variable that nobody has now."""
    claimed = {variable: claim(variable, 0) for variable in DEFAULT_PORTS}
    chosen = {variable: taken.getsockname()[1] for variable, taken in claimed.items()}
    for taken in claimed.values():
        taken.close()
    return chosen
