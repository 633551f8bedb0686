"""What a sweep does and costs with very many open jobs: the real handler and clients, to services as slow as AWS.

`make benchmark` runs it. Assumed are 6 ms for a call to DynamoDB and 150 ms for one to fal, and on-demand prices of
us-east-1 (AWS docs: DynamoDB pricing): $0.125 per million read units, $0.625 per million write units. Processor time is
this machine's; Lambda gives a function of 1,769 MB one vCPU, and others their share (Lambda docs: memory).
"""

import contextlib
import logging
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx

from benchmarks.slow_services import HOST, NOW, OPEN_JOBS, TABLE
from functions import sweep
from shared.app import SUBMIT_SECONDS, App
from shared.observability import logger
from shared.settings import Settings

TIMEOUT_SECONDS = 120
READ_UNIT, WRITE_UNIT = 0.125e-6, 0.625e-6
VCPU_MB = 1769
SETTINGS = {"JOB_TABLE": TABLE, "INPUTS_BUCKET": "inputs", "OUTPUTS_BUCKET": "outputs", "FAL_KEY": "id:secret"}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextlib.contextmanager
def slow_services(due: int) -> Iterator[tuple[str, Path]]:
    """DynamoDB and fal in a process of their own: where they are, and whom to trust."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.slow_services", str(due), folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
            try:
                port = process.stdout.readline().strip() if process.stdout else ""
                yield f"https://{HOST}:{port}", Path(folder) / "fal.pem"
            finally:
                process.kill()


def measure(*, due: int) -> str:
    """One sweep: what it did, how long it took, what it cost."""
    with slow_services(due) as (url, trusted):
        os.environ |= ENVIRONMENT | {"AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": str(trusted)}
        http = httpx.Client(
            verify=ssl.create_default_context(cafile=str(trusted)),
            timeout=SUBMIT_SECONDS,
            limits=httpx.Limits(max_keepalive_connections=0),  # as the functions have it
        )
        app = App(Settings.from_environment(SETTINGS | {"FAL_QUEUE_URL": url}), http=http, now=lambda: NOW)
        vars(sweep)["app"] = lambda: app
        app.jobs, app.indexes  # noqa: B018 - clients are made at a cold start and not in each sweep
        began, cpu = time.monotonic(), time.process_time()

        def left() -> int:
            return int((TIMEOUT_SECONDS - (time.monotonic() - began)) * 1000)

        context = SimpleNamespace(
            function_name="sweep",
            memory_limit_in_mb=VCPU_MB,
            invoked_function_arn="arn",
            aws_request_id="r",
            get_remaining_time_in_millis=left,
        )
        advanced = sweep.handler({}, context)["advanced"]
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        calls = http.get(f"{url}/calls").json()
    # A row of 1.3 KB takes two write units, and its move in the index one for each of the two places.
    reads, writes = calls.get("GetItem", 0) + calls["Query"], 4 * calls.get("UpdateItem", 0)
    units = reads * READ_UNIT + writes * WRITE_UNIT
    shown = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    looks = f", {1000 * cpu / advanced:.1f} ms of CPU each" if advanced else ""
    return f"{due:>7,} due: {advanced:>5,} jobs in {seconds:5.1f} s{looks}; {shown}; ${units:.6f}"


def main() -> None:
    """Print a line for each number of due jobs."""
    logger.setLevel(logging.CRITICAL)
    print(f"One sweep with {OPEN_JOBS:,} open jobs", flush=True)
    for due in (0, 100, 1_000, OPEN_JOBS):
        print(measure(due=due), flush=True)


if __name__ == "__main__":
    main()
