"""The typed models of the six endpoints."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.endpoints import ARGUMENTS, EditArguments, Endpoint, MultiArguments, Result, TextToImageArguments

IMAGES: dict[Endpoint, dict[str, Any]] = {
    Endpoint.KONTEXT: {"image_url": "https://a.example/1.jpg"},
    Endpoint.MAX: {"image_url": "https://a.example/1.jpg"},
    Endpoint.MULTI: {"image_urls": ["https://a.example/1.jpg", "https://a.example/2.jpg"]},
    Endpoint.MAX_MULTI: {"image_urls": ["https://a.example/1.jpg", "https://a.example/2.jpg"]},
    Endpoint.TEXT_TO_IMAGE: {},
    Endpoint.MAX_TEXT_TO_IMAGE: {},
}


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_defaults_are_sent_spelled_out(endpoint: Endpoint) -> None:
    """A prompt and images are enough, and what goes to fal says every default."""
    arguments = ARGUMENTS[endpoint].model_validate({"prompt": "p", **IMAGES[endpoint]})
    expected = {
        "prompt": "p",
        "guidance_scale": 3.5,
        "sync_mode": False,
        "num_images": 1,
        "output_format": "jpeg",
        "safety_tolerance": "2",
        "enhance_prompt": False,
        **IMAGES[endpoint],
    }
    if "text-to-image" in endpoint:
        expected["aspect_ratio"] = "1:1"
    assert expected == arguments.with_images(arguments.image_references())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 0),
        ("seed", 17454220438242315174),
        ("seed", "17454220438242315174"),
        ("guidance_scale", 1),
        ("guidance_scale", 20.0),
        ("num_images", 4),
        ("output_format", "png"),
        ("safety_tolerance", "6"),
        ("safety_tolerance", 1),
        ("enhance_prompt", True),
        ("aspect_ratio", "9:21"),
    ],
)
def test_the_ends_of_each_range_are_in_it(field: str, value: object) -> None:
    """Each documented range includes its ends, and a seed may come as the text that our answers give."""
    arguments = EditArguments.model_validate({"prompt": "p", "image_url": "https://a.example/1.jpg", field: value})
    sent = getattr(arguments, field)
    assert str(sent) == str(float(value) if field == "guidance_scale" and isinstance(value, int) else value)


def test_safety_tolerance_is_sent_as_text() -> None:
    """A whole number is taken from callers, and fal gets the text that its enum has."""
    assert TextToImageArguments.model_validate({"prompt": "p", "safety_tolerance": 3}).safety_tolerance == "3"


@pytest.mark.parametrize(("output_format", "most"), [("jpeg", 2), ("png", 1)])
def test_sync_mode_is_bounded_by_the_size_of_a_delivery(output_format: str, most: int) -> None:
    """So many pictures fit into a webhook call; one more is refused with the reason."""
    fields = {"prompt": "p", "sync_mode": True, "output_format": output_format}
    assert TextToImageArguments.model_validate({**fields, "num_images": most}).num_images == most
    with pytest.raises(ValidationError, match="6 MB"):
        TextToImageArguments.model_validate({**fields, "num_images": most + 1})


@pytest.mark.parametrize(
    ("tier", "images", "endpoint"),
    [
        ("pro", 0, Endpoint.TEXT_TO_IMAGE),
        ("pro", 1, Endpoint.KONTEXT),
        ("pro", 2, Endpoint.MULTI),
        ("max", 0, Endpoint.MAX_TEXT_TO_IMAGE),
        ("max", 1, Endpoint.MAX),
        ("max", 3, Endpoint.MAX_MULTI),
    ],
)
def test_tier_and_images_choose_the_endpoint(tier: Any, images: int, endpoint: Endpoint) -> None:
    """None is made from words, one is edited, several are put together."""
    assert Endpoint.choose(tier, images) is endpoint


def test_images_keep_their_order() -> None:
    """The references of a multi submission are replaced one for one."""
    arguments = MultiArguments(prompt="p", image_urls=["a", "b"])
    assert arguments.with_images(["https://x/a", "https://x/b"])["image_urls"] == ["https://x/a", "https://x/b"]


@pytest.mark.parametrize(
    "payload",
    [
        {"images": [{"url": "https://v3.fal.media/a.jpg"}], "prompt": ""},
        {"images": [{"url": "https://v3.fal.media/a.jpg", "height": 1024, "width": 1024, "new": 1}], "extra": True},
        {"images": [{"url": ""}], "seed": 17454220438242315174, "timings": {"inference": 2.1}},
        {"images": [{"url": None}]},
    ],
)
def test_results_with_missing_or_new_fields_are_read(payload: dict[str, Any]) -> None:
    """fal's own examples leave most fields out, and a paid result is never lost to that."""
    assert len(Result.model_validate(payload).images) == 1


@pytest.mark.parametrize("payload", [{}, {"images": []}, {"images": "none"}, []])
def test_results_without_images_are_none(payload: object) -> None:
    """Without a list of images there is nothing to store."""
    with pytest.raises(ValidationError):
        Result.model_validate(payload)
