"""DynamoDB and fal by HTTPS, as slow as the real ones: `python -m benchmarks.slow_services DUE FOLDER`.

A process of its own, so that what it costs is not counted. It prints its port when its table is full of open jobs, DUE
of which are due; FOLDER gets the certificate that clients trust.
"""

import collections
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.fal.certificate import make_certificate
from shared.job_table import JobTable
from shared.jobs import Job, JobStatus, unix_seconds
from tests.simulation.stand_ins import Table

HOST = "127.0.0.1"
TABLE = "jobs"
OPEN_JOBS = 100_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWS_SECONDS = 0.006
FAL_SECONDS = 0.150
OPERATIONS = {"GetItem": "get_item", "UpdateItem": "update_item", "Query": "query"}


class IndexedTable(Table):
    """The simulation's table, with a way of its own to find what is due: the usual one looks at each row with care."""

    def query(self, **parameters: Any) -> dict[str, Any]:
        """Read a partition of the index."""
        values, limit = parameters["ExpressionAttributeValues"], parameters["Limit"]
        shard, until = values[":shard"], int(values[":until"]["N"])
        rows = [row for row in self.items.values() if row.get("open_shard") == shard]
        due = sorted((int(row["check_at"]["N"]), row["job_id"]["S"]) for row in rows)
        found = [{"check_at": {"N": str(at)}, "job_id": {"S": job_id}} for at, job_id in due if at <= until]
        return {"Items": found[:limit]}


def fill(table: Table, *, due: int) -> None:
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


class Services(ThreadingHTTPServer):
    """Both services at one port, with what they were asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, table: Table) -> None:
        super().__init__((HOST, 0), _Answer)
        self.table = table
        self.calls: collections.Counter[str] = collections.Counter()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Services

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls[operation] += 1
        answer = getattr(self.server.table, OPERATIONS[operation])(**asked)
        self._answer(200, answer, AWS_SECONDS)

    def do_GET(self) -> None:
        if self.path == "/calls":
            self._answer(200, self.server.calls, 0)
        else:
            self._answer(202, {"status": "IN_QUEUE"}, FAL_SECONDS)

    def _answer(self, status: int, content: object, seconds: float) -> None:
        time.sleep(seconds)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def main() -> None:
    """Serve until the process is ended."""
    due, folder = int(sys.argv[1]), Path(sys.argv[2])
    table = IndexedTable(TABLE)
    fill(table, due=due)
    services = Services(table)
    context, _ = make_certificate(folder, HOST)
    services.socket = context.wrap_socket(services.socket, server_side=True, do_handshake_on_connect=False)
    print(services.server_port, flush=True)
    services.serve_forever()


if __name__ == "__main__":
    main()
