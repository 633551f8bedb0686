"""The job table on moto: conditional writes, our own repeated writes, and the indexes."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.models import botocore_stubber

from shared.endpoints import Endpoint, TextToImageArguments
from shared.errors import AwsUnavailableError, StatusConflictError
from shared.jobs import MOVES, Job, JobStatus
from shared.submission import Submission, draft_job


def submission(job_id: str = "1" * 32, owner: str = "shop") -> Submission:
    """Something to make a job of."""
    return Submission(
        job_id=job_id,
        owner=owner,
        endpoint=Endpoint.TEXT_TO_IMAGE,
        arguments=TextToImageArguments(prompt="p", guidance_scale=7.25, seed=2**64),
        path=owner,
        output_key="{path}/{job_id}-{index}.{ext}",
        fingerprint="f",
    )


@pytest.fixture
def create(system: Any) -> Callable[..., Job]:
    """Writes a job, moved on to a status by legal moves."""

    def build(job_id: str = "1" * 32, status: JobStatus = JobStatus.SUBMITTING) -> Job:
        job: Job = system.app.jobs.create(draft_job(system.app, submission(job_id), lambda: 60))
        return job if status is JobStatus.SUBMITTING else _lead(system, job, status)

    return build


def _lead(system: Any, job: Job, status: JobStatus) -> Job:
    if status is JobStatus.CANCELLED:
        job = system.app.jobs.move(job, JobStatus.QUEUED)
    moved: Job = system.app.jobs.move(job, status)
    return moved


def test_a_job_comes_back_as_it_was_written(system: Any, create: Callable[..., Job]) -> None:
    """Floats, seeds beyond 64 bits and times survive the table."""
    job = create()
    assert system.app.jobs.get("1" * 32) == job
    assert job.arguments == TextToImageArguments(prompt="p", guidance_scale=7.25, seed=2**64)


def test_what_is_not_there_is_none(system: Any) -> None:
    """An unknown id gives no job."""
    assert system.app.jobs.get("nothing") is None


def test_a_second_creation_finds_the_first(create: Callable[..., Job]) -> None:
    """The conflict carries the job that is there, without another read."""
    first = create()
    with pytest.raises(StatusConflictError) as conflict:
        create()
    assert conflict.value.job == first


@pytest.mark.parametrize("origin", list(JobStatus))
def test_only_legal_moves_are_made(system: Any, create: Callable[..., Job], origin: JobStatus) -> None:
    """To each other status: the table of moves decides, and a move that it lacks is never written."""
    for to in JobStatus:
        job = create(f"to-{to}", origin)
        before = system.row(job.job_id)
        if to in MOVES[origin]:
            moved = system.app.jobs.move(job, to)
            assert moved.status is to
            assert (moved.settled_at is not None) is to.is_settled
            assert ("open_shard" in system.row(job.job_id)) is not to.is_settled
            assert ("check_at" in system.row(job.job_id)) is not to.is_settled
        else:
            with pytest.raises(ValueError, match="does not move"):
                system.app.jobs.move(job, to)
            assert system.row(job.job_id) == before


def test_of_two_writers_one_wins(system: Any, create: Callable[..., Job]) -> None:
    """The second move from the same status is a conflict that carries what the first made."""
    job = create()
    system.app.jobs.move(job, JobStatus.QUEUED)
    with pytest.raises(StatusConflictError) as conflict:
        system.app.jobs.move(job, JobStatus.FAILED)
    assert conflict.value.job is not None
    assert conflict.value.job.status is JobStatus.QUEUED


def test_an_earlier_attempt_moves_nothing(system: Any, create: Callable[..., Job]) -> None:
    """A function that woke up late cannot speak for the attempt that followed its own."""
    first = create()
    waiting = system.app.jobs.move(first, JobStatus.ACCEPTED)
    system.app.jobs.move(waiting, JobStatus.SUBMITTING, attempt=2)
    with pytest.raises(StatusConflictError):
        system.app.jobs.move(first, JobStatus.QUEUED)


class LostReply:
    """Applies the next write of an operation, then loses the reply, so that the SDK sends it again."""

    def __init__(self, client: Any, operation: str) -> None:
        self.left = 1
        client.meta.events.register_last(f"before-send.dynamodb.{operation}", self)

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        """Let moto do the work, and say that nothing came back."""
        if not self.left:
            return None
        self.left -= 1
        botocore_stubber("before-send", request)
        raise ReadTimeoutError(endpoint_url=request.url)


def test_our_own_write_is_recognised_when_its_reply_was_lost(
    system: Any, create: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put and update are repeated by the SDK, find their own work, and succeed."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    table = system.app.jobs
    LostReply(table._client, "PutItem")  # noqa: SLF001 - the fault is injected into the adapter's own client
    job = create()
    LostReply(table._client, "UpdateItem")  # noqa: SLF001 - the fault is injected into the adapter's own client
    moved = table.move(job, JobStatus.QUEUED)
    assert moved.status is JobStatus.QUEUED
    assert system.app.jobs.get("1" * 32) == moved


def test_other_errors_of_the_table_are_not_conflicts(system: Any, create: Callable[..., Job]) -> None:
    """A missing table is one that does not answer, and its own word for that is kept."""
    job = create()
    boto3.client("dynamodb").delete_table(TableName="darkroom-jobs")
    with pytest.raises(AwsUnavailableError, match="ResourceNotFoundException"):
        system.app.jobs.move(job, JobStatus.QUEUED)


def test_due_jobs_come_the_longest_waiting_first(system: Any, create: Callable[..., Job]) -> None:
    """Every shard is asked, and the limit holds over all of them."""
    for index in range(12):
        system.app.jobs.postpone(create(f"{index:032x}"), 1000 + index)
    assert [f"{index:032x}" for index in range(5)] == system.app.indexes.list_due(1005, 5)
    assert len(system.app.indexes.list_due(1005, 100)) == 6


def test_settled_jobs_leave_some_day(system: Any, create: Callable[..., Job]) -> None:
    """A settled job expires after its retention, an open one never."""
    assert "expires_at" not in system.row(create().job_id)
    job = create("2" * 32, JobStatus.FAILED)
    assert int(system.row("2" * 32)["expires_at"]["N"]) == int(job.updated_at.timestamp()) + 90 * 24 * 3600
