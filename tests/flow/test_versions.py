"""An upload is one version of an object, and exactly that version is edited, once."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from shared.presets import Preset
from shared.upload_patterns import UploadPattern

COLORS = ("red", "green", "blue", "teal", "plum", "gold", "navy", "pink", "lime", "gray")


def photo(color: str) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(file, "PNG")
    return file.getvalue()


def by_key(system: Any) -> dict[str, list[dict[str, Any]]]:
    """The jobs of each key."""
    found: dict[str, list[dict[str, Any]]] = {}
    for job in system.jobs():
        found.setdefault(job["upload"]["key"], []).append(job)
    return found


@pytest.mark.parametrize("order", [1, -1])
def test_each_version_of_an_overwritten_key_is_edited_from_its_own_bytes(system: Any, order: int) -> None:
    """Five keys overwritten before the function runs: ten jobs, ten requests, each made of its own version."""
    photos = [photo(color) for color in COLORS]
    events = [system.put_version(f"sketch/{index % 5}.png", content) for index, content in enumerate(photos)]
    assert system.upload(*events[::order], *events) == []
    system.fal.advance(600)
    assert [[job["status"] for job in jobs] for jobs in by_key(system).values()] == [["succeeded"] * 2] * 5
    assert len(system.requests()) == 10
    assert sorted(system.read) == sorted(photos)


def test_what_was_overwritten_in_a_bucket_without_versions_is_settled_unpaid(system: Any) -> None:
    """Five keys overwritten before the function runs: the newer bytes are edited, and the older jobs say why not."""
    photos = [photo(color) for color in COLORS]
    events = [
        system.put(f"sketch/{index % 5}.png", content, sequencer=f"{index:04}") for index, content in enumerate(photos)
    ]
    assert system.upload(*events, *events) == []
    system.fal.advance(600)
    for jobs in by_key(system).values():
        assert sorted(job["status"] for job in jobs) == ["failed", "succeeded"]
        (failed,) = [job for job in jobs if job["status"] == "failed"]
        assert (failed["error"]["type"], failed["request_id"]) == ("upload_superseded", None)
    assert len(system.requests()) == 5
    assert sorted(system.read) == sorted(photos[5:])


def test_what_was_emptied_is_overwritten_too(system: Any) -> None:
    """A photo that is nothing any more when its job looks: the job says that it was overwritten, and is not paid."""
    event = system.put("sketch/a.png", photo("red"))
    system.put("sketch/a.png", b"")
    assert system.upload(event) == []
    (job,) = system.jobs()
    assert (job["status"], job["error"]["type"], system.requests()) == ("failed", "upload_superseded", [])


@pytest.mark.parametrize("versioned", [True, False])
def test_jobs_that_waited_are_of_the_version_that_they_were_made_for(system: Any, *, versioned: bool) -> None:
    """A key that is overwritten while its job is parked: the version is edited where it is kept, else it is not."""
    put = system.put_version if versioned else system.put
    system.app.breaker.pause()
    assert system.upload(put("sketch/a.png", photo("red"))) == []
    newer = put("sketch/a.png", photo("blue"))
    newer["detail"]["object"]["sequencer"] = "0056"
    assert system.upload(newer) == []
    assert system.requests() == []
    system.app.breaker.resume()
    system.pass_time(300)
    assert sorted(system.read) == sorted([photo("red"), photo("blue")] if versioned else [photo("blue")])
    assert len(system.requests()) == len(system.read)


def test_a_version_is_edited_though_its_key_was_deleted(system: Any) -> None:
    """Deleting in a bucket with versions hides the photo and keeps its bytes: the job is made of them."""
    event = system.put_version("sketch/a.png", photo("red"))
    system.s3.delete_object(Bucket="darkroom-inputs", Key="sketch/a.png")
    assert system.upload(event) == []
    system.fal.advance(60)
    assert [job["status"] for job in system.jobs()] == ["succeeded"]
    assert system.read == [photo("red")]


def test_a_version_that_is_gone_is_not_edited(system: Any) -> None:
    """What was deleted for good, or is the mark of a deletion, fails its job unpaid."""
    gone = system.put_version("sketch/gone.png", photo("red"))
    version = gone["detail"]["object"]["version-id"]
    system.s3.delete_object(Bucket="darkroom-inputs", Key="sketch/gone.png", VersionId=version)
    marked = system.put_version("sketch/marked.png", photo("red"))
    deleted = system.s3.delete_object(Bucket="darkroom-inputs", Key="sketch/marked.png")
    marked["detail"]["object"]["version-id"] = deleted["VersionId"]
    assert system.upload(gone, marked) == []
    assert [(job["status"], job["error"]["type"]) for job in system.jobs()] == [("failed", "upload_gone")] * 2
    assert system.requests() == []


@pytest.mark.parametrize("versioned", [True, False])
def test_a_file_that_is_written_empty_first_is_edited_once(system: Any, *, versioned: bool) -> None:
    """Some tools make an empty object and fill it then: the empty one makes no job, and no call to AWS."""
    put = system.put_version if versioned else system.put
    empty, full = put("sketch/a.png", b""), put("sketch/a.png", photo("red"))
    full["detail"]["object"]["sequencer"] = "0056"
    system.aws_calls.clear()
    assert system.upload(empty) == []
    assert system.aws_calls == []
    assert system.upload(full, empty) == []
    system.fal.advance(60)
    assert [job["status"] for job in system.jobs()] == ["succeeded"]


def test_an_upload_costs_six_aws_calls_with_versions_too(system: Any) -> None:
    """Reading a version is one call as before: a put, a read, two updates, a get and the output's put."""
    system.upload(system.put_version("sketch/warms-up.png"))
    system.fal.advance(10)
    event = system.put_version("sketch/a.png")
    system.aws_calls.clear()
    system.upload(event)
    system.fal.advance(60)
    assert sorted(system.aws_calls) == sorted(
        ["PutItem", "GetObject", "UpdateItem", "GetItem", "PutObject", "UpdateItem"]
    )


