"""What the HTTP interface answers: the queue's records and fal's refusals."""

import json
from collections.abc import Mapping

from pydantic import JsonValue
from werkzeug.wrappers import Response

from local.fal.faults import InfrastructureFault, infrastructure_body
from local.fal.queueing import Queue
from local.fal.requests import Outcome, Request, State
from local.fal.settings import EmulatorSettings

# fal docs: all headers of a response together are at most 16 KB.
HEADERS_BYTES = 16 * 1024
# Room for what the server itself adds, such as Date and Connection.
SERVER_HEADERS_BYTES = 1024
LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
IN_PROGRESS = "Request is still in progress"


def answer(body: JsonValue, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(json.dumps(body), status, headers, content_type="application/json")


def refuse(fault: InfrastructureFault, status: int, message: str) -> Response:
    """Answer with the flat body of an infrastructure error and its header."""
    return answer(infrastructure_body(fault, message), status, {"X-Fal-Error-Type": fault})


def not_found() -> Response:
    """Answer that there is no such request, or none any more."""
    return answer({"status": "NOT_FOUND"}, 404)


def request_urls(settings: EmulatorSettings, request: Request, host_url: str) -> dict[str, JsonValue]:
    """Give a request's three URLs: owner and app only, on the caller's own Host unless a gateway is played."""
    base = (settings.answer_urls_on or host_url).rstrip("/")
    url = f"{base}/{settings.answer_app or request.address.app}/requests/{request.id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def submitted(settings: EmulatorSettings, queue: Queue, request: Request, host_url: str) -> Response:
    """Answer a submit."""
    body: dict[str, JsonValue] = {
        "request_id": request.id,
        "status": request.state.value,
        "queue_position": queue.position(request) if request.state is State.IN_QUEUE else 0,
        **request_urls(settings, request, host_url),
    }
    if not settings.answer_is_short:
        body |= {"logs": None, "metrics": {}}
    return answer(body, 200, {"x-fal-request-id": request.id})


def status_record(queue: Queue, request: Request, urls: dict[str, JsonValue], *, logs: bool) -> dict[str, JsonValue]:
    """Give the status object of a request."""
    record: dict[str, JsonValue] = {"status": request.state.value, "request_id": request.id, **urls}
    if request.state is State.IN_QUEUE:
        return record | {"queue_position": queue.position(request)}
    record["logs"] = list(request.logs) if logs else None
    outcome = request.outcome
    if request.state is not State.COMPLETED or outcome is None:
        return record
    if outcome.error is not None:
        return record | {"metrics": {}, "error": outcome.error, "error_type": outcome.error_type}
    record["metrics"] = {"inference_time": round((request.completed_at or 0) - (request.started_at or 0), 3)}
    if not outcome.succeeded:
        # A model's own failure shows here as an error without a type.
        record["error"] = f"Invalid status code: {outcome.status}"
    return record


def status_answer(queue: Queue, request: Request, urls: dict[str, JsonValue], *, logs: bool) -> Response:
    """Answer a status poll: 202 until the request is complete."""
    record = status_record(queue, request, urls, logs=logs)
    return answer(record, 200 if request.state is State.COMPLETED else 202, {"x-fal-request-id": request.id})


def result_answer(request: Request) -> Response:
    """Answer a result fetch: the model's own code and body, or the failure's."""
    outcome = request.outcome
    if outcome is None:
        return answer({"detail": IN_PROGRESS}, 400, {"x-fal-request-id": request.id})
    return Response(
        outcome.body_bytes, outcome.status, result_headers(request, outcome), content_type="application/json"
    )


def result_headers(request: Request, outcome: Outcome) -> dict[str, str]:
    """Give fal's headers and then the model's own, as many as fit."""
    headers = {"x-fal-request-id": request.id, "x-fal-billable-units": str(outcome.units)}
    if not outcome.succeeded:
        headers["X-Fal-Retryable"] = "true" if outcome.retryable else "false"
    if outcome.error_type is not None:
        headers["X-Fal-Error-Type"] = outcome.error_type
    if outcome.timeout_type is not None:
        headers["X-Fal-Request-Timeout-Type"] = outcome.timeout_type
    room = HEADERS_BYTES - SERVER_HEADERS_BYTES - sum(_bytes_of(*header) for header in headers.items())
    for name, value in outcome.headers.items():
        room -= _bytes_of(name, value)
        if room < 0:
            break
        headers[name] = value
    return headers


def _bytes_of(name: str, value: str) -> int:
    return len(name) + len(value) + len(": \r\n")
