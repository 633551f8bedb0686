"""Uploads: events come twice, late, in other forms or about what is no photo, and each version is paid once."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest
from moto.core.botocore_stubber import BotocoreStubber
from PIL import Image

from local.fal import Script

TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-11-20T10:30:00.000Z",
    "Bucket": "darkroom-inputs",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}


def classic_record(event: dict[str, Any], key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """The same event as the older notifications tell it, with the key as given."""
    item = event["detail"]["object"]
    told = {"key": key, "size": item["size"], "eTag": item["etag"], "sequencer": item["sequencer"]}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-20T10:30:00.000Z",
        "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": event["detail"]["bucket"], "object": told},
    }


def through_sns(message: dict[str, Any]) -> dict[str, Any]:
    """A notification that comes by way of a topic."""
    topic = "arn:aws:sns:us-east-1:123456789012:uploads"
    return {"Type": "Notification", "MessageId": "m", "TopicArn": topic, "Message": json.dumps(message)}


def settle(system: Any, seconds: int = 600) -> list[dict[str, Any]]:
    """Let fal finish all it has, and give the jobs."""
    system.fal.advance(seconds)
    found: list[dict[str, Any]] = system.jobs()
    return found


def test_duplicate_events_make_one_job(system: Any) -> None:
    """The same event twice in a batch, again while the job runs, and days later: one job, one paid request."""
    event = system.put("sketch/a.png")
    assert system.upload(event, event, event) == []
    assert system.upload(event) == []
    (job,) = settle(system)
    assert job["status"] == "succeeded"
    row = system.row(job["job_id"])
    system.fal.advance(3 * 86400)
    assert system.upload(event, event) == []
    system.fal.advance(60)
    assert system.row(job["job_id"]) == row
    assert len(system.rows()) == len(system.requests()) == 1


@pytest.mark.usefixtures("one_at_a_time")
def test_two_functions_at_once(system: Any) -> None:
    """Copies of an event that several functions take up at the same time are paid once."""
    system.upload(system.put("sketch/warms-up.png"))
    event = system.put("sketch/a.png")
    with ThreadPoolExecutor(5) as threads:
        failures = list(threads.map(system.upload, [event] * 5))
    for again in failures:
        assert not again or system.upload(event) == []
    assert [job["status"] for job in settle(system)] == ["succeeded", "succeeded"]
    assert len(system.rows()) == len(system.requests()) == 2


def test_each_version_of_a_key_is_a_job(system: Any) -> None:
    """A key that is overwritten after its job was sent makes another, whatever the order and number of events."""
    first = system.put("sketch/a.png")
    assert system.upload(first) == []
    second = system.put("sketch/a.png", "chelsea.png")
    second["detail"]["object"]["sequencer"] = "0056"
    assert system.upload(second, first, second, first) == []
    jobs = settle(system)
    assert [job["status"] for job in jobs] == ["succeeded", "succeeded"]
    assert len({job["outputs"][0]["key"] for job in jobs}) == 2
    assert len(system.requests()) == 2


def test_what_is_no_upload_is_left_alone(system: Any) -> None:
    """S3's test event, folders, foreign prefixes and the outputs bucket: nothing fails, and nothing is made of them."""
    event = system.put("products/a.png")
    removed = system.created("products/a.png") | {"detail-type": "Object Deleted"}
    folder = system.created("products/", size=0)
    removed_classic = classic_record(event, "products/a.png", "ObjectRemoved:Delete")
    ignored = [
        TEST_EVENT,
        through_sns(TEST_EVENT),
        folder,
        system.created("products/new folder/", size=0),
        {"Records": [classic_record(folder, "products/")]},
        system.put("studio-shot/products/a-0.png", bucket="darkroom-outputs"),
        system.put("products/a.png", bucket="darkroom-outputs"),
        system.created("products/a.png", bucket="someone-elses-bucket"),
        system.put("elsewhere/a.png"),
        system.put("a.png"),
        system.put("Products/a.png"),
        system.put("productsa.png"),
        system.put("x/products/a.png"),
        system.put("cars/a.png"),
        removed,
        {"Records": [removed_classic]},
        {"Records": []},
    ]
    assert system.upload(*ignored) == []
    assert system.rows() == []
    assert system.requests() == []


def test_suffixes_and_their_case(system: Any) -> None:
    """A suffix fits in capitals too, and each preset that fits makes its own job."""
    assert system.upload(system.put("cars/A.JPEG", "rocket.jpg")) == []
    assert {job["preset"] for job in system.jobs()} == {"car-red", "car-blue"}


def test_a_poisoned_message_fails_alone(system: Any) -> None:
    """Of ten messages with one that cannot be read, nine become jobs and only that one comes again."""
    events: list[Any] = [system.put(f"sketch/{index}.png") for index in range(9)]
    for poison in ("{", "", "not JSON", '{"detail": ', "[" * 100_000):
        assert system.upload(*events[:4], poison, *events[4:]) == ["4"]
    assert [job["status"] for job in settle(system)] == ["succeeded"] * 9
    assert len(system.requests()) == 9


