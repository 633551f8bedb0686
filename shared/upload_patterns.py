"""Upload patterns: which uploads a preset takes, by how their keys begin and end."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from shared.faults import Fault, read_faults, refuse
from shared.pattern_texts import EXAMPLE, find_faults, write_pattern, write_patterns

FOR_EVERYTHING = {"all", "any", "every", "everything", "true", "*", "**", "**/*", "*.*", "/"}
"""What people write for all uploads, in small letters."""
NOTHING = {"none", "nothing", "never", "null", "no", "off"}
"""What people write for no upload."""


class UploadPattern(BaseModel):
    """Uploads whose key begins with `prefix` and ends with `suffix`, whose letter case does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = ""
    suffix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, given: Any) -> Any:
        if given == {}:
            raise ValueError("fits every upload; write a prefix or a suffix, or `uploads: everything` if that is meant")
        if not isinstance(given, dict | UploadPattern):
            raise ValueError(f"expected a pattern, such as {EXAMPLE}")  # noqa: TRY004 - pydantic lets no TypeError through
        return given

    @field_validator("prefix", "suffix")
    @classmethod
    def _can_fit_a_key(cls, text: str, info: ValidationInfo) -> str:
        if fault := find_faults(text, str(info.field_name)):
            raise ValueError(fault)
        return text

    def matches(self, key: str) -> bool:
        """Whether the key fits."""
        return key.startswith(self.prefix) and key.lower().endswith(self.suffix.lower())

    def covers(self, other: Self) -> bool:
        """Whether each key that fits the other fits this one too."""
        return other.prefix.startswith(self.prefix) and other.suffix.lower().endswith(self.suffix.lower())

    def meets(self, other: Self) -> bool:
        """Whether some key may fit both."""
        mine, its = self.suffix.lower(), other.suffix.lower()
        return (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)) and (
            mine.endswith(its) or its.endswith(mine)
        )

    def __str__(self) -> str:
        """The pattern as a file has it."""
        return write_pattern(self.prefix, self.suffix)


EVERYTHING = UploadPattern.model_construct()
"""What `uploads: everything` means: the one pattern that cannot be written as one."""


def read_patterns(given: object, field: str) -> tuple[list[UploadPattern], list[Fault]]:
    """The patterns of a preset's field, and every fault in them with its place in the field."""
    if given in ([], {}):
        return [], [Fault((), f"nothing is in it; leave `{field}` out instead")]
    if isinstance(given, dict):
        # The one pattern is judged too, so that all faults are told at once.
        patterns, faults = read_patterns([given], field)
        example = patterns[0] if patterns else EXAMPLE
        return [], [
            Fault((), f"expected a list of patterns; write `{field}: [{example}]`"),
            *(Fault(at[1:], text) for at, text in faults),
        ]
    if not isinstance(given, list):
        return [], [Fault((), _say_what_to_write(given, field))]
    patterns, faults = [], []
    for number, item in enumerate(given):
        try:
            pattern = _read_pattern(item, field)
        except ValidationError as error:
            faults += [Fault((number, *at), text) for at, text in read_faults(error, UploadPattern.model_fields)]
            continue
        if any(pattern.covers(other) and other.covers(pattern) for other in patterns):
            faults.append(Fault((number,), f"{pattern} is written twice; leave one of them out"))
        patterns.append(pattern)
    return patterns, faults


def _read_pattern(item: object, field: str) -> UploadPattern:
    if isinstance(item, dict) and list(item.values()) == [None]:
        # { products/ } is what YAML makes of braces around a text.
        item = next((name for name in item if name not in UploadPattern.model_fields), item)
    if isinstance(item, str):
        everything = _means_everything(item)
        write = _for_everything(field) if everything else f"write `{write_patterns(item)}`"
        refuse([Fault((), f"expected a pattern, and this is text; {write}")])
    return UploadPattern.model_validate(item)


def _say_what_to_write(given: object, field: str) -> str:
    if given is None or given is False or given in NOTHING:
        return f"expected a list of patterns; for none, leave `{field}` out"
    if given is True or _means_everything(given):
        return _for_everything(field)
    if isinstance(given, str):
        return f"expected a list of patterns; write `{field}: [{write_patterns(given)}]`"
    return f"expected a list of patterns, such as {field}: [{EXAMPLE}]"


def _means_everything(given: object) -> bool:
    return isinstance(given, str) and given.strip().lower() in FOR_EVERYTHING


def _for_everything(field: str) -> str:
    if field == "uploads":
        return "for every upload, write `uploads: everything`"
    return f"no upload would be left; leave `{field}` and `uploads` out instead"
