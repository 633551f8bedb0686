"""AWS of a run: what it holds at the beginning, and how it is looked at without a call."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Protocol

from shared.settings import Settings, WebhookSecret
from shared.webhook_urls import Target
from tests.simulation.fates import FAL
from tests.simulation.stand_in_buckets import Buckets, StoredObject
from tests.simulation.stand_in_queue import Queue
from tests.simulation.stand_ins import Secrets, Table

API = "https://api.example"
INPUTS, OUTPUTS, TABLE, QUEUE = "darkroom-inputs", "darkroom-outputs", "darkroom-jobs", "darkroom-uploads"
CANARIES = {"fal key": "canary-id:canary-secret", "MAC key": "CANARY-MAC" * 7}
SECRETS = {
    "darkroom/fal-key": CANARIES["fal key"],
    "darkroom/webhook": json.dumps({"url": API, "mac_key": CANARIES["MAC key"]}),
    "darkroom/tokens": json.dumps({hashlib.sha256(b"canary-token").hexdigest(): "shop"}),
}
NOBODY = Target("f" * 32, 1).url(WebhookSecret.model_validate_json(SECRETS["darkroom/webhook"]))
"""A webhook URL of ours about a job that was never made."""
SETTINGS = Settings.from_environment(
    {
        "JOB_TABLE": TABLE,
        "INPUTS_BUCKET": INPUTS,
        "OUTPUTS_BUCKET": OUTPUTS,
        "UPLOAD_OWNER": "shop",
        "FAL_QUEUE_URL": FAL,
        "FAL_JWKS_URL": f"{FAL}/.well-known/jwks.json",
        "FAL_OUTPUT_HOSTS": FAL,
        "FAL_KEY_SECRET": "darkroom/fal-key",
        "WEBHOOK_SECRET": "darkroom/webhook",
        "TOKENS_SECRET": "darkroom/tokens",
    }
)


class Backend(Protocol):
    """AWS of one run: its clients, and a look at what they hold that costs no call."""

    def client(self, service: str) -> Any:
        """The client of a service."""
        ...

    def keep_versions(self) -> None:
        """Let the inputs bucket keep each version of an object from now on."""
        ...

    def lag(self, seconds: float) -> None:
        """Let the table's indexes, and reads that are not consistent, be so late from now on."""
        ...

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table."""
        ...

    def row(self, job_id: str) -> dict[str, Any] | None:
        """One row."""
        ...

    def objects(self) -> dict[tuple[str, str], StoredObject]:
        """All objects of both buckets."""
        ...

    def messages(self) -> list[str]:
        """The bodies of messages that still wait."""
        ...

    def take_dead_letters(self) -> list[str]:
        """Take the messages that were given up: their bodies."""
        ...


class Memory:
    """AWS in memory, for one run."""

    def __init__(self, now: Callable[[], float], table: Table | None = None) -> None:
        self._now = now
        self._table = Table(TABLE) if table is None else table
        self._buckets, self._queue = Buckets(INPUTS, OUTPUTS), Queue(now)
        self._clients = {
            "dynamodb": self._table,
            "s3": self._buckets,
            "secretsmanager": Secrets(SECRETS),
            "sqs": self._queue,
        }

    def client(self, service: str) -> Any:
        """The client of a service."""
        return self._clients[service]

    def keep_versions(self) -> None:
        """Let the inputs bucket keep each version of an object from now on."""
        self._buckets.versioned.add(INPUTS)

    def lag(self, seconds: float) -> None:
        """Let the table's indexes, and reads that are not consistent, be so late from now on."""
        self._table.lag(self._now, seconds)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table."""
        return list(self._table.items.values())

    def row(self, job_id: str) -> dict[str, Any] | None:
        """One row."""
        return self._table.items.get(job_id)

    def objects(self) -> dict[tuple[str, str], StoredObject]:
        """All objects of both buckets."""
        return self._buckets.objects

    def messages(self) -> list[str]:
        """The bodies of messages that still wait."""
        return [message.body for message in self._queue.messages]

    def take_dead_letters(self) -> list[str]:
        """Take the messages that were given up: their bodies."""
        dead, self._queue.dead = self._queue.dead, []
        return [message.body for message in dead]
