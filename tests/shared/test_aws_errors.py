"""Every error that AWS documents for the calls we make, and every exception of its client, with what it means to us."""

import inspect
import io
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.stub import Stubber

from shared.credentials import Credentials
from shared.errors import AwsUnavailableError, DarkroomError, StatusConflictError, UploadRejectedError
from shared.images import PERMANENT, Images
from shared.job_indexes import JobIndexes
from shared.job_table import JobTable
from shared.jobs import ObjectRef, Output
from shared.settings import Settings
from tests.conftest import SETTINGS

COMMON = {
    *(
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalFailure",
        "InvalidClientTokenId",
    ),
    *("MissingAuthenticationToken", "OptInRequired", "RequestAbortedException", "RequestEntityTooLargeException"),
    *("RequestExpired", "RequestTimeoutException", "ServiceUnavailable", "UnrecognizedClientException"),
    *("ThrottlingException", "NotAuthorized", "UnknownOperationException", "MalformedHttpRequestException"),
}
"""AWS docs: common errors. None of them says that anything has changed, or that anything is not there."""
TABLE_DOWN = {
    *("ProvisionedThroughputExceededException", "ResourceNotFoundException", "RequestLimitExceeded"),
    *("InternalServerError", "ThrottlingException", "ItemCollectionSizeLimitExceededException"),
    *("TransactionConflictException", "ReplicatedWriteConflictException", "LimitExceededException"),
}
"""DynamoDB docs: errors of each operation. The table may work again, or be ours to use again."""
CONDITION = "ConditionalCheckFailedException"

GONE, UNREADABLE = "upload_gone", "upload_unreadable"
OF_INPUTS = {
    "NoSuchKey": GONE,
    "NoSuchVersion": GONE,
    "KeyTooLongError": GONE,
    "MethodNotAllowed": GONE,
    "InvalidRange": "not_an_image",
    "InvalidObjectState": "upload_archived",
    "InvalidRequest": UNREADABLE,
    "InvalidArgument": UNREADABLE,
}
"""S3 docs: error responses. These stay as they are, whoever asks and whenever."""
PASSING = {
    *("AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken"),
    *("InternalError", "InvalidAccessKeyId", "InvalidBucketName", "InvalidPayer", "InvalidSecurity", "InvalidToken"),
    *("NoSuchBucket", "NotSignedUp", "OperationAborted", "PermanentRedirect", "PreconditionFailed", "Redirect"),
    *("RequestTimeout", "RequestTimeTooSkewed", "RequestLimitExceeded", "ServiceUnavailable", "SignatureDoesNotMatch"),
    *("SlowDown", "TemporaryRedirect", "TokenRefreshRequired", "Busy", "ReplicationInProgress", "500", "503", "403"),
    *("KMS.AccessDeniedException", "KMS.DisabledException", "KMS.KMSInvalidStateException", "KMS.NotFoundException"),
    *("KMS.ThrottlingException", "InvalidTokenId", "IncompleteBody", "BadDigest", "EntityTooLarge", "QuotaExceeded"),
    *("InvalidWriteOffset", "TooManyParts", "EncryptionTypeMismatch", "ConditionalRequestConflict"),
}
"""The same. These are about a key, a bucket, a policy or a moment; somebody may mend them, and the object is there."""
NO_SECRET = {
    *("ResourceNotFoundException", "InvalidParameterException", "InvalidRequestException", "DecryptionFailure"),
    *("InternalServiceError",),
}
"""Secrets Manager docs: GetSecretValue."""

OUTPUT = Output(index=0, key="a.jpg", content_type="image/jpeg", bytes=1, sha256="0" * 64)
NOT_RAISED_BY_CALLS = {
    *(
        "ClientError",
        "EventStreamError",
        "UnsupportedTLSVersionWarning",
        "ImminentRemovalWarning",
        "UndefinedModelAttributeError",
    ),
    *("MissingServiceIdError",),
}
"""What is no BotoCoreError in botocore's list: warnings, faults of service models, and the answers that are above."""


def client(service: Any) -> Any:
    """A client of AWS that reaches nothing."""
    return boto3.client(service, region_name="us-east-1")


def documented(service: str, *operations: str) -> set[str]:
    """The errors that AWS's own description of a service has for some operations."""
    model = botocore.session.get_session().get_service_model(service)
    return {shape.name for name in operations for shape in model.operation_model(name).error_shapes}


def verdict(service: str, operation: str, code: str, call: Callable[[Any], Any]) -> str:
    """What is made of an error: the name of the exception, with the reason that goes to the job."""
    aws = client(service)
    with Stubber(aws) as stubber:
        stubber.add_client_error(operation, service_error_code=code, http_status_code=400)
        try:
            call(aws)
        except UploadRejectedError as error:
            return error.kind
        except (DarkroomError, ClientError) as error:
            return type(error).__name__
    return "nothing"


