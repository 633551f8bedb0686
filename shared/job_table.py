"""The job table: every write is conditional on the status that it leaves, and knows itself again by a nonce."""

import base64
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from shared.errors import StatusConflictError
from shared.jobs import (
    LOCKED,
    MOVES,
    OPEN_SHARDS,
    Job,
    JobError,
    JobStatus,
    moment_text,
    open_shard,
    shard_name,
    unix_seconds,
)
from shared.observability import count

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_KEYS = 100
"""How many jobs one read takes; DynamoDB's own bound for a batch."""
MOST_PAGES = 20
"""How many reads one list takes, so that a rare filter over very many jobs answers in time."""
MAX_CURSOR = 1024
MAX_NUMBER = 2**53
"""Later than any time."""
LOOK_SECONDS = 60
"""When an open job is looked at next unless the move says otherwise."""
RETENTION = 90 * 24 * 3600
"""Seconds for which a settled job is kept."""

_SERIALIZER, _DESERIALIZER = TypeSerializer(), TypeDeserializer()


class JobTable:
    """Jobs in DynamoDB. A write whose reply was lost, and which the SDK repeated, is recognised as our own."""

    def __init__(
        self, client: "DynamoDBClient", table: str, now: Callable[[], datetime], nonce: Callable[[], str]
    ) -> None:
        self._client = client
        self._table = table
        self._now = now
        self._nonce = nonce

    def create(self, job: Job) -> Job:
        """Write a job that is not there yet.

        Raises:
            StatusConflictError: a job of this id is there; carries it.
        """
        try:
            self._client.put_item(
                TableName=self._table,
                Item=_to_item(job),
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
            count(f"Job{to.capitalize()}")
        return moved

    def _entering(self, job: Job, to: JobStatus, reason: str | None) -> dict[str, Any]:
        now = self._now()
        changes = {"status": to.value, "reason": reason, "looks": None, "updated_at": moment_text(now)}
        if not to.is_settled:
            # An open job that nobody is to look at would be lost.
            look = {"check_at": unix_seconds(now) + LOOK_SECONDS, "open_shard": open_shard(job.job_id, reason)}
            return changes | look
        expires_at = unix_seconds(now) + RETENTION
        gone = {"check_at": None, "open_shard": None, "result_json": None}
        return changes | gone | {"settled_at": moment_text(now), "expires_at": expires_at}

    def postpone(self, job: Job, check_at: int, *, looks: int = 0, **changes: Any) -> Job:
        """Set when an open job is looked at next, without moving it; `looks` in a row before have learned nothing.

        Raises:
            StatusConflictError: it moved meanwhile.
        """
        return self._update(job, {"check_at": check_at, "looks": looks or None, **changes})

    def park(self, job: Job, check_at: int, error: JobError) -> Job:
        """Let an accepted job wait until the account may send again; it fails with this error when its time is over.

        Raises:
            StatusConflictError: it moved meanwhile.
        """
        parked = {"reason": LOCKED, "open_shard": open_shard(job.job_id, LOCKED), "check_at": check_at}
        return self._update(job, parked | {"error": error.model_dump()})

    def put_off(self, job_id: str, check_at: int) -> None:
        """Set when an open job is looked at next, whatever is wrong with the rest of its row."""
        with suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": job_id}},
                UpdateExpression="SET check_at = :check_at",
                ConditionExpression="attribute_exists(open_shard)",
                ExpressionAttributeValues={":check_at": {"N": str(check_at)}},
            )

    def give_up(self, job_id: str, created_before: datetime, error: JobError) -> None:
        """Fail an open job that was made before a moment, whatever is wrong with the rest of its row."""
        now = self._now()
        values = {
            ":failed": JobStatus.FAILED.value,
            ":error": error.model_dump(),
            ":now": moment_text(now),
            ":expires_at": unix_seconds(now) + RETENTION,
            ":nonce": self._nonce(),
            ":before": moment_text(created_before),
        }
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"job_id": {"S": job_id}},
                UpdateExpression=(
                    "SET #status = :failed, #error = :error, updated_at = :now, settled_at = :now,"
                    " expires_at = :expires_at, nonce = :nonce REMOVE open_shard, check_at"
                ),
                ConditionExpression="attribute_exists(open_shard) AND created_at < :before",
                ExpressionAttributeNames={"#status": "status", "#error": "error"},
                ExpressionAttributeValues={name: _SERIALIZER.serialize(value) for name, value in values.items()},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            # Our own write, repeated by the SDK because its reply was lost, is one all the same.
            row: Any = refusal.response.get("Item", {})
            if row.get("nonce") != {"S": values[":nonce"]}:
                return
        count("JobFailed")

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
                ExpressionAttributeValues={name: _SERIALIZER.serialize(value) for name, value in values.items()},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            return _own_write(error, nonce)
        return _from_item(answer["Attributes"])

    def get(self, job_id: str) -> Job | None:
        """The job, as it is at this moment."""
        answer = self._client.get_item(TableName=self._table, Key={"job_id": {"S": job_id}}, ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else None

    def list_owned(
        self, owner: str, wanted: Callable[[Job], bool], limit: int, cursor: str | None
    ) -> tuple[list[Job], str | None]:
        """An owner's jobs that are wanted, newest first, and where to go on, if there may be more.

        Raises:
            ValueError: the cursor is none of ours.
        """
        jobs: list[Job] = []
        page: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "by_owner",
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {":owner": {"S": owner}},
            "ScanIndexForward": False,
            "Limit": MOST_KEYS,
        }
        if cursor is not None:
            page["ExclusiveStartKey"] = _read_cursor(cursor, owner)
        for _ in range(MOST_PAGES):
            answer = self._client.query(**page)
            found = {job.job_id: job for job in self._get_many([item["job_id"]["S"] for item in answer["Items"]])}
            for item in answer["Items"]:
                job = found.get(item["job_id"]["S"])
                if job and wanted(job):
                    if len(jobs) == limit:
                        return jobs, _write_cursor(owner, moment_text(jobs[-1].created_at), jobs[-1].job_id)
                    jobs.append(job)
            if "LastEvaluatedKey" not in answer:
                return jobs, None
            page["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        last = page["ExclusiveStartKey"]
        return jobs, _write_cursor(owner, last["created_at"]["S"], last["job_id"]["S"])

    def _get_many(self, job_ids: list[str]) -> Iterable[Job]:
        wanted: dict[str, Any] = (
            {self._table: {"Keys": [{"job_id": {"S": job_id}} for job_id in job_ids]}} if job_ids else {}
        )
        while wanted:
            answer = self._client.batch_get_item(RequestItems=wanted)
            yield from (_from_item(item) for item in answer["Responses"].get(self._table, []))
            # A throttled table hands keys back unread.
            wanted = answer["UnprocessedKeys"]

    def list_due(self, now: int, limit: int, *, parked: bool = False) -> list[str]:
        """Ids of open jobs whose time has come, the longest waiting first; parked ones are asked for apart."""
        return self._list_open(now, limit, parked=parked)

    def list_parked(self, limit: int) -> list[str]:
        """Ids of parked jobs, those first that give up first."""
        return self._list_open(MAX_NUMBER, limit, parked=True)

    def _list_open(self, until: int, limit: int, *, parked: bool) -> list[str]:
        found: list[tuple[int, str]] = []
        for number in range(OPEN_SHARDS):
            answer = self._client.query(
                TableName=self._table,
                IndexName="due",
                KeyConditionExpression="open_shard = :shard AND check_at <= :until",
                ExpressionAttributeValues={
                    ":shard": {"S": shard_name(number, parked=parked)},
                    ":until": {"N": str(until)},
                },
                Limit=limit,
            )
            found += [(int(item["check_at"]["N"]), item["job_id"]["S"]) for item in answer["Items"]]
        return [job_id for _, job_id in sorted(found)[:limit]]


def _to_item(job: Job) -> dict[str, Any]:
    row = job.model_dump(mode="json", exclude_none=True) | {"open_shard": job.open_shard}
    return {name: _SERIALIZER.serialize(value) for name, value in row.items() if value is not None}


def _from_item(item: Any) -> Job:
    return Job.model_validate({name: _DESERIALIZER.deserialize(value) for name, value in item.items()})


def _own_write(error: ClientError, nonce: str) -> Job:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    item = error.response.get("Item")
    job = _from_item(item) if item else None
    if job and job.nonce == nonce:
        return job
    raise StatusConflictError(job) from error


def _write_cursor(*key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, owner: str) -> dict[str, Any]:
    if len(cursor) > MAX_CURSOR:
        raise ValueError("no cursor is so long")
    match json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))):
        case [str(whose), str(created_at), str(job_id)] if whose == owner:
            return {"owner": {"S": owner}, "created_at": {"S": created_at}, "job_id": {"S": job_id}}
    raise ValueError("not a cursor of this owner")
