"""The breaker: while fal refuses an owner's jobs, or everybody's, they wait, and one a minute finds out how it is now.

Its one row is among the jobs and belongs to all containers. Each keeps what it read for less than a minute, so that a
container costs some one read a minute, and a lock costs one refused request for each container that was warm. The row
also says whether the operator has paused all sending.
"""

import json
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AwsUnavailableError, PausedError
from shared.jobs import JobError, moment_text, unix_seconds
from shared.locks import EVERYBODY, State, holds_up
from shared.observability import logger
from shared.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROW = "shared#breaker"
"""Its key; a job's id never looks so."""
KNOWN_SECONDS = 45
"""How long a container trusts what it read: with the seconds that a submission takes, a pause holds within a minute."""
PROBE_SECONDS = 55
"""The least time between two probes; the clock that starts them is not exact to the second."""
PROBES_TO_CLOSE = 3
"""The requests in a row that must be accepted: after an unlock one may pass before the next is refused (fal #1163)."""
FAILURES_TO_OPEN = 10
"""The submissions in a row that fail in one container where that is an outage and not a mishap."""
MOST_OWNERS = 2
"""The owners locked at once where it is their requests that fal refuses, and not the account."""
MOST_PROBE_SECONDS = 900
"""The longest wait between probes: one that ends in doubt may lose its job, so each of those doubles the wait."""
EVIDENCE_SECONDS = 60
"""How often it is noted that fal accepts other owners' requests while it refuses one's."""
PAUSED = "sending is paused by the operator"
Changes = dict[str, dict[str, Any] | None]
"""Changes of locks by name; None closes one."""


