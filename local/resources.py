"""What the template holds, typed: functions with what starts them, tables, buckets, queues, rules and secrets."""

from dataclasses import dataclass
from typing import Any

DEFAULT_ROUTE = "$default"


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API; `authorizer` is the logical id of the function that lets callers pass, if one does."""

    method: str
    path: str
    authorizer: str | None

    @property
    def key(self) -> str:
        """The route as API Gateway writes it."""
        return self.path if self.is_default else f"{self.method} {self.path}"

    @property
    def is_default(self) -> bool:
        """Whether it takes what no other route is for."""
        return self.path == DEFAULT_ROUTE


@dataclass(frozen=True)
class QueueSource:
    """A queue whose messages start a function; `queue` is its physical name."""

    queue: str
    queue_arn: str
    batch_size: int
    reports_failures: bool


@dataclass(frozen=True)
class Schedule:
    """A clock that starts a function every so many seconds."""

    name: str
    seconds: int


@dataclass(frozen=True)
class Function:
    """A Lambda function and all that starts it."""

    logical_id: str
    name: str
    arn: str
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str]
    routes: tuple[Route, ...]
    queues: tuple[QueueSource, ...]
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True)
class Table:
    """A DynamoDB table: what CreateTable takes, and the attribute that says when an item may go."""

    request: dict[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket, whether it tells EventBridge what happens in it, and whether it keeps old versions."""

    name: str
    notifies_eventbridge: bool
    is_versioned: bool


@dataclass(frozen=True)
class Queue:
    """An SQS queue with what SetQueueAttributes takes; a dead-letter queue stands before the queues that use it."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Rule:
    """An EventBridge rule: a pattern, and (id, ARN) of whom it tells."""

    name: str
    pattern: dict[str, Any]
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Secret:
    """A secret with its first value, generated where the template says so."""

    logical_id: str
    name: str
    value: str


@dataclass(frozen=True)
class Template:
    """Everything of template.yaml that has a stand-in here; functions by their logical id."""

    functions: dict[str, Function]
    tables: tuple[Table, ...]
    buckets: tuple[Bucket, ...]
    queues: tuple[Queue, ...]
    rules: tuple[Rule, ...]
    secrets: tuple[Secret, ...]
