"""The deployed stack that a command is about: its name, its region, and what CloudFormation says of it."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.exceptions import ClientError

SAM_SETTINGS = Path("samconfig.toml")
STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
"""What CloudFormation takes as a stack's name."""
NO_CREDENTIALS = (
    "No AWS credentials were found. Sign in first, with `aws configure` or `aws sso login`, "
    "or name a profile that has them: AWS_PROFILE=…"
)


class DeployedError(Exception):
    """A command cannot do its work; the message is for whoever typed it."""


class NoSuchStackError(DeployedError):
    """The stack is not there (yet)."""


@dataclass(frozen=True)
class Place:
    """Which stack is meant, and where."""

    stack: str
    region: str

    @classmethod
    def find(cls, stack: str | None) -> Self:
        """Take the stack's name, or the one in samconfig.toml, and the region of its answers or of the environment.

        Raises:
            DeployedError: it is no name, there is no region, or the environment contradicts the saved answers.
        """
        if stack is None:
            stack = _default_name()
        if not STACK_NAME.fullmatch(stack):
            raise DeployedError(
                f"STACK={stack}: a stack's name has letters, digits and hyphens, and begins with a letter."
            )
        saved = read_answers(stack).get("region")
        asked = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if saved and asked and saved != asked:
            # Either choice would be a surprise: a second stack, or one that is not where it was asked for.
            raise DeployedError(
                f"AWS_REGION is {asked}, but {stack} was deployed to {saved} ({answers_file(stack)}). "
                f"Use AWS_REGION={saved}, or another name with STACK=…"
            )
        # SAM's questions include one for the region, but it needs one before.
        if not (region := saved or asked or boto3.Session().region_name):
            raise DeployedError("No AWS region is set: give one with AWS_REGION=…")
        return cls(stack, region)

    def command(self, words: str) -> str:
        """How a make command is typed for this stack."""
        named = "" if self.stack == _default_name() else f" STACK={self.stack}"
        return f"make {words}{named}"


def _default_name() -> str:
    return str(tomllib.loads(SAM_SETTINGS.read_text())["default"]["global"]["parameters"]["stack_name"])


def answers_file(stack: str) -> Path:
    """Where SAM saves what was answered at a stack's first deploy; git ignores it."""
    return Path(f"samconfig-{stack}.toml")


def read_answers(stack: str) -> dict[str, Any]:
    """Read what was answered at the first deploy; nothing where it was not saved.

    Raises:
        DeployedError: the file is no TOML.
    """
    try:
        content = tomllib.loads(answers_file(stack).read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise DeployedError(f"{answers_file(stack)}: {error}") from error
    answers: dict[str, Any] = content.get("default", {}).get("deploy", {}).get("parameters", {})
    return answers


def answered_parameters(place: Place) -> dict[str, str]:
    """The parameters that were answered at the first deploy, or edited since; of one that is there twice the last."""
    overrides = read_answers(place.stack).get("parameter_overrides", "")
    # SAM takes a list as well, which people write who edit the file.
    words = [word for line in ([overrides] if isinstance(overrides, str) else overrides) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def find_account(place: Place) -> str:
    """Ask AWS whose credentials these are.

    Raises:
        DeployedError: there are none.
    """
    session = boto3.Session()
    if session.get_credentials() is None:
        raise DeployedError(NO_CREDENTIALS)
    return str(session.client("sts", region_name=place.region).get_caller_identity()["Account"])


@dataclass(frozen=True)
class DeployedStack:
    """What CloudFormation says of a stack."""

    place: Place
    status: str
    outputs: dict[str, str]
    parameters: dict[str, str]

    @classmethod
    def read(cls, place: Place) -> Self:
        """Ask CloudFormation.

        Raises:
            NoSuchStackError: it knows none of that name.
        """
        try:
            answer = boto3.client("cloudformation", place.region).describe_stacks(StackName=place.stack)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                raise NoSuchStackError(
                    f"There is no stack {place.stack} in {place.region}. `make deploy` makes it; "
                    "STACK=… and AWS_REGION=… choose another."
                ) from error
            raise
        (stack,) = answer["Stacks"]
        return cls(
            place,
            stack["StackStatus"],
            {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
            {given["ParameterKey"]: given.get("ParameterValue", "") for given in stack.get("Parameters", [])},
        )

    @classmethod
    def find(cls, place: Place) -> Self | None:
        """Ask CloudFormation; None where it knows no stack of that name."""
        try:
            return cls.read(place)
        except NoSuchStackError:
            return None

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.place.stack

    def client(self, service: str) -> Any:
        """A client in the stack's region."""
        return boto3.client(service, region_name=self.place.region)  # type: ignore[call-overload] # literal names only

    def output(self, name: str) -> str:
        """One of the stack's outputs.

        Raises:
            DeployedError: it has none of that name.
        """
        if name not in self.outputs:
            raise DeployedError(
                f"The stack {self.name} ({self.status}) has no output {name}. Is it Darkroom, and deployed whole?"
            )
        return self.outputs[name]

    def resources(self) -> Iterator[tuple[str, str, str]]:
        """Logical id, type and physical name of each resource that there is."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                # What failed to be made has no name, and what a rollback deleted is still listed.
                if (name := resource.get("PhysicalResourceId")) and resource["ResourceStatus"] != "DELETE_COMPLETE":
                    yield resource["LogicalResourceId"], resource["ResourceType"], name
