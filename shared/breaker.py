"""The breaker: while fal refuses the account, jobs wait, and one of them a minute finds out whether it still does.

Its one row stands among the jobs and belongs to all containers. Each keeps what it read for a minute, so that a
container costs one read a minute, and a lock costs one refused request for each container that was warm.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.jobs import Record, moment_text, unix_seconds
from shared.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROW = "shared#breaker"
"""Its key; a job's id never looks so."""
KNOWN_SECONDS = 60
"""For how long a container trusts what it read."""
PROBE_SECONDS = 55
"""The least time between two probes; the clock that starts them is not exact to the second."""
PROBES_TO_CLOSE = 3
"""So many requests in a row must be accepted: after an unlock one may pass before the next is refused (fal #1163)."""
FAILURES_TO_OPEN = 10
"""So many submissions in a row that fail in one container are an outage and not a mishap."""
MOST_PROBE_SECONDS = 900
"""A probe that ends in doubt may lose its job, so the next waits twice as long, up to this."""


class State(Record):
    """What the row says.

    `probe_at`: Unix seconds; before that nobody probes. `accepted`, `doubts`: probes in a row that ended so.
    """

    is_open: bool = False
    why: str = ""
    accepted: int = 0
    doubts: int = 0
    probe_at: int = 0
    opened_at: str = ""
    nonce: str = ""


CLOSED = State()


class Breaker:
    """One for the account: its state is shared by all functions. It is never a reason to fail a job."""

    def __init__(
        self, client: "DynamoDBClient", table: str, now: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._client = client
        self._table = table
        self._now = now
        self._nonce = nonce
        self._state = CLOSED
        self._read_at: int | None = None
        self._failures = 0

    def is_open(self) -> bool:
        """Whether submissions wait, as far as this container knows."""
        if self._read_at is None or unix_seconds(self._now()) - self._read_at >= KNOWN_SECONDS:
            self.read()
        return self._state.is_open

    @property
    def why(self) -> str:
        """fal's own words about the account, as far as this container knows."""
        return self._state.why

    def read(self) -> State:
        """The state as it is now; what was known before if the table does not answer."""
        try:
            answer = self._client.get_item(TableName=self._table, Key={"job_id": {"S": ROW}}, ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            logger.warning("breaker not read", reason=type(error).__name__)
            return self._state
        return self._keep(answer.get("Item"))

    def claim_probe(self) -> bool:
        """Whether the caller, and no other, may send one request now although the breaker is open."""
        state, now = self._state, unix_seconds(self._now())
        wait = min(PROBE_SECONDS * 2**state.doubts, MOST_PROBE_SECONDS)
        return state.is_open and state.probe_at <= now and self._write(state, probe_at=now + wait)

    def note_accepted(self) -> None:
        """A request was accepted: several in a row close an open breaker."""
        self.note_answered()
        state = self._state
        if not state.is_open:
            return
        accepted = state.accepted + 1
        is_open = accepted < PROBES_TO_CLOSE
        if self._write(state, is_open=is_open, accepted=accepted, doubts=0) and not is_open:
            logger.info("breaker closed", opened_at=state.opened_at)

    def note_answered(self) -> None:
        """fal judged a request, whatever it said: the run of failures is over."""
        self._failures = 0

    def close_if_idle(self) -> None:
        """Nothing is parked: once the time for a probe has come, the next job may find out as well as any."""
        state = self._state
        if state.is_open and state.probe_at <= unix_seconds(self._now()) and self._write(state, is_open=False):
            logger.info("breaker closed", opened_at=state.opened_at)

    def note_failed(self, why: str) -> None:
        """A request failed in a way that is not its own fault; a long run of that opens the breaker."""
        self._failures += 1
        state = self._state
        if state.is_open:
            self._write(state, accepted=0, doubts=state.doubts + 1, why=why)
        elif self._failures >= FAILURES_TO_OPEN:
            self.note_locked(why)

    def note_locked(self, why: str) -> bool:
        """The account was refused: open the breaker; True if this opened it, or ended a run of accepted requests."""
        state = self.read()
        if state.is_open and not state.accepted:
            return False
        now = self._now()
        since = {} if state.is_open else {"opened_at": moment_text(now), "probe_at": unix_seconds(now) + PROBE_SECONDS}
        written = self._write(state, is_open=True, accepted=0, doubts=0, why=why, **since)
        self._failures = 0
        if written:
            logger.error("breaker opened", reason=why)
        return written

    def _write(self, read: State, **changes: Any) -> bool:
        """Write the state unless another container wrote it first, and keep what stands there now."""
        state = read.model_copy(update={**changes, "nonce": self._nonce()})
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": ROW}},
                UpdateExpression="SET breaker = :state, nonce = :nonce",
                ConditionExpression="attribute_not_exists(nonce) OR nonce = :read",
                ExpressionAttributeValues={
                    ":state": {"S": state.model_dump_json()},
                    ":nonce": {"S": state.nonce},
                    ":read": {"S": read.nonce},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            # Our own write, whose reply was lost and which the SDK repeated, is no conflict.
            return self._keep(error.response.get("Item")).nonce == state.nonce
        except (BotoCoreError, ClientError) as error:
            logger.warning("breaker not written", reason=type(error).__name__)
            written = False
        else:
            written = True
        # Even where nobody else could be told: this container at least acts on what it saw.
        self._state, self._read_at = state, unix_seconds(self._now())
        return written

    def _keep(self, item: Any) -> State:
        state = State.model_validate_json(item["breaker"]["S"]) if item else CLOSED
        self._state, self._read_at = state, unix_seconds(self._now())
        return state
