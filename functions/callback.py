"""Callback: fal's deliveries become outputs and settled jobs."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.adoption import is_awaited
from shared.api import raw_body
from shared.app import app
from shared.completion import complete
from shared.errors import (
    AwsUnavailableError,
    InvalidDeliveryError,
    SigningKeysUnavailableError,
    StaleDeliveryError,
    StatusConflictError,
    UnreadableError,
)
from shared.observability import CALL, count, logger, metrics


@logger.inject_lambda_context(correlation_id_path=CALL)
@metrics.log_metrics
@event_source(data_class=APIGatewayProxyEventV2)
def handler(event: APIGatewayProxyEventV2, context: LambdaContext) -> dict[str, Any]:
    """Answer one delivery: 2xx ends it, 4xx is theirs, 5xx is ours and makes fal deliver again."""
    del context
    job_id = event.path_parameters.get("job_id", "")
    try:
        delivery = app().verifier.verify(job_id, event.query_string_parameters, event.headers, raw_body(event))
    except StaleDeliveryError as stale:
        delivery = stale.delivery
        if not is_awaited(app(), delivery):
            return _refuse(stale)
    except InvalidDeliveryError as error:
        return _refuse(error)
    except (SigningKeysUnavailableError, AwsUnavailableError) as error:
        logger.error("delivery cannot be verified now", reason=str(error))
        count("DeliveryUnverified")
        return {"statusCode": HTTPStatus.SERVICE_UNAVAILABLE}
    try:
        complete(app(), delivery)
    except InvalidDeliveryError as error:
        return _refuse(error)
    except StatusConflictError as conflict:
        logger.warning("delivery fits no job", job_id=job_id, reason=str(conflict))
        return {"statusCode": HTTPStatus.NOT_FOUND}
    except (UnreadableError, AwsUnavailableError) as error:
        logger.warning("result not available", job_id=job_id, reason=str(error))
        return {"statusCode": HTTPStatus.SERVICE_UNAVAILABLE}
    return {"statusCode": HTTPStatus.OK}


def _refuse(error: InvalidDeliveryError) -> dict[str, Any]:
    # The caller learns nothing: which check failed is of use to a forger only.
    logger.warning("delivery refused", reason=str(error))
    count("DeliveryRefused")
    return {"statusCode": HTTPStatus.UNAUTHORIZED}
