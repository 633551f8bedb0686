"""A paid picture is stored whatever is odd about its result, said to be flagged or missing, and never lost unseen."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.fal import Script
from local.fal.scripts import ScriptedResult
from shared.app import App
from shared.settings import Settings
from tests.conftest import FAL, SETTINGS
from tests.flow.deliveries import Delivery, finished, signed


def with_images(delivery: Delivery, images: Any, **more: Any) -> dict[str, Any]:
    """A delivery's body with other images in the payload, built around the URL of its own picture."""
    body: dict[str, Any] = json.loads(delivery[2])
    url = body["payload"]["images"][0]["url"]
    payload = body["payload"] | {"images": images(url)} | more
    return body | {"payload": payload}


@pytest.mark.parametrize(
    ("images", "indexes"),
    [
        (lambda url: [{"url": url}, None], [0]),
        (lambda url: [None, {"url": url}], [1]),
        (lambda url: [7, "x", [], {}, {"url": 7}, {"url": ""}, {"url": url}], [6]),
        (lambda url: [{"url": url, "width": "wide", "height": None, "content_type": 5}], [0]),
        (lambda url: [url], [0]),
        (lambda url: {"url": url}, [0]),
        (lambda url: [{"url": url}, {"url": None}], [0]),
    ],
)
def test_what_has_a_url_is_taken(system: Any, images: Any, indexes: list[int]) -> None:
    """A paid picture is kept, whatever stands beside it in the result, under the index at which it was."""
    job_id, delivery = finished(system)
    assert system.call_back(*signed(system, delivery, with_images(delivery, images))) == 200
    job = system.job(job_id)
    assert (job["status"], [output["index"] for output in job["outputs"]]) == ("succeeded", indexes)


def test_a_result_with_its_picture_under_another_name(system: Any) -> None:
    """`image` in place of `images` is a picture all the same."""
    job_id, delivery = finished(system)
    body = with_images(delivery, lambda _: None)
    body["payload"]["image"] = json.loads(delivery[2])["payload"]["images"][0]
    assert system.call_back(*signed(system, delivery, body)) == 200
    assert len(system.job(job_id)["outputs"]) == 1


@pytest.mark.long
@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"images": [None, {}], "note": "NOTE"}, "empty_result"),
        ({"pictures": ["NOTE"]}, "unreadable_result"),
        (["NOTE"], "unreadable_result"),
        ({"images": "NOTE"}, "unreadable_result"),
    ],
)
def test_a_result_without_any_picture_is_kept_and_counted(
    system: Any, counted: Callable[[str], float], result: Any, kind: str, *, delivered: bool
) -> None:
    """fal was paid: what it said stays in the row, whether it was delivered or asked for, and the loss is counted."""
    if not delivered:
        system.deliver = lambda *_: 503
    system.fal.add_scripts(Script(result=ScriptedResult(body=result)))
    _, job = system.post({"prompt": "p"})
    system.pass_time(7200)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", kind)
    assert "NOTE" in system.row(job["job_id"])["result_json"]["S"]
    assert counted("PaidResultLost") == 1


@pytest.mark.parametrize("lost", [True, False])
def test_flagged_pictures_say_so(system: Any, *, lost: bool) -> None:
    """fal's safety flag is on each output, in the view, in the row and on the object; no flag is no statement."""
    if lost:
        system.deliver = lambda *_: 503
    system.fal.add_scripts(Script(nsfw=True), Script(), Script(drop_fields=("has_nsfw_concepts",)))
    jobs = [system.post({"prompt": "p", "num_images": 2})[1]["job_id"] for _ in range(3)]
    system.pass_time(300)
    for job_id, flag in zip(jobs, (True, False, None), strict=True):
        outputs = system.job(job_id)["outputs"]
        assert [output["nsfw"] for output in outputs] == [flag, flag]
        row = [output["M"].get("nsfw", {}).get("BOOL") for output in system.row(job_id)["outputs"]["L"]]
        assert row == [flag, flag]
        for output in outputs:
            head = system.s3.head_object(Bucket="darkroom-outputs", Key=output["key"])
            assert head["Metadata"].get("darkroom-nsfw") == ("true" if flag else None)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ([True, False], [True, False]),
        ([False, True], [False, True]),
        ([True], [True, None]),
        (True, [True, True]),
        ("yes", [None, None]),
        ([1, "true"], [None, None]),
        (None, [None, None]),
    ],
)
def test_flags_belong_to_their_pictures(system: Any, flags: Any, shown: list[bool | None]) -> None:
    """Each flag is of the picture at its place; what is no flag says nothing, and costs no picture."""
    job_id, delivery = finished(system, num_images=2)
    body = json.loads(delivery[2])
    body["payload"]["has_nsfw_concepts"] = flags
    assert system.call_back(*signed(system, delivery, body)) == 200
    assert [output["nsfw"] for output in system.job(job_id)["outputs"]] == shown


