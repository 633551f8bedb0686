"""AWS as moto plays it, with boto3's own clients: slower by far, and not written by us."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
import moto.s3.models
import moto.sqs.models
import pytest
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

import local.aws
import shared.app
from local.aws import create_stack
from local.template_reader import load_template
from tests.simulation.backends import INPUTS, OUTPUTS, QUEUE, SECRETS, TABLE
from tests.simulation.stand_in_buckets import StoredObject

ACCOUNT, REGION = "123456789012", "us-east-1"
SECRET_IDS = {"FalKey": "darkroom/fal-key", "Webhook": "darkroom/webhook", "Tokens": "darkroom/tokens"}


class Moto:
    """The stack of template.yaml on moto, for one run after another."""

    def __init__(self) -> None:
        self._clients = {service: shared.app.aws_client(service) for service in ("dynamodb", "s3", "secretsmanager")}
        self._sqs = boto3.client("sqs")
        # The runs make S3's events themselves, also twice and hours later.
        self._clients["s3"].put_bucket_notification_configuration(Bucket=INPUTS, NotificationConfiguration={})
        self._queue = self._sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        self.now: Callable[[], float] = lambda: 0.0
        self._clients["sqs"] = _QueueByName(self._sqs, self._queue)

    def begin(self, now: Callable[[], float]) -> "Moto":
        """Forget the last run, and go by this clock."""
        self.now = now
        self._table().items.clear()
        for bucket in (INPUTS, OUTPUTS):
            self._bucket(bucket).clear()
        for queue in sqs_backends[ACCOUNT][REGION].queues.values():
            queue._messages = []  # noqa: SLF001 - moto's own purge takes once a minute only
            queue.deleted_messages.clear()
            queue.pending_messages.clear()
            queue.pending_message_groups.clear()
        return self

    def client(self, service: str) -> Any:
        """The client of a service."""
        return self._clients[service]

    def keep_versions(self) -> None:
        """The stack's own bucket keeps them anyway."""

    def lag(self, seconds: float) -> None:
        """Moto's table is never late."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table."""
        return [_item(item) for item in self._table().items.values()]

    def row(self, job_id: str) -> dict[str, Any] | None:
        """One row."""
        return next((row for row in self.rows() if row["job_id"]["S"] == job_id), None)

    def objects(self) -> dict[tuple[str, str], StoredObject]:
        """All objects of both buckets."""
        return {
            (bucket, key): StoredObject(stored.value, stored.metadata["Content-Type"], _user_metadata(stored.metadata))
            for bucket in (INPUTS, OUTPUTS)
            for key, stored in self._bucket(bucket).items()
        }

    def take_dead_letters(self) -> list[str]:
        """Take the messages that were given up: their bodies."""
        queue = sqs_backends[ACCOUNT][REGION].queues[f"{QUEUE}-dead"]
        dead, queue._messages = queue._messages, []  # noqa: SLF001 - moto's own purge takes once a minute only
        return [message.body for message in dead]

    def messages(self) -> list[str]:
        """The bodies of messages that still wait."""
        return [message.body for message in sqs_backends[ACCOUNT][REGION].queues[QUEUE]._messages]  # noqa: SLF001 - no call shows them all

    def next_version(self) -> str:
        """The id of the next version of an object in the inputs bucket, as the stand-in would give it."""
        kept = self._bucket(INPUTS)
        return f"version-{sum(len(kept.getlist(key)) for key in kept) + 1}"

    def _table(self) -> Any:
        return dynamodb_backends[ACCOUNT][REGION].tables[TABLE]

    def _bucket(self, name: str) -> Any:
        return s3_backends[ACCOUNT]["aws"].buckets[name].keys


class _QueueByName:
    """SQS with a name where AWS wants a URL."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._sqs, name)
        return lambda **parameters: method(**{**parameters, "QueueUrl": self._url})


def _item(item: Any) -> dict[str, Any]:
    return {name: value.to_regular_json() for name, value in item.attrs.items()}


def _user_metadata(metadata: Any) -> dict[str, str]:
    prefix = "x-amz-meta-"
    return {name.removeprefix(prefix): value for name, value in metadata.items() if name.startswith(prefix)}


@contextmanager
def moto_stack() -> Iterator[Moto]:
    """The stack on moto, in this process."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setattr(local.aws, "session", lambda: SimpleNamespace(client=boto3.client))
        values = {logical: SECRETS[name] for logical, name in SECRET_IDS.items()}
        create_stack(load_template(), secrets=values)
        made = Moto()
        # Delays, visibility and retention go by the virtual clock.
        patch.setattr(moto.sqs.models, "unix_time", lambda *_: made.now())
        patch.setattr(moto.sqs.models, "unix_time_millis", lambda *_: made.now() * 1000)
        patch.setattr(moto.s3.models, "random", SimpleNamespace(uuid4=made.next_version))
        yield made
