"""Tokens of a deployed API: what is made authorizes, what is revoked does not, and nobody's token is lost."""

import json
import re
from typing import Any

import boto3
import pytest

from functions import authorize
from local.deployed.stack import DeployedError, DeployedStack
from local.deployed.tokens import make_token, revoke_token
from shared.app import App
from shared.settings import Settings
from tests.conftest import SETTINGS, Context
from tests.local.deployed.conftest import Cloud


def shown(output: str) -> str:
    """The token that a command printed."""
    (token,) = re.findall(r"TOKEN=(\S+)", output)
    return str(token)


def owner_by(token: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Whom the real authorizer, freshly started, takes the holder of a token for."""
    app = App(Settings.from_environment(SETTINGS), client=cloud.client)
    monkeypatch.setattr(authorize, "app", lambda: app)
    answer = authorize.handler({"headers": {"authorization": f"Bearer {token}"}}, Context())  # type: ignore[arg-type] # stands in for Lambda's
    app.http.close()
    return answer["context"]["owner"] or None


def test_a_token_authorizes_until_it_is_revoked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two owners' tokens authorize; one is listed, revoked, and then refused, and the other is not."""
    alice = cloud.run("token", "--name", "alice").stdout
    bob = cloud.run("token", "--name", "bob").stdout
    assert owner_by(shown(alice), cloud, monkeypatch) == "alice"
    assert owner_by(shown(bob), cloud, monkeypatch) == "bob"
    lines = cloud.run("tokens").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["alice", "bob"]
    revoked = cloud.run("revoke", "--id", lines[0].split()[0])
    assert "of alice is revoked" in revoked.stdout
    assert owner_by(shown(alice), cloud, monkeypatch) is None
    assert owner_by(shown(bob), cloud, monkeypatch) == "bob"


def test_a_token_is_shown_once_and_kept_nowhere(cloud: Cloud) -> None:
    """The token stands once in what is printed, beside the curl line that uses it, and not in the secret."""
    output = cloud.run("token", "--name", "alice").stdout
    token = shown(output)
    assert len(token) >= 43
    assert output.count(token) == 1
    assert f'curl -s {cloud.api_url}/jobs -H "Authorization: Bearer $TOKEN"' in output
    assert token not in cloud.read_secret("tokens")
    assert "Uploads start jobs of uploads, which it does not see" in output
    assert "does not see" not in cloud.run("token", "--name", "uploads").stdout


def test_an_owner_may_have_two_tokens(cloud: Cloud) -> None:
    """So that a token can be rotated: both stand beside each other until the old one is revoked by its id."""
    cloud.run("token", "--name", "alice")
    cloud.run("token", "--name", "alice")
    assert list(json.loads(cloud.read_secret("tokens")).values()) == ["alice", "alice"]


@pytest.mark.parametrize("arguments", [["token"], ["token", "--name", "a/b"], ["token", "--name", ""]])
def test_an_owner_needs_a_name(cloud: Cloud, arguments: list[str]) -> None:
    """Without a name, or with one that is no folder's, no token is made; the owner of uploads is told."""
    result = cloud.run(*arguments)
    assert result.returncode == 1
    assert "NAME=… says whose it is" in result.stderr
    assert "Uploads start jobs of uploads" in result.stderr
    assert cloud.read_secret("tokens") == "{}"


def test_only_a_token_that_is_meant_is_revoked(cloud: Cloud) -> None:
    """No id, an unknown one and one that two tokens have change nothing."""
    owners = json.dumps({"ab" * 32: "alice", "ab" * 31 + "cd": "bob"})
    cloud.client("secretsmanager").put_secret_value(SecretId="darkroom/tokens", SecretString=owners)
    assert "ID=… says which token" in cloud.run("revoke").stderr
    assert "No tokens have the id 12345678" in cloud.run("revoke", "--id", "12345678").stderr
    assert "2 tokens have the id abababab" in cloud.run("revoke", "--id", "abababab").stderr
    assert cloud.read_secret("tokens") == owners


def test_no_tokens_yet(cloud: Cloud) -> None:
    """An empty list says how to make the first."""
    assert "make token NAME=…" in cloud.run("tokens").stdout


@pytest.mark.parametrize("value", ["[]", "token"])
def test_a_secret_of_another_form_is_left_alone(cloud: Cloud, value: str) -> None:
    """What somebody put there by hand, and is no JSON object, is not written over."""
    cloud.client("secretsmanager").put_secret_value(SecretId="darkroom/tokens", SecretString=value)
    result = cloud.run("token", "--name", "alice")
    assert result.returncode == 1
    assert "holds no JSON object" in result.stderr
    assert cloud.read_secret("tokens") == value


def test_what_others_write_meanwhile_is_kept(
    stack: DeployedStack, cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that somebody adds between our reading and our writing is there afterwards, and so is ours."""

    def write_first(**_: object) -> None:
        if cloud.read_secret("tokens") == "{}":
            put(cloud, {"f" * 64: "bob"})

    before_call(write_first, "PutSecretValue")
    make_token(stack, "alice")
    assert sorted(json.loads(cloud.read_secret("tokens")).values()) == ["alice", "bob"]
    assert owner_by(shown(capsys.readouterr().out), cloud, monkeypatch) == "alice"


def test_others_who_write_each_time(stack: DeployedStack, cloud: Cloud) -> None:
    """Who never gets through says so, and what the others wrote stands."""
    written: list[dict[str, str]] = []

    def write_first(**_: object) -> None:
        written.append({"f" * 64: f"bob{len(written)}"})
        put(cloud, written[-1])

    before_call(write_first, "PutSecretValue")
    with pytest.raises(DeployedError, match="could not be changed, 5 times"):
        make_token(stack, "alice")
    assert len(written) == 5
    assert json.loads(cloud.read_secret("tokens")) == written[-1]


def test_a_lost_reply(stack: DeployedStack, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """A write that took place, and whose repetition is refused, is not taken for somebody else's."""
    cloud.run("token", "--name", "alice")
    token_id = cloud.run("tokens").stdout.split()[0]

    def move_already(params: dict[str, Any], **_: object) -> None:
        cloud.client("secretsmanager").update_secret_version_stage(**json.loads(params["body"]))

    before_call(move_already, "UpdateSecretVersionStage")
    revoke_token(stack, token_id)
    assert "of alice is revoked" in capsys.readouterr().out
    assert cloud.read_secret("tokens") == "{}"


def put(cloud: Cloud, owners: dict[str, str]) -> None:
    """Write the tokens as somebody else would."""
    cloud.client("secretsmanager").put_secret_value(SecretId="darkroom/tokens", SecretString=json.dumps(owners))


def before_call(do: Any, operation: str) -> None:
    """Do something just before the commands' own session calls Secrets Manager."""
    assert boto3.DEFAULT_SESSION
    boto3.DEFAULT_SESSION.events.register(f"before-call.secretsmanager.{operation}", do)
