"""Reads on which a decision rests show what is, and what a busy table hands back unread is read again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import System

MAY_BE_LATE = {"shared#signing-keys"}
"""Rows that may be read as they were: fal's signing keys, which are fetched anew where they do not fit."""


@pytest.fixture
def reads(system: System) -> Iterator[list[dict[str, Any]]]:
    """The parameters of all single reads of the table."""
    made: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        made.append(dict(params))

    events = system.app.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.GetItem", note)
    yield made
    events.unregister("provide-client-params.dynamodb.GetItem", note)


def test_what_decides_is_read_as_it_is(system: System, reads: list[dict[str, Any]]) -> None:
    """Jobs, locks and accounts: an old copy of any of them could send, settle or refuse what it must not."""
    _, job = system.post({"prompt": "a"}, idempotency_key="one")
    system.post({"prompt": "a"}, idempotency_key="one")
    system.upload(system.put("sketch/a.png"))
    system.pass_time(300)
    system.job(job["job_id"])
    by_row = {read["Key"]["job_id"]["S"]: read.get("ConsistentRead", False) for read in reads}
    assert {"shared#breaker", "shared#accounts", job["job_id"]} <= by_row.keys()
    assert {row for row, is_consistent in by_row.items() if not is_consistent} <= MAY_BE_LATE


def test_what_is_handed_back_unread_is_read_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of jobs is whole however little the table reads at a time."""
    posted = {system.post({"prompt": f"{number}"})[1]["job_id"] for number in range(5)}
    really = system.app.dynamodb.batch_get_item

    def read_two(**parameters: Any) -> Any:
        ((table, wanted),) = parameters["RequestItems"].items()
        answer = really(RequestItems={table: {**wanted, "Keys": wanted["Keys"][:2]}})
        left = wanted["Keys"][2:]
        return answer | {"UnprocessedKeys": {table: {**wanted, "Keys": left}} if left else {}}

    monkeypatch.setattr(system.app.indexes._client, "batch_get_item", read_two)  # noqa: SLF001 - the client that is asked
    assert {job["job_id"] for job in system.jobs()} == posted
