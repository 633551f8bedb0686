"""What Lambda gets, as a folder: our code, and locked wheels for its platform, cut down and compiled.

`sam build` runs this by way of the Makefile, once for each function, with whatever Python the machine has: it needs
nothing but pip. All functions get the same. The wheels are installed once and kept under `.aws-sam/libraries`; our own
code is copied each time. The same input gives the same bytes, on every machine and in every folder.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {"arm64": "aarch64", "x86_64": "x86_64"}
CODE = ("functions", "shared")
PRESETS = "presets.yaml"
SERVICES = ("dynamodb", "s3", "secretsmanager")
"""The AWS services that Darkroom calls; botocore has models of some four hundred, half of its size."""
DROPPED = (
    "bin",  # scripts that name the Python of this machine
    "boto3/data",  # models of boto3's resources, where Darkroom uses clients
    "boto3/examples",
    "*/tests",
    # Lists with the scripts' hashes, and notes of who installed what. METADATA stays: vulnerability scanners read it.
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
)
TASK_ROOT = "/var/task"
"""Where Lambda unpacks a function (Lambda docs: LAMBDA_TASK_ROOT)."""


class ArtifactError(Exception):
    """The artifact cannot be made here; the message is for whoever builds."""


@dataclass(frozen=True)
class Python:
    """A Python of the runtime's minor version on this machine: only its bytecode is of use there."""

    path: str
    version: str


def runtime_version(root: Path) -> str:
    """The functions' Python as the template says it, such as 3.13.

    Raises:
        ArtifactError: it says none.
    """
    found = re.search(
        r"^ +Runtime: python(3\.\d+)$", (root / "template.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    if not found:
        raise ArtifactError("template.yaml: there is no line `Runtime: python3.…`")
    return found[1]


def find_python(version: str) -> Python | None:
    """Find a CPython of this minor version: RUNTIME_PYTHON, this one, one on the path, one of pyenv's.

    Raises:
        ArtifactError: RUNTIME_PYTHON is none.
    """
    chosen = os.environ.get("RUNTIME_PYTHON")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}")), reverse=True)
    for path in [chosen] if chosen else [sys.executable, f"python{version}", *installed]:
        question = "import platform; print(platform.python_implementation(), platform.python_version())"
        try:
            # A shim of pyenv's stands on the path for each version, and may fail.
            answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=True).stdout  # noqa: S603 - a Python
        except (OSError, subprocess.CalledProcessError):
            continue
        if answer.startswith(f"CPython {version}."):
            return Python(path, answer.split()[1])
    if chosen:
        raise ArtifactError(f"RUNTIME_PYTHON={chosen} is no CPython {version}")
    return None


