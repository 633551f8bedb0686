"""Fields of a preset in presets.yaml: each wrong value is told with its field and with what may stand there."""

from pathlib import Path

import pytest

from tests.shared.preset_files import complain

TEXT_TO_IMAGE = "fal-ai/flux-pro/kontext/text-to-image"
FIELDS = {
    # what stands beside good arguments: the fault's field, and what it says
    "prompt: y": ("prompt", "belongs in `arguments`"),
    "num_images: 2": ("num_images", "belongs in `arguments`"),
    "image_url: y": ("image_url", "no images of its own"),
    "prefix: a/": ("prefix", "belongs in a pattern"),
    "name: b": ("name", "leave this out"),
    "teir: pro": ("teir", "did you mean tier?"),
    "Tier: pro": ("Tier", "did you mean tier?"),
    "output-key: x": ("output-key", "did you mean output_key?"),
    "outputKey: x": ("outputKey", "did you mean output_key?"),
    "upload: []": ("upload", "did you mean uploads?"),
    "excludes: []": ("excludes", "did you mean exclude?"),
    "same-bytes: skip": ("same-bytes", "did you mean same_bytes?"),
    "webhook: x": ("webhook", "expected one of arguments, description, endpoint, exclude, on_unknown"),
    "on: x": ("on", "unknown field"),
    "1: x": ("1", "unknown field"),
    "tier: ultra": ("tier", "expected one of pro, max"),
    "tier: Max": ("tier", "did you mean max?"),
    "tier: 1": ("tier", "expected one of pro, max"),
    "tier:": ("tier", "nothing is written here"),
    "endpoint:": ("endpoint", "nothing is written here"),
    "endpoint: fal-ai/flux-pro/kontex": ("endpoint", "did you mean fal-ai/flux-pro/kontext?"),
    "endpoint: fal-ai/flux-pro/kontext, tier: max": ("tier", "endpoint already says"),
    "on_unknown: retry": ("on_unknown", "expected one of fail, resubmit"),
    "on_unknown: resubmitt": ("on_unknown", "did you mean resubmit?"),
    "on_unknown: no": ("on_unknown", "expected one of fail, resubmit"),
    "uploads: everything, same_bytes: Skip": ("same_bytes", "did you mean skip?"),
    "uploads: everything, same_bytes: no": ("same_bytes", "expected one of edit, skip"),
    "same_bytes: skip": ("same_bytes", "does nothing without `uploads`"),
    "description: no": ("description", "put the text in quotes"),
    "description: 2024": ("description", "in quotes"),
    "description: 2024-05-01": ("description", "in quotes"),
    "description: 2024-13-45": ("description", "in quotes"),
    "description: 1:30": ("description", "in quotes"),
    "description: !x y": ("description", "in quotes"),
    "description: =": ("description", "in quotes"),
    "description:": ("description", "nothing is written here"),
    "description: [a]": ("description", "text that begins with { or [ needs quotes"),
    f"uploads: everything, endpoint: {TEXT_TO_IMAGE}": ("uploads", "takes no image"),
    f"uploads: [{{ prefix: a/ }}], endpoint: {TEXT_TO_IMAGE}": ("uploads", "takes no image"),
    "output_key: ''": ("output_key", "is empty"),
    "output_key: {path}": ("output_key", "text that begins with { or [ needs quotes"),
    "output_key: '{path'": ("output_key", "a brace without its other half"),
    "output_key: 'path}'": ("output_key", "a brace without its other half"),
    "output_key: '{path}{index:02}'": ("output_key", "without a format"),
    "output_key: '{path!r}'": ("output_key", "without a format"),
    "output_key: '{path}{x}'": ("output_key", "unknown {x}; expected one of {preset}, {path}"),
    "output_key: '{path}{}'": ("output_key", "unknown {}; expected one of {preset}, {path}"),
    "output_key: '{path}-{jobid}'": ("output_key", "unknown {jobid} (did you mean job_id?)"),
    "output_key: '{path}{path.__class__}'": ("output_key", "unknown {path.__class__}"),
    "output_key: 'a.{ext}'": ("output_key", "needs {path} or {job_id}"),
    "output_key: '/{path}'": ("output_key", "no / at either end"),
    "output_key: '{path}/'": ("output_key", "no / at either end"),
    "output_key: 'a//{path}'": ("output_key", "no empty, . or .. folder names"),
    "output_key: '../{path}'": ("output_key", "no empty, . or .. folder names"),
    "output_key: 's3://b/{path}'": ("output_key", "no bucket"),
    'output_key: "{path}\\n"': ("output_key", "cannot be seen"),
}
FIELDS[f"output_key: '{'x' * 123}{{path}}'"] = ("output_key", "longer than 128 characters")

