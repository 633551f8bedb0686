"""The stand-ins for AWS and fal, with what template.yaml holds made in them."""

import hashlib
import json
import secrets
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import create_stack
from local.children import Children
from local.resources import Template, load_template
from local.settings import HOST, OWNER, TOKEN, Fal, LocalError, Ports, claim
from local.template import TemplateError
from shared.errors import SettingsError
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE, Settings

EMULATOR_PACE = ("--queue-seconds", "0.3", "--run-seconds", "0.8", "--concurrency", "10")
"""Slow enough to see jobs wait and run, and as many at once as an account with some purchases may have (fal docs)."""


class StandIns:
    """moto and, unless functions talk to another fal, the emulator; `addresses` are where both listen."""

    def __init__(self, ports: Ports, fal: Fal, addresses: tuple[str, ...] = (HOST,)) -> None:
        self.ports = ports
        self.fal = fal
        self.addresses = addresses
        self.api_url = f"http://{HOST}:{ports.api}"
        self.aws_url = f"http://{HOST}:{ports.aws}"
        self.fal_url = fal.parameters.get("FalQueueUrl", "https://queue.fal.run")
        self.template = read_template(fal.parameters)

    def claim_ports(self) -> None:
        """Make sure that nobody else has the ports.

        Raises:
            LocalError: somebody has one.
        """
        for address in self.addresses:
            claim("AWS_PORT", self.ports.aws, address).close()
            if self.fal.emulated:
                claim("FAL_PORT", self.ports.fal, address).close()

    def start(self, children: Children) -> None:
        """Start their processes."""
        children.start("AWS stand-in", "local.aws_server", *self._listen(self.ports.aws))
        if self.fal.emulated:
            options = (*self._listen(self.ports.fal), "--public-url", self.fal_url, *EMULATOR_PACE)
            children.start("fal emulator", "local.fal", *options, "--allow-private-webhooks")

    def fill(self, children: Children) -> None:
        """Wait until they answer, and make what the template holds.

        Raises:
            LocalError: one does not answer, or something cannot be made.
        """
        children.wait_for_port("AWS stand-in", self.ports.aws)
        values = {
            "FalKey": self.fal.key,
            "Webhook": json.dumps({"url": self.api_url, "mac_key": secrets.token_hex(32)}),
            "Tokens": json.dumps({hashlib.sha256(TOKEN.encode()).hexdigest(): OWNER}),
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