class Breaker:
    """One for the account: its state is shared by all functions. It is never a reason to fail a job."""

    def __init__(
        self, client: "DynamoDBClient", table: str, now: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._client = client
        self._table = table
        self._now = now
        self._nonce = nonce
        self._state = State()
        self._read_at: int | None = None
        # Whose requests have failed last, since fal judged one of anybody's; and each owner's failures in a row.
        self._failed: deque[str] = deque(maxlen=FAILURES_TO_OPEN)
        self._runs: dict[str, int] = {}

    def state(self) -> State:
        """The state as far as this container knows; one that is old is read again."""
        if self._is_old():
            self.read()
        return self._state

    def _is_old(self) -> bool:
        return self._read_at is None or unix_seconds(self._now()) - self._read_at >= KNOWN_SECONDS

    def check_pause(self) -> None:
        """Make sure that sending is not paused.

        Raises:
            PausedError: it is.
            AwsUnavailableError: the table has not said so for a while, and does not now.
        """
        if self.state().paused_at:
            raise PausedError(PAUSED)
        if self._is_old():
            raise AwsUnavailableError("the job table does not say whether sending is paused")

    def why_waiting(self, owner: str) -> JobError | None:
        """Why an owner's jobs are not sent now, in fal's own words where they are fal's; None where they may go."""
        state = self.state()
        if state.paused_at:
            return JobError(type=Reason.PAUSED, message=PAUSED)
        lock = next(iter(state.of(owner).values()), None)
        return JobError(type=Reason.PROVIDER_LOCKED, message=lock.why) if lock else None

    def read(self) -> State:
        """The state as it is now; what was known before if the table does not answer."""
        try:
            answer = self._client.get_item(TableName=self._table, Key={"job_id": {"S": ROW}}, ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            logger.warning("breaker not read", reason=type(error).__name__)
            return self._state
        return self._keep(answer.get("Item"))

    def claim_probe(self, name: str, owner: str) -> bool:
        """Whether the caller, and no other, may send one request of an owner now although that lock is open."""
        lock, now = self._state.locks.get(name), unix_seconds(self._now())
        if lock is None or lock.probe_at > now:
            return False
        wait = min(PROBE_SECONDS * 2**lock.doubts, MOST_PROBE_SECONDS)
        return self._write(self._state, {name: {"probe_at": now + wait, "probed": owner}})

    def note_accepted(self, owner: str) -> None:
        """An owner's request was accepted: several in a row close the locks that it was a probe of."""
        self.note_answered()
        self._runs.pop(owner, None)
        state, now = self._state, unix_seconds(self._now())
        changes: Changes = {}
        for name, lock in state.locks.items():
            if name in {EVERYBODY, owner}:
                accepted = lock.accepted + 1
                changes[name] = {"accepted": accepted, "doubts": 0} if accepted < PROBES_TO_CLOSE else None
            elif now - lock.others_at >= EVIDENCE_SECONDS:
                changes[name] = {"others_at": now}
        if changes and self._write(state, changes):
            for name in [name for name, change in changes.items() if change is None]:
                logger.info("breaker closed", locked=name, opened_at=state.locks[name].opened_at)

    def note_answered(self) -> None:
        """fal judged a request, whatever it said: there is no outage."""
        self._failed.clear()

    def close_idle(self, owners: Collection[str]) -> None:
        """Close locks that hold up none of these owners of parked jobs, once the time for a probe has come."""
        state, now = self._state, unix_seconds(self._now())
        idle = [name for name, lock in state.locks.items() if lock.probe_at <= now and not holds_up(name, owners)]
        if idle and self._write(state, dict.fromkeys(idle)):
            logger.info("breaker closed", locked=idle)

    def note_failed(self, owner: str, why: str) -> None:
        """An owner's request failed, and not by its own fault; a long run of that locks the owner, or everybody."""
        self._failed.append(owner)
        is_outage = len(self._failed) == FAILURES_TO_OPEN and len(set(self._failed)) > MOST_OWNERS
        self._runs[owner] = self._runs.get(owner, 0) + 1
        if locks := self._state.of(owner):
            doubts = {name: {"accepted": 0, "doubts": lock.doubts + 1, "why": why} for name, lock in locks.items()}
            self._write(self._state, {**doubts})
        elif is_outage or self._runs[owner] >= FAILURES_TO_OPEN:
            self.note_refused(EVERYBODY if is_outage else owner, why)

    def note_refused(self, owner: str, why: str) -> bool:
        """fal refused an owner's request as if it were the account that is locked, or everybody's (EVERYBODY).

        Returns:
            Whether that may be the request's own fault: it opened the lock, or others were accepted around it.
        """
        state, now = self.read(), unix_seconds(self._now())
        self.note_answered()
        self._runs.pop(owner, None)
        name = self._whose_lock(state, owner)
        if (lock := state.locks.get(name)) is None:
            opened = {"opened_at": moment_text(self._now()), "probe_at": now + PROBE_SECONDS, "probed": owner}
            opens = self._write(state, {name: {"why": why, "refused_at": now, **opened}})
            if opens:
                logger.error("breaker opened", locked=name, reason=why)
            return opens
        is_alone = lock.accepted > 0 or lock.others_at >= lock.refused_at
        return self._write(state, {name: {"accepted": 0, "doubts": 0, "why": why, "refused_at": now}}) and is_alone

    @staticmethod
    def _whose_lock(state: State, owner: str) -> str:
        """Whose lock a refusal is about: one owner's may be about what that owner asks for, several owners' are not."""
        everybody = state.locks.get(EVERYBODY)
        if everybody or owner in state.locks:
            # Where others are accepted again, who is not has a lock of its own, and holds up nobody else.
            return owner if everybody is None or everybody.accepted else EVERYBODY
        # Who was refused while others were accepted says nothing of the account.
        alone = [name for name, lock in state.locks.items() if not lock.others_at]
        return EVERYBODY if len(alone) >= MOST_OWNERS else owner

    def pause(self) -> bool:
        """Stop all sending until `resume`; False where it is stopped already.

        Raises:
            AwsUnavailableError: the table does not answer.
        """
        now = moment_text(self._now())
        update = "SET paused_at = :now, breaker = if_not_exists(breaker, :no_locks)"
        values = {":now": {"S": now}, ":no_locks": {"S": State().text()}}
        # The SDK may have repeated our own write.
        return self._switch(update, "attribute_not_exists(paused_at)", values) or self._state.paused_at == now

    def resume(self) -> bool:
        """Let sending go on; False where it was not stopped.

        Raises:
            AwsUnavailableError: the table does not answer.
        """
        return self._switch("REMOVE paused_at", "attribute_exists(paused_at)", {})

    def _switch(self, update: str, condition: str, values: dict[str, Any]) -> bool:
        given: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": ROW}},
                UpdateExpression=update,
                ConditionExpression=condition,
                **given,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            self._keep(error.response.get("Item"))
            return False
        except (BotoCoreError, ClientError) as error:
            raise AwsUnavailableError(f"the job table does not answer: {error}") from error
        self._keep(answer["Attributes"])
        return True

    def _write(self, read: State, changes: Changes) -> bool:
        """Write changes of locks unless another container wrote first, and keep what is there now."""
        state = read.changed(changes, self._nonce())
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": ROW}},
                UpdateExpression="SET breaker = :state, nonce = :nonce",
                ConditionExpression="attribute_not_exists(nonce) OR nonce = :read",
                ExpressionAttributeValues={
                    ":state": {"S": state.text()},
                    ":nonce": {"S": state.nonce},
                    ":read": {"S": read.nonce},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            # Our own write, whose reply was lost and which the SDK repeated, is no conflict.
            return self._keep(error.response.get("Item")).nonce == state.nonce
        except (BotoCoreError, ClientError) as error:
            logger.warning("breaker not written", reason=type(error).__name__)
            self._state = state  # nobody else could be told, but this container acts on what it saw
            return False
        # With what the operator has written meanwhile.
        self._keep(answer["Attributes"])
        return True

    def _keep(self, item: Any) -> State:
        item = item or {}
        text = item.get("breaker", {}).get("S", "{}")
        state = State.model_validate(json.loads(text) | {"nonce": item.get("nonce", {}).get("S", "")})
        paused_at = item.get("paused_at", {}).get("S")
        self._state, self._read_at = state.model_copy(update={"paused_at": paused_at}), unix_seconds(self._now())
        return self._state
