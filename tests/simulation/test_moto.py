"""The stand-ins tell the truth: the same runs on moto, with boto3's own clients, leave the same state."""

from collections.abc import Callable

import pytest

from tests.simulation.catalogue import SCENARIOS
from tests.simulation.differential import differences
from tests.simulation.moto_aws import moto_stack
from tests.simulation.sandbox import sandbox
from tests.simulation.stand_in_queue import Queue
from tests.simulation.stand_ins import Table

MOST_CALLS = 120
"""A job that is polled for hours takes moto seconds, and shows nothing new."""
TOKENS = [
    *(f"{name}:" for name in SCENARIOS),
    *(f"post:{fault}" for fault in ("2.repeated", "2.reply_lost", "6.repeated", "6.reply_lost", "6.throttled")),
    *(f"post:{fault}" for fault in ("11.reply_lost", "12.repeated", "12.reply_lost", "12.crash_after", "9.throttled")),
    *(f"upload:{fault}" for fault in ("1.repeated", "1.crash_after", "2.timeout", "13.reply_lost", "13.throttled")),
    *(f"seed:{seed}/2" for seed in range(70)),
]
SHARES = 8


@pytest.mark.parametrize("share", range(SHARES))
def test_memory_and_moto_end_alike(share: int, record_property: Callable[[str, object], None]) -> None:
    """Rows with every attribute, objects, requests, messages and each step on the way are equal in both."""
    tokens = TOKENS[share::SHARES]
    with sandbox() as box, moto_stack() as moto:
        compared = [differences(box, moto, token, MOST_CALLS) for token in tokens]
    done = [found for found in compared if found is not None]
    record_property(f"simulated schedules compared with moto, share {share + 1}", len(done))
    assert len(done) > len(tokens) / 2
    assert not any(done), "\n".join(text for found in done for text in found)


def test_a_table_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a stand-in that forgets its conditions ends in another state than moto."""
    monkeypatch.setattr(Table, "_checked", lambda self, _, key, *__: self.items.get(key["job_id"]["S"]))
    with sandbox() as box, moto_stack() as moto:
        assert differences(box, moto, "upload-again:")


def test_a_queue_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that deletes nothing leaves messages that moto does not."""
    monkeypatch.setattr(Queue, "delete_message_batch", lambda *_, **__: {})
    with sandbox() as box, moto_stack() as moto:
        assert differences(box, moto, "upload:")
