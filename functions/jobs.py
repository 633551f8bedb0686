"""Jobs: what owners read of their jobs."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.api import Problem, answer, make_resolver, owner_of, problem, read_query
from shared.app import app
from shared.errors import SettingsError
from shared.observability import CALL, logger
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
        return problem(resolver.current_event, Problem.MISCONFIGURED, "the stack is misconfigured; its log says how")
    state = app().breaker.state()
    paused = {"paused_at": state.paused_at} if state.paused_at else {}
    locked = {"provider_locked": True} if state.locks else {}
    return answer(HTTPStatus.OK, {"status": "ok", **paused, **locked})


@resolver.route("/jobs", READING)
def _list_jobs() -> Response[Any]:
    event = resolver.current_event
    owner = owner_of(event)
    query = read_query(event, "status", "preset", "limit", "cursor")
    return answer(HTTPStatus.OK, list_jobs(app(), owner, query))


@resolver.route("/jobs/<job_id>", READING)
def _read_job(job_id: str) -> Response[Any]:
    event = resolver.current_event
    owner = owner_of(event)
    read_query(event)
    return answer(HTTPStatus.OK, read_job(app(), owner, job_id))


@logger.inject_lambda_context(correlation_id_path=CALL)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer GET /jobs, GET /jobs/{job_id} and GET /health, and calls that no route is for."""
    return resolver.resolve(event, context)
