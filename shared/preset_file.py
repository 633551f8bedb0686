"""The file of presets: what presets.yaml holds, or every fault in it with its line."""

import codecs
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.faults import Fault, did_you_mean, read_faults
from shared.presets import ELSEWHERE, Preset

Where = tuple[str | int, ...]

NONE_ON_PURPOSE = "write `presets: {}` if there are to be none"
TEXT_TAG = "tag:yaml.org,2002:str"
MERGE_TAG = "tag:yaml.org,2002:merge"
READINGS = {
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:timestamp": "a date",
}
"""What YAML makes of a text without quotes that is none to it, by its tag."""
ODD_NUMBER = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Numbers that YAML reads to base 8 (010 is 8) and to base 60 (1:30 is 90)."""
HINTS = {
    r"'\t'": "a tab; indent with spaces",
    "alias": "text that begins with * needs quotes",
    "alphabetic or numeric": "text that begins with * or & needs quotes",
    "mapping values": "text with a colon and a space needs quotes, or the line is indented too far",
    "cannot start any token": "text that begins so needs quotes",
    "another document": "the file is one document, so leave out the line of ---",
    "block end": "the line is indented unlike those beside it, or text that begins with { [ or a quote needs quotes",
    "end of stream": "the quote or bracket is never closed",
    "expected ',' or": "the bracket is not closed, or text within it needs quotes",
}
"""What is meant where PyYAML's words hold these."""


