"""The six FLUX.1 Kontext endpoints on fal: what each takes, and what all give back (fal docs: model pages)."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

AspectRatio = Literal["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]
Tier = Literal["pro", "max"]

MAX_SEED = 100
"""The characters of a seed that are kept."""
MAX_SYNC_IMAGES = {"jpeg": 2, "png": 1}
"""How many images of a format may come inside a delivery.

API Gateway hands at most 6 MB to a Lambda function. Kontext makes about one megapixel, up to 1.5 MB as JPEG and 4 MB
as PNG, and a data URI is a third longer than its bytes.
"""


class Endpoint(StrEnum):
    """fal's model path."""

    KONTEXT = "fal-ai/flux-pro/kontext"
    MULTI = "fal-ai/flux-pro/kontext/multi"
    TEXT_TO_IMAGE = "fal-ai/flux-pro/kontext/text-to-image"
    MAX = "fal-ai/flux-pro/kontext/max"
    MAX_MULTI = "fal-ai/flux-pro/kontext/max/multi"
    MAX_TEXT_TO_IMAGE = "fal-ai/flux-pro/kontext/max/text-to-image"

    @classmethod
    def choose(cls, tier: Tier, images: int) -> Self:
        """The endpoint for a tier and a number of input images."""
        kind = "text-to-image" if images == 0 else "" if images == 1 else "multi"
        return cls("/".join(filter(None, ["fal-ai/flux-pro/kontext", "max" if tier == "max" else "", kind])))


def _digits_to_int(seed: object) -> object:
    # Our own answers carry seeds as text, since they exceed 2^53 and JavaScript rounds them; so text comes back.
    return int(seed) if isinstance(seed, str) and seed.isascii() and seed.removeprefix("-").isdigit() else seed


def _tolerance_to_text(tolerance: object) -> object:
    return str(tolerance) if type(tolerance) is int else tolerance


class Arguments(BaseModel):
    """The fields that all six endpoints take; defaults are fal's own and are sent spelled out."""

    # A prompt stands in no error, since errors are logged.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    prompt: Annotated[str, Field(min_length=1)]
    seed: Annotated[int | None, BeforeValidator(_digits_to_int)] = None
    guidance_scale: Annotated[float, Field(ge=1, le=20, allow_inf_nan=False)] = 3.5
    sync_mode: bool = False
    num_images: Annotated[int, Field(ge=1, le=4)] = 1
    output_format: Literal["jpeg", "png"] = "jpeg"
    safety_tolerance: Annotated[Literal["1", "2", "3", "4", "5", "6"], BeforeValidator(_tolerance_to_text)] = "2"
    enhance_prompt: bool = False
    aspect_ratio: AspectRatio | None = None

    @field_validator("prompt")
    @classmethod
    def _prompt_says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("must not be blank")
        return prompt

    @model_validator(mode="after")
    def _sync_images_fit_a_delivery(self) -> Self:
        most = MAX_SYNC_IMAGES[self.output_format]
        if self.sync_mode and self.num_images > most:
            reason = (
                f"with sync_mode the pictures come inside fal's webhook call, which AWS limits to 6 MB:"
                f" at most {most} as {self.output_format}"
            )
            raise SyncImagesError(reason)
        return self

    def image_references(self) -> list[str]:
        """The input images, as the caller named them."""
        return []

    def with_images(self, urls: list[str]) -> dict[str, Any]:
        """The JSON that the endpoint takes, its images replaced by `urls`; absent values left out."""
        del urls
        return self.model_dump(exclude_none=True)


class SyncImagesError(ValueError):
    """More images were asked for than one delivery can carry; belongs to `num_images`."""

    field = "num_images"


class EditArguments(Arguments):
    """What `kontext` and `kontext/max` take: one image."""

    image_url: Annotated[str, Field(min_length=1)]

    def image_references(self) -> list[str]:
        """The one input image."""
        return [self.image_url]

    def with_images(self, urls: list[str]) -> dict[str, Any]:
        """The JSON with the image's URL in place."""
        return super().with_images([]) | {"image_url": urls[0]}


class MultiArguments(Arguments):
    """What `kontext/multi` and `kontext/max/multi` take: several images."""

    image_urls: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]

    def image_references(self) -> list[str]:
        """The input images in their order."""
        return self.image_urls

    def with_images(self, urls: list[str]) -> dict[str, Any]:
        """The JSON with the images' URLs in place."""
        return super().with_images([]) | {"image_urls": urls}


class TextToImageArguments(Arguments):
    """What `kontext/text-to-image` and `kontext/max/text-to-image` take: no image."""

    aspect_ratio: AspectRatio = "1:1"


ARGUMENTS: dict[Endpoint, type[Arguments]] = {
    Endpoint.KONTEXT: EditArguments,
    Endpoint.MAX: EditArguments,
    Endpoint.MULTI: MultiArguments,
    Endpoint.MAX_MULTI: MultiArguments,
    Endpoint.TEXT_TO_IMAGE: TextToImageArguments,
    Endpoint.MAX_TEXT_TO_IMAGE: TextToImageArguments,
}


class ResultImage(BaseModel):
    """One image of a result: an https URL, or a data URI with `sync_mode`. None is an output that failed."""

    url: str | None = None


class Result(BaseModel):
    """What all six endpoints give back.

    Lenient, since a paid picture must not be lost to the shape of its neighbours: whatever has a URL is taken, under
    the index at which it was. `content` is all that fal said.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    images: Annotated[list[ResultImage], Field(min_length=1)]
    seed: Any = None
    has_nsfw_concepts: Any = None
    content: Any = None

    @model_validator(mode="before")
    @classmethod
    def _take_what_has_a_url(cls, content: object) -> object:
        if not isinstance(content, dict):
            return content
        images = content.get("images") or content.get("image")
        entries = images if isinstance(images, list) else [images] if _find_url(images) else []
        return content | {"images": [{"url": _find_url(entry)} for entry in entries], "content": content}

    @property
    def seed_text(self) -> str | None:
        """The seed as text, since it may exceed what JavaScript's numbers hold."""
        is_seed = isinstance(self.seed, int | str) and not isinstance(self.seed, bool)
        return str(self.seed)[:MAX_SEED] if is_seed else None

    def is_nsfw(self, index: int) -> bool | None:
        """What fal's safety check says of an image: True where it is flagged, None where nothing is said."""
        flags = self.has_nsfw_concepts
        flag = flags[index] if isinstance(flags, list) and index < len(flags) else flags
        return flag if isinstance(flag, bool) else None


def read_result(content: object) -> Result | None:
    """The result that some content is, if it names any picture."""
    try:
        result = Result.model_validate(content)
    except ValidationError:
        return None
    return result if any(image.url for image in result.images) else None


def _find_url(entry: object) -> str | None:
    url = entry.get("url") if isinstance(entry, dict) else entry
    return url if isinstance(url, str) and url.startswith(("https://", "http://", "data:")) else None
