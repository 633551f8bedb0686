"""How much a cold start compiles: nothing of what is built, and everything of what would be there without our care."""

import py_compile
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.artifact import Python
from local.template_reader import load_template
from tests.artifact.conftest import pack_and_unpack
from tests.artifact.emulation import MACHINE, Runtime
from tests.artifact.folders import Unpacked, contents

IMPORT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
print(sum(file.startswith(sys.argv[1]) and file.endswith(".py") for file in files))
"""


def start_cold(runtime: Runtime) -> tuple[int, int]:
    """Import all handlers in a new process; give how many of the artifact's were loaded, and how many compiled."""
    handlers = {function.handler.rpartition(".")[0] for function in load_template().functions.values()}
    command = [runtime.python.path, "-c", IMPORT, str(runtime.task), *sorted(handlers)]
    # Not even a user who may write everywhere leaves bytecode behind, as nobody can in Lambda.
    environment = runtime.environment() | {"PYTHONDONTWRITEBYTECODE": "1", "POWERTOOLS_SERVICE_NAME": "darkroom"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - a Python
    assert done.returncode == 0, done.stderr
    return int(done.stdout), len(runtime.compiled_modules())


def test_nothing_is_compiled(
    unpacked: Unpacked, python: Python, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """After SAM's zip with its dates of 1980 all handlers load some hundred modules, and none is compiled."""
    before = contents(unpacked.task)
    loaded, compiled = start_cold(Runtime(python, tmp_path, unpacked.task, tmp_path / "compiled"))
    record_property("cold start of all handlers", f"{loaded} modules loaded, {compiled} compiled")
    assert datetime.fromtimestamp((unpacked.task / "presets.yaml").stat().st_mtime, UTC).year == 1980
    assert loaded > 300
    assert compiled == 0
    assert contents(unpacked.task) == before


@pytest.mark.usefixtures("unpacked")
@pytest.mark.parametrize("mode", [None, py_compile.PycInvalidationMode.TIMESTAMP])
def test_without_our_bytecode_all_is_compiled(
    built: dict[str, Path], python: Python, tmp_path: Path, mode: py_compile.PycInvalidationMode | None
) -> None:
    """With no bytecode, or with the ordinary kind, each module is compiled: the check above can fail."""
    made = tmp_path / "made"
    shutil.copytree(built[MACHINE] / "Callback", made)
    for folder in list(made.rglob("__pycache__")):
        shutil.rmtree(folder)
    if mode:
        command = [python.path, "-m", "compileall", "-q", "--invalidation-mode", "timestamp", str(made)]
        subprocess.run(command, check=True)  # noqa: S603 - a Python
    pack_and_unpack(made, tmp_path / "task")
    loaded, compiled = start_cold(Runtime(python, tmp_path, tmp_path / "task", tmp_path / "compiled"))
    assert compiled >= loaded > 300
