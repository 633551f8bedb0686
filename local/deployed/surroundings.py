"""What surrounds a stack and can spoil it: the account's room for functions, and buckets that it did not make."""

from collections.abc import Iterator, Mapping

import boto3
from botocore.exceptions import ClientError

from local.deployed.stack import DeployedStack, Place, answered_parameters
from local.template import TEMPLATE_FILE, read_yaml

ROOM = 20
"""Functions at once that deliveries, the API and the sweep want beside the uploads."""
OLDEST_REGIONS = {None: "us-east-1", "EU": "eu-west-1"}
"""What S3 calls the regions that were there before they had names (S3 docs: GetBucketLocation)."""
NOT_FOUND = 404


def known_parameters(place: Place, stack: DeployedStack | None) -> dict[str, str]:
    """The next deploy's parameters, as far as they are known before SAM asks: defaults, the stack's, the answers'."""
    declared = read_yaml(TEMPLATE_FILE.read_text(encoding="utf-8"))["Parameters"]
    defaults = {name: str(rules["Default"]) for name, rules in declared.items()}
    return defaults | (stack.parameters if stack else {}) | answered_parameters(place)


def find_troubles(place: Place, parameters: Mapping[str, str]) -> Iterator[str]:
    """Say what would keep uploads from becoming pictures, though CloudFormation deploys it; mostly nothing."""
    yield from _check_room(place, int(parameters["UploadConcurrency"]))
    for name in ("InputsBucketName", "OutputsBucketName"):
        if bucket := parameters[name]:
            yield from _check_bucket(place, name, bucket)


def _check_room(place: Place, uploads: int) -> Iterator[str]:
    try:
        limits = boto3.client("lambda", place.region).get_account_settings()["AccountLimit"]
    except ClientError:
        return  # Who may deploy need not be allowed to see it.
    room = limits["UnreservedConcurrentExecutions"]
    if room < uploads + ROOM:
        yield (
            f"This account may run {room} functions at once, and uploads alone may take {uploads} (UploadConcurrency). "
            "Deliveries and the API are then refused at times, and come later. "
            "Ask for more: Service Quotas, AWS Lambda, Concurrent executions."
        )


def _check_bucket(place: Place, parameter: str, bucket: str) -> Iterator[str]:
    s3 = boto3.client("s3", place.region)
    try:
        where = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_FOUND:
            yield f"{parameter}: there is no bucket {bucket}. Make it first, or correct the name."
        else:
            yield f"{parameter}: S3 says of {bucket}: {error.response['Error']['Code']}. Is it this account's?"
        return
    region = OLDEST_REGIONS.get(where, where)
    if region != place.region:
        yield f"{parameter}: {bucket} is in {region}, and the stack in {place.region}. Both must be in one region."
    elif parameter == "InputsBucketName":
        told = s3.get_bucket_notification_configuration(Bucket=bucket)
        if "EventBridgeConfiguration" not in told:
            yield (
                f"{parameter}: {bucket} does not tell EventBridge of its objects, so uploads start nothing. "
                "Turn it on: docs/operating.md, Buckets of your own."
            )
