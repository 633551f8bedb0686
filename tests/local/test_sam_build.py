"""When the functions are built anew for containers. SAM itself is stood in for here, and runs in tests/artifact."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from local import sam_build
from local.settings import LocalError
from tests.artifact.folders import copy_project

FAKE_SAM = """#!{python}
import pathlib, sys, time
root = pathlib.Path.cwd()
with (root / "builds").open("a") as builds:
    builds.write("x")
folder = pathlib.Path(sys.argv[sys.argv.index("--build-dir") + 1])
folder.mkdir(exist_ok=True)
(folder / "template.yaml").touch()
{more}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, in which it is built."""
    root = tmp_path / "project"
    copy_project(root)
    monkeypatch.setattr(sam_build, "ROOT", root)
    monkeypatch.setattr(sam_build, "COMMAND", root / "sam")
    monkeypatch.setattr(sam_build, "BUILT_TEMPLATE", root / ".aws-sam" / "local" / "build" / "template.yaml")
    put_sam(root)
    return root


def put_sam(root: Path, more: str = "") -> None:
    """Put a stand-in for SAM there, which notes that it ran, and does one thing more."""
    (root / "sam").write_text(FAKE_SAM.format(python=sys.executable, more=more))
    (root / "sam").chmod(0o755)


def builds(root: Path) -> int:
    """How often SAM was run."""
    return len((root / "builds").read_text()) if (root / "builds").exists() else 0


def change(root: Path) -> None:
    """Change a source."""
    source = root / "shared" / "jobs.py"
    source.write_text(source.read_text() + "\n# changed\n")


@pytest.mark.parametrize(
    "do",
    [
        change,
        lambda root: (root / "shared" / "image_formats.py").unlink(),
        lambda root: (root / "functions" / "new.py").touch(),
        lambda root: (root / "local" / "architectures" / "arm64" / "Makefile").write_text("x"),
    ],
    ids=["changed", "deleted", "new", "another recipe"],
)
def test_what_changed_is_built_again(project: Path, do: Callable[[Path], object]) -> None:
    """A source that is changed, new or gone is a new build, and nothing else is."""
    for _ in range(2):
        sam_build.build_for_host()
    assert builds(project) == 1
    do(project)
    for _ in range(2):
        sam_build.build_for_host()
    assert builds(project) == 2


def test_what_is_saved_meanwhile_is_built_next_time(project: Path) -> None:
    """An edit in the middle of a build, which some functions have and others have not, is not taken for built."""
    put_sam(project, more='(root / "shared" / "waiting.py").write_text("# edited")')
    sam_build.build_for_host()
    put_sam(project)
    sam_build.build_for_host()
    assert builds(project) == 2


def test_two_terminals_build_once(project: Path) -> None:
    """Who comes while another builds waits for it, and uses what it built."""
    put_sam(project, more="time.sleep(0.5)")
    threads = [threading.Thread(target=sam_build.build_for_host) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(project) == 1


def test_a_build_that_fails_is_told_and_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SAM says is shown, with exit code 1, and the next try builds."""
    put_sam(project, more='sys.exit("no wheel")')
    with pytest.raises(LocalError, match="sam build failed:\nno wheel"):
        sam_build.build_for_host()
    monkeypatch.setattr(sys, "argv", ["sam_build"])
    assert sam_build.main() == 1
    put_sam(project)
    assert sam_build.main() == 0
    assert builds(project) == 3
