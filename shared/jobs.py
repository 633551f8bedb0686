"""The job: our record of one submission, and the moves that it may make."""

import hashlib
import json
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_serializer

from shared.endpoints import ARGUMENTS, Arguments, Endpoint

OPEN_SHARDS = 4
"""Partitions that open jobs are spread over in the `due` index, so that none of them runs hot; parked ones apart."""
LOCKED = "provider_locked"
"""The reason of an accepted job that is parked: it waits for the account, not for a moment of its own."""

OnUnknown = Literal["fail", "resubmit"]
"""What follows when an attempt's reply was lost, and the attempt is dead: fal may have billed it, or never had it."""


class JobStatus(StrEnum):
    """Where a job stands."""

    ACCEPTED = "accepted"
    SUBMITTING = "submitting"
    UNCONFIRMED = "unconfirmed"
    QUEUED = "queued"
    STORING = "storing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_settled(self) -> bool:
        """Whether nothing can follow."""
        return not MOVES[self]


MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    # The last two only on fal's own word: a delivery proves that fal took the request after all, and it is paid.
    JobStatus.ACCEPTED: frozenset(
        {JobStatus.SUBMITTING, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.STORING, JobStatus.SUCCEEDED}
    ),
    JobStatus.SUBMITTING: frozenset(
        {
            JobStatus.QUEUED,
            JobStatus.ACCEPTED,
            JobStatus.UNCONFIRMED,
            JobStatus.STORING,
            JobStatus.SUCCEEDED,
            JobStatus.FAILED,
        }
    ),
    JobStatus.UNCONFIRMED: frozenset(
        {JobStatus.QUEUED, JobStatus.STORING, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.ACCEPTED}
    ),
    # Accepted again only when fal says that it could not read the input, and spent nothing on it.
    JobStatus.QUEUED: frozenset(
        {JobStatus.STORING, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.ACCEPTED}
    ),
    JobStatus.STORING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}
"""The legal moves, all of them: no write to the table makes another."""


class Record(BaseModel):
    """An immutable value that is written to the table or read from it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Upload(Record):
    """The object that a user put in the inputs bucket; `version` tells apart what stood under the key over time."""

    bucket: str
    key: str
    version: str
    size: int | None = None

    def job_id(self, preset: str) -> str:
        """The id of the one job that this upload and a preset make, however often the event comes."""
        identity = json.dumps([self.bucket, self.key, self.version, preset])
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class Output(Record):
    """One finished image in the outputs bucket; sizes in pixels and bytes."""

    index: int
    key: str
    content_type: str
    width: int | None = None
    height: int | None = None
    bytes: int
    sha256: str


class JobError(Record):
    """Why a job failed: fal's own error type or ours, and a sentence."""

    type: str
    message: str


class Request(Record):
    """fal's unit of work, with the URLs that fal returned for it; a delivery names the id alone."""

    request_id: str
    status_url: str | None = None
    response_url: str | None = None
    cancel_url: str | None = None


class Job(Record):
    """One submission from accepted to settled. Times are UTC; `check_at` and `expires_at` are Unix seconds.

    `looks` counts looks in a row that learned nothing, `resubmits` attempts that ended unpaid or in doubt and were
    followed by another, `strikes` refusals of this job alone, while others were accepted.
    """

    job_id: str
    owner: str
    status: JobStatus
    reason: str | None = None
    endpoint: Endpoint
    arguments_json: str
    preset: str | None = None
    upload: Upload | None = None
    output_key: str
    fingerprint: str
    attempt: int = 1
    attempt_at: datetime
    on_unknown: OnUnknown = "fail"
    looks: int = 0
    resubmits: int = 0
    strikes: int = 0
    nonce: str
    request: Request | None = None
    result_json: str | None = None
    outputs: list[Output] = []
    seed: str | None = None
    error: JobError | None = None
    created_at: datetime
    updated_at: datetime
    settled_at: datetime | None = None
    check_at: int | None = None
    expires_at: int | None = None

    @field_serializer("attempt_at", "created_at", "updated_at", "settled_at", when_used="json-unless-none")
    def _write_moment(self, moment: datetime) -> str:
        return moment_text(moment)

    @property
    def arguments(self) -> Arguments:
        """The arguments as the endpoint's typed model."""
        return ARGUMENTS[self.endpoint].model_validate_json(self.arguments_json)

    @property
    def open_shard(self) -> str | None:
        """The partition of the `due` index that the job stands in while it is open."""
        return None if self.status.is_settled else open_shard(self.job_id, self.reason)


def open_shard(job_id: str, reason: str | None = None) -> str:
    """One of OPEN_SHARDS partitions, or of as many for parked jobs; always the same one for a job."""
    return shard_name(zlib.crc32(job_id.encode()) % OPEN_SHARDS, parked=reason == LOCKED)


def shard_name(number: int, *, parked: bool = False) -> str:
    """A partition's name; parked jobs stand apart, so that a lock does not put them before jobs that can move."""
    return f"parked-{number}" if parked else str(number)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC, always with milliseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_seconds(moment: datetime) -> int:
    """Whole Unix seconds, as `check_at` and `expires_at` hold them."""
    return int(moment.astimezone(UTC).timestamp())
