"""Lists of jobs, by the table's two indexes: an owner's, and open ones by the time of their next look."""

import zlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.cursors import read_cursor, write_cursor
from shared.errors import AwsUnavailableError
from shared.job_table import job_of_row
from shared.jobs import OPEN_SHARDS, Job, moment_text, shard_name
from shared.rows import table_troubles
from shared.waiting import T_MAX

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_KEYS = 100
"""The jobs that one read takes; DynamoDB's own bound for a batch."""
MOST_READS = 8
"""So often is a batch asked for what the table handed back unread."""
MOST_PAGES = 20
"""The reads that one list takes, so that a rare filter over very many jobs answers in time."""
MOST_PARKED = 500
"""The parked jobs that one look finds at each end of each partition, and in its middle."""
MOST_OWNERS_KNOWN = 50_000
"""The jobs whose owner a container remembers."""
MAX_NUMBER = 2**53
"""Later than any time."""


class JobIndexes:
    """Lists of jobs. The indexes lag behind the table, so whoever acts on a job reads its row first.

    Where the table does not answer, each method raises AwsUnavailableError.
    """

    def __init__(self, client: "DynamoDBClient", table: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._table = table
        self._now = now
        self._owners: dict[str, str] = {}

    @table_troubles()
    def list_owned(
        self, owner: str, wanted: Callable[[Job], bool], limit: int, cursor: str | None
    ) -> tuple[list[Job], str | None]:
        """An owner's jobs that are wanted, newest first, and where to go on, if there may be more.

        Raises:
            ValueError: the cursor was not made here.
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
            page["ExclusiveStartKey"] = read_cursor(cursor, owner)
        for _ in range(MOST_PAGES):
            answer = self._client.query(**page)
            rows = self._get_many([item["job_id"]["S"] for item in answer["Items"]])
            found = {row["job_id"]["S"]: row for row in rows}
            for item in answer["Items"]:
                row = found.get(item["job_id"]["S"])
                if row and wanted(job := job_of_row(row)):
                    if len(jobs) == limit:
                        return jobs, write_cursor(owner, moment_text(jobs[-1].created_at), jobs[-1].job_id)
                    jobs.append(job)
            if "LastEvaluatedKey" not in answer:
                return jobs, None
            page["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        last = page["ExclusiveStartKey"]
        return jobs, write_cursor(owner, last["created_at"]["S"], last["job_id"]["S"])

    @table_troubles()
    def count_posted(self, owner: str, most: int) -> int:
        """How many of an owner's newest jobs, `most` or a few more, are open and were not made by uploads."""
        page: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "by_owner",
            "KeyConditionExpression": "#owner = :owner AND created_at > :since",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {
                ":owner": {"S": owner},
                # Older ones are settled, whatever happened.
                ":since": {"S": moment_text(self._now() - timedelta(seconds=T_MAX))},
            },
            "ScanIndexForward": False,
            "Limit": MOST_KEYS,
        }
        found, looked_at = 0, 0
        while looked_at < most:
            answer = self._client.query(**page)
            job_ids = [item["job_id"]["S"] for item in answer["Items"]]
            rows = self._get_many(job_ids, ProjectionExpression="job_id, open_shard, upload")
            found += sum("open_shard" in row and "upload" not in row for row in rows)
            looked_at += len(job_ids)
            if found >= most or "LastEvaluatedKey" not in answer:
                break
            page["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    def _get_many(self, job_ids: list[str], **more: Any) -> Iterable[dict[str, Any]]:
        keys = [{"job_id": {"S": job_id}} for job_id in job_ids]
        wanted: dict[str, Any] = {self._table: {"Keys": keys, **more}} if keys else {}
        for _ in range(MOST_READS):
            if not wanted:
                return
            answer = self._client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(self._table, [])
            # A throttled table hands keys back unread.
            wanted = answer["UnprocessedKeys"]
        if wanted:
            raise AwsUnavailableError("the job table hands keys back unread")

    @table_troubles()
    def list_due(self, now: int, limit: int, *, parked: bool = False) -> list[str]:
        """Ids of open jobs whose time has come, the longest waiting first; parked ones are asked for apart."""
        found: list[tuple[int, str]] = []
        for number in range(OPEN_SHARDS):
            found += self._list_shard(shard_name(number, parked=parked), now, limit)
        return [job_id for _, job_id in sorted(found)[:limit]]

    @table_troubles()
    def list_parked(self) -> dict[str, list[str]]:
        """Ids of parked jobs by owner, those first that give up first; of very many, some.

        These are the oldest, the newest, and some between that are others each time, so that one owner's crowd cannot
        hide for long what another one posted before, after or amid it.
        """
        found: dict[str, int] = {}
        for number in range(OPEN_SHARDS):
            shard = shard_name(number, parked=True)
            oldest = self._list_shard(shard, MAX_NUMBER, MOST_PARKED)
            found |= {job_id: check_at for check_at, job_id in oldest}
            if len(oldest) == MOST_PARKED:
                newest = self._list_shard(shard, MAX_NUMBER, MOST_PARKED, newest_first=True)
                between = self._amid(oldest[-1][0], newest[-1][0])
                amid = self._list_shard(shard, between, MOST_PARKED, newest_first=True)
                found |= {job_id: check_at for check_at, job_id in [*newest, *amid]}
        job_ids = sorted(found, key=lambda job_id: (found[job_id], job_id))
        self._learn_owners(job_ids)
        parked: dict[str, list[str]] = {}
        for job_id in job_ids:
            if owner := self._owners.get(job_id):
                parked.setdefault(owner, []).append(job_id)
        return parked

    def _amid(self, first: int, last: int) -> int:
        """A number between two that is another one each time."""
        return first + zlib.crc32(moment_text(self._now()).encode()) % (max(last - first, 0) + 1)

    def _list_shard(self, shard: str, until: int, limit: int, *, newest_first: bool = False) -> list[tuple[int, str]]:
        answer = self._client.query(
            TableName=self._table,
            IndexName="due",
            KeyConditionExpression="open_shard = :shard AND check_at <= :until",
            ExpressionAttributeValues={":shard": {"S": shard}, ":until": {"N": str(until)}},
            ScanIndexForward=not newest_first,
            Limit=limit,
        )
        return [(int(item["check_at"]["N"]), item["job_id"]["S"]) for item in answer["Items"]]

    def _learn_owners(self, job_ids: list[str]) -> None:
        """Read whose the jobs are, which never changes; a job that has gone meanwhile has no owner."""
        if len(self._owners) > MOST_OWNERS_KNOWN:
            self._owners.clear()
        unknown = [job_id for job_id in job_ids if job_id not in self._owners]
        names = {"ProjectionExpression": "job_id, #owner", "ExpressionAttributeNames": {"#owner": "owner"}}
        for start in range(0, len(unknown), MOST_KEYS):
            for row in self._get_many(unknown[start : start + MOST_KEYS], **names):
                self._owners[row["job_id"]["S"]] = row["owner"]["S"]
