"""What a webhook says, and fal's signature on it."""

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from nacl.signing import SigningKey

from local.fal.keys import jwk, sign
from tests.local.fal.signatures import published, verifies

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

HOOK = {"fal_webhook": "https://hooks.example/fal"}
SEED = 17454220438242315174


def event(fal: "Fal", arguments: object = None, *scripts: dict[str, object]) -> dict[str, Any]:
    """Run a request to its end and give its one event."""
    fal.script(*scripts)
    fal.submit(arguments=arguments, params=HOOK)
    fal.emulator.advance(120)
    (sent,) = fal.sent
    found: dict[str, Any] = json.loads(sent.body)
    return found


def test_there_is_one_event_and_it_comes_at_completion(fal: "Fal") -> None:
    """Nothing is said while a request waits or runs, also when it runs twice."""
    fal.script({"fail_attempts": 1})
    job = fal.submit(params=HOOK)
    fal.emulator.advance(4.4)
    assert fal.sent == []
    fal.emulator.advance(0.2)
    assert len(fal.sent) == 1
    assert fal.status(job)["status"] == "COMPLETED"
    fal.emulator.advance(7200)
    assert len(fal.sent) == 1


def test_the_event_of_a_success(fal: "Fal") -> None:
    """Keys are sorted, separators are Python's own, and error is null."""
    found = event(fal)
    assert fal.sent[0].body == json.dumps(found, sort_keys=True).encode()
    assert fal.sent[0].body.startswith(b'{"error": null, "gateway_request_id": "')
    assert found["status"] == "OK"
    job = fal.http.get("/emulator/requests").json()["requests"][0]
    result = fal.http.get(f"/fal-ai/flux-pro/requests/{job['request_id']}").json()
    assert found["payload"] == result


def test_the_event_of_a_models_refusal_carries_its_list(fal: "Fal") -> None:
    """ERROR, the status in words, and the list of details as payload."""
    found = event(fal, {})
    assert (found["status"], found["error"]) == ("ERROR", "Invalid status code: 422")
    assert found["payload"]["detail"][0]["loc"] == ["body", "prompt"]


def test_the_event_of_an_infrastructure_failure_is_flat(fal: "Fal") -> None:
    """ERROR with one text and its type."""
    found = event(fal, None, {"infrastructure_error": "runner_server_error"})
    assert (found["status"], found["error"]) == ("ERROR", "Invalid status code: 500")
    assert found["payload"] == {"detail": "Runner failed", "error_type": "runner_server_error"}


def test_an_event_can_lose_its_payload_though_the_result_is_there(fal: "Fal") -> None:
    """OK with a null payload and a payload_error means: fetch it."""
    found = event(fal, None, {"payload_error": True})
    assert (found["status"], found["payload"]) == ("OK", None)
    assert found["payload_error"].startswith("Response payload is not JSON serializable.")
    assert set(found) == {"gateway_request_id", "payload", "payload_error", "request_id", "status"}
    result = fal.http.get(f"/fal-ai/flux-pro/requests/{found['request_id']}")
    assert len(result.json()["images"]) == 1


def test_the_gateway_id_is_another_after_a_server_retry(fal: "Fal") -> None:
    """Without one, both ids are the same."""
    found = event(fal, None, {"fail_attempts": 1}, {})
    assert found["gateway_request_id"] != found["request_id"]
    fal.sent.clear()
    plain = event(fal)
    assert plain["gateway_request_id"] == plain["request_id"]


def test_a_seed_can_exceed_63_bits(fal: "Fal") -> None:
    """The seed met in a real event comes through digit by digit."""
    assert event(fal, {"prompt": "a"}, {"seed": SEED})["payload"]["seed"] == SEED
    assert f'"seed": {SEED}'.encode() in fal.sent[0].body


def test_fields_of_the_payload_can_be_missing(fal: "Fal") -> None:
    """Width, height, seed and timings are left out, as in fal's own examples."""
    payload = event(fal, None, {"drop_fields": ["width", "height", "seed", "timings"]})["payload"]
    assert set(payload) == {"images", "has_nsfw_concepts", "prompt"}
    assert set(payload["images"][0]) == {"url", "content_type"}


