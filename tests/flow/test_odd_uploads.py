"""Uploads that cannot be edited, or were never meant to be: told so at once, and never paid for."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import PHOTOS
from tests.flow.test_uploads import classic_record


def refused(system: Any, key: str, content: str | bytes = "coffee.png") -> dict[str, Any]:
    """Upload something, and give the error of its job, for which nothing was sent and nothing will be."""
    assert system.upload(system.put(key, content)) == []
    (job,) = system.jobs()
    assert (job["status"], job["request_id"], system.requests()) == ("failed", None, [])
    error: dict[str, Any] = job["error"]
    return error


@pytest.mark.parametrize(
    "key",
    [
        *("sketch/./a.png", "sketch/../a.png", "sketch/a/../../b.png", "sketch/.", "sketch/..", "sketch/a/./b"),
        *("sketch/../../a.png", "sketch/a/.."),
    ],
)
def test_a_key_that_no_link_can_hold_is_refused(system: Any, key: str) -> None:
    """HTTP clients fold `.` and `..` away, so that fal would look for another object: nothing is sent."""
    assert system.upload(system.created(key)) == []
    (job,) = system.jobs()
    assert (job["status"], job["error"]["type"], system.requests()) == ("failed", "unsafe_key", [])


@pytest.mark.parametrize("reference", ["a/../b.png", "./x.png", "..", "s3://darkroom-inputs/a/./b.png"])
def test_a_posted_reference_that_no_link_can_hold_is_refused(system: Any, reference: str) -> None:
    """The caller is told of the field, and nothing is written."""
    status, body = system.post({"prompt": "p", "image_url": reference})
    assert (status, body["errors"][0]["field"], system.rows()) == (422, "image_url", [])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidObjectState", "upload_archived"),
        ("InvalidRequest", "upload_unreadable"),
        ("InvalidArgument", "upload_unreadable"),
        ("NoSuchKey", "upload_gone"),
        ("NoSuchVersion", "upload_gone"),
        ("MethodNotAllowed", "upload_gone"),
    ],
)
def test_what_s3_says_for_good_is_not_asked_again(
    system: Any, monkeypatch: pytest.MonkeyPatch, code: str, kind: str
) -> None:
    """An archived object, one whose key only its owner has, one that is gone: failed at once, with what to do."""
    asked: list[str] = []

    def refuse(**parameters: Any) -> None:
        asked.append(parameters["Key"])
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")

    event = system.put("sketch/a.png")
    monkeypatch.setattr(system.app.client("s3"), "get_object", refuse)
    assert system.upload(event) == []
    system.pass_time(4 * 86_400, 86_400)
    (job,) = system.jobs()
    assert (job["status"], job["error"]["type"], asked) == ("failed", kind, ["sketch/a.png"])
    assert len(job["error"]["message"]) > 20


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        ("rocket.heic", "unsupported_format", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "unsupported_format", "HEI"),
        (b"II*\0" + bytes(80), "unsupported_format", "TIFF"),
        (b"MM\0*" + bytes(80), "unsupported_format", "TIFF"),
        (b"BM" + bytes(80), "unsupported_format", "BMP"),
        (b"8BPS" + bytes(80), "unsupported_format", "Photoshop"),
        (b"%PDF-1.7" + bytes(80), "unsupported_format", "PDF"),
        (b"\xff\x0a" + bytes(80), "unsupported_format", "JPEG XL"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (b"\0\0\0\x18ftypcrx " + bytes(40), "unsupported_format", "Canon raw"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "not_an_image", "no jpg"),
        (b"just words", "not_an_image", "no jpg"),
    ],
)
def test_what_it_is_instead_is_said(system: Any, content: str | bytes, kind: str, says: str) -> None:
    """A picture in a format that fal does not take is named, with what to do about it."""
    error = refused(system, "sketch/a.jpg", content)
    assert error["type"] == kind
    assert says in error["message"]
    assert kind != "unsupported_format" or "JPEG" in error["message"]


def png(width: int, height: int) -> bytes:
    """The head of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(64)


def gif(width: int, height: int) -> bytes:
    """The head of a GIF."""
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(64)


def webp(width: int, height: int) -> bytes:
    """The head of an extended WebP."""
    sides = (side.to_bytes(3, "little") for side in (width - 1, height - 1))
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"".join(sides) + bytes(64)


def jpeg(width: int, height: int) -> bytes:
    """The head of a JPEG as phones write it, with 50 KB of EXIF before its size."""
    exif = b"\xff\xe1" + struct.pack(">H", 50_000) + bytes(49_998)
    return b"\xff\xd8" + exif + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + bytes(64)


@pytest.mark.parametrize("head", [png, gif, webp, jpeg])
def test_more_pixels_than_fal_opens_are_refused(system: Any, head: Any) -> None:
    """A picture of 30,000 by 30,000 is refused unpaid, wherever its head says so."""
    error = refused(system, "sketch/a.png", head(16_383, 16_383) if head is webp else head(30_000, 30_000))
    assert error["type"] == "image_too_large"
    assert "pixels" in error["message"]


