"""All schedules of a scenario with up to so many faults: the run with some of them shows where the next may be."""

from collections.abc import Callable, Iterator

from tests.simulation.faults import WAIT_SECONDS, WAITS, FixedPlan, choices, kinds_of
from tests.simulation.runs import Outcome
from tests.simulation.world import Point

POINTS = 45
"""How many calls of a run are disturbed: a job that is polled for hours repeats itself."""
POINTS_AFTER = 4
"""How many are disturbed after each call of a kind that comes for the first time later."""

Run = Callable[[str], Outcome]


def schedules(run: Run, scenario: str, depth: int, share: tuple[int, int] = (0, 1)) -> Iterator[Outcome]:
    """Every run with at most `depth` faults, those with fewer first in each branch.

    Of the branches, which begin with one fault each, every `share[1]`-th is taken, beginning with number `share[0]`;
    the run without any fault belongs to the first share.
    """
    part, parts = share
    plain = run(f"{scenario}:")
    if part == 0:
        yield plain
    if depth == 0:
        return
    for index, first in enumerate(_next_faults(plain, 0)):
        if index % parts == part:
            yield from _with(run, scenario, {first[0]: first[1]}, depth)


def interleavings(run: Run, scenario: str, share: tuple[int, int] = (0, 1)) -> Iterator[Outcome]:
    """Every run in which two functions stand still at one call each, so that neither is over before the other goes on.

    One stands still; another begins meanwhile, and stands still in its turn until after the first has gone on: first
    and second, first and second. Shares are as those of `schedules`, by the first's calls.
    """
    part, parts = share
    plain = run(f"{scenario}:")
    waits = ((point, wait) for point in _points(plain) for wait in WAITS if wait in kinds_of(point.operation))
    for index, (first, wait) in enumerate(waits):
        if index % parts != part:
            continue
        nested = run(f"{scenario}:{FixedPlan({first.number: wait})}")
        yield nested
        for second in _points(nested, first.number):
            if first.at + WAIT_SECONDS[wait] <= second.at:
                break
            if second.process != first.process and wait in kinds_of(second.operation):
                yield run(f"{scenario}:{FixedPlan({first.number: wait, second.number: wait})}")


def _with(run: Run, scenario: str, faults: dict[int, str], depth: int) -> Iterator[Outcome]:
    outcome = run(f"{scenario}:{FixedPlan(faults)}")
    yield outcome
    if len(faults) < depth:
        for number, kind in list(_next_faults(outcome, max(faults))):
            yield from _with(run, scenario, {**faults, number: kind}, depth)


def _next_faults(outcome: Outcome, after: int) -> Iterator[tuple[int, str]]:
    for point in _points(outcome, after):
        yield from ((point.number, kind) for kind in choices(point.operation, first=point.first))


def _points(outcome: Outcome, after: int = 0) -> Iterator[Point]:
    """The calls that are disturbed, from the one after a number on; a sweep's queries, a shard each, are one."""
    before, known, last = "", set(), POINTS
    for point in outcome.world.points:
        if point.operation not in known:
            last = max(last, point.number + POINTS_AFTER)
        known.add(point.operation)
        if after < point.number <= last and not (point.operation == before == "dynamodb.query"):
            yield point
        before = point.operation