def test_a_success_can_name_no_file(fal: "Fal") -> None:
    """The URL is the empty text, as in fal's own examples."""
    assert event(fal, None, {"empty_url": True})["payload"]["images"][0]["url"] == ""


def test_a_success_can_be_flagged(fal: "Fal") -> None:
    """Moderation shows as a flag for each picture, and perhaps as a black picture."""
    payload = event(fal, {"prompt": "a", "num_images": 2}, {"nsfw": True, "black": True})["payload"]
    assert payload["has_nsfw_concepts"] == [True, True]
    assert payload["seed"] > 0


def test_the_four_headers(fal: "Fal") -> None:
    """Request, account, Unix seconds as decimal text, and 128 hex characters."""
    found = event(fal)
    headers = fal.sent[0].headers
    assert headers["X-Fal-Webhook-Request-Id"] == found["request_id"]
    assert headers["X-Fal-Webhook-User-Id"] == fal.emulator.settings.user_id
    assert headers["X-Fal-Webhook-Timestamp"] == str(int(fal.sent[0].at))
    assert len(bytes.fromhex(headers["X-Fal-Webhook-Signature"])) == 64
    assert headers["Content-Type"] == "application/json"


def test_the_signature_is_good_for_these_bytes_only(fal: "Fal") -> None:
    """A published key verifies the delivery as it is, and none with another body or time."""
    event(fal)
    (sent,) = fal.sent
    assert verifies(sent, published(fal))
    assert not verifies(type(sent)(sent.at, sent.url, sent.headers, sent.body + b" ", sent.timeout), published(fal))
    later = sent.headers | {"X-Fal-Webhook-Timestamp": str(int(sent.at) + 1)}
    assert not verifies(type(sent)(sent.at, sent.url, later, sent.body, sent.timeout), published(fal))


def test_the_signature_of_a_known_key() -> None:
    """The signer agrees with a vector that was computed independently."""
    key = SigningKey(bytes(range(32)))
    body = b'{"error": null, "gateway_request_id": "r1", "payload": {"images": []}, "request_id": "r1", "status": "OK"}'
    assert jwk(key) == {"kty": "OKP", "crv": "Ed25519", "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}
    assert sign(key, "r1", "user_1", "1700000000", body) == (
        "f7ebbaf2ae75c61eae1b6545820d40b2def087894fb3d11fef4f9b81b109a155"
        "37be4ded79ba02809a90c72bcc1be8b7d04f6de8c521c53a9b802bca4a817803"
    )


def test_several_keys_are_published_without_padding(fal: "Fal") -> None:
    """Each x is 43 characters of base64url."""
    fal.set(jwks_keys=3)
    keys = published(fal)
    assert [(key["kty"], key["crv"], len(key["x"])) for key in keys] == [("OKP", "Ed25519", 43)] * 3
    assert len({key["x"] for key in keys}) == 3


def test_keys_rotate(fal: "Fal") -> None:
    """A new key signs and the oldest is published no more; what it signed verifies until then."""
    event(fal)
    old = fal.sent[0]
    before = published(fal)
    fal.http.post("/emulator/keys/rotate")
    assert published(fal)[:-1] == before[1:]
    assert verifies(old, published(fal))
    fal.sent.clear()
    event(fal)
    assert not verifies(fal.sent[0], before)
    assert verifies(fal.sent[0], published(fal))
    fal.http.post("/emulator/keys/rotate")
    assert not verifies(old, published(fal))


@pytest.mark.parametrize(("mode", "status"), [("down", 503), ("empty", 200), ("oversized", 200)])
def test_the_keys_document_can_fail(fal: "Fal", mode: str, status: int) -> None:
    """It may be unavailable, without keys, or of megabytes."""
    fal.set(jwks=mode)
    answer = fal.http.get("/.well-known/jwks.json")
    assert answer.status_code == status
    if mode == "empty":
        assert answer.json() == {"keys": []}
    if mode == "oversized":
        assert len(answer.content) > 5_000_000


def test_the_keys_document_can_be_slow(fal: "Fal") -> None:
    """On a clock that stands still the wait takes no time of ours."""
    fal.set(jwks="slow", jwks_slow_seconds=30)
    before, began = fal.emulator.clock.now(), time.monotonic()
    published(fal)
    assert fal.emulator.clock.now() - before == 30
    assert time.monotonic() - began < 5
