"""SQS in memory: visibility, receive counts and dead letters."""

# ruff: noqa: N803 - the parameters are named as AWS names them

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VISIBILITY_SECONDS = 900
MOST_RECEIVES = 5
"""The queue as template.yaml has it."""


@dataclass
class Message:
    """One message of a queue."""

    number: int
    body: str
    receives: int = 0
    visible_at: float = float("-inf")


class Queue:
    """SQS with one queue and its dead letters."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sent = 0
        self.messages: list[Message] = []
        self.dead: list[Message] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, Any]:
        """Put a message at the end."""
        del QueueUrl
        self._sent += 1
        self.messages.append(Message(self._sent, MessageBody))
        return {"MessageId": str(self._sent)}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1) -> dict[str, Any]:
        """Take visible messages, which are then hidden for a while; one taken too often goes to the dead letters."""
        del QueueUrl
        taken: list[Message] = []
        for message in list(self.messages):
            if len(taken) == MaxNumberOfMessages:
                break
            if message.visible_at >= self._now():
                continue
            if message.receives >= MOST_RECEIVES:
                self.messages.remove(message)
                self.dead.append(message)
                continue
            message.receives += 1
            message.visible_at = self._now() + VISIBILITY_SECONDS
            taken.append(message)
        shown = [
            {
                "MessageId": str(one.number),
                "ReceiptHandle": f"{one.number}/{one.receives}",
                "Body": one.body,
                "Attributes": {"ApproximateReceiveCount": str(one.receives)},
            }
            for one in taken
        ]
        return {"Messages": shown} if shown else {}

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        """Delete what was received."""
        del QueueUrl
        numbers = {int(entry["ReceiptHandle"].partition("/")[0]) for entry in Entries}
        self.messages = [message for message in self.messages if message.number not in numbers]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}
