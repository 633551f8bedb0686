"""The stack as a whole, by SAM: deployed, its logs followed, removed."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from local.deployed.architecture import check_architecture
from local.deployed.next_steps import check_health, show_next_steps
from local.deployed.stack import (
    SAM_SETTINGS,
    DeployedError,
    DeployedStack,
    Place,
    answers_file,
    find_account,
    read_answers,
)
from local.deployed.surroundings import find_troubles, known_parameters
from local.template import TEMPLATE_FILE, read_yaml
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE

NO_ANSWERS = "version = 0.1\n"
NOT_EXECUTED = "REVIEW_IN_PROGRESS"
"""The status of a stack that has a change set and nothing else."""
DEAD = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}
"""Statuses from which a stack can only be deleted (CloudFormation docs: stack status codes)."""
LEFT_BY_HAND = {
    # A versioned bucket is not empty before its old versions are gone.
    "AWS::S3::Bucket": 'b = boto3.resource("s3", "{region}").Bucket("{name}"); b.object_versions.delete(); b.delete()',
    "AWS::DynamoDB::Table": 'boto3.client("dynamodb", "{region}").delete_table(TableName="{name}")',
}
"""What deletes a resource that outlives its stack, by type."""


def announce_deploy(place: Place) -> None:
    """Say what will be deployed, where, and as whom, before anything is built.

    Raises:
        DeployedError: there are no credentials, or CloudFormation would refuse the stack as it is.
        SettingsError: presets.yaml breaks rules; the stack would answer each upload with an error.
    """
    load_presets(PRESETS_FILE)
    account = find_account(place)
    stack = DeployedStack.find(place)
    if stack and stack.status in DEAD:
        raise DeployedError(
            f"The stack {stack.name} is {stack.status}, and cannot be updated. "
            f"`{place.command('destroy')}` removes what is left of it; then deploy again."
        )
    print(f"Deploys the stack {place.stack} to {place.region}, account {account}:")
    print("  1. the functions are built into .aws-sam")
    if _asks(place):
        print(f"  2. SAM asks for the parameters and keeps the answers in {answers_file(place.stack)}, out of git")
    else:
        source = answers_file(place.stack) if read_answers(place.stack) else f"{SAM_SETTINGS}, parameters as they were"
        print(f"  2. SAM deploys by {source}")
    print("  3. CloudFormation makes or changes what differs\n", flush=True)
    _warn(find_troubles(place, known_parameters(place, stack)))


def deploy(place: Place, sam: str, built: str) -> None:
    """Deploy what was built for a processor, asking for the parameters the first time, and say what comes next.

    Raises:
        DeployedError: SAM failed, and has said why; it was told another processor; or the stack is not well.
    """
    answers = answers_file(place.stack)
    arguments = ["deploy", "--stack-name", place.stack, "--region", place.region, "--no-fail-on-empty-changeset"]
    known = read_answers(place.stack)
    is_new = DeployedStack.find(place) is None
    asks = _asks(place)
    if not known:
        arguments += ["--parameter-overrides", _propose_parameters(place, built)]
    if asks:
        # SAM saves only into a file that is there.
        answers.write_text(NO_ANSWERS)
        try:
            _run(sam, *arguments, "--guided", "--capabilities", "CAPABILITY_IAM", "--config-file", str(answers))
        finally:
            place = _keep_answers(place)
        check_architecture(place, built)
    else:
        arguments += ["--config-file", str(answers if known else SAM_SETTINGS)]
        # A question that nobody is there to answer would end a deploy.
        _run(sam, *arguments, *([] if sys.stdin.isatty() else ["--no-confirm-changeset"]))
    stack = DeployedStack.read(place)
    if stack.status == NOT_EXECUTED:
        raise DeployedError("The changes were not confirmed. Nothing is deployed.")
    show_next_steps(stack, is_new=is_new)
    if asks:
        _warn(find_troubles(place, known_parameters(place, stack)))
    check_health(stack)


def _warn(troubles: Iterable[str]) -> None:
    for trouble in troubles:
        print(f"warning: {trouble}\n", file=sys.stderr, flush=True)


def _propose_parameters(place: Place, built: str) -> str:
    """The parameters that the stack has, if it is there: SAM by itself would propose the template's defaults."""
    stack = DeployedStack.find(place)
    declared = read_yaml(TEMPLATE_FILE.read_text(encoding="utf-8"))["Parameters"]
    kept = {name: value for name, value in (stack.parameters if stack else {}).items() if name in declared}
    quoted = {
        name: value.replace("\\", r"\\").replace('"', r"\"") for name, value in (kept | {"Architecture": built}).items()
    }
    return " ".join(f'{name}="{value}"' for name, value in quoted.items())


