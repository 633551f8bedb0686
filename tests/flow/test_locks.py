"""A locked account, told from what one owner asks for: few requests find out, and nobody waits in vain."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest

from shared.locks import EVERYBODY, MOST_LOCKS, State
from tests.flow.gates import LOCK, Gate
from tests.flow.test_owners import refusing, statuses
from tests.flow.test_pause import another_container, operator

SAID = LOCK["detail"]
LOCKED: list[Any] = [
    {"error": SAID},
    {"message": SAID},
    {"detail": {"msg": SAID}},
    {"detail": [{"msg": SAID, "type": "locked"}]},
    {"error": {"message": SAID}},
    SAID,
    {"detail": "You have run out of credits"},
    {"detail": "Your API key has been revoked"},
    {"detail": "Team is locked"},
    {"detail": "Spending limit reached"},
    {"detail": "Your balance is too low"},
    {"detail": "Billing hard limit has been reached"},
    {"detail": "No credits left"},
    {"detail": "Quota exceeded"},
    {"detail": "Insufficient account balance"},
    {"detail": "Organization is suspended"},
    {"detail": "Your account is on hold"},
    {"detail": "Overdue invoice"},
    {"detail": "User is temporarily locked"},
]
REFUSED: list[Any] = [
    {"detail": "Forbidden"},
    {"detail": "The prompt was flagged by the content filter"},
    {"detail": "You are not allowed to use this endpoint"},
    {"detail": [{"msg": "not allowed", "type": "content_policy_violation", "input": "my account is locked"}]},
    "<html><head><title>403 Forbidden</title></head></html>",
    "",
]


def answering(body: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Answers each POST with 403 and this body."""
    return lambda _: httpx.Response(403, text=body) if isinstance(body, str) else httpx.Response(403, json=body)


@pytest.mark.parametrize("body", LOCKED, ids=str)
def test_a_locked_account_in_other_words_parks(system: Any, body: Any) -> None:
    """Whatever words say that the account is refused, and in whichever field: no job fails for it."""
    Gate(system, answering(body))
    jobs = [system.post({"prompt": "p"})[1] for _ in range(3)]
    assert [(job["status"], job["reason"]) for job in jobs] == [("accepted", "provider_locked")] * 3


@pytest.mark.parametrize("body", REFUSED, ids=str)
def test_any_other_403_refuses_the_request(system: Any, body: Any) -> None:
    """A 403 that says nothing of the account is that job's end, and holds up no other."""
    Gate(system, answering(body))
    jobs = [system.post({"prompt": "p"})[1] for _ in range(3)]
    assert [(job["status"], job["error"]["type"]) for job in jobs] == [("failed", "refused_by_fal")] * 3
    assert not system.app.breaker.read().locks


@pytest.mark.parametrize("status", [500, 503])
def test_requests_of_one_owner_that_break_fal(system: Any, status: int) -> None:
    """An owner's run of failures holds up that owner alone."""
    Gate(system, refusing({"detail": "Internal Server Error"}, status))
    for _ in range(20):
        system.post({"prompt": "forbidden"}, owner="enemy")
    for _ in range(5):
        assert system.post({"prompt": "p"}, owner="shop")[1]["status"] == "queued"
    assert system.app.breaker.read().locks.keys() == {"enemy"}


def test_an_outage_is_everybody_s(system: Any) -> None:
    """Failures of several owners' requests in a row are no owner's own."""
    Gate(system, lambda _: httpx.Response(500, json={"detail": "Internal Server Error"}))
    for number in range(12):
        system.post({"prompt": "p"}, owner=f"owner-{number % 4}")
    assert EVERYBODY in system.app.breaker.read().locks


