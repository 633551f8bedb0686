"""Whatever JSON is posted or delivered is answered as the API says, and nothing that is refused is written or paid."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import System
from tests.flow.deliveries import finished, signed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("prompt", "image_url", "image_urls", "num_images", "seed", "preset", "tier", "endpoint", "guidance_scale")
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=6), VALUES, max_size=4) | VALUES
PAYLOADS = st.dictionaries(st.sampled_from(["images", "detail", "seed", "prompt"]), VALUES, max_size=3) | VALUES
of_one_system = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@of_one_system
@given(body=BODIES)
@example(body={"prompt": "a", "num_images": True})
@example(body={"prompt": "\ud83d"})
@example(body={"prompt": "a", "image_url": "s3://darkroom-outputs/../x"})
def test_any_body_is_taken_or_refused(body: Any, system: System) -> None:
    """Never a 5xx; one that is refused names a problem, and leaves neither a row nor a request."""
    rows, requests = len(system.rows()), len(system.requests())
    status, answer = system.post(body)
    if status == 202:
        assert len(system.rows()) == rows + 1
        return
    assert 400 <= status < 500
    assert answer["type"].startswith("urn:darkroom:problem:")
    assert (len(system.rows()), len(system.requests())) == (rows, requests)


@of_one_system
@given(payload=PAYLOADS, status=st.sampled_from(["OK", "ERROR"]), more=st.dictionaries(st.text(max_size=6), VALUES))
@example(payload={"images": [{"url": "https://evil.example/a.jpg"}]}, status="OK", more={})
def test_any_payload_that_fal_signed_moves_its_job_or_waits(
    payload: Any, status: str, more: dict[str, Any], system: System
) -> None:
    """The job has what fal made for it, or fails with a reason, or still waits; nothing of a body becomes an output."""
    job_id, delivery = finished(system)
    said = more | json.loads(delivery[2]) | {"status": status, "payload": payload}
    answer = system.call_back(*signed(system, delivery, said))
    job = system.job(job_id)
    assert answer == 200 or (answer == 503 and job["status"] not in {"succeeded", "failed"})
    assert (job["status"] == "succeeded") is (len(job["outputs"]) == 1)
    assert job["status"] != "failed" or job["error"]["type"]
