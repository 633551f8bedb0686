"""Several owners share an account at fal: what one of them asks for holds up no other."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.locks import EVERYBODY, State
from shared.sending import MOST_STRIKES
from tests.flow.gates import LOCK, Gate

FORBIDDEN = b"forbidden"


def refusing(body: Any, status: int = 403) -> Callable[[httpx.Request], httpx.Response | None]:
    """Refuses what has a word in its prompt."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        if FORBIDDEN not in request.content:
            return None
        return httpx.Response(status, text=body) if isinstance(body, str) else httpx.Response(status, json=body)

    return answer


def statuses(system: Any, owner: str) -> dict[str, int]:
    """How many jobs of an owner are where."""
    rows = [row["status"]["S"] for row in system.rows() if row["owner"]["S"] == owner]
    return {status: rows.count(status) for status in set(rows)}


@pytest.mark.long
@pytest.mark.parametrize(
    "body", [LOCK, {"detail": "Insufficient balance for user"}, {"detail": "Account is suspended"}]
)
def test_five_hundred_bad_posts_of_one_owner(system: Any, body: Any) -> None:
    """fal answers them in the words of a locked account: another owner's jobs still go out within two minutes."""
    gate = Gate(system, refusing(body))
    for _ in range(500):
        assert system.post({"prompt": "forbidden"}, owner="enemy")[0] == 202
    system.pass_time(60)
    good = [system.post({"prompt": "p"}, owner="shop")[1]["job_id"] for _ in range(5)]
    began = system.fal.clock.now()
    system.pass_time(120)
    assert [system.job(job_id)["status"] for job_id in good] == ["succeeded"] * 5
    assert max(gate.accepted) - began <= 120
    assert len(gate.accepted) == 5


@pytest.mark.long
def test_good_posts_before_the_bad_ones_are_known(system: Any) -> None:
    """Both owners' jobs lie parked for everybody's lock: its probes go through the owners in turn, and it ends."""
    locked = [True]

    def answer(request: httpx.Request) -> httpx.Response | None:
        if locked[0]:
            return httpx.Response(402, json={"detail": "Payment required"})
        return refusing(LOCK)(request)

    Gate(system, answer)
    for _ in range(200):
        system.post({"prompt": "forbidden"}, owner="enemy")
    for _ in range(5):
        system.post({"prompt": "p"}, owner="shop")
    system.pass_time(120)
    locked[0] = False
    system.pass_time(600)
    assert statuses(system, "shop") == {"succeeded": 5}


PLAIN: tuple[Any, ...] = (
    {"detail": "Forbidden"},
    {"detail": "Access denied to this application"},
    {"detail": [{"loc": ["body"], "msg": "no", "type": "forbidden"}]},
    {},
    "<html><head><title>403 Forbidden</title></head></html>",
    "",
)


@pytest.mark.parametrize("body", PLAIN)
def test_a_plain_403_refuses_that_one_request(system: Any, body: Any) -> None:
    """It says nothing of the account: the job fails with fal's word, and nobody waits."""
    Gate(system, refusing(body))
    bad = [system.post({"prompt": "forbidden"})[1] for _ in range(3)]
    assert [(job["status"], job["error"]["type"]) for job in bad] == [("failed", "refused_by_fal")] * 3
    assert system.post({"prompt": "p"})[1]["status"] == "queued"
    assert not system.app.breaker.read().locks


@pytest.mark.long
def test_a_job_that_is_refused_alone_strikes_out(system: Any) -> None:
    """While another owner's jobs are accepted all the time, each refusal of it is its own: it fails, unpaid."""
    Gate(system, refusing(LOCK))
    _, bad = system.post({"prompt": "forbidden"}, owner="enemy")
    for _ in range(MOST_STRIKES + 5):
        system.post({"prompt": "p"}, owner="shop")
        system.pass_time(60)
    row = system.row(bad["job_id"])
    assert (row["status"]["S"], row["error"]["M"]["type"]["S"]) == ("failed", "refused_by_fal")
    assert statuses(system, "shop") == {"succeeded": MOST_STRIKES + 5}


