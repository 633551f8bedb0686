"""Logger and metrics; messages are constants, facts are keys, and no prompt, body or signed URL is ever one of them."""

import logging
import threading
import warnings

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

# A refused call or an idle minute counts nothing, and is no reason for a warning.
warnings.filterwarnings("ignore", "No application metrics to publish")

# httpx would log whole URLs, signed ones among them.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Their service is the stack's name, from POWERTOOLS_SERVICE_NAME, so that two stacks do not add up.
logger = Logger()
metrics = Metrics(namespace="Darkroom")
_counting = threading.Lock()


def count(name: str, by: int = 1) -> None:
    """Add to a metric, which is written out when the function ends; threads of a sweep count side by side."""
    with _counting:
        metrics.add_metric(name, MetricUnit.Count, by)
