"""Fetching results, and how long they are kept."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

HOUR = 3600
DAY = 24 * HOUR
SHORT = {"X-Fal-Store-IO": "0"}


def test_the_result_is_a_400_until_it_is_there(fal: "Fal") -> None:
    """Waiting and running requests answer with fal's text."""
    job = fal.submit()
    for _ in range(2):
        answer = fal.http.get(job["response_url"])
        assert (answer.status_code, answer.json()) == (400, {"detail": "Request is still in progress"})
        fal.emulator.advance(1)


def test_the_result_of_a_success_is_the_models_body(fal: "Fal") -> None:
    """All five fields of Kontext's output are there, and a record for the picture."""
    answer = fal.call({"prompt": "a tiger", "seed": 7})
    assert answer.status_code == 200
    body = answer.json()
    (image,) = body.pop("images")
    assert body == {"timings": {"inference": 1.5}, "seed": 7, "has_nsfw_concepts": [False], "prompt": "a tiger"}
    assert set(image) == {"url", "content_type", "width", "height"}


def test_a_single_image_endpoint_gives_the_fuller_record(fal: "Fal") -> None:
    """kontext and kontext/max name and measure their file."""
    answer = fal.call({"prompt": "a", "image_url": "https://photos.example/cat.png"}, "fal-ai/flux-pro/kontext/max")
    (image,) = answer.json()["images"]
    assert image["file_size"] == len(fal.http.get(image["url"]).content)
    assert image["url"].endswith("/" + image["file_name"])


def test_a_failure_comes_with_the_models_own_code_and_body(fal: "Fal") -> None:
    """Whatever the model answered is what the result fetch answers."""
    body = {"detail": [{"loc": ["body"], "msg": "no", "type": "content_policy_violation", "url": "u"}]}
    fal.script({"result": {"status": 422, "body": body, "headers": {"x-model": "kontext"}}})
    answer = fal.call()
    assert (answer.status_code, answer.json()) == (422, body)
    assert answer.headers["x-model"] == "kontext"


def test_the_result_of_a_cancelled_request_is_a_499(fal: "Fal") -> None:
    """The client's own cancel is named as the error."""
    job = fal.submit()
    fal.http.put(job["cancel_url"])
    answer = fal.http.get(job["response_url"])
    assert (answer.status_code, answer.json()["error_type"]) == (499, "client_cancelled")


def test_the_headers_tell_id_units_and_error(fal: "Fal") -> None:
    """A success has id and units; a failure also says its type and whether a retry is worth it."""
    good = fal.call()
    assert good.headers["x-fal-billable-units"] == "1"
    assert good.headers["x-fal-request-id"] == good.request.url.path.rsplit("/", 1)[-1]
    assert "X-Fal-Retryable" not in good.headers
    fal.script({"infrastructure_error": "runner_disconnected"})
    lost = fal.call()
    assert (lost.headers["X-Fal-Error-Type"], lost.headers["X-Fal-Retryable"]) == ("runner_disconnected", "true")
    wrong = fal.call({})
    assert (wrong.headers["X-Fal-Retryable"], "X-Fal-Error-Type" in wrong.headers) == ("false", False)


def test_the_headers_together_are_at_most_16_kilobytes(fal: "Fal") -> None:
    """A model's own headers are left out where they do not fit."""
    fal.script({"result": {"status": 200, "body": {}, "headers": {f"x-{at}": "v" * 1000 for at in range(40)}}})
    answer = fal.call()
    assert sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) <= 16 * 1024
    assert "x-5" in answer.headers
    assert "x-39" not in answer.headers
    assert answer.headers["x-fal-request-id"]


def expiry(fal: "Fal", size: int, headers: dict[str, str]) -> float:
    """Measure for how many seconds after completion a result of that size is kept."""
    fal.script({"result": {"status": 200, "body": "x" * size}})
    job = fal.submit(headers=headers)
    fal.emulator.advance(60)
    seen = fal.seen(job)
    fal.emulator.advance(seen["expires_at"] - fal.emulator.clock.now() - 1)
    assert fal.http.get(job["response_url"]).status_code == 200
    fal.emulator.advance(2)
    assert fal.http.get(job["response_url"]).status_code == 404
    assert fal.http.get(job["status_url"]).json() == {"status": "NOT_FOUND"}
    return float(seen["expires_at"] - seen["completed_at"])


def test_a_result_lives_an_hour(fal: "Fal") -> None:
    """Without payload storage a usual result is forgotten after an hour."""
    assert expiry(fal, 1000, SHORT) == HOUR


def test_a_large_result_lives_six_minutes(fal: "Fal") -> None:
    """The line is 10 KB of JSON."""
    assert expiry(fal, 10 * 1024 - 3, SHORT) == HOUR
    assert expiry(fal, 10 * 1024, SHORT) == 360


def test_a_stored_result_lives_thirty_days_unless_it_is_huge(fal: "Fal") -> None:
    """Payload storage, the default, keeps all but what exceeds 1 MB."""
    assert expiry(fal, 1000, {}) == 30 * DAY
    assert expiry(fal, 50_000, {}) == 30 * DAY
    assert expiry(fal, 1_100_000, {}) == 360


def test_an_account_may_go_without_payload_storage(fal: "Fal") -> None:
    """The setting does for all requests what the header does for one."""
    fal.set(store_io=False)
    assert expiry(fal, 1000, {}) == HOUR


@pytest.mark.parametrize("what", ["images", "seed", "timings", "has_nsfw_concepts"])
def test_fields_of_the_result_can_be_missing(fal: "Fal", what: str) -> None:
    """fal's own examples leave out fields that the schema requires."""
    fal.script({"drop_fields": [what]})
    assert what not in fal.call().json()
