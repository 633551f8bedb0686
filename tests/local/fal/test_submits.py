"""Submitting."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

PAINT = "fal-ai/flux-pro/kontext/text-to-image"
HOOK = "https://hooks.example/fal?a=1&b=2"


def test_a_submit_is_answered_with_eight_fields(fal: "Fal") -> None:
    """The answer is a 200 with id, status, position, three URLs, null logs and empty metrics."""
    answer = fal.post()
    assert answer.status_code == 200
    job = answer.json()
    url = f"http://127.0.0.1:8787/fal-ai/flux-pro/requests/{job['request_id']}"
    assert job == {
        "request_id": job["request_id"],
        "status": "IN_QUEUE",
        "queue_position": 0,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": None,
        "metrics": {},
    }
    assert answer.headers["x-fal-request-id"] == job["request_id"]


def test_urls_are_on_the_callers_own_host(fal: "Fal") -> None:
    """Whatever name the caller used is in the URLs that it gets back."""
    job = fal.submit(headers={"Host": "fal.test:9000"})
    assert job["response_url"].startswith("http://fal.test:9000/fal-ai/flux-pro/requests/")


def test_a_reseller_names_another_host_and_another_app(fal: "Fal") -> None:
    """A gateway answers with fal's host, fal-ai/flux-1, and six fields, and takes Bearer."""
    fal.set(
        answer_urls_on="https://queue.fal.run",
        answer_app="fal-ai/flux-1",
        answer_is_short=True,
        auth_schemes=["Bearer"],
    )
    job = fal.submit("fal-ai/flux-pro/kontext/max", headers={"Authorization": "Bearer opaque"})
    url = f"https://queue.fal.run/fal-ai/flux-1/requests/{job['request_id']}"
    assert job == {
        "request_id": job["request_id"],
        "status": "IN_QUEUE",
        "queue_position": 0,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }
    proxied = f"/fal-ai/flux-1/requests/{job['request_id']}/status"
    assert fal.http.get(proxied, headers={"Authorization": "Bearer opaque"}).json()["status"] == "IN_QUEUE"
    assert fal.http.get(proxied).status_code == 401


def test_a_fast_model_may_run_when_the_submit_is_answered(fal: "Fal") -> None:
    """A script makes the answer say IN_PROGRESS."""
    fal.script({"start": "IN_PROGRESS"})
    first, second = fal.submit(), fal.submit()
    assert (first["status"], second["status"]) == ("IN_PROGRESS", "IN_QUEUE")
    fal.emulator.advance(2)
    assert fal.status(first)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", "json_invalid"), (b"[1]", "model_attributes_type"), (b"{}", "missing"), (b"", "missing")],
)
def test_no_body_is_refused_at_submit(fal: "Fal", body: bytes, kind: str) -> None:
    """Arguments are judged on the runner: the submit is a 200 and the request completes with a 422 list."""
    job = fal.http.post(f"/{PAINT}", content=body).json()
    fal.emulator.advance(10)
    assert fal.status(job)["status"] == "COMPLETED"
    answer = fal.http.get(job["response_url"])
    assert answer.status_code == 422
    assert [one["type"] for one in answer.json()["detail"]] == [kind]


def test_a_webhook_url_among_the_arguments_is_ignored(fal: "Fal") -> None:
    """Only the query names a webhook; the same field in the body does nothing and is no error."""
    job = fal.submit(arguments={"prompt": "a", "webhook_url": HOOK, "fal_webhook": HOOK})
    fal.emulator.advance(60)
    assert fal.sent == []
    assert fal.seen(job)["webhook_url"] is None
    assert fal.http.get(job["response_url"]).status_code == 200


def test_a_query_inside_the_webhook_url_survives(fal: "Fal") -> None:
    """The URL is decoded once, and called as it was given."""
    fal.submit(params={"fal_webhook": HOOK})
    fal.emulator.advance(10)
    assert [one.url for one in fal.sent] == [HOOK]


def test_a_queue_longer_than_wished_is_a_429(fal: "Fal") -> None:
    """fal_max_queue_length counts everybody's requests at the endpoint, and refuses only what is longer."""
    fal.submit()
    fal.submit("fal-ai/flux-pro/kontext/max/text-to-image")
    assert fal.post(params={"fal_max_queue_length": 1}).status_code == 200
    assert fal.post(params={"fal_max_queue_length": 1}).status_code == 429
    fal.set(others_queued=50)
    assert fal.post(params={"fal_max_queue_length": 51}).status_code == 429
    assert len(fal.http.get("/emulator/requests").json()["requests"]) == 3
    assert fal.post(params={"fal_max_queue_length": "many"}).json()["error_type"] == "bad_request"


def test_the_same_submit_twice_is_two_billed_requests(fal: "Fal") -> None:
    """There is no idempotency key: equal bodies are two requests, and both cost."""
    headers = {"Idempotency-Key": "one"}
    jobs = [fal.submit(headers=headers), fal.submit(headers=headers)]
    fal.emulator.advance(10)
    assert jobs[0]["request_id"] != jobs[1]["request_id"]
    assert [fal.seen(job)["billed_units"] for job in jobs] == [1, 1]


MALFORMED = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Key stranger:secret", "No user found for Key ID and Secret"),
        ("Key mine:secret ", "No user found for Key ID and Secret"),
        ("Key without-colon", MALFORMED),
        ("Key :", MALFORMED),
        ("Bearer mine:secret", MALFORMED),
        ("", MALFORMED),
    ],
)
def test_a_wrong_key_is_a_401_with_one_of_two_texts(fal: "Fal", header: str, text: str) -> None:
    """A key is unknown or malformed, and fal says which."""
    fal.set(keys=["mine:secret"])
    answer = fal.post(headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, {"detail": text})
    assert fal.post(headers={"Authorization": "Key mine:secret"}).status_code == 200


