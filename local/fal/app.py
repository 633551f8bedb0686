"""The HTTP interface: fal's queue, its files and keys, and the emulator's own routes."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request as Call
from werkzeug.wrappers import Response

from local.fal import access, control, submits, uploads
from local.fal.addresses import Address, parse_address
from local.fal.answers import answer, not_found, request_urls, result_answer, status_answer, status_record
from local.fal.breakage import broken_answer
from local.fal.requests import Request, State
from local.fal.targets import RUN, aim

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local.fal.emulator import Emulator

JWKS_PATH = "/.well-known/jwks.json"
METHODS = "GET, HEAD, OPTIONS, PATCH, POST, PUT"
OVERSIZED_BYTES = 5 * 1024 * 1024


def respond(emulator: "Emulator", call: Call) -> Response:
    """Answer one call."""
    try:
        return _route(emulator, aim(call))
    except HTTPException as error:
        return answer({"detail": error.description}, error.code or 500)


def _route(emulator: "Emulator", call: Call) -> Response:
    path = call.path
    if call.method == "OPTIONS":
        # Asked before anybody says who they are.
        return Response(status=204, headers={"Allow": METHODS})
    if path == "/emulator" or path.startswith("/emulator/"):
        return control.respond(emulator, call)
    if path == JWKS_PATH:
        return _jwks(emulator)
    if path.startswith(("/files/", "/storage/")):
        return uploads.respond(emulator, call)
    address = parse_address(path.removeprefix(f"{RUN}/"))
    if address is None:
        return answer({"detail": "Not Found"}, 404)
    refusal = access.refusal(emulator.settings, call)
    if refusal is not None:
        return answer({"detail": refusal}, 401)
    if path.startswith(f"{RUN}/"):
        return _run(emulator, call, address) if call.method == "POST" else _wrong_method()
    if address.request_id is None:
        return submits.submit(emulator, call, address) if call.method == "POST" else _wrong_method()
    request = emulator.queue.find(address.request_id)
    if request is None or not _belongs(emulator, request, address):
        return not_found()
    return _of_request(emulator, call, request, address.asked)


def _of_request(emulator: "Emulator", call: Call, request: Request, asked: str) -> Response:
    if asked == "cancel":
        return _cancel(emulator, request) if call.method == "PUT" else _wrong_method()
    if call.method != "GET":
        return _wrong_method()
    logs = call.args.get("logs", "0").lower() in {"1", "true"}
    urls = request_urls(emulator.settings, request, call.host_url)
    if asked == "status":
        fault = request.script.status_calls or emulator.settings.status_calls
        if fault is not None:
            request.status_calls += 1
            if fault.first is None or request.status_calls <= fault.first:
                return broken_answer(fault.answer)
        return status_answer(emulator.queue, request, urls, logs=logs)
    if asked == "status/stream":
        return Response(_events(emulator, request, urls, logs=logs), content_type="text/event-stream")
    if asked in {"", "response"}:
        fault = request.script.result_calls or emulator.settings.result_calls
        if fault is not None:
            request.result_calls += 1
            if fault.first is None or request.result_calls <= fault.first:
                return broken_answer(fault.answer)
        return result_answer(request)
    return not_found()


def _run(emulator: "Emulator", call: Call, address: Address) -> Response:
    """Submit a request, and answer with its result once it is there, as `fal.run` does.

    With a clock that stands still, asking is what lets time pass.
    """
    submitted = submits.submit(emulator, call, address)
    request = emulator.queue.get(submitted.headers.get("x-fal-request-id", ""))
    if request is None:
        return submitted
    while request.state is not State.COMPLETED:
        if not emulator.schedule.wait_for_next():
            return answer({"detail": "Gateway Timeout"}, 504)
    return result_answer(request)


def _belongs(emulator: "Emulator", request: Request, address: Address) -> bool:
    return address.app in {request.address.app, emulator.settings.answer_app}


def _wrong_method() -> Response:
    return answer({"detail": "Method Not Allowed"}, 405)


def _cancel(emulator: "Emulator", request: Request) -> Response:
    verdict = emulator.queue.cancel(request)
    if verdict == "ALREADY_COMPLETED":
        return answer({"status": verdict}, 400)
    return answer({"status": emulator.settings.cancel_word}, emulator.settings.cancel_status)


def _events(emulator: "Emulator", request: Request, urls: "dict[str, JsonValue]", *, logs: bool) -> Iterator[bytes]:
    """Give a server-sent event for each change until the request is complete.

    With a clock that stands still, reading on is what lets time pass.
    """
    last = None
    while True:
        record = status_record(emulator.queue, request, urls, logs=logs)
        if record != last:
            yield f"data: {json.dumps(record)}\n\n".encode()
            last = record
        if request.state is State.COMPLETED or not emulator.schedule.wait_for_next():
            return


def _jwks(emulator: "Emulator") -> Response:
    mode = emulator.settings.jwks
    if mode == "down":
        return Response("upstream unavailable", 503, content_type="text/plain")
    if mode == "slow":
        emulator.clock.sleep(emulator.settings.jwks_slow_seconds)
    document = emulator.keys.document()
    if mode == "empty":
        document = {"keys": []}
    if mode == "oversized":
        document["padding"] = "x" * OVERSIZED_BYTES
    return answer(document, 200, {"Cache-Control": "public, max-age=86400"})
