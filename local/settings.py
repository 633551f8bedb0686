"""How the local stack is to run: its ports, and which fal its functions talk to."""

import errno
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LOOPBACK = {HOST, "localhost", "::1"}
DEFAULT_PORTS = {"API_PORT": 3000, "AWS_PORT": 5000, "FAL_PORT": 8787}
OWNER = "local"
TOKEN = "local"  # noqa: S105 - the one token that the local stack knows, and prints, where nothing costs money
LOCAL_KEY = "local:local"
ASK_SECONDS = 5
"""How often a fal is asked that is not the stack's own emulator."""
AIRPLAY_PORTS = {5000, 7000}
"""Ports that a Mac's AirPlay Receiver has, which is on by default."""
Wanted = tuple[str, int, str]
"""A port that is to be claimed: its variable, its number, and the address."""
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


class TakenPortsError(LocalError):
    """Ports that cannot be opened; `ports` are their numbers by variable."""

    def __init__(self, ports: Mapping[str, int], complaints: Iterable[str]) -> None:
        self.ports = dict(ports)
        self.complaints = list(dict.fromkeys(complaints))
        message = "; ".join(self.complaints)
        if sys.platform == "darwin" and AIRPLAY_PORTS.intersection(ports.values()):
            setting = "System Settings, General, AirDrop & Handoff"
            message += f" (on a Mac AirPlay Receiver has 5000 and 7000: turn it off in {setting})"
        super().__init__(message)


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
            LocalError: some are no ports, or two are the same; names their variables.
        """
        texts = {variable: environment.get(variable) or str(default) for variable, default in defaults.items()}
        if wrong := [f"{variable}={text}" for variable, text in texts.items() if not _is_port(text)]:
            raise LocalError(f"{', '.join(wrong)} is no port: expected a number from 1 to 65535")
        ports = {variable: int(text) for variable, text in texts.items()}
        for port in ports.values():
            if len(same := [variable for variable in ports if ports[variable] == port]) > 1:
                raise LocalError(f"{' and '.join(same)} are the same port, {port}")
        return cls(*ports.values())


@dataclass(frozen=True)
class Fal:
    """The fal that functions talk to: parameters for the template, and the key, which no message shows."""

    emulated: bool
    parameters: dict[str, str]
    key: str = field(repr=False)

    @classmethod
    def choose(cls, environment: Mapping[str, str], ports: Ports, host: str = HOST) -> Self:
        """Take the fal at FAL_QUEUE_URL; the real one where only FAL_KEY is set; else the emulator on this `host`.

        Raises:
            LocalError: functions are in containers, and one is to call this machine `localhost`, which is itself there;
                or the key cannot be one.
        """
        if host != HOST:
            _refuse_loopback(environment, host)
        given = {
            parameter: environment[name] for name, parameter in FAL_PARAMETERS.items() if environment.get(name)
        } | {"UploadOwner": OWNER}
        key = _read_key(environment)
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

    @property
    def has_real_key(self) -> bool:
        """Whether the key is the user's own, and may be worth money."""
        return self.key != LOCAL_KEY

    @property
    def secrets(self) -> dict[str, str]:
        """The variables by which functions, and nothing else, get the user's own key."""
        return {"FAL_KEY": self.key} if self.has_real_key else {}


def _read_key(environment: Mapping[str, str]) -> str:
    key = environment.get("FAL_KEY", "").strip()
    # HTTP could not carry it, and the error of whoever tries would show it.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise LocalError("FAL_KEY: it holds a space, or a character that no key of fal's has")
    return key


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 2**16


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
        TakenPortsError: it cannot be opened; names the variable.
    """
    claimed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((address, port))
    except OSError as error:
        claimed.close()
        where = f"port {port}" if address == HOST else f"port {port} of {address}"
        what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
        raise TakenPortsError({variable: port}, [f"{variable}: {where} {what}"]) from None
    return claimed


def claim_all(wanted: Iterable[Wanted]) -> list[socket.socket]:
    """Take several ports.

    Raises:
        TakenPortsError: some cannot be opened; names all of them.
    """
    claimed: list[socket.socket] = []
    missed: list[TakenPortsError] = []
    for variable, port, address in wanted:
        try:
            claimed.append(claim(variable, port, address))
        except TakenPortsError as error:
            missed.append(error)
    if missed:
        for taken in claimed:
            taken.close()
        ports = {variable: port for error in missed for variable, port in error.ports.items()}
        raise TakenPortsError(ports, [complaint for error in missed for complaint in error.complaints])
    return claimed


def propose_ports(taken: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, int]:
    """Choose a free port for each variable, the next one if it is free, and none that is the stack's already."""
    used = {environment.get(variable) or str(default) for variable, default in DEFAULT_PORTS.items()}
    chosen: dict[str, int] = {}
    for variable, port in taken.items():
        candidates = chain(range(port + 1, 2**16), range(1024, port))
        chosen[variable] = next(number for number in candidates if str(number) not in used and _is_free(number))
        used.add(str(chosen[variable]))
    return chosen


def _is_free(port: int) -> bool:
    try:
        claim("", port).close()
    except TakenPortsError:
        return False
    return True


def free_ports() -> dict[str, int]:
    """Choose a port for each variable that nobody has now."""
    claimed = {variable: claim(variable, 0) for variable in DEFAULT_PORTS}
    chosen = {variable: taken.getsockname()[1] for variable, taken in claimed.items()}
    for taken in claimed.values():
        taken.close()
    return chosen
