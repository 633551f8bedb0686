"""Which stack a command is about, and what it says when there is none."""

import re
from pathlib import Path
from typing import Any

import pytest

from local.deployed.architecture import DEFAULT
from local.deployed.stack import DeployedError, DeployedStack, Place
from local.template import read_yaml
from tests.local.deployed.conftest import ROOT, Cloud

ANSWERS = """version = 0.1
[default.deploy.parameters]
stack_name = "darkroom"
region = "eu-central-1"
"""


@pytest.fixture
def folder(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder from which commands are run, in a shell that sets no region but the profile's."""
    monkeypatch.chdir(account.folder)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    (account.folder / "config").write_text("[default]\nregion = us-east-2\n[profile work]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(account.folder / "config"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    return account.folder


def test_the_default_is_that_of_sam(folder: Path) -> None:
    """Without STACK it is the stack that samconfig.toml names, and commands are shown without STACK."""
    del folder
    assert Place.find(None) == Place("darkroom", "us-east-2")
    assert Place.find(None).command("logs") == "make logs"
    assert Place.find("other").command("logs") == "make logs STACK=other"


def test_the_region_is_awss_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile's region counts, AWS_DEFAULT_REGION before it, and AWS_REGION before both."""
    del folder
    assert Place.find(None).region == "us-east-2"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert Place.find(None).region == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert Place.find(None).region == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Place.find(None).region == "eu-west-1"


def test_the_region_of_the_first_deploy_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack is looked for where it was deployed; who asks for another region is told, and gets no second stack."""
    (folder / "samconfig-darkroom.toml").write_text(ANSWERS)
    assert Place.find(None).region == "eu-central-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert Place.find("other").region == "us-west-2"
    with pytest.raises(DeployedError, match="AWS_REGION is us-west-2, but darkroom was deployed to eu-central-1"):
        Place.find(None)


@pytest.mark.parametrize("name", ["", "a b", "1a", "a/b", "$(id)"])
def test_what_is_no_name(folder: Path, name: str) -> None:
    """A name that CloudFormation would refuse is refused at once."""
    del folder
    with pytest.raises(DeployedError, match="STACK="):
        Place.find(name)


def test_there_is_no_such_stack(cloud: Cloud) -> None:
    """A stack that is not there is one clear sentence."""
    result = cloud.run("--stack", "other", "tokens")
    assert result.returncode == 1
    assert result.stderr.startswith("error: There is no stack other in us-east-1. `make deploy` makes it;")
    assert result.stderr.count("\n") == 1


def test_a_stack_that_is_something_else(account: Cloud) -> None:
    """A stack without the outputs of Darkroom's says which one is missing."""
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    account.client("cloudformation").create_stack(StackName="darkroom", TemplateBody=template)
    assert "has no output TokensSecret. Is it Darkroom" in account.run("tokens").stderr
    assert "has no log group" in account.run("logs").stderr


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "No AWS credentials were found. Sign in first"),
        ({"AWS_DEFAULT_REGION": ""}, "No AWS region is set"),
        ({"AWS_PROFILE": "nobody"}, r"The config profile \(nobody\) could not be found"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS could not be asked: Could not connect"),
    ],
)
def test_what_keeps_aws_from_answering(cloud: Cloud, environment: dict[str, str], sentence: str) -> None:
    """No credentials, no region, no such profile, no network: each is one sentence and exit code 1."""
    result = cloud.run("tokens", AWS_MAX_ATTEMPTS="1", **environment)
    assert result.returncode == 1
    assert re.match(f"error: .*{sentence}", result.stderr)
    assert result.stderr.count("\n") == 1


def test_aws_says_no(stack: DeployedStack, cloud: Cloud) -> None:
    """What AWS refuses is one sentence with AWS's own words."""
    cloud.client("secretsmanager").delete_secret(SecretId=stack.output("TokensSecret"))
    result = cloud.run("tokens")
    assert result.returncode == 1
    assert result.stderr.startswith("error: AWS refused GetSecretValue: ")


def test_the_template_has_what_the_commands_read() -> None:
    """Outputs, parameters and resources that the commands count on are those of template.yaml."""
    template: dict[str, Any] = read_yaml((ROOT / "template.yaml").read_text())
    code = "".join(file.read_text() for file in (ROOT / "local/deployed").glob("*.py"))
    outputs = set(re.findall(r'output\(["\'](\w+)', code))
    assert len(outputs) == 7
    assert outputs <= set(template["Outputs"])
    parameters = set(re.findall(r'parameters\.get\("(\w+)"', code))
    assert parameters == {"Architecture", "UploadOwner", "FalAuthScheme", "AlarmEmail", "InputsBucketName"}
    assert parameters <= set(template["Parameters"])
    assert template["Parameters"]["Architecture"]["Default"] == DEFAULT
