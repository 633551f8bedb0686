"""Texts of patterns in presets.yaml: what can begin or end no key is refused, with what to write instead."""

import json
import random
import re
from pathlib import Path

import pytest

from tests.shared.preset_files import complain_about

LEGAL = [
    "{ prefix: products/ }",
    "{ prefix: products }",
    "{ suffix: .jpg }",
    "{ suffix: -web.jpg }",
    "{ suffix: jpg }",
    "{ suffix: /photo.jpg }",
    "{ prefix: products/, suffix: .jpg }",
    "{ prefix: products/shoe.jpg }",
    "{ prefix: .well-known/ }",
    "{ prefix: ..odd/ }",
    "{ prefix: my photos/ }",
    '{ prefix: "photos [2024]/" }',
    '{ prefix: "a, b/" }',
    "{ prefix: a+b=c@d!e~/ }",
    "{ prefix: 50%/ }",
    "{ prefix: Fotos für Käthe/ }",
    '{ prefix: "👨‍👩‍👧/" }',
    '{ prefix: "2024/" }',
    "{ prefix: 2024:05/ }",
    "{ prefix: inputs/ }",
]


@pytest.mark.parametrize("pattern", LEGAL)
def test_what_keys_may_hold_is_taken(tmp_path: Path, pattern: str) -> None:
    """Beginnings and ends that keys really have are no faults, for `uploads` and for `exclude`."""
    assert complain_about(tmp_path, f"uploads: [{pattern}]") == ""
    assert complain_about(tmp_path, f"uploads: everything\n    exclude: [{pattern}]") == ""


