"""The file of presets: whatever is wrong in it is told at once, with line, preset, field and what to write."""

import random
import re
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE
from tests.shared.preset_files import complain

GOOD = "arguments: { prompt: x }"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Each fault of each preset has its own line, with the line of the file, in the file's order."""
    text = """\
version: 2
presets:
  Good Shot:
    teir: pro
    uploads:
      - { prefix: products/ }
      - prefix: /shoes/*.jpg
        sufix: .png
    arguments:
      prompt: x
      guidance_scale: 99
      aspect_ratio: 1:1
      steps: 3
  fine:
    arguments: { prompt: x }
  empty:
  plain:
    tier: ultra
    on_unknown: maybe
    output_key: "{paht}"
    output_key: "{path}.{ext}"
"""
    told = [line.split(": ")[:2] for line in complain(tmp_path, text)]
    assert told == [
        ["presets.yaml:1", "version"],
        ["presets.yaml:3", "presets.Good Shot"],
        ["presets.yaml:4", "presets.Good Shot.teir"],
        ["presets.yaml:7", "presets.Good Shot.uploads.1.prefix"],
        ["presets.yaml:8", "presets.Good Shot.uploads.1.sufix"],
        ["presets.yaml:11", "presets.Good Shot.arguments.guidance_scale"],
        ["presets.yaml:12", "presets.Good Shot.arguments.aspect_ratio"],
        ["presets.yaml:13", "presets.Good Shot.arguments.steps"],
        ["presets.yaml:16", "presets.empty"],
        ["presets.yaml:17", "presets.plain.arguments"],
        ["presets.yaml:18", "presets.plain.tier"],
        ["presets.yaml:19", "presets.plain.on_unknown"],
        ["presets.yaml:20", "presets.plain.output_key"],
        ["presets.yaml:20", "presets.plain.output_key"],
        ["presets.yaml:21", "presets.plain.output_key"],
    ]


