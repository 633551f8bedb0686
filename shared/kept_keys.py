"""fal's public keys in the job table, for processes that start while fal's key server is down.

One row that several functions' processes share. Its id is none that a job can have, and it stands in no index.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROW = {"job_id": {"S": "shared#signing-keys"}}
KEEP_AGAIN_SECONDS = 6 * 3600
"""After so long the same document is kept again, to show that it still holds."""


class KeptKeys:
    """The JWKS document with which a delivery was last verified, and when that process had fetched it (Unix seconds).

    Whatever is wrong with the table is logged and not raised: a delivery may well be verified without it.
    """

    def __init__(self, client: Callable[[], "DynamoDBClient"], table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> tuple[str, float] | None:
        """The document and the time of its fetch, if one is kept and can be read."""
        try:
            row = self._client().get_item(TableName=self._table, Key=ROW).get("Item", {})
            return row["jwks"]["S"], float(row["fetched_at"]["N"])
        except (BotoCoreError, ClientError) as error:
            logger.warning("kept signing keys cannot be read", reason=type(error).__name__)
        except KeyError:
            logger.warning("no signing keys are kept")
        return None

    def keep(self, jwks: str, fetched_at: float) -> None:
        """Keep a document in the place of one that is hours older, or that is older and another.

        A failed condition costs what a write costs, so nothing is read before; but it makes no record in the table's
        stream, and that is why the same document is not written at every cold start.
        """
        try:
            self._client().update_item(
                TableName=self._table,
                Key=ROW,
                UpdateExpression="SET jwks = :jwks, fetched_at = :fetched_at",
                ConditionExpression=(
                    "attribute_not_exists(fetched_at) OR fetched_at < :hours_ago"
                    " OR (fetched_at < :fetched_at AND jwks <> :jwks)"
                ),
                ExpressionAttributeValues={
                    ":jwks": {"S": jwks},
                    ":fetched_at": {"N": str(int(fetched_at))},
                    ":hours_ago": {"N": str(int(fetched_at) - KEEP_AGAIN_SECONDS)},
                },
            )
        except self._client().exceptions.ConditionalCheckFailedException:
            # Another process was first.
            return
        except (BotoCoreError, ClientError) as error:
            logger.warning("signing keys not kept", reason=type(error).__name__)
