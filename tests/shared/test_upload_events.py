"""S3's notices in each form, with each form's own encoding of keys."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from shared.jobs import Upload
from shared.upload_events import MalformedEventError, read_uploads

KEYS = ["products/shoe.jpg", "a b.png", "a+b.png", "%2B%20%%%.png", "ü/日本.jpg", "a%2Fb.jpg", "q?x=1&y#z.jpg"]


def eventbridge(key: str, **item: Any) -> dict[str, Any]:
    """An EventBridge event: the key stands as it is."""
    given = {"key": key, "size": 5, "etag": "e1", "sequencer": "01", **item}
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": "in"},
            "object": {name: value for name, value in given.items() if value is not None},
        },
    }


def classic(key: str, name: str = "ObjectCreated:Put", **item: Any) -> dict[str, Any]:
    """A classic notification: the key is form-encoded."""
    given = {"key": quote_plus(key), "size": 5, "eTag": "e1", "sequencer": "01", **item}
    return {
        "Records": [{"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": "in"}, "object": given}}]
    }


def sns(event: dict[str, Any]) -> dict[str, Any]:
    """The same through a topic."""
    return {"Type": "Notification", "Message": json.dumps(event)}


@pytest.mark.parametrize("key", KEYS)
def test_each_source_s_encoding_gives_the_same_upload(key: str) -> None:
    """EventBridge's raw key and the classic form-encoded one mean the same object."""
    expected = [Upload(bucket="in", key=key, version="01:e1", etag="e1", size=5)]
    assert expected == read_uploads(json.dumps(eventbridge(key)))
    assert expected == read_uploads(json.dumps(classic(key)))
    assert expected == read_uploads(json.dumps(sns(classic(key))))


@pytest.mark.parametrize(
    "event",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in"},
        sns({"Event": "s3:TestEvent"}),
        classic("a.jpg", "ObjectRemoved:Delete"),
        {**eventbridge("a.jpg"), "detail-type": "Object Deleted"},
        {"Records": []},
    ],
)
def test_what_creates_nothing_is_nothing(event: dict[str, Any]) -> None:
    """Test events and deletions name no upload."""
    assert read_uploads(json.dumps(event)) == []


def test_several_records_are_several_uploads() -> None:
    """A classic notification may tell of more than one object, by any way of writing one."""
    both = {
        "Records": classic("a.jpg")["Records"] + classic("b.jpg", "s3:ObjectCreated:CompleteMultipartUpload")["Records"]
    }
    assert [upload.key for upload in read_uploads(json.dumps(both))] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "[]", "7", "null", "{}", '{"Records": [{}]}', '{"source": "aws.s3"}', '{"Type": "Notification"}'],
)
def test_anything_else_is_malformed(body: str) -> None:
    """A message of no known form is an error of its own, so that it alone comes again and ends in the dead letters."""
    with pytest.raises(MalformedEventError):
        read_uploads(body)


@pytest.mark.parametrize(
    ("item", "version"),
    [
        ({"version-id": "v7"}, "v7"),
        ({"version-id": "null"}, "01:e1"),
        ({"sequencer": None}, ":e1"),
        ({"etag": '"e2"'}, "01:e2"),
    ],
)
def test_a_version_tells_apart_what_stood_under_a_key(item: dict[str, Any], version: str) -> None:
    """The version id where there is one, else sequencer and ETag."""
    assert read_uploads(json.dumps(eventbridge("a.jpg", **item)))[0].version == version


def test_a_job_id_depends_on_object_version_and_preset() -> None:
    """The same event gives the same id, and anything else another one."""
    upload = Upload(bucket="in", key="a.jpg", version="1")
    others = [
        upload.model_copy(update={"bucket": "other"}),
        upload.model_copy(update={"key": "b.jpg"}),
        upload.model_copy(update={"version": "2"}),
    ]
    ids = {upload.job_id("p"), upload.job_id("q"), *(other.job_id("p") for other in others)}
    assert len(ids) == 5
    assert upload.job_id("p") == upload.model_copy(update={"size": 9}).job_id("p")
