"""The AWS stand-in as the stack uses it: a session for it, and the template's resources made in it."""

import functools
import json
from collections.abc import Mapping
from contextlib import closing

import boto3

from local.resources import Queue, Rule, Secret, Table, Template
from local.template import REGION


@functools.cache
def session() -> boto3.Session:
    """A session that the stand-in takes, which takes any key; one for all, since it loads much for its first client."""
    return boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)  # noqa: S106 - moto takes any key


def create_stack(template: Template, endpoint: str | None = None, secrets: Mapping[str, str] | None = None) -> None:
    """Make what the template holds in the stand-in at `endpoint`, or in moto in this process.

    Args:
        template: tables, buckets, queues, rules and secrets.
        endpoint: the stand-in's address; None where moto replaces AWS in this process.
        secrets: values by logical id that stand in for the template's own.
    """
    _create_tables(template.tables, endpoint)
    with closing(session().client("s3", endpoint_url=endpoint)) as s3:
        for bucket in template.buckets:
            s3.create_bucket(Bucket=bucket.name)
            if bucket.is_versioned:
                s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
            if bucket.notifies_eventbridge:
                s3.put_bucket_notification_configuration(
                    Bucket=bucket.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
                )
    _create_queues(template.queues, endpoint)
    _create_rules(template.rules, endpoint)
    _create_secrets(template.secrets, endpoint, secrets or {})


def _create_tables(tables: tuple[Table, ...], endpoint: str | None) -> None:
    with closing(session().client("dynamodb", endpoint_url=endpoint)) as dynamodb:
        for table in tables:
            dynamodb.create_table(**table.request)
            if table.ttl_attribute:
                dynamodb.update_time_to_live(
                    TableName=table.request["TableName"],
                    TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute},
                )


def _create_queues(queues: tuple[Queue, ...], endpoint: str | None) -> None:
    with closing(session().client("sqs", endpoint_url=endpoint)) as sqs:
        for queue in queues:
            sqs.create_queue(QueueName=queue.name, Attributes=queue.attributes)  # type: ignore[arg-type] # the names are the template's


def _create_rules(rules: tuple[Rule, ...], endpoint: str | None) -> None:
    with closing(session().client("events", endpoint_url=endpoint)) as events:
        for rule in rules:
            events.put_rule(Name=rule.name, EventPattern=json.dumps(rule.pattern))
            events.put_targets(Rule=rule.name, Targets=[{"Id": name, "Arn": arn} for name, arn in rule.targets])


def _create_secrets(secrets: tuple[Secret, ...], endpoint: str | None, values: Mapping[str, str]) -> None:
    if unknown := values.keys() - {secret.logical_id for secret in secrets}:
        raise KeyError(f"the template has no secret {', '.join(sorted(unknown))}")
    with closing(session().client("secretsmanager", endpoint_url=endpoint)) as secretsmanager:
        for secret in secrets:
            if value := values.get(secret.logical_id, secret.value):
                secretsmanager.create_secret(Name=secret.name, SecretString=value)
            else:
                # A secret without a value exists all the same, and waits for its first version.
                secretsmanager.create_secret(Name=secret.name)
