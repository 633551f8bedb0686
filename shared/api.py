"""The HTTP API's manner: a resolver whose errors are problem+json (RFC 9457) that name the field."""

import base64
import difflib
import json
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from shared.errors import AwsUnavailableError, InvalidSubmissionError, JobNotFoundError, TooManyOpenJobsError


def make_resolver() -> APIGatewayHttpResolver:
    """A resolver that answers Darkroom's errors as problems."""
    resolver = APIGatewayHttpResolver()
    resolver.exception_handler(InvalidSubmissionError)(_answer_invalid)
    resolver.exception_handler(JobNotFoundError)(_answer_no_job)
    resolver.exception_handler(NotFoundError)(_answer_no_route)
    resolver.exception_handler(AwsUnavailableError)(_answer_later)
    resolver.exception_handler(TooManyOpenJobsError)(_answer_too_many)
    return resolver


def _answer_invalid(error: InvalidSubmissionError) -> Response[Any]:
    faults = [{"field": field, "message": message} for field, message in error.faults.items()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), errors=faults)


def _answer_no_job(error: JobNotFoundError) -> Response[Any]:
    return problem(HTTPStatus.NOT_FOUND, f"there is no job {error}")


def _answer_no_route(_: NotFoundError) -> Response[Any]:
    return problem(HTTPStatus.NOT_FOUND, "there is no such route")


def _answer_later(error: AwsUnavailableError) -> Response[Any]:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def _answer_too_many(error: TooManyOpenJobsError) -> Response[Any]:
    answered = problem(HTTPStatus.TOO_MANY_REQUESTS, str(error))
    answered.headers["Retry-After"] = str(error.retry_after)
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


def problem(status: HTTPStatus, detail: str, **more: Any) -> Response[Any]:
    """An error as RFC 9457 has it; `title` is the status's own phrase and `detail` says what was wrong this time."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **more}
    return answer(status, body, content_type="application/problem+json")


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
    """The owner that `authorize` found for the call's token."""
    return str(event.request_context.authorizer.get_lambda["owner"])


def raw_body(event: APIGatewayProxyEventV2) -> bytes:
    """The body's bytes as they were sent: API Gateway wraps what it takes for binary in base64."""
    body = event.body or ""
    return base64.b64decode(body) if event.is_base64_encoded else body.encode()
