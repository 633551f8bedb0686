"""Pictures in S3: inputs that fal reads by presigned URL, outputs that are stored, links for callers."""

from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AwsUnavailableError, UploadRejectedError
from shared.image_formats import HEAD_BYTES, sniff

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


def is_object(reference: str) -> bool:
    """Whether an input is an object in a bucket of ours, and not somebody's URL."""
    return reference.startswith("s3://")


class Images:
    """Reads and writes pictures in the stack's buckets."""

    def __init__(self, s3: "S3Client", outputs_bucket: str) -> None:
        self._s3 = s3
        self._outputs_bucket = outputs_bucket

    def check_input(self, bucket: str, key: str) -> str | None:
        """Make sure, by its first bytes, that an object can be edited; the id of the job that made it, if one did.

        Raises:
            UploadRejectedError: it is gone, too large, or no picture of an accepted format.
            AwsUnavailableError: it cannot be read now.
        """
        try:
            # A range of the first bytes shows the format, and its answer the size and the marks as well.
            answer = self._s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in {"NoSuchKey", "KeyTooLongError"}:
                raise UploadRejectedError("upload_gone", NO_OBJECT) from error
            if code == "InvalidRange":
                raise UploadRejectedError("not_an_image", "the object is empty") from error
            raise AwsUnavailableError(f"the object cannot be read: {code}") from error
        except BotoCoreError as error:
            raise AwsUnavailableError(f"the object cannot be read: {type(error).__name__}") from error
        with answer["Body"] as body:
            head = body.read()
        if sniff(head) is None:
            raise UploadRejectedError("not_an_image", "the object is no jpg, png, webp, gif or avif picture")
        if int(answer["ContentRange"].rpartition("/")[2]) > MAX_INPUT_BYTES:
            raise UploadRejectedError("file_too_large", f"the object is larger than {MAX_INPUT_BYTES} bytes")
        return answer["Metadata"].get(JOB_MARK)

    def input_link(self, bucket: str, key: str) -> str:
        """A URL with which fal reads an input; made anew for each attempt."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=INPUT_LINK_SECONDS
        )

    def output_link(self, key: str) -> str:
        """A URL with which a caller reads an output for an hour."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self._outputs_bucket, "Key": key}, ExpiresIn=OUTPUT_LINK_SECONDS
        )

    def store(self, key: str, file: BinaryIO, content_type: str, job_id: str) -> None:
        """Put one output, streamed from its file; the same key and bytes again change nothing.

        Raises:
            AwsUnavailableError: S3 does not take it now.
        """
        try:
            self._s3.put_object(
                Bucket=self._outputs_bucket, Key=key, Body=file, ContentType=content_type, Metadata={JOB_MARK: job_id}
            )
        except (BotoCoreError, ClientError) as error:
            raise AwsUnavailableError(f"the output cannot be put: {type(error).__name__}") from error