@pytest.mark.parametrize("head", [png, gif, webp, jpeg])
def test_large_photos_are_edited(system: Any, head: Any) -> None:
    """108 megapixels, as phones make them, are fal's business; so is a head that says no size."""
    system.upload(system.put("sketch/a.png", head(12_000, 9_000)), system.put("sketch/b.png", head(1, 1)[:13]))
    assert len(system.requests()) == 2


JUNK = (
    *(".DS_Store", "sub/.DS_Store", "Thumbs.db", "THUMBS.DB", "._photo.jpg", "sub/._photo.jpg", "sub_$folder$"),
    *("desktop.ini", "__MACOSX/a.jpg", "__MACOSX/sub/._a.jpg", "@eaDir/a.jpg", ".gitkeep", "ehthumbs.db"),
    *(".Spotlight-V100/store.db", "$RECYCLE.BIN/a.jpg", "sub/"),
)


@pytest.mark.parametrize("form", ["eventbridge", "classic"])
def test_what_systems_leave_beside_photos_is_skipped(system: Any, form: str, counted: Callable[[str], float]) -> None:
    """Nobody meant to upload them: no job, no call to AWS, a line in the log and a metric."""
    for name in JUNK:
        event = system.put(f"sketch/{name}", b"x")
        told = event if form == "eventbridge" else {"Records": [classic_record(event, f"sketch/{name}")]}
        system.aws_calls.clear()
        assert system.upload(told) == []
        assert (name, system.aws_calls) == (name, [])
    assert system.rows() == []
    assert counted("UploadSkipped") == len(JUNK)


@pytest.mark.parametrize(
    "name", ["DS_Store.png", "thumbs.db.png", "a._b.png", "x.DS_Store.jpg", "macosx/a.png", "._/a.png", "desktop.ini/a"]
)
def test_names_that_look_nearly_so_are_edited(system: Any, name: str) -> None:
    """A photo is a photo, whatever its name reminds of."""
    system.upload(system.put(f"sketch/{name}"))
    assert len(system.requests()) == 1


def test_an_upload_outside_every_prefix_is_counted(system: Any, counted: Callable[[str], float]) -> None:
    """`Products/` for `products/` is a slip that somebody should hear of; what is skipped on purpose is none."""
    outside = [system.put(key) for key in ("Products/a.jpg", "a.jpg", "product/a.jpg", "cars/a.png")]
    assert system.upload(*outside, system.put("sketch/a.png"), system.put("sketch/", b"")) == []
    assert counted("UploadUnmatched") == 4
    assert len(system.rows()) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "bad", [7, {}, None, {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}, "text"]
)
def test_a_malformed_record_costs_only_itself(system: Any, bad: Any, place: int) -> None:
    """The good records of a message make their jobs; the message comes again, and in the end is set aside."""
    records = [classic_record(system.put(key), key) for key in ("sketch/a.png", "sketch/b.png")]
    records.insert(place, bad)
    for _ in range(3):
        assert system.upload({"Records": records}, system.put("sketch/c.png", sequencer="1")) == ["0"]
    assert {job["upload"]["key"] for job in system.jobs()} == {"sketch/a.png", "sketch/b.png", "sketch/c.png"}
    assert len(system.requests()) == 3


def test_one_upload_s_trouble_costs_no_other_s_job(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several records and presets in one message, those that can be made are, and the rest comes again."""
    keys = ("cars/a.jpg", "sketch/b.png", "sketch/c.png")
    records = [classic_record(system.put(key, "rocket.jpg"), key) for key in keys]
    client = system.app.client("dynamodb")
    really, writes = client.put_item, iter(range(100))

    def put_item(**parameters: Any) -> Any:
        if next(writes) in {0, 2}:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutItem")
        return really(**parameters)

    with monkeypatch.context() as patch:
        patch.setattr(client, "put_item", put_item)
        assert system.upload({"Records": records}) == ["0"]
    assert len(system.requests()) == 2
    assert system.upload({"Records": records}) == []
    assert len(system.requests()) == len(system.jobs()) == 4


@pytest.mark.parametrize("mark", ["shared#breaker", "shared#accounts", "", "x" * 500, "A" * 32, "0" * 31])
def test_a_mark_that_is_no_job_s_id_is_no_mark(system: Any, mark: str) -> None:
    """Whatever is in an object's metadata, it is not looked up unjudged, and the photo is edited."""
    photo = (PHOTOS / "coffee.png").read_bytes()
    marked = {"Bucket": "darkroom-inputs", "Key": "sketch/a.png", "Body": photo, "Metadata": {"darkroom-job": mark}}
    etag = system.s3.put_object(**marked)["ETag"].strip('"')
    assert system.post({"prompt": "p", "image_url": "sketch/a.png"})[0] == 202
    assert system.upload(system.created("sketch/a.png", etag=etag)) == []
    assert len(system.requests()) == 2
