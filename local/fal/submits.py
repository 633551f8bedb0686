"""Submitting: everything that is judged before a request is in the queue, which is not its arguments."""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request as Call
from werkzeug.wrappers import Response

from local.fal.addresses import Address
from local.fal.answers import answer, refuse, submitted
from local.fal.breakage import broken_answer, refuse_with
from local.fal.requests import Request
from local.fal.runner import parse_lifecycle
from local.fal.switches import SubmitFault

if TYPE_CHECKING:
    from local.fal.emulator import Emulator

# fal docs: headers. The deadline for the start must be longer than this.
LEAST_START_TIMEOUT = 0.1
YES = frozenset({"1", "true", "yes"})


def submit(emulator: "Emulator", call: Call, address: Address) -> Response:
    """Answer a submit; nothing in the body can make it fail."""
    settings = emulator.settings
    refusal = emulator.account_refusal()
    if refusal is not None:
        return refuse_with(refusal)
    if not any(fnmatchcase(address.endpoint, pattern) for pattern in settings.endpoints):
        return answer({"detail": f"Application '{address.endpoint}' not found"}, 404)
    try:
        start_timeout = _start_timeout(call)
        longest = call.args.get("fal_max_queue_length")
        too_long = longest is not None and emulator.queue.length(address.endpoint) > int(longest)
    except ValueError as error:
        return refuse("bad_request", 400, str(error))
    if too_long:
        return answer({"detail": f"Queue is longer than {longest} requests"}, 429)
    script = emulator.take_script()
    fault = script.submit
    if fault is not None and not fault.accepts:
        # Nothing is read of the body, which is how a listener can hang up before it.
        return _faulty_answer(emulator, fault)
    now = emulator.clock.now()
    no_retry = call.headers.get("X-Fal-No-Retry", "").lower() in YES
    request = Request(
        id=emulator.queue.make_id(),
        address=address,
        body=call.get_data(),
        order=emulator.queue.next_order(),
        submitted_at=now,
        script=script,
        webhook_url=call.args.get("fal_webhook"),
        low_priority=call.headers.get("X-Fal-Queue-Priority") == "low",
        attempts_allowed=1 if no_retry else settings.attempts,
        store_io=settings.store_io and call.headers.get("X-Fal-Store-IO") != "0",
        start_deadline=None if start_timeout is None else now + start_timeout,
        lifecycle=parse_lifecycle(call.headers.get("X-Fal-Object-Lifecycle-Preference")),
    )
    emulator.queue.accept(request)
    answered = submitted(settings, emulator.queue, request, call.host_url)
    if script.deliveries.at_submit:
        emulator.queue.complete(request)
    return answered if fault is None else _faulty_answer(emulator, fault, answered)


def _faulty_answer(emulator: "Emulator", fault: SubmitFault, true_answer: Response | None = None) -> Response:
    """Let the caller wait, and give the answer that the fault asks for, or else the true one."""
    if fault.seconds:
        emulator.schedule.wait(fault.seconds)
    if fault.answer is None and true_answer is not None:
        return true_answer
    return broken_answer(fault.answer or 500, fault.retry_after)


def _start_timeout(call: Call) -> float | None:
    """Read the deadline for the start; the new header wins over the deprecated one, which fal's client sends."""
    for name in ("X-Fal-Request-Start-Timeout", "X-Fal-Request-Timeout"):
        given = call.headers.get(name)
        if given is None:
            continue
        try:
            seconds = float(given)
        except ValueError:
            seconds = 0.0
        if not LEAST_START_TIMEOUT < seconds < float("inf"):
            raise ValueError(f"{name} must be a number of seconds greater than {LEAST_START_TIMEOUT}")
        return seconds
    return None
