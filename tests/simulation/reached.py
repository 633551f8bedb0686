"""What of `shared` the simulation reaches, branch by branch, and which tests reach the rest.

`make reached` prints it. A line of which no tier is named is run by nothing.
"""

# ruff: noqa: T201 - what runs in a terminal prints

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coverage import Coverage

from tests.simulation.catalogue import INTERLEAVED, SCENARIOS
from tests.simulation.parts import Part, cut_interleavings, cut_scenario, cut_seeds, do

TIERS = ("tests/shared", "tests/functions", "tests/flow", "tests/local")
"""The others, the lowest first."""
SEEDS = 1000
PARTS: list[Part] = [
    *(part for name in SCENARIOS for part in cut_scenario(name, 0, 1)),
    *(part for name in INTERLEAVED for part in cut_interleavings(name, 2)),
    *cut_seeds(0, SEEDS, 3, 50),
]
Files = dict[str, dict[str, Any]]
"""What coverage tells of each file."""


def main() -> int:
    """Measure, and print; with two numbers, of shares and of one of them, only run that share."""
    if shares := [int(argument) for argument in sys.argv[1:]]:
        for part in PARTS[shares[1] :: shares[0]]:
            do(part)
        return 0
    with TemporaryDirectory() as folder:
        simulated = simulate(Path(folder))
        others = {tier: run_tier(tier, Path(folder)) for tier in TIERS}
    for line in report(simulated, others):
        print(line)
    return 0


def simulate(folder: Path) -> Files:
    """Run the simulation on all cores, and say what it reached."""
    data, cores = folder / "coverage", os.cpu_count() or 1
    run = [sys.executable, "-m", "coverage", "run", "--parallel-mode", "--branch", "--source=shared"]
    run += ["--concurrency=greenlet", f"--data-file={data}", "-m", "tests.simulation.reached", str(cores)]
    print("running the simulation …", file=sys.stderr, flush=True)
    processes = [subprocess.Popen([*run, str(share)]) for share in range(cores)]  # noqa: S603 - our own code
    if any([process.wait() for process in processes]):  # noqa: C419 - each is waited for
        raise SystemExit("the simulation ended in an error")
    whole = Coverage(data_file=data, branch=True, source=["shared"])
    whole.combine([str(folder)])
    told = folder / "simulation.json"
    with contextlib.redirect_stdout(sys.stderr):
        whole.json_report(outfile=str(told))
    files: Files = json.loads(told.read_text())["files"]
    return files


def run_tier(tier: str, folder: Path) -> Files:
    """Run the quick tests of a folder, and say what they reached."""
    print(f"running {tier} …", file=sys.stderr, flush=True)
    told = folder / f"{Path(tier).name}.json"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "not long", tier, "--cov=shared"]
    subprocess.run(  # noqa: S603 - our own tests
        [*command, "--cov-branch", f"--cov-report=json:{told}"],
        env=os.environ | {"COVERAGE_FILE": str(folder / f"{Path(tier).name}.coverage")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    files: Files = json.loads(told.read_text())["files"]
    return files


def report(simulated: Files, others: dict[str, Files]) -> Iterator[str]:
    """The figures by module, and each stretch of lines that the simulation does not reach with the tier that does."""
    yield f"{'module':<30} {'lines':>12} {'branches':>12}"
    for name, told in sorted(simulated.items()):
        yield _figures(name, told["summary"])
    sums = {key: sum(told["summary"][key] for told in simulated.values()) for key in KEYS}
    yield _figures("all", sums)
    for name, told in sorted(simulated.items()):
        tiers = [(line, _lowest(name, line, others)) for line in told["missing_lines"]]
        for tier, stretch in groupby(tiers, key=lambda one: one[1]):
            yield f"{name}:{_ranges([line for line, _ in stretch])} {tier}"


KEYS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def _figures(name: str, summary: dict[str, int]) -> str:
    statements, lines, branches, covered = (summary[key] for key in KEYS)
    return f"{name:<30} {f'{lines}/{statements}':>12} {f'{covered}/{branches}':>12}"


def _lowest(name: str, line: int, others: dict[str, Files]) -> str:
    return next((tier for tier, files in others.items() if line in files[name]["executed_lines"]), "nothing")


def _ranges(lines: Iterable[int]) -> str:
    """Line numbers as people write them: 3-5, 9."""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][-1] + 1:
            found[-1].append(line)
        else:
            found.append([line])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in found)


if __name__ == "__main__":
    sys.exit(main())