@pytest.mark.long
def test_an_owner_s_good_jobs_are_found_among_the_bad(system: Any) -> None:
    """Probes go over all of an owner's parked jobs, not only over the oldest."""
    Gate(system, refusing(LOCK))
    for number in range(12):
        system.post({"prompt": "forbidden" if number < 4 else "p"}, owner="enemy")
    system.pass_time(3600)
    assert statuses(system, "enemy")["succeeded"] == 8


@pytest.mark.long
def test_a_locked_account_is_found_locked_whoever_asks(system: Any) -> None:
    """When several owners are refused in a row it is the account: all wait, and few requests find out."""
    gate = Gate(system, lambda _: httpx.Response(403, json=LOCK))
    owners = [f"owner-{number}" for number in range(20)]
    for owner in owners:
        system.post({"prompt": "p"}, owner=owner)
    assert EVERYBODY in system.app.breaker.read().locks
    assert len(gate.times) <= 4
    system.pass_time(3600)
    assert len(gate.times) <= 4 + 60
    gate.answer = lambda _: None
    system.pass_time(3600)
    assert {owner: statuses(system, owner) for owner in owners} == {owner: {"succeeded": 1} for owner in owners}


def test_an_owner_in_a_crowd_of_thousands_is_seen(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs an owner has parked, one that another owner posts after them has its turn."""
    monkeypatch.setattr("shared.job_indexes.MOST_PARKED", 10)
    system.app.breaker.note_refused(EVERYBODY, "locked")
    for _ in range(120):
        system.post({"prompt": "p"}, owner="crowd")
    system.fal.advance(1)
    system.post({"prompt": "p"}, owner="late")
    parked = system.app.indexes.list_parked()
    assert len(parked["late"]) == 1
    assert 40 <= len(parked["crowd"]) < 120


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"is_open": true, "why": "w", "accepted": 1, "probe_at": 5, "opened_at": "o", "nonce": "n"}', {EVERYBODY}),
        ('{"is_open": false, "why": "w"}', set()),
        ("{}", set()),
    ],
)
def test_a_lock_of_an_older_version_is_read(text: str, names: set[str]) -> None:
    """What is in the table while functions are updated is understood: it was everybody's."""
    assert State.model_validate_json(text).locks.keys() == names


def test_a_caller_has_so_many_jobs_under_way_and_no_more(make_system: Callable[..., Any]) -> None:
    """One more post is a 429 that says what to do; others have their own bound, and it goes on when jobs have ended."""
    system = make_system({"MOST_OPEN_JOBS": "5"})
    system.app.breaker.pause()
    first = [system.post({"prompt": "p"}, owner="enemy", idempotency_key=f"k{number}")[0] for number in range(5)]
    assert first == [202] * 5
    answer = system.http("POST", "/jobs", owner="enemy", body=b'{"prompt": "p"}')
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (429, "30")
    assert "5 jobs of yours are under way" in answer["body"]
    assert system.post({"prompt": "p"}, owner="enemy", idempotency_key="k0")[0] == 202
    assert system.post({"prompt": "p"}, owner="shop")[0] == 202
    assert system.upload(system.put("sketch/a.png")) == []
    assert len(system.rows()) == 7
    system.app.breaker.resume()
    system.pass_time(180)
    assert system.post({"prompt": "p"}, owner="enemy")[0] == 202


def test_counting_an_owner_s_jobs_is_seldom(make_system: Callable[..., Any]) -> None:
    """As long as there is room, a posted job costs the calls that it costs without a bound."""
    system = make_system({"MOST_OPEN_JOBS": "1000"})
    for _ in range(3):
        system.post({"prompt": "warms up"})
    system.aws_calls.clear()
    for _ in range(40):
        system.post({"prompt": "p"})
    assert system.aws_calls == ["PutItem", "UpdateItem"] * 40


def test_no_bound_is_no_bound(make_system: Callable[..., Any]) -> None:
    """0 admits all, and counts nothing."""
    system = make_system({"MOST_OPEN_JOBS": "0"})
    for _ in range(30):
        assert system.post({"prompt": "p"})[0] == 202
    assert "BatchGetItem" not in system.aws_calls
