"""A submit function as one writes it in an hour: fal's own client, and a row for its answer."""

import json
from typing import Any

import fal_client

INPUT_LINK_SECONDS = 3600


class PlainHandler:
    """Takes upload events from SQS as Darkroom's does; `client` is fal's own, with its own retries."""

    def __init__(self, client: fal_client.SyncClient, s3: Any, webhook_url: str) -> None:
        self._client = client
        self._s3 = s3
        self._webhook_url = webhook_url
        self.rows: dict[str, str] = {}

    def handle(self, event: dict[str, Any], _context: object) -> None:
        """Submit each upload of a batch; an exception makes the queue show the batch again."""
        for record in event["Records"]:
            detail = json.loads(record["body"])["detail"]
            place = {"Bucket": detail["bucket"]["name"], "Key": detail["object"]["key"]}
            link = self._s3.generate_presigned_url("get_object", Params=place, ExpiresIn=INPUT_LINK_SECONDS)
            handle = self._client.submit(
                "fal-ai/flux-pro/kontext",
                {"prompt": "a drawing with graphite lines", "image_url": link},
                webhook_url=self._webhook_url,
            )
            self.rows[handle.request_id] = place["Key"]
