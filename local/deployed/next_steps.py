"""What is still to be done before a deployed stack edits pictures."""

import time
from http import HTTPStatus

import httpx

from local.deployed.stack import DeployedError, DeployedStack
from local.deployed.tokens import read_owners
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE

PAUSES = (2, 5, 0)
"""Seconds between questions: a stage and a role that were just made may need a moment."""


def show_next_steps(stack: DeployedStack, *, is_new: bool) -> None:
    """Say what is missing, and where pictures go in and come out; of a bucket that is new, when it may be used."""
    place = stack.place
    print(f"\nThe stack {stack.name} is deployed. Its API: {stack.output('ApiUrl')}\n")
    if not _has_value(stack, stack.output("FalKeySecret")):
        print(f"  {place.command('fal-key'):<34} it has no fal key yet, and its jobs wait for one")
    uploads = stack.parameters.get("UploadOwner", "uploads")
    if uploads not in read_owners(stack).values():
        print(f"  {place.command(f'token NAME={uploads}'):<34} a token for the jobs of uploads")
    if not stack.parameters.get("AlarmEmail"):
        print(f"  alarms tell nobody: subscribe to   {stack.output('AlarmTopic')}")
    prefix, preset = _example()
    print(f"\nUpload a photo:     aws s3 cp photo.jpg s3://{stack.output('InputsBucket')}/{prefix}   (preset {preset})")
    if is_new and not stack.parameters.get("InputsBucketName"):
        print("                    wait five minutes: S3 may take that long to report what lands in a new bucket")
    print(f"Its edit appears:   aws s3 ls --recursive s3://{stack.output('OutputsBucket')}/")
    print(f"What is going on:   {place.command('logs')}")


def check_health(stack: DeployedStack) -> None:
    """Ask the API whether settings and presets are right, as the functions read them.

    Raises:
        DeployedError: it says that they are not, or does not answer.
    """
    url = f"{stack.output('ApiUrl')}/health"
    for pause in PAUSES:
        try:
            answer = httpx.get(url, timeout=30)
        except httpx.HTTPError as error:
            answered = f"does not answer ({error})"
        else:
            answered = f"answers {answer.status_code}"
            if answer.status_code == HTTPStatus.OK:
                return
        time.sleep(pause)
    raise DeployedError(f"The stack is deployed, but {url} {answered}. {stack.place.command('logs')} shows why.")


def _has_value(stack: DeployedStack, secret: str) -> bool:
    stages = stack.client("secretsmanager").describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    return any("AWSCURRENT" in labels for labels in stages.values())


def _example() -> tuple[str, str]:
    """A prefix that a preset takes uploads from, and the preset."""
    presets = load_presets(PRESETS_FILE).values()
    return next(((pattern.prefix, preset.name) for preset in presets for pattern in preset.uploads), ("", "none"))
