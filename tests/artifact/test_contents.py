"""What `sam build` makes holds: nothing else, nothing less, and the same each time."""

import ast
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import botocore
import pytest

from local.artifact import CODE, SERVICES, Python, build, size
from local.settings import ROOT
from local.template_reader import load_template
from tests.artifact.folders import Unpacked, contents, copy_project

MEGABYTES = 50
MACHINES = {"x86_64": 62, "arm64": 183}
"""e_machine in the head of an ELF file (System V ABI)."""
ARCHITECTURES = pytest.mark.parametrize("architecture", MACHINES)


def locked() -> dict[str, str]:
    """The versions of the project's lock."""
    lines = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return {name.replace("-", "_"): version for name, version in lines}


@ARCHITECTURES
def test_only_what_runs_is_inside(built: dict[str, Path], architecture: str) -> None:
    """The project's functions, shared and presets, each locked package in its version, and not another name."""
    folder = built[architecture] / "Callback"
    infos = {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}
    assert infos == {f"{name}-{version}" for name, version in locked().items()}
    installed = importlib.metadata.packages_distributions()
    known = {
        name for name, owners in installed.items() if {o.lower().replace("-", "_") for o in owners} & locked().keys()
    }
    names = {path.name.partition(".")[0] for path in folder.iterdir() if path.suffix != ".dist-info"}
    assert names - known - {"__pycache__"} == {*CODE, "presets"}
    for part in CODE:
        sources = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / part).rglob("*.py")}
        assert {path.relative_to(folder): path.read_bytes() for path in (folder / part).rglob("*.py")} == sources
    assert (folder / "presets.yaml").read_bytes() == (ROOT / "presets.yaml").read_bytes()


@ARCHITECTURES
def test_it_is_small(built: dict[str, Path], architecture: str, record_property: Callable[[str, object], None]) -> None:
    """It stays under 50 MB unpacked, bytecode included, where Lambda would take 250."""
    megabytes = size(built[architecture] / "Callback") / 1e6
    record_property(f"artifact for {architecture}", f"{megabytes:.1f} MB unpacked")
    assert megabytes < MEGABYTES


@ARCHITECTURES
def test_it_is_for_its_processor(built: dict[str, Path], architecture: str) -> None:
    """Every compiled library is for the processor that the template's parameter names; by default that is arm64."""
    libraries = list((built[architecture] / "Callback").rglob("*.so"))
    assert len(libraries) >= 4
    assert {int.from_bytes(path.read_bytes()[18:20], "little") for path in libraries} == {MACHINES[architecture]}


def test_all_functions_get_the_same(built: dict[str, Path]) -> None:
    """Each function of the template has an artifact, and SAM uploads equal ones once."""
    functions = list(load_template().functions)
    assert {path.name for path in built["x86_64"].iterdir() if path.is_dir()} == set(functions)
    one = contents(built["x86_64"] / functions[0])
    for other in functions[1:]:
        assert contents(built["x86_64"] / other) == one


def test_another_folder_gives_the_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    """Two checkouts that install, cut down and compile for themselves make equal files, which name neither folder."""
    copy_project(tmp_path / "another-checkout")
    build("x86_64", tmp_path / "made", tmp_path / "another-checkout")
    assert contents(tmp_path / "made") == contents(built["x86_64"] / "Callback")
    for path in (path for path in (tmp_path / "made").rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [
            name for name in (str(tmp_path), str(built["x86_64"].parent), str(ROOT)) if name.encode() in content
        ]


def test_anyone_may_read_what_is_built(built: dict[str, Path]) -> None:
    """Lambda's user is nobody's, and reads every file, whatever the umask of who built."""
    folder = built["x86_64"] / "Callback"
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in [folder, *folder.rglob("*")]}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_every_service_that_the_code_calls_is_there() -> None:
    """The models that are kept are those of the clients that the code makes, no more and no fewer."""
    made = set()
    for source in [path for part in CODE for path in (ROOT / part).rglob("*.py")]:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"client", "resource"}:
                (service,) = node.args
                assert isinstance(service, ast.Constant) or source.name == "app.py", f"{source}: which service?"
                made |= {service.value} if isinstance(service, ast.Constant) else set()
    assert made == set(SERVICES)


@ARCHITECTURES
def test_the_models_are_botocore_s_own(built: dict[str, Path], architecture: str) -> None:
    """Of each service that is kept every file is byte for byte the installed one, and so is what all clients read."""
    kept, whole = built[architecture] / "Callback" / "botocore" / "data", Path(botocore.__file__).parent / "data"
    wanted = [path for service in SERVICES for path in (whole / service).rglob("*") if path.is_file()]
    wanted += [path for path in whole.iterdir() if path.is_file()]
    expected = {path.relative_to(whole): path.read_bytes() for path in wanted}
    assert {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*") if path.is_file()} == expected


@ARCHITECTURES
def test_each_source_has_bytecode_that_is_taken_as_it_is(
    built: dict[str, Path], architecture: str, python: Python
) -> None:
    """Every source has bytecode of the runtime's version, unchecked-hash (PEP 552): no date can make it stale."""
    folder = built[architecture] / "Callback"
    tag = "cpython-" + "".join(python.version.split(".")[:2])
    flags = set()
    for source in folder.rglob("*.py"):
        head = Path(importlib.util.cache_from_source(str(source)).replace(_own_tag(), tag)).read_bytes()[:8]
        flags.add(int.from_bytes(head[4:], "little"))
    assert flags == {0b01}


def test_the_zip_is_small(unpacked: Unpacked, record_property: Callable[[str, object], None]) -> None:
    """SAM's zip stays under the 50 MB that Lambda takes without a bucket (Lambda docs: quotas)."""
    megabytes = unpacked.zip.stat().st_size / 1e6
    record_property("artifact for this machine", f"{megabytes:.1f} MB zipped")
    assert megabytes < MEGABYTES


def _own_tag() -> str:
    return importlib.util.cache_from_source("x.py").split(".")[-2]
