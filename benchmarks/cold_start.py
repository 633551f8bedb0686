"""What a cold start spends on imports, with the artifact's bytecode and without it.

`make cold-start` runs it. The times are this machine's, not Lambda's: each is the median of new processes of the
functions' Python that have loaded AWS's runtime client before, and where nothing can be written.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from local.artifact import ArtifactError, Python, build, install_wheels, runtime_version
from local.settings import ROOT
from local.template_reader import load_template

MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
RUNS = 7
MEASURE = """
import importlib, sys, time
import awslambdaric.bootstrap
sys.path.insert(0, sys.argv[1])
began = time.perf_counter()
importlib.import_module(sys.argv[2])
print(time.perf_counter() - began)
"""


def milliseconds(python: Python, task: Path, client: Path, module: str) -> float:
    """The median time in which a handler's module is imported, after one run that warms the disk."""
    command = [python.path, "-c", MEASURE, str(task), module]
    environment = {"PYTHONPATH": str(client), "PYTHONDONTWRITEBYTECODE": "1", "POWERTOOLS_SERVICE_NAME": "darkroom"}
    runs = [
        float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)  # noqa: S603 - a Python
        for _ in range(RUNS + 1)
    ]
    return statistics.median(runs[1:]) * 1000


def measure(folder: Path) -> None:
    """Build what Lambda gets, and print a line for each function.

    Raises:
        ArtifactError: it cannot be built or run here.
    """
    compiled, bare, client = folder / "compiled", folder / "bare", folder / "client"
    python = build(MACHINE, compiled, ROOT)
    if not python:
        raise ArtifactError(f"there is no Python {runtime_version(ROOT)} here; RUNTIME_PYTHON=… names one")
    shutil.copytree(compiled, bare, ignore=shutil.ignore_patterns("__pycache__"))
    install_wheels(MACHINE, runtime_version(ROOT), ROOT / "requirements-runtime.txt", client)
    load = os.getloadavg()[0]
    print(f"Python {python.version}, {os.cpu_count()} cores of {MACHINE}, load {load:.1f}; not Lambda's times")
    for name, function in load_template().functions.items():
        module = function.handler.rpartition(".")[0]
        with_it, without = (milliseconds(python, task, client, module) for task in (compiled, bare))
        print(f"{name:<17} {with_it:4.0f} ms with bytecode, {without:4.0f} ms without", flush=True)


def main() -> int:
    """Run the benchmark; the result is the exit code."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))
    except ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
