"""What `make deploy` says, before it begins, of the account and of buckets that are there already."""

from typing import Any

import pytest

from local.deployed.next_steps import show_next_steps
from local.deployed.stack import DeployedStack
from tests.local.deployed.conftest import REGION, Api, Cloud

pytestmark = pytest.mark.long

ANSWERS = """version = 0.1
[default.deploy.parameters]
stack_name = "darkroom"
region = "us-east-1"
parameter_overrides = "InputsBucketName=\\"{inputs}\\" OutputsBucketName=\\"{outputs}\\""
"""
TELLS: dict[str, Any] = {"EventBridgeConfiguration": {}}


def warnings(cloud: Cloud, inputs: str = "", outputs: str = "") -> list[str]:
    """What a deploy with these buckets warns of."""
    (cloud.folder / "samconfig-darkroom.toml").write_text(ANSWERS.format(inputs=inputs, outputs=outputs))
    done = cloud.run("announce")
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line]


def test_nothing_is_said_where_all_is_well(account: Cloud) -> None:
    """An account with room and buckets that are as they should be, or none, give no warning."""
    s3 = account.client("s3")
    for name in ("photos", "pictures"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(Bucket="photos", NotificationConfiguration=TELLS)
    assert warnings(account) == []
    assert warnings(account, "photos", "pictures") == []


def test_answers_may_be_a_list(account: Cloud) -> None:
    """Whoever edits SAM's file may write the parameters as a list, which SAM takes as well."""
    text = ANSWERS.format(inputs="nowhere", outputs="")
    as_list = text.replace('"InputsBucketName', '["InputsBucketName').replace(
        'OutputsBucketName=\\"\\""', 'LogDays=7"]'
    )
    (account.folder / "samconfig-darkroom.toml").write_text(as_list)
    done = account.run("announce")
    assert done.returncode == 0, done.stderr
    assert "there is no bucket nowhere" in done.stderr


def test_a_small_account(account: Cloud, api: Api) -> None:
    """A new account's quota is named, with what uploads take of it and where more is asked for."""
    api.room = 10
    (warning,) = warnings(account)
    assert "10 functions at once, and uploads alone may take 5 (UploadConcurrency)" in warning
    assert "Service Quotas" in warning


def test_buckets_that_will_not_do(account: Cloud) -> None:
    """A bucket that is misspelt, elsewhere, or mute is named with its parameter and what to do."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="mute")
    account.client("s3", "eu-west-1").create_bucket(
        Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    said = warnings(account, "mute", "photoss")
    assert said[0].startswith("InputsBucketName: mute does not tell EventBridge of its objects")
    assert said[1:] == ["OutputsBucketName: there is no bucket photoss. Make it first, or correct the name."]
    (far,) = warnings(account, "far")
    assert far == f"InputsBucketName: far is in eu-west-1, and the stack in {REGION}. Both must be in one region."


def test_a_new_bucket_needs_five_minutes(stack: DeployedStack, capsys: pytest.CaptureFixture[str]) -> None:
    """After the first deploy the upload's line says from when on; after later ones it does not."""
    show_next_steps(stack, is_new=True)
    assert "wait five minutes" in capsys.readouterr().out
    show_next_steps(stack, is_new=False)
    assert "wait five minutes" not in capsys.readouterr().out
