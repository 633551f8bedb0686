"""The commands of docs/operating.md do what it says, on moto: an `aws` line is the call that the AWS CLI would make."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from moto import mock_aws

from local.aws import create_stack
from local.template_reader import load_template
from shared.settings import WebhookSecret

DOCUMENT = (Path(__file__).parent.parent / "docs/operating.md").read_text()
FIRST_ROW = {"job_id": {"S": "a"}, "status": {"S": "succeeded"}}


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


def blocks(language: str, section: str) -> list[str]:
    """The blocks of code in one section."""
    text = re.split(rf"^## {section}\n", DOCUMENT, flags=re.MULTILINE)[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(section: str, operation: str) -> list[str]:
    """The lines of a section that call this operation."""
    lines = [line for block in blocks("sh", section) for line in block.splitlines()]
    return [line for line in lines if line.split()[2:3] == [operation]]


def run(line: str, **variables: str) -> Any:
    """Make the call of one line, with the shell's variables filled in."""
    line = line.partition(" --query ")[0]  # what is shown of the answer, and where it goes
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    words = shlex.split(line, comments=True)
    assert words[0] == "aws"
    assert "$" not in line
    client: Any = boto3.client(words[1].removesuffix("api"))  # type: ignore[call-overload] # literal names only
    if words[2] == "wait":
        client.get_waiter(words[3].replace("-", "_")).wait(TableName=words[5])
        return None
    operation = words[2].replace("-", "_")
    members = client.meta.service_model.operation_model(
        client.meta.method_to_api_mapping[operation]
    ).input_shape.members
    parameters = {"--" + xform_name(name, "-"): name for name in members}
    values = {parameters[option]: value for option, value in zip(words[3::2], words[4::2], strict=True)}
    given = {name: json.loads(value) if value.startswith("{") else value for name, value in values.items()}
    given |= {name: Path(value[7:]).read_text() for name, value in values.items() if value.startswith("file://")}
    return getattr(client, operation)(**given)


def test_turning_eventbridge_on() -> None:
    """Once the commands were run on a bucket that exists, its uploads reach the queue."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs", "us-east-1")
    s3.create_bucket(Bucket="photos")
    create_stack(load_template({"InputsBucketName": "photos"}))
    queue = sqs.get_queue_url(QueueName="darkroom-uploads")["QueueUrl"]
    s3.put_object(Bucket="photos", Key="sketch/before.jpg", Body=b"x")
    (read,) = commands("Buckets of your own", "get-bucket-notification-configuration")
    (turn_on,) = commands("Buckets of your own", "put-bucket-notification-configuration")
    assert "QueueConfigurations" not in run(read)
    run(turn_on)
    s3.put_object(Bucket="photos", Key="sketch/after.jpg", Body=b"x")
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "sketch/after.jpg"


def test_rotating_the_webhook_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is fetched, edited and put back, and is what the functions read."""
    monkeypatch.chdir(tmp_path)
    create_stack(load_template())
    section = "Rotating the webhook secret's MAC key"
    (fetch,) = commands(section, "get-secret-value")
    (put,) = commands(section, "put-secret-value")
    held = json.loads(run(fetch)["SecretString"])
    Path("webhook.json").write_text(json.dumps(held | {"previous_mac_key": "k" * 64}))
    run(put)
    secret = WebhookSecret.model_validate_json(run(fetch)["SecretString"])
    assert secret.mac_keys == (held["mac_key"], "k" * 64)


def test_bringing_a_picture_back() -> None:
    """A deleted output is there again without its marker, an overwritten one by its old version."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="pictures")
    s3.put_bucket_versioning(Bucket="pictures", VersioningConfiguration={"Status": "Enabled"})
    key = "studio-shot/products/coffee/1-0.png"
    old = s3.put_object(Bucket="pictures", Key=key, Body=b"old")["VersionId"]
    s3.put_object(Bucket="pictures", Key=key, Body=b"new")
    (listed,) = commands("Restoring", "list-object-versions")
    (undelete,) = commands("Restoring", "delete-object")
    (copy_back,) = commands("Restoring", "copy-object")
    s3.delete_object(Bucket="pictures", Key=key)
    answer = run(listed, OUTPUTS="pictures")
    run(undelete, OUTPUTS="pictures", KEY=key, MARKER=answer["DeleteMarkers"][0]["VersionId"])
    assert s3.get_object(Bucket="pictures", Key=key)["Body"].read() == b"new"
    run(copy_back, OUTPUTS="pictures", KEY=key, OLD=old)
    assert s3.get_object(Bucket="pictures", Key=key)["Body"].read() == b"old"


def test_bringing_jobs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled rows that are missing come back; open ones, shared ones and those that the table has stay as they are."""
    client = boto3.client("dynamodb")
    (table,) = load_template().tables
    client.create_table(**table.request | {"TableName": "jobs"})
    rows = [
        FIRST_ROW,
        {"job_id": {"S": "b"}, "status": {"S": "failed"}},
        {"job_id": {"S": "c"}, "status": {"S": "queued"}},
        {"job_id": {"S": "shared#breaker"}},
    ]
    for row in rows:
        client.put_item(TableName="jobs", Item=row)
    (restore,) = commands("Restoring", "restore-table-to-point-in-time")
    (wait,) = commands("Restoring", "wait")
    run(restore, TABLE="jobs")
    run(wait)
    for row in rows[1:]:
        client.delete_item(TableName="jobs", Key={"job_id": row["job_id"]})
    newer = FIRST_ROW | {"preset": {"S": "newer"}}
    client.put_item(TableName="jobs", Item=newer)
    monkeypatch.setenv("TABLE", "jobs")
    (script,) = blocks("python", "Restoring")
    for _ in range(2):
        exec(compile(script, "docs/operating.md", "exec"), {})  # noqa: S102 - the document's own words
    assert sorted(client.scan(TableName="jobs")["Items"], key=str) == sorted([newer, rows[1]], key=str)
    (delete,) = commands("Restoring", "delete-table")
    run(delete)
    assert client.list_tables()["TableNames"] == ["jobs"]
