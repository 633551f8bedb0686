"""Presets: which uploads one applies to, what is sent for them, and where outputs go."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.jobs import Upload
from shared.preset_file import load_presets
from shared.presets import Preset, check_uploads, output_key
from shared.settings import PRESETS_FILE


def upload(key: str) -> Upload:
    """An upload in the inputs bucket."""
    return Upload(bucket="in", key=key, version="1")


def preset(**fields: Any) -> Preset:
    """A preset with a prompt."""
    return Preset.model_validate({"name": "a", "arguments": {"prompt": "x"}} | fields)


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
    assert preset(uploads=[{"prefix": "p/", "suffix": ".jpg"}]).applies_to(upload(key)) is fits


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("p/a.jpg", True),
        ("p/drafts/a.jpg", False),
        ("p/a-old.JPG", False),
        ("p/drafts.jpg", True),
        ("q/a.jpg", True),
        ("r/a.jpg", False),
    ],
)
def test_what_fits_exclude_is_not_edited(key: str, fits: bool) -> None:
    """An upload that fits one pattern of `exclude` is left alone, whichever pattern of `uploads` it fits too."""
    patterns = [{"prefix": "p/"}, {"prefix": "q/", "suffix": ".jpg"}]
    excluded = [{"prefix": "p/drafts/"}, {"suffix": "-old.jpg"}]
    assert preset(uploads=patterns, exclude=excluded).applies_to(upload(key)) is fits


@pytest.mark.parametrize("key", ["a.jpg", "deep/er/a", "ünï/🙂.png", ".hidden", "a b/+c"])
def test_everything_is_said_in_words(key: str) -> None:
    """`uploads: everything` fits each key, and `exclude` still takes away from it."""
    assert preset(uploads="everything").applies_to(upload(key))
    without = preset(uploads="everything", exclude=[{"prefix": "logs/"}])
    assert without.applies_to(upload(key))
    assert not without.applies_to(upload(f"logs/{key}"))


def test_without_uploads_nothing_fits() -> None:
    """A preset that names no uploads waits to be posted."""
    assert not preset().applies_to(upload("a.jpg"))


def test_the_same_bytes_are_edited_again_unless_a_preset_says_otherwise() -> None:
    """`same_bytes` is edit, or skip where a preset with uploads says so, and nothing else."""
    assert preset(uploads="everything").same_bytes == "edit"
    assert preset(uploads="everything", same_bytes="skip").same_bytes == "skip"
    for wrong in ({"uploads": "everything", "same_bytes": "ignore"}, {"same_bytes": "skip"}):
        with pytest.raises(ValidationError, match="same_bytes"):
            preset(**wrong)


def test_outputs_are_not_overwritten_where_the_same_bytes_are_skipped() -> None:
    """Without `{job_id}` the output of bytes that come back would have been overwritten, and stay so."""
    everything = {"uploads": "everything", "output_key": "{path}-{index}.{ext}"}
    assert preset(**everything).same_bytes == "edit"
    with pytest.raises(ValidationError, match=r"needs \{job_id\} beside `same_bytes: skip`"):
        preset(**everything, same_bytes="skip")


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
    chosen, arguments = preset(**given).arguments_for(upload("p/a b.jpg"))
    assert (chosen, arguments.image_references()) == (endpoint, ["s3://in/p/a b.jpg"])


def test_braces_in_a_user_s_key_stay_as_they_are() -> None:
    """A key that looks like a template is none."""
    key = output_key("{preset}/{path}/{job_id}-{index}.{ext}", preset="a", path="p/{index}{x}", job_id="j")
    assert key.format(index=0, ext="png") == "a/p/{index}{x}/j-0.png"


def test_each_preset_that_waits_among_outputs_is_named() -> None:
    """Where both buckets are one, no preset may wait for what is under the outputs' prefix; all that do are told."""
    presets = {
        "early": preset(name="early", uploads=[{"prefix": "edited/"}, {"prefix": "photos/"}]),
        "good": preset(name="good", uploads=[{"prefix": "edit"}, {"suffix": ".jpg"}]),
        "late": preset(name="late", uploads=[{"prefix": "edited/a/"}, {"prefix": "edited/b/", "suffix": ".png"}]),
    }
    with pytest.raises(SettingsError) as error:
        check_uploads(presets, "edited/")
    assert [line.partition(" lies in edited/")[0] for line in str(error.value).splitlines()] == [
        "presets.early.uploads: edited/",
        "presets.late.uploads: edited/a/",
        "presets.late.uploads: edited/b/",
    ]


def test_everything_is_fine_beside_outputs() -> None:
    """`uploads: everything` may stand where both buckets are one: outputs are never uploads."""
    check_uploads({"a": preset(uploads="everything")}, "edited/")


def test_a_preset_s_size_is_bounded(tmp_path: Path) -> None:
    """Arguments just under 64 KB of UTF-8 JSON are taken, and a few bytes more are not, whatever the script."""
    room = 64 * 1024 - len('{"prompt": ""}')
    for letter in ("x", "é", "猫", "🙂"):
        count = room // len(letter.encode())
        assert preset(arguments={"prompt": letter * count})
        with pytest.raises(ValidationError, match="larger than 64 KB"):
            preset(arguments={"prompt": letter * (count + 1)})
    file = tmp_path / "presets.yaml"
    file.write_text(f"presets:\n  a:\n    arguments:\n      prompt: {'x' * room}x\n")
    with pytest.raises(SettingsError, match=r"^presets\.yaml:3: presets\.a\.arguments: larger than 64 KB"):
        load_presets(file)
