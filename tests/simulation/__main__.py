"""Many runs of the simulation, or one again: `python -m tests.simulation --help`."""

# ruff: noqa: T201 - what runs in a terminal prints

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.backlog import work_off
from tests.simulation.catalogue import INTERLEAVED, SCENARIOS
from tests.simulation.parts import Part, cut_interleavings, cut_scenario, cut_seeds, do
from tests.simulation.report import Report, describe
from tests.simulation.runs import run
from tests.simulation.sandbox import sandbox

SIZE = 50
SHARES = 16


def main() -> int:
    """Run what the command line asks for; 1 if an invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many random schedules (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=3, help="most jobs of a random schedule (default 3)")
    parser.add_argument("--faults", type=int, default=0, help="all schedules with so many faults, and no random ones")
    parser.add_argument("--interleaved", action="store_true", help="all schedules in which two functions take turns")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="of this scenario only; may be repeated")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="how many processes work")
    parser.add_argument(
        "--backlog", type=int, metavar="UPLOADS", help="so many photos at two slots and ten seconds each"
    )
    parser.add_argument("--replay", metavar="TOKEN", help="run one schedule again, and show each of its steps")
    given = parser.parse_args()
    if given.replay:
        with sandbox() as box:
            outcome = run(box, given.replay)
        print(describe(outcome))
        return bool(outcome.violations)
    if given.backlog:
        with sandbox() as box:
            worked = work_off(box, given.backlog)
        print(worked)
        return worked.succeeded != given.backlog or bool(worked.paid_again)
    parts: list[Part] = []
    if given.interleaved:
        for name in given.scenario or INTERLEAVED:
            parts += cut_interleavings(name, SHARES)
    elif given.faults:
        for name in given.scenario or SCENARIOS:
            parts += cut_scenario(name, given.faults, SHARES)
    else:
        parts += cut_seeds(given.first, given.seeds, given.jobs, SIZE)
    return _work(parts, given.cores)


def _work(parts: list[Part], cores: int) -> int:
    began = time.monotonic()
    whole = Report()
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for done, part in enumerate(pool.imap_unordered(do, parts), start=1):
            whole.merge(part)
            pace = whole.runs / (time.monotonic() - began)
            broken = f", {whole.broken.total()} BROKEN" if whole.broken else ""
            line = f"{done}/{len(parts)} parts, {whole.runs:,} schedules, {pace:,.0f} a second{broken}"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
    spent = time.monotonic() - began
    print(*whole.failures, "", sep="\n\n")
    print("\n".join(whole.lines()))
    print(f"schedules a second and core  {whole.runs / spent / cores:,.0f} ({spent:,.0f} s on {cores} cores)")
    return bool(whole.broken)


if __name__ == "__main__":
    sys.exit(main())
