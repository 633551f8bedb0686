"""What the six Kontext endpoints accept, judged on the runner as fal judges it: never at the submit."""

import json
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError

from local.fal.faults import ModelError, make_detail

AspectRatio = Literal["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]

# pydantic's name → fal's name, where the two differ.
FAL_NAMES = {"too_short": "sequence_too_short", "model_type": "model_attributes_type"}


class Arguments(BaseModel):
    """The fields that all endpoints share; unknown ones are ignored, a `webhook_url` among them."""

    prompt: str
    seed: int | None = None
    guidance_scale: float = Field(default=3.5, ge=1, le=20)
    sync_mode: bool = False
    num_images: int = Field(default=1, ge=1, le=4)
    output_format: Literal["jpeg", "png"] = "jpeg"
    safety_tolerance: Literal["1", "2", "3", "4", "5", "6"] = "2"
    enhance_prompt: bool = False
    aspect_ratio: AspectRatio | None = None

    def inputs(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Name the input images: the place of each in the body, and its URL."""
        return []


class EditArguments(Arguments):
    """An edit of one image."""

    image_url: str

    def inputs(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Name the one image."""
        return [(("body", "image_url"), self.image_url)]


class MultiArguments(Arguments):
    """An edit with several reference images."""

    image_urls: list[str] = Field(min_length=1)

    def inputs(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Name the images in their order."""
        return [(("body", "image_urls", at), url) for at, url in enumerate(self.image_urls)]


class PaintArguments(Arguments):
    """A picture from words alone."""

    aspect_ratio: AspectRatio | None = "1:1"


class OtherArguments(PaintArguments):
    """What an endpoint that is no Kontext accepts: it paints as well as it can."""

    prompt: str = ""


MODELS: dict[str, type[Arguments]] = {
    "fal-ai/flux-pro/kontext": EditArguments,
    "fal-ai/flux-pro/kontext/multi": MultiArguments,
    "fal-ai/flux-pro/kontext/text-to-image": PaintArguments,
    "fal-ai/flux-pro/kontext/max": EditArguments,
    "fal-ai/flux-pro/kontext/max/multi": MultiArguments,
    "fal-ai/flux-pro/kontext/max/text-to-image": PaintArguments,
}


def parse_arguments(endpoint: str, body: bytes) -> Arguments:
    """Read the body as the endpoint's arguments.

    Raises:
        ModelError: it is none of JSON, an object, or within the schema.
    """
    if not body:
        raise ModelError([make_detail("missing", "Field required")])
    try:
        given: JsonValue = json.loads(body)
    except ValueError as error:
        raise ModelError([make_detail("json_invalid", "JSON decode error")]) from error
    try:
        return MODELS.get(endpoint, OtherArguments).model_validate(given)
    except ValidationError as error:
        raise ModelError(
            [
                make_detail(
                    FAL_NAMES.get(found["type"], found["type"]),
                    found["msg"],
                    loc=("body", *found["loc"]),
                    given=json.loads(json.dumps(found["input"], default=str)),
                    context=json.loads(json.dumps(found["ctx"], default=str)) if "ctx" in found else None,
                )
                for found in error.errors(include_url=False)
            ]
        ) from error
