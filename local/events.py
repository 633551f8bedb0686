"""The recorded events of `events/`, and which of the template's functions each is for."""

import json
from collections.abc import Mapping
from typing import Any

from local.resources import Function, Route, Template
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


def find_function(template: Template, event: Mapping[str, Any]) -> str:
    """The logical id of the function that AWS would start with this event, by what the template says.

    Raises:
        LocalError: there is none.
    """
    for name, function in template.functions.items():
        if _starts(template, name, function, event):
            return name
    raise LocalError("template.yaml has no function that such an event starts")


def _starts(template: Template, name: str, function: Function, event: Mapping[str, Any]) -> bool:
    if "Records" in event:
        return event["Records"][0]["eventSourceARN"] in {source.queue_arn for source in function.queues}
    if event.get("source") == "aws.events":
        rules = {resource.rpartition("/")[2] for resource in event["resources"]}
        return bool(rules & {schedule.name for schedule in function.schedules})
    if event.get("type") == "REQUEST":
        routes = [route for other in template.functions.values() for route in other.routes]
        return (event["routeKey"], name) in {(_key(route), route.authorizer) for route in routes}
    return event.get("routeKey") in {_key(route) for route in function.routes}


def _key(route: Route) -> str:
    return f"{route.method} {route.path}"