def build(architecture: str, target: Path, root: Path) -> Python | None:
    """Fill an empty folder with an artifact; the result is the Python whose bytecode is in it, if one was found.

    Raises:
        ArtifactError: it cannot be made here.
    """
    if target.exists() and any(target.iterdir()):
        raise ArtifactError(f"{target} is not empty")
    python = find_python(runtime_version(root))
    store = root / ".aws-sam" / "libraries"
    store.mkdir(parents=True, exist_ok=True)
    # `sam build --parallel` comes here several times at once.
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        libraries = _libraries(architecture, python, root, store)
        shutil.copytree(libraries, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
    put_code(target, root, python)
    for path in [target, *target.rglob("*")]:
        # SAM puts these bits into its zip; they must not hang on who builds.
        path.chmod(0o755 if path.is_dir() else 0o644)
    return python


def put_code(target: Path, root: Path, python: Python | None) -> None:
    """Put our own code and presets into an artifact, in place of what is there.

    Raises:
        ArtifactError: it cannot be compiled.
    """
    for folder in CODE:
        shutil.rmtree(target / folder, ignore_errors=True)
        shutil.copytree(root / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (target / PRESETS).unlink(missing_ok=True)
    shutil.copy(root / PRESETS, target)
    if python:
        _compile(target, CODE, python)


def size(folder: Path) -> int:
    """The bytes of all files in a folder, which Lambda limits to 250 MB (Lambda docs: quotas)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _libraries(architecture: str, python: Python | None, root: Path, store: Path) -> Path:
    """The wheels, installed and ready to be copied; its name holds the hash of all that they depend on."""
    lock = root / "requirements.txt"
    version = runtime_version(root)
    texts = [path.read_text(encoding="utf-8") for path in (lock, Path(__file__))]
    ingredients = [architecture, version, python.version if python else "", *texts]
    key = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:16]
    libraries = store / f"{architecture}-{key}"
    if libraries.exists():
        return libraries
    for old in store.glob(f"{architecture}-*"):
        shutil.rmtree(old)
    # What is not finished has another name, and goes with the next change.
    folder = Path(tempfile.mkdtemp(prefix=f"{architecture}-new-", dir=store))
    install_wheels(architecture, version, lock, folder)
    _cut_down(folder)
    if python:
        _compile(folder, ["."], python)
    folder.rename(libraries)
    return libraries


def install_wheels(architecture: str, version: str, lock: Path, folder: Path) -> None:
    """Install a lock's wheels for Lambda into a folder, whatever Python this machine has.

    Raises:
        ArtifactError: pip is missing, has no such wheel, or got another one than the lock's.
    """
    if not importlib.util.find_spec("pip"):
        raise ArtifactError(f"{sys.executable} has no pip: set PYTHON to a Python that has it")
    machine = PLATFORMS[architecture]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    # The lock is whole. Without --no-deps pip would ask for what the wheels need under this machine's Python.
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", version]
    command += ["--platform", f"manylinux_2_28_{machine}", "--platform", f"manylinux2014_{machine}"]
    # People set these for themselves; with --target pip refuses them, and none of it is installed for them.
    environment = os.environ | {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
    environment.pop("PIP_PREFIX", None)
    command += ["--target", str(folder), "-r", str(lock)]
    done = subprocess.run(command, env=environment, check=False)  # noqa: S603 - pip
    if done.returncode:
        raise ArtifactError(f"pip could not install {lock.name}")


def _cut_down(folder: Path) -> None:
    dropped = [path for pattern in DROPPED for path in folder.glob(pattern)]
    # The files beside the models, such as endpoints.json, are for every client.
    models = (folder / "botocore" / "data").iterdir()
    dropped += [path for path in models if path.is_dir() and path.name not in SERVICES]
    for path in dropped:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _compile(folder: Path, parts: tuple[str, ...] | list[str], python: Python) -> None:
    """Add bytecode that Lambda uses as it is.

    SAM dates all files in its zip to 1980 (samcli.lib.package.utils, make_zip_with_permissions), so bytecode that names
    its source's time would be thrown away at every cold start, on a file system where none can be kept. Unchecked-hash
    bytecode names none and is not compared (PEP 552): what is deployed is never edited. It holds Lambda's path and not
    this folder's.

    Raises:
        ArtifactError: a source has no bytecode afterwards.
    """
    command = [python.path, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", TASK_ROOT]
    environment = os.environ | {"PYTHONOPTIMIZE": "", "PYTHONPYCACHEPREFIX": ""}
    done = subprocess.run([*command, *(str(folder / part) for part in parts)], env=environment, check=False)  # noqa: S603 - a Python
    if done.returncode:
        raise ArtifactError(f"{python.path} could not compile {folder}")
    tag = "cpython-" + "".join(python.version.split(".")[:2])
    for source in [source for part in parts for source in (folder / part).rglob("*.py")]:
        if not (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").exists():
            raise ArtifactError(f"{python.path} made no bytecode of {source}")


def _describe(architecture: str, python: Python | None) -> str:
    if python:
        return f"for {architecture}, with bytecode of Python {python.version}"
    version = runtime_version(ROOT)
    return (
        f"for {architecture}, WITHOUT BYTECODE: there is no Python {version} here (RUNTIME_PYTHON=… names one),"
        " so each cold start compiles what it imports"
    )


def main() -> int:
    """Build one artifact; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.artifact", description="Fill a folder for Lambda.")
    parser.add_argument("architecture", choices=PLATFORMS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        python = build(arguments.architecture, arguments.folder, ROOT)
    except ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # To standard output: what a recipe says on standard error SAM shows only if it fails.
    print(f"{arguments.folder.name}: {size(arguments.folder) / 1e6:.1f} MB {_describe(arguments.architecture, python)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
