"""What is recorded is what was asked, and nothing is passed over."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.iam.needs import Need, needs_of
from tests.iam.recording import Recorder

HANDLER = "functions.callback.handler"
BUCKET = "arn:aws:s3:::darkroom-outputs"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A recorder, and a bucket with one object."""
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="darkroom-outputs")
        s3.put_object(Bucket="darkroom-outputs", Key="there.jpg", Body=b"")
        yield Recorder()


def test_calls_and_links_are_recorded(recorder: Recorder) -> None:
    """A link needs what its reader will do, and who made it is the function whose client it was."""
    s3 = recorder.noting(HANDLER, "s3")
    s3.get_object(Bucket="darkroom-outputs", Key="there.jpg")
    s3.generate_presigned_url("get_object", Params={"Bucket": "darkroom-outputs", "Key": "linked.jpg"})
    found = {Need("s3:GetObject", f"{BUCKET}/there.jpg"), Need("s3:GetObject", f"{BUCKET}/linked.jpg")}
    assert recorder.needs() == {HANDLER: found}


def test_a_missing_object_needs_the_list(recorder: Recorder) -> None:
    """Who is to be told that an object is missing must be allowed to list its bucket."""
    with pytest.raises(ClientError, match="NoSuchKey"):
        recorder.noting(HANDLER, "s3").get_object(Bucket="darkroom-outputs", Key="none.jpg")
    assert recorder.needs() == {HANDLER: {Need("s3:GetObject", f"{BUCKET}/none.jpg"), Need("s3:ListBucket", BUCKET)}}


def test_a_call_that_is_not_known_cannot_be_caught(recorder: Recorder) -> None:
    """A function that passes over every error does not pass over what the recorder does not know."""
    recorder.noting(HANDLER, "s3").list_objects_v2(Bucket="darkroom-outputs")
    with pytest.raises(KeyError, match="s3:ListObjectsV2"):
        recorder.needs()


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "DeleteItem", {"TableName": "jobs"}),
        ("s3", "GetObject", {"Bucket": "b", "Key": "k", "PartNumber": "1"}),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "Tagging": "a=b"}),
        ("sns", "Publish", {}),
    ],
)
def test_a_call_that_is_not_known_is_an_error(service: str, operation: str, parameters: dict[str, str]) -> None:
    """A call, or a parameter, of which nobody has looked up what it needs is named."""
    with pytest.raises(KeyError, match=f"{service}:{operation}"):
        needs_of(service, operation, parameters)


def test_an_index_is_a_resource_of_its_own() -> None:
    """A query of an index needs the index and not the table; several tables of one read are needed each."""
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/"
    query = needs_of("dynamodb", "Query", {"TableName": "jobs", "IndexName": "due"})
    assert query == {Need("dynamodb:Query", f"{table}jobs/index/due")}
    both = needs_of("dynamodb", "BatchGetItem", {"RequestItems": {"a": {}, "b": {}}})
    assert both == {Need("dynamodb:BatchGetItem", f"{table}a"), Need("dynamodb:BatchGetItem", f"{table}b")}
