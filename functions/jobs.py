"""Jobs: what owners read of their jobs."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.api import answer, make_resolver, owner_of, problem
from shared.app import app
from shared.errors import SettingsError
from shared.observability import logger
from shared.reading import list_jobs, read_job

resolver = make_resolver()


@resolver.get("/health")
def _health() -> Response[Any]:
    try:
        app().presets  # noqa: B018 - what is read once for each container, settings before it
    except SettingsError as error:
        logger.error("not well set up", reason=str(error))
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the stack is not well set up; its log says how")
    return answer(HTTPStatus.OK, {"status": "ok"})


@resolver.get("/jobs")
def _list_jobs() -> Response[Any]:
    event = resolver.current_event
    return answer(HTTPStatus.OK, list_jobs(app(), owner_of(event), event.query_string_parameters))


@resolver.get("/jobs/<job_id>")
def _read_job(job_id: str) -> Response[Any]:
    return answer(HTTPStatus.OK, read_job(app(), owner_of(resolver.current_event), job_id))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer GET /jobs, GET /jobs/{job_id} and GET /health."""
    return resolver.resolve(event, context)
