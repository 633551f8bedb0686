"""Metrics that threads count side by side, and log lines that hide nothing."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.observability import count, metrics, to_line


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


HIDING = (
    "\u202e",
    "\u2066",
    "\x7f",
    "\x1b",
    "\n",
    "\r",
    "\x00",
    "\x9b",
    "\u200b",
    "\ufeff",
    "\ud800",
    "\U000e0041",
    "\xad",
)


@pytest.mark.parametrize("character", HIDING)
def test_a_line_shows_each_character_of_what_comes_from_outside(character: str) -> None:
    """Control and direction characters are written out, so that a key cannot fake a line or turn one around."""
    record = {"message": "upload skipped", "key": f"a{character}b.jpg", "other": "größe 日本 😀"}
    line = to_line(record)
    assert character not in line
    assert "größe 日本 😀" in line
    assert json.loads(line) == record
