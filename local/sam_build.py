"""`python -m local.sam_build`: has SAM build the functions for this machine, if what they are built of has changed."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from local.docker import host_architecture
from local.foreground import INTERRUPTED
from local.sam import COMMAND
from local.sam_template import BUILT_TEMPLATE
from local.settings import ROOT, LocalError

INPUTS = (
    "Makefile",
    "functions",
    "local/architectures",
    "local/artifact.py",
    "presets.yaml",
    "requirements.txt",
    "samconfig.toml",
    "shared",
    "template.yaml",
)


def build_for_host() -> None:
    """Build beside what a deployment takes; whoever comes meanwhile waits, and finds it done.

    Raises:
        LocalError: SAM fails; holds what it said.
    """
    folder = BUILT_TEMPLATE.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "built-of"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Of what was there before: what is saved while SAM builds may be in some functions and not in others.
        inputs = fingerprint(ROOT)
        if mark.exists() and mark.read_text() == inputs and BUILT_TEMPLATE.exists():
            return
        print(
            "Building the functions for this machine with SAM (half a minute, when they have changed) …",
            file=sys.stderr,
        )
        mark.unlink(missing_ok=True)
        architecture = host_architecture()
        command = [str(COMMAND), "build", "--build-dir", str(BUILT_TEMPLATE.parent)]
        command += ["--parameter-overrides", f"Architecture={architecture}"]
        environment = os.environ | {"ARCHITECTURE": architecture}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - SAM, which make installed
        if done.returncode:
            raise LocalError(f"sam build failed:\n{done.stdout}{done.stderr}")
        mark.write_text(inputs)


def fingerprint(root: Path) -> str:
    """A hash of the names and bytes of all files that a build depends on."""
    files = [file for name in INPUTS for file in [root / name, *(root / name).rglob("*")]]
    found = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".pyc"):
        found.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return found.hexdigest()


def main() -> int:
    """Build; the result is the exit code."""
    try:
        build_for_host()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended; the next build begins from the start", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