@pytest.fixture
def skipping(system: Any) -> Callable[[str], None]:
    """A preset that edits bytes once under a key; gives what writes a picture and lets its job end."""
    preset = Preset(
        name="skipping", uploads=[UploadPattern(prefix="skip/")], arguments={"prompt": "p"}, same_bytes="skip"
    )
    system.app.__dict__["presets"] = {preset.name: preset}

    def put(color: str, key: str = "skip/a.png") -> None:
        system.upload(system.put_version(key, photo(color)))
        system.fal.advance(60)

    return put


def test_a_rewrite_of_the_same_bytes_is_not_paid(system: Any, skipping: Callable[..., None]) -> None:
    """Touched three times: one job; other bytes, or another key, are edited; the first bytes again are not."""
    for _ in range(3):
        skipping("red")
    assert len(system.jobs()) == len(system.requests()) == 1
    skipping("blue")
    skipping("red", key="skip/b.png")
    skipping("red")
    assert len(system.jobs()) == len(system.requests()) == 3


@pytest.mark.usefixtures("skipping")
def test_bytes_whose_job_failed_are_tried_again(system: Any) -> None:
    """Whoever writes a photo again whose job failed wants it edited; a copy of its event makes no second job."""
    event = system.put_version("skip/a.png", b"no picture")
    assert system.upload(event, event) == []
    assert [job["status"] for job in system.jobs()] == ["failed"]
    again = system.put_version("skip/a.png", b"no picture")
    assert system.upload(again, event, again) == []
    assert [job["status"] for job in system.jobs()] == ["failed", "failed"]


@pytest.mark.usefixtures("skipping")
def test_an_event_without_an_etag_is_told_apart_by_its_version(system: Any) -> None:
    """Where nothing says which bytes they are, each write is an upload as ever."""
    events = [system.put_version("skip/a.png", photo("red")) for _ in range(2)]
    for event in events:
        del event["detail"]["object"]["etag"]
    assert system.upload(*events) == []
    assert len(system.jobs()) == 2
