"""AWS in memory, for speed: clients with boto3's method names, argument and answer shapes and error codes.

Their methods name every parameter that they honour; another one is a TypeError. What keeps them honest is the slow
tier, in which the same schedules run on moto and must end in the same state.
"""

# ruff: noqa: N803 - the parameters are named as AWS names them

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.simulation.expressions import check_placeholders, comparable, holds, updated
from tests.simulation.stand_in_errors import ConditionalCheckFailedError, check_size, client_error

INDEXES = {"by_owner": ("owner", "created_at"), "due": ("open_shard", "check_at")}
"""The table's indexes as template.yaml has them, keys only: hash and range key."""
NONE: dict[str, Any] = {}


class Replica:
    """What reads show that are not consistent: the items as they were some seconds ago (DynamoDB docs: reads)."""

    def __init__(self, now: Callable[[], float], lag: float) -> None:
        self._now = now
        self._lag = lag
        self._items: dict[str, dict[str, Any]] = {}
        self._coming: deque[tuple[float, str, dict[str, Any]]] = deque()

    def follow(self, job_id: str, item: dict[str, Any]) -> None:
        """Take over a write, later."""
        self._coming.append((self._now() + self._lag, job_id, item))

    @property
    def items(self) -> dict[str, dict[str, Any]]:
        """The items that are there by now."""
        while self._coming and self._coming[0][0] <= self._now():
            _, job_id, item = self._coming.popleft()
            self._items[job_id] = item
        return self._items


class Table:
    """DynamoDB with one table."""

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionalCheckFailedError)

    def __init__(self, name: str) -> None:
        self._name = name
        self.items: dict[str, dict[str, Any]] = {}
        self._replica: Replica | None = None

    def lag(self, now: Callable[[], float], seconds: float) -> None:
        """Let indexes, and reads that are not consistent, be so late from now on."""
        self._replica = Replica(now, seconds)

    @property
    def _shown(self) -> dict[str, dict[str, Any]]:
        """What indexes, and reads that are not consistent, show."""
        return self.items if self._replica is None else self._replica.items

    def _write(self, job_id: str, item: dict[str, Any]) -> None:
        self.items[job_id] = item
        if self._replica:
            self._replica.follow(job_id, item)

    def put_item(
        self,
        *,
        TableName: str,
        Item: dict[str, Any],
        ConditionExpression: str = "",
        ExpressionAttributeNames: Mapping[str, str] = NONE,
        ExpressionAttributeValues: Mapping[str, Any] = NONE,
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        """Write an item whole."""
        guard = _Guard(
            ConditionExpression,
            ExpressionAttributeNames,
            ExpressionAttributeValues,
            returns_old=ReturnValuesOnConditionCheckFailure == "ALL_OLD",
        )
        self._know(TableName)
        self._checked("PutItem", Item, guard)
        check_size("PutItem", Item)
        self._write(Item["job_id"]["S"], dict(Item))
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: dict[str, Any],
        UpdateExpression: str,
        ConditionExpression: str = "",
        ExpressionAttributeNames: Mapping[str, str] = NONE,
        ExpressionAttributeValues: Mapping[str, Any] = NONE,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        """Change an item, or make it."""
        guard = _Guard(
            ConditionExpression,
            ExpressionAttributeNames,
            ExpressionAttributeValues,
            returns_old=ReturnValuesOnConditionCheckFailure == "ALL_OLD",
        )
        self._know(TableName)
        before = self._checked("UpdateItem", Key, guard, UpdateExpression)
        after = updated(UpdateExpression, before or Key, ExpressionAttributeNames, ExpressionAttributeValues)
        check_size("UpdateItem", after)
        self._write(Key["job_id"]["S"], after)
        answers: dict[str, dict[str, Any]] = {
            "NONE": {},
            "ALL_NEW": {"Attributes": dict(after)},
            "ALL_OLD": {"Attributes": dict(before or {})},
        }
        return answers[ReturnValues]

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool = False) -> dict[str, Any]:
        """Read an item."""
        self._know(TableName)
        item = (self.items if ConsistentRead else self._shown).get(Key["job_id"]["S"])
        return {} if item is None else {"Item": dict(item)}

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Read several items."""
        ((name, wanted),) = RequestItems.items()
        self._know(name)
        names = wanted.get("ExpressionAttributeNames", NONE)
        projected = [part.strip() for part in wanted.get("ProjectionExpression", "").split(",") if part.strip()]
        only = {names[part] if part.startswith("#") else part for part in projected}
        items = self.items if wanted.get("ConsistentRead") else self._shown
        found = [items.get(key["job_id"]["S"]) for key in wanted["Keys"]]
        shown = [{k: v for k, v in item.items() if not only or k in only} for item in found if item]
        return {"Responses": {name: shown}, "UnprocessedKeys": {}}

    def query(
        self,
        *,
        TableName: str,
        IndexName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any],
        ExpressionAttributeNames: Mapping[str, str] = NONE,
        FilterExpression: str = "",
        Limit: int | None = None,
        ScanIndexForward: bool = True,
        ExclusiveStartKey: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Read one partition of an index, in the order of its range key."""
        self._know(TableName)
        names, values = ExpressionAttributeNames, ExpressionAttributeValues
        texts = (KeyConditionExpression, FilterExpression) if FilterExpression else (KeyConditionExpression,)
        check_placeholders(texts, names, values)
        keys = INDEXES[IndexName]
        rows = [item for item in self._shown.values() if all(key in item for key in keys)]
        rows = [item for item in rows if holds(KeyConditionExpression, item, names, values)]

        def order(item: Mapping[str, Any]) -> Any:
            return comparable(item[keys[1]]), item["job_id"]["S"]

        rows.sort(key=order, reverse=not ScanIndexForward)
        if ExclusiveStartKey is not None:
            start = order(ExclusiveStartKey)
            rows = [row for row in rows if (order(row) > start if ScanIndexForward else order(row) < start)]
        page, rest = (rows, []) if Limit is None else (rows[:Limit], rows[Limit:])
        projected = [{name: row[name] for name in (*keys, "job_id")} for row in page]
        if FilterExpression:
            projected = [row for row in projected if holds(FilterExpression, row, names, values)]
        answer: dict[str, Any] = {"Items": projected, "Count": len(projected)}
        return answer | {"LastEvaluatedKey": {name: page[-1][name] for name in (*keys, "job_id")}} if rest else answer

    def _know(self, name: str) -> None:
        if name != self._name:
            raise client_error("ResourceNotFoundException", "Query")

    def _checked(self, operation: str, key: Mapping[str, Any], guard: "_Guard", *others: str) -> dict[str, Any] | None:
        """The item as it was, if the write's condition holds."""
        texts = (*others, guard.condition) if guard.condition else others
        check_placeholders(texts, guard.names, guard.values)
        before = self.items.get(key["job_id"]["S"])
        if guard.condition and not holds(guard.condition, before or {}, guard.names, guard.values):
            old = {"Item": dict(before)} if before and guard.returns_old else {}
            raise client_error("ConditionalCheckFailedException", operation, **old)
        return before


@dataclass(frozen=True)
class _Guard:
    """The condition of a write."""

    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]
    returns_old: bool


class Secrets:
    """Secrets Manager."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:
        """Read a secret."""
        if SecretId not in self._texts:
            raise client_error("ResourceNotFoundException", "GetSecretValue")
        return {"SecretString": self._texts[SecretId]}
