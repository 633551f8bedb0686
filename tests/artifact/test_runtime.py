"""The artifact under AWS's own runtime client and emulator, with moto and the fal emulator around it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from local.artifact import Python
from local.aws import session
from local.settings import OWNER, TOKEN, Fal, Ports, free_ports
from local.stack import Stack
from tests.artifact.emulation import EmulatedLambdas, Runtime
from tests.artifact.folders import Unpacked, contents
from tests.conftest import PHOTOS, ROOT

AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE = 60
T = TypeVar("T")


class Emulated(Stack):
    """The local stack with the artifact in it."""

    lambdas: EmulatedLambdas

    def post(self, body: Any) -> dict[str, Any]:
        """POST /jobs, and give the job that it answers with."""
        answer = httpx.post(f"{self.api_url}/jobs", headers=AUTHORIZATION, json=body, timeout=DEADLINE)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def settled(self, job_id: str) -> dict[str, Any]:
        """The job once it is settled."""

        def look() -> dict[str, Any] | None:
            job: dict[str, Any] = httpx.get(
                f"{self.api_url}/jobs/{job_id}", headers=AUTHORIZATION, timeout=DEADLINE
            ).json()
            return job if job["status"] in {"succeeded", "failed", "cancelled"} else None

        return wait_for(look, f"the end of job {job_id}")

    def outputs(self, prefix: str) -> dict[str, bytes]:
        """What is in the outputs bucket under a prefix."""
        with closing(session().client("s3", endpoint_url=self.aws_url)) as s3:
            listed = s3.list_objects_v2(Bucket="darkroom-outputs", Prefix=prefix).get("Contents", [])
            keys = [item["Key"] for item in listed]
            return {key: s3.get_object(Bucket="darkroom-outputs", Key=key)["Body"].read() for key in keys}


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {DEADLINE} s")


def recorded(name: str) -> dict[str, Any]:
    """One of the recorded events."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


@pytest.fixture(scope="module")
def runtime(
    unpacked: Unpacked, python: Python, runtime_client: Path, tmp_path_factory: pytest.TempPathFactory
) -> Runtime:
    """The artifact with all that it runs on."""
    return Runtime(python, runtime_client, unpacked.task, tmp_path_factory.mktemp("probe") / "compiled")


@pytest.fixture(scope="module")
def stack(runtime: Runtime) -> Iterator[Emulated]:
    """The stack, whose functions are the artifact; fal is asked after a second without a delivery."""
    ports = Ports.read({name: str(port) for name, port in free_ports().items()})
    fal = Fal.choose({}, ports)
    with pytest.MonkeyPatch.context() as patch:
        made: list[EmulatedLambdas] = []

        def make(*arguments: Any) -> EmulatedLambdas:
            made.append(EmulatedLambdas(runtime, *arguments))
            return made[0]

        patch.setattr("local.engines.Lambdas", make)
        with Emulated(ports, replace(fal, parameters=fal.parameters | {"PollSeconds": "1"})) as running:
            (running.lambdas,) = made
            yield running


@pytest.fixture(autouse=True)
def _nothing_is_compiled(stack: Emulated, runtime: Runtime) -> Iterator[None]:
    """Whatever a test does, no module of the artifact is compiled by it, and no file of it changes."""
    before = contents(runtime.task)
    yield
    assert stack.template.functions
    assert runtime.compiled_modules() == []
    assert contents(runtime.task) == before


def test_a_posted_job_succeeds(stack: Emulated) -> None:
    """from_api answers 202, the callback stores the delivery's picture, and the job is read with its link."""
    job = stack.settled(stack.post({"prompt": "A lighthouse at dusk", "tier": "max"})["job_id"])
    assert (job["status"], job["error"]) == ("succeeded", None)
    (output,) = job["outputs"]
    (content,) = stack.outputs(f"jobs/{OWNER}/{job['job_id']}").values()
    assert hashlib.sha256(content).hexdigest() == output["sha256"]
    assert httpx.get(output["url"]).content == content


def test_an_upload_is_edited(stack: Emulated) -> None:
    """from_upload takes the message of the queue, and the edited photo stands under its preset's key."""
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        s3.upload_file(str(PHOTOS / "coffee.png"), "darkroom-inputs", "products/coffee.png")
    (content,) = wait_for(partial(stack.outputs, "studio-shot/products/coffee/"), "the output").values()
    assert content.startswith(b"\x89PNG")


def test_a_lost_delivery_is_made_good_by_the_sweep(stack: Emulated) -> None:
    """Nothing calls back; the sweep asks fal, and stores the picture."""
    httpx.post(f"{stack.fal_url}/emulator/scripts", json={"deliveries": {"lost": True}}).raise_for_status()
    job_id = stack.post({"prompt": "A boat"})["job_id"]

    def look() -> bool:
        stack.lambdas.invoke("Sweep", recorded("every_minute"))
        answer = httpx.get(f"{stack.api_url}/jobs/{job_id}", headers=AUTHORIZATION, timeout=DEADLINE)
        return bool(answer.json()["status"] == "succeeded")

    wait_for(look, "the sweep's success")
    assert len(stack.outputs(f"jobs/{OWNER}/{job_id}")) == 1


def test_a_forged_delivery_is_refused(stack: Emulated) -> None:
    """The verifier runs with its compiled library: a delivery that nobody signed is answered 401."""
    answer = httpx.post(f"{stack.api_url}/webhooks/fal/0069", json={"status": "OK"}, timeout=DEADLINE)
    assert answer.status_code == 401


def test_the_recorded_events(stack: Emulated) -> None:
    """Each function answers the recorded events that are its own."""
    invoke = stack.lambdas.invoke
    assert invoke("Authorize", recorded("authorize")) == {"isAuthorized": True, "context": {"owner": OWNER}}
    posted = invoke("SubmitFromApi", recorded("post_job"))
    assert posted["statusCode"] == 202
    job_id = stack.settled(json.loads(posted["body"])["job_id"])["job_id"]
    assert job_id in invoke("ReadJobs", recorded("list_jobs"))["body"]
    assert json.loads(invoke("ReadJobs", recorded("health"))["body"]) == {"status": "ok"}
    assert invoke("SubmitFromUpload", recorded("upload_test_event")) == {"batchItemFailures": []}
    assert invoke("Sweep", recorded("every_minute")).keys() == {"advanced"}
