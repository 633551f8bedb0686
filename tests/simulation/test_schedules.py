"""Whatever fails, in whatever order: nothing is paid twice, nothing is lost, and all that was promised holds."""

from collections.abc import Callable, Iterator

import pytest

from tests.simulation.catalogue import SCENARIOS
from tests.simulation.invariants import ROWS_THAT_ARE_NO_JOBS
from tests.simulation.parts import Part, cut_interleavings, cut_scenario, cut_seeds, do_in
from tests.simulation.report import Report
from tests.simulation.runs import run
from tests.simulation.sandbox import Sandbox, sandbox

PAIRS = ("upload",)
"""Scenarios of which some schedules with two faults are run."""
WHOLE = ("post", "lost-webhook", "in-doubt", "error")
"""Scenarios of which all schedules with one fault are run; of the others every fourth."""
TOGETHER = ("upload", "post", "posted-at-once", "delivered-at-once", "contradicted", "swept-twice", "late-index")
"""Scenarios of which any two functions that run at once are interleaved at each pair of their calls."""
LONG = frozenset(
    {
        *("backlog", "never-started-for-hours", "paused-over-retries", "paused-while-locked", "host-never-allowed"),
        *("never-started-bare", "lock-and-refusals", "no-key-and-refusals", "one-of-an-owner-s", "throttled", "paused"),
        *("one-owner-breaks-fal", "paused-unread", "paused-and-unread-input", "fal-down", "locked-for-days"),
        *("body-of-one-byte", "body-of-escaped", "body-of-two-bytes", "body-of-three-bytes", "body-of-four-bytes"),
        *("foreign-while-locked", "foreign-and-never-askable", "host-allowed-too-late", "host-allowed-for-a-part"),
        *("overwritten-unkept-while-locked", "full-row", "long-urls-and-files-down", "events-out-of-order"),
        *("result-gone", "stuck", "stuck-for-good", "locked-and-swept-twice", "late-index-while-locked"),
    }
)
"""Scenarios of days, of many jobs, and that differ from others in a text only, which are run without faults.

Random schedules have faults there too. `make simulate` runs all schedules of all scenarios.
"""
SEEDS = 1000
PARTS: list[Part] = [
    *(part for name in PAIRS for part in list(cut_scenario(name, 2, 10))[::5]),
    *(part for name in WHOLE for part in cut_scenario(name, 1, 2)),
    *(next(cut_scenario(name, 1, 4)) for name in SCENARIOS if name not in {*LONG, *PAIRS, *WHOLE}),
    *(part for name in TOGETHER for part in cut_interleavings(name, 2)),
    *cut_seeds(0, SEEDS, 3, 100),
]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """The code under test, off the machine's clock and dice."""
    with sandbox() as made:
        yield made


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_invariants_hold(part: Part, box: Sandbox, record_property: Callable[[str, object], None]) -> None:
    """In every schedule of this part all invariants hold; a run that breaks one is shown with its replay command."""
    report = do_in(box, part)
    record_property(Report.PROPERTY, report.to_json())
    assert not report.broken, "\n\n".join(report.failures)


def test_the_same_seed_is_the_same_again(box: Sandbox) -> None:
    """Random runs repeat too, faults included, and different seeds are different runs."""
    hashes = [[run(box, f"seed:{seed}/3").trace_hash for _ in range(2)] for seed in range(10)]
    assert all(first == again for first, again in hashes)
    assert len({first for first, _ in hashes}) == 10


@pytest.mark.parametrize(
    ("scenario", "most"),
    [("upload", 6), ("upload-again", 9), ("post", 6), ("two-images", 7), ("error", 5), ("payload-error", 6)],
)
def test_what_a_run_without_faults_costs(scenario: str, most: int, box: Sandbox) -> None:
    """The happy paths cost few AWS calls, a cold start's aside, and a copy of an event costs one more."""
    points = run(box, f"{scenario}:").world.points
    aws = [point for point in points if point.operation.startswith(("dynamodb.", "s3."))]
    calls = [point.operation for point in aws if not point.subject.startswith(ROWS_THAT_ARE_NO_JOBS)]
    assert len(calls) <= most, calls