def test_what_the_docs_show_is_so(tmp_path: Path) -> None:
    """The preset in docs/presets.md is right, and the faults that it shows are told in its words."""
    page = (PRESETS_FILE.parent / "docs/presets.md").read_text()
    example, shown = re.findall(r"^```(?:yaml)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert complain(tmp_path, example) == []
    wrong = """\
presets:
  studio-shot:
    description: A product before a plain studio background
    uploads: [{ prefix: /products/*.jpg }]
    teir: pro
    arguments:
      prompt: x
      aspect_ratio: 1:1
"""
    told = complain(tmp_path, wrong)
    assert len(told) == len(shown.splitlines())
    for line, written in zip(told, shown.splitlines(), strict=True):
        assert line.startswith(written.removesuffix("…"))


NONE_ON_PURPOSE = "write `presets: {}` if there are to be none"
FILES = {
    # a whole file: what is told, each in a line of its own
    "": [f":1: the file is empty; {NONE_ON_PURPOSE}"],
    "# nothing\n": [f":1: the file is empty; {NONE_ON_PURPOSE}"],
    "---\n": [f"the file is empty; {NONE_ON_PURPOSE}"],
    "presets:": [f":1: presets: nothing is written here; {NONE_ON_PURPOSE}"],
    "presets: []": [f":1: presets: expected presets by their names; {NONE_ON_PURPOSE}"],
    "presets: a": [":1: presets: expected presets by their names"],
    f"preset: {{ a: {{ {GOOD} }} }}": [
        ":1: the key `presets` is missing",
        ":1: preset: unknown key (did you mean presets?)",
    ],
    "Presets: {}": [":1: the key `presets` is missing", ":1: Presets: unknown key (did you mean presets?)"],
    f"a: {{ {GOOD} }}": [":1: the key `presets` is missing", ":1: a: unknown key; all presets are under"],
    "presets: {}\nversion: 1": [":2: version: unknown key"],
    "- a": [":1: expected the key `presets`"],
    "text": [":1: expected the key `presets`"],
    "12": [":1: expected the key `presets`"],
    "presets: {}\npresets: {}": [":2: presets: written twice, first in line 1"],
    f"presets:\n  a: {{ {GOOD} }}\n  a: {{ {GOOD} }}": [":3: presets.a: written twice, first in line 2"],
    f"presets:\n  a: {{ {GOOD} }}\n  'a': {{ {GOOD} }}": [":3: presets.a: written twice, first in line 2"],
    "presets: {": [":1: not YAML: "],
    "presets:\n\ta: 1": [":2: not YAML: ", "indent with spaces"],
    f"presets:\n  a:\n  \t{GOOD}": ["not YAML: "],
    "presets:\n  a:\n    description: one: two": [":3: not YAML: ", "a colon and a space needs quotes"],
    "presets:\n  a:\n    description: @home": [":3: not YAML: ", "needs quotes"],
    "presets:\n  a:\n    description: 'x\n\n  b: 1\n": [":3: not YAML: ", "never closed"],
    "presets:\n  a:\n    output_key: {preset}/{path}": [":3: not YAML: ", "text that begins with {"],
    "presets:\n  a:\n    uploads: [{ suffix: *.jpg }]": [":3: not YAML: ", "text that begins with *"],
    "presets:\n  a:\n    uploads: [{ suffix: *jpg }]": [":3: not YAML: ", "text that begins with *"],
    "presets: {}\n---\npresets: {}": [":2: not YAML: ", "the file is one document"],
    "presets: {a: \x07}": [":1: the character U+0007 is not allowed"],
    "presets: &a { a: *a }": ["the alias is within what it repeats"],
    f"presets:\n  a:\n    <<: {{ tier: max }}\n    {GOOD}": [":3: presets.a.<<: presets do not merge mappings"],
    f"presets:\n  ? [a]\n  : {{ {GOOD} }}": [":2: presets: a key cannot be a list"],
    f"presets:\n  ? {{ a: b }}\n  : {{ {GOOD} }}": [":2: presets: a key cannot be a list or a mapping"],
}


@pytest.mark.parametrize("text", FILES)
def test_a_file_that_holds_no_presets_is_told(tmp_path: Path, text: str) -> None:
    """A file that would mean no presets without saying so, and one that is no YAML, is told with its line."""
    told = "\n".join(complain(tmp_path, text))
    assert re.match(r"presets\.yaml:\d+: ", told)
    for expected in FILES[text]:
        assert expected in told


@pytest.mark.parametrize("text", ["presets: {}", "# none\npresets: {}\n", "\ufeffpresets: {}", '{"presets": {}}'])
def test_no_presets_are_fine_on_purpose(tmp_path: Path, text: str) -> None:
    """A file may say that uploads start nothing."""
    assert complain(tmp_path, text) == []


def test_another_encoding_is_told(tmp_path: Path) -> None:
    """Latin-1 is told with the line, and UTF-16, which YAML knows by its mark, is read."""
    text = "presets:\n  a:\n    arguments: { prompt: café }\n"
    assert complain(tmp_path, text.encode("latin-1")) == [
        "presets.yaml:3: not UTF-8; save the file in that encoding",
    ]
    assert complain(tmp_path, text.encode("utf-16")) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing file, and a folder in its place, are named."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match=f"{path.name}: cannot be read: "):
            load_presets(path)


def test_too_deep_a_file_is_told(tmp_path: Path) -> None:
    """Nesting beyond what can be read is a fault, and no crash."""
    assert complain(tmp_path, "[" * 5000) == ["presets.yaml: nested too deeply"]


def test_parts_may_be_repeated_by_an_alias(tmp_path: Path) -> None:
    """YAML's anchors and aliases work, and what is wrong under an alias is told for each preset that has it."""
    text = "presets:\n  a:\n    arguments: &same { prompt: x }\n  b:\n    arguments: *same\n"
    assert complain(tmp_path, text) == []
    told = complain(tmp_path, text.replace("prompt: x", "prompt: x, seed: y"))
    assert [line.split(": ")[1] for line in told] == ["presets.a.arguments.seed", "presets.b.arguments.seed"]


def test_a_name_cannot_break_a_line(tmp_path: Path) -> None:
    """Whatever a name holds, its fault is one line of what can be seen."""
    (told,) = complain(tmp_path, f'presets:\n  "a\\nb\\e[31m": {{ {GOOD} }}')
    assert told.startswith("presets.yaml:2: presets.a\\nb\\x1b[31m: ")


def test_no_fault_shows_a_prompt(tmp_path: Path) -> None:
    """Faults are logged and prompts are not: no fault repeats one, whatever is wrong beside it or with it."""
    for arguments in (
        "{ prompt: CANARY, seed: x, steps: 3 }",
        "{ prompt: [CANARY] }",
        "{ prompt: { CANARY: 1 } }",
        f"{{ prompt: {'CANARY ' * 10_000} }}",
    ):
        told = complain(tmp_path, f"presets: {{ a: {{ arguments: {arguments} }} }}")
        assert told
        assert "CANARY" not in "\n".join(told)


INSERTS = [
    *(
        "",
        "\t",
        " ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "*",
        "&a ",
        "!",
        "!!int ",
        "'",
        '"',
        "#",
        "null",
        "1:1",
    ),
    *("010", "@", "<<: ", "---\n", "? ", "|", "\x00", "\x85", "2025-13-45", "=", "0b_", "\u2028", "{}", "~"),
]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_written_is_taken_or_told(tmp_path: Path, seed: int) -> None:
    """The shipped file with slips of the hand in it loads, or each fault has its line and our words."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    shipped = PRESETS_FILE.read_text()
    faulty = 0
    for _ in range(150):
        text = shipped
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(INSERTS) + text[at + chance.choice((0, 0, 1, 5)) :]
        told = complain(tmp_path, text)
        faulty += bool(told)
        for line in told:
            assert re.match(r"presets\.yaml:\d+: \S", line)
            assert 1 <= int(line.split(":")[1]) <= len(text.splitlines())
            assert not re.search(r"Input should|Field required|Extra inputs|Value error|pydantic|<unicode", line)
    assert faulty > 30
