"""When the functions are built anew for containers. SAM itself is stood in for here, and runs in tests/artifact."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from local import sam_build
from local.artifact import find_python, runtime_version
from local.settings import ROOT, LocalError, free_ports
from tests.artifact.folders import copy_project
from tests.local.test_end_to_end import wait_for
from tests.local.test_sam_docker import LOOPBACK_NETWORK, put_docker

FAKE_SAM = """#!{python}
import pathlib, shutil, sys, time
root = pathlib.Path.cwd()
with (root / "builds").open("a") as builds:
    builds.write("x")
folder = pathlib.Path(sys.argv[sys.argv.index("--build-dir") + 1])
for name in ("Callback", "Sweep"):
    for part in ("functions", "shared"):
        shutil.copytree(root / part, folder / name / part)
    shutil.copy(root / "presets.yaml", folder / name)
    (folder / name / "httpx").mkdir()
    (folder / name / "httpx" / "__init__.py").touch()
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
    monkeypatch.setattr(sam_build, "BUILDS", root / ".aws-sam" / "local")
    put_sam(root)
    return root


def build() -> Path:
    """Build, and use nothing of it."""
    with sam_build.built_for_host() as folder:
        assert (folder / "template.yaml").exists()
        return folder


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
        lambda root: (root / "presets.yaml").write_text("presets: {}"),
    ],
    ids=["changed", "deleted", "new", "presets"],
)
def test_changed_code_goes_beside_the_libraries_that_were_built(project: Path, do: Callable[[Path], object]) -> None:
    """A source that is changed, new or gone is so in each function, within seconds: SAM builds no library again."""
    before = build()
    do(project)
    with sam_build.built_for_host() as folder:
        assert folder != before
        for function in ("Callback", "Sweep"):
            built = {file.relative_to(folder / function) for file in (folder / function).rglob("*.py")}
            assert built - {Path("httpx/__init__.py")} == {
                file.relative_to(project) for part in ("functions", "shared") for file in (project / part).rglob("*.py")
            }
            for name in ("shared/jobs.py", "presets.yaml"):
                assert (folder / function / name).read_bytes() == (project / name).read_bytes()
    assert build() == folder
    assert builds(project) == 1


@pytest.mark.parametrize("name", ["local/architectures/arm64/Makefile", "template.yaml", "requirements.txt"])
def test_another_recipe_is_built_by_sam(project: Path, name: str) -> None:
    """What is more than our own code is a whole new build, and nothing else is."""
    for _ in range(2):
        build()
    assert builds(project) == 1
    (project / name).write_text((project / name).read_text() + "\n# changed\n")
    for _ in range(2):
        build()
    assert builds(project) == 2


def test_code_that_cannot_be_compiled_is_told(project: Path) -> None:
    """It is no build, and what was built before stays."""
    before = build()
    whole = (project / "functions" / "jobs.py").read_text()
    (project / "functions" / "jobs.py").write_text("READING = ([")
    if find_python(runtime_version(project)):
        with pytest.raises(LocalError, match="could not compile"):
            build()
    (project / "functions" / "jobs.py").write_text(whole)
    assert build() == before


def test_what_is_used_stays_as_it_is(project: Path) -> None:
    """Containers mount a build: the next one has a folder of its own, and the old one goes when nobody uses it."""
    with sam_build.built_for_host() as old:
        change(project)
        with sam_build.built_for_host() as new:
            assert old != new
            assert (old / "template.yaml").exists()
        assert build() == new
        assert (old / "template.yaml").exists()
    assert build() == new
    assert [path for path in new.parent.iterdir() if path.is_dir()] == [new]


def test_what_is_saved_meanwhile_is_built_too(project: Path) -> None:
    """An edit in the middle of a build, which some functions have and others have not, is not taken for built."""
    put_sam(project, more='(root / "shared" / "waiting.py").write_text("# edited")')
    build()
    assert builds(project) == 2
    build()
    assert builds(project) == 2


def test_two_terminals_build_once(project: Path) -> None:
    """Who comes while another builds waits for it, and uses what it built."""
    put_sam(project, more="time.sleep(0.5)")
    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(project) == 1


def test_a_build_that_fails_is_told_and_tried_again(project: Path) -> None:
    """What SAM says is shown, and the next try builds."""
    put_sam(project, more='sys.exit("no wheel")')
    for _ in range(2):
        with pytest.raises(LocalError, match="sam build failed:\nno wheel"):
            build()
    put_sam(project)
    build()
    assert builds(project) == 3


@pytest.mark.long
@pytest.mark.parametrize(("words", "code"), [(["local", "--engine", "sam"], 0), (["local.invoke", "health"], 130)])
def test_ctrl_c_ends_a_build(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    """It is over at once and without a traceback, SAM with it, and nothing takes the half for a build."""
    put_docker(tmp_path, monkeypatch, "image*) ;;", f"network*) echo '{LOOPBACK_NETWORK}';;")
    put_sam(project, more="time.sleep(60)")
    shutil.copytree(ROOT / "events", project / "events")
    (project / ".tools" / "sam" / "bin").mkdir(parents=True)
    (project / "sam").rename(project / ".tools" / "sam" / "bin" / "sam")
    ports = {name: str(port) for name, port in free_ports().items()}
    environment = os.environ | ports | {"PYTHONPATH": str(project), "TMPDIR": str(tmp_path)}
    log = tmp_path / "output"
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", *words],
            cwd=project,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: builds(project), "the build")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(10) == code
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Building the functions" in text
    assert "Traceback" not in text
    assert not [path for path in (project / ".aws-sam/local").iterdir() if path.is_dir() and path.name != "unfinished"]
