"""Deliveries that fal made, held back, and made again with other content and a true signature."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from local.fal import Emulator
from local.fal.keys import sign

FAL = "http://127.0.0.1:8787"
ORDER = 2**252 + 27742317777372353535851937790883648493
REQUEST_ID = "X-Fal-Webhook-Request-Id"
USER_ID = "X-Fal-Webhook-User-Id"
TIMESTAMP = "X-Fal-Webhook-Timestamp"
SIGNATURE = "X-Fal-Webhook-Signature"
HTML = b"<!doctype html><html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

Delivery = tuple[str, dict[str, str], bytes]


def held(system: Any) -> list[Delivery]:
    """Let fal believe that its deliveries arrive, and keep them here instead."""
    kept: list[Delivery] = []

    def keep(url: str, headers: dict[str, str], body: bytes, _timeout: float) -> int:
        kept.append((url, headers, body))
        return 200

    system.deliver = keep
    return kept


def finished(system: Any, **fields: Any) -> tuple[str, Delivery]:
    """A job that fal is done with, and the delivery that says so and has not come yet."""
    kept = held(system)
    _, job = system.post({"prompt": "p", **fields})
    system.fal.advance(10)
    (delivery,) = kept
    assert system.job(job["job_id"])["status"] == "queued"
    return job["job_id"], delivery


def signed(system: Any, delivery: Delivery, body: Any = None, **changes: str) -> Delivery:
    """The delivery with another body, request, account or time, signed by fal."""
    url, headers, content = delivery
    content = content if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request_id = changes.get("request_id", headers[REQUEST_ID])
    user_id = changes.get("user_id", headers[USER_ID])
    timestamp = changes.get("timestamp", headers[TIMESTAMP])
    signature = sign(system.fal.keys.current, request_id, user_id, timestamp, content)
    own = {REQUEST_ID: request_id, USER_ID: user_id, TIMESTAMP: timestamp, SIGNATURE: signature}
    return url, headers | own, content


def result(delivery: Delivery, *images: Any) -> dict[str, Any]:
    """A delivery's body that brings other images."""
    event: dict[str, Any] = json.loads(delivery[2])
    return event | {"payload": event["payload"] | {"images": [{"url": image} for image in images]}}


def error(delivery: Delivery, payload: Any) -> dict[str, Any]:
    """A delivery's body that says that the request failed."""
    event: dict[str, Any] = json.loads(delivery[2])
    return event | {"status": "ERROR", "error": "Invalid status code: 422", "payload": payload}


def state(system: Any) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """All that Darkroom keeps: the rows, and every output with its bytes."""
    listed = system.s3.list_objects_v2(Bucket="darkroom-outputs").get("Contents", [])
    bodies = {item["Key"]: system.s3.get_object(Bucket="darkroom-outputs", Key=item["Key"]) for item in listed}
    rows = sorted(system.rows(), key=lambda row: str(row["job_id"]))
    return rows, {key: body["Body"].read() for key, body in bodies.items()}


def warm(system: Any) -> None:
    """Let one job go through, so that secrets and keys are at hand."""
    system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.answers == [200]
    system.aws_calls.clear()


def calls_of(monkeypatch: pytest.MonkeyPatch, answer: tuple[str, str, bytes] | None = None) -> list[str]:
    """Note what is asked of fal by HTTP, and give another answer for output files where one is told."""
    asked: list[str] = []
    really = Emulator.__call__

    def call(self: Emulator, environ: Any, start_response: Any) -> Iterable[bytes]:
        asked.append(f"{environ['HTTP_HOST']}{environ['PATH_INFO']}")
        if answer is None or not environ["PATH_INFO"].startswith("/files/"):
            return really(self, environ, start_response)
        status, content_type, body = answer
        moved = [("Location", "http://169.254.169.254/latest/meta-data/")] if status.startswith("3") else []
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *moved])
        return [body]

    monkeypatch.setattr(Emulator, "__call__", call)
    return asked
