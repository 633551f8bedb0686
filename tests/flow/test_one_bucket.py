"""Both buckets are one: no output ever becomes an upload, whatever keys, presets and copies make of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.presets import Preset, check_uploads
from shared.settings import Settings
from tests.conftest import SETTINGS

ONE = {"INPUTS_BUCKET": "darkroom-inputs", "OUTPUTS_BUCKET": "darkroom-inputs", "OUTPUTS_PREFIX": "edited/"}
EVERYTHING = {
    "everything": Preset.model_validate(
        {"name": "everything", "uploads": "everything", "tier": "pro", "arguments": {"prompt": "x"}}
    )
}
"""A preset that each object of the bucket fits, outputs too."""


def created_since(system: Any, seen: set[str]) -> list[dict[str, Any]]:
    """The events of all objects that are new in the bucket, as S3 would send them for each."""
    listed = system.s3.list_objects_v2(Bucket="darkroom-inputs").get("Contents", [])
    new = [item for item in listed if item["Key"] not in seen]
    seen |= {item["Key"] for item in new}
    return [system.created(item["Key"], etag=item["ETag"].strip('"'), size=item["Size"]) for item in new]


def take_in(system: Any, seen: set[str]) -> None:
    """Tell the function of every object that is new, outputs too, and let what it starts come to its end."""
    for event in created_since(system, seen):
        assert system.upload(event) == []
    system.pass_time(60)


def test_outputs_stand_under_their_prefix_and_start_nothing(make_system: Callable[..., Any]) -> None:
    """With a preset that fits every object, one upload is one paid request, however often its output is told of."""
    system = make_system(ONE)
    system.app.presets = EVERYTHING
    seen: set[str] = set()
    system.put("products/cup.png")
    for _ in range(5):
        take_in(system, seen)
    (output,) = seen - {"products/cup.png"}
    assert output.startswith("edited/everything/products/cup/")
    assert len(system.requests()) == len(system.rows()) == 1


def test_a_loop_by_copies_ends_with_nothing_paid(make_system: Callable[..., Any]) -> None:
    """Outputs that somebody's rule copies back among the uploads are known by their mark: a job fails, none is paid."""
    system = make_system(ONE)
    system.app.presets = EVERYTHING
    seen: set[str] = set()
    system.put("products/cup.png")
    for _ in range(5):
        take_in(system, seen)
        for key in [key for key in seen if key.startswith("edited/")]:
            source = {"Bucket": "darkroom-inputs", "Key": key}
            system.s3.copy_object(Bucket="darkroom-inputs", Key=key.replace("edited/", "again/"), CopySource=source)
    assert len(system.requests()) == 1
    copied = next(job for job in system.jobs() if job["status"] == "failed")
    assert copied["error"]["type"] == "own_output"
    assert len(system.jobs()) == 2


def test_two_buckets_with_overlapping_keys_do_not_loop(make_system: Callable[..., Any]) -> None:
    """Where outputs are copied to the inputs bucket under the same key, nothing is paid either."""
    system = make_system()
    system.app.presets = EVERYTHING
    system.upload(system.put("products/cup.png"))
    system.pass_time(60)
    (output,) = system.s3.list_objects_v2(Bucket="darkroom-outputs")["Contents"]
    source = {"Bucket": "darkroom-outputs", "Key": output["Key"]}
    system.s3.copy_object(Bucket="darkroom-inputs", Key=output["Key"], CopySource=source)
    assert system.upload(*created_since(system, {"products/cup.png"})) == []
    assert len(system.requests()) == 1


def test_one_bucket_without_a_prefix_is_refused() -> None:
    """Functions do not start where each output would be an upload; the message names the variable."""
    with pytest.raises(SettingsError, match=r"OUTPUTS_PREFIX: .*needed where both buckets are one"):
        Settings.from_environment(SETTINGS | {"OUTPUTS_BUCKET": "darkroom-inputs"})
    with pytest.raises(SettingsError, match=r"OUTPUTS_PREFIX: .*expected folders"):
        Settings.from_environment(SETTINGS | {"OUTPUTS_PREFIX": "edited"})


def test_a_preset_that_waits_among_outputs_is_refused() -> None:
    """A preset whose uploads could never come is an error that names it, and one beside them is not."""
    body = {"name": "late", "tier": "pro", "arguments": {"prompt": "x"}}
    check_uploads({"late": Preset.model_validate(body | {"uploads": [{"prefix": "edit"}]})}, "edited/")
    with pytest.raises(SettingsError, match=r"presets\.late\.uploads: edited/more/ lies in edited/"):
        check_uploads({"late": Preset.model_validate(body | {"uploads": [{"prefix": "edited/more/"}]})}, "edited/")


def test_health_says_when_the_stack_is_not_well_set_up(make_system: Callable[..., Any]) -> None:
    """A preset among the outputs is found by the first GET /health after a deploy, which tells the world no details."""
    prefix = "products/"  # which presets.yaml waits for
    system = make_system(ONE | {"OUTPUTS_PREFIX": prefix})
    status, body = system.get("/health")
    assert (status, body["detail"]) == (500, "the stack is misconfigured; its log says how")
    assert make_system(ONE).get("/health") == (200, {"status": "ok"})


def test_what_is_no_output_is_not_edited_from_among_them(system: Any) -> None:
    """An old bucket may hold objects of others: no token reaches it, while an owner's outputs are edited further."""
    system.put("private.png", bucket="darkroom-outputs")
    body = {"prompt": "x", "image_url": "s3://darkroom-outputs/private.png"}
    status, answer = system.post(body)
    assert status == 422
    assert "does not exist" in json.dumps(answer["errors"])
    assert system.requests() == system.rows() == []


def test_what_is_beside_the_outputs_is_out_of_reach(make_system: Callable[..., Any]) -> None:
    """An object outside OutputsPrefix, which the function's role may not read, is refused without asking for it."""
    system = make_system({"OUTPUTS_PREFIX": "edited/"})
    system.put("private.png", bucket="darkroom-outputs")
    before = len(system.aws_calls)
    status, answer = system.post({"prompt": "x", "image_url": "s3://darkroom-outputs/private.png"})
    assert status == 422
    assert "expected s3://<bucket>/<key>" in json.dumps(answer["errors"])
    assert len(system.aws_calls) == before