@pytest.mark.long
def test_bad_owners_and_a_slip(system: Any) -> None:
    """Three owners are refused for what they ask; good jobs of others go out all the same."""
    Gate(system, refusing(LOCK))
    for owner in ("enemy-1", "enemy-2", "enemy-3"):
        for _ in range(12):
            system.post({"prompt": "forbidden"}, owner=owner)
    system.post({"prompt": "forbidden"}, owner="shop")
    for owner in ("shop", "other"):
        for _ in range(5):
            system.post({"prompt": "p"}, owner=owner)
    system.pass_time(1800)
    assert statuses(system, "other") == {"succeeded": 5}
    assert statuses(system, "shop")["succeeded"] == 5


@pytest.mark.long
def test_an_owner_amid_another_s_crowd(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs between two crowds of a locked owner, more than one look finds, are found and sent."""
    monkeypatch.setattr("shared.job_indexes.MOST_PARKED", 5)
    Gate(system, refusing(LOCK))
    system.app.breaker.pause()
    for who, many in (("enemy", 40), ("shop", 2), ("enemy", 40)):
        for _ in range(many):
            system.post({"prompt": "forbidden" if who == "enemy" else "p"}, owner=who)
            system.fal.advance(1)
    operator(system).resume()
    for _ in range(12):
        system.pass_time(600)
        if statuses(system, "shop") == {"succeeded": 2}:
            break
    else:
        pytest.fail("they wait in vain")


def test_a_parked_job_that_moves_while_it_is_listed(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose time changes between two reads of the index is listed once."""
    monkeypatch.setattr("shared.job_indexes.MOST_PARKED", 3)
    system.app.breaker.pause()
    for _ in range(40):
        system.post({"prompt": "p"})
    indexes = system.app.indexes
    really = indexes._list_shard  # noqa: SLF001 - what moves between its calls is the question

    def listed(shard: str, until: int, limit: int, *, newest_first: bool = False) -> Any:
        found = really(shard, until, limit, newest_first=newest_first)
        if found and not newest_first:
            system.app.jobs.put_off(found[0][1], 2**40)
        return found

    monkeypatch.setattr(indexes, "_list_shard", listed)
    parked = indexes.list_parked()["shop"]
    assert len(parked) == len(set(parked))


def test_the_row_of_locks_stays_small(system: Any) -> None:
    """Of very many locks those are kept that were refused last."""
    breaker = system.app.breaker
    for number in range(2 * MOST_LOCKS):
        owner = f"owner-{number}"
        breaker.note_refused(owner, "locked")
        system.fal.advance(61)
        breaker.note_accepted("shop")
    locks = breaker.read().locks
    assert len(locks) == MOST_LOCKS
    assert f"owner-{2 * MOST_LOCKS - 1}" in locks


def test_a_pause_is_not_forgotten_by_who_writes_of_locks(system: Any) -> None:
    """A container that notes a refusal learns of a pause in the same write."""
    container = another_container(system)
    container.breaker.note_refused("enemy", "locked")
    operator(system).pause()
    container.breaker.note_accepted("enemy")
    waits = container.breaker.why_waiting("shop")
    assert waits is not None
    assert waits.type == "paused"


def test_functions_of_the_version_before_read_the_row(system: Any) -> None:
    """While a deployment exchanges functions, the older ones find what they wrote themselves: one lock, everybody's."""
    operator(system).pause()
    table = boto3.client("dynamodb")

    def read() -> Any:
        row = table.get_item(TableName="darkroom-jobs", Key={"job_id": {"S": "shared#breaker"}})["Item"]
        return json.loads(row["breaker"]["S"])

    assert read()["is_open"] is False
    system.app.breaker.note_refused(EVERYBODY, "locked")
    assert {name: read()[name] for name in ("is_open", "why")} == {"is_open": True, "why": "locked"}


@pytest.mark.parametrize("is_open", [True, False])
def test_the_row_of_the_version_before_is_read(*, is_open: bool) -> None:
    """What older functions wrote holds for everybody."""
    state = State.model_validate({"is_open": is_open, "why": "locked", "probe_at": 5, "nonce": "n"})
    assert state.locks.keys() == ({EVERYBODY} if is_open else set())
