"""The proof that the proof works: mistakes that somebody could make are found within the budget of a test run."""

from collections.abc import Callable, Iterator
from itertools import chain, islice

import pytest

from tests.simulation import (
    bugs_of_deliveries,
    bugs_of_limits,
    bugs_of_outputs,
    bugs_of_payment,
    bugs_of_rows,
    bugs_of_strangers,
    bugs_of_uploads,
    bugs_of_waiting,
)
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.exhaustive import schedules
from tests.simulation.planting import BUGS
from tests.simulation.runs import Outcome, run
from tests.simulation.sandbox import Sandbox, sandbox

MODULES = (
    bugs_of_deliveries,
    bugs_of_limits,
    bugs_of_outputs,
    bugs_of_payment,
    bugs_of_rows,
    bugs_of_strangers,
    bugs_of_uploads,
    bugs_of_waiting,
)
OFTEN_TELL = ("lost-webhook", "contradicted")
"""Scenarios in which a fault shows more than in others."""
MOST_RUNS = 3000
"""A fifth of what a test run does without bugs."""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """The code under test, off the machine's clock and dice."""
    with sandbox() as made:
        yield made


def outcomes(box: Sandbox) -> Iterator[Outcome]:
    """Runs in the order in which they are likely to find something: no fault, random ones, all single ones."""

    def once(token: str) -> Outcome:
        return run(box, token)

    yield from (once(f"{name}:") for name in SCENARIOS)
    yield from chain(
        (once(f"seed:{seed}/3") for seed in range(300)),
        *(schedules(once, name, 1) for name in (*OFTEN_TELL, *SCENARIOS)),
    )


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(
    name: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """With this bug in the code some schedule breaks an invariant."""
    BUGS[name](monkeypatch)
    for number, outcome in enumerate(islice(outcomes(box), MOST_RUNS), start=1):
        if outcome.violations:
            record_property(
                f"bug found: {name}", f"run {number:>4}, {outcome.token}, {outcome.violations[0].invariant}"
            )
            return
    pytest.fail(f"{name} was not found in {MOST_RUNS} runs")


def test_many_bugs_are_planted() -> None:
    """Every module of bugs adds its own to the list."""
    assert {plant.__module__ for plant in BUGS.values()} == {module.__name__ for module in MODULES}
    assert len(BUGS) >= 80
