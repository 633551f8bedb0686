"""Metrics that threads count side by side."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.observability import count, metrics


@pytest.fixture(autouse=True)
def _counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
    metrics.clear_metrics()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change as often as they can
    yield
    sys.setswitchinterval(interval)


def test_no_count_is_lost_or_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    """Sixteen threads count as one would, also where a full metric is written out in between."""

    def count_many(_: int) -> None:
        for _ in range(500):
            count("JobFailed")

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(count_many, range(16)))
    metrics.flush_metrics()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert sum(sum(line.get("JobFailed", [])) for line in lines) == 16 * 500
