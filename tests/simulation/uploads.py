"""Uploads of a run: photos that are put, S3's events about them, and the queue that hands these to the function."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.backends import INPUTS, QUEUE
from tests.simulation.processes import FunctionFailedError, Process
from tests.simulation.scenarios import Upload
from tests.simulation.stand_in_queue import VISIBILITY_SECONDS

if TYPE_CHECKING:
    from tests.simulation.world import World

BATCH = 5
INPUT = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00" + bytes(64)
INPUT_ETAG = hashlib.md5(INPUT).hexdigest()  # noqa: S324 - S3's own ETag


@dataclass(frozen=True)
class Put:
    """What was written under a key, when (Unix seconds), and which version of the object that is, as its event says."""

    key: str
    version: str
    content: bytes
    at: float


class Uploads:
    """The inputs bucket's side of a run; `made` is what was put, in its order."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._pump_process = Process(world, "sweep.handler", "queue")
        self.made: list[Put] = []

    def expect(self, upload: Upload, at: float) -> None:
        """Let a photo be put at that time (Unix seconds), and its events come."""
        self._world.fal.schedule.at(at, lambda: self._put(upload))

    def hand_over(self, body: str) -> None:
        """Put a message into the queue."""
        self._world.backend.client("sqs").send_message(QueueUrl=QUEUE, MessageBody=body)
        self._world.fal.schedule.at(self._world.clock.now(), self._pump)

    def put_input(self, key: str) -> None:
        """Put a photo that starts nothing by itself."""
        self._world.backend.client("s3").put_object(Bucket=INPUTS, Key=key, Body=INPUT, ContentType="image/jpeg")

    def _put(self, upload: Upload) -> None:
        world = self._world
        content = b"" if upload.is_empty else INPUT + upload.version.encode()
        s3 = world.backend.client("s3")
        answer = s3.put_object(Bucket=INPUTS, Key=upload.key, Body=content, ContentType="image/jpeg")
        item = {"key": upload.key, "size": len(content), "etag": answer["ETag"].strip('"'), "sequencer": upload.version}
        item |= {"version-id": answer["VersionId"]} if world.scenario.versioned else {}
        self.made.append(Put(upload.key, version_of(item), content, world.clock.now()))
        detail = {"bucket": {"name": INPUTS}, "object": item}
        body = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
        for delay in (0.0, *upload.copies):
            world.fal.schedule.after(upload.event_after + delay, lambda: self.hand_over(body))

    def _pump(self) -> None:
        world, sqs = self._world, self._world.backend.client("sqs")
        messages = sqs.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=BATCH).get("Messages", [])
        if not messages:
            return
        # Whatever is still there when its visibility ends comes again.
        world.fal.schedule.after(VISIBILITY_SECONDS + 1, self._pump)
        records = [
            {"messageId": message["MessageId"], "body": message["Body"], "eventSource": "aws:sqs"}
            for message in messages
        ]
        try:
            answer = world.processes.invoke("submit.from_upload", {"Records": records})
        except FunctionFailedError:
            return
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        done = [message for message in messages if message["MessageId"] not in failed]
        for message in done:
            world.watch.deleted(message["Body"])
        if done:
            self._delete(sqs, done)

    def _delete(self, sqs: Any, messages: list[dict[str, Any]]) -> None:
        world = self._world
        if world.next_call(self._pump_process, "sqs.delete_message_batch", "", first=False) is not None:
            world.note("queue", "sqs.delete_message_batch", "", "! lost")
            return
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
        ]
        sqs.delete_message_batch(QueueUrl=QUEUE, Entries=entries)
        world.note("queue", "sqs.delete_message_batch", "", "done")


def version_of(item: dict[str, Any]) -> str:
    """Which version of an object an event's item is about."""
    return str(item.get("version-id") or item["sequencer"])
