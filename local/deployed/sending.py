"""Pause and resume: an operator stops all sending to fal, and lets it go on, by one write to the job table."""

import os
import secrets
from collections.abc import Callable

from local.aws import session
from local.deployed.stack import DeployedError, DeployedStack
from local.settings import HOST, Ports
from local.template_reader import load_template
from shared.app import utc_now
from shared.breaker import Breaker
from shared.errors import AwsUnavailableError


def deployed_breaker(stack: DeployedStack) -> Breaker:
    """The breaker of a deployed stack.

    Raises:
        DeployedError: the stack has no job table.
    """
    return Breaker(stack.client("dynamodb"), stack.output("JobTable"), utc_now, lambda: secrets.token_hex(8))


def local_breaker() -> Breaker:
    """The breaker of a running `make local`, whose port AWS_PORT names."""
    endpoint = f"http://{HOST}:{Ports.read(os.environ).aws}"
    table = load_template().tables[0].request["TableName"]
    client = session().client("dynamodb", endpoint_url=endpoint)
    return Breaker(client, table, utc_now, lambda: secrets.token_hex(8))


def pause(breaker: Breaker, what: str) -> None:
    """Stop all sending, and say what follows.

    Raises:
        DeployedError: the job table cannot be written.
    """
    if _switch(breaker.pause):
        print(f"Sending is paused for {what}: within a minute nothing more goes to fal.")
        print("Uploads and posts are taken and wait, for three days at most. What fal has is finished.")
        print("`make resume` lets it go on.")
    else:
        print(f"Sending for {what} has been paused since {breaker.state().paused_at}. Nothing was changed.")


def resume(breaker: Breaker, what: str) -> None:
    """Let sending go on, and say what follows.

    Raises:
        DeployedError: the job table cannot be written.
    """
    if _switch(breaker.resume):
        print(f"Sending goes on for {what}: what waits is sent from the next minute on, up to 1,000 jobs a minute.")
    else:
        print(f"Sending for {what} was not paused. Nothing was changed.")


def _switch(change: Callable[[], bool]) -> bool:
    try:
        return change()
    except AwsUnavailableError as error:
        raise DeployedError(f"{error}. Nothing was changed.") from error
