"""Pictures in S3: inputs that fal reads by presigned URL, outputs that are stored, links for callers."""

from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AwsUnavailableError, UploadRejectedError
from shared.image_formats import INPUT_HEAD_BYTES, check_input_head
from shared.jobs import JOB_ID, ObjectRef, Output
from shared.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INPUT_LINK_SECONDS = 6 * 3600
"""How long fal may read an input, as its queue can be long; the link ends with the credentials that signed it too."""
OUTPUT_LINK_SECONDS = 3600
MAX_INPUT_BYTES = 50 * 1024 * 1024
"""fal's toolkit downloads no larger image (fal source: toolkit/image)."""
NO_OBJECT = "the object does not exist (any more)"
JOB_MARK = "darkroom-job"
"""Object metadata that marks our outputs, so that they are known wherever they are copied to."""
NSFW_MARK = "darkroom-nsfw"
"""Object metadata of an output that fal flagged."""

OVERWRITTEN = (Reason.UPLOAD_SUPERSEDED, "the object was overwritten; what is there now is another upload's job")
PERMANENT = {
    "NoSuchKey": (Reason.UPLOAD_GONE, NO_OBJECT),
    "KeyTooLongError": (Reason.UPLOAD_GONE, NO_OBJECT),
    "NoSuchVersion": (Reason.UPLOAD_GONE, "this version of the object does not exist (any more)"),
    "MethodNotAllowed": (Reason.UPLOAD_GONE, "this version of the object is the mark of its deletion"),
    "InvalidRange": (Reason.NOT_AN_IMAGE, "the object is empty"),
    "InvalidObjectState": (
        Reason.UPLOAD_ARCHIVED,
        "the object is in an archive (S3 Glacier); restore it, then upload a copy of it",
    ),
    "InvalidRequest": (
        Reason.UPLOAD_UNREADABLE,
        "S3 does not hand the object out (InvalidRequest); if it is encrypted with your key (SSE-C), upload it without",
    ),
    "InvalidArgument": (Reason.UPLOAD_UNREADABLE, "S3 does not know such an object (InvalidArgument)"),
}
"""S3's answers that stay as they are (S3 docs: error responses), and what each says of an input."""


def is_object(reference: str) -> bool:
    """Whether an input is an object in a bucket of ours, and not somebody's URL."""
    return reference.startswith("s3://")


def _bare(etag: str) -> str:
    """An ETag in the one form that can be compared: HTTP quotes it, events do not, and other stores use capitals."""
    return etag.strip('"').lower()


def check_key(key: str) -> None:
    """Make sure that a link to an object leads to it: HTTP clients fold `.` and `..` segments away (RFC 3986, 5.2.4).

    Raises:
        UploadRejectedError: it has such a segment.
    """
    if {".", ".."} & set(key.split("/")):
        raise UploadRejectedError(
            Reason.UNSAFE_KEY, "the key has a segment `.` or `..`, which no link can hold; upload it under another key"
        )


class Images:
    """Reads and writes pictures in the stack's buckets."""

    def __init__(self, s3: "S3Client", outputs_bucket: str) -> None:
        self._s3 = s3
        self._outputs_bucket = outputs_bucket

    def check_input(self, ref: ObjectRef) -> str | None:
        """Make sure, by its first bytes, that an object can be edited; the id of the job that made it, if one did.

        Raises:
            UploadRejectedError: it is gone, overwritten, archived, too large, or no picture of an accepted format.
            AwsUnavailableError: it cannot be read now.
        """
        check_key(ref.key)
        try:
            # A range of the first bytes shows the format, and its answer the size and the marks as well.
            answer = self._s3.get_object(**ref.parameters, Range=f"bytes=0-{INPUT_HEAD_BYTES - 1}")
            with answer["Body"] as body:
                head = body.read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "InvalidRange" and ref.etag:
                raise UploadRejectedError(*OVERWRITTEN) from error  # with nothing, since an upload is not empty
            if code in PERMANENT:
                raise UploadRejectedError(*PERMANENT[code]) from error
            raise AwsUnavailableError(f"the object cannot be read: {code}") from error
        except BotoCoreError as error:
            raise AwsUnavailableError(f"the object cannot be read: {type(error).__name__}") from error
        if ref.etag and _bare(answer["ETag"]) != _bare(ref.etag):
            raise UploadRejectedError(*OVERWRITTEN)
        if int(answer["ContentRange"].rpartition("/")[2]) > MAX_INPUT_BYTES:
            raise UploadRejectedError(Reason.FILE_TOO_LARGE, f"the object is larger than {MAX_INPUT_BYTES} bytes")
        check_input_head(head)
        mark: str = answer["Metadata"].get(JOB_MARK, "")
        return mark if JOB_ID.fullmatch(mark) else None

    def input_link(self, ref: ObjectRef) -> str:
        """A URL with which fal reads an input; each attempt has its own.

        Raises:
            AwsUnavailableError: there are no credentials to sign it with now.
        """
        try:
            return self._s3.generate_presigned_url("get_object", Params=ref.parameters, ExpiresIn=INPUT_LINK_SECONDS)
        except BotoCoreError as error:
            raise AwsUnavailableError(f"a link cannot be signed: {type(error).__name__}") from error

    def output_link(self, key: str) -> str:
        """A URL with which a caller reads an output for an hour."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self._outputs_bucket, "Key": key}, ExpiresIn=OUTPUT_LINK_SECONDS
        )

    def store(self, output: Output, file: BinaryIO, job_id: str) -> None:
        """Put one output, streamed from its file; the same key and bytes again change nothing.

        Raises:
            AwsUnavailableError: S3 does not take it now.
        """
        marks = {JOB_MARK: job_id} | ({NSFW_MARK: "true"} if output.nsfw else {})
        try:
            self._s3.put_object(
                Bucket=self._outputs_bucket, Key=output.key, Body=file, ContentType=output.content_type, Metadata=marks
            )
        except (BotoCoreError, ClientError) as error:
            raise AwsUnavailableError(f"the output cannot be put: {type(error).__name__}") from error
