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
"""A quarter of what a test run does without bugs."""
TOLD_BEFORE = {
    "error_after_ok_fails_the_job": "contradicted:14.refused",
    "existing_row_is_taken_for_our_own": "seed:178/3",
    "expired_lease_is_sent_again": "lost-webhook:6.crash_after",
    "gateway_page_is_taken_for_a_refusal": "seed:115/3",
    "host_s_error_fails_the_job": "seed:216/3",
    "job_is_settled_before_its_outputs_are_stored": "seed:126/3",
    "lease_never_expires": "seed:2/3",
    "own_write_is_not_recognised": "lost-webhook:2.repeated",
    "unreadable_answer_is_taken_for_a_refusal": "seed:115/3",
    "update_has_no_condition": "seed:27/3",
}
"""What a long search found, run first; where the steps have changed since, the search begins anew."""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """The code under test, off the machine's clock and dice."""
    with sandbox() as made:
        yield made


def outcomes(box: Sandbox, name: str) -> Iterator[Outcome]:
    """Runs in the order in which they are likely to find something: no fault, random ones, all single ones."""

    def once(token: str) -> Outcome:
        return run(box, token)

    if name in TOLD_BEFORE:
        yield once(TOLD_BEFORE[name])
    yield from (once(f"{scenario}:") for scenario in SCENARIOS)
    yield from chain(
        (once(f"seed:{seed}/3") for seed in range(300)),
        *(schedules(once, scenario, 1) for scenario in (*OFTEN_TELL, *SCENARIOS)),
    )


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(
    name: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """With this bug in the code some schedule breaks an invariant."""
    BUGS[name](monkeypatch)
    for number, outcome in enumerate(islice(outcomes(box, name), MOST_RUNS), start=1):
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
