"""The same calls on the stand-ins and on moto, one by one: versions of objects, links to them, rows near the limit."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from shared.rows import row_bytes
from tests.simulation.stand_in_buckets import Buckets, linked
from tests.simulation.stand_in_errors import MOST_ITEM_BYTES, check_size, value_bytes
from tests.simulation.stand_ins import Table

BUCKET, TABLE = "inputs", "jobs"
ROOMY, TIGHT = 300_000, 404_000
"""Bytes of text in a row that fits and may not grow by as much again, and in one that just fits, here and in moto."""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Clients of moto, with a bucket and a table."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():

        def client(service: str) -> Any:
            make: Any = boto3.client
            return make(service, region_name="us-east-1")

        client("s3").create_bucket(Bucket=BUCKET)
        client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def answered(call: Callable[..., Any], **parameters: Any) -> Any:
    """What a call comes to: an error's code, or of its answer what the code under test reads."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    body = answer["Body"].read() if "Body" in answer else None
    return {name: answer.get(name) for name in ("ETag", "ContentRange", "ContentLength", "Metadata")} | {"body": body}


@pytest.mark.parametrize("is_versioned", [True, False])
def test_versions_read_alike(is_versioned: bool, aws: Callable[[str], Any]) -> None:
    """Each version gives its own bytes and ETag, the newest stands for the key, and an empty one has no first bytes."""
    moto, memory = aws("s3"), Buckets(BUCKET)
    if is_versioned:
        moto.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        memory.versioned.add(BUCKET)
    read: list[list[Any]] = []
    for s3 in (moto, memory):
        puts = [s3.put_object(Bucket=BUCKET, Key="a", Body=body, Metadata={"m": "1"}) for body in (b"one", b"", b"two")]
        versions = [put.get("VersionId") for put in puts]
        assert [version is not None for version in versions] == [is_versioned] * 3
        chosen = [{"VersionId": version} if version else {} for version in versions]
        reads = [{**which, **part} for which in (*chosen, {}) for part in ({}, {"Range": "bytes=0-1"})]
        answers = [answered(s3.get_object, Bucket=BUCKET, Key="a", **parameters) for parameters in reads]
        read.append([[put["ETag"] for put in puts], answers, answered(s3.get_object, Bucket=BUCKET, Key="none")])
    assert read[0] == read[1]


def test_links_name_alike(aws: Callable[[str], Any]) -> None:
    """A link of boto3's leads to the same version of the same object as one of the stand-in."""
    wanted = {"Bucket": BUCKET, "Key": "a b/\u00e9+%.jpg", "VersionId": "version-7"}
    for parameters in (wanted, {name: wanted[name] for name in ("Bucket", "Key")}):
        for s3 in (aws("s3"), Buckets(BUCKET)):
            link = s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=60)
            assert linked(link) == parameters
            assert "VersionId" not in parameters or ("versionId", "version-7") in parse_qsl(urlsplit(link).query)


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac", "\U0001f5bc", "\x7f"])
def test_sizes_are_refused_alike(character: str, aws: Callable[[str], Any]) -> None:
    """Text counts its UTF-8 bytes, whatever its characters; what is too large is refused in the same words."""
    text = [character * (size // len(character.encode())) for size in (ROOMY, TIGHT, MOST_ITEM_BYTES)]
    said: list[list[Any]] = []
    for table in (aws("dynamodb"), Table(TABLE)):
        calls = [(put, text[0]), (grow, text[0]), (put, text[1]), (put, text[2])]
        refusals = [refused(write, table, content) for write, content in calls]
        kept = table.get_item(TableName=TABLE, Key={"job_id": {"S": "a"}})["Item"]
        said.append([refusals, hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()])
    assert said[0] == said[1]
    assert [refusal is None for refusal in said[0][0]] == [True, False, True, False]


def refused(write: Callable[[Any, str], None], table: Any, text: str) -> tuple[str, str] | None:
    """The code and the words of a refused write."""
    try:
        write(table, text)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return None


def put(table: Any, text: str) -> None:
    """Write a row with this text."""
    table.put_item(TableName=TABLE, Item={"job_id": {"S": "a"}, "text": {"S": text}})


def grow(table: Any, text: str) -> None:
    """Put this text beside what the row has."""
    table.update_item(
        TableName=TABLE,
        Key={"job_id": {"S": "a"}},
        UpdateExpression="SET more = :more",
        ExpressionAttributeValues={":more": {"S": text}},
    )


def test_the_limit_is_exact() -> None:
    """A row of as many bytes as DynamoDB takes is taken, one more is not, names counting as well."""
    item = {"job_id": {"S": "a"}, "text": {"S": "x" * (MOST_ITEM_BYTES - len("job_idatext"))}}
    check_size("PutItem", item)
    with pytest.raises(ClientError, match="maximum allowed size"):
        check_size("PutItem", item | {"t": {"S": ""}})


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "\u20ac"}, 3),
        ({"N": "1700000000"}, 6),
        ({"N": "-1.5"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"M": {"url": {"S": "abc"}}}, 3 + 1 + 3 + 3),
        ({"L": [{"S": "abc"}, {"N": "7"}]}, 3 + 1 + 3 + 1 + 2),
    ],
)
def test_what_values_count(value: dict[str, Any], size: int) -> None:
    """Each kind of value counts as DynamoDB's documents say, and the code under test never reckons with less."""
    assert value_bytes(value) == size
    assert row_bytes({"n": value}) >= 1 + size
