"""What SAM builds of the functions for this machine: a folder for each state of the code, beside what is deployed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.artifact import CODE, PRESETS, ArtifactError, find_python, put_code, runtime_version
from local.docker import host_architecture
from local.sam import COMMAND
from local.settings import ROOT, LocalError

BUILDS = ROOT / ".aws-sam" / "local"
FOR_PLAIN_SAM = BUILDS / "template.yaml"
"""The template of a stack that runs in containers, for `sam local invoke -t` and the like."""
RECIPE = (
    "Makefile",
    "local/architectures",
    "local/artifact.py",
    "requirements.txt",
    "samconfig.toml",
    "template.yaml",
)
"""What a build depends on, besides our own code."""


@contextmanager
def built_for_host() -> Iterator[Path]:
    """The folder that SAM built of the project as it is now; nobody changes or removes it as long as the block lasts.

    Whoever comes while another builds waits, and finds it done. Containers mount what is in the folder: so what is
    built next has another one.

    Raises:
        LocalError: SAM fails; holds what it said.
    """
    BUILDS.mkdir(parents=True, exist_ok=True)
    with ExitStack() as using:
        with (BUILDS / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = _build()
            use = using.enter_context(_use_of(folder).open("w"))
            fcntl.flock(use, fcntl.LOCK_SH)
            _remove_unused()
        yield folder


def _build() -> Path:
    while True:
        recipe, code = fingerprint(ROOT, RECIPE), fingerprint(ROOT, (*CODE, PRESETS))
        folder = BUILDS / f"{recipe}-{code}"
        if folder.exists():
            return folder
        unfinished = BUILDS / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if alike := next(BUILDS.glob(f"{recipe}-*/template.yaml"), None):
            _build_code(alike.parent, unfinished)
        else:
            _build_all(unfinished)
        # What was saved meanwhile is in some functions, perhaps, and not in others.
        if (recipe, code) == (fingerprint(ROOT, RECIPE), fingerprint(ROOT, (*CODE, PRESETS))):
            unfinished.rename(folder)
            return folder


def _build_all(target: Path) -> None:
    print("Building the functions for this machine with SAM (half a minute) …", file=sys.stderr, flush=True)
    architecture = host_architecture()
    command = [str(COMMAND), "build", "--build-dir", str(target)]
    command += ["--parameter-overrides", f"Architecture={architecture}"]
    environment = os.environ | {"ARCHITECTURE": architecture}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - SAM, which make installed
    if done.returncode:
        raise LocalError(f"sam build failed:\n{done.stdout}{done.stderr}")


def _build_code(alike: Path, target: Path) -> None:
    """Take what SAM built with the same libraries, and put the code of now into it: all functions have the same."""
    shutil.copytree(alike, target, copy_function=os.link)
    first, *others = [path for path in target.iterdir() if path.is_dir()]
    try:
        put_code(first, ROOT, find_python(runtime_version(ROOT)))
    except ArtifactError as error:
        raise LocalError(str(error)) from error
    for folder in others:
        (folder / PRESETS).unlink()
        os.link(first / PRESETS, folder / PRESETS)
        for name in CODE:
            shutil.rmtree(folder / name)
            shutil.copytree(first / name, folder / name, copy_function=os.link)


def _remove_unused() -> None:
    for folder in [path for path in BUILDS.iterdir() if path.is_dir()]:
        with _use_of(folder).open("w") as use:
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder)
            _use_of(folder).unlink()


def _use_of(folder: Path) -> Path:
    """The file that is locked by whoever uses a folder."""
    return folder.with_name(f"{folder.name}.used")


def fingerprint(root: Path, names: Iterable[str]) -> str:
    """A hash of the names and bytes of files and of all that is in folders, bytecode apart."""
    files = [file for name in names for file in [root / name, *(root / name).rglob("*")]]
    found = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".pyc"):
        found.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return found.hexdigest()[:12]
