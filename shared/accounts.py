"""The fal accounts whose requests are ours, by the user id in their deliveries, in one row of the job table.

The row's id is none that a job can have, and it is in no index.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AwsUnavailableError
from shared.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROW = {"job_id": {"S": "shared#accounts"}}
MOST_ACCOUNTS = 32
"""The accounts that are kept, the newest first: a key has one, but a gateway may spread requests over its own."""


class Accounts:
    """What deliveries about requests of ours have taught; each container reads it when it first needs it."""

    def __init__(self, client: Callable[[], "DynamoDBClient"], table: str) -> None:
        self._client = client
        self._table = table
        self._known: list[str] | None = None

    def is_ours(self, user_id: str) -> bool | None:
        """Whether an account is one of those that are known; None while none is.

        One read answers both, so that what another container learns meanwhile cannot come between.

        Raises:
            AwsUnavailableError: the table does not answer.
        """
        if self._known and user_id in self._known:
            return True
        # Another container may have learned it meanwhile.
        known = self._read()
        return user_id in known if known else None

    def learn(self, user_id: str) -> None:
        """Keep an account beside those that are known; what is wrong with the table is logged and not raised."""
        try:
            if user_id in (self._known or self._read()):
                return
            before = self._known or []
            self._write(before, [user_id, *before][:MOST_ACCOUNTS])
        except AwsUnavailableError as error:
            logger.warning("account not kept", reason=str(error))

    def _read(self) -> list[str]:
        try:
            row = self._client().get_item(TableName=self._table, Key=ROW, ConsistentRead=True).get("Item", {})
        except (BotoCoreError, ClientError) as error:
            raise AwsUnavailableError(f"the job table does not answer: {type(error).__name__}") from error
        self._known = json.loads(row["accounts"]["S"]) if "accounts" in row else []
        return self._known

    def _write(self, before: list[str], known: list[str]) -> None:
        condition = "accounts = :before" if before else "attribute_not_exists(accounts)"
        values = {":known": {"S": json.dumps(known)}} | ({":before": {"S": json.dumps(before)}} if before else {})
        try:
            self._client().update_item(
                TableName=self._table,
                Key=ROW,
                UpdateExpression="SET accounts = :known",
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except self._client().exceptions.ConditionalCheckFailedException:
            # Another container was first; what it kept is read when it is needed.
            self._known = None
            return
        except (BotoCoreError, ClientError) as error:
            raise AwsUnavailableError(f"the job table does not answer: {type(error).__name__}") from error
        self._known = known
        logger.info("account learned", accounts=len(known))
