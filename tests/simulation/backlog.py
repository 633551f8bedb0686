"""A backlog in virtual time: thousands of uploads at an account with few slots at fal.

`python -m tests.simulation --backlog 5000` runs one, and prints what became of it. The world is that of all runs; what
it keeps for replays is left out, and the index of open jobs is kept in order.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.fal import ManualClock
from shared.observability import logger
from tests.simulation.backends import TABLE, Memory
from tests.simulation.faults import FixedPlan
from tests.simulation.sandbox import Sandbox
from tests.simulation.scenarios import Scenario, Upload
from tests.simulation.stand_ins import Table
from tests.simulation.world import MINUTE, World

if TYPE_CHECKING:
    from tests.simulation.processes import Process

APART_SECONDS = 0.1
"""Ten uploads a second, as `aws s3 sync` makes them."""


class IndexedTable(Table):
    """The table, whose index of open jobs is kept in order and not made anew for each question."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._due: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        """Write an item whole."""
        return self._indexed(parameters["Item"]["job_id"]["S"], super().put_item, parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Change an item, or make it."""
        return self._indexed(parameters["Key"]["job_id"]["S"], super().update_item, parameters)

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Read one partition of the index of open jobs."""
        if parameters["IndexName"] != "due" or not parameters["ScanIndexForward"]:
            return super().query(**parameters)
        values = parameters["ExpressionAttributeValues"]
        due = self._due[values[":shard"]["S"]]
        found = due[: min(bisect_right(due, (int(values[":until"]["N"]), "~")), parameters["Limit"])]
        return {"Items": [{"check_at": {"N": str(at)}, "job_id": {"S": job_id}} for at, job_id in found]}

    def next_due(self) -> int | None:
        """When the next open job is due."""
        return min((due[0][0] for due in self._due.values() if due), default=None)

    def _indexed(self, job_id: str, write: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        before = self._place(job_id)
        answer: dict[str, Any] = write(**parameters)
        after = self._place(job_id)
        if before != after:
            if before:
                due = self._due[before[0]]
                del due[bisect_right(due, before[1]) - 1]
            if after:
                insort(self._due[after[0]], after[1])
        return answer

    def _place(self, job_id: str) -> tuple[str, tuple[int, str]] | None:
        item = self.items.get(job_id, {})
        if "check_at" not in item or "open_shard" not in item:
            return None
        return item["open_shard"]["S"], (int(item["check_at"]["N"]), job_id)


class Backlog(World):
    """A world without faults and without a trace."""

    def __init__(self, uploads: int, run_seconds: float, slots: int) -> None:
        clock = ManualClock()
        self.table = IndexedTable(TABLE)
        arriving = tuple(Upload(f"sketch/{number}.jpg", at=number * APART_SECONDS) for number in range(uploads))
        scenario = Scenario("backlog", arriving, run_seconds=run_seconds, slots=slots)
        super().__init__(scenario, FixedPlan(), Memory(clock.now, self.table), clock)

    def next_call(self, process: "Process", operation: str, subject: str, *, first: bool) -> str | None:
        """Nothing goes wrong."""
        del process, operation, subject, first
        return None

    def note(self, process: str, operation: str, subject: str, outcome: str) -> None:
        """Keep nothing."""

    def _next_sweep(self) -> float | None:
        """The next minute in which a job is due; none is parked."""
        due = self.table.next_due()
        if due is None:
            return None
        earliest = max(due, self._swept_at + 1, self.clock.now())
        return self.began_at + -((self.began_at - earliest) // MINUTE) * MINUTE


@dataclass(frozen=True)
class Worked:
    """What became of a backlog; `paid`: jobs paid once, `seconds` until the last was settled."""

    uploads: int
    succeeded: int
    failed: int
    sent: int
    paid: int
    paid_again: int
    seconds: float

    def __str__(self) -> str:
        """For the reader."""
        return (
            f"{self.uploads:,} uploads: {self.succeeded:,} succeeded, {self.failed:,} failed, {self.sent:,} requests"
            f" sent, {self.paid:,} jobs paid, {self.paid_again:,} paid again, in {self.seconds / 3600:.1f} h"
        )


def work_off(box: Sandbox, uploads: int, run_seconds: float = 10.0, slots: int = 2) -> Worked:
    """Run a backlog to its end."""
    world = box.world = Backlog(uploads, run_seconds, slots)
    level = logger.log_level
    logger.setLevel("ERROR")  # a line for each of half a million looks would fill the memory
    try:
        world.run()
    finally:
        logger.setLevel(level)
    world.processes.close()
    statuses = [row["status"]["S"] for row in world.backend.rows() if "status" in row]
    requests = world.fal.requests()
    paid = [str(one.webhook_url).partition("?")[0] for one in requests if one.outcome and one.outcome.units]
    return Worked(
        uploads,
        statuses.count("succeeded"),
        statuses.count("failed"),
        len(requests),
        len(set(paid)),
        len(paid) - len(set(paid)),
        max((one.completed_at or 0.0 for one in requests), default=0.0) - world.began_at,
    )