FOREIGN = (
    "null",
    "7",
    "[]",
    '"text"',
    "{}",
    '{"Records": null}',
    '{"Records": [7, {}]}',
    '{"Records": [{"eventSource": "aws:sqs"}]}',
    '{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}]}',
    '{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}',
    '{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": 7, "object": []}}',
    '{"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {}}',
    '{"Type": "Notification", "Message": "not JSON"}',
    '{"Type": "Notification", "Message": "{}"}',
    '{"Type": "Notification"}',
)


def test_foreign_messages_harm_no_other(system: Any) -> None:
    """A message of another kind is ignored or fails alone, and the batch goes on."""
    for index, foreign in enumerate(FOREIGN):
        good = [system.put(f"sketch/{side}{index}.png") for side in "ab"]
        assert system.upload(good[0], foreign, good[1]) in ([], ["1"])
        assert len(system.requests()) == 2 * index + 2
    assert len(system.rows()) == 2 * len(FOREIGN)


KEYS = (
    "sketch/a b.png",
    "sketch/a+b.png",
    "sketch/a%20b.png",
    "sketch/a%2Bb%2Fc.png",
    "sketch/%2B%20%%%.png",
    "sketch/größe ☃ 写真 +%.png",
    "sketch/a&b=c?d#e;f:g@h.png",
    'sketch/it\'s "quoted" <so>.png',
    "sketch//a.png",
    "sketch/...png",
    "sketch/..png",
    "sketch/a..b/.c.png",
    "sketch/{preset}{index}.png",
    "sketch/no extension",
    "sketch/.png",
)


@pytest.mark.parametrize(
    "form",
    [
        "eventbridge",
        "classic",
        pytest.param("classic, all encoded", marks=pytest.mark.long),
        pytest.param("sns", marks=pytest.mark.long),
    ],
)
def test_keys_of_all_kinds_in_all_forms(system: Any, form: str) -> None:
    """Each source writes keys its own way; the right object is edited, and its output lies under its own key."""
    events: list[Any] = []
    for key in KEYS:
        event = system.put(key)
        encoded = quote_plus(key, safe="/") if form == "classic" else quote_plus(key)
        classic = {"Records": [classic_record(event, encoded)]}
        events.append({"eventbridge": event, "sns": through_sns(classic)}.get(form, classic))
    assert system.upload(*events) == []
    jobs = settle(system)
    assert {job["upload"]["key"] for job in jobs} == set(KEYS)
    for job in jobs:
        assert (job["upload"]["key"], job["status"], job["error"]) == (job["upload"]["key"], "succeeded", None)
        key = job["outputs"][0]["key"]
        assert not {"", ".", ".."} & set(key.split("/"))
        stored = system.s3.get_object(Bucket="darkroom-outputs", Key=key)
        assert stored["ContentLength"] == job["outputs"][0]["bytes"]
        assert quote(f"{job['job_id']}-0.jpg") in job["outputs"][0]["url"]
    assert len({job["outputs"][0]["key"] for job in jobs}) == len(KEYS) == len(system.requests())


def test_several_records_in_one_message(system: Any) -> None:
    """A notification may tell of several objects."""
    records = [classic_record(system.put(key), key) for key in ("sketch/a.png", "sketch/b.png", "elsewhere/c.png")]
    assert system.upload({"Records": records}) == []
    assert {job["upload"]["key"] for job in settle(system)} == {"sketch/a.png", "sketch/b.png"}


def test_a_very_long_key(system: Any) -> None:
    """S3's keys end at 1024 bytes: an output that would need more is never paid and then lost."""
    for key in ("sketch/" + "k" * 1013 + ".png", "sketch/" + "ü" * 500 + ".png"):
        assert system.upload(system.put(key)) == []
    for job in settle(system):
        for _ in range(5):
            system.fal.advance(60)
            system.sweep()
        now = system.job(job["job_id"])
        paid = [request for request in system.requests() if request["request_id"] == now["request_id"]]
        assert (now["status"], len(paid), len(now["outputs"])) in {("succeeded", 1, 1), ("failed", 0, 0)}
        assert all(len(output["key"].encode()) <= 1024 for output in now["outputs"])
    assert len(system.rows()) == 2


def test_bad_uploads_fail_with_a_reason(system: Any) -> None:
    """What is no picture that fal takes, or is gone, is a failed job that says why: not sent, and not tried again."""
    bad = {
        "sketch/text.png": b"this is no picture",
        "sketch/page.png": b"<!doctype html><html></html>",
        "sketch/drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "sketch/cut.png": b"\x89PN",
    }
    events = [system.put("sketch/phone.png", "rocket.heic"), system.put("sketch/deleted.png")]
    for key, content in bad.items():
        etag = system.s3.put_object(Bucket="darkroom-inputs", Key=key, Body=content)["ETag"].strip('"')
        events.append(system.created(key, size=len(content), etag=etag))
    system.s3.delete_object(Bucket="darkroom-inputs", Key="sketch/deleted.png")
    assert system.upload(*events) == []
    jobs = system.jobs()
    assert {job["upload"]["key"] for job in jobs} == {"sketch/phone.png", "sketch/deleted.png", *bad}
    for job in jobs:
        assert (job["status"], job["request_id"], job["outputs"]) == ("failed", None, [])
        assert job["error"]["type"]
        assert job["error"]["message"]
        assert job["settled_at"]
    rows = system.rows()
    assert system.upload(*events) == []
    for _ in range(10):
        system.fal.advance(600)
        assert system.sweep() == 0
    assert system.rows() == rows
    assert system.requests() == []


