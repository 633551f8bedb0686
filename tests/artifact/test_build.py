"""How an artifact is built: from what is there now, once, anywhere, or not at all. The lock is short, to be quick."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import artifact
from local.artifact import ArtifactError, Python, build, find_python, runtime_version
from local.settings import ROOT
from tests.artifact.folders import contents, copy_project


def locked(*names: str) -> str:
    """The lines of some packages in the project's lock."""
    lines = re.findall(r"^\S+==.*(?:\n +.*)*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    found = [line for line in lines if line.partition("==")[0] in names]
    assert len(found) == len(names)
    return "\n".join(found)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with a short lock, which has what is cut down in it."""
    copy_project(tmp_path / "project")
    (tmp_path / "project" / "requirements.txt").write_text(locked("botocore", "six"))
    return tmp_path / "project"


def test_a_change_is_in_the_next_artifact(project: Path, tmp_path: Path) -> None:
    """Code, presets and lock are those of now, though wheels are installed again only after a change of the lock."""
    (tmp_path / "first").mkdir()
    build("x86_64", tmp_path / "first", project)
    (libraries,) = (project / ".aws-sam" / "libraries").glob("x86_64-*")
    (libraries / "kept").touch()
    (project / "functions" / "sweep.py").write_text("CHANGED = True\n")
    (project / "functions" / "new.py").touch()
    (project / "shared" / "fal.py").unlink()
    (project / "presets.yaml").write_text("presets: {}\n")
    build("x86_64", tmp_path / "second", project)
    second = contents(tmp_path / "second")
    assert second.keys() >= {"kept", "functions/new.py", "six.py"}
    assert not {"kept", "functions/new.py"} & contents(tmp_path / "first").keys()
    assert not [path for path in second if re.fullmatch(r"shared/(__pycache__/)?fal\..*", path)]
    for changed in ("functions/sweep.py", "presets.yaml"):
        assert (tmp_path / "second" / changed).read_bytes() == (project / changed).read_bytes()
    (project / "requirements.txt").write_text(locked("botocore"))
    build("x86_64", tmp_path / "third", project)
    assert not {"kept", "six.py"} & contents(tmp_path / "third").keys()
    assert not libraries.exists()


def test_functions_may_be_built_at_once(project: Path, tmp_path: Path) -> None:
    """Two that begin at the same time install once, and both are whole."""
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: build("x86_64", tmp_path / name, project), ("one", "other")))
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert "six.py" in contents(tmp_path / "one")
    assert len(list((project / ".aws-sam" / "libraries").glob("x86_64-*"))) == 1


def test_a_wheel_that_is_not_the_locked_one_is_refused(project: Path, tmp_path: Path) -> None:
    """A wrong hash ends the build, and leaves nothing behind that the next one would take for good."""
    lock = project / "requirements.txt"
    good = lock.read_text()
    lock.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", good))
    with pytest.raises(ArtifactError, match="could not install"):
        build("x86_64", tmp_path / "bad", project)
    assert not (tmp_path / "bad").exists()
    lock.write_text(good)
    build("x86_64", tmp_path / "good", project)
    assert "six.py" in contents(tmp_path / "good")


def test_without_the_runtime_s_python_it_says_so(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine without a Python of the runtime's version the artifact has no bytecode, and one line tells."""
    template = project / "template.yaml"
    template.write_text(template.read_text().replace(f"python{runtime_version(project)}", "python3.99"))
    monkeypatch.delenv("RUNTIME_PYTHON", raising=False)
    monkeypatch.setattr(artifact, "ROOT", project)
    monkeypatch.setattr(sys, "argv", ["artifact", "arm64", str(tmp_path / "Callback")])
    assert artifact.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(r"Callback: \d+\.\d MB for arm64, WITHOUT BYTECODE: there is no Python 3\.99 here", line)
    assert (tmp_path / "Callback" / "six.py").exists()
    assert not list((tmp_path / "Callback").rglob("*.pyc"))


def test_a_python_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What RUNTIME_PYTHON names must run and be of the runtime's version; it is not passed over in silence."""
    version = ".".join(map(str, sys.version_info[:2]))
    monkeypatch.setenv("RUNTIME_PYTHON", sys.executable)
    assert isinstance(find_python(version), Python)
    with pytest.raises(ArtifactError, match=r"is no CPython 3\.99"):
        find_python("3.99")
    monkeypatch.setenv("RUNTIME_PYTHON", str(tmp_path / "none"))
    with pytest.raises(ArtifactError, match="is no CPython"):
        find_python(version)


def test_a_shim_that_fails_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name on the path that does not run, as pyenv's shims may, hides no Python that does."""
    (tmp_path / "python3.99").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.99").chmod(0o755)
    good = tmp_path / "versions" / "3.99.1" / "bin" / "python3.99"
    good.parent.mkdir(parents=True)
    good.write_text("#!/bin/sh\necho CPython 3.99.1\n")
    good.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.delenv("RUNTIME_PYTHON", raising=False)
    assert find_python("3.99") == Python(str(good), "3.99.1")


def test_what_cannot_be_built_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds something, a template without a Python, and a Python without pip end in one line."""
    with pytest.raises(ArtifactError, match="is not empty"):
        build("x86_64", project, project)
    shutil.copytree(ROOT / "local" / "architectures", tmp_path / "target")
    monkeypatch.setattr(sys, "argv", ["artifact", "arm64", str(tmp_path / "target")])
    assert artifact.main() == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'target'} is not empty\n"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ArtifactError, match="has no pip: set PYTHON"):
        build("x86_64", tmp_path / "new", project)
    (project / "template.yaml").write_text("Resources: {}\n")
    with pytest.raises(ArtifactError, match=r"template\.yaml"):
        build("x86_64", tmp_path / "new", project)


def test_another_processor_than_the_template_s_is_an_error(project: Path, tmp_path: Path) -> None:
    """Who sets ARCHITECTURE and forgets the template's parameter is told so, and gets no artifact."""
    recipe = ["make", "--makefile", "local/architectures/arm64/Makefile", "build-Callback"]
    environment = os.environ | {"ARCHITECTURE": "x86_64", "ARTIFACTS_DIR": str(tmp_path / "made")}
    done = subprocess.run(recipe, cwd=project, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own recipe
    assert done.returncode != 0
    assert "ARCHITECTURE is x86_64, but the template's parameter Architecture is arm64" in done.stderr
    assert not (tmp_path / "made").exists()


def test_no_line_of_the_lock_depends_on_this_machine() -> None:
    """pip judges a lock's markers by the Python that it runs under, which is another than the functions'."""
    markers = re.findall(r";(.*?)\\?$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    named = {name for marker in markers for name in re.findall(r"[a-z_]+(?= *[!=<>])", marker)}
    assert named <= {"implementation_name", "platform_python_implementation"}
