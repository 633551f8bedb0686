"""Drives fal's own client against the host that its environment names, and prints what came of it."""

import json
import sys
import tempfile
from pathlib import Path

import fal_client

ENDPOINTS: dict[str, dict[str, str | list[str]]] = {
    "fal-ai/flux-pro/kontext": {"image_url": "data"},
    "fal-ai/flux-pro/kontext/multi": {"image_urls": ["data", "data"]},
    "fal-ai/flux-pro/kontext/text-to-image": {},
    "fal-ai/flux-pro/kontext/max": {"image_url": "data"},
    "fal-ai/flux-pro/kontext/max/multi": {"image_urls": ["data", "data"]},
    "fal-ai/flux-pro/kontext/max/text-to-image": {},
}


def try_endpoint(endpoint: str, arguments: dict[str, object]) -> dict[str, object]:
    """Use every verb of the client once on the endpoint."""
    states: list[str] = []
    handle = fal_client.submit(endpoint, arguments)
    for event in handle.iter_events(with_logs=True, interval=0.02):
        states += [type(event).__name__] if states[-1:] != [type(event).__name__] else []
    by_id = fal_client.status(endpoint, handle.request_id, with_logs=True)
    assert isinstance(by_id, fal_client.Completed)
    subscribed = fal_client.subscribe(endpoint, arguments, start_timeout=30, priority="low")
    other = fal_client.submit(endpoint, arguments)
    other.cancel()
    try:
        other.get()
        refused = 0
    except fal_client.client.FalClientHTTPError as error:
        refused = error.status_code
    return {
        "states": states,
        "by_id": type(by_id).__name__,
        "inference_time": by_id.metrics["inference_time"],
        "result": fal_client.result(endpoint, handle.request_id),
        "subscribed": subscribed,
        "after_cancel": refused,
    }


def upload(base_url: str) -> dict[str, str]:
    """Upload whole and in parts; the hosts for files have no environment variable and must be patched."""
    fal_client.client.REST_URL = fal_client.client.CDN_URL = base_url
    fal_client.client.MULTIPART_THRESHOLD = 1000
    fal_client.client.MULTIPART_CHUNK_SIZE = 400
    with tempfile.TemporaryDirectory() as directory:
        large = Path(directory, "large.bin")
        large.write_bytes(bytes(range(256)) * 8)
        return {
            "whole": fal_client.upload(b"some bytes", "text/plain", file_name="a.txt"),
            "parted": fal_client.upload_file(large),
        }


def main() -> None:
    """Try all endpoints with the image that standard input carries as a data URI."""
    image = sys.stdin.read()
    report: dict[str, object] = {}
    for endpoint, fields in ENDPOINTS.items():
        filled = {name: [image] * len(value) if isinstance(value, list) else image for name, value in fields.items()}
        report[endpoint] = try_endpoint(endpoint, {"prompt": "a tiger", "seed": 5, **filled})
    try:
        fal_client.subscribe("fal-ai/flux-pro/kontext", {})
    except fal_client.client.FalClientHTTPError as error:
        report["refusal"] = [error.status_code, error.args[0]]
    report["uploads"] = upload(sys.argv[1])
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
