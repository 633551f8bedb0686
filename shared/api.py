"""The HTTP API's manner: a resolver whose errors are problem+json (RFC 9457) that name the field."""

import base64
import difflib
import json
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from shared.credentials import TOKENS_UNREAD
from shared.errors import (
    AwsUnavailableError,
    InvalidSubmissionError,
    JobNotFoundError,
    KeyReusedError,
    TooManyOpenJobsError,
    UnauthenticatedError,
)


class Problem(StrEnum):
    """The kinds of problems, which clients may tell apart by `type`: none is ever renamed."""

    UNAUTHENTICATED = "unauthenticated"
    INVALID_SUBMISSION = "invalid-submission"
    KEY_REUSED = "key-reused"
    JOB_NOT_FOUND = "job-not-found"
    ROUTE_NOT_FOUND = "route-not-found"
    TOO_MANY_OPEN_JOBS = "too-many-open-jobs"
    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"


STATUS = {
    Problem.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Problem.INVALID_SUBMISSION: HTTPStatus.UNPROCESSABLE_ENTITY,
    Problem.KEY_REUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Problem.JOB_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Problem.ROUTE_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Problem.TOO_MANY_OPEN_JOBS: HTTPStatus.TOO_MANY_REQUESTS,
    Problem.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Problem.MISCONFIGURED: HTTPStatus.INTERNAL_SERVER_ERROR,
}
ANSWERED = [
    UnauthenticatedError,
    InvalidSubmissionError,
    JobNotFoundError,
    NotFoundError,
    TooManyOpenJobsError,
    AwsUnavailableError,
]


def make_resolver() -> APIGatewayHttpResolver:
    """A resolver that answers Darkroom's errors as problems."""
    resolver = APIGatewayHttpResolver()
    resolver.exception_handler(ANSWERED)(lambda error: _answer_error(resolver.current_event, error))
    return resolver


def _answer_error(event: APIGatewayProxyEventV2, error: Exception) -> Response[Any]:
    match error:
        case UnauthenticatedError():
            # RFC 6750: what was wrong is said to those who tried.
            fault = ', error="invalid_token"' if error.has_token else ""
            answered = problem(event, Problem.UNAUTHENTICATED, str(error))
            answered.headers["WWW-Authenticate"] = f'Bearer realm="darkroom"{fault}'
        case InvalidSubmissionError():
            kind = Problem.KEY_REUSED if isinstance(error, KeyReusedError) else Problem.INVALID_SUBMISSION
            faults = [{"field": field, "message": message} for field, message in error.faults.items()]
            answered = problem(event, kind, str(error), errors=faults)
        case JobNotFoundError():
            answered = problem(event, Problem.JOB_NOT_FOUND, f"there is no job {error}")
        case TooManyOpenJobsError():
            answered = problem(event, Problem.TOO_MANY_OPEN_JOBS, str(error))
            answered.headers["Retry-After"] = str(error.retry_after)
        case AwsUnavailableError():
            answered = problem(event, Problem.UNAVAILABLE, str(error))
        case _:
            answered = problem(event, Problem.ROUTE_NOT_FOUND, f"there is no route {event.http_method} {event.path}")
    return answered


def read_query(event: APIGatewayProxyEventV2, *known: str) -> dict[str, str]:
    """The query parameters of a call, all of which must be known: a slip must not be taken for a wish of nothing.

    Raises:
        InvalidSubmissionError: some are not known here; names each.
    """
    query: dict[str, str] = event.query_string_parameters
    if unknown := [name for name in query if name not in known]:
        raise InvalidSubmissionError({name: _name_known(name, known) for name in unknown})
    return query


def _name_known(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "unknown query parameter; this route takes none"
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(known)}"
    return f"unknown query parameter{hint}"


def problem(event: APIGatewayProxyEventV2, kind: Problem, detail: str, **more: Any) -> Response[Any]:
    """An error as RFC 9457 has it: `type` says what kind, `detail` what was wrong this time, `instance` in which call.

    `instance` ends with API Gateway's id of the call, which is also in the header `apigw-requestid` and in the log.
    """
    body = {
        "type": f"urn:darkroom:problem:{kind}",
        "title": kind.replace("-", " ").capitalize(),
        "status": STATUS[kind].value,
        "detail": detail,
        "instance": f"urn:darkroom:call:{quote(event.request_context.request_id, safe='')}",
        **more,
    }
    return answer(STATUS[kind], body, content_type="application/problem+json")


def answer(
    status: HTTPStatus, body: dict[str, Any], *, content_type: str = "application/json", **headers: str
) -> Response[Any]:
    """A JSON answer; a header's underscores become hyphens."""
    return Response(
        status_code=status.value,
        content_type=content_type,
        body=json.dumps(body),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def owner_of(event: APIGatewayProxyEventV2) -> str:
    """The owner that `authorize` found for the call's token.

    Raises:
        UnauthenticatedError: it is nobody's.
        AwsUnavailableError: the token could not be looked up.
    """
    told = event.request_context.authorizer.get_lambda
    if told.get(TOKENS_UNREAD):
        raise AwsUnavailableError("the token cannot be looked up now")
    owner = told.get("owner")
    if not owner:
        raise UnauthenticatedError(has_token="authorization" in event.headers)
    return str(owner)


def raw_body(event: APIGatewayProxyEventV2) -> bytes:
    """The body's bytes as they were sent: API Gateway wraps what it takes for binary in base64."""
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()
