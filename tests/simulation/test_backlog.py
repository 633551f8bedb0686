"""More uploads than fal can begin in hours: what it gives up unpaid is sent again until it has its turn."""

from collections.abc import Callable

from tests.simulation.backlog import work_off
from tests.simulation.sandbox import sandbox

UPLOADS = 200


def test_a_backlog_of_hours_at_two_slots(record_property: Callable[[str, object], None]) -> None:
    """At 250 s a picture the last waits for seven hours: none fails, and each is paid once."""
    with sandbox() as box:
        worked = work_off(box, UPLOADS, run_seconds=250.0, slots=2)
        assert box.world is not None
        assert box.world.watch.violations == []
    record_property("backlog in virtual time", str(worked))
    assert (worked.succeeded, worked.failed, worked.paid, worked.paid_again) == (UPLOADS, 0, UPLOADS, 0)
    assert worked.sent > 2 * UPLOADS