LISTED = "expected one of aspect_ratio, enhance_prompt, guidance_scale, num_images, output_format, prompt, safety_tol"
ARGUMENTS = {
    # what stands in arguments: the fault's place there, and what it says
    "": (".prompt", "is missing"),
    "prompt: ''": (".prompt", "is empty"),
    "prompt: '  '": (".prompt", "must not be blank"),
    'prompt: " \\n\\t "': (".prompt", "must not be blank"),
    "prompt:": (".prompt", "nothing is written here"),
    "prompt: ~": (".prompt", "nothing is written here"),
    "prompt: 12": (".prompt", "in quotes"),
    "prompt: yes": (".prompt", "in quotes"),
    "prompt: 2024-05-01": (".prompt", "in quotes"),
    "prompt: 4:30": (".prompt", "in quotes"),
    "prompt: [a]": (".prompt", "expected text"),
    "prompt: x, steps: 3": (".steps", LISTED),
    "prompt: x, guidence_scale: 3": (".guidence_scale", "did you mean guidance_scale?"),
    "prompt: x, numImages: 3": (".numImages", "did you mean num_images?"),
    "prompt: x, tier: max": (".tier", "belongs beside `arguments`"),
    "prompt: x, uploads: []": (".uploads", "belongs beside `arguments`"),
    "prompt: x, image_url: y": (".image_url", "no images of its own"),
    "prompt: x, image_urls: [y]": (".image_urls", "no images of its own"),
    "prompt: x, sync_mode: true": (".sync_mode", "not in a preset"),
    "prompt: x, sync_mode: 'no'": (".sync_mode", "not in a preset"),
    "prompt: x, aspect_ratio: 1:1": (".aspect_ratio", 'write "1:1" in quotes'),
    "prompt: x, aspect_ratio: 21:9": (".aspect_ratio", 'write "21:9" in quotes'),
    "prompt: x, aspect_ratio: '5:4'": (".aspect_ratio", "expected one of 21:9, 16:9, 4:3, 3:2, 1:1"),
    "prompt: x, output_format: jpg": (".output_format", "expected one of jpeg, png (did you mean jpeg?)"),
    "prompt: x, guidance_scale: 21": (".guidance_scale", "must be at most 20"),
    "prompt: x, guidance_scale: 0.5": (".guidance_scale", "must be at least 1"),
    "prompt: x, guidance_scale: '3'": (".guidance_scale", "expected a number, without quotes"),
    "prompt: x, guidance_scale: .nan": (".guidance_scale", "expected a number"),
    "prompt: x, num_images: 5": (".num_images", "must be at most 4"),
    "prompt: x, num_images: two": (".num_images", "expected a whole number"),
    "prompt: x, num_images: 2.5": (".num_images", "expected a whole number"),
    "prompt: x, num_images: yes": (".num_images", "expected a whole number"),
    "prompt: x, seed: 0123": (".seed", 'YAML reads 0123 as the number 83; write "0123" in quotes, or 83'),
    "prompt: x, seed: 1:30": (".seed", "YAML reads 1:30 as the number 90"),
    "prompt: x, safety_tolerance: 7": (".safety_tolerance", "expected one of 1, 2, 3, 4, 5, 6"),
    "prompt: x, enhance_prompt: 'yes'": (".enhance_prompt", "expected true or false, without quotes"),
    "prompt: x, prompt: y": (".prompt", "written twice"),
}


