"""Rows as DynamoDB holds them: typed values, and their size as it counts it (DynamoDB docs: item sizes and formats)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AwsUnavailableError, RowTooLargeError

MAX_BYTES = 400 * 1024
"""The largest row that DynamoDB takes."""
ROOM_BYTES = 144 * 1024
"""The bytes that a new job leaves free: a result of 100,000, the request's URLs, outputs and errors come later."""

_SERIALIZER, _DESERIALIZER = TypeSerializer(), TypeDeserializer()


def to_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values; what is None is left out."""
    plain = {name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()}
    return {name: _SERIALIZER.serialize(value) for name, value in plain.items() if value is not None}


def from_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values again."""
    return {name: _DESERIALIZER.deserialize(value) for name, value in row.items()}


def row_bytes(row: Mapping[str, Any]) -> int:
    """The size of a row, for numbers the most that they may take."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in row.items())


def _value_bytes(typed: Mapping[str, Any]) -> int:
    ((kind, value),) = typed.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return len(value) // 2 + 2
    if kind == "M":
        return 3 + len(value) + row_bytes(value)
    if kind == "L":
        return 3 + len(value) + sum(map(_value_bytes, value))
    return 1


@contextmanager
def table_troubles() -> Iterator[None]:
    """Give a table that is throttled, down, or not ours to use a name of its own.

    Raises:
        AwsUnavailableError: it did not answer; whether it did what it was told is not known.
    """
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            raise  # It answers: what we ask for is wrong, such as a row that would be too large.
        raise AwsUnavailableError(f"the job table does not answer: {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise AwsUnavailableError(f"the job table does not answer: {type(error).__name__}") from error


@contextmanager
def size_refusals() -> Iterator[None]:
    """Give DynamoDB's refusal of a row for its size a name of its own.

    Raises:
        RowTooLargeError: the row would be too large.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response["Error"]
        if answer["Code"] == "ValidationException" and "Item size" in answer.get("Message", ""):
            raise RowTooLargeError(answer["Message"]) from error
        raise
