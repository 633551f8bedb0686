"""The recorded events of `events/`, and which of the template's functions each is for."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.resources import Function, Template
from local.settings import ROOT, LocalError

FOLDER = ROOT / "events"
DELIVERY = "delivery"
"""The event that is no file: fal's signature is good for five minutes, so it is made when it is wanted."""


def list_events() -> list[str]:
    """The names of all events."""
    return sorted([DELIVERY, *(file.stem for file in FOLDER.glob("*.json"))])


def read_event(name: str) -> dict[str, Any]:
    """Read a recorded event."""
    event: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return event


def read_event_file(path: Path) -> dict[str, Any]:
    """Read an event of the user's, such as `sam local generate-event` prints.

    Raises:
        LocalError: there is none that could be read.
    """
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise LocalError(f"{path}: no JSON: {error}") from error
    if not isinstance(event, dict):
        raise LocalError(f"{path}: an event is a JSON object")
    return event


def as_delivered(template: Template, event: dict[str, Any], photo: bytes) -> dict[str, Any]:
    """The event as its function gets it: S3's own (`generate-event s3 put`) comes in a message of the upload queue.

    Its made-up ETag and size become those of the photo that is put there.
    """
    records = event.get("Records")
    is_of_s3 = isinstance(records, list) and all(
        isinstance(record, dict) and record.get("eventSource") == "aws:s3" for record in records
    )
    if not records or not is_of_s3:
        return event
    told = {"eTag": hashlib.md5(photo, usedforsecurity=False).hexdigest(), "size": len(photo)}
    event = json.loads(json.dumps(event))
    for record in event["Records"]:
        match record:
            case {"s3": {"object": dict() as described}}:
                described.pop("versionId", None)
                described |= told
    arn = next(source.queue_arn for function in template.functions.values() for source in function.queues)
    message = {
        "messageId": "1",
        "receiptHandle": "1",
        "body": json.dumps(event),
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
    }
    return {"Records": [message]}


def find_function(template: Template, event: Mapping[str, Any]) -> str:
    """The logical id of the function that AWS would start with this event, by what the template says.

    Raises:
        LocalError: there is none.
    """
    for name, function in template.functions.items():
        if _starts(template, name, function, event):
            return name
    raise LocalError(
        f"template.yaml has no function that such an event starts; name one: FUNCTION={', '.join(template.functions)}"
    )


def _starts(template: Template, name: str, function: Function, event: Mapping[str, Any]) -> bool:
    match event:
        case {"Records": [{"eventSourceARN": arn}, *_]}:
            return arn in {source.queue_arn for source in function.queues}
    if event.get("source") == "aws.events":
        rules = {str(resource).rpartition("/")[2] for resource in event.get("resources", [])}
        return bool(rules & {schedule.name for schedule in function.schedules})
    if event.get("type") == "REQUEST":
        routes = [route for other in template.functions.values() for route in other.routes]
        return (event.get("routeKey"), name) in {(route.key, route.authorizer) for route in routes}
    return event.get("routeKey") in {route.key for route in function.routes}
