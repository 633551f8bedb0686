"""The emulator's own routes."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

HOOK = {"fal_webhook": "https://hooks.example/fal"}


def test_it_tells_that_it_is_there(fal: "Fal") -> None:
    """Health needs no key."""
    answer = fal.http.get("/emulator/health", headers={"Authorization": ""})
    assert answer.json() == {"status": "ok", "now": fal.emulator.clock.now()}
    assert fal.http.get("/emulator/elsewhere").status_code == 404
    assert fal.http.post("/emulator/health").status_code == 404


def test_a_request_is_shown_with_its_deliveries(fal: "Fal") -> None:
    """What was asked, what came of it, what it cost, and each attempt to tell."""
    fal.receive = lambda _: 200 if len(fal.sent) == 2 else 500
    job = fal.submit(arguments={"prompt": "a", "num_images": 2}, params=HOOK)
    fal.emulator.advance(60)
    seen = fal.seen(job)
    assert seen["arguments"] == {"prompt": "a", "num_images": 2}
    assert (seen["status"], seen["result_status"], seen["billed_units"]) == ("COMPLETED", 200, 2)
    assert seen["webhook_url"] == HOOK["fal_webhook"]
    (delivery,) = seen["deliveries"]
    assert (delivery["state"], delivery["url"]) == ("delivered", HOOK["fal_webhook"])
    assert [one["status"] for one in delivery["attempts"]] == [500, 200]
    assert fal.http.get("/emulator/requests").json()["requests"] == [seen]
    assert fal.http.get("/emulator/requests/nobody").status_code == 404


def test_a_body_that_is_no_json_is_shown_as_text(fal: "Fal") -> None:
    """Whatever was sent can be looked at."""
    job = fal.http.post("/fal-ai/flux-pro/kontext", content=b"\xff{").json()
    assert fal.seen(job)["arguments"] == "\ufffd{"


def test_settings_change_while_it_runs(fal: "Fal") -> None:
    """One call changes some, and they are in force for the next."""
    answer = fal.http.patch("/emulator/settings", json={"locked": True})
    assert answer.json()["locked"] is True
    assert fal.post().status_code == 403
    assert fal.http.get("/emulator/settings").json() == answer.json()


@pytest.mark.parametrize("changes", [{"nonsense": 1}, {"locked": True, "concurrency": 0}, [], {"jwks": "odd"}])
def test_wrong_settings_change_nothing(fal: "Fal", changes: object) -> None:
    """All of a call's changes are made or none."""
    before = fal.http.get("/emulator/settings").json()
    answer = fal.http.patch("/emulator/settings", json=changes)
    assert (answer.status_code, bool(answer.json()["detail"])) == (422, True)
    assert fal.http.get("/emulator/settings").json() == before


def test_scripts_stand_in_a_line(fal: "Fal") -> None:
    """Each submit takes the next, and a refused submit takes none."""
    fal.script({"seed": 1}, {"seed": 2})
    assert fal.http.post("/emulator/scripts", json={"seed": 3}).json() == {"waiting": 3}
    fal.set(locked=True)
    fal.post()
    fal.set(locked=False)
    assert fal.http.get("/emulator/scripts").json() == {"scripts": [{"seed": 1}, {"seed": 2}, {"seed": 3}]}
    assert [fal.call({"prompt": "a"}).json()["seed"] for _ in range(3)] == [1, 2, 3]
    assert fal.http.get("/emulator/scripts").json() == {"scripts": []}


@pytest.mark.parametrize("script", [{"strat": "IN_QUEUE"}, {"start": "COMPLETED"}, {"fail_attempts": -1}, 7])
def test_a_wrong_script_is_refused(fal: "Fal", script: object) -> None:
    """A script that says something unknown is an error at once, not a silent nothing."""
    assert fal.http.post("/emulator/scripts", json=script).status_code == 422
    assert fal.http.get("/emulator/scripts").json() == {"scripts": []}


@pytest.mark.parametrize("body", [{"advance": -1}, {}, {"advance": 1, "back": 2}, "x"])
def test_time_does_not_go_back(fal: "Fal", body: object) -> None:
    """The clock is put forward by seconds and by nothing else."""
    before = fal.emulator.clock.now()
    assert fal.http.post("/emulator/clock", json=body).status_code == 422
    assert fal.emulator.clock.now() == before


def test_a_body_that_is_no_json_is_refused(fal: "Fal") -> None:
    """The answer is a 400 in JSON."""
    answer = fal.http.post("/emulator/clock", content=b"{")
    assert answer.status_code == 400
    assert "detail" in answer.json()


def test_a_reset_forgets_everything(fal: "Fal") -> None:
    """Requests, scripts, files, keys, what is due and changed settings are gone."""
    url = fal.call().json()["images"][0]["url"]
    keys = fal.http.get("/.well-known/jwks.json").json()
    fal.submit(params=HOOK)
    fal.script({"seed": 1})
    fal.set(concurrency=9)
    fal.http.post("/emulator/keys/rotate")
    assert fal.http.post("/emulator/reset").status_code == 200
    fal.emulator.advance(60)
    assert fal.sent == []
    assert fal.http.get("/emulator/requests").json() == {"requests": []}
    assert fal.http.get("/emulator/scripts").json() == {"scripts": []}
    assert fal.http.get("/emulator/settings").json()["concurrency"] == 2
    assert fal.http.get("/.well-known/jwks.json").json() == keys
    assert fal.http.get(url).status_code == 404
