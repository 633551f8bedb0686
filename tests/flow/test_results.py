"""What a delivery may hold: errors, results without payload or pictures, outputs that must not be stored."""

import base64
import json
from typing import Any

import pytest

from local.fal import Script
from local.fal.scripts import ScriptedResult
from tests.flow.deliveries import HTML, SVG, calls_of, error, finished, result, signed, state, warm

ODD_DETAILS: tuple[Any, ...] = (None, [], {}, 5, [7], [{}], [{"loc": 1, "msg": None, "type": []}])
ODD_ERRORS: tuple[Any, ...] = (None, [], {}, "no", {"error": "no"}, *({"detail": detail} for detail in ODD_DETAILS))
ODD_IMAGES: tuple[Any, ...] = (None, "x", {}, {"url": None}, {"url": 7}, {"url": ""})
ODD_RESULTS: tuple[Any, ...] = (
    *({}, [], "x", 7, {"images": []}, {"images": None}),
    *({"images": [image]} for image in ODD_IMAGES),
)
DETAIL = {"loc": ["body", "prompt"], "msg": "a secret told", "type": "content_policy_violation", "input": "p"}


def test_errors_of_both_shapes(system: Any) -> None:
    """A list of details, a flat text, and what is neither: each fails the job with a type and a message."""
    system.fal.add_scripts(
        Script(result=ScriptedResult(status=422, body={"detail": [DETAIL]})),
        Script(infrastructure_error="runner_server_error"),
    )
    jobs = [system.post({"prompt": "p"})[1]["job_id"] for _ in range(2)]
    system.fal.advance(60)
    jobs_now = [system.job(job_id) for job_id in jobs]
    assert [job["status"] for job in jobs_now] == ["failed", "failed"]
    assert [job["error"]["type"] for job in jobs_now] == ["content_policy_violation", "runner_server_error"]
    assert all(job["error"]["message"] for job in jobs_now)
    for payload in ODD_ERRORS:
        system.fal.add_scripts(Script(result=ScriptedResult(status=422, body={"detail": [DETAIL]})))
        job_id, delivery = finished(system)
        assert system.call_back(*signed(system, delivery, error(delivery, payload))) == 200
        job = system.job(job_id)
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["type"]
        assert job["error"]["message"]
    assert state(system)[1] == {}


def test_a_result_without_its_payload_is_fetched(system: Any) -> None:
    """OK with payload null and a payload_error is a success: the result is read from the queue and stored."""
    system.fal.add_scripts(Script(payload_error=True))
    _, job = system.post({"prompt": "p", "num_images": 3})
    system.fal.advance(10)
    assert json.loads(system.deliveries[0][2])["payload"] is None
    job = system.job(job["job_id"])
    assert (job["status"], len(job["outputs"]), job["error"]) == ("succeeded", 3, None)
    assert len(state(system)[1]) == 3
    assert len(system.requests()) == 1


def test_seeds_keep_every_digit(system: Any) -> None:
    """A seed is given back as text, and kept so."""
    for seed in (0, 2**53 + 1, 2**63 - 1, 17454220438242315174, 2**64 - 1, 10**38 + 1):
        system.fal.add_scripts(Script(seed=seed))
        _, job = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.job(job["job_id"])["seed"] == str(seed)
        assert str(seed) in system.row(job["job_id"])["seed"].values()


def test_a_result_without_pictures(system: Any) -> None:
    """An empty URL, no images, or no result at all is a failure with a reason, and nothing is stored."""
    system.fal.add_scripts(Script(empty_url=True))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    ids = [job["job_id"]]
    for payload in ODD_RESULTS:
        system.fal.add_scripts(Script(result=ScriptedResult(body=payload)))
        ids.append(system.post({"prompt": "p"})[1]["job_id"])
        system.fal.advance(10)
    for job in map(system.job, ids):
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == {}


@pytest.mark.parametrize("payload", ODD_RESULTS)
def test_a_delivery_without_pictures_has_the_queue_asked_for_them(system: Any, payload: Any) -> None:
    """An OK whose payload names no picture is not the end of it: the queue still has the result, and it is paid."""
    job_id, delivery = finished(system)
    body = json.loads(delivery[2]) | {"payload": payload}
    assert system.call_back(*signed(system, delivery, body)) == 200
    assert len(system.job(job_id)["outputs"]) == 1


