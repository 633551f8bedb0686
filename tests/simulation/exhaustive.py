"""All schedules of a scenario with up to so many faults: the run with some of them shows where the next may be."""

from collections.abc import Callable, Iterator

from tests.simulation.faults import FixedPlan, choices
from tests.simulation.runs import Outcome

POINTS = 45
"""How many calls of a run are disturbed: a job that is polled for hours repeats itself."""

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


def _with(run: Run, scenario: str, faults: dict[int, str], depth: int) -> Iterator[Outcome]:
    outcome = run(f"{scenario}:{FixedPlan(faults)}")
    yield outcome
    if len(faults) < depth:
        for number, kind in list(_next_faults(outcome, max(faults))):
            yield from _with(run, scenario, {**faults, number: kind}, depth)


def _next_faults(outcome: Outcome, after: int) -> Iterator[tuple[int, str]]:
    before = ""
    for number, operation, _, first in outcome.world.points[:POINTS]:
        # The queries of one sweep, a shard each, are one point.
        if number > after and not (operation == before == "dynamodb.query"):
            yield from ((number, kind) for kind in choices(operation, first=first))
        before = operation
