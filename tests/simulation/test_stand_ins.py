"""The stand-ins refuse what they do not know, so that nothing is passed over in silence."""

from typing import Any

import pytest

from tests.simulation.expressions import ExpressionError, holds, updated
from tests.simulation.stand_in_buckets import Buckets
from tests.simulation.stand_in_errors import client_error
from tests.simulation.stand_ins import Table

ITEM = {"job_id": {"S": "a"}, "status": {"S": "queued"}, "n": {"N": "7"}, "reason": {"S": "lock"}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("#status = :queued AND n BETWEEN :low AND :high", True),
        ("NOT (#status <> :queued) AND n >= :low", True),
        ("attribute_exists(gone) OR begins_with(reason, :queued)", False),
        ("attribute_not_exists(gone) AND (n < :low OR n > :low)", True),
        ("gone <> :queued", True),
        ("gone = :queued OR n = :queued", False),
        ("n > :queued", False),
    ],
)
def test_conditions(condition: str, expected: object) -> None:
    """Conditions hold as DynamoDB says: types differ, what is not there equals nothing, AND binds closer than OR."""
    values = {":queued": {"S": "queued"}, ":low": {"N": "6.0"}, ":high": {"N": "10"}}
    assert holds(condition, ITEM, {"#status": "status"}, values) is expected


def test_updates() -> None:
    """Every part of an update sees the item as it was before."""
    text = "SET n = n + :one, copy = n, first = if_not_exists(first, :one) REMOVE reason ADD total :one"
    after = updated(text, ITEM, {}, {":one": {"N": "1"}})
    numbers = {name: after[name]["N"] for name in ("n", "copy", "first", "total")}
    assert numbers == {"n": "8", "copy": "7", "first": "1", "total": "1"}
    assert "reason" not in after
    assert "reason" in ITEM


@pytest.mark.parametrize(
    "condition", ["size(n) > :one", "n LIKE :one", "n", "(n = :one", "n = :one n = :one", "a.b = :one"]
)
def test_unknown_expressions_are_errors(condition: str) -> None:
    """What the parser does not know fails, and is not taken for true or false."""
    with pytest.raises(ExpressionError):
        holds(condition, ITEM, {}, {":one": {"N": "1"}})


@pytest.mark.parametrize(
    ("names", "values"),
    [({"#unused": "n"}, {":one": {"N": "1"}}), ({}, {":one": {"N": "1"}, ":two": {"N": "2"}}), ({}, {})],
)
def test_placeholders_fit_the_expressions(names: dict[str, str], values: dict[str, Any]) -> None:
    """A name or value too many or too few is refused, as by DynamoDB."""
    with pytest.raises(ExpressionError):
        Table("jobs").update_item(
            TableName="jobs",
            Key={"job_id": {"S": "a"}},
            UpdateExpression="SET n = :one",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )


def test_unknown_parameters_are_errors() -> None:
    """A parameter that a stand-in does not honour is a TypeError, like the S3 condition that it would ignore."""
    put: Any = Buckets("outputs").put_object
    with pytest.raises(TypeError):
        put(Bucket="outputs", Key="a", Body=b"", IfNoneMatch="*")


def test_errors_are_boto3_s() -> None:
    """A failed condition is caught by the class that the client offers, and carries the item as boto3 does."""
    table = Table("jobs")
    table.put_item(TableName="jobs", Item=ITEM)
    with pytest.raises(table.exceptions.ConditionalCheckFailedException) as caught:
        table.put_item(
            TableName="jobs",
            Item=ITEM,
            ConditionExpression="attribute_not_exists(job_id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"] == ITEM
    assert not isinstance(client_error("SlowDown", "PutObject"), table.exceptions.ConditionalCheckFailedException)
