"""The emulator's own routes: what it holds, how it is set, and its clock."""

from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from werkzeug.wrappers import Request as Call
from werkzeug.wrappers import Response

from local.fal.answers import answer
from local.fal.chaos import ChaosPlan
from local.fal.deliveries import Delivery
from local.fal.requests import Request
from local.fal.scripts import Script

if TYPE_CHECKING:
    from local.fal.emulator import Emulator

Model = TypeVar("Model", bound=BaseModel)
CHANGES: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])
SCRIPTS: TypeAdapter[list[Script]] = TypeAdapter(list[Script])


class Rotation(BaseModel):
    """A new key, and how long the old one still signs."""

    model_config = ConfigDict(extra="forbid")

    old_signs_seconds: float = Field(default=0, ge=0)


class Lock(BaseModel):
    """For how long every submit is refused, and with which status."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0)
    status: Literal[401, 402, 403] = 403


class Advance(BaseModel):
    """How far the clock is put forward."""

    model_config = ConfigDict(extra="forbid")

    advance: float = Field(ge=0)


def respond(emulator: "Emulator", call: Call) -> Response:
    """Answer a call below /emulator."""
    try:
        return _route(emulator, call)
    except ValidationError as error:
        return answer({"detail": error.errors(include_url=False, include_context=False, include_input=False)}, 422)  # type: ignore[dict-item] # pydantic's details are JSON


def _route(emulator: "Emulator", call: Call) -> Response:
    asked = call.path.removeprefix("/emulator").strip("/").split("/")
    return _show(emulator, asked) if call.method == "GET" else _change(emulator, call, asked)


def _show(emulator: "Emulator", asked: list[str]) -> Response:
    match asked:
        case ["health"]:
            return answer({"status": "ok", "now": emulator.clock.now()})
        case ["requests"]:
            return answer({"requests": [describe(one) for one in emulator.queue]})
        case ["requests", request_id]:
            found = emulator.queue.get(request_id)
            return answer({"detail": "no such request"}, 404) if found is None else answer(describe(found))
        case ["settings"]:
            return answer(emulator.settings.model_dump(mode="json"))
        case ["chaos"]:
            return answer(_plan(emulator))
        case ["scripts"]:
            return answer({"scripts": [one.model_dump(mode="json", exclude_defaults=True) for one in emulator.scripts]})
        case _:
            return answer({"detail": "Not Found"}, 404)


def _change(emulator: "Emulator", call: Call, asked: list[str]) -> Response:
    match call.method, asked:
        case "PATCH", ["settings"]:
            emulator.change_settings(CHANGES.validate_python(call.get_json(force=True)))
            return answer(emulator.settings.model_dump(mode="json"))
        case "POST", ["scripts"]:
            given = call.get_json(force=True)
            emulator.add_scripts(*SCRIPTS.validate_python(given if isinstance(given, list) else [given]))
            return answer({"waiting": len(emulator.scripts)})
        case "POST", ["clock"]:
            emulator.advance(_body(call, Advance).advance)
            return answer({"now": emulator.clock.now()})
        case "POST", ["chaos"]:
            emulator.chaos.follow(_body(call, ChaosPlan))
            return answer(_plan(emulator))
        case "POST", ["lock"]:
            lock = _body(call, Lock)
            emulator.lock(lock.seconds, lock.status)
            return answer({"status": lock.status, "ends_at": emulator.clock.now() + lock.seconds})
        case "POST", ["keys", "rotate"]:
            emulator.keys.rotate(_body(call, Rotation).old_signs_seconds)
            return answer(emulator.keys.document())
        case "POST", ["reset"]:
            emulator.reset()
            return answer({"status": "ok"})
        case _:
            return answer({"detail": "Not Found"}, 404)


def _body(call: Call, model: type[Model]) -> Model:
    """Read the body as the model, and none as an empty object."""
    return model.model_validate(call.get_json(force=True) if call.get_data() else {})


def _plan(emulator: "Emulator") -> dict[str, JsonValue]:
    return emulator.chaos.plan.model_dump(mode="json", exclude_defaults=True)


def describe(request: Request) -> dict[str, JsonValue]:
    """Tell all about a request."""
    outcome = request.outcome
    return {
        "request_id": request.id,
        "gateway_request_id": request.gateway_id,
        "endpoint": request.address.endpoint,
        "arguments": request.arguments,
        "status": request.state.value,
        "attempts": request.attempts,
        "submitted_at": request.submitted_at,
        "started_at": request.started_at,
        "completed_at": request.completed_at,
        "expires_at": None if outcome is None else request.expires_at(),
        "in_history": request.in_history,
        "cancel_asked": request.cancel_asked,
        "lifecycle": request.lifecycle,
        "result_status": None if outcome is None else outcome.status,
        "result": None if outcome is None else outcome.body,
        "billed_units": 0 if outcome is None else outcome.units,
        "webhook_url": request.webhook_url,
        "script": request.script.model_dump(mode="json", exclude_defaults=True),
        "deliveries": [_describe_delivery(one) for one in request.deliveries],
    }


def _describe_delivery(delivery: Delivery) -> JsonValue:
    return {
        "state": delivery.state,
        "url": delivery.url,
        "body": delivery.body.decode(),
        "attempts": [
            {"at": one.at, "timeout": one.timeout, "status": one.status, "error": one.error}
            for one in delivery.attempts
        ],
    }
