"""S3's notices to EventBridge as S3 sends them, in place of moto's.

moto calls the ETag `eTag`, sends the same sequencer for ever, and tells of a multipart upload twice: a file uploaded
again under its key would look like the same event, and a large one like two uploads.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends
from moto.s3 import notifications

CREATED = "s3:ObjectCreated:"
REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}


def install() -> None:
    """Have moto in this process send its S3 notices in the true form."""
    notifications._send_event_bridge_message = _send  # noqa: SLF001 - moto offers no seam for it


def _send(account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
    name = str(getattr(event_name, "value", event_name))
    is_part_of_multipart = name == f"{CREATED}Put" and key.multipart is not None
    if not name.startswith(CREATED) or is_part_of_multipart:
        return
    event: Any = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": account_id,
        # moto writes it out as text on the event's way to a queue.
        "time": datetime.now(UTC).timestamp(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": _describe(bucket, key),
            "request-id": uuid.uuid4().hex[:16].upper(),
            "requester": account_id,
            "source-ip-address": "127.0.0.1",
            "reason": REASONS[name.removeprefix(CREATED)],
        },
    }
    for event_bus in events_backends[account_id][bucket.region_name].event_buses.values():
        for rule in event_bus.rules.values():
            rule.send_to_targets(event, transform_input=False)


def _describe(bucket: Any, key: Any) -> dict[str, Any]:
    described = {
        "key": key.name,
        "size": key.size,
        "etag": key.etag.strip('"'),
        # Grows with each write of a key, as S3's does, and is the same in two notices of one write.
        "sequencer": f"{int(key.last_modified.timestamp() * 1_000_000):016X}",
    }
    return described | ({"version-id": key.version_id} if bucket.is_versioned else {})