def test_a_locked_account_is_a_403_and_nothing_is_queued(fal: "Fal") -> None:
    """Submits are refused with fal's text while status polls still answer."""
    job = fal.submit()
    fal.set(locked=True)
    answer = fal.post()
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    assert len(fal.http.get("/emulator/requests").json()["requests"]) == 1
    fal.emulator.advance(10)
    assert fal.http.get(job["status_url"]).status_code == 200


@pytest.mark.parametrize(
    ("headers", "missed_at"),
    [
        ({"X-Fal-Request-Start-Timeout": "5"}, 5),
        ({"X-Fal-Request-Timeout": "5.0"}, 5),
        ({"X-Fal-Request-Start-Timeout": "5", "X-Fal-Request-Timeout": "90"}, 5),
    ],
)
def test_a_request_that_starts_too_late_is_a_504(fal: "Fal", headers: dict[str, str], missed_at: int) -> None:
    """Both names of the header bound the wait, and the newer one wins."""
    fal.script({"queue_seconds": 30})
    job = fal.submit(headers=headers, params={"fal_webhook": HOOK})
    fal.emulator.advance(missed_at - 0.1)
    assert fal.status(job)["status"] == "IN_QUEUE"
    fal.emulator.advance(0.2)
    answer = fal.http.get(job["response_url"])
    assert answer.status_code == 504
    assert answer.json() == {"detail": "Request timed out", "error_type": "request_timeout"}
    assert answer.headers["X-Fal-Request-Timeout-Type"] == "user"
    assert json.loads(fal.sent[0].body)["status"] == "ERROR"


def test_a_start_timeout_does_not_bound_the_run(fal: "Fal") -> None:
    """Once started, a request may run longer than its deadline for the start."""
    fal.script({"run_seconds": 60})
    job = fal.submit(headers={"X-Fal-Request-Start-Timeout": "2"})
    fal.emulator.advance(100)
    assert fal.http.get(job["response_url"]).status_code == 200


@pytest.mark.parametrize("value", ["soon", "0.1", "-1", "nan", "inf"])
def test_a_bad_timeout_header_is_a_400(fal: "Fal", value: str) -> None:
    """The deadline is a number greater than 0.1."""
    answer = fal.post(headers={"X-Fal-Request-Start-Timeout": value})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert answer.headers["X-Fal-Error-Type"] == "bad_request"
    assert fal.http.get("/emulator/requests").json() == {"requests": []}


def test_low_priority_waits_behind_normal(fal: "Fal") -> None:
    """A later normal request passes a low one, and an unknown priority is a normal one."""
    fal.set(concurrency=1)
    low = fal.submit(headers={"X-Fal-Queue-Priority": "low"})
    normal = fal.submit()
    unknown = fal.submit(headers={"X-Fal-Queue-Priority": "urgent"})
    assert [fal.status(job)["queue_position"] for job in (normal, unknown, low)] == [0, 1, 2]
    fal.emulator.advance(30)
    started = {job["request_id"]: fal.seen(job)["started_at"] for job in (low, normal, unknown)}
    assert sorted(started, key=lambda name: float(started[name])) == [
        one["request_id"] for one in (normal, unknown, low)
    ]


@pytest.mark.parametrize(("value", "attempts"), [("1", 1), ("true", 1), ("yes", 1), ("0", 3)])
def test_server_retries_can_be_turned_off(fal: "Fal", value: str, attempts: int) -> None:
    """X-Fal-No-Retry leaves one attempt."""
    fal.script({"fail_attempts": 2})
    job = fal.submit(headers={"X-Fal-No-Retry": value})
    fal.emulator.advance(60)
    assert fal.seen(job)["attempts"] == attempts
    assert fal.http.get(job["response_url"]).status_code == (503 if attempts == 1 else 200)


def test_no_payload_storage_means_a_short_life(fal: "Fal") -> None:
    """X-Fal-Store-IO: 0 leaves the result for an hour instead of thirty days."""
    kept, short = fal.submit(), fal.submit(headers={"X-Fal-Store-IO": "0"})
    fal.emulator.advance(3700)
    assert fal.http.get(kept["response_url"]).status_code == 200
    assert fal.http.get(short["response_url"]).status_code == 404
    assert fal.seen(short)["in_history"] is False


def test_output_files_live_as_long_as_the_lifecycle_says(fal: "Fal") -> None:
    """The preference is kept with the request, and its files are gone for good when it ends."""
    preference = {"expiration_duration_seconds": 120}
    job = fal.submit(headers={"X-Fal-Object-Lifecycle-Preference": json.dumps(preference)})
    fal.emulator.advance(60)
    url = fal.http.get(job["response_url"]).json()["images"][0]["url"]
    assert fal.seen(job)["lifecycle"] == preference
    assert fal.http.get(url).status_code == 200
    fal.emulator.advance(70)
    assert fal.http.get(url).status_code == 404


@pytest.mark.parametrize(
    ("preference", "lives"), [('{"expiration_duration_seconds": null}', True), ("[]", False), ("{", False)]
)
def test_a_lifecycle_without_end_keeps_files_for_ever(fal: "Fal", preference: str, lives: bool) -> None:
    """null is for ever; what is no object changes nothing, and files go after seven days."""
    url = fal.call(headers={"X-Fal-Object-Lifecycle-Preference": preference}).json()["images"][0]["url"]
    fal.emulator.advance(8 * 86400)
    assert (fal.http.get(url).status_code == 200) is lives