def read_input(s3: Any) -> None:
    """Look at an upload."""
    Images(s3, "outputs").check_input(ObjectRef(bucket="inputs", key="a.jpg"))


def read_job(dynamodb: Any) -> None:
    """Read a row."""
    JobTable(dynamodb, "jobs", now=None, nonce=lambda: "n").get("0" * 32)  # type: ignore[arg-type] # reads have no time


def test_the_tables_are_complete() -> None:
    """What a newer version of AWS's client adds is in no list, and fails here before it loses a job."""
    assert documented("dynamodb", "GetItem", "BatchGetItem", "Query") <= TABLE_DOWN
    assert documented("dynamodb", "PutItem", "UpdateItem") <= TABLE_DOWN | {CONDITION}
    assert documented("s3", "GetObject", "PutObject") <= OF_INPUTS.keys() | PASSING
    assert documented("secretsmanager", "GetSecretValue") <= NO_SECRET
    assert OF_INPUTS.keys() == PERMANENT.keys()


@pytest.mark.parametrize("code", sorted(COMMON | TABLE_DOWN))
def test_a_table_that_does_not_answer_is_no_row_that_is_gone(code: str) -> None:
    """Reads of a row, and of the indexes, wait for the table; none of them finds nothing."""
    assert verdict("dynamodb", "get_item", code, read_job) == AwsUnavailableError.__name__
    due = verdict("dynamodb", "query", code, lambda aws: JobIndexes(aws, "jobs", now=None).list_due(1, 10))  # type: ignore[arg-type] # the same
    assert due == AwsUnavailableError.__name__


def test_a_request_that_dynamodb_does_not_understand_is_a_bug() -> None:
    """It is raised as it is, and looked into: waiting would not help."""
    assert verdict("dynamodb", "get_item", "ValidationException", read_job) == ClientError.__name__


@pytest.mark.parametrize("code", sorted(OF_INPUTS))
def test_an_upload_that_can_never_be_read_fails_with_its_reason(code: str) -> None:
    """Nothing is paid for it."""
    assert verdict("s3", "get_object", code, read_input) == OF_INPUTS[code]


@pytest.mark.parametrize("code", sorted(PASSING | COMMON))
def test_an_upload_that_cannot_be_read_now_waits(code: str) -> None:
    """A policy, a key or a busy S3 is no reason to drop a photo."""
    assert verdict("s3", "get_object", code, read_input) == AwsUnavailableError.__name__


@pytest.mark.parametrize("code", sorted(OF_INPUTS.keys() | PASSING | COMMON))
def test_an_output_that_s3_does_not_take_is_tried_again(code: str) -> None:
    """It is paid for: whatever S3 says, the job waits for it."""

    def store(s3: Any) -> None:
        Images(s3, "outputs").store(OUTPUT, io.BytesIO(b"x"), "0" * 32)

    assert verdict("s3", "put_object", code, store) == AwsUnavailableError.__name__


@pytest.mark.parametrize("code", sorted(NO_SECRET | COMMON))
def test_a_secret_that_is_not_handed_out_is_waited_for(code: str) -> None:
    """Without fal's key nothing is sent, and no job fails for it."""

    def read(secrets: Any) -> None:
        Credentials(lambda: secrets, Settings.from_environment(SETTINGS)).fal_key()

    assert verdict("secretsmanager", "get_secret_value", code, read) == AwsUnavailableError.__name__


def exceptions() -> list[type[Exception]]:
    """All exceptions that botocore has."""
    found = vars(botocore.exceptions).values()
    return [one for one in found if inspect.isclass(one) and issubclass(one, Exception)]


def test_every_exception_of_the_client_is_of_one_kind() -> None:
    """One that is none of BotoCoreError would pass by our handlers, and fails here first."""
    others = {one.__name__ for one in exceptions() if not issubclass(one, BotoCoreError)}
    assert others == NOT_RAISED_BY_CALLS


@pytest.mark.parametrize("error", [one for one in exceptions() if issubclass(one, BotoCoreError)])
def test_what_an_exception_of_the_client_means(error: type[BotoCoreError]) -> None:
    """No connection, no credentials, no time: the job waits, in each of the calls."""

    class Broken:
        """A client whose every call fails so."""

        exceptions = client("dynamodb").exceptions

        def __getattr__(self, name: str) -> Any:
            raise error.__new__(error)

    for call in (read_job, read_input):
        with pytest.raises(AwsUnavailableError):
            call(Broken())
    assert not issubclass(StatusConflictError, BotoCoreError)
