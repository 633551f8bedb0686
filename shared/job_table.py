"""The job table: every write is conditional on the status that it leaves, and knows itself again by a nonce."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.errors import InvalidSubmissionError, RowTooLargeError, StatusConflictError
from shared.jobs import (
    JOB_ID,
    MOVES,
    Job,
    JobError,
    JobStatus,
    moment_text,
    open_shard,
    unix_seconds,
)
from shared.observability import count
from shared.reasons import PAID_AND_LOST
from shared.rows import MAX_BYTES, ROOM_BYTES, from_row, row_bytes, size_refusals, table_troubles, to_row

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NEXT_LOOK_SECONDS = 60
"""When an open job is looked at next unless the move says otherwise."""
RETENTION = 90 * 24 * 3600
"""Seconds for which a settled job is kept."""


class JobTable:
    """Jobs in DynamoDB. A write whose reply was lost, and which the SDK repeated, is recognised as our own.

    Where the table does not answer, each method raises AwsUnavailableError.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, now: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._client = client
        self._table = table
        self._now = now
        self._nonce = nonce

    @table_troubles()
    def create(self, job: Job) -> Job:
        """Write a job that is not there yet.

        Raises:
            StatusConflictError: a job of this id is there; carries it.
            InvalidSubmissionError: it is too large to be written with all that will be added to it.
        """
        row = _to_row(job)
        if (size := row_bytes(row)) > MAX_BYTES - ROOM_BYTES:
            most = MAX_BYTES - ROOM_BYTES
            raise InvalidSubmissionError({"prompt": f"too long: the job has {size} bytes, and may have {most}"})
        try:
            self._client.put_item(
                TableName=self._table,
                Item=row,
                ConditionExpression="attribute_not_exists(job_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            return _own_write(error, job.nonce)
        return job

    def move(self, job: Job, to: JobStatus, **changes: Any) -> Job:
        """Move a job that was read, or made, here, if nobody has written it since.

        Raises:
            StatusConflictError: it is no longer where it was; carries it as it is.
        """
        if to not in MOVES[job.status]:
            raise ValueError(f"a job does not move from {job.status} to {to}")
        moved = self._update(job, self._entering(job, to, changes.get("reason")) | changes)
        if to.is_settled:
            _count_end(to, moved.error, was=job.status)
        return moved

    def _entering(self, job: Job, to: JobStatus, reason: str | None) -> dict[str, Any]:
        now = self._now()
        changes = {"status": to.value, "reason": reason, "looks": None, "updated_at": moment_text(now)}
        if not to.is_settled:
            # An open job that nobody is to look at would be lost.
            look = {"check_at": unix_seconds(now) + NEXT_LOOK_SECONDS, "open_shard": open_shard(job.job_id, reason)}
            return changes | look
        expires_at = unix_seconds(now) + RETENTION
        gone = {"check_at": None, "open_shard": None, "result_json": None}
        return changes | gone | {"settled_at": moment_text(now), "expires_at": expires_at}

    def postpone(self, job: Job, check_at: int, *, looks: int = 0, **changes: Any) -> Job:
        """Set when an open job is looked at next, without moving it; `looks` in a row have met the same trouble.

        Raises:
            StatusConflictError: it moved meanwhile.
        """
        return self._update(job, {"check_at": check_at, "looks": looks or None, **changes})

    def let_wait(self, job: Job, check_at: int, why: JobError) -> Job:
        """Let an accepted job wait, parked where that is for something outside; with its time over it fails with this.

        Raises:
            StatusConflictError: it moved meanwhile.
        """
        waits = {"reason": why.type, "open_shard": open_shard(job.job_id, why.type), "check_at": check_at}
        return self._update(job, waits | {"error": why.model_dump()})

    @table_troubles()
    def put_off(self, job_id: str, check_at: int) -> None:
        """Set when an open job is looked at next, whatever is wrong with the rest of its row.

        Raises:
            RowTooLargeError: the row is as large as it can be, and takes not even that.
        """
        with suppress(self._client.exceptions.ConditionalCheckFailedException), size_refusals():
            self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": job_id}},
                UpdateExpression="SET check_at = :check_at",
                ConditionExpression="attribute_exists(open_shard)",
                ExpressionAttributeValues={":check_at": {"N": str(check_at)}},
            )

    @table_troubles()
    def give_up(self, job_id: str, created_before: datetime, error: JobError) -> None:
        """Fail an open job that was made before a moment, whatever is wrong with the rest of its row.

        Where the row is full, what is large in it goes, so that this can always be written.
        """
        try:
            self._give_up(job_id, created_before, error)
        except RowTooLargeError:
            with suppress(self._client.exceptions.ConditionalCheckFailedException):
                self._client.update_item(
                    TableName=self._table,
                    Key={"job_id": {"S": job_id}},
                    UpdateExpression="REMOVE result_json, arguments_json",
                    ConditionExpression="attribute_exists(open_shard)",
                )
            self._give_up(job_id, created_before, error)

    def _give_up(self, job_id: str, created_before: datetime, error: JobError) -> None:
        now, nonce = self._now(), self._nonce()
        values = {
            ":failed": JobStatus.FAILED.value,
            ":error": error.model_dump(),
            ":now": moment_text(now),
            ":expires_at": unix_seconds(now) + RETENTION,
            ":nonce": nonce,
            ":before": moment_text(created_before),
        }
        try:
            with size_refusals():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={"job_id": {"S": job_id}},
                    UpdateExpression=(
                        "SET #status = :failed, #error = :error, updated_at = :now, settled_at = :now,"
                        " expires_at = :expires_at, nonce = :nonce REMOVE open_shard, check_at"
                    ),
                    ConditionExpression="attribute_exists(open_shard) AND created_at <= :before",
                    ExpressionAttributeNames={"#status": "status", "#error": "error"},
                    ExpressionAttributeValues=to_row(values),
                    ReturnValues="ALL_OLD",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            # Our own write, repeated by the SDK because its reply was lost, is one all the same.
            row: Any = refusal.response.get("Item", {})
            if row.get("nonce") == {"S": nonce}:
                _count_end(JobStatus.FAILED, error)
        else:
            was = answer["Attributes"].get("status", {}).get("S")
            _count_end(JobStatus.FAILED, error, was=was)

    @table_troubles()
    def _update(self, job: Job, changes: dict[str, Any]) -> Job:
        """Write changes if the row is still the one that was read: its status and its last writer's nonce say so."""
        nonce = self._nonce()
        changes = {**changes, "nonce": nonce}
        sets = [f"#{name} = :{name}" for name, value in changes.items() if value is not None]
        removes = [f"#{name}" for name, value in changes.items() if value is None]
        values = {f":{name}": value for name, value in changes.items() if value is not None}
        values |= {":read_status": job.status.value, ":read_nonce": job.nonce}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": job.job_id}},
                UpdateExpression=f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
                ConditionExpression="#status = :read_status AND #nonce = :read_nonce",
                ExpressionAttributeNames={f"#{name}": name for name in {*changes, "status"}},
                ExpressionAttributeValues=to_row(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            return _own_write(error, nonce)
        return job_of_row(answer["Attributes"])

    @table_troubles()
    def get(self, job_id: str) -> Job | None:
        """The job, as it is at this moment; None for whatever is no job's id, which may come from outside."""
        if not JOB_ID.fullmatch(job_id):
            return None
        answer = self._client.get_item(TableName=self._table, Key={"job_id": {"S": job_id}}, ConsistentRead=True)
        return job_of_row(answer["Item"]) if "Item" in answer else None


def _to_row(job: Job) -> dict[str, Any]:
    return to_row(job.model_dump(mode="json", exclude_none=True) | {"open_shard": job.open_shard})


def job_of_row(row: Any) -> Job:
    """The job that a row holds."""
    return Job.model_validate(from_row(row))


def _count_end(to: JobStatus, error: JobError | None, *, was: str | None = None) -> None:
    count(f"Job{to.capitalize()}")
    # A job that succeeded with an error has some of its pictures.
    is_lost = error is not None and error.type in PAID_AND_LOST
    if is_lost or (to is JobStatus.FAILED and was == JobStatus.STORING):
        count("PaidResultLost")


def _own_write(error: ClientError, nonce: str) -> Job:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    item = error.response.get("Item")
    job = job_of_row(item) if item else None
    if job and job.nonce == nonce:
        return job
    raise StatusConflictError(job) from error
