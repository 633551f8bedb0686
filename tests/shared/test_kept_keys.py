"""The kept signing keys: one row, written on condition, and never a reason for an error."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shared.kept_keys import KeptKeys
from tests.conftest import plain_client

TABLE = "darkroom-jobs"
ROW = "shared#signing-keys"
NOW = 1_700_000_000
HOUR = 3600
A, B = (json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": letter * 43}]}) for letter in "AB")


@pytest.fixture
def kept(system: Any) -> KeptKeys:
    """Kept keys over the system's own client and table."""
    return KeptKeys(lambda: system.app.client("dynamodb"), TABLE)


def test_nothing_is_kept_at_first(kept: KeptKeys) -> None:
    """A table without the row has no keys."""
    assert kept.read() is None


def test_what_is_kept_is_read(system: Any, kept: KeptKeys) -> None:
    """Document and time come back as they were, to the second, for one call each."""
    kept.keep(A, NOW + 0.75)
    assert kept.read() == (A, NOW)
    assert system.aws_calls == ["UpdateItem", "GetItem"]


def test_the_row_stands_in_no_index(system: Any, kept: KeptKeys) -> None:
    """Neither owners' lists nor the sweep can meet it: it has none of the attributes that the indexes are made of."""
    kept.keep(A, NOW)
    assert set(system.row(ROW)) == {"job_id", "jwks", "fetched_at"}
    for index in ("by_owner", "due"):
        assert plain_client("dynamodb").scan(TableName=TABLE, IndexName=index)["Count"] == 0


@pytest.mark.parametrize(
    ("another", "later", "replaced"),
    [
        (False, 0, False),
        (False, 6 * HOUR, False),
        (False, 6 * HOUR + 1, True),
        (False, -7 * HOUR, False),
        (True, 0, False),
        (True, 1, True),
        (True, 7 * HOUR, True),
        (True, -1, False),
        (True, -7 * HOUR, False),
    ],
)
def test_when_a_copy_is_replaced(system: Any, kept: KeptKeys, another: bool, later: int, replaced: bool) -> None:
    """By another document that was fetched later, or by the same after six hours; never by one fetched before."""
    jwks = B if another else A
    kept.keep(A, NOW)
    system.aws_calls.clear()
    kept.keep(jwks, NOW + later)
    assert kept.read() == ((jwks, NOW + later) if replaced else (A, NOW))
    assert system.aws_calls == ["UpdateItem", "GetItem"]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"jwks": {"S": A}},
        {"fetched_at": {"N": "1700000000"}},
        {"jwks": {"B": b"{}"}, "fetched_at": {"N": "1700000000"}},
        {"jwks": {"S": A}, "fetched_at": {"S": "yesterday"}},
    ],
)
def test_a_row_that_is_not_whole_is_none(kept: KeptKeys, item: dict[str, Any]) -> None:
    """Somebody's hand in the table does no harm: what cannot be read counts as not there."""
    plain_client("dynamodb").put_item(TableName=TABLE, Item={"job_id": {"S": ROW}} | item)
    assert kept.read() is None


def _refused(code: str) -> Callable[..., None]:
    def answer(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "UpdateItem")

    return answer


def _unreachable(**_: Any) -> None:
    raise EndpointConnectionError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com")


@pytest.mark.parametrize(
    "trouble",
    [_refused("AccessDeniedException"), _refused("ProvisionedThroughputExceededException"), _unreachable],
    ids=["denied", "throttled", "unreachable"],
)
def test_trouble_with_the_table_is_no_error(kept: KeptKeys, system: Any, trouble: Callable[..., None]) -> None:
    """Reading gives nothing and keeping does nothing where the table refuses or cannot be reached."""
    kept.keep(A, NOW)
    events = system.app.client("dynamodb").meta.events
    events.register("before-send.dynamodb", trouble)
    try:
        assert kept.read() is None
        kept.keep(B, NOW + HOUR)
    finally:
        events.unregister("before-send.dynamodb", trouble)
    assert kept.read() == (A, NOW)
