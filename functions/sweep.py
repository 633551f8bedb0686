"""Sweep: every minute, jobs that are due for a look are moved on."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.app import app
from shared.observability import logger, metrics
from shared.recovery import sweep

JOB_MILLISECONDS = 35_000
"""What one job may take at worst: fal's answer, the outputs, the write."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Advance what is due; what there is no time for stays due."""
    del event
    advanced = sweep(app(), lambda: context.get_remaining_time_in_millis() > JOB_MILLISECONDS)
    if advanced:
        metrics.add_metric("JobAdvanced", MetricUnit.Count, advanced)
    return {"advanced": advanced}
