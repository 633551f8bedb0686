"""Runs: a scenario and a plan make one, and a token names it so that it can be run again."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from local.fal import ManualClock
from tests.simulation.backends import Backend, Memory
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.faults import FixedPlan, Plan, RandomPlan
from tests.simulation.invariants import Violation
from tests.simulation.sandbox import Sandbox
from tests.simulation.scenarios import Scenario, random_scenario
from tests.simulation.world import World

RATES = (0.0, 0.01, 0.03, 0.06, 0.15)
MOST_FAULTS = (1, 2, 3, 6, 12)
CALM_RATES = (0.03, 0.06, 0.15)
MOST_CALM_FAULTS = (1, 2, 3, 4)


@dataclass
class Outcome:
    """What came of a run."""

    token: str
    violations: list[Violation]
    world: World
    jobs: int
    paid: int
    paid_jobs: int

    @property
    def trace_hash(self) -> str:
        """The same for the same run."""
        return hashlib.sha256(repr(self.world.trace).encode()).hexdigest()


def parse_token(token: str) -> tuple[Scenario, Plan]:
    """The scenario and the plan that a token names."""
    kind, _, rest = token.partition(":")
    if kind == "seed":
        seed, _, jobs = rest.partition("/")
        return random_run(int(seed), int(jobs or 3))
    return SCENARIOS[kind], FixedPlan.parse(rest)


def random_run(seed: int, most_jobs: int) -> tuple[Scenario, Plan]:
    """The scenario and the plan of a seed."""
    dice = random.Random(f"{seed}/{most_jobs}")  # noqa: S311 - a run that repeats is the purpose
    scenario = random_scenario(dice, f"seed-{seed}", most_jobs)
    rates, most = (RATES, MOST_FAULTS) if scenario.is_rough else (CALM_RATES, MOST_CALM_FAULTS)
    return scenario, RandomPlan(dice, dice.choice(rates), dice.choice(most))


def run(sandbox: Sandbox, token: str, make_backend: Callable[[Callable[[], float]], Backend] = Memory) -> Outcome:
    """Run what a token names, and judge it."""
    scenario, plan = parse_token(token)
    clock = ManualClock()
    world = World(scenario, plan, make_backend(clock.now), clock)
    sandbox.world = world
    sandbox.log.seek(0)
    sandbox.log.truncate()
    world.run()
    violations = world.watch.judge(sandbox.log.getvalue())
    world.processes.close()
    requests = world.fal.requests()
    # Whoever would rather pay twice than have no picture is left out of what must be one.
    willing = {row["job_id"]["S"] for row in world.backend.rows() if row.get("on_unknown", {}).get("S") == "resubmit"}
    billed = [request.webhook_url for request in requests if request.outcome and request.outcome.units]
    paid = [url for url in billed if str(url).partition("?")[0].rpartition("/")[2] not in willing]
    jobs = {str(url).partition("?")[0] for url in paid}
    made = sum("status" in row for row in world.backend.rows())
    return Outcome(token, violations, world, made, len(paid), len(jobs))
