"""Copies of the project to build in, and what tests look at in a folder."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.settings import ROOT

PARTS = (
    "Makefile",
    "functions",
    "local",
    "presets.yaml",
    "requirements.txt",
    "samconfig.toml",
    "shared",
    "template.yaml",
)
"""All that a build may need; a user's checkout holds much more."""


@dataclass(frozen=True)
class Unpacked:
    """An artifact as a function finds it, and the zip that it came in."""

    task: Path
    zip: Path


def copy_project(project: Path) -> None:
    """Copy what a build needs into a folder that is not there yet."""
    project.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, project)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Permissions and SHA-256 of each file, by its path in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }
