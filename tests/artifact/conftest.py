"""What `sam build` makes, built once for all tests, and unpacked as Lambda unpacks it."""

import fcntl
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.artifact import Python, find_python, install_wheels, runtime_version
from local.settings import ROOT
from tests.artifact.emulation import MACHINE
from tests.artifact.folders import Unpacked, copy_project

SAM = ROOT / ".tools" / "sam" / "bin"
ZIP = """
import sys
from samcli.lib.package.utils import make_zip_with_lambda_permissions
make_zip_with_lambda_permissions(sys.argv[1], sys.argv[2])
"""

TERMINAL = {
    "PIP_PREFIX": "/nowhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_USER": "1",
    "PYTHONPYCACHEPREFIX": "/nowhere",
}
"""What people have in theirs; no artifact may hang on it."""

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder of this name once, for all processes of this test run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = shared / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return make_once


def sam_build(project: Path, *arguments: str) -> str:
    """Run `sam build` on a copy of the project, and give what it prints."""
    assert (SAM / "sam").exists(), "there is no .tools/sam: `make template` installs it"
    done = subprocess.run(  # noqa: S603 - the project's own tool
        [str(SAM / "sam"), "build", *arguments],
        cwd=project,
        # The recipe's Python is that of the tests, which looks for the runtime's where they do.
        env=os.environ | TERMINAL | {"SAM_CLI_TELEMETRY": "0", "PYTHON": sys.executable},
        umask=0o077,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"sam build failed; without a network, pip has no wheels:\n{printed}"
    return printed


@pytest.fixture(scope="session")
def built(once: Once) -> dict[str, Path]:
    """A folder with the artifact of each function for x86_64, and one with that of one function as it is by default."""

    def make(project: Path) -> None:
        copy_project(project)
        sam_build(project, "--build-dir", "x86_64", "--parameter-overrides", "Architecture=x86_64")
        sam_build(project, "Callback", "--build-dir", "arm64")

    project = once("built", make)
    return {architecture: project / architecture for architecture in ("arm64", "x86_64")}


@pytest.fixture(scope="session")
def python() -> Python:
    """A Python of the runtime's version, without which a test of its bytecode shows nothing."""
    version = runtime_version(ROOT)
    found = find_python(version)
    if not found:
        pytest.skip(f"there is no Python {version} here; RUNTIME_PYTHON=… names one")
    return found


@pytest.fixture(scope="session")
def unpacked(once: Once, built: dict[str, Path]) -> Unpacked:
    """The artifact of this machine's architecture after its way through SAM's zip."""
    if MACHINE not in built or sys.platform != "linux":
        pytest.skip(f"Lambda has Linux on arm64 and x86_64, not {sys.platform} on {MACHINE}")

    def make(folder: Path) -> None:
        folder.mkdir()
        pack_and_unpack(built[MACHINE] / "Callback", folder / "task")

    task = once("unpacked", make) / "task"
    return Unpacked(task, task.with_suffix(".zip"))


def pack_and_unpack(artifact: Path, task: Path) -> None:
    """Zip with SAM's own function, and unpack into a read-only folder that keeps the dates, as Lambda does."""
    subprocess.run([str(SAM / "python"), "-c", ZIP, str(task), str(artifact)], check=True)  # noqa: S603 - the project's own tool
    with zipfile.ZipFile(task.with_suffix(".zip")) as file:
        file.extractall(task)
        for entry in file.infolist():
            path = task / entry.filename
            at = datetime(*entry.date_time, tzinfo=UTC).timestamp()
            os.utime(path, (at, at))
            path.chmod(0o444)
    for folder in [task, *(path for path in task.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)


@pytest.fixture(scope="session")
def runtime_client(once: Once) -> Path:
    """AWS's client of the runtime interface, from its lock."""
    lock = ROOT / "requirements-runtime.txt"
    return once("runtime", lambda folder: install_wheels(MACHINE, runtime_version(ROOT), lock, folder))