def load_presets(file: Path) -> dict[str, Preset]:
    """Read presets.yaml.

    Raises:
        SettingsError: the file breaks rules; each line of the message is one fault, with its line and field.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file.name}: cannot be read: {error.strerror}") from error
    document = _Document(file.name, _decode(file.name, content))
    presets, faults = _read_presets(document.content)
    document.refuse(faults)
    return presets


def _read_presets(content: object) -> tuple[dict[str, Preset], list[Fault]]:
    """The presets that are right, and what is wrong with the others and around them."""
    if content is None:
        return {}, [Fault((), f"the file is empty; {NONE_ON_PURPOSE}")]
    if not isinstance(content, dict):
        return {}, [Fault((), "expected the key `presets`, and under it each preset by its name")]
    faults = [
        Fault((key,), f"unknown key{did_you_mean(key, ['presets'])}; all presets are under the one key `presets`")
        for key in content
        if key != "presets"
    ]
    if "presets" not in content:
        return {}, [Fault((), f"the key `presets` is missing; {NONE_ON_PURPOSE}"), *faults]
    bodies = content["presets"]
    if not isinstance(bodies, dict):
        text = (
            f"nothing is written here; {NONE_ON_PURPOSE}"
            if bodies is None
            else f"expected presets by their names; {NONE_ON_PURPOSE}"
        )
        return {}, [Fault(("presets",), text), *faults]
    presets = {}
    for name, body in bodies.items():
        found = _read_preset(name, body)
        if isinstance(found, Preset):
            presets[name] = found
        else:
            faults += [Fault(("presets", name, *at), text) for at, text in found]
    return presets, faults


def _read_preset(name: str, body: object) -> Preset | list[Fault]:
    if not isinstance(body, dict):
        return [Fault((), "expected a mapping, with `arguments: { prompt: … }` at least")]
    faults = [
        Fault((field,), "nothing is written here; leave the field out")
        for field in ("endpoint", "tier")
        if field in body and body[field] is None
    ]
    if "name" in body:
        faults.append(Fault(("name",), "a preset is named by the key that it is under; leave this out"))
    try:
        preset = Preset.model_validate({**body, "name": name})
    except ValidationError as error:
        found = read_faults(error, Preset.model_fields.keys() - {"name"}, ELSEWHERE)
        # What is wrong with the name is wrong with the key.
        faults += [Fault(() if at == ("name",) else at, text) for at, text in found]
        return faults
    return faults or preset


class _Document:
    """A YAML file: what it holds, the line of each value, and what cannot be taken as YAML reads it."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines: dict[Where, int] = {(): 1}
        self._faults: list[tuple[int, Fault]] = []
        self._misread: set[Where] = set()
        self._open: list[yaml.Node] = []
        try:
            self._loader = yaml.SafeLoader(text)
            node = self._loader.get_single_node()
            self.content = self._read(node, ()) if node else None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise SettingsError(
                f"{name}:{line}: the character U+{ord(text[error.position]):04X} is not allowed"
            ) from error
        except yaml.MarkedYAMLError as error:
            raise SettingsError(f"{name}:{_describe_syntax(error)}") from error
        except RecursionError:
            raise SettingsError(f"{name}: nested too deeply") from None

    def refuse(self, faults: list[Fault]) -> None:
        """Raise what YAML misreads together with the faults in the rest, by their lines; nothing where all is well."""
        told = [(self._line_of(fault.where), fault) for fault in faults if fault.where not in self._misread]
        lines = [self._write(line, fault) for line, fault in sorted(self._faults + told, key=lambda one: one[0])]
        if lines:
            raise SettingsError("\n".join(lines))

    def _line_of(self, where: Where) -> int:
        while where not in self._lines:
            where = where[:-1]
        return self._lines[where]

    def _write(self, line: int, fault: Fault) -> str:
        place = ".".join(str(name) or '""' for name in fault.where)
        written = f"{self._name}:{line}: {place and f'{place}: '}{fault.text}"
        return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in written)

    def _tell(self, node: yaml.Node, where: Where, text: str) -> None:
        self._faults.append((node.start_mark.line + 1, Fault(where, text)))

    def _read(self, node: yaml.Node, where: Where) -> Any:
        self._lines.setdefault(where, node.start_mark.line + 1)
        if node in self._open:
            self._tell(node, where, "the alias is within what it repeats; write it out")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, where)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._read_mapping(node, where)
            return [self._read(item, (*where, number)) for number, item in enumerate(node.value)]
        finally:
            self._open.pop()

    def _read_mapping(self, mapping: yaml.MappingNode, where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                self._tell(key, where, "a key cannot be a list or a mapping; text that begins with { or [ needs quotes")
                continue
            name, place = key.value, (*where, key.value)
            if key.tag == MERGE_TAG:
                self._tell(key, place, "presets do not merge mappings; write the fields out")
            elif name in values:
                self._tell(key, place, f"written twice, first in line {self._lines[place]}; leave one of them out")
            else:
                self._lines[place] = key.start_mark.line + 1
                if where == ("presets",) and key.tag != TEXT_TAG:
                    reading = READINGS.get(key.tag, "something else")
                    self._tell(key, place, f"YAML reads this name as {reading}; put it in quotes")
                values[name] = self._read(value, place)
        return values

    def _read_scalar(self, node: yaml.ScalarNode, where: Where) -> Any:
        if node.tag == TEXT_TAG:
            return node.value
        text = None
        value: object = None
        resolved = self._loader.resolve(yaml.ScalarNode, node.value, (node.style is None, False))  # type: ignore[no-untyped-call] # its stubs have no types here
        if node.tag != resolved:
            text = "YAML gives this a meaning of its own, as text that begins with ! has; put it in quotes"
        elif node.tag not in READINGS:
            text = "YAML gives this a meaning of its own; put it in quotes"
        else:
            try:
                value = self._loader.construct_object(node)
            except ValueError:
                text = f"YAML takes this for {READINGS[node.tag]}, and it is none; put it in quotes"
        if READINGS.get(node.tag) == "a number" and ODD_NUMBER.fullmatch(node.value):
            text = f'YAML reads {node.value} as the number {value}; write "{node.value}" in quotes, or {value}'
        if text:
            self._misread.add(where)
            self._tell(node, where, text)
        return value


def _decode(name: str, content: bytes) -> str:
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}:{line}: not UTF-8; save the file in that encoding") from error


def _describe_syntax(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "cannot be read").removeprefix("but ")
    # What is never closed is found missing at the end of the file, and is to be mended where it opens.
    mark = error.context_mark if "end of stream" in problem and error.context_mark else error.problem_mark
    hint = next((hint for words, hint in HINTS.items() if words in problem), "")
    return f"{mark.line + 1 if mark else 1}: not YAML: {problem}{f' ({hint})' if hint else ''}"
