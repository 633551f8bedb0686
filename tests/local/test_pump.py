"""Queues and schedules that start functions."""

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from local.aws import create_stack, session
from local.container_process import FunctionError
from local.pump import Pump, QueuePoller, failed_ids, scheduled_event
from local.resources import Schedule, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def sqs(aws: None, template: Template) -> "Iterator[SQSClient]":
    """The template's queues, whose messages show again at once."""
    del aws
    create_stack(template)
    with closing(session().client("sqs")) as client:
        url = client.get_queue_url(QueueName="darkroom-uploads")["QueueUrl"]
        client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
        yield client


class Recorder:
    """A function that keeps its events, and answers as told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.called = threading.Event()

    def __call__(self, function: str, event: dict[str, Any]) -> Any:
        """Keep the event; an answer that is an exception is raised."""
        self.events.append((function, event))
        self.called.set()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer(event) if callable(answer) else answer


def send(sqs: "SQSClient", *bodies: str) -> None:
    """Put messages on the upload queue."""
    url = sqs.get_queue_url(QueueName="darkroom-uploads")["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def bodies_on(sqs: "SQSClient", queue: str) -> list[str]:
    """Read what a queue holds."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    return sorted(
        message["Body"] for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    )


def poller(template: Template, sqs: "SQSClient", recorder: Recorder) -> QueuePoller:
    """The poller of the upload queue."""
    return QueuePoller(template.functions["SubmitFromUpload"].queues[0], "SubmitFromUpload", sqs, recorder)


def test_messages_come_in_the_shape_of_sqs(template: Template, sqs: "SQSClient") -> None:
    """A function gets its messages as Lambda hands them over, and they are gone once it is done."""
    send(sqs, "one", "two")
    recorder = Recorder({"batchItemFailures": []})
    polling = poller(template, sqs, recorder)
    polling.handle(polling.receive(0))
    ((function, event),) = recorder.events
    assert function == "SubmitFromUpload"
    assert sorted(record["body"] for record in event["Records"]) == ["one", "two"]
    record = event["Records"][0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:darkroom-uploads"
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdigit()
    assert {"messageId", "receiptHandle", "md5OfBody", "messageAttributes"} <= record.keys()
    assert bodies_on(sqs, "darkroom-uploads") == []


def test_only_failed_messages_stay(template: Template, sqs: "SQSClient") -> None:
    """A message that the function names as failed stays on the queue, the others go."""

    def fail_two(event: dict[str, Any]) -> dict[str, Any]:
        failed = [record for record in event["Records"] if record["body"] == "two"]
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}

    send(sqs, "one", "two", "three")
    polling = poller(template, sqs, Recorder(fail_two))
    polling.handle(polling.receive(0))
    assert bodies_on(sqs, "darkroom-uploads") == ["two"]


def test_all_stay_when_the_function_raises(template: Template, sqs: "SQSClient") -> None:
    """A function that fails as a whole keeps its batch on the queue."""
    send(sqs, "one", "two")
    polling = poller(template, sqs, Recorder(FunctionError("ValueError", "broken")))
    polling.handle(polling.receive(0))
    assert bodies_on(sqs, "darkroom-uploads") == ["one", "two"]


def test_a_message_that_always_fails_ends_in_the_dead_letter_queue(template: Template, sqs: "SQSClient") -> None:
    """After as many tries as the template allows, the message moves to the dead-letter queue."""
    send(sqs, "poison")
    recorder = Recorder(*[FunctionError("ValueError", "broken")] * 10)
    polling = poller(template, sqs, recorder)
    while messages := polling.receive(0):
        polling.handle(messages)
    assert len(recorder.events) == 5
    assert bodies_on(sqs, "darkroom-uploads-dead") == ["poison"]


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{}]}, {"a", "b"}),
        ({"something": "else"}, {"a", "b"}),
        ("text", {"a", "b"}),
    ],
)
def test_an_answer_that_cannot_be_read_fails_the_batch(answer: object, failed: set[str]) -> None:
    """Lambda deletes nothing when it cannot read what failed."""
    event = {"Records": [{"messageId": "a"}, {"messageId": "b"}]}
    assert failed_ids(answer, event) == failed


def test_without_reports_the_answer_does_not_matter(template: Template, sqs: "SQSClient") -> None:
    """A function that reports no failures is done with its batch when it returns."""
    send(sqs, "one")
    source = replace(template.functions["SubmitFromUpload"].queues[0], reports_failures=False)
    polling = QueuePoller(source, "SubmitFromUpload", sqs, Recorder("text"))
    polling.handle(polling.receive(0))
    assert bodies_on(sqs, "darkroom-uploads") == []


def test_the_pump_polls_and_keeps_time(template: Template, sqs: "SQSClient") -> None:
    """A running pump brings messages and the clock to their functions until it is stopped."""
    sweep = replace(template.functions["Sweep"], schedules=(Schedule("tick", 0),))
    functions = [template.functions["SubmitFromUpload"], sweep]
    ticked, uploaded = threading.Event(), threading.Event()

    def invoke(function: str, event: dict[str, Any]) -> Any:
        if function == "Sweep":
            assert event["detail-type"] == "Scheduled Event"
            ticked.set()
            threading.Event().wait(0.02)
        else:
            uploaded.set()

    pump = Pump(functions, sqs, invoke)
    pump.start()
    try:
        send(sqs, "one")
        assert uploaded.wait(5)
        assert ticked.wait(5)
        # A batch is deleted after its function has answered.
        deadline = time.monotonic() + 5
        while bodies_on(sqs, "darkroom-uploads") and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        pump.stop()
        pump.join(5)
    assert bodies_on(sqs, "darkroom-uploads") == []


def test_a_schedule_has_eventbridges_event() -> None:
    """A scheduled function is told by which rule it was started."""
    event = scheduled_event(Schedule("darkroom-sweep-EveryMinute", 60))
    assert event["source"] == "aws.events"
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/darkroom-sweep-EveryMinute"]
