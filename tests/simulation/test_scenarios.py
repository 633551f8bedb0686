"""Each scenario without faults keeps all promises, and is the same run again."""

from collections.abc import Iterator

import pytest

from tests.simulation.catalogue import SCENARIOS
from tests.simulation.runs import run
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """The code under test, off the machine's clock and dice."""
    with sandbox() as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_run_is_the_same_again(scenario: str, box: Sandbox) -> None:
    """A token names one run: step by step, and to the last attribute of each row; and without faults nothing breaks."""
    first, again = run(box, f"{scenario}:"), run(box, f"{scenario}:")
    assert not first.violations
    assert first.world.trace == again.world.trace
    assert first.world.backend.rows() == again.world.backend.rows()
    assert first.world.trace
