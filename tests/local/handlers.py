"""Handlers for the containers of these tests."""

import os
import sys
import time
from typing import Any

from local.container import Context

CALLS = 0


def echo(event: Any, context: Context) -> dict[str, Any]:
    """Answer with the event and all that a handler can see."""
    global CALLS  # noqa: PLW0603 - a container keeps its module between events
    CALLS += 1
    print("a handler prints")  # noqa: T201 - so that a test sees where it goes
    seen = {name: os.environ.get(name) for name in event.get("names", [])}
    return {
        "event": event,
        "environment": seen,
        "calls": CALLS,
        "pid": os.getpid(),
        "function": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(),
    }


def fail(event: Any, context: Context) -> None:
    """Raise."""
    del event, context
    raise ValueError("no such thing")


def sleep(event: Any, context: Context) -> int:
    """Take so many seconds, and say in which process."""
    del context
    time.sleep(event["seconds"])
    return os.getpid()


def leave(event: Any, context: Context) -> None:
    """End the process in the middle."""
    del event, context
    sys.stdout.flush()
    os._exit(3)


def answer_with_bytes(event: Any, context: Context) -> bytes:
    """Answer with what is no JSON."""
    del event, context
    return b"no JSON"
