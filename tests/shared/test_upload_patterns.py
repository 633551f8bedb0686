"""Upload patterns in presets.yaml: forms that are none, and those that would take every upload, or none."""

from pathlib import Path

import pytest

from shared.preset_file import load_presets
from shared.upload_patterns import UploadPattern
from tests.shared.preset_files import complain_about

EVERYTHING = "`uploads: everything`"
FORMS = {
    # what stands behind `uploads:`: the fault's place, and what it says
    "[{}]": ("uploads.0", EVERYTHING),
    "[{ prefix: a/ }, {}]": ("uploads.1", EVERYTHING),
    "[{ prefix: a/ }, { prefix: '', suffix: '' }]": ("uploads.1.prefix", EVERYTHING),
    "[{ prefix: '', suffix: .jpg }]": ("uploads.0.prefix", "leave `prefix` out"),
    "[]": ("uploads", "leave `uploads` out"),
    "{}": ("uploads", "leave `uploads` out"),
    "": ("uploads", "leave `uploads` out"),
    "null": ("uploads", "leave `uploads` out"),
    "none": ("uploads", "leave `uploads` out"),
    "no": ("uploads", "leave `uploads` out"),
    "Everything": ("uploads", EVERYTHING),
    "all": ("uploads", EVERYTHING),
    "'*'": ("uploads", EVERYTHING),
    "yes": ("uploads", EVERYTHING),
    "[everything]": ("uploads.0", EVERYTHING),
    "['*']": ("uploads.0", EVERYTHING),
    "products/": ("uploads", "`uploads: [{ prefix: products/ }]`"),
    "products/*.jpg": ("uploads", "`uploads: [{ prefix: products/, suffix: .jpg }]`"),
    "'*.jpg'": ("uploads", "`uploads: [{ suffix: .jpg }]`"),
    "products/, sketch/": ("uploads", "`uploads: [{ prefix: products/ }, { prefix: sketch/ }]`"),
    "{ prefix: products/ }": ("uploads", "`uploads: [{ prefix: products/ }]`"),
    "[products/]": ("uploads.0", "`{ prefix: products/ }`"),
    "[{ products/ }]": ("uploads.0", "`{ prefix: products/ }`"),
    "[jpg]": ("uploads.0", "`{ suffix: .jpg }`"),
    "[[{ prefix: a/ }]]": ("uploads.0", "expected a pattern"),
    "[null]": ("uploads.0", "expected a pattern"),
    "[3]": ("uploads.0", "expected a pattern"),
    "3": ("uploads", "expected a list of patterns"),
    "[{ prefix: 2024 }]": ("uploads.0.prefix", "in quotes"),
    "[{ prefix: 010 }]": ("uploads.0.prefix", "in quotes"),
    "[{ prefix: 2024-05-01 }]": ("uploads.0.prefix", "in quotes"),
    "[{ prefix: yes }]": ("uploads.0.prefix", "in quotes"),
    "[{ prefix: }]": ("uploads.0.prefix", "nothing is written here"),
    "[{ prefix: [a/, b/] }]": ("uploads.0.prefix", "expected text"),
    "[{ prefix: {preset} }]": ("uploads.0.prefix", "needs quotes"),
    "[{ prefx: a/ }]": ("uploads.0.prefx", "did you mean prefix?"),
    "[{ Suffix: .jpg }]": ("uploads.0.Suffix", "did you mean suffix?"),
    "[{ prefix: a/, extension: .jpg }]": ("uploads.0.extension", "expected one of prefix, suffix"),
    "[{ prefix: a/ }, { prefix: a/ }]": ("uploads.1", "{ prefix: a/ } is written twice"),
    "[{ suffix: .jpg }, { suffix: .JPG }]": ("uploads.1", "{ suffix: .JPG } is written twice"),
}


