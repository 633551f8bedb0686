"""Logger and metrics; messages are constants, facts are keys, and no prompt, body or signed URL is ever one of them."""

import json
import logging
import re
import threading
import warnings
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

# A refused call or an idle minute counts nothing, and is no reason for a warning.
warnings.filterwarnings("ignore", "No application metrics to publish")

# httpx would log whole URLs, signed ones among them.
logging.getLogger("httpx").setLevel(logging.WARNING)

HIDDEN = re.compile(
    "["
    "\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"
    "]"
)
"""Characters that show nothing, or turn what is around them; JSON itself escapes those below space."""


def to_line(record: dict[str, Any]) -> str:
    """A log line: JSON in which whoever reads it sees each character of what comes from outside."""
    text = json.dumps(record, default=str, ensure_ascii=False, separators=(",", ":"))
    # As JSON writes them, so that whoever parses the line gets the text as it was.
    return HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


# Their service is the stack's name, from POWERTOOLS_SERVICE_NAME, so that two stacks do not add up.
logger = Logger(json_serializer=to_line)
metrics = Metrics(namespace="Darkroom")
CALL = "requestContext.requestId"
"""Where an event has API Gateway's id of the call, which is the correlation id of all lines about it."""
_counting = threading.Lock()


def count(name: str, by: int = 1) -> None:
    """Add to a metric, which is written out when the function ends; threads of a sweep count side by side."""
    with _counting:
        metrics.add_metric(name, MetricUnit.Count, by)
