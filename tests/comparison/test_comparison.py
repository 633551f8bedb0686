"""The same uploads, the same fal and the same faults for Darkroom and for a plain handler on fal's own client."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import fal_client
import httpx
import pytest

from local.fal.serving import Listener
from shared import waiting
from tests.comparison.plain_handler import PlainHandler

UPLOADS = 60
PLAN = {
    "seed": 11,
    "rules": [
        {"share": 0.10, "script": {"submit": {"answer": "closed", "accepted": True}}},
        {"share": 0.05, "script": {"submit": {"answer": "nginx_502", "accepted": True}}},
        {"share": 0.05, "script": {"submit": {"answer": 429}}},
        {"share": 0.05, "script": {"submit": {"answer": "closed"}}},
    ],
}
"""Of all submits a tenth loses its reply and a twentieth gets an ingress's page though fal accepted it; some fail."""
COPIES = 10
"""Each so-manieth event comes twice, as AWS may deliver it."""


class ToPort(httpx.BaseTransport):
    """Real HTTP to the port on which the emulator happens to listen."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a call."""
        request.url = request.url.copy_with(port=self._port)
        return self._http.handle_request(request)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()


@pytest.fixture
def port(system: Any) -> Iterator[int]:
    """The system's fal on a port, where sockets can be cut."""
    listener = Listener(system.fal, "127.0.0.1", 0)
    listener.start()
    yield listener.port
    listener.stop()


def events(system: Any) -> list[dict[str, Any]]:
    """The uploads' events, some of them twice."""
    made = [system.put(f"sketch/{number}.png") for number in range(UPLOADS)]
    return [event for number, event in enumerate(made) for _ in range(1 + (number % COPIES == 0))]


def begin_chaos(system: Any) -> None:
    """Let fal's faults begin, the same row for whoever submits."""
    with httpx.Client(transport=httpx.WSGITransport(app=system.fal), base_url="http://127.0.0.1:8787") as fal:
        fal.post("/emulator/chaos", json=PLAN).raise_for_status()


def paid(system: Any) -> Counter[str]:
    """How often each upload was accepted by fal, by the path of its link."""
    return Counter(urlsplit(request["arguments"]["image_url"]).path for request in system.requests())


def test_darkroom_pays_once(system: Any, port: int, record_property: Any) -> None:
    """Every upload is edited, and each is accepted by fal exactly once, even where lost attempts are sent again."""
    for name, preset in system.app.presets.items():
        system.app.presets[name] = preset.model_copy(update={"on_unknown": "resubmit"})
    with httpx.Client(transport=ToPort(port), timeout=20) as system.app.http:
        batch = events(system)
        begin_chaos(system)
        for event in batch:
            assert system.upload(event) == []
        system.pass_time(waiting.ATTEMPT + 1800, 600)
        assert {job["status"] for job in system.jobs()} == {"succeeded"}
        counts = paid(system)
        assert len(counts) == UPLOADS
        assert set(counts.values()) == {1}
        record_property("Darkroom: paid requests per job", f"{counts.total() / UPLOADS:.3f}")


def test_a_plain_handler_does_not(
    system: Any, port: int, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """fal's own client sends again whatever it heard no answer to, and a copy of an event is another request."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"http://127.0.0.1:{port}/")
    monkeypatch.setattr("fal_client.client.time.sleep", lambda _: None)
    client = fal_client.SyncClient(key="id:secret")
    handler = PlainHandler(client, system.s3, "https://api.example/webhook")
    batch = events(system)
    begin_chaos(system)
    for event in batch:
        handler.handle({"Records": [{"body": json.dumps(event)}]}, None)
    client._client.close()  # noqa: SLF001 - it offers no other way to let go of its connections
    counts = paid(system)
    assert len(counts) == UPLOADS
    assert counts.total() / UPLOADS >= 1.2
    record_property("plain fal_client handler: paid requests per job", f"{counts.total() / UPLOADS:.3f}")