def _asks(place: Place) -> bool:
    return not read_answers(place.stack) and sys.stdin.isatty()


def _keep_answers(place: Place) -> Place:
    """Keep SAM's answers under the name that was given to the stack, which may be another than was proposed."""
    file, answers = answers_file(place.stack), read_answers(place.stack)
    if not answers:
        # SAM keeps them elsewhere in the file for who chose another of its configuration environments.
        if file.read_text() == NO_ANSWERS:
            file.unlink()
        return place
    named = Place(answers["stack_name"], answers["region"])
    if named.stack != place.stack:
        file.rename(answers_file(named.stack))
        print(f"\nThe stack is called {named.stack}: give STACK={named.stack} with each command.")
    return named


def follow_logs(stack: DeployedStack, sam: str) -> None:
    """Show what functions and API log, from ten minutes ago on, until Ctrl-C.

    Raises:
        DeployedError: the stack has no log group, or SAM failed.
    """
    groups = [name for _, kind, name in stack.resources() if kind == "AWS::Logs::LogGroup"]
    if not groups:
        raise DeployedError(f"The stack {stack.name} has no log group. Is it Darkroom, and deployed whole?")
    print(f"Follows {', '.join(groups)} from ten minutes ago on. Ctrl-C ends it.", flush=True)
    # By the stack's name SAM would show a group once for each function that writes into it.
    chosen = [word for group in groups for word in ("--cw-log-group", group)]
    try:
        _run(sam, "logs", "--region", stack.place.region, *chosen, "--tail")
    except KeyboardInterrupt:
        print()


def destroy(stack: DeployedStack, sam: str, *, confirmed: bool) -> None:
    """Delete the stack, and say what is left and how that is deleted.

    Raises:
        DeployedError: it was not confirmed, or SAM failed.
    """
    place = stack.place
    kept = _kept(stack)
    print(f"Deletes the stack {stack.name} in {place.region}: API, functions, queues, logs, alarms, and the secrets")
    print("with fal's key and all tokens. Jobs under way are not finished, and were paid.")
    print("Stays, with all that is in it:")
    for kind, name in kept:
        print(f"  {kind}  {name}")
    if not confirmed:
        print(f"\nType the stack's name, {stack.name}, to delete it: ", end="", flush=True)
        if sys.stdin.readline().strip() != stack.name:
            raise DeployedError("That is not its name. Nothing was deleted.")
    _run(sam, "delete", "--stack-name", stack.name, "--region", place.region, "--no-prompts")
    print("\nThe stack is deleted. What stayed is deleted by hand, for good:\n")
    for kind, name in kept:
        print(f"  {_how_to_delete(kind, name, place)}")
    if answers_file(stack.name).exists():
        print(f"\n{answers_file(stack.name)} keeps your answers for another `{place.command('deploy')}`.")
    print("SAM's own bucket, in the stack aws-sam-cli-managed-default, serves other SAM stacks too and stays.")


def _how_to_delete(kind: str, name: str, place: Place) -> str:
    if kind not in LEFT_BY_HAND:
        return f"{name}, in the console"
    return f".venv/bin/python -c 'import boto3; {LEFT_BY_HAND[kind].format(name=name, region=place.region)}'"


def _kept(stack: DeployedStack) -> list[tuple[str, str]]:
    """Type and name of each resource that outlives the stack, as the deployed template has it."""
    body = stack.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")["TemplateBody"]
    template = read_yaml(body) if isinstance(body, str) else body
    policies = {name: resource.get("DeletionPolicy", "Delete") for name, resource in template["Resources"].items()}
    return [
        (kind, name)
        for logical, kind, name in stack.resources()
        if policies.get(logical, "Delete").startswith("Retain")
    ]


def _run(sam: str, *arguments: str) -> None:
    print(f"$ {Path(sam).name} {' '.join(arguments)}", flush=True)
    code = subprocess.run([sam, *arguments], check=False).returncode  # noqa: S603 - the project's own SAM
    if code:
        raise DeployedError(f"`sam {arguments[0]}` ended with {code}.")
