"""What may be asked of AWS, and which action on which resource each call needs.

Facts from the Service Authorization Reference, one page for each service.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from local.template import ACCOUNT_ID, PARTITION, REGION
from tests.iam.stack import SUFFIX, Function

Parameters = Mapping[str, Any]


class Need(NamedTuple):
    """An action on a resource, without which something would be refused."""

    action: str
    resource: str


def needs_of(service: str, operation: str, parameters: Parameters) -> set[Need]:
    """What one call needs.

    Raises:
        KeyError: an operation, or a parameter that may need more, which nobody has looked up yet.
    """
    action = f"{service}:{operation}"
    if action == "s3:GetObject" and "VersionId" in parameters:
        action = "s3:GetObjectVersion"
    if action in PLAIN_PARAMETERS and (more := parameters.keys() - PLAIN_PARAMETERS[action]):
        raise KeyError(f"{action} with {', '.join(sorted(more))}")
    return {Need(action, arn) for arn in RESOURCES[action](parameters)}


def bucket_arn(bucket: str) -> str:
    """The ARN of a bucket, which names neither region nor account."""
    return f"arn:{PARTITION}:s3:::{bucket}"


def _table_arn(name: str) -> str:
    return f"arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}"


def _table(parameters: Parameters) -> list[str]:
    return [_table_arn(parameters["TableName"])]


def _tables(parameters: Parameters) -> list[str]:
    return [_table_arn(name) for name in parameters["RequestItems"]]


def _index_or_table(parameters: Parameters) -> list[str]:
    index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
    return [_table_arn(parameters["TableName"]) + index]


def _object(parameters: Parameters) -> list[str]:
    return [f"{bucket_arn(parameters['Bucket'])}/{parameters['Key']}"]


def _secret(parameters: Parameters) -> list[str]:
    # A secret that is asked for by its name is judged by its whole ARN all the same.
    return [f"arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{parameters['SecretId']}{SUFFIX}"]


RESOURCES: Mapping[str, Callable[[Parameters], list[str]]] = {
    "dynamodb:BatchGetItem": _tables,
    "dynamodb:GetItem": _table,
    "dynamodb:PutItem": _table,
    "dynamodb:Query": _index_or_table,
    "dynamodb:UpdateItem": _table,
    "s3:GetObject": _object,
    "s3:GetObjectVersion": _object,
    "s3:PutObject": _object,
    "secretsmanager:GetSecretValue": _secret,
}
PLAIN_PARAMETERS = {
    # With Tagging, ACL and the like other actions are needed.
    "s3:GetObject": {"Bucket", "Key", "Range"},
    "s3:GetObjectVersion": {"Bucket", "Key", "Range", "VersionId"},
    "s3:PutObject": {"Bucket", "Key", "Body", "ContentType", "Metadata"},
    "secretsmanager:GetSecretValue": {"SecretId"},
}


def needs_of_lambda(function: Function) -> set[Need]:
    """What Lambda itself does with a function's role: it writes the log, and polls the queues (AWS docs: Lambda)."""
    group = (
        f"arn:{PARTITION}:logs:{REGION}:{ACCOUNT_ID}:log-group:{function.log_group or f'/aws/lambda/{function.name}'}"
    )
    actions = ("logs:CreateLogStream", "logs:PutLogEvents")
    needs = {Need(action, f"{group}:log-stream:2026/11/21/[$LATEST]0123456789abcdef") for action in actions}
    if function.log_group is None:
        needs.add(Need("logs:CreateLogGroup", f"{group}:log-stream:"))
    for arn in function.queue_arns:
        if not re.match(r"arn:[^:]+:sqs:", arn):
            raise KeyError(f"what polling {arn} needs")
        needs |= {Need(f"sqs:{name}", arn) for name in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}
    return needs
