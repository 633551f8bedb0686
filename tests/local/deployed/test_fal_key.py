"""fal's key, from a pipe or a keyboard into the stack's secret, and nowhere else."""

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from local.deployed.fal_key import put_fal_key
from local.deployed.stack import DeployedError, DeployedStack
from tests.local.deployed.conftest import Cloud

KEY = "0a1b2c3d-0000-4000-8000-123456789abc:00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_piped_key(cloud: Cloud, end: str) -> None:
    """A key comes from standard input, without the line's end, and is not printed."""
    result = cloud.run("fal-key", typed=KEY + end)
    assert result.returncode == 0, result.stderr
    assert cloud.read_secret("fal-key") == KEY
    assert "within five minutes" in result.stdout
    assert KEY not in result.stdout + result.stderr


NO_KEYS = ["", "secret", "id secret", f"{KEY} ", f" {KEY}", f"{KEY}\n{KEY}", "a:b:c", ":b", "a:", "ä:b"]


def test_what_is_no_key(
    stack: DeployedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything but id:secret is refused and not stored, and what was typed is not repeated."""
    for typed in NO_KEYS:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(DeployedError, match=r"expected id:secret, without spaces\. Nothing was changed") as refusal:
            put_fal_key(stack)
        assert KEY not in f"{refusal.value}{capsys.readouterr()}"
    assert cloud.versions("fal-key") == set()


def test_a_typed_key_is_not_shown(cloud: Cloud) -> None:
    """In a terminal the key is asked for, and nothing of it appears."""
    terminal, typed_into = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "local.deployed", "fal-key"],
        cwd=cloud.folder,
        env=cloud.environment,
        stdin=typed_into,
        stdout=typed_into,
        stderr=typed_into,
        start_new_session=True,
    ) as process:
        os.close(typed_into)
        seen = read_until(terminal, "not shown): ")
        time.sleep(0.2)  # the echo goes off after the prompt is written
        os.write(terminal, f"{KEY}\n".encode())
        seen += read_until(terminal, "by themselves.")
        assert process.wait(30) == 0
    os.close(terminal)
    assert "secret" in seen
    assert KEY[:8] not in seen
    assert cloud.read_secret("fal-key") == KEY


def read_until(terminal: int, end: str) -> str:
    """Read what a terminal shows, up to something."""
    seen = ""
    while end not in seen:
        seen += os.read(terminal, 1000).decode()
    return seen


def test_a_key_of_a_reseller(account: Cloud) -> None:
    """With FalAuthScheme=Bearer a key is one word, of the reseller's own form."""
    account.create_stack(FalAuthScheme="Bearer")
    assert account.run("fal-key", typed="sk-1234").returncode == 0
    assert account.read_secret("fal-key") == "sk-1234"
    assert "expected one word" in account.run("fal-key", typed="sk 1234").stderr