@pytest.mark.parametrize("form", FORMS)
def test_another_form_than_patterns_is_refused(tmp_path: Path, form: str) -> None:
    """What is no list of patterns, or one that fits every upload without saying so, is told with what to write."""
    place, expected = FORMS[form]
    said = complain_about(tmp_path, f"uploads: {form}")
    assert said.startswith(f"presets.yaml:4: presets.a.{place}: ")
    assert expected in said


EXCLUDES = {
    # uploads, exclude: what is said
    ("[{ prefix: a/ }]", "[{ prefix: a/ }]"): "takes away all that { prefix: a/ }",
    ("[{ prefix: a/, suffix: .jpg }]", "[{ prefix: a/ }]"): "takes away all",
    ("[{ prefix: a/, suffix: .jpg }]", "[{ suffix: .JPG }]"): "takes away all",
    ("[{ prefix: a/ }, { prefix: b/ }]", "[{ prefix: b }]"): "takes away all that { prefix: b/ }",
    ("[{ prefix: a/ }]", "[{ prefix: drafts/ }]"): "the whole key, such as a/drafts/",
    ("[{ suffix: .jpg }]", "[{ suffix: .png }]"): "fits none of the preset's uploads",
    ("[{ prefix: a/ }]", "[]"): "leave `exclude` out",
    ("[{ prefix: a/ }]", "everything"): "no upload would be left",
    ("[{ prefix: a/ }]", "[everything]"): "no upload would be left",
    ("[{ prefix: a/ }]", "a/drafts/*"): "`exclude: [{ prefix: a/drafts/ }]`",
    ("[{ prefix: a/ }]", "{ prefix: a/drafts/ }"): "`exclude: [{ prefix: a/drafts/ }]`",
    ("[{ prefix: a/ }]", "[{ prefix: a/b }, { prefix: a/b }]"): "written twice",
}


@pytest.mark.parametrize("pair", EXCLUDES)
def test_an_exclude_that_leaves_all_or_nothing_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """An `exclude` that takes away a whole pattern of `uploads`, or nothing, is a fault, as is one of a wrong form."""
    uploads, exclude = pair
    said = complain_about(tmp_path, f"uploads: {uploads}\n    exclude: {exclude}")
    assert said.startswith("presets.yaml:5: presets.a.exclude")
    assert EXCLUDES[pair] in said


def test_an_exclude_without_uploads_is_refused(tmp_path: Path) -> None:
    """`exclude` alone takes nothing away from nothing."""
    assert "does nothing without `uploads`" in complain_about(tmp_path, "exclude: [{ prefix: a/ }]")


def test_an_exclude_that_takes_a_part_away_is_taken(tmp_path: Path) -> None:
    """Folders within, endings within, and a suffix across prefixes are what `exclude` is for."""
    for exclude in ("[{ prefix: a/drafts/ }]", "[{ suffix: -old.jpg }]", "[{ suffix: .png }]", "[{ prefix: a/b.jpg }]"):
        assert complain_about(tmp_path, f"uploads: [{{ prefix: a/ }}]\n    exclude: {exclude}") == ""


def test_two_presets_may_have_one_pattern(tmp_path: Path) -> None:
    """The same pattern in two presets asks for two edits, and is no fault."""
    file = tmp_path / "presets.yaml"
    body = "{ uploads: [{ prefix: cars/ }], arguments: { prompt: x } }"
    file.write_text(f"presets:\n  red: {body}\n  blue: {body}\n")
    assert list(load_presets(file)) == ["red", "blue"]


def test_patterns_that_meet() -> None:
    """Two patterns meet where a key may fit both, and one covers the other where none fits that alone."""
    photos, jpg, drafts = UploadPattern(prefix="p/"), UploadPattern(suffix=".jpg"), UploadPattern(prefix="p/drafts/")
    other = UploadPattern(prefix="q/")
    assert photos.meets(jpg)
    assert jpg.meets(photos)
    assert photos.meets(drafts)
    assert not photos.meets(other)
    assert photos.covers(drafts)
    assert not drafts.covers(photos)
    assert not photos.covers(jpg)
