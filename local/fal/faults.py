"""fal's error bodies: a list of details from a model, one text from the infrastructure."""

from typing import Literal

from pydantic import JsonValue

InfrastructureFault = Literal[
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_disconnected",
    "runner_connection_refused",
    "runner_connection_error",
    "runner_incomplete_response",
    "runner_server_error",
    "client_disconnected",
    "client_cancelled",
    "bad_request",
    "internal_error",
]

INFRASTRUCTURE: dict[InfrastructureFault, tuple[int, str]] = {
    "request_timeout": (504, "Request timed out"),
    "startup_timeout": (504, "Runner startup timed out"),
    "runner_scheduling_failure": (503, "Failed to schedule a runner"),
    "runner_connection_timeout": (503, "Connection to the runner timed out"),
    "runner_disconnected": (503, "Runner disconnected"),
    "runner_connection_refused": (503, "Runner refused the connection"),
    "runner_connection_error": (503, "Connection to the runner failed"),
    "runner_incomplete_response": (502, "Runner sent an incomplete response"),
    "runner_server_error": (500, "Runner failed"),
    "client_disconnected": (499, "Client disconnected"),
    "client_cancelled": (499, "Request was cancelled by the client"),
    "bad_request": (400, "Bad request"),
    "internal_error": (500, "Internal server error"),
}
# fal docs: retries. A queued request is run again after these, and after nothing else.
RERUN_STATUSES = frozenset({503, 504})

Detail = dict[str, JsonValue]


class ModelError(Exception):
    """The model refuses the request: an HTTP status and the list of what is wrong."""

    def __init__(self, details: list[Detail], status: int = 422, *, retryable: bool = False) -> None:
        super().__init__(f"{status}: {details}")
        self.details = details
        self.status = status
        self.retryable = retryable


def make_detail(
    kind: str,
    message: str,
    *,
    loc: tuple[str | int, ...] = ("body",),
    given: JsonValue = None,
    context: dict[str, JsonValue] | None = None,
) -> Detail:
    """Make one detail of a model's error."""
    entry: Detail = {
        "loc": list(loc),
        "msg": message,
        "type": kind,
        "url": f"https://docs.fal.ai/errors/#{kind}",
        "input": given,
    }
    if context is not None:
        entry["ctx"] = context
    return entry


def infrastructure_body(fault: InfrastructureFault, message: str | None = None) -> dict[str, JsonValue]:
    """Make the flat body of an infrastructure error."""
    return {"detail": message or INFRASTRUCTURE[fault][1], "error_type": fault}
