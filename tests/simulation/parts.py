"""The work cut in parts, which any process can do alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.exhaustive import schedules
from tests.simulation.report import Report
from tests.simulation.runs import run
from tests.simulation.sandbox import Sandbox, sandbox


@dataclass(frozen=True)
class Seeds:
    """Random schedules: a range of seeds, each with at most so many jobs."""

    first: int
    end: int
    most_jobs: int

    def __str__(self) -> str:
        """For lists of tests."""
        return f"seeds {self.first} to {self.end - 1}"


@dataclass(frozen=True)
class Share:
    """A share of all schedules of a scenario with up to so many faults."""

    scenario: str
    faults: int
    part: int
    parts: int

    def __str__(self) -> str:
        """For lists of tests."""
        return f"{self.scenario} with up to {self.faults} faults, {self.part + 1} of {self.parts}"


Part = Seeds | Share


def cut_seeds(first: int, count: int, most_jobs: int, size: int) -> Iterator[Seeds]:
    """Parts of so many seeds."""
    for begin in range(first, first + count, size):
        yield Seeds(begin, min(begin + size, first + count), most_jobs)


def cut_scenario(scenario: str, faults: int, parts: int) -> Iterator[Share]:
    """So many shares of a scenario's schedules."""
    for part in range(parts):
        yield Share(scenario, faults, part, parts)


def do(part: Part) -> Report:
    """Do one part in this process."""
    with sandbox() as box:
        return do_in(box, part)


def do_in(box: Sandbox, part: Part) -> Report:
    """Do one part in a sandbox that is there."""
    report = Report()
    if isinstance(part, Seeds):
        for seed in range(part.first, part.end):
            report.add(run(box, f"seed:{seed}/{part.most_jobs}"))
    else:
        for outcome in schedules(lambda token: run(box, token), part.scenario, part.faults, (part.part, part.parts)):
            report.add(outcome)
    return report
