"""What a deployment finds under way: rows, ids and webhook URLs that older code wrote are still understood."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.fal.scripts import Script
from shared.jobs import Upload
from shared.settings import WebhookSecret
from shared.webhook_urls import Target
from tests.conftest import PHOTOS, System, plain_client

ROWS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("golden_rows.json").read_text())
"""Of 2026-11-27, and never changed: a new form of a row is a new copy beside it."""
DELIVERED: dict[str, Any] = json.loads(Path(__file__).with_name("golden_deliveries.json").read_text())
"""The same of deliveries: the bytes that were signed, and the keys that were published."""
POSTED = {"prompt": "A lighthouse", "num_images": 2, "seed": 7}
DRAWN = {"bytes", "sha256"}
"""What changes with the library that draws the emulator's pictures."""


def put(row: dict[str, Any]) -> None:
    """Have the table hold a row as it was written."""
    plain_client("dynamodb").put_item(TableName="darkroom-jobs", Item=row)


def settled(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is different in each run."""
    outputs = [
        {name: value for name, value in output["M"].items() if name not in DRAWN} for output in row["outputs"]["L"]
    ]
    return {**row, "nonce": None, "outputs": outputs}


def test_rows_have_the_form_that_they_had(system: System) -> None:
    """The same post and the same upload make the same rows, name by name: another form needs a copy of its own."""
    _, job = system.post(POSTED, idempotency_key="golden")
    assert settled(system.row(job["job_id"]) or {}) == settled(ROWS["queued"])
    system.upload(system.put("sketch/golden.png"))
    system.pass_time(120)
    (row,) = [row for row in system.rows() if "upload" in row]
    assert settled(row) == settled(ROWS["succeeded"])


def test_a_job_under_way_is_finished(system: System) -> None:
    """Its delivery fits the URL that it was given, its outputs are stored, and nothing is sent again."""
    _, job = system.post(POSTED, idempotency_key="golden")
    put(ROWS["queued"])
    system.pass_time(120)
    assert system.answers == [200]
    shown = system.job(job["job_id"])
    assert (shown["status"], len(shown["outputs"])) == ("succeeded", 2)
    assert len(system.requests()) == 1


def test_a_job_under_way_whose_webhook_is_lost_is_finished(system: System) -> None:
    """The sweep finds it, and asks for what the row says."""
    system.fal.add_scripts(Script.model_validate({"deliveries": {"lost": True}}))
    system.post(POSTED, idempotency_key="golden")
    put(ROWS["queued"])
    system.pass_time(300)
    assert system.job(ROWS["queued"]["job_id"]["S"])["status"] == "succeeded"
    assert len(system.requests()) == 1


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [("ok", "succeeded", None), ("error", "failed", "content_policy_violation"), ("payload_error", "succeeded", None)],
)
def test_a_delivery_on_its_way_is_taken(
    name: str, status: str, why: str | None, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signature fits the keys that fal has published, and what it says settles the job that it names."""
    monkeypatch.setattr(system.fal.keys, "document", lambda: DELIVERED["jwks"])
    jpeg = (PHOTOS / "rocket.jpg").read_bytes()
    for index in range(2):
        system.fal.files.put(f"golden/{index}.jpg", jpeg, "image/jpeg", 86_400)
    system.post(POSTED, idempotency_key="golden")
    system.fal.advance(10)
    delivery = DELIVERED["deliveries"][name]
    put(ROWS["queued"])
    assert system.call_back(DELIVERED["url"], delivery["headers"], delivery["body"].encode()) == 200
    job = system.job(ROWS["queued"]["job_id"]["S"])
    assert (job["status"], (job["error"] or {}).get("type")) == (status, why)
    assert len(job["outputs"]) == (2 if status == "succeeded" else 0)
    forged = {**delivery["headers"], "X-Fal-Webhook-User-Id": "github|7654321"}
    assert system.call_back(DELIVERED["url"], forged, delivery["body"].encode()) == 401


def test_a_repeated_post_finds_its_job(system: System) -> None:
    """The id comes of owner and Idempotency-Key, and the fingerprint of the body, as they did."""
    put(ROWS["queued"])
    status, job = system.post(POSTED, idempotency_key="golden")
    assert (status, job["job_id"]) == (202, ROWS["queued"]["job_id"]["S"])
    assert system.requests() == []


def test_an_event_that_comes_again_makes_no_second_job(system: System) -> None:
    """The id comes of bucket, key, version and preset, as it did."""
    event = system.put("sketch/golden.png")
    put(ROWS["succeeded"])
    assert system.upload(event) == []
    assert [row["job_id"] for row in system.rows()] == [ROWS["succeeded"]["job_id"]]
    assert system.requests() == []
    versioned = Upload(bucket="darkroom-inputs", key="products/ä b.jpg", version="3sL4kqtJlcpXroDTDmJ")
    assert versioned.job_id("studio-shot") == "a60128c45eee3b4729226bf5f53297da"


def test_a_settled_job_is_shown(system: System) -> None:
    """To its owner, alone and in the list."""
    put(ROWS["succeeded"])
    job = system.job(ROWS["succeeded"]["job_id"]["S"])
    assert (job["status"], job["preset"], job["seed"]) == ("succeeded", "pencil-sketch", "15657797043665947326")
    assert [output["key"] for output in job["outputs"]] == [
        "pencil-sketch/sketch/golden/7737462eda459b7c3fa436ea873e0a40-0.jpg"
    ]
    assert [one["job_id"] for one in system.jobs()] == [job["job_id"]]


def test_a_url_that_fal_has_is_known_again() -> None:
    """The bytes of the MAC are those that they were."""
    secret = WebhookSecret(url="https://api.example", mac_key="k" * 64)
    target = Target("592b53ed16fcdeac5873dc773e489076", 3)
    mac = "5de0587f3ada51107c6b68fba576ef3ad791f235b92bbe2c69e9376ca2635a03"
    assert target.url(secret) == f"https://api.example/webhooks/fal/{target.job_id}?attempt=3&mac={mac}"
    assert Target.from_url(target.job_id, {"attempt": "3", "mac": mac}, lambda: secret) == target
