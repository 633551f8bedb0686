"""The work cut in parts, which any process can do alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.exhaustive import Run, interleavings, schedules
from tests.simulation.report import Report
from tests.simulation.runs import Outcome, run
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


@dataclass(frozen=True)
class Interleaved:
    """A share of all schedules of a scenario in which two functions stand still in turn."""

    scenario: str
    part: int
    parts: int

    def __str__(self) -> str:
        """For lists of tests."""
        return f"{self.scenario} interleaved, {self.part + 1} of {self.parts}"


Part = Seeds | Share | Interleaved


def cut_seeds(first: int, count: int, most_jobs: int, size: int) -> Iterator[Seeds]:
    """Parts of so many seeds."""
    for begin in range(first, first + count, size):
        yield Seeds(begin, min(begin + size, first + count), most_jobs)


def cut_scenario(scenario: str, faults: int, parts: int) -> Iterator[Share]:
    """So many shares of a scenario's schedules."""
    for part in range(parts):
        yield Share(scenario, faults, part, parts)


def cut_interleavings(scenario: str, parts: int) -> Iterator[Interleaved]:
    """So many shares of a scenario's interleavings."""
    for part in range(parts):
        yield Interleaved(scenario, part, parts)


def do(part: Part) -> Report:
    """Do one part in this process."""
    with sandbox() as box:
        return do_in(box, part)


def do_in(box: Sandbox, part: Part) -> Report:
    """Do one part in a sandbox that is there."""
    report = Report()
    for outcome in outcomes(lambda token: run(box, token), part):
        report.add(outcome)
    return report


def outcomes(once: Run, part: Part) -> Iterator[Outcome]:
    """The runs of a part."""
    match part:
        case Seeds():
            return (once(f"seed:{seed}/{part.most_jobs}") for seed in range(part.first, part.end))
        case Interleaved():
            return interleavings(once, part.scenario, (part.part, part.parts))
        case Share():
            return schedules(once, part.scenario, part.faults, (part.part, part.parts))
