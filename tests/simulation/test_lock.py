"""A locked account, at the size of a busy hour."""

import pytest

from local.fal import ManualClock
from tests.simulation.backends import Memory
from tests.simulation.faults import FixedPlan
from tests.simulation.sandbox import sandbox
from tests.simulation.scenarios import Outage, Scenario, Upload
from tests.simulation.world import World

UPLOADS = 500
HOUR = 3600


def test_five_hundred_uploads_during_an_hour_s_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """None fails, fal is asked 61 times at most in the hour, and all are edited afterwards, each paid once."""
    monkeypatch.setattr("tests.simulation.world.PARKED_BY_THE_MINUTE", 2 * HOUR)
    uploads = tuple(Upload(f"sketch/{number}.jpg", at=number * HOUR / UPLOADS) for number in range(UPLOADS))
    scenario = Scenario("lock", uploads, run_seconds=0.1, outages=(Outage("fal.submit", "status403", 0, HOUR),))
    clock = ManualClock()
    with sandbox() as box:
        world = box.world = World(scenario, FixedPlan(), Memory(clock.now), clock)
        world.run()
        assert world.watch.judge(box.log.getvalue()) == []
        world.processes.close()
    rows = [row for row in world.backend.rows() if "status" in row]
    assert [row["status"]["S"] for row in rows] == ["succeeded"] * UPLOADS
    assert len(world.fal.requests()) == UPLOADS
    asked = [at for at, _, operation, _, outcome in world.trace if operation == "fal.submit" and outcome[0] != "!"]
    assert 50 < sum(at < HOUR for at in asked) <= 61
    assert max(asked) < HOUR + 15 * 60
