"""A result of several pictures, some of which cannot be stored; and how much patience each kind of trouble has."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.errors import OutputUnavailableError, OutputUnfitError
from tests.conftest import FAL
from tests.flow.deliveries import finished, signed
from tests.flow.test_paid_pictures import allow, with_images

Counted = Callable[[str], float]
PICTURES = 4


def deliver_with(system: Any, last: Any) -> str:
    """Deliver a result whose last picture is at another URL; gives the job's id."""
    job_id, delivery = finished(system, num_images=PICTURES)
    images = json.loads(delivery[2])["payload"]["images"]
    body = with_images(delivery, lambda _: [*images[:-1], {"url": last}])
    assert system.call_back(*signed(system, delivery, body)) == 200
    return job_id


@pytest.mark.parametrize(
    "bad", ["n/a", "/files/b.jpg", "https://v3.fal.media/a b.jpg", "https://v3.fal.media/ü.jpg", "data:image/png,xx"]
)
def test_one_picture_that_can_never_be_had(system: Any, bad: str) -> None:
    """Three good pictures are stored at once, whatever the fourth one's URL is."""
    job = system.job(deliver_with(system, bad))
    assert (job["status"], len(job["outputs"]), job["missing"]) == ("succeeded", 3, 1)


def test_a_picture_that_is_not_stored_is_counted_and_said(system: Any, counted: Counted) -> None:
    """The job succeeds, its view says why one is missing, and its row keeps the URL."""
    job_id = deliver_with(system, "https://v3.fal.media/a b.jpg")
    job = system.job(job_id)
    assert "malformed" in job["why"]
    assert job["error"] is None
    assert "a b.jpg" in system.row(job_id)["result_json"]["S"]
    assert (counted("PaidResultLost"), counted("JobSucceeded")) == (1, 1)


@pytest.mark.long
def test_one_picture_at_a_host_that_is_not_allowed(system: Any) -> None:
    """All wait for the operator; the day over, the others are stored while fal still has them."""
    job_id = deliver_with(system, "https://files.example/a.jpg")
    assert system.job(job_id)["reason"] == "output_host_not_allowed"
    assert system.job(job_id)["outputs"] == []
    system.pass_time(25 * 3600, 900)
    job = system.job(job_id)
    assert (job["status"], len(job["outputs"]), job["missing"]) == ("succeeded", 3, 1)


@pytest.mark.parametrize(
    "url", ["(truncated)", "/files/a.jpg", "//v3.fal.media/a.jpg", "file:///a", "ftp://x/a.jpg", "\0"]
)
def test_a_delivery_without_a_url_has_the_queue_asked(system: Any, url: str) -> None:
    """What no client could fetch is no picture: the queue still has the true one."""
    job_id, delivery = finished(system)
    body = with_images(delivery, lambda _: [{"url": url}])
    assert system.call_back(*signed(system, delivery, body)) == 200
    assert system.job(job_id)["status"] == "succeeded"


def failing(monkeypatch: pytest.MonkeyPatch, system: Any, *troubles: Exception) -> None:
    """Let fetching fail so, one time after the other, before it goes well."""
    downloads, waiting = system.app.downloads, list(troubles)
    really = downloads.fetch

    def fetch(url: str, deadline: float) -> Any:
        if waiting:
            raise waiting.pop(0)
        return really(url, deadline)

    monkeypatch.setattr(downloads, "fetch", fetch)


@pytest.mark.long
def test_one_page_after_an_outage_of_the_file_host(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that met the outage do not use up the patience with a page in the picture's place."""
    job_id, delivery = finished(system)
    failing(monkeypatch, system, *[OutputUnavailableError("503")] * 6, OutputUnfitError("page"))
    assert system.call_back(*delivery) == 200
    system.pass_time(2 * 3600, 60)
    assert system.job(job_id)["status"] == "succeeded"


@pytest.mark.long
def test_one_page_after_the_host_was_allowed(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the time in which the operator was waited for."""
    job_id, delivery = finished(system)
    allow(system, "files.example")
    assert system.call_back(*delivery) == 200
    system.pass_time(5 * 3600, 300)
    allow(system, FAL)
    failing(monkeypatch, system, OutputUnfitError("page"))
    system.pass_time(3600)
    assert system.job(job_id)["status"] == "succeeded"


@pytest.mark.long
def test_one_odd_result_after_an_outage_of_the_queue(system: Any, queue_says: Any) -> None:
    """fal's reads are down for an hour, then its first result is odd: it is asked again."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says(httpx.Response(503, json={"detail": "no"}))
    system.pass_time(3600)
    queue_says({"status": "COMPLETED"}, httpx.Response(200, json={"detail": "warming up"}))
    system.pass_time(900)
    assert system.job(job["job_id"])["reason"] == "unreadable_result"
    queue_says()
    system.pass_time(1800)
    assert system.job(job["job_id"])["status"] == "succeeded"


@pytest.mark.long
def test_a_result_that_can_never_be_read(system: Any, queue_says: Any, counted: Counted) -> None:
    """The queue says that it is there, for a day: the job says what it waits for, and its end is counted."""
    system.deliver = lambda *_: 503
    _, job = system.post({"prompt": "p"})
    queue_says({"status": "COMPLETED"}, httpx.Response(502, text="bad"))
    system.pass_time(3600, 600)
    assert system.job(job["job_id"])["reason"] == "result_unavailable"
    system.pass_time(25 * 3600, 600)
    job = system.job(job["job_id"])
    assert (job["status"], job["error"]["type"]) == ("failed", "result_unavailable")
    assert (counted("PaidResultLost"), counted("JobGivenUp")) == (1, 1)


def test_a_loss_is_counted_once(system: Any, counted: Counted) -> None:
    """The delivery that ended the job, come again, counts nothing."""
    _, delivery = finished(system)
    bad = signed(system, delivery, with_images(delivery, lambda _: [{"url": "https://v3.fal.media/a b.jpg"}]))
    for _ in range(4):
        assert system.call_back(*bad) == 200
    assert counted("PaidResultLost") == 1


def test_a_result_that_fits_no_request_is_counted_once(system: Any, counted: Counted) -> None:
    """fal delivers it again and again, as 404 is no 2xx: it is one picture. A stranger's does not count."""
    _, delivery = finished(system)
    other = json.loads(delivery[2]) | {"request_id": "y" * 36, "gateway_request_id": "y" * 36}
    assert system.call_back(*signed(system, delivery, other, request_id="y" * 36)) == 404
    assert counted("PaidResultLost") == 0, "no account is known yet, and fal knows no such request of ours"
    assert system.call_back(*delivery) == 200
    other = json.loads(delivery[2]) | {"request_id": "x" * 36, "gateway_request_id": "x" * 36}
    for _ in range(5):
        assert system.call_back(*signed(system, delivery, other, request_id="x" * 36)) == 404
    assert counted("PaidResultLost") == 1
