"""The stand-ins for AWS and fal, with what template.yaml holds made in them."""

import hashlib
import json
import secrets
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import create_stack
from local.children import Children
from local.docker import Docker
from local.resources import Template
from local.settings import HOST, OWNER, TOKEN, Fal, LocalError, Ports, Wanted
from local.template import TemplateError
from local.template_reader import load_template
from shared.errors import SettingsError
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE, Settings

EMULATOR_PACE = ("--queue-seconds", "0.3", "--run-seconds", "0.8", "--concurrency", "10")
"""Slow enough to see jobs wait and run, and as many at once as an account with some purchases may have (fal docs)."""


class StandIns:
    """moto and, unless functions talk to another fal, the emulator.

    docker: where functions run in containers; both stand-ins then listen, and answer, where containers reach them.
    token: the one bearer token of the API. Where a call of it may cost money, nobody can guess it.
    """

    def __init__(self, ports: Ports, fal: Fal, docker: Docker | None = None) -> None:
        self.ports = ports
        self.fal = fal
        self.token = secrets.token_hex(16) if fal.has_real_key else TOKEN
        self.addresses = docker.addresses if docker else (HOST,)
        self.host = docker.host if docker else HOST
        self.api_url = f"http://{HOST}:{ports.api}"
        self.aws_url = f"http://{HOST}:{ports.aws}"
        self.fal_url = fal.parameters.get("FalQueueUrl", "https://queue.fal.run")
        self.template = read_template(fal.parameters)

    def wanted_ports(self) -> list[Wanted]:
        """The ports on which the stand-ins are going to listen."""
        wanted = [("AWS_PORT", self.ports.aws)] + ([("FAL_PORT", self.ports.fal)] if self.fal.emulated else [])
        return [(variable, port, address) for variable, port in wanted for address in self.addresses]

    def start(self, children: Children) -> None:
        """Start their processes."""
        children.start("AWS stand-in", "local.aws_server", *self._listen(self.ports.aws), "--name", self.host)
        if self.fal.emulated:
            options = (*self._listen(self.ports.fal), "--public-url", self.fal_url, *EMULATOR_PACE)
            children.start("fal emulator", "local.fal", *options, "--allow-private-webhooks")

    def fill(self, children: Children) -> None:
        """Wait until they answer, and make what the template holds.

        Raises:
            LocalError: one does not answer, or something cannot be made.
        """
        children.wait_for_port("AWS stand-in", self.ports.aws)
        # Any program on this machine can read these. The user's own key reaches functions by their environment alone.
        values = {
            "FalKey": "" if self.fal.has_real_key else self.fal.key,
            "Webhook": json.dumps({"url": self.api_url, "mac_key": secrets.token_hex(32)}),
            "Tokens": json.dumps({hashlib.sha256(self.token.encode()).hexdigest(): OWNER}),
        }
        try:
            create_stack(self.template, self.aws_url, values)
        except (BotoCoreError, ClientError) as error:
            raise LocalError(f"a resource of template.yaml cannot be made: {error}") from error
        if self.fal.emulated:
            children.wait_for_port("fal emulator", self.ports.fal)

    def _listen(self, port: int) -> Iterator[str]:
        for address in self.addresses:
            yield from ("--host", address)
        yield from ("--port", str(port), "--exit-with-parent")


def read_template(parameters: dict[str, str]) -> Template:
    """Read the template, and make sure that what its functions will read is right too.

    Raises:
        LocalError: it is not.
    """
    try:
        template = load_template(parameters)
        for function in template.functions.values():
            Settings.from_environment(function.environment)
        load_presets(PRESETS_FILE)
    except TemplateError as error:
        raise LocalError(f"template.yaml: {error}") from error
    except SettingsError as error:
        raise LocalError(str(error)) from error
    return template
