"""What holds for whatever is given, where a table of examples is too small."""

import base64
import contextlib
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.cursors import MAX_LENGTH, read_cursor, write_cursor
from shared.errors import InvalidDeliveryError, UploadRejectedError
from shared.image_formats import check_input_head, dimensions, name_unsupported, sniff
from shared.jobs import Upload, moment_text
from shared.presets import DEFAULT_OUTPUT_KEY, output_key
from shared.retry_after import read_retry_after
from shared.settings import WebhookSecret
from shared.upload_patterns import UploadPattern
from shared.uploads import without_extension
from shared.webhook_urls import Target
from tests.conftest import PHOTOS

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)
"""Keys of objects: any text that UTF-8 has."""
JOB_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
OWNERS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)).map(lambda at: moment_text(at.replace(tzinfo=UTC)))  # noqa: DTZ001 - hypothesis wants them bare
TEMPLATES = st.sampled_from(
    [DEFAULT_OUTPUT_KEY, "{path}-{index}.{ext}", "done/{job_id}/{index}.{ext}", "{preset}/{path}/{job_id}.{ext}"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SECRET = WebhookSecret(url="https://api.example", mac_key="k" * 64)


@given(template=TEMPLATES, key=KEYS, job_id=JOB_IDS, index=st.integers(0, 3))
@example(template="{path}-{index}.{ext}", key="{index}{ext}{0}{.jpg", job_id="a" * 32, index=0)
def test_an_output_key_holds_the_upload_s_own_path(template: str, key: str, job_id: str, index: int) -> None:
    """Whatever stands in a key, braces among it, it comes out as it went in, and only the names are filled."""
    path = without_extension(key)
    filled = output_key(template, preset="studio-shot", path=path, job_id=job_id).format(index=index, ext="jpg")
    names = {"preset": "studio-shot", "path": path, "job_id": job_id, "index": str(index), "ext": "jpg"}
    expected, rest = "", template
    while rest:
        text, brace, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        expected += text + (names[name] if brace else "")
    assert filled == expected


@given(keys=st.lists(KEYS, min_size=2, max_size=2, unique=True), version=st.text(min_size=1, max_size=40))
def test_uploads_that_differ_make_jobs_that_differ(keys: list[str], version: str) -> None:
    """By their key, their version, their bucket or their preset; and the same one is the same again."""
    one, other = (Upload(bucket="inputs", key=key, version=version) for key in keys)
    ids = [
        one.job_id("a"),
        other.job_id("a"),
        one.job_id("b"),
        one.model_copy(update={"version": version + "1"}).job_id("a"),
        one.model_copy(update={"bucket": "others"}).job_id("a"),
    ]
    assert len(set(ids)) == len(ids)
    assert one.model_copy(update={"size": 5, "etag": "e"}).job_id("a") == ids[0]


PREFIXES, SUFFIXES = st.text("ab/", min_size=1, max_size=3), st.sampled_from(["", ".j", ".J", "b.j", ".B"])


@given(prefix=PREFIXES, suffix=SUFFIXES, other=PREFIXES, ending=SUFFIXES, key=st.text("ab/.jJB", max_size=8))
def test_a_pattern_takes_what_begins_and_ends_so(prefix: str, suffix: str, other: str, ending: str, key: str) -> None:
    """Whatever the end's case; and what is said of two patterns holds for each key."""
    with contextlib.suppress(ValueError):
        pattern, second = UploadPattern(prefix=prefix, suffix=suffix), UploadPattern(prefix=other, suffix=ending)
        fits = key.startswith(prefix) and key.lower().endswith(suffix.lower())
        assert pattern.matches(key) is fits
        assert not (pattern.covers(second) and second.matches(key)) or fits
        assert not (fits and second.matches(key)) or pattern.meets(second)


@given(owner=OWNERS, other=OWNERS, moment=MOMENTS, job_id=JOB_IDS)
def test_a_cursor_leads_its_owner_back(owner: str, other: str, moment: str, job_id: str) -> None:
    """And nobody else anywhere."""
    cursor = write_cursor(owner, moment, job_id)
    assert read_cursor(cursor, owner) == {"owner": {"S": owner}, "created_at": {"S": moment}, "job_id": {"S": job_id}}
    if other != owner:
        with pytest.raises(ValueError, match="owner"):
            read_cursor(cursor, other)


@given(
    text=st.text(max_size=MAX_LENGTH + 2)
    | JSON.map(lambda one: base64.urlsafe_b64encode(json.dumps(one).encode()).decode())
)
@example("=" * 5)
@example(base64.urlsafe_b64encode(b"[" * 700).decode())
def test_whatever_is_no_cursor_is_refused(text: str) -> None:
    """By one kind of error, which the API answers as the caller's."""
    with pytest.raises(ValueError):
        read_cursor(text, "shop")


@given(head=st.binary(max_size=300))
@example(b"\xff\xd8\xff\xc0\x00\x00")
@example(b"RIFF\x00\x00\x00\x00WEBPVP8 ")
def test_no_bytes_break_the_reading_of_a_head(head: bytes) -> None:
    """They are a picture of some size, or one whose size is not told, or refused with a reason."""
    kind = sniff(head)
    name_unsupported(head)
    with contextlib.suppress(UploadRejectedError):
        check_input_head(head)
        assert kind
    size = dimensions(io.BytesIO(head), kind) if kind else None
    assert size is None or min(size) >= 0


@given(name=st.sampled_from(["coffee.png", "coffee.webp", "rocket.jpg", "chelsea.gif"]), data=st.data())
def test_a_photo_that_is_cut_is_still_known(name: str, data: st.DataObject) -> None:
    """Its kind is in its first bytes, and its size is told truly or not at all."""
    whole = (PHOTOS / name).read_bytes()
    kind = sniff(whole)
    assert kind
    true = dimensions(io.BytesIO(whole), kind)
    cut = whole[: data.draw(st.integers(16, min(len(whole), 3000)))]
    assert sniff(cut) == kind
    assert dimensions(io.BytesIO(cut), kind) in {true, None}


@given(job_id=JOB_IDS, attempt=st.integers(1, 99), other=st.integers(1, 99), change=st.integers(0, 63))
def test_a_webhook_url_names_one_attempt_of_one_job(job_id: str, attempt: int, other: int, change: int) -> None:
    """It is read back as it was written, and a MAC of another attempt, or one with a digit changed, fits none."""
    target = Target(job_id, attempt)
    mac = target.mac(SECRET.mac_key)
    query = {"attempt": str(attempt), "mac": mac}
    assert target.url(SECRET).endswith(f"/{job_id}?attempt={attempt}&mac={mac}")
    assert Target.from_url(job_id, query, lambda: SECRET) == target
    spoiled = mac[:change] + f"{int(mac[change], 16) ^ 1:x}" + mac[change + 1 :]
    wrong = [{**query, "mac": spoiled}, *([{**query, "attempt": str(other)}] if other != attempt else [])]
    for one in wrong:
        with pytest.raises(InvalidDeliveryError):
            Target.from_url(job_id, one, lambda: SECRET)


@given(text=st.text(max_size=40) | st.integers().map(str) | st.floats().map(str))
def test_whatever_retry_after_says_is_a_bounded_time_or_none(text: str) -> None:
    """No header makes us wait for ever, or backwards, or fail."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    seconds = read_retry_after({"retry-after": text}, now)
    assert seconds is None or 0 <= seconds <= timedelta(days=1).total_seconds()
