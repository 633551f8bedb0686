"""The notices of S3 that an object was created, in each form in which they reach a queue.

EventBridge gives keys raw; classic notifications, straight or through SNS, give them form-encoded (S3 docs: event
message structure).
"""

import json
from typing import Any
from urllib.parse import unquote_plus

from shared.jobs import Upload


class MalformedEventError(ValueError):
    """The message is none of the forms that S3 sends."""


def read_uploads(body: str) -> list[Upload]:
    """The uploads that a queue message tells of: none for a test event or an event that is no creation.

    Raises:
        MalformedEventError: the message is not an S3 event in any known form.
    """
    try:
        event = json.loads(body)
        if isinstance(event, dict) and event.get("Type") == "Notification":
            event = json.loads(event["Message"])
        return _read_event(event)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedEventError(f"not an S3 event: {type(error).__name__}") from error


def _read_event(event: dict[str, Any]) -> list[Upload]:
    if event.get("Event") == "s3:TestEvent":
        return []
    if event.get("source") == "aws.s3":
        return [_from_eventbridge(event["detail"])] if event["detail-type"] == "Object Created" else []
    return [
        _from_classic(record["s3"])
        for record in event["Records"]
        if record["eventSource"] == "aws:s3" and record["eventName"].removeprefix("s3:").startswith("ObjectCreated")
    ]


def _from_eventbridge(detail: dict[str, Any]) -> Upload:
    item = detail["object"]
    version = _version(item.get("version-id"), item.get("sequencer"), item.get("etag"))
    return Upload(bucket=detail["bucket"]["name"], key=item["key"], version=version, size=item.get("size"))


def _from_classic(record: dict[str, Any]) -> Upload:
    item = record["object"]
    version = _version(item.get("versionId"), item.get("sequencer"), item.get("eTag"))
    return Upload(
        bucket=record["bucket"]["name"], key=unquote_plus(item["key"]), version=version, size=item.get("size")
    )


def _version(version_id: str | None, sequencer: str | None, etag: str | None) -> str:
    # A bucket without versioning says "null" or nothing. The sequencer then differs between two writes of one key and
    # is the same in every copy of one event; the ETag helps where a store always sends one sequencer.
    if version_id and version_id != "null":
        return version_id
    return f"{sequencer or ''}:{(etag or '').strip(chr(34))}"
