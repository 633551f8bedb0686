"""The stack with another fal than its own: a gateway that resells fal, and one that cannot call this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.fal import EmulatorSettings
from local.settings import ROOT, Fal, Ports, free_ports
from local.stack import Stack

pytestmark = pytest.mark.long


@contextmanager
def emulator(*options: str) -> Iterator[str]:
    """A fal in a process of its own; gives its address."""
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
        yield process.stdout.readline().strip().removeprefix("FAL_QUEUE_URL=")
        process.terminate()


def run_a_job(fal: str, **environment: str) -> dict[str, Any]:
    """Start a stack that uses this fal and none of its own, and wait until a job of it is done."""
    environment |= {
        "FAL_QUEUE_URL": fal,
        "FAL_JWKS_URL": f"{fal}/.well-known/jwks.json",
        "FAL_OUTPUT_HOSTS": fal,
    }
    ports = Ports.read({name: str(port) for name, port in free_ports().items()})
    with Stack(ports, Fal.choose(environment, ports)) as stack:
        assert not stack.fal.emulated
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{ports.fal}/emulator/health")
        token = {"Authorization": f"Bearer {stack.token}"}
        job = httpx.post(f"{stack.api_url}/jobs", json={"prompt": "p", "tier": "max"}, headers=token, timeout=20).json()
        deadline = time.monotonic() + 60
        while job["status"] != "succeeded" and time.monotonic() < deadline:
            time.sleep(0.1)
            job = httpx.get(f"{stack.api_url}/jobs/{job['job_id']}", headers=token, timeout=20).json()
        assert job["status"] == "succeeded"
        assert httpx.get(job["outputs"][0]["url"]).content.startswith(b"\xff\xd8\xff")
    stack.log.unlink()
    found: dict[str, Any] = job
    return found


def requests_at(fal: str) -> list[dict[str, Any]]:
    """What it accepted."""
    found: list[dict[str, Any]] = httpx.get(f"{fal}/emulator/requests").json()["requests"]
    return found


def test_a_gateway_works_end_to_end() -> None:
    """With its address, scheme and token set, and fal's own URLs in its answers, a job ends with a stored picture."""
    with emulator("--auth-scheme", "Bearer", "--key", "the-gateway's-token", "--allow-private-webhooks") as gateway:
        answers = {"answer_urls_on": "https://queue.fal.run", "answer_app": "fal-ai/flux-1", "answer_is_short": True}
        assert set(answers) <= set(EmulatorSettings.model_fields)
        httpx.patch(f"{gateway}/emulator/settings", json=answers).raise_for_status()
        job = run_a_job(gateway, FAL_AUTH_SCHEME="Bearer", FAL_KEY="the-gateway's-token")
        assert [request["request_id"] for request in requests_at(gateway)] == [job["request_id"]]


def test_a_fal_that_cannot_call_this_machine() -> None:
    """Like the real one it drops webhooks to a private address, and the job is finished by asking."""
    with emulator() as fal:
        job = run_a_job(fal, FAL_KEY="id:secret")
        (request,) = requests_at(fal)
        assert request["request_id"] == job["request_id"]
        assert [delivery["state"] for delivery in request["deliveries"]] == ["dropped"]
