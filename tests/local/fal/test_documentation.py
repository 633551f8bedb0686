"""docs/emulator.md is true: its calls work, its scripts are scripts, and no switch is missing from it."""

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import httpx
import pytest

from local.fal import EmulatorSettings, Script
from local.fal.__main__ import parse_options
from local.fal.chaos import ChaosPlan, Rule
from local.fal.control import Advance, Lock, Rotation
from local.fal.scripts import ScriptedResult
from local.fal.switches import (
    Breakage,
    CallFault,
    DeliveryFaults,
    ExtraDelivery,
    FileFault,
    OutputFault,
    SubmitFault,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.local.fal.conftest import Live

PAGE = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text()
ADDRESS = "http://127.0.0.1:8787"
# Scripts as the tables show them, each alone in its cell.
SHOWN = re.findall(r"^\| `(\{.*\})` \|", PAGE, re.MULTILINE)
MODELS: list["type[BaseModel]"] = [
    EmulatorSettings,
    Script,
    ScriptedResult,
    SubmitFault,
    DeliveryFaults,
    ExtraDelivery,
    OutputFault,
    CallFault,
    ChaosPlan,
    Rule,
    Advance,
    Lock,
    Rotation,
]


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    return [part.split("```")[0] for part in PAGE.split(f"```{language}\n")[1:]]


def commands() -> list[tuple[str, str]]:
    """Every command of the page's shell blocks, and what a remark behind it says of the answer."""
    found = []
    for block in blocks("sh"):
        for command in re.split(r"\n(?=\S)", block.strip()):
            text, _, remark = command.partition("  # ")
            found.append((text, remark))
    return found


def curl(command: str, url: str) -> httpx.Response:
    """Make the call of a curl line, on machines that lack curl too."""
    words = iter(shlex.split(command.replace(ADDRESS, url))[1:])
    method, target, content, headers = "", "", None, {}
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-d":
                content = next(words)
            case "-H":
                name, _, headers[name] = next(words).partition(": ")
            case _:
                target = word
    return httpx.request(method or ("GET" if content is None else "POST"), target, headers=headers, content=content)


def test_every_command_of_the_page_works(live: "Live") -> None:
    """From top to bottom against one emulator: each call is a 200, or what the remark behind it says."""
    ran = 0
    for command, remark in commands():
        if not command.startswith("curl "):
            words = shlex.split(command)
            assert words[1:3] == ["-m", "local.fal"]
            assert parse_options(words[3:]).port == 8787
        elif remark == "no answer":
            with pytest.raises(httpx.RemoteProtocolError):
                curl(command, live.url)
        else:
            answer = curl(command, live.url)
            assert answer.status_code == int(remark or 200), (command, answer.text)
            ran += 1
    assert ran > 20


def test_the_python_of_the_page_works() -> None:
    """It makes its own emulator, and what it asserts holds."""
    (code,) = blocks("python")
    made: dict[str, Any] = {}
    exec(code, made)  # noqa: S102 - the page's own lines
    made["http"].close()


@pytest.mark.parametrize("shown", SHOWN)
def test_a_script_of_the_tables_is_one(shown: str) -> None:
    """It says something, and nothing that is unknown."""
    script = Script.model_validate_json(shown)
    assert script.model_dump(mode="json", exclude_defaults=True).keys() <= json.loads(shown).keys()
    assert script != Script()


@pytest.mark.parametrize("model", MODELS)
def test_every_switch_is_on_the_page(model: "type[BaseModel]") -> None:
    """Each field is named, in JSON or by itself."""
    assert [name for name in model.model_fields if f'"{name}"' not in PAGE and f"`{name}`" not in PAGE] == []


def test_every_answer_is_on_the_page() -> None:
    """Of submits, polls and files."""
    files = get_args(get_args(FileFault.model_fields["answer"].annotation)[0])
    answers = {str(one) for one in (*get_args(Breakage), *files)}
    assert {one for one in answers if not re.search(rf"\b{one}\b", PAGE)} == set()
