"""Faults: what is wrong with a value that a person wrote, with its place, in words that say what to write."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

WORDS = {
    "missing": "is missing",
    "string_type": "expected text",
    "string_unicode": "this text has characters that are none",
    "string_too_short": "is empty",
    "string_too_long": "longer than {max_length} characters",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "dict_type": "expected a mapping of names to values",
}
"""What each of pydantic's findings is called here, so that none of its own wording reaches a user."""

UNQUOTED = {"bool_type", "int_type", "float_type"}
"""Findings that quotes may be the cause of."""


class Fault(NamedTuple):
    """One thing that is wrong: where, as a path of names and numbers, and what."""

    where: tuple[str | int, ...]
    text: str


def refuse(faults: Iterable[Fault]) -> NoReturn:
    """Raise all faults at once, from within a validator too: what encloses it puts its own place before theirs.

    Raises:
        ValidationError: always.
    """
    raise ValidationError.from_exception_data(
        "faults",
        [
            InitErrorDetails(type=PydanticCustomError("fault", "{text}", {"text": text}), loc=where, input=None)
            for where, text in faults
        ],
    )


def read_faults(
    error: ValidationError, fields: Collection[str], elsewhere: Mapping[str, str] | None = None
) -> list[Fault]:
    """The faults that pydantic found in a model of these fields; `elsewhere` says where others belong."""
    faults = []
    for found in error.errors(include_url=False):
        kind, where = found["type"], found["loc"]
        if kind == "extra_forbidden":
            text = unknown(str(where[-1]), fields, elsewhere)
        elif kind == "value_error":
            text = str(found["ctx"]["error"])
        elif kind == "fault":
            text = found["msg"]
        else:
            text = _describe(kind, found.get("ctx", {}), found["input"])
        faults.append(Fault(where, text))
    return faults


def unknown(name: str, fields: Collection[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """What to say about a field that is none of `fields`."""
    if elsewhere and name in elsewhere:
        return elsewhere[name]
    listed = ", ".join(sorted(fields))
    return f"unknown field{did_you_mean(name, fields)}; expected one of {listed}"


def did_you_mean(written: str, choices: Collection[str]) -> str:
    """A question that names the choice most like what was written; nothing where none is like it."""
    import difflib  # noqa: PLC0415 - a cold start, which finds no faults, is spared it

    # outputKey and Output-Key are meant for output_key.
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s-]+", "_", written).lower()
    close = difflib.get_close_matches(snake, choices, n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""


def _describe(kind: str, context: Mapping[str, Any], given: object) -> str:
    words = WORDS.get(kind, "not possible here")
    if expected := context.get("expected"):
        # pydantic writes them as 'a', 'b' or 'c'.
        choices = re.findall(r"'([^']*)'", expected)
        words = f"expected one of {', '.join(choices)}"
        return words + did_you_mean(given, choices) if isinstance(given, str) else words
    words = words.format(**context)
    if kind == "string_type":
        return words + _misread(given)
    return words + (", without quotes" if kind in UNQUOTED and isinstance(given, str) else "")


def _misread(given: object) -> str:
    """What YAML may have made of a text that came as something else."""
    if given is None:
        return "; nothing is written here"
    if isinstance(given, bool):
        return "; YAML reads yes, no, on, off, true and false as switches, so put the text in quotes"
    if isinstance(given, int | float):
        return "; YAML reads this as a number, so put it in quotes"
    if isinstance(given, date):
        return "; YAML reads this as a date, so put it in quotes"
    if isinstance(given, dict | list):
        return "; text that begins with { or [ needs quotes"
    return ""
