"""Jobs: what owners read of their jobs."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.api import answer, make_resolver, owner_of, problem, read_query
from shared.app import app
from shared.errors import SettingsError
from shared.observability import logger
from shared.reading import list_jobs, read_job

READING = ["GET", "HEAD"]
"""Methods that read; API Gateway leaves the body of a HEAD's answer away."""

resolver = make_resolver()


@resolver.route("/health", READING)
def _health() -> Response[Any]:
    read_query(resolver.current_event)
    try:
        app().presets  # noqa: B018 - what is read once for each container, settings before it
    except SettingsError as error:
        logger.error("not well set up", reason=str(error))
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the stack is misconfigured; its log says how")
    state = app().breaker.state()
    paused = {"paused_at": state.paused_at} if state.paused_at else {}
    locked = {"provider_locked": True} if state.locks else {}
    return answer(HTTPStatus.OK, {"status": "ok", **paused, **locked})


@resolver.route("/jobs", READING)
def _list_jobs() -> Response[Any]:
    event = resolver.current_event
    query = read_query(event, "status", "preset", "limit", "cursor")
    return answer(HTTPStatus.OK, list_jobs(app(), owner_of(event), query))


@resolver.route("/jobs/<job_id>", READING)
def _read_job(job_id: str) -> Response[Any]:
    event = resolver.current_event
    read_query(event)
    return answer(HTTPStatus.OK, read_job(app(), owner_of(event), job_id))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer GET /jobs, GET /jobs/{job_id} and GET /health."""
    return resolver.resolve(event, context)
