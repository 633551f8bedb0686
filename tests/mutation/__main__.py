"""Mistakes planted in the modules where money or trust hangs, one at a time, and whether the tests notice.

`make mutate` plants a sample, another one for each SEED; `make mutate WHOLE=1` all. mutmut plants them and runs the
tests that reach the function; pyproject.toml says in which modules.
"""

# ruff: noqa: T201 - what runs in a terminal prints

import argparse
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
SAMPLE = 300
"""As many as two cores try within a quarter of an hour."""
ENOUGH = 0.9
"""The share of mistakes that the tests must notice."""
FIRST = "shared.webhook_urls.x_*"
"""A few mistakes, with which mutmut writes all of them down and learns which tests reach what."""
NOTICED = frozenset({"killed", "timeout", "suspicious", "segfault"})
EXPLAINED = Path(__file__).with_name("equivalent.txt")
"""Mistakes that change nothing that anybody could see: a module, a function, the line that was written, and why."""


def main() -> int:
    """Plant, run, and print what was not noticed; 1 if that is too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which sample (default 1)")
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many mistakes (default {SAMPLE})")
    parser.add_argument("--whole", action="store_true", help="all mistakes, which takes hours")
    parser.add_argument("--module", default="", help="of this module only, such as shared.fal")
    given = parser.parse_args()
    subprocess.run([MUTMUT, "run", FIRST], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own tool
    names = sorted(name for name in results() if name.startswith(f"{given.module}." if given.module else "shared."))
    if not given.whole:
        names = sorted(random.Random(given.seed).sample(names, min(given.sample, len(names))))  # noqa: S311 - which repeats
    print(f"{len(names):,} mistakes are planted one at a time …", flush=True)
    subprocess.run([MUTMUT, "run", *names], check=True)  # noqa: S603 - the same
    return report({name: status for name, status in results().items() if name in set(names)})


def results() -> dict[str, str]:
    """What became of each mistake, by mutmut's name for it."""
    listed = subprocess.run([MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True)  # noqa: S603 - the same
    pairs = (line.strip().rpartition(": ") for line in listed.stdout.splitlines() if ": " in line)
    return {name: status for name, _, status in pairs}


def report(found: dict[str, str]) -> int:
    """Print the figures by module, and each mistake that nothing noticed."""
    by_module: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for name, status in found.items():
        by_module[module_of(name)][status in NOTICED] += 1
    for module, counts in sorted(by_module.items()):
        print(f"{module:<28} {counts[True]:>5} of {counts.total():>5} noticed")
    unnoticed = [name for name, status in sorted(found.items()) if status not in NOTICED]
    known = [line.split("|") for line in EXPLAINED.read_text().splitlines() if line and not line.startswith("#")]
    explained = 0
    for name in unnoticed:
        shown = difference(name)
        why = explanation(name, shown, known)
        explained += bool(why)
        print("", name, *shown, f"  equivalent: {why}" if why else "  not explained", sep="\n")
    noticed = len(found) - len(unnoticed)
    print(f"\n{noticed} of {len(found)} noticed, {noticed / len(found):.1%}; {explained} of the others are explained")
    return int(noticed < ENOUGH * (len(found) - explained))


def module_of(name: str) -> str:
    """The module in which a mistake is planted."""
    return ".".join(name.split(".")[:2])


def difference(name: str) -> list[str]:
    """The lines that a mistake changes, as they were and as they became."""
    shown = subprocess.run([MUTMUT, "show", name], check=True, capture_output=True, text=True).stdout  # noqa: S603 - the same
    lines = shown.splitlines()
    return [line for line in lines if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]


def explanation(name: str, shown: Sequence[str], known: Sequence[Sequence[str]]) -> str:
    """Why a mistake is equivalent, if somebody has written it down; line numbers do not matter."""
    written = " ".join(line[1:].strip() for line in shown if line.startswith("+"))
    return next(
        (why.strip() for module, line, why in known if module.strip() == module_of(name) and line.strip() == written),
        "",
    )


if __name__ == "__main__":
    sys.exit(main())