def test_our_own_output_starts_nothing(system: Any) -> None:
    """An output that is copied under a preset's prefix is not edited again and again."""
    system.upload(system.put("sketch/a.png"))
    (job,) = settle(system)
    key = job["outputs"][0]["key"]
    source = {"Bucket": "darkroom-outputs", "Key": key}
    for index, copy in enumerate(("sketch/copy.jpg", "cars/copy.jpg", f"products/{key}")):
        etag = system.s3.copy_object(Bucket="darkroom-inputs", Key=copy, CopySource=source)["CopyObjectResult"]["ETag"]
        assert system.upload(system.created(copy, etag=etag.strip('"'), sequencer=f"00{index}")) == []
    system.fal.advance(60)
    assert len(system.requests()) == 1
    assert {row["status"]["S"] for row in system.rows() if row["job_id"]["S"] != job["job_id"]} <= {"failed"}


def test_without_time_left_the_batch_comes_again(system: Any) -> None:
    """A function that is about to end begins nothing that it could not finish."""
    events = [system.put(f"sketch/{index}.png") for index in range(5)]
    system.context.milliseconds = 500
    assert system.upload(*events) == ["0", "1", "2", "3", "4"]
    assert system.requests() == []
    left = iter(range(60_000, 0, -9_000))
    system.context.get_remaining_time_in_millis = lambda: next(left, 100)
    again = system.upload(*events)
    assert again
    assert again == [str(index) for index in range(5 - len(again), 5)]
    assert len(system.requests()) == 5 - len(again)
    system.context.get_remaining_time_in_millis = lambda: 60_000
    assert system.upload(*[events[int(index)] for index in again]) == []
    assert [job["status"] for job in settle(system)] == ["succeeded"] * 5
    assert len(system.requests()) == 5


def test_a_table_that_is_down(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing can be written nothing is sent, and every message comes again."""
    events = [system.put("sketch/a.png"), system.put("sketch/b.png")]
    dynamodb = boto3.client("dynamodb")
    table = dynamodb.describe_table(TableName="darkroom-jobs")["Table"]["TableName"]
    really = BotocoreStubber.__call__

    def call(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        if "dynamodb" in event_name:
            raise ConnectionError(table)
        return really(self, event_name, request, **more)

    with monkeypatch.context() as patch:
        patch.setattr(BotocoreStubber, "__call__", call)
        patch.setattr("botocore.endpoint.time.sleep", lambda _: None)
        assert system.upload(*events) == ["0", "1"]
    assert system.requests() == []
    assert system.upload(*events) == []
    assert [job["status"] for job in settle(system)] == ["succeeded"] * 2
    assert len(system.requests()) == 2


def test_a_request_that_fal_fails(system: Any) -> None:
    """An upload's job that ends in an error at fal says so, and its event cannot start it again."""
    system.fal.add_scripts(Script(infrastructure_error="internal_error"))
    event = system.put("sketch/a.png")
    assert system.upload(event) == []
    (job,) = settle(system)
    assert (job["status"], job["error"]["type"]) == ("failed", "internal_error")
    assert system.upload(event) == []
    assert settle(system) == [job]
    assert len(system.requests()) == 1


@pytest.mark.long
def test_two_hundred_at_once(system: Any) -> None:
    """200 photos in batches of ten, some batches twice: each ends succeeded, and each is exactly once at fal."""
    s3 = system.s3
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, "PNG")
    photo = file.getvalue()
    events = []
    for index in range(200):
        key = f"sketch/{index:03}.png"
        etag = s3.put_object(Bucket="darkroom-inputs", Key=key, Body=photo)["ETag"].strip('"')
        events.append(system.created(key, etag=etag, size=len(photo)))
    for start in (*range(0, 200, 10), 0, 100, 190):
        assert system.upload(*events[start : start + 10]) == []
    system.fal.advance(600)
    jobs: list[dict[str, Any]] = []
    page: dict[str, Any] = {"cursor": None}
    while not jobs or page["cursor"]:
        asked = f"&cursor={quote(page['cursor'], safe='')}" if page["cursor"] else ""
        page = system.get(f"/jobs?limit=100{asked}")[1]
        jobs += page["jobs"]
    assert {job["upload"]["key"] for job in jobs} == {f"sketch/{index:03}.png" for index in range(200)}
    assert {job["status"] for job in jobs} == {"succeeded"}
    assert len(jobs) == 200
    at_fal = [request["request_id"] for request in system.requests()]
    assert sorted(at_fal) == sorted(job["request_id"] for job in jobs)
    listed = s3.get_paginator("list_objects_v2").paginate(Bucket="darkroom-outputs")
    assert sum(page["KeyCount"] for page in listed) == 200
