"""What can go wrong with polls and result fetches, the account, and the signing keys."""

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.local.fal.signatures import published, verifies

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal, Live

HOOK = {"fal_webhook": "https://hooks.example/fal"}
PAINT = "fal-ai/flux-pro/kontext/text-to-image"


@pytest.mark.parametrize(("switch", "url"), [("status_calls", "status_url"), ("result_calls", "response_url")])
@pytest.mark.parametrize(
    ("answer", "status"), [(500, 500), (404, 404), (429, 429), (503, 503), ("nginx_502", 502), ("malformed", 200)]
)
def test_the_first_calls_fail(fal: "Fal", switch: str, url: str, answer: object, status: int) -> None:
    """Two are answered so, and the third as it should be; calls of the other kind are not touched."""
    fal.script({switch: {"answer": answer, "first": 2}})
    job = fal.submit()
    fal.emulator.advance(60)
    answers = [fal.http.get(job[url]) for _ in range(3)]
    assert [one.status_code for one in answers] == [status, status, 200]
    assert [b"images" in one.content or b"COMPLETED" in one.content for one in answers] == [False, False, True]
    other = "response_url" if url == "status_url" else "status_url"
    assert fal.http.get(job[other]).status_code == 200


def test_a_404_that_is_not_true_passes(fal: "Fal") -> None:
    """A request that seems unknown is known at the next poll."""
    fal.script({"status_calls": {"answer": 404, "first": 1}})
    job = fal.submit()
    assert [fal.http.get(job["status_url"]).status_code for _ in range(2)] == [404, 202]


@pytest.mark.parametrize("path", ["", "/status"])
def test_the_connection_is_cut_for_ever(live: "Live", path: str) -> None:
    """No poll and no fetch of that request is ever answered, while others are."""
    live.script({"status_calls": {"answer": "closed"}, "result_calls": {"answer": "closed"}})
    jobs = [live.http.post(f"/{PAINT}", json={"prompt": "a"}).json() for _ in range(2)]
    for _ in range(3):
        with pytest.raises(httpx.RemoteProtocolError):
            live.http.get(jobs[0]["response_url"] + path)
    assert live.http.get(jobs[1]["status_url"]).status_code in {200, 202}


def test_a_setting_fails_the_calls_of_all_requests(fal: "Fal") -> None:
    """The first of each; a script's own fault goes before it."""
    fal.set(status_calls={"answer": "nginx_504", "first": 1}, result_calls={"answer": 500})
    fal.script({}, {"status_calls": {"answer": 503}})
    usual, own = fal.submit(), fal.submit()
    fal.emulator.advance(60)
    assert [fal.http.get(usual["status_url"]).status_code for _ in range(2)] == [504, 200]
    assert [fal.http.get(own["status_url"]).status_code for _ in range(2)] == [503, 503]
    assert fal.http.get(usual["response_url"]).status_code == 500
    fal.set(result_calls=None)
    assert fal.http.get(usual["response_url"]).status_code == 200


def test_a_result_expires_as_the_clock_says(fal: "Fal") -> None:
    """Without payload storage an hour after completion result and status are gone."""
    job = fal.submit(headers={"X-Fal-Store-IO": "0"})
    fal.http.post("/emulator/clock", json={"advance": 3000})
    assert fal.http.get(job["response_url"]).status_code == 200
    fal.http.post("/emulator/clock", json={"advance": 1000})
    assert [fal.http.get(job[name]).status_code for name in ("response_url", "status_url")] == [404, 404]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_every_submit_is_refused(fal: "Fal", status: int) -> None:
    """Nothing is accepted or taken from the line of scripts, and what was accepted before can be polled."""
    job = fal.submit()
    fal.script({"seed": 1})
    fal.set(refuse_submits=status)
    assert {fal.post().status_code for _ in range(3)} == {status}
    assert len(fal.http.get("/emulator/requests").json()["requests"]) == 1
    assert fal.http.get("/emulator/scripts").json() == {"scripts": [{"seed": 1}]}
    assert fal.http.get(job["status_url"]).status_code == 202
    fal.set(refuse_submits=None)
    assert fal.post().status_code == 200


@pytest.mark.parametrize(("body", "status"), [({"seconds": 600}, 403), ({"seconds": 600, "status": 402}, 402)])
def test_the_account_is_locked_for_a_while(fal: "Fal", body: dict[str, object], status: int) -> None:
    """It opens by the clock alone."""
    now = fal.emulator.clock.now()
    assert fal.http.post("/emulator/lock", json=body).json() == {"status": status, "ends_at": now + 600}
    fal.emulator.advance(599)
    assert fal.post().status_code == status
    fal.emulator.advance(1)
    assert fal.post().status_code == 200


def test_a_lock_can_be_ended(fal: "Fal") -> None:
    """By one of no time, or by a reset."""
    fal.http.post("/emulator/lock", json={"seconds": 600})
    fal.http.post("/emulator/lock", json={"seconds": 0})
    assert fal.post().status_code == 200
    fal.http.post("/emulator/lock", json={"seconds": 600})
    fal.http.post("/emulator/reset")
    assert fal.post().status_code == 200


@pytest.mark.parametrize("body", [{}, {"seconds": -1}, {"seconds": 1, "status": 500}, {"seconds": 1, "until": 2}])
def test_a_lock_that_makes_no_sense_is_refused(fal: "Fal", body: dict[str, object]) -> None:
    """Nothing is locked by it."""
    assert fal.http.post("/emulator/lock", json=body).status_code == 422
    assert fal.post().status_code == 200


def test_the_old_key_signs_on_for_a_while(fal: "Fal") -> None:
    """The new one is published at once; both kinds of delivery verify, each by its own key."""
    old = published(fal)
    fal.http.post("/emulator/keys/rotate", json={"old_signs_seconds": 100})
    for _ in range(2):
        fal.submit(params=HOOK)
        fal.emulator.advance(100)
    assert [verifies(sent, old) for sent in fal.sent] == [True, False]
    assert [verifies(sent, published(fal)) for sent in fal.sent] == [True, True]
    assert [verifies(sent, published(fal)[-1:]) for sent in fal.sent] == [False, True]


def test_a_reset_forgets_the_old_key(fal: "Fal") -> None:
    """The first key signs again."""
    first = published(fal)
    fal.http.post("/emulator/keys/rotate")
    fal.http.post("/emulator/keys/rotate", json={"old_signs_seconds": 1000})
    fal.http.post("/emulator/reset")
    fal.submit(params=HOOK)
    fal.emulator.advance(60)
    assert verifies(fal.sent[0], first[-1:])
