"""The URLs that fal answers on."""

from typing import TYPE_CHECKING

import pytest

from local.fal.addresses import parse_address
from local.fal.settings import KONTEXT_ENDPOINTS
from tests.local.fal.conftest import PAINT

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal


@pytest.mark.parametrize("endpoint", KONTEXT_ENDPOINTS)
def test_every_kontext_endpoint_is_a_path_of_one_app(fal: "Fal", endpoint: str) -> None:
    """A submit goes to the whole endpoint, and the returned URLs carry owner and app only."""
    job = fal.submit(endpoint)
    assert job["status_url"] == f"http://127.0.0.1:8787/fal-ai/flux-pro/requests/{job['request_id']}/status"
    assert fal.seen(job)["endpoint"] == endpoint


def test_any_owner_app_and_path_can_be_an_endpoint(fal: "Fal") -> None:
    """Which endpoints exist is a setting; one that is no Kontext paints what it can."""
    fal.set(endpoints=["*"])
    for endpoint in ("somebody/thing", "somebody/thing/deep/down"):
        job = fal.submit(endpoint)
        assert job["response_url"].endswith(f"/somebody/thing/requests/{job['request_id']}")
        fal.emulator.advance(10)
        assert len(fal.http.get(job["response_url"]).json()["images"]) == 1


@pytest.mark.parametrize("namespace", ["workflows", "comfy"])
def test_namespaces_shift_the_app_by_one_segment(fal: "Fal", namespace: str) -> None:
    """An app below workflows/ or comfy/ has three segments in its request URLs."""
    job = fal.submit(f"{namespace}/me/flow/step")
    assert job["cancel_url"].endswith(f"/{namespace}/me/flow/requests/{job['request_id']}/cancel")
    assert fal.status(job)["status"] == "IN_QUEUE"


def test_request_urls_with_the_whole_endpoint_path_work_too(fal: "Fal") -> None:
    """The docs' sample carries the full path, so it is served."""
    job = fal.submit("fal-ai/flux-pro/kontext/max/text-to-image")
    full = f"/fal-ai/flux-pro/kontext/max/text-to-image/requests/{job['request_id']}"
    assert fal.http.get(f"{full}/status").json()["request_id"] == job["request_id"]
    assert fal.http.put(f"{full}/cancel").status_code == 202


def test_the_result_has_a_second_address_with_a_suffix(fal: "Fal") -> None:
    """The result is found with and without /response."""
    job = fal.submit()
    fal.emulator.advance(10)
    plain = fal.http.get(job["response_url"])
    assert plain.status_code == 200
    assert fal.http.get(job["response_url"] + "/response").content == plain.content


def test_trailing_slashes_change_nothing(fal: "Fal") -> None:
    """fal's own SDK ends its URLs with a slash."""
    job = fal.http.post("/fal-ai/flux-pro/kontext/text-to-image/", json={"prompt": "a"}).json()
    assert fal.http.get(job["status_url"] + "/").json()["status"] == "IN_QUEUE"
    fal.emulator.advance(10)
    assert fal.http.get(job["response_url"] + "/").status_code == 200


@pytest.mark.parametrize("path", ["/nobody/nothing", "/fal-ai/flux-pro/kontext/maximum", "/alone", "/"])
def test_an_unknown_app_or_path_is_not_found(fal: "Fal", path: str) -> None:
    """A submit to what does not exist is a 404 and leaves no request."""
    answer = fal.http.post(path, json={"prompt": "a"})
    assert answer.status_code == 404
    assert fal.http.get("/emulator/requests").json() == {"requests": []}


def test_a_request_of_another_app_is_not_found(fal: "Fal") -> None:
    """The id alone does not open a request: owner and app must be its own."""
    fal.set(endpoints=["*"])
    job = fal.submit()
    assert fal.http.get(f"/fal-ai/other/requests/{job['request_id']}/status").status_code == 404


@pytest.mark.parametrize(("method", "what"), [("POST", "status"), ("GET", "cancel"), ("DELETE", "")])
def test_the_wrong_method_is_refused(fal: "Fal", method: str, what: str) -> None:
    """Each URL has one method."""
    job = fal.submit()
    assert fal.http.request(method, f"{job['response_url']}/{what}").status_code == 405
    assert fal.http.get("/fal-ai/flux-pro/kontext").status_code == 405


def test_an_address_needs_owner_and_app() -> None:
    """One segment, or a request without an id, names nothing."""
    assert parse_address("/workflows/me") is None
    assert parse_address("/fal-ai/flux-pro/requests") is None
    found = parse_address("//fal-ai/flux-pro/requests/7/status/stream")
    assert found is not None
    assert (found.app, found.request_id, found.asked) == ("fal-ai/flux-pro", "7", "status/stream")


def test_a_run_answers_with_the_result(fal: "Fal") -> None:
    """What is posted below /run, to the host fal.run, or with its URL in the proxy's header waits for the pictures."""
    for path, headers in {
        f"/run/{PAINT}": {},
        f"/{PAINT}": {"Host": "fal.run"},
        "/": {"X-Fal-Target-Url": f"https://fal.run/{PAINT}"},
    }.items():
        found = fal.http.post(path, json={"prompt": "a"}, headers=headers)
        assert found.status_code == 200
        assert found.json()["images"][0]["url"].startswith("http://127.0.0.1:8787/files/")
    assert fal.http.get(f"/run/{PAINT}").status_code == 405


def test_a_run_that_fails_says_so(fal: "Fal") -> None:
    """The model's own answer is the answer; what is not accepted is refused as a submit is."""
    assert fal.http.post(f"/run/{PAINT}", json={}).status_code == 422
    fal.script({"submit": {"answer": 429}})
    assert fal.http.post(f"/run/{PAINT}", json={"prompt": "a"}).status_code == 429


def test_a_proxied_call_is_for_the_url_in_its_header(fal: "Fal") -> None:
    """Path and query are those of the URL that the client means, whatever it was sent to."""
    target = f"https://queue.fal.run/{PAINT}?fal_webhook=https%3A%2F%2Fhooks.example%2Ffal"
    job = fal.http.post("/proxy?a=1", json={"prompt": "a"}, headers={"X-Fal-Target-Url": target}).json()
    assert fal.seen(job)["webhook_url"] == "https://hooks.example/fal"
    status = f"https://queue.fal.run/{PAINT}/requests/{job['request_id']}/status?logs=1"
    assert fal.http.get("/proxy", headers={"X-Fal-Target-Url": status}).json()["request_id"] == job["request_id"]


def test_options_are_told_to_everybody(fal: "Fal") -> None:
    """OPTIONS needs no key."""
    answer = fal.http.options(f"/{PAINT}", headers={"Authorization": ""})
    assert (answer.status_code, "POST" in answer.headers["Allow"]) == (204, True)
