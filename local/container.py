"""What runs inside one container: import a handler, then answer events from standard input until it ends.

A line of JSON comes in for each event and one goes out for each answer. Whatever the handler prints goes to standard
error, which is the log.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

Handler = Callable[[Any, "Context"], Any]


@dataclass(frozen=True)
class Context:
    """What Lambda tells a handler about the invocation."""

    aws_request_id: str
    deadline: float
    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    log_group_name: str
    log_stream_name: str
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """How long the handler may still run."""
        return max(0, int((self.deadline - time.time()) * 1000))


def load(path: str) -> Handler:
    """Import `package.module.function`."""
    module, _, function = path.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module), function)
    return handler


def describe(error: BaseException) -> dict[str, Any]:
    """An exception in the form in which Lambda reports it."""
    return {
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def run(handler: Handler, call: dict[str, Any]) -> str:
    """Answer one event: a line of JSON with a result or an error."""
    context = Context(**call["context"])
    began = time.monotonic()
    try:
        answer = json.dumps({"result": handler(call["event"], context)})
    except Exception as error:  # noqa: BLE001 - Lambda reports whatever the handler raises, and takes the next event
        traceback.print_exc()
        answer = json.dumps({"error": describe(error)})
    milliseconds = (time.monotonic() - began) * 1000
    print(
        f"REPORT {context.function_name} RequestId: {context.aws_request_id} Duration: {milliseconds:.1f} ms",
        flush=True,
    )
    return answer


def serve(path: str, events: IO[bytes], answers: IO[bytes]) -> None:
    """Say whether the handler could be imported, then answer event after event."""

    def say(line: str) -> None:
        answers.write(line.encode() + b"\n")
        answers.flush()

    try:
        handler = load(path)
    except Exception as error:  # noqa: BLE001 - a handler's module may raise anything while it is imported
        traceback.print_exc()
        say(json.dumps({"error": describe(error)}))
        return
    say(json.dumps({"result": "ready"}))
    for line in events:
        say(run(handler, json.loads(line)))


def main() -> None:
    """Run `python -m local.container package.module.function`."""
    # Ctrl-C ends the stack, which ends its containers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.argv[1], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
