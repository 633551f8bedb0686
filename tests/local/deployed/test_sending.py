"""`make pause` and `make resume`: the whole spending of a stack stops and goes on with one write."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.app import utc_now
from shared.breaker import Breaker
from tests.local.deployed.conftest import Cloud

ROOT = Path(__file__).parent.parent.parent.parent


def row(cloud: Cloud) -> dict[str, Any]:
    """What the table says of sending."""
    (table,) = cloud.client("dynamodb").list_tables()["TableNames"]
    key = {"job_id": {"S": "shared#breaker"}}
    found: dict[str, Any] = cloud.client("dynamodb").get_item(TableName=table, Key=key).get("Item", {})
    return found


def test_sending_is_paused_and_goes_on(cloud: Cloud) -> None:
    """One write each; a second of the same changes nothing and says so, with the time of the first."""
    paused = cloud.run("pause")
    assert (paused.returncode, paused.stderr) == (0, "")
    assert "Sending is paused for darkroom in us-east-1" in paused.stdout
    since = row(cloud)["paused_at"]["S"]
    again = cloud.run("pause")
    assert f"has been paused since {since}. Nothing was changed." in again.stdout
    assert row(cloud)["paused_at"]["S"] == since
    assert "Sending goes on for darkroom" in cloud.run("resume").stdout
    assert "paused_at" not in row(cloud)
    assert "was not paused. Nothing was changed." in cloud.run("resume").stdout


def test_a_pause_and_a_lock_leave_each_other_alone(cloud: Cloud) -> None:
    """What the functions know of the account stays in the row, and the end of a lock ends no pause."""
    (table,) = cloud.client("dynamodb").list_tables()["TableNames"]
    nonces = iter("abcdefgh")
    breaker = Breaker(cloud.client("dynamodb"), table, utc_now, lambda: next(nonces))
    breaker.note_refused("shop", "User is locked")
    cloud.run("pause")
    assert breaker.read().locks
    assert breaker.read().paused_at
    for _ in range(3):
        breaker.note_accepted("shop")
    assert not breaker.read().locks
    assert breaker.read().paused_at
    cloud.run("resume")
    assert breaker.read().paused_at is None


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_stack_that_is_not_there_is_named(account: Cloud, command: str) -> None:
    """Nothing is written where there is no stack, or no table that can be written."""
    done = account.run("--stack", "other", command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no stack other" in done.stderr


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_local_stack_that_does_not_run_is_told(account: Cloud, command: str) -> None:
    """The port is named, since AWS_PORT may be another one; a port that is none is a sentence too."""
    done = account.run(command, "--local", AWS_PORT="9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:9" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "is no port" in account.run(command, "--local", AWS_PORT="none").stderr


@pytest.mark.parametrize(
    ("words", "local"),
    [(["LOCAL=1"], True), ([], False), (["LOCAL=0"], False), (["LOCAL="], False), (["LOCAL=yes"], True)],
)
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_make_hands_on_which_stack_is_meant(command: str, words: list[str], *, local: bool) -> None:
    """LOCAL=1 is the local stack, typed or from the terminal; nothing, or 0, is the one on AWS."""
    shown = subprocess.run(["make", "-n", command, *words], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607 - make is the user's own
    (line,) = [line for line in shown.stdout.splitlines() if "local.deployed" in line]
    assert line.split("local.deployed")[1].split() == [command, *(["--local"] if local else [])]
