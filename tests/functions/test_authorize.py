"""Who may pass, and as whom."""

import subprocess
import sys
from typing import Any

import pytest

from functions import authorize


def ask(system: Any, **headers: str) -> Any:
    """Ask the authorizer about a call with these headers."""
    return authorize.handler({"version": "2.0", "headers": headers}, system.context)


@pytest.mark.parametrize("header", ["Bearer token of the shop", "bearer token of the shop"])
def test_a_known_token_has_an_owner(system: Any, header: str) -> None:
    """The secret holds the token's hash and the owner."""
    assert ask(system, authorization=header) == {"isAuthorized": True, "context": {"owner": "shop"}}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic token of the shop", "token of the shop"]
)
def test_anything_else_is_nobody_s(system: Any, header: str) -> None:
    """Wrong tokens and other schemes have no owner; the function behind refuses them."""
    assert ask(system, authorization=header) == {"isAuthorized": True, "context": {"owner": ""}}


def test_the_header_s_name_has_no_case(system: Any) -> None:
    """API Gateway writes it in small letters, `sam local` as HTTP/1.1 does."""
    assert ask(system, Authorization="Bearer token of the shop")["context"] == {"owner": "shop"}


def test_a_call_without_a_header_is_nobody_s(system: Any) -> None:
    """It reaches the function, which refuses it as a problem."""
    assert ask(system) == {"isAuthorized": True, "context": {"owner": ""}}


def test_tokens_are_read_once_in_five_minutes(system: Any) -> None:
    """The secret is kept in memory, and read again when it is old, so that a new token works soon."""
    ask(system, authorization="Bearer x")
    ask(system, authorization="Bearer x")
    assert system.aws_calls == ["GetSecretValue"]
    system.fal.advance(301)
    ask(system, authorization="Bearer x")
    assert system.aws_calls == ["GetSecretValue"] * 2


def test_the_authorizer_imports_no_router() -> None:
    """Each call waits for it, so a cold start does without what only other functions need."""
    code = "import sys, functions.authorize; print('aws_lambda_powertools.event_handler' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own line
    assert done.stdout == "False\n"
