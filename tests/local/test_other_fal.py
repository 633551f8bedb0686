"""The stack with another fal than its own: a gateway that resells fal, in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.fal import EmulatorSettings
from local.settings import ROOT, Fal, Ports, free_ports
from local.stack import Stack

TOKEN = {"Authorization": "Bearer local"}


@pytest.fixture
def gateway() -> Iterator[str]:
    """A gateway that wants `Bearer` and answers with fal's own URLs, under another app."""
    options = ["--auth-scheme", "Bearer", "--key", "the-gateway's-token", "--allow-private-webhooks"]
    fast = ["--queue-seconds", "0.1", "--run-seconds", "0.1", "--megapixels", "0.02"]
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "local.fal", "--port", "0", "--exit-with-parent", *options, *fast],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        url = process.stdout.readline().strip().removeprefix("FAL_QUEUE_URL=")
        answers = {"answer_urls_on": "https://queue.fal.run", "answer_app": "fal-ai/flux-1", "answer_is_short": True}
        assert set(answers) <= set(EmulatorSettings.model_fields)
        httpx.patch(f"{url}/emulator/settings", json=answers).raise_for_status()
        yield url
        process.terminate()


def test_a_gateway_works_end_to_end(gateway: str) -> None:
    """With its address, scheme and token set, no emulator is started, and a job ends with a stored picture."""
    environment = {
        "FAL_QUEUE_URL": gateway,
        "FAL_JWKS_URL": f"{gateway}/.well-known/jwks.json",
        "FAL_OUTPUT_HOSTS": gateway,
        "FAL_AUTH_SCHEME": "Bearer",
        "FAL_KEY": "the-gateway's-token",
    }
    ports = Ports.read({name: str(port) for name, port in free_ports().items()})
    with Stack(ports, Fal.choose(environment, ports)) as stack:
        assert not stack.fal.emulated
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{ports.fal}/emulator/health")
        job = httpx.post(f"{stack.api_url}/jobs", json={"prompt": "p", "tier": "max"}, headers=TOKEN, timeout=20).json()
        deadline = time.monotonic() + 30
        while job["status"] != "succeeded" and time.monotonic() < deadline:
            time.sleep(0.1)
            job = httpx.get(f"{stack.api_url}/jobs/{job['job_id']}", headers=TOKEN, timeout=20).json()
        assert job["status"] == "succeeded"
        assert httpx.get(job["outputs"][0]["url"]).content.startswith(b"\xff\xd8\xff")
    requests: list[dict[str, Any]] = httpx.get(f"{gateway}/emulator/requests").json()["requests"]
    assert [request["request_id"] for request in requests] == [job["request_id"]]
    stack.log.unlink()