NAMES = {
    "A b": "write a-b",
    "a_b": "write a-b",
    "Köln": "write k-ln",
    "-a": "write a",
    "a" * 64: "at most 63",
    "''": "lower-case letters, digits and hyphens",
    "123": "YAML reads this name as a number; put it in quotes",
    "1.5": "YAML reads this name as a number; put it in quotes",
    "yes": "YAML reads this name as true or false; put it in quotes",
    "null": "YAML reads this name as nothing; put it in quotes",
    "2024-05-01": "YAML reads this name as a date; put it in quotes",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_name_is_told_in_words(tmp_path: Path, name: str) -> None:
    """A name that breaks the rule, and one that YAML takes for no text, is told with the rule or with quotes."""
    told = "\n".join(complain(tmp_path, f"presets:\n  {name}: {{ arguments: {{ prompt: x }} }}"))
    assert told.startswith("presets.yaml:2: presets.")
    assert NAMES[name] in told


@pytest.mark.parametrize("name", ["a", "'0'", "a-b", "9-lives", "a" * 63, "'123'", "'yes'", "-".join("ab") + "-"])
def test_a_right_name_is_taken(tmp_path: Path, name: str) -> None:
    """Letters, digits and hyphens make a name, in quotes where YAML would read something else."""
    assert complain(tmp_path, f"presets:\n  {name}: {{ arguments: {{ prompt: x }} }}") == []


@pytest.mark.parametrize("fields", FIELDS)
def test_a_wrong_field_is_told(tmp_path: Path, fields: str) -> None:
    """What a preset's field cannot be is told once, with the field, and with what it can be."""
    field, expected = FIELDS[fields]
    (told,) = complain(tmp_path, f"presets:\n  a: {{ arguments: {{ prompt: x }}, {fields} }}")
    assert told.startswith(f"presets.yaml:2: presets.a.{field}: ")
    assert expected in told


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_wrong_argument_is_told(tmp_path: Path, arguments: str) -> None:
    """What the endpoint would not take is told likewise, on the argument's own line."""
    place, expected = ARGUMENTS[arguments]
    (told,) = complain(tmp_path, f"presets:\n  a:\n    arguments:\n      {{ {arguments} }}")
    assert told.startswith(f"presets.yaml:{4 if arguments else 3}: presets.a.arguments{place}: ")
    assert expected in told


@pytest.mark.parametrize("body", ["", "x", "3", "[arguments]", "[{ arguments: { prompt: x } }]"])
def test_a_preset_that_is_no_mapping_is_told(tmp_path: Path, body: str) -> None:
    """A name with nothing under it, or with something else than fields, is told with the least that it needs."""
    (told,) = complain(tmp_path, f"presets:\n  a: {body}")
    assert told.startswith("presets.yaml:2: presets.a: expected a mapping, with `arguments: { prompt: … }` at least")


@pytest.mark.parametrize("given", ["", "x", "[prompt]", "[{ prompt: x }]"])
def test_arguments_are_a_mapping(tmp_path: Path, given: str) -> None:
    """Arguments that are no names and values are told, as are none."""
    (told,) = complain(tmp_path, f"presets:\n  a:\n    arguments: {given}")
    assert told == "presets.yaml:3: presets.a.arguments: expected a mapping of names to values"
    assert complain(tmp_path, "presets:\n  a:\n    tier: max") == ["presets.yaml:2: presets.a.arguments: is missing"]


def test_several_images_need_an_index(tmp_path: Path) -> None:
    """An output key that several images would share is told, and is no fault with one image or with {index}."""
    text = "presets:\n  a: {{ output_key: '{{path}}{}.{{ext}}', arguments: {{ prompt: x, num_images: {} }} }}"
    (told,) = complain(tmp_path, text.format("", 2))
    assert "several images need {index}" in told
    assert complain(tmp_path, text.format("", 1)) == complain(tmp_path, text.format("-{index}", 2)) == []
