"""A lock is installed as it is locked: what came to the index later changes nothing, however old pip is."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSTALLS = re.compile(r"\bpip3?['\", ]+install\b|\buv pip (?:install|sync)\b")
AS_LOCKED = ("--no-deps", "--require-hashes")


def make_wheel(index: Path, name: str, version: str, *needs: str) -> str:
    """Put an empty wheel into a folder that serves as an index, and give its line of a lock."""
    wheel = index / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: toml"]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{about}/METADATA", "\n".join(metadata + [f"Requires-Dist: {need}" for need in needs]) + "\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the project's Makefile and an empty index beside it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "index").mkdir()
    return tmp_path


def install(clone: Path, goal: str) -> subprocess.CompletedProcess[str]:
    """Run the Makefile's own recipe against the folder's index."""
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(clone / "index"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(  # noqa: S603 - make is the user's own
        ["make", goal, f"PYTHON={sys.executable}"],  # noqa: S607 - the same
        cwd=clone,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("goal", "lock", "folder"),
    [
        (".venv/dev", "requirements-dev.txt", ".venv"),
        (".tools/sam/ready", "requirements-sam.txt", ".tools/sam"),
    ],
)
def test_a_newer_release_on_the_index_changes_nothing(clone: Path, goal: str, lock: str, folder: str) -> None:
    """A locked package needs another one's extra, as pytest-cov does; that one's newer release is left alone."""
    lines = make_wheel(clone / "index", "measure", "1.0")
    lines += make_wheel(clone / "index", "plugin", "1.0", "measure[toml]>=1.0")
    make_wheel(clone / "index", "measure", "1.1")
    (clone / lock).write_text(lines)
    done = install(clone, goal)
    assert done.returncode == 0, done.stderr
    found = subprocess.run(  # noqa: S603 - the venv's own Python
        [clone / folder / "bin" / "python", "-c", "import measure, plugin; print(measure.version)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "1.0\n"


@pytest.mark.long
def test_a_lock_that_lacks_something_is_told(clone: Path) -> None:
    """What is not in the lock is not fetched either: make stops and names it, and would install again."""
    make_wheel(clone / "index", "measure", "1.0")
    (clone / "requirements-local.txt").write_text(make_wheel(clone / "index", "plugin", "1.0", "measure>=1.0"))
    done = install(clone, ".venv/local")
    assert done.returncode != 0
    assert "requirements-local.txt is not whole" in done.stderr
    assert "plugin 1.0 requires measure, which is not installed." in done.stderr
    assert not (clone / ".venv" / "local").exists()


def test_every_install_line_takes_a_lock_as_it_is() -> None:
    """No file of the project installs packages in another way."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - git is the user's own
    names = [name for name in tracked.stdout.split("\0") if name and not name.startswith("tests/")]
    found: list[str] = []
    for name in [name for name in names if Path(name).suffix in {"", ".md", ".py", ".sh", ".yaml", ".yml", ".toml"}]:
        lines = (ROOT / name).read_text().splitlines()
        for number, line in enumerate(lines):
            if INSTALLS.search(line):
                found.append(f"{name}:{number + 1}")
                # A command that Python puts together may go on for a few lines.
                command = " ".join(lines[number : number + (4 if name.endswith(".py") else 1)])
                assert all(option in command for option in AS_LOCKED), found[-1]
    assert {place.partition(":")[0] for place in found} == {"Makefile", "local/artifact.py"}
