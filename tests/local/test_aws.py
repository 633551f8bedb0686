"""The template's resources in the AWS stand-in."""

import json
from contextlib import closing
from typing import Any

import pytest

from local.aws import create_stack, session
from local.resources import Template
from local.template_reader import load_template

pytestmark = pytest.mark.usefixtures("aws")


def receive(queue: str) -> list[dict[str, Any]]:
    """Take the events off a queue."""
    with closing(session().client("sqs")) as sqs:
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]


def test_the_table_has_its_indexes_and_its_time_to_live(template: Template) -> None:
    """The table is the one of the template."""
    create_stack(template)
    with closing(session().client("dynamodb")) as dynamodb:
        table = dynamodb.describe_table(TableName="darkroom-jobs")["Table"]
        ttl = dynamodb.describe_time_to_live(TableName="darkroom-jobs")["TimeToLiveDescription"]
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {"by_owner", "due"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert ttl == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}


def test_secrets_are_generated_or_given(template: Template) -> None:
    """A secret has the template's value, a generated one, or the one that is given; or none yet."""
    create_stack(template, secrets={"Tokens": '{"hash": "local"}'})
    with closing(session().client("secretsmanager")) as secretsmanager:
        tokens = secretsmanager.get_secret_value(SecretId="darkroom/tokens")["SecretString"]
        webhook = json.loads(secretsmanager.get_secret_value(SecretId="darkroom/webhook")["SecretString"])
        with pytest.raises(secretsmanager.exceptions.ResourceNotFoundException):
            secretsmanager.get_secret_value(SecretId="darkroom/fal-key")
    assert tokens == '{"hash": "local"}'
    assert webhook["url"].startswith("https://")
    assert len(webhook["mac_key"]) == 64


def test_a_secret_that_the_template_lacks_is_an_error(template: Template) -> None:
    """A value for a secret that is called otherwise by now is not lost silently."""
    with pytest.raises(KeyError, match="Nobody"):
        create_stack(template, secrets={"Nobody": "x"})


def test_an_upload_reaches_the_queue_as_s3_tells_it(template: Template) -> None:
    """The rule brings each upload to the queue once: raw key, ETag, and a sequencer that grows with each write."""
    create_stack(template)
    with closing(session().client("s3")) as s3:
        for body in (b"one", b"three"):
            s3.put_object(Bucket="darkroom-inputs", Key="sketch/a b+ü.jpg", Body=body)
        s3.delete_object(Bucket="darkroom-inputs", Key="sketch/a b+ü.jpg")
        s3.put_object(Bucket="darkroom-outputs", Key="out.jpg", Body=b"x")
    first, second = receive("darkroom-uploads")
    assert (first["source"], first["detail-type"]) == ("aws.s3", "Object Created")
    assert first["detail"]["bucket"] == {"name": "darkroom-inputs"}
    assert first["detail"]["object"]["key"] == "sketch/a b+ü.jpg"
    assert first["detail"]["object"]["size"] == 3
    assert len(first["detail"]["object"]["etag"]) == 32
    assert first["detail"]["object"]["sequencer"] < second["detail"]["object"]["sequencer"]


def test_a_multipart_upload_is_told_of_once(template: Template) -> None:
    """A large file is one upload, not two."""
    create_stack(template)
    with closing(session().client("s3")) as s3:
        upload = s3.create_multipart_upload(Bucket="darkroom-inputs", Key="large")["UploadId"]
        part = s3.upload_part(Bucket="darkroom-inputs", Key="large", UploadId=upload, PartNumber=1, Body=b"x")
        s3.complete_multipart_upload(
            Bucket="darkroom-inputs",
            Key="large",
            UploadId=upload,
            MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
        )
    (event,) = receive("darkroom-uploads")
    assert event["detail"]["reason"] == "CompleteMultipartUpload"


def test_outputs_of_a_shared_bucket_never_reach_the_queue() -> None:
    """Where both buckets are one, the rule leaves out what stands under the outputs' prefix."""
    one = {"InputsBucketName": "pictures", "OutputsBucketName": "pictures", "OutputsPrefix": "edited/"}
    template = load_template(one)
    assert template.buckets == ()
    create_stack(template)
    with closing(session().client("s3")) as s3:
        s3.create_bucket(Bucket="pictures")
        s3.put_bucket_notification_configuration(
            Bucket="pictures", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        for key in ("edited/cup.png", "products/cup.png", "edited"):
            s3.put_object(Bucket="pictures", Key=key, Body=b"x")
    keys = [event["detail"]["object"]["key"] for event in receive("darkroom-uploads")]
    assert sorted(keys) == ["edited", "products/cup.png"]


def test_buckets_keep_old_versions(template: Template) -> None:
    """A picture that was overwritten can be restored, and the event names its version."""
    create_stack(template)
    with closing(session().client("s3")) as s3:
        made = [s3.put_object(Bucket="darkroom-inputs", Key="sketch/a.jpg", Body=body) for body in (b"1", b"2")]
        old = s3.get_object(Bucket="darkroom-inputs", Key="sketch/a.jpg", VersionId=made[0]["VersionId"])
        assert old["Body"].read() == b"1"
    told = [event["detail"]["object"]["version-id"] for event in receive("darkroom-uploads")]
    assert told == [answer["VersionId"] for answer in made]