EVERYTHING = "`uploads: everything`"
TEXTS = {
    # a prefix: what is to be written instead
    "": EVERYTHING,
    "/": EVERYTHING,
    "*": EVERYTHING,
    "**/*": EVERYTHING,
    ".": EVERYTHING,
    "s3://photos": EVERYTHING,
    "/products/": "`prefix: products/`",
    "//products/": "`prefix: products/`",
    "products//": "`prefix: products/`",
    " products/": "`prefix: products/`",
    "products/ ": "`prefix: products/`",
    "products/\n": "`prefix: products/`",
    "\u00a0products/": "`prefix: products/`",
    "prod\u200bucts/": "`prefix: products/`",
    "products/\u202e": "`prefix: products/`",
    "pro\tducts/": "`prefix: products/`",
    "./products/": "`prefix: products/`",
    "../products/": "`prefix: products/`",
    "shop/../products/": "`prefix: shop/products/`",
    "shop/./products/": "`prefix: shop/products/`",
    "products/..": '`prefix: "products"`',
    "shop\\products\\": "`prefix: shop/products/`",
    "s3://photos/products/": "`prefix: products/`",
    "S3://photos/products/": "`prefix: products/`",
    "s3:/photos/products/": "`prefix: products/`",
    "arn:aws:s3:::photos/products/*": "`prefix: products/`",
    "https://photos.s3.eu-west-1.amazonaws.com/products/": "`prefix: products/`",
    "https://s3.eu-west-1.amazonaws.com/photos/products/": "`prefix: products/`",
    "photos.s3.amazonaws.com/products/": "`prefix: products/`",
    "http://127.0.0.1:5000/darkroom-inputs/products/": "`prefix: products/`",
    "gs://photos/products/": "`prefix: products/`",
    "darkroom-inputs/products/": "`prefix: products/`",
    "darkroom-inputs-1x2y3z/products/": "`prefix: products/`",
    "products/*": "`prefix: products/`",
    "products/**": "`prefix: products/`",
    "products/*.jpg": "`prefix: products/` and `suffix: .jpg`",
    "products/**/*.JPG": "`prefix: products/` and `suffix: .JPG`",
    "/products/*.jpg": "`prefix: products/` and `suffix: .jpg`",
    "s3://photos/products/*.jpg": "`prefix: products/` and `suffix: .jpg`",
    "products/?.jpg": "`prefix: products/` and `suffix: .jpg`, which takes more",
    "products/[0-9].jpg": "`prefix: products/` and `suffix: .jpg`, which takes more",
    "products/{date}/": "`prefix: products/`, which takes more",
    "products/<name>.jpg": "`prefix: products/` and `suffix: .jpg`, which takes more",
    "^products/": "`prefix: products/`",
    "^products/.*\\.jpg$": "`prefix: products/` and `suffix: .jpg`",
    "*.jpg": "`suffix: .jpg`",
    ".jpg": "`suffix: .jpg`",
    "products/*.{jpg,png}": "`[{ prefix: products/, suffix: .jpg }, { prefix: products/, suffix: .png }]`",
    "products/, sketch/": "`[{ prefix: products/ }, { prefix: sketch/ }]`",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_prefix_that_no_key_has_is_refused(tmp_path: Path, text: str) -> None:
    """A prefix that fits nothing, or everything, is named with its line, and with what to write instead."""
    said = complain_about(tmp_path, f"uploads: [{{ suffix: .gif }}, {{ prefix: {json.dumps(text)} }}]")
    assert said.startswith("presets.yaml:4: presets.a.uploads.1.prefix: ")
    assert TEXTS[text] in said
    assert complain_about(tmp_path, f"uploads: everything\n    exclude: [{{ prefix: {json.dumps(text)} }}]")


SUFFIXES = {
    "": EVERYTHING,
    "*": EVERYTHING,
    "*.jpg": "`suffix: .jpg`",
    "**/*.jpg": "`suffix: .jpg`",
    " .jpg": "`suffix: .jpg`",
    ".jpg\n": "`suffix: .jpg`",
    "\\.jpg": "`suffix: .jpg`",
    "\\.jpg$": "`suffix: .jpg`",
    ".jpg$": "`suffix: .jpg`",
    ".[jJ][pP][gG]": "`suffix: .jpg`",
    "products/": "`prefix: products/`",
    "products/*.jpg": "`prefix: products/` and `suffix: .jpg`",
    "s3://photos/a.jpg": "`suffix: a.jpg`",
    ".{jpg,png}": "`[{ suffix: .jpg }, { suffix: .png }]`",
    ".(jpg|png)": "`[{ suffix: .jpg }, { suffix: .png }]`",
    "\\.jpe?g$": "`[{ suffix: .jpg }, { suffix: .jpeg }]`",
    ".jpg,.png": "`[{ suffix: .jpg }, { suffix: .png }]`",
    ".jpg .png": "`[{ suffix: .jpg }, { suffix: .png }]`",
    "jpg|png": "`[{ suffix: .jpg }, { suffix: .png }]`",
}


@pytest.mark.parametrize("text", SUFFIXES)
def test_a_suffix_that_no_key_has_is_refused(tmp_path: Path, text: str) -> None:
    """A suffix that fits nothing, or everything, is named likewise."""
    said = complain_about(tmp_path, f"uploads: [{{ prefix: gifs/ }}, {{ suffix: {json.dumps(text)} }}]")
    assert said.startswith("presets.yaml:4: presets.a.uploads.1.suffix: ")
    assert SUFFIXES[text] in said


def test_a_text_longer_than_any_key_is_refused(tmp_path: Path) -> None:
    """S3's longest key is 1,024 bytes: a prefix of as many is taken, and one of more, which fits nothing, is not."""
    assert complain_about(tmp_path, f"uploads: [{{ prefix: {'ä' * 511}/x }}]") == ""
    assert "longer than any key" in complain_about(tmp_path, f"uploads: [{{ prefix: {'ä' * 512}/ }}]")


BITS = [
    *("/", "*", "?", ".", "..", "a", "products", "jpg", ".jpg", ".png", " ", "s3://", "bucket", "\\", "{", "}"),
    *("{jpg,png}", "[0-9]", "[jJ]", "$", "^", ",", "|", "(", ")", "\u200b", "\n", "é", "darkroom-inputs/", "-", "_"),
    *("https://x.amazonaws.com/", "<n>", "%20", "#", ": ", "'", '"', "2024", "!", "&", "@", "`", "no", "👨‍👩‍👧"),
]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_to_be_written_can_be_written(tmp_path: Path, seed: int) -> None:
    """Whatever text stands for a pattern, it is taken, or one fault is told, and what the fault advises is taken."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    advised = 0
    for _ in range(250):
        text = "".join(chance.choice(BITS) for _ in range(chance.randint(1, 6)))
        given = chance.choice([text, [text], [{"prefix": text}], [{"suffix": text}]])
        said = complain_about(tmp_path, f"uploads: {json.dumps(given, ensure_ascii=False)}")
        assert "\n" not in said
        if advice := re.search(r"write (?:a pattern for each: )?`(.*)`", said):
            written = advice[1].replace("` and `", ", ")
            if written.startswith(("prefix", "suffix")):
                written = f"{{ {written} }}"
            if written.startswith("{"):
                written = f"[{written}]"
            if not written.startswith("uploads: "):
                written = f"uploads: {written}"
            assert (text, complain_about(tmp_path, written)) == (text, "")
            advised += 1
    assert advised > 80