def test_a_result_with_one_picture_of_two(system: Any) -> None:
    """A paid picture is kept though the other one has no address."""
    job_id, delivery = finished(system, num_images=2)
    url = json.loads(delivery[2])["payload"]["images"][0]["url"]
    assert system.call_back(*signed(system, delivery, result(delivery, url, ""))) == 200
    job = system.job(job_id)
    assert (job["status"], len(job["outputs"])) == ("succeeded", 1)
    assert list(state(system)[1]) == [job["outputs"][0]["key"]]


FOREIGN = (
    "https://evil.example/a.jpg",
    "https://fal.media.evil.example/a.jpg",
    "https://evilfal.media/a.jpg",
    "https://v3.fal.media@evil.example/a.jpg",
    "https://user:password@v3.fal.media/a.jpg",
    "https://v3.fal.media:22/a.jpg",
    "http://v3.fal.media/a.jpg",
    "http://127.0.0.1:8788/files/a.jpg",
    "http://127.0.0.1:8787@evil.example/files/a.jpg",
    "http://127.0.0.1:8787.evil.example/files/a.jpg",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://2130706433:8787/files/a.jpg",
    "data:text/html;base64," + base64.b64encode(HTML).decode(),
    "data:image/svg+xml;base64," + base64.b64encode(SVG).decode(),
    "data:image/jpeg;base64," + base64.b64encode(HTML).decode(),
    "data:image/jpeg;base64,%%%",
    "data:image/jpeg,",
    "data:",
    "https://",
    "https://v3.fal.media:port/a.jpg",
)


@pytest.mark.long
def test_foreign_addresses_are_never_asked(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that is not at fal's own hosts is not fetched: the job says so, and fails at once or after a day."""
    ids = []
    warm(system)
    before = state(system)[1]
    for url in FOREIGN:
        job_id, delivery = finished(system)
        with monkeypatch.context() as patch:
            asked = calls_of(patch)
            assert system.call_back(*signed(system, delivery, result(delivery, url))) == 200
            assert asked == []
        ids.append(job_id)
        assert (url, system.job(job_id)["status"] in {"failed", "storing"}) == (url, True)
    system.pass_time(25 * 3600, 3600)
    for job in map(system.job, ids):
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == before


ANSWERS: dict[str, tuple[str, str, bytes]] = {
    "HTML": ("200 OK", "image/jpeg", HTML),
    "SVG": ("200 OK", "image/jpeg", SVG),
    "GIF": ("200 OK", "image/jpeg", b"GIF89a/*" + HTML),
    "empty": ("200 OK", "image/jpeg", b""),
    "half a head": ("200 OK", "image/jpeg", b"\xff\xd8\xff"),
    "no picture": ("200 OK", "image/png", b"\x00" * 1000),
    "moved": ("302 Found", "image/jpeg", b""),
    "not there": ("404 Not Found", "text/html", HTML),
    "forbidden": ("403 Forbidden", "text/html", HTML),
    "broken": ("500 Internal Server Error", "text/html", HTML),
}


@pytest.mark.long
def test_an_output_that_is_no_picture_is_never_stored(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not be fetched fails the job; what cannot be now, or is no picture, is tried again, and fails too."""
    ids: list[str] = []
    asked: list[str] = []
    for name, answer in ANSWERS.items():
        with monkeypatch.context() as patch:
            told = calls_of(patch, answer)
            system.answers.clear()
            ids.append(system.post({"prompt": name})[1]["job_id"])
            system.fal.advance(10)
            asked += told
        status = system.job(ids[-1])["status"]
        assert (name, status in {"failed", "storing"}, system.answers) == (name, True, [200])
        assert state(system)[1] == {}
    with monkeypatch.context() as patch:
        later = calls_of(patch, ANSWERS["not there"])
        for _ in range(9):
            system.fal.advance(10_000)
            system.sweep()
    for job in map(system.job, ids):
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == {}
    assert [call for call in (*asked, *later) if not call.startswith("127.0.0.1:8787/")] == []
    assert len(system.requests()) == len(ANSWERS)


def test_an_output_host_that_comes_back(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fal's file host is down the job is `storing`, answered 200, and it is finished when the host is back."""
    with monkeypatch.context() as patch:
        calls_of(patch, ANSWERS["broken"])
        _, job = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.answers == [200]
        assert system.job(job["job_id"])["status"] == "storing"
    for _ in range(5):
        system.fal.advance(60)
        system.sweep()
    job = system.job(job["job_id"])
    assert job["status"] == "succeeded"
    ((key, content),) = state(system)[1].items()
    assert (job["outputs"][0]["key"], job["outputs"][0]["bytes"]) == (key, len(content))
