"""The job: our record of one submission, and the moves that it may make."""

import hashlib
import json
import re
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from shared.endpoints import ARGUMENTS, Arguments, Endpoint
from shared.reasons import PARKING

JOB_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""What every job's id looks like: other rows of the table, and marks that others put on objects, do not."""
MAX_REQUEST_ID = 200
"""The characters of a request's id that are kept with a job; fal's ids are UUIDs."""
OPEN_SHARDS = 4
"""Partitions that open jobs are spread over in the `due` index, so that none of them runs hot; parked ones apart."""

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
    JobStatus.SUBMITTING: frozenset(JobStatus) - {JobStatus.SUBMITTING, JobStatus.CANCELLED},
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
    """One version of an object that a user put in the inputs bucket.

    `version` tells apart what was under the key over time: S3's version id, or, in a bucket without versions, sequencer
    and ETag with a colon between them, which no version id contains. `etag` is the event's, and is not kept apart.
    """

    bucket: str
    key: str
    version: str
    etag: Annotated[str | None, Field(exclude=True)] = None
    size: int | None = None

    @property
    def version_id(self) -> str | None:
        """S3's version id, with which exactly this version can be read; None in a bucket without versions."""
        return None if ":" in self.version else self.version

    def job_id(self, preset: str, *, of: str | None = None) -> str:
        """The id of the one job that this upload and a preset make, however often the event comes.

        Args:
            preset: the preset's name.
            of: what identifies the upload's content in the version's place.
        """
        identity = json.dumps([self.bucket, self.key, self.version if of is None else of, preset])
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class ObjectRef(Record):
    """An object in a bucket of ours: the version that is meant, or by its ETag the bytes, or whatever is there."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Read an `s3://bucket/key` reference."""
        bucket, _, key = reference.removeprefix("s3://").partition("/")
        return cls(bucket=bucket, key=key)

    @property
    def parameters(self) -> dict[str, Any]:
        """What names the object in a call to S3."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}


class Output(Record):
    """One finished image in the outputs bucket; sizes in pixels and bytes.

    `nsfw`: what fal's safety check says of it; None where it says nothing.
    """

    index: int
    key: str
    content_type: str
    width: int | None = None
    height: int | None = None
    bytes: int
    sha256: str
    nsfw: bool | None = None


class JobError(Record):
    """Why a job failed, or what an open one waits for: fal's own error type or one of our reasons, and a sentence."""

    type: str
    message: str


class Request(Record):
    """fal's unit of work, with the URLs that fal returned for it; a delivery names the id alone."""

    request_id: Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_ID)]
    status_url: str | None = None
    response_url: str | None = None
    cancel_url: str | None = None


class Job(Record):
    """One submission from accepted to settled. Times are UTC; `check_at` and `expires_at` are Unix seconds.

    `looks` counts looks in a row that met the same trouble, `resubmits` attempts that ended unpaid or in doubt and were
    followed by another, `strikes` refusals of this job alone, while others were accepted.
    """

    job_id: str
    owner: str
    status: JobStatus
    reason: str | None = None
    endpoint: Endpoint
    arguments_json: str = "{}"
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
    def claim(self) -> Request | None:
        """The request that a delivery named, of which fal is yet to say whether it is one of our key's."""
        return self.request if self.status in {JobStatus.ACCEPTED, JobStatus.UNCONFIRMED} else None

    def looks_at(self, reason: str | None) -> int:
        """How many looks in a row have met the trouble that a reason names."""
        return self.looks if self.reason == reason else 0

    @property
    def images_asked_for(self) -> int:
        """How many outputs the job was to have; a row that had to be cut down does not say it any more."""
        return int(json.loads(self.arguments_json).get("num_images", 1))

    def input_ref(self, reference: str) -> ObjectRef:
        """The object that an `s3://` reference means: for the job's upload exactly the version that was uploaded."""
        ref = ObjectRef.parse(reference)
        upload = self.upload
        if upload is None or (ref.bucket, ref.key) != (upload.bucket, upload.key):
            return ref
        if upload.version_id:
            return ref.model_copy(update={"version_id": upload.version_id})
        return ref.model_copy(update={"etag": upload.version.partition(":")[2] or None})

    @property
    def open_shard(self) -> str | None:
        """The partition of the `due` index that the job stands in while it is open."""
        return None if self.status.is_settled else open_shard(self.job_id, self.reason)


def open_shard(job_id: str, reason: str | None = None) -> str:
    """One of OPEN_SHARDS partitions, or of as many for parked jobs; always the same one for a job."""
    return shard_name(zlib.crc32(job_id.encode()) % OPEN_SHARDS, parked=reason in PARKING)


def shard_name(number: int, *, parked: bool = False) -> str:
    """A partition's name; parked jobs stand apart, so that a lock does not put them before jobs that can move."""
    return f"parked-{number}" if parked else str(number)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC, always with milliseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_seconds(moment: datetime) -> int:
    """Whole Unix seconds, as `check_at` and `expires_at` hold them."""
    return int(moment.astimezone(UTC).timestamp())
