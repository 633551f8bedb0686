"""Files of presets, and what is told about them."""

from pathlib import Path

from shared.errors import SettingsError
from shared.preset_file import load_presets


def complain(folder: Path, text: str | bytes) -> list[str]:
    """The faults that are told about a presets.yaml, a line each; none where it is right."""
    file = folder / "presets.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_presets(file)
    except SettingsError as error:
        return str(error).split("\n")
    return []


def complain_about(folder: Path, fields: str) -> str:
    """What is told about fields of a preset, which begin in line 4; nothing where they are right."""
    return "\n".join(complain(folder, f"presets:\n  a:\n    arguments: {{ prompt: x }}\n    {fields}\n"))
