"""The arguments of the six endpoints, judged as fal's runners judge them."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

PHOTO = "https://photos.example/cat.png"
EDITS = ["fal-ai/flux-pro/kontext", "fal-ai/flux-pro/kontext/max"]
MULTIS = ["fal-ai/flux-pro/kontext/multi", "fal-ai/flux-pro/kontext/max/multi"]
PAINTS = ["fal-ai/flux-pro/kontext/text-to-image", "fal-ai/flux-pro/kontext/max/text-to-image"]
RATIOS = ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]


def faults(fal: "Fal", endpoint: str, arguments: dict[str, object]) -> list[dict[str, Any]]:
    """Give the details of the refusal, or none."""
    answer = fal.call(arguments, endpoint)
    if answer.status_code == 200:
        return []
    assert answer.status_code == 422
    found: list[dict[str, Any]] = answer.json()["detail"]
    return found


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("prompt", 7, "string_type"),
        ("seed", "x", "int_parsing"),
        ("seed", 1.5, "int_from_float"),
        ("guidance_scale", 0.9, "greater_than_equal"),
        ("guidance_scale", 20.1, "less_than_equal"),
        ("num_images", 0, "greater_than_equal"),
        ("num_images", 5, "less_than_equal"),
        ("output_format", "webp", "literal_error"),
        ("safety_tolerance", 2, "literal_error"),
        ("safety_tolerance", "7", "literal_error"),
        ("aspect_ratio", "string", "literal_error"),
        ("aspect_ratio", "5:4", "literal_error"),
        ("sync_mode", "perhaps", "bool_parsing"),
        ("enhance_prompt", [], "bool_type"),
    ],
)
def test_a_value_outside_the_schema_is_refused(fal: "Fal", field: str, value: object, kind: str) -> None:
    """Each fault names its place, its type and fal's page about it."""
    (fault,) = faults(fal, PAINTS[0], {"prompt": "a", field: value})
    assert (fault["loc"], fault["type"], fault["input"]) == (["body", field], kind, value)
    assert fault["url"] == f"https://docs.fal.ai/errors/#{kind}"
    assert fault["msg"]


def test_a_limit_is_named_in_the_context(fal: "Fal") -> None:
    """What the value may be stands beside the fault."""
    (fault,) = faults(fal, PAINTS[0], {"prompt": "a", "num_images": 5})
    assert fault["ctx"] == {"le": 4}


@pytest.mark.parametrize(
    ("endpoint", "missing"),
    [
        *((endpoint, ["prompt", "image_url"]) for endpoint in EDITS),
        *((endpoint, ["prompt", "image_urls"]) for endpoint in MULTIS),
        *((endpoint, ["prompt"]) for endpoint in PAINTS),
    ],
)
def test_what_each_endpoint_requires(fal: "Fal", endpoint: str, missing: list[str]) -> None:
    """All need a prompt, one kind an image, another a list of images; all faults are named at once."""
    found = faults(fal, endpoint, {})
    assert [(one["loc"], one["type"]) for one in found] == [(["body", name], "missing") for name in missing]


def test_a_multi_endpoint_needs_a_list_with_an_image(fal: "Fal") -> None:
    """An empty list and a bare URL are both refused."""
    (empty,) = faults(fal, MULTIS[0], {"prompt": "a", "image_urls": []})
    assert (empty["type"], empty["ctx"]["min_length"]) == ("sequence_too_short", 1)
    (bare,) = faults(fal, MULTIS[0], {"prompt": "a", "image_urls": PHOTO})
    assert bare["type"] == "list_type"


@pytest.mark.parametrize("endpoint", [*EDITS, *MULTIS, *PAINTS])
def test_every_field_is_accepted_at_its_limits(fal: "Fal", endpoint: str) -> None:
    """The example values of fal's pages pass, as do unknown fields and a guidance scale without a point."""
    arguments = {
        "prompt": "Put a donut next to the flour.",
        "seed": 0,
        "guidance_scale": 20,
        "sync_mode": False,
        "num_images": 1,
        "output_format": "png",
        "safety_tolerance": "6",
        "enhance_prompt": True,
        "aspect_ratio": "9:21",
        "image_url": PHOTO,
        "image_urls": [PHOTO, PHOTO],
        "num_inference_steps": 50,
    }
    answer = fal.call(arguments, endpoint)
    assert answer.status_code == 200
    assert answer.json()["seed"] == 0
    assert answer.json()["images"][0]["content_type"] == "image/png"


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_nine_aspect_ratios_shape_the_picture(fal: "Fal", ratio: str) -> None:
    """Sides are multiples of 16 near the ratio, and the area is the one set."""
    fal.set(megapixels=0.25)
    (image,) = fal.call({"prompt": "a", "aspect_ratio": ratio}).json()["images"]
    width, height = (int(part) for part in ratio.split(":"))
    assert image["width"] % 16 == image["height"] % 16 == 0
    assert image["width"] / image["height"] == pytest.approx(width / height, rel=0.1)
    assert image["width"] * image["height"] == pytest.approx(250_000, rel=0.15)


def test_an_edit_without_a_ratio_follows_its_input(fal: "Fal") -> None:
    """The sample photo is 4:3; text-to-image without a ratio is square."""
    fal.set(megapixels=0.25)
    (edited,) = fal.call({"prompt": "a", "image_url": PHOTO}, EDITS[0]).json()["images"]
    assert edited["width"] / edited["height"] == pytest.approx(4 / 3, rel=0.05)
    (painted,) = fal.call({"prompt": "a"}).json()["images"]
    assert painted["width"] == painted["height"]


def test_the_seed_used_is_told(fal: "Fal") -> None:
    """The one given, or one of 64 bits that is the request's own."""
    assert fal.call({"prompt": "a", "seed": 42}).json()["seed"] == 42
    drawn = [fal.call({"prompt": "a"}).json()["seed"] for _ in range(3)]
    assert len(set(drawn)) == 3
    assert all(0 <= seed < 2**64 for seed in drawn)
