"""What a sweep does and costs with very many open jobs: the real handler, against stand-ins as slow as AWS.

`make benchmark` runs it. Assumed are 6 ms for a call to DynamoDB and 150 ms for one to fal, and on-demand prices of
us-east-1 (AWS docs: DynamoDB pricing): $0.125 per million read units, $0.625 per million write units.
"""

import collections
import logging
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx

from functions import sweep
from shared.app import App
from shared.job_table import JobTable
from shared.jobs import Job, JobStatus, unix_seconds
from shared.observability import logger
from shared.settings import Settings
from tests.simulation.stand_ins import Secrets, Table

OPEN_JOBS = 100_000
TABLE = "jobs"
AWS_SECONDS = 0.006
FAL_SECONDS = 0.150
TIMEOUT_SECONDS = 120
READ_UNIT, WRITE_UNIT = 0.125e-6, 0.625e-6
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {"JOB_TABLE": TABLE, "INPUTS_BUCKET": "inputs", "OUTPUTS_BUCKET": "outputs", "FAL_KEY": "id:secret"}


class MeteredTable(Table):
    """DynamoDB that takes its time, counts its calls, and keeps the index of open jobs by partition."""

    def __init__(self) -> None:
        super().__init__(TABLE)
        self.calls: collections.Counter[str] = collections.Counter()

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        """Read an item."""
        return self._metered("GetItem", super().get_item, parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """Change an item."""
        return self._metered("UpdateItem", super().update_item, parameters)

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Read a partition of the index; the stand-in's own way looks at each row with care, which is slow here."""
        values, limit = parameters["ExpressionAttributeValues"], parameters["Limit"]
        shard, until = values[":shard"], int(values[":until"]["N"])
        rows = [row for row in self.items.values() if row.get("open_shard") == shard]
        due = sorted((int(row["check_at"]["N"]), row["job_id"]["S"]) for row in rows)
        found = [{"check_at": {"N": str(at)}, "job_id": {"S": job_id}} for at, job_id in due if at <= until]
        return self._metered("Query", lambda: {"Items": found[:limit]}, {})

    def _metered(self, name: str, call: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        self.calls[name] += 1
        time.sleep(AWS_SECONDS)
        answer: dict[str, Any] = call(**parameters)
        return answer


def fill(table: MeteredTable, *, due: int) -> None:
    """Write so many queued jobs, some of them due."""
    jobs = JobTable(table, TABLE, lambda: NOW, lambda: "n")  # type: ignore[arg-type] # a stand-in for the client
    for number in range(OPEN_JOBS):
        at = NOW - timedelta(seconds=60) if number < due else NOW + timedelta(seconds=60)
        jobs.create(
            Job.model_validate(
                {
                    "job_id": f"{number:032x}",
                    "owner": "shop",
                    "status": JobStatus.QUEUED,
                    "endpoint": "fal-ai/flux-pro/kontext",
                    "arguments_json": '{"prompt": "p", "image_url": "s3://inputs/a.png"}',
                    "output_key": "k-{index}.{ext}",
                    "fingerprint": "f",
                    "attempt_at": NOW,
                    "nonce": "n",
                    "request": {"request_id": "r"},
                    "created_at": NOW,
                    "updated_at": NOW,
                    "check_at": unix_seconds(at),
                }
            )
        )


def answer_slowly(_: httpx.Request) -> httpx.Response:
    """fal, which says that the request still waits."""
    time.sleep(FAL_SECONDS)
    return httpx.Response(202, json={"status": "IN_QUEUE"})


def measure(*, due: int) -> str:
    """One sweep: what it did, how long it took, what it cost."""
    table = MeteredTable()
    fill(table, due=due)
    clients = {"dynamodb": table, "secretsmanager": Secrets({}), "s3": None}
    http = httpx.Client(transport=httpx.MockTransport(answer_slowly))
    app = App(Settings.from_environment(SETTINGS), client=clients.__getitem__, http=http, now=lambda: NOW)
    vars(sweep)["app"] = lambda: app
    began = time.monotonic()

    def left() -> int:
        return int((TIMEOUT_SECONDS - (time.monotonic() - began)) * 1000)

    context = SimpleNamespace(
        function_name="sweep",
        memory_limit_in_mb=512,
        invoked_function_arn="arn",
        aws_request_id="r",
        get_remaining_time_in_millis=left,
    )
    advanced = sweep.handler({}, context)["advanced"]
    seconds = time.monotonic() - began
    # A row of 1.3 KB takes two write units, and its move in the index one for each of the two places.
    reads, writes = table.calls["GetItem"] + table.calls["Query"], 4 * table.calls["UpdateItem"]
    units = reads * READ_UNIT + writes * WRITE_UNIT
    calls = ", ".join(f"{count} {name}" for name, count in sorted(table.calls.items()))
    return f"{due:>7,} due: {advanced:>5,} jobs in {seconds:5.1f} s; {calls}; ${units:.6f}"


def main() -> None:
    """Print a line for each number of due jobs."""
    logger.setLevel(logging.CRITICAL)
    print(f"One sweep with {OPEN_JOBS:,} open jobs", flush=True)
    for due in (0, 100, 1_000, OPEN_JOBS):
        print(measure(due=due), flush=True)


if __name__ == "__main__":
    main()
