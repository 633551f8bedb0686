"""A refusal that seems to be about the account: whose jobs wait for it, and when the refused one is to blame."""

import httpx
import pytest

from shared.locks import EVERYBODY
from shared.sending import MOST_STRIKES
from shared.waiting import ACCEPTANCE
from tests.conftest import System, plain_client
from tests.flow.gates import LOCK, Gate

SAID = LOCK["detail"]


def after_strikes(system: System, strikes: int) -> str:
    """A job of which so many refusals are noted, and that is about to be sent, as no lock is known any more."""
    _, job = system.post({"prompt": "p"})
    key = {"job_id": {"S": job["job_id"]}}
    table = plain_client("dynamodb")
    table.update_item(
        TableName="darkroom-jobs",
        Key=key,
        UpdateExpression="SET strikes = :strikes",
        ExpressionAttributeValues={":strikes": {"N": str(strikes)}},
    )
    table.delete_item(TableName="darkroom-jobs", Key={"job_id": {"S": "shared#breaker"}})
    return str(job["job_id"])


@pytest.mark.parametrize(("status", "whose"), [(401, EVERYBODY), (402, EVERYBODY), (403, "shop")])
def test_whose_jobs_wait(status: int, whose: str, system: System) -> None:
    """What is about the key is about everybody; fal's 403 may be about what one owner asks for."""
    Gate(system, lambda _: httpx.Response(status, json=LOCK))
    _, job = system.post({"prompt": "p"})
    assert (job["status"], job["reason"]) == ("accepted", "provider_locked")
    lock = system.app.breaker.read().locks
    assert list(lock) == [whose]
    assert SAID in lock[whose].why


def test_a_refused_job_waits_for_days(system: System) -> None:
    """Its row says why, in fal's words, how often, and when it is given up."""
    Gate(system, lambda _: httpx.Response(403, json=LOCK))
    _, job = system.post({"prompt": "p"})
    row = system.row(job["job_id"]) or {}
    assert (row["strikes"], row["reason"]) == ({"N": "1"}, {"S": "provider_locked"})
    assert int(row["check_at"]["N"]) == int(system.fal.clock.now()) + ACCEPTANCE
    assert (row["error"]["M"]["type"], SAID in row["error"]["M"]["message"]["S"]) == ({"S": "provider_locked"}, True)


@pytest.mark.parametrize(
    ("strikes", "status", "kind"),
    [(MOST_STRIKES - 2, "accepted", "provider_locked"), (MOST_STRIKES - 1, "failed", "refused_by_fal")],
)
def test_the_tenth_refusal_of_its_own_is_a_job_s_last(strikes: int, status: str, kind: str, system: System) -> None:
    """Until then it waits as others do; then it fails, with what fal said, and nothing is paid."""
    Gate(system, lambda _: httpx.Response(403, json=LOCK))
    job_id = after_strikes(system, strikes)
    system.pass_time(60)
    row = system.row(job_id) or {}
    assert (row["status"], row["strikes"]["N"]) == ({"S": status}, str(strikes + (status == "accepted")))
    assert row["error"]["M"]["type"] == {"S": kind}
    assert SAID in row["error"]["M"]["message"]["S"]
    assert system.requests() == []


def test_what_fal_did_not_accept_is_told_so(system: System) -> None:
    """The reason is that it is sent again; the error that fal did not accept it; and jobs do not return together."""
    Gate(system, lambda _: httpx.Response(503, json={"detail": "no runner"}))
    system.hurry()
    jobs = [system.post({"prompt": f"{number}"})[1] for number in range(4)]
    rows = [system.row(job["job_id"]) or {} for job in jobs]
    assert {row["reason"]["S"] for row in rows} == {"retry"}
    assert {row["error"]["M"]["type"]["S"] for row in rows} == {"not_accepted"}
    waits = {int(row["check_at"]["N"]) - int(system.fal.clock.now()) for row in rows}
    assert len(waits) > 1
    assert all(30 <= wait <= 60 for wait in waits)
