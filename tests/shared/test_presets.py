"""Presets: what may stand in presets.yaml, which uploads it applies to, and where outputs go."""

from pathlib import Path
from typing import Any

import pytest

from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.jobs import Upload
from shared.presets import Preset, load_presets, output_key
from shared.settings import PRESETS_FILE


def upload(key: str) -> Upload:
    """An upload in the inputs bucket."""
    return Upload(bucket="in", key=key, version="1")


def write(folder: Path, text: str) -> Path:
    """A presets.yaml."""
    file = folder / "presets.yaml"
    file.write_text(text)
    return file


def test_the_shipped_presets_are_valid() -> None:
    """presets.yaml loads, and at least eight presets come with it."""
    presets = load_presets(PRESETS_FILE)
    assert len(presets) >= 8
    assert all(preset.description for preset in presets.values())


def test_several_presets_may_match_one_upload() -> None:
    """A car's photo is asked for in two colors."""
    presets = load_presets(PRESETS_FILE)
    assert {"car-red", "car-blue"} == {
        name for name, preset in presets.items() if preset.applies_to(upload("cars/a.JPG"))
    }


@pytest.mark.parametrize(
    ("key", "fits"), [("p/a.jpg", True), ("p/a.JPG", True), ("p/a.png", False), ("q/a.jpg", False), ("p/q/a.jpg", True)]
)
def test_uploads_match_by_prefix_and_suffix(key: str, fits: bool) -> None:
    """Prefix and suffix both must fit; the suffix in any letter case."""
    preset = Preset(name="a", uploads=[{"prefix": "p/", "suffix": ".jpg"}], arguments={"prompt": "x"})
    assert preset.applies_to(upload(key)) is fits


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, Endpoint.KONTEXT),
        ({"tier": "max"}, Endpoint.MAX),
        ({"endpoint": "fal-ai/flux-pro/kontext/max/multi"}, Endpoint.MAX_MULTI),
    ],
)
def test_an_upload_is_the_image_of_its_preset(given: dict[str, Any], endpoint: Endpoint) -> None:
    """Tier or endpoint decide where the upload goes, and it is the one image there."""
    preset = Preset.model_validate({"name": "a", "arguments": {"prompt": "x"}, **given})
    chosen, arguments = preset.arguments_for(upload("p/a b.jpg"))
    assert (chosen, arguments.image_references()) == (endpoint, ["s3://in/p/a b.jpg"])


WRONG = {
    "not a mapping": ("- a", "mapping"),
    "not YAML": ("presets: {", "presets.yaml"),
    "presets no mapping": ("presets: [1]", "mapping"),
    "no arguments": ("presets: {a: {}}", "presets.a.arguments"),
    "no prompt": ("presets: {a: {arguments: {}}}", "arguments.prompt"),
    "an unknown field": ("presets: {a: {arguments: {prompt: x}, prompt: y}}", "presets.a.prompt"),
    "an unknown argument": ("presets: {a: {arguments: {prompt: x, steps: 3}}}", "arguments.steps"),
    "an argument out of range": (
        "presets: {a: {arguments: {prompt: x, guidance_scale: 21}}}",
        "arguments.guidance_scale",
    ),
    "a bad name": ("presets: {A b: {arguments: {prompt: x}}}", "presets.A b.name"),
    "a bad tier": ("presets: {a: {tier: ultra, arguments: {prompt: x}}}", "presets.a.tier"),
    "tier and endpoint": (
        "presets: {a: {tier: max, endpoint: fal-ai/flux-pro/kontext, arguments: {prompt: x}}}",
        "tier: endpoint already says",
    ),
    "sync_mode": ("presets: {a: {arguments: {prompt: x, sync_mode: true}}}", "sync_mode"),
    "an image": ("presets: {a: {arguments: {prompt: x, image_url: y}}}", "no images of its own"),
    "an upload without image": (
        "presets: {a: {uploads: [{}], endpoint: fal-ai/flux-pro/kontext/text-to-image, arguments: {prompt: x}}}",
        "takes no image",
    ),
    "no mapping": ("presets: {a: [1]}", "presets.a"),
    "another name": ("presets: {a: {name: b, arguments: {prompt: x}}}", "presets.a"),
    "one name twice": ("presets: {a: {arguments: {prompt: x}}, a: {arguments: {prompt: y}}}", "a stands twice"),
    "a format": ("presets: {a: {arguments: {prompt: x}, output_key: '{path}{index:02}'}}", "without a format"),
    "an open brace": ("presets: {a: {arguments: {prompt: x}, output_key: '{path'}}", "output_key"),
    "an unknown key part": ("presets: {a: {arguments: {prompt: x}, output_key: '{path}{x}'}}", "output_key: unknown"),
    "an attribute in the key": ("presets: {a: {arguments: {prompt: x}, output_key: '{path.__class__}'}}", "output_key"),
    "a key for every job": ("presets: {a: {arguments: {prompt: x}, output_key: 'a.{ext}'}}", "output_key: needs"),
    "one key for two images": (
        "presets: {a: {arguments: {prompt: x, num_images: 2}, output_key: '{path}.{ext}'}}",
        "several images need",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_preset_is_named(tmp_path: Path, what: str) -> None:
    """Whatever is wrong in presets.yaml is said with file, preset and field."""
    text, said = WRONG[what]
    with pytest.raises(SettingsError) as error:
        load_presets(write(tmp_path, text))
    assert said in str(error.value)
    assert str(error.value).startswith("presets.yaml: ")


def test_no_presets_are_fine(tmp_path: Path) -> None:
    """An empty file means that uploads start nothing."""
    assert load_presets(write(tmp_path, "")) == {}


def test_braces_in_a_user_s_key_stay_as_they_are() -> None:
    """A key that looks like a template is none."""
    key = output_key("{preset}/{path}/{job_id}-{index}.{ext}", preset="a", path="p/{index}{x}", job_id="j")
    assert key.format(index=0, ext="png") == "a/p/{index}{x}/j-0.png"
