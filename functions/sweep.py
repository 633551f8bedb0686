"""Sweep: every minute, jobs that are due for a look are moved on."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.app import app, time_left
from shared.observability import count, logger, metrics
from shared.recovery import sweep

COMPARED = ("JobSucceeded", "JobFailed", "WebhookLost")
"""Metrics that alarms compare with one another: CloudWatch compares nothing with a metric that is not sent."""


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Advance what is due; what there is no time for stays due. Each figure is a metric."""
    del event
    swept = sweep(app(), time_left(context))
    counts = {
        "JobAdvanced": swept.advanced,
        "WebhookLost": swept.undelivered,
        "JobGivenUp": swept.given_up,
        "LookFailed": swept.failed,
        "ProviderLocked": int(swept.is_locked),
        "Paused": int(swept.is_paused),
    }
    for name, many in counts.items():
        if many:
            count(name, many)
    for name in COMPARED:
        count(name, 0)
    return {"advanced": swept.advanced}
