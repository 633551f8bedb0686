"""Errors as boto3 raises them, and what makes an item too large."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

MOST_ITEM_BYTES = 400 * 1024
"""The largest item (DynamoDB docs: constraints)."""
TOO_LARGE = {
    "PutItem": "Item size has exceeded the maximum allowed size",
    "UpdateItem": "Item size to update has exceeded the maximum allowed size",
}
"""DynamoDB's words for an item that is larger."""


class ConditionalCheckFailedError(ClientError):
    """A condition did not hold; boto3 gives it as `client.exceptions.ConditionalCheckFailedException`."""


def client_error(code: str, operation: str, **more: Any) -> ClientError:
    """An AWS error as boto3 raises it."""
    kind = ConditionalCheckFailedError if code == "ConditionalCheckFailedException" else ClientError
    message = TOO_LARGE[operation] if code == "ValidationException" else code
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return kind(response, operation)


def check_size(operation: str, item: Mapping[str, Any]) -> None:
    """Refuse an item that is too large, as DynamoDB does."""
    if item_bytes(item) > MOST_ITEM_BYTES:
        raise client_error("ValidationException", operation)


def item_bytes(item: Mapping[str, Any]) -> int:
    """What an item counts: the names and values of its attributes."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(typed: Mapping[str, Any]) -> int:
    """What a value counts (DynamoDB docs: item sizes); a number a byte for two digits, and one more."""
    ((kind, value),) = typed.items()
    if kind in {"M", "L"}:
        inner = value.items() if kind == "M" else (("", element) for element in value)
        return 3 + sum(1 + len(name.encode()) + value_bytes(element) for name, element in inner)
    return {"S": lambda: len(value.encode()), "N": lambda: (len(value.lstrip("-0.")) + 1) // 2 + 1}.get(
        kind, lambda: 1
    )()
