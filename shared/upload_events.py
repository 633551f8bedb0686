"""The notices of S3 that an object was created, in each form in which they reach a queue.

EventBridge gives keys raw; classic notifications, straight or through SNS, give them form-encoded (S3 docs: event
message structure).
"""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from shared.errors import DarkroomError
from shared.jobs import Upload

MALFORMED = (KeyError, TypeError, AttributeError, ValueError, RecursionError)
"""What reading a message of another form may raise."""


class MalformedEventError(DarkroomError):
    """The message, or a part of it, has none of the forms that S3 sends; `uploads` are those of its other parts."""

    def __init__(self, message: str, uploads: Iterable[Upload] = ()) -> None:
        super().__init__(message)
        self.uploads = list(uploads)


def read_uploads(body: str) -> list[Upload]:
    """The uploads that a queue message tells of: none for a test event or an event that is no creation.

    Raises:
        MalformedEventError: the message, or one of its records, is not an S3 event in any known form.
    """
    try:
        event = json.loads(body)
        if isinstance(event, dict) and event.get("Type") == "Notification":
            event = json.loads(event["Message"])
        if event.get("Event") == "s3:TestEvent":
            return []
        if event.get("source") == "aws.s3":
            return [_from_eventbridge(event["detail"])] if event["detail-type"] == "Object Created" else []
        return _read_records(list(event["Records"]))
    except MALFORMED as error:
        raise MalformedEventError(f"not an S3 event: {type(error).__name__}") from error


def _read_records(records: list[Any]) -> list[Upload]:
    uploads, faults = [], []
    for number, record in enumerate(records, start=1):
        try:
            name = record["eventName"].removeprefix("s3:")
            if record["eventSource"] == "aws:s3" and name.startswith("ObjectCreated"):
                uploads.append(_from_classic(record["s3"]))
        except MALFORMED as error:
            faults.append(f"record {number} of {len(records)} is no S3 record: {type(error).__name__}")
    if faults:
        raise MalformedEventError("; ".join(faults), uploads)
    return uploads


def _from_eventbridge(detail: dict[str, Any]) -> Upload:
    item = detail["object"]
    return _make_upload(detail["bucket"]["name"], item["key"], item, item.get("version-id"), item.get("etag"))


def _from_classic(record: dict[str, Any]) -> Upload:
    item = record["object"]
    key = unquote_plus(item["key"])
    return _make_upload(record["bucket"]["name"], key, item, item.get("versionId"), item.get("eTag"))


def _make_upload(bucket: str, key: str, item: dict[str, Any], version_id: str | None, etag: str | None) -> Upload:
    etag = (etag or "").strip('"')
    # A bucket without versioning says "null" or nothing. The sequencer then differs between two writes of one key and
    # is the same in every copy of one event; the ETag helps where a store always sends one sequencer.
    has_version = version_id and version_id != "null"
    version = version_id if has_version else f"{item.get('sequencer') or ''}:{etag}"
    return Upload.model_validate(
        {"bucket": bucket, "key": key, "version": version, "etag": etag or None, "size": item.get("size")}
    )
