"""Submit: uploads and API calls become jobs, queued at fal."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.api import answer, make_resolver, owner_of, raw_body, read_query
from shared.app import app, time_left
from shared.errors import UploadSkippedError, UploadUnmatchedError
from shared.observability import CALL, count, logger, metrics
from shared.posting import post_job
from shared.reading import view
from shared.upload_events import MalformedEventError, read_uploads
from shared.uploads import submit_upload

UPLOAD_MILLISECONDS = 28_000
"""What an upload may take that meets no trouble but a slow fal; with less time left it waits for another batch."""

ONE_UPLOAD_SECONDS = 45
"""What one upload may take, so that one that fal keeps waiting does not cost the others of its batch their turn."""

resolver = make_resolver()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


class OutOfTimeError(Exception):
    """The function ends too soon to begin with this message: the queue shows it again."""


@logger.inject_lambda_context
@metrics.log_metrics
def from_upload(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Answer one batch of upload events: only messages that another try may help are named, and come again."""

    def submit_message(record: SQSRecord) -> None:
        try:
            _submit_uploads(record.body, context)
        except OutOfTimeError:
            raise
        except Exception:
            # The queue shows the message again, and in the end puts it with the dead letters: it should not be mute.
            logger.exception("message not done", message_id=record.message_id)
            raise

    return process_partial_response(event=event, record_handler=submit_message, processor=processor, context=context)


def _submit_uploads(body: str, context: LambdaContext) -> None:
    failures: list[Exception] = []
    try:
        uploads = read_uploads(body)
    except MalformedEventError as error:
        uploads = error.uploads
        failures.append(error)
    for upload in uploads:
        remaining = context.get_remaining_time_in_millis()
        if remaining < UPLOAD_MILLISECONDS:
            raise OutOfTimeError
        spare = max(0.0, remaining / 1000 - ONE_UPLOAD_SECONDS)
        try:
            jobs = submit_upload(app(), upload, time_left(context, spare))
        except UploadSkippedError as reason:
            count("UploadUnmatched" if isinstance(reason, UploadUnmatchedError) else "UploadSkipped")
            logger.info("upload skipped", bucket=upload.bucket, key=upload.key, reason=str(reason))
        except Exception as error:  # noqa: BLE001 - the other uploads' jobs are made first; it is raised below
            failures.append(error)
        else:
            count("UploadSubmitted", len(jobs))
    if failures:
        raise ExceptionGroup("a message was not done", failures)


@resolver.post("/jobs")
def _post_job() -> Response[Any]:
    event = resolver.current_event
    owner = owner_of(event)
    read_query(event)
    key = event.headers.get("idempotency-key")
    job = post_job(app(), owner, raw_body(event), key, time_left(resolver.lambda_context))
    count("JobPosted")
    return answer(HTTPStatus.ACCEPTED, view(app(), job), Location=f"/jobs/{job.job_id}")


@logger.inject_lambda_context(correlation_id_path=CALL)
@metrics.log_metrics
def from_api(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer POST /jobs: 202 with the job, or a problem that names the field."""
    return resolver.resolve(event, context)
