"""From the event to the stored output, on each of the ways in and each endpoint."""

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from local.fal import Script
from shared.endpoints import Endpoint

BODIES: dict[Endpoint, dict[str, Any]] = {
    Endpoint.KONTEXT: {"image_url": "photos/coffee.png"},
    Endpoint.MULTI: {"image_urls": ["photos/coffee.png", "photos/cat.png"]},
    Endpoint.TEXT_TO_IMAGE: {},
    Endpoint.MAX: {"image_url": "s3://darkroom-inputs/photos/coffee.png", "tier": "max"},
    Endpoint.MAX_MULTI: {"image_urls": ["photos/coffee.png", "photos/cat.png"], "tier": "max"},
    Endpoint.MAX_TEXT_TO_IMAGE: {"tier": "max"},
}


def check_outputs(system: Any, job: dict[str, Any], count: int = 1, image_format: str = "JPEG") -> None:
    """Every output of a job is there, is the picture that the job says, and can be read."""
    assert job["status"] == "succeeded"
    assert [output["index"] for output in job["outputs"]] == list(range(count))
    for output in job["outputs"]:
        stored = system.s3.get_object(Bucket="darkroom-outputs", Key=output["key"])
        content = stored["Body"].read()
        picture = Image.open(io.BytesIO(content))
        assert picture.format == image_format
        assert picture.size == (output["width"], output["height"])
        assert (output["bytes"], output["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert stored["ContentType"] == output["content_type"] == f"image/{image_format.lower()}"
        assert stored["Metadata"] == {"darkroom-job": job["job_id"]}
        assert output["url"].startswith("https://darkroom-outputs.s3.amazonaws.com/")


def test_an_upload_becomes_an_edited_picture(system: Any) -> None:
    """A photo under a preset's prefix ends under the documented key, and nobody called anything."""
    assert system.upload(system.put("products/shoes/red one+.png")) == []
    system.fal.advance(10)
    (job,) = system.jobs()
    check_outputs(system, job, image_format="PNG")
    assert job["outputs"][0]["key"] == f"studio-shot/products/shoes/red one+/{job['job_id']}-0.png"
    assert (job["preset"], job["endpoint"]) == ("studio-shot", "fal-ai/flux-pro/kontext")
    assert job["upload"] == {"bucket": "darkroom-inputs", "key": "products/shoes/red one+.png"}
    (request,) = system.requests()
    assert request["request_id"] == job["request_id"]
    assert request["arguments"]["prompt"].startswith("Place the product on a seamless light grey studio background")


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_each_endpoint_end_to_end(system: Any, endpoint: Endpoint) -> None:
    """All six endpoints take a body, and tier and images alone choose them."""
    system.put("photos/coffee.png")
    system.put("photos/cat.png", "chelsea.png")
    status, job = system.post({"prompt": "Make it blue", **BODIES[endpoint]})
    assert (status, job["status"], job["endpoint"]) == (202, "queued", endpoint)
    system.fal.advance(10)
    check_outputs(system, system.job(job["job_id"]))
    (request,) = system.requests()
    assert (request["endpoint"], request["request_id"]) == (endpoint, job["request_id"])


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_each_endpoint_by_name(system: Any, endpoint: Endpoint) -> None:
    """An endpoint may be named, with the fields that fal documents for it."""
    system.put("photos/coffee.png")
    system.put("photos/cat.png", "chelsea.png")
    images = {name: value for name, value in BODIES[endpoint].items() if name != "tier"}
    fields = {"num_images": 2, "output_format": "png", "seed": 7, "aspect_ratio": "16:9", "safety_tolerance": "5"}
    status, job = system.post({"endpoint": endpoint, "prompt": "p", **images, **fields})
    assert (status, job["endpoint"]) == (202, endpoint)
    system.fal.advance(10)
    job = system.job(job["job_id"])
    check_outputs(system, job, count=2, image_format="PNG")
    assert job["seed"] == "7"
    sent = system.requests()[0]["arguments"]
    assert {name: sent[name] for name in fields} == fields


def test_the_answer_says_where_to_look(system: Any) -> None:
    """202 comes with the job and its Location."""
    answer = system.http("POST", "/jobs", body=b'{"prompt": "p"}')
    job = json.loads(answer["body"])
    assert answer["headers"]["Location"] == f"/jobs/{job['job_id']}"
    assert system.job(job["job_id"])["status"] == "queued"


def test_sync_mode_brings_the_pictures_inside_the_delivery(system: Any) -> None:
    """Data URIs in a delivery are stored like any output."""
    _, job = system.post({"prompt": "p", "sync_mode": True, "num_images": 2})
    system.fal.advance(10)
    job = system.job(job["job_id"])
    check_outputs(system, job, count=2)
    assert b"data:image/jpeg;base64," in system.deliveries[0][2]


def test_an_output_can_be_edited_further(system: Any) -> None:
    """An output's s3:// reference is an input like any other for who asks for it."""
    _, first = system.post({"prompt": "p"})
    system.fal.advance(10)
    key = system.job(first["job_id"])["outputs"][0]["key"]
    status, refused = system.post({"prompt": "again", "image_url": f"s3://darkroom-outputs/{key}"})
    assert status == 202
    system.fal.advance(10)
    check_outputs(system, system.job(refused["job_id"]))


def test_a_preset_can_be_posted(system: Any) -> None:
    """A body may name a preset and override what it says."""
    system.put("photos/coffee.png")
    _, job = system.post({"preset": "claymation", "image_url": "photos/coffee.png", "output_format": "png", "seed": 1})
    assert (job["preset"], job["endpoint"]) == ("claymation", Endpoint.MAX)
    system.fal.advance(10)
    job = system.job(job["job_id"])
    check_outputs(system, job, image_format="PNG")
    assert job["outputs"][0]["key"] == f"claymation/shop/{job['job_id']}-0.png"
    assert system.requests()[0]["arguments"]["prompt"] == "Restyle to Claymation style"


def test_two_presets_make_two_jobs_of_one_upload(system: Any) -> None:
    """Each preset that matches is a job of its own."""
    system.upload(system.put("cars/a.jpg", "rocket.jpg"))
    system.fal.advance(10)
    assert {"car-red", "car-blue"} == {job["preset"] for job in system.jobs()}
    for job in system.jobs():
        check_outputs(system, job)


@pytest.mark.parametrize("photo", ["coffee.png", "coffee.webp", "coffee.avif", "chelsea.gif", "rocket.jpg"])
def test_each_accepted_format_is_edited(system: Any, photo: str) -> None:
    """jpg, png, webp, gif and avif are edited, whatever their names say."""
    system.upload(system.put("sketch/photo.bin", photo))
    system.fal.advance(10)
    check_outputs(system, system.jobs()[0])


def test_a_large_seed_survives(system: Any) -> None:
    """A seed beyond 2^63 comes back digit for digit, as text, and can be sent again so."""
    system.fal.add_scripts(Script(seed=17454220438242315174))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.job(job["job_id"])["seed"] == "17454220438242315174"
    system.post({"prompt": "p", "seed": "17454220438242315174"})
    assert {"17454220438242315174"} <= {str(request["arguments"].get("seed")) for request in system.requests()}


def test_a_result_with_only_urls_is_enough(system: Any) -> None:
    """fal's own examples leave out all but the URL; the size is read from the picture."""
    fields = ("width", "height", "seed", "timings", "has_nsfw_concepts", "prompt", "content_type")
    system.fal.add_scripts(Script(drop_fields=fields))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    job = system.job(job["job_id"])
    check_outputs(system, job)
    assert job["seed"] is None


def test_five_aws_calls_for_a_job_with_one_output(system: Any) -> None:
    """A warm container puts, updates, reads, stores and updates; an upload is also looked into, once.

    A copy of an event costs one call, and so does a copy of a delivery.
    """
    system.post({"prompt": "warms the secrets up"})
    system.fal.advance(10)
    system.aws_calls.clear()
    system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.aws_calls == ["PutItem", "UpdateItem", "GetItem", "PutObject", "UpdateItem"]
    system.aws_calls.clear()
    event = system.put("sketch/a.png")
    system.upload(event)
    system.fal.advance(10)
    assert system.aws_calls == ["PutItem", "GetObject", "UpdateItem", "GetItem", "PutObject", "UpdateItem"]
    system.aws_calls.clear()
    system.upload(event)
    assert system.aws_calls == ["PutItem"]
    system.aws_calls.clear()
    assert system.call_back(*system.deliveries[-1]) == 200
    assert system.aws_calls == ["GetItem"]


def test_through_a_reseller_s_gateway(make_system: Callable[..., Any]) -> None:
    """With Bearer, and answers that name fal's own host and another app, every way to a settled job works."""
    system = make_system(
        {"FAL_AUTH_SCHEME": "Bearer", "FAL_KEY": "token"},
        auth_schemes=("Bearer",),
        answer_urls_on="https://queue.fal.run",
        answer_app="fal-ai/flux-1",
        answer_is_short=True,
    )
    _, job = system.post({"prompt": "p", "tier": "max"})
    assert system.row(job["job_id"])["request"]["M"]["status_url"]["S"].startswith(
        "https://queue.fal.run/fal-ai/flux-1/"
    )
    system.fal.advance(10)
    check_outputs(system, system.job(job["job_id"]))
    system.fal.add_scripts(Script(payload_error=True))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    check_outputs(system, system.job(job["job_id"]))
