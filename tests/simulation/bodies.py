"""Bodies and rows near the limit: which are taken, and rows that are full before they are ended."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.jobs import moment_text
from shared.posting import MAX_BODY_BYTES
from shared.waiting import HOUR, T_MAX
from tests.simulation.stand_in_errors import MOST_ITEM_BYTES, item_bytes

if TYPE_CHECKING:
    from tests.simulation.backends import Backend
    from tests.simulation.clients import Client

LIMIT = MAX_BODY_BYTES
"""What docs/api.md promises; taken before any mistake is planted."""
LITTLE = 8
"""The bytes that are free in a row which is called full."""


def judge_body(client: "Client", found: Callable[[str, str], None]) -> None:
    """Of valid bodies none of at most the limit is refused, whoever posts it, and a larger one never makes a job."""
    size = len(client.body)
    if size > LIMIT and client.job_ids:
        found("I12", f"a body of {size} bytes made the jobs {sorted(client.job_ids)}")
    if size <= LIMIT and (refusals := [answer for answer in client.answers if 400 <= answer < 500]):
        found("I12", f"a body of {size} bytes was refused: {refusals}")


def fill_rows(backend: "Backend", table_name: str) -> None:
    """Let the rows of open jobs be days old, and their prompts so long that they take no more."""
    table = backend.client("dynamodb")
    for row in backend.rows():
        if "open_shard" in row:
            created_at = datetime.fromisoformat(row["created_at"]["S"]) - timedelta(seconds=T_MAX - HOUR)
            room = MOST_ITEM_BYTES - LITTLE - item_bytes(row)
            text = row["arguments_json"]["S"].replace('"prompt": "', '"prompt": "' + "x" * room)
            changes = {"created_at": {"S": moment_text(created_at)}, "arguments_json": {"S": text}}
            table.put_item(TableName=table_name, Item=row | changes)
