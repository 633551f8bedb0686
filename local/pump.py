"""The pump: what Lambda's pollers and EventBridge's clock do, so that queues and schedules start functions."""

import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.container_process import FunctionError
from local.lambdas import MOST_CONTAINERS, Invoke
from local.resources import Function, QueueSource, Schedule
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

WAIT_SECONDS = 1
"""How long the stand-in may hold a question for messages."""
MOST_MESSAGES = 10
"""SQS gives no more at once."""


class QueuePoller:
    """Brings the messages of one queue to its function, several batches at once."""

    def __init__(self, source: QueueSource, function: str, sqs: "SQSClient", invoke: Invoke) -> None:
        self._source = source
        self._function = function
        self._sqs = sqs
        self._invoke = invoke

    @cached_property
    def _url(self) -> str:
        return self._sqs.get_queue_url(QueueName=self._source.queue)["QueueUrl"]

    def receive(self, wait_seconds: int = WAIT_SECONDS) -> "list[MessageTypeDef]":
        """Take the next batch off the queue; it may be empty."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(self._source.batch_size, MOST_MESSAGES),
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def handle(self, messages: "list[MessageTypeDef]") -> None:
        """Invoke the function with a batch, and delete what it did not name as failed; all stays when it raises."""
        event = {"Records": [self._record(message) for message in messages]}
        try:
            answer = self._invoke(self._function, event)
        except FunctionError:
            return
        failed = failed_ids(answer, event) if self._source.reports_failures else set()
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            entries: Any = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(done)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def run(self, stopping: threading.Event, threads: ThreadPoolExecutor) -> None:
        """Poll until told to stop. One thread asks, since moto may give a message to two askers at the same time."""
        free = threading.Semaphore(MOST_CONTAINERS)

        def work(messages: "list[MessageTypeDef]") -> None:
            try:
                self.handle(messages)
            finally:
                free.release()

        while not stopping.is_set():
            if not free.acquire(timeout=0.1):
                continue
            try:
                messages = self.receive()
            except (BotoCoreError, ClientError):
                # The stand-in is ending, and so is the stack.
                stopping.wait(WAIT_SECONDS)
                messages = []
            if messages and not stopping.is_set():
                threads.submit(work, messages)
            else:
                free.release()

    def _record(self, message: "MessageTypeDef") -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.queue_arn,
            "awsRegion": REGION,
        }


def failed_ids(answer: Any, event: Mapping[str, Any]) -> set[str]:
    """The messages that a function names as failed; an answer that cannot be read fails them all (Lambda docs: SQS)."""
    every = {record["messageId"] for record in event["Records"]}
    if answer is None or answer == {}:
        return set()
    try:
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"] or []}
    except (KeyError, TypeError):
        return every
    return every if failed - every else failed


def scheduled_event(schedule: Schedule) -> dict[str, Any]:
    """The event with which a schedule starts its function."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{schedule.name}"],
        "detail": {},
    }


class Pump:
    """Runs all queues and schedules of the functions on threads of its own.

    `longest_wait`: seconds between two turns of a schedule at most, whatever the template says.
    """

    def __init__(
        self, functions: Iterable[Function], sqs: "SQSClient", invoke: Invoke, longest_wait: float = float("inf")
    ) -> None:
        self._longest_wait = longest_wait
        self._stopping = threading.Event()
        self._batches = ThreadPoolExecutor(thread_name_prefix="batch")
        self._threads: list[threading.Thread] = []
        for function in functions:
            for source in function.queues:
                poller = QueuePoller(source, function.logical_id, sqs, invoke)
                self._add(poller.run, self._stopping, self._batches)
            for schedule in function.schedules:
                self._add(self._fire, schedule, function.logical_id, invoke)

    def start(self) -> None:
        """Begin to poll and to watch the clock."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take nothing more off a queue; batches at work end with their containers."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the threads, all in all no longer than so many seconds."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0, deadline - time.monotonic()))
        self._batches.shutdown(wait=False, cancel_futures=True)

    def _add(self, target: Any, *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))

    def _fire(self, schedule: Schedule, function: str, invoke: Invoke) -> None:
        while not self._stopping.wait(min(schedule.seconds, self._longest_wait)):
            try:
                invoke(function, scheduled_event(schedule))
            except FunctionError as error:
                print(f"{schedule.name}: {error}")
