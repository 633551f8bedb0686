"""For which processor the functions are built: the one that the stack runs them on."""

from local.deployed.stack import DeployedError, DeployedStack, Place, answered_parameters, answers_file

DEFAULT = "arm64"
"""The template's."""


def choose_architecture(place: Place, typed: str | None) -> str:
    """Take the processor of the answers, or of the stack that is there; of a new one what was typed.

    Raises:
        DeployedError: something else was typed.
    """
    known = answered_parameters(place).get("Architecture") or _deployed(place)
    if typed and known and typed != known:
        raise DeployedError(
            f"ARCHITECTURE is {typed}, but {place.stack} runs on {known}. "
            f"Change Architecture in {answers_file(place.stack)}, and leave ARCHITECTURE out."
        )
    return typed or known or DEFAULT


def check_architecture(place: Place, built: str) -> None:
    """Compare what was answered to SAM with what was built before.

    Raises:
        DeployedError: they differ, and no function would start.
    """
    if (answered := answered_parameters(place).get("Architecture") or built) != built:
        raise DeployedError(
            f"You answered {answered}, but the functions were built for {built} and do not start there. "
            f"Run `{place.command('deploy')}` again: it builds them for {answered}."
        )


def _deployed(place: Place) -> str | None:
    stack = DeployedStack.find(place)
    return stack.parameters.get("Architecture") if stack else None