def test_a_flag_is_kept_while_its_picture_cannot_be_stored(system: Any) -> None:
    """The file host is down for a while: the flag comes along with what is kept of the result."""
    system.fal.add_scripts(Script.model_validate({"nsfw": True, "files": {"answer": "html", "first": 2}}))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.job(job["job_id"])["status"] == "storing"
    system.pass_time(600)
    assert [output["nsfw"] for output in system.job(job["job_id"])["outputs"]] == [True]


def test_fewer_pictures_than_asked_for_are_counted_on_the_job(system: Any) -> None:
    """A job that succeeded says how many pictures fal did not make."""
    job_id, delivery = finished(system, num_images=4)
    images = json.loads(delivery[2])["payload"]["images"]
    body = with_images(delivery, lambda _: [images[0], None, images[2]])
    assert system.call_back(*signed(system, delivery, body)) == 200
    job = system.job(job_id)
    assert (job["status"], len(job["outputs"]), job["missing"]) == ("succeeded", 2, 2)
    _, whole = system.post({"prompt": "p", "num_images": 4})
    assert whole["missing"] == 0


def test_more_pictures_than_asked_for_are_left(system: Any) -> None:
    """Whoever asked, and paid, for two pictures gets two, however many a result names."""
    job_id, delivery = finished(system, num_images=2)
    body = with_images(delivery, lambda url: [{"url": url}] * 300)
    assert system.call_back(*signed(system, delivery, body)) == 200
    assert [output["index"] for output in system.job(job_id)["outputs"]] == [0, 1]
    assert system.s3.list_objects_v2(Bucket="darkroom-outputs")["KeyCount"] == 2


def allow(system: Any, hosts: str) -> None:
    """Deploy with other FalOutputHosts: the functions start again with them."""
    settings = Settings.from_environment(SETTINGS | {"FAL_OUTPUT_HOSTS": hosts})
    app = system.app
    fresh = App(settings, client=app.client, http=app.http, now=app.now, sleep=app.sleep)
    app.__dict__["downloads"] = fresh.downloads


@pytest.mark.long
def test_a_host_that_is_allowed_later_saves_its_pictures(system: Any, counted: Callable[[str], float]) -> None:
    """fal has moved its files: the job waits and says for which host, and adding the host rescues it."""
    allow(system, "files.example")
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    job = system.job(job["job_id"])
    assert (job["status"], job["reason"], system.answers) == ("storing", "output_host_not_allowed", [200])
    assert "127.0.0.1:8787" in job["why"]
    system.pass_time(20 * 3600, 600)
    assert system.job(job["job_id"])["status"] == "storing"
    assert counted("OutputNotAllowed") > 10
    allow(system, FAL)
    system.pass_time(1800, 300)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert counted("PaidResultLost") == 0


@pytest.mark.long
def test_a_host_that_is_never_allowed_loses_them_seen(system: Any, counted: Callable[[str], float]) -> None:
    """After a day the job fails with the host's name, the URLs stay in the row, and the loss is counted."""
    allow(system, "files.example")
    _, job = system.post({"prompt": "p"})
    system.pass_time(25 * 3600, 600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "output_host_not_allowed")
    assert FAL in system.row(job["job_id"])["result_json"]["S"]
    assert (counted("PaidResultLost"), counted("JobGivenUp")) == (1, 1)


@pytest.mark.parametrize(
    "url",
    [
        *("https://files.example/a.jpg", "http://v3.fal.media/a.jpg", "https://v3.fal.media:8443/a.jpg"),
        *("https://169.254.169.254/a", "http://127.0.0.1:1/a.jpg"),
    ],
)
def test_every_place_that_is_not_listed_waits_for_the_operator(system: Any, url: str) -> None:
    """Another host, scheme or port may be where fal has moved to: nothing is fetched there, and nothing is lost."""
    job_id, delivery = finished(system)
    assert system.call_back(*signed(system, delivery, with_images(delivery, lambda _: [{"url": url}]))) == 200
    assert (system.job(job_id)["status"], system.job(job_id)["reason"]) == ("storing", "output_host_not_allowed")


@pytest.mark.parametrize("fault", [{"answer": "redirect", "location": "https://v3.fal.media/"}, {"answer": "html"}])
def test_whatever_fails_a_paid_job_is_counted(system: Any, counted: Callable[[str], float], fault: Any) -> None:
    """A picture that is refused, or never becomes one, was paid: the loss is counted once, and the URL is kept."""
    system.fal.add_scripts(Script.model_validate({"files": fault}))
    _, job = system.post({"prompt": "p"})
    system.pass_time(3 * 3600, 300)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "output_refused")
    assert FAL in system.row(job["job_id"])["result_json"]["S"]
    assert counted("PaidResultLost") == 1


@pytest.mark.long
def test_pictures_that_cannot_be_fetched_for_a_day_are_counted(system: Any, counted: Callable[[str], float]) -> None:
    """The file host stays down: given up with its reason, and counted as what it is."""
    system.fal.add_scripts(Script.model_validate({"files": {"answer": 404}}))
    _, job = system.post({"prompt": "p"})
    system.pass_time(25 * 3600, 900)
    assert system.job(job["job_id"])["error"]["type"] == "output_unavailable"
    assert counted("PaidResultLost") == 1
