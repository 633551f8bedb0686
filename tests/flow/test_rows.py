"""A job's row always has room for what comes later: what does not fit is refused before anything is paid."""

import json
import random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.fal import Script
from local.fal.scripts import ScriptedResult
from shared import waiting
from shared.posting import MAX_BODY_BYTES
from shared.rows import MAX_BYTES, ROOM_BYTES, row_bytes

ALPHABETS = {
    "one byte": "a~ \u007f",
    "two bytes": "é\u0080߿",
    "three bytes": "日\u2028\ufeff",
    "four bytes": "😀\U0010ffff",
    "escaped": '\\"\n\t\u0001\u001f',
    "mixed": 'a\u007fé日😀\\"\n\u0000',
}


def prompt_of(alphabet: str, size: int, dice: random.Random) -> str:
    """A prompt that takes about so many bytes of a body."""
    one = json.dumps(alphabet, ensure_ascii=False).encode()
    return "".join(dice.choices(alphabet, k=max(1, size * len(alphabet) // len(one))))


@pytest.mark.long
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("name", ALPHABETS)
def test_bodies_around_the_limit(system: Any, name: str, *, ascii_only: bool) -> None:
    """Each is a 422 before anything is paid, or a job that ends well and whose row is within DynamoDB's bound."""
    dice = random.Random(name)  # noqa: S311 - a run that repeats is the purpose
    for number in range(25):
        size = dice.choice((60_000, 67_000, 120_000, 129_000, 130_900, 131_000, 131_072, 131_073, 140_000))
        fields = {"prompt": prompt_of(ALPHABETS[name], size, dice), "num_images": 4}
        body = json.dumps(fields, ensure_ascii=ascii_only).encode()
        before = len(system.requests())
        status, job = system.post(body, idempotency_key=f"k{number}")
        if status == 422:
            assert len(system.requests()) == before
            continue
        assert (status, job["status"]) == (202, "queued")
        assert row_bytes(system.row(job["job_id"])) <= MAX_BYTES - ROOM_BYTES + 10_000
        system.fal.advance(10)
        assert system.job(job["job_id"])["status"] == "succeeded"
        assert system.post(body, idempotency_key=f"k{number}")[1]["status"] == "succeeded"
    assert set(system.answers) <= {200}


@pytest.mark.long
@pytest.mark.parametrize("character", ["\u007f", "\u0001", "é", "日", "😀", '"', "\\"])
def test_the_largest_body_of_each_kind_of_character(system: Any, character: str) -> None:
    """Refused unpaid, or a job whose whole life fits into its row, a large odd result included."""
    for size in range(60_000, MAX_BODY_BYTES, 10_007):
        body = json.dumps({"prompt": character * (size // len(json.dumps(character, ensure_ascii=False).encode()) + 1)})
        system.fal.add_scripts(Script(result=ScriptedResult(body={"pictures": "x" * 150_000})))
        status, job = system.post(body.encode())
        if status == 202:
            system.pass_time(7200, 600)
            assert system.job(job["job_id"])["error"]["type"] == "unreadable_result"
        else:
            assert (status, len(body.encode()) > MAX_BODY_BYTES) == (422, True)
    assert 500 not in system.answers


def test_what_would_leave_no_room_is_refused_before_it_is_written(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the row itself would be too large, the field is named, and nothing is written or paid."""
    monkeypatch.setattr("shared.job_table.ROOM_BYTES", MAX_BYTES - 2000)
    status, problem = system.post({"prompt": "é" * 1000})
    assert (status, problem["errors"][0]["field"]) == (422, "prompt")
    assert "bytes" in problem["detail"]
    assert (system.rows(), system.requests()) == ([], [])
    assert system.post({"prompt": "é" * 100})[0] == 202


@pytest.mark.parametrize("prompt", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_half_a_character_is_refused(system: Any, prompt: str) -> None:
    """JSON may hold halves of characters, which no row and no request can."""
    status, problem = system.post(json.dumps({"prompt": prompt}).encode())
    assert (status, problem["errors"][0]["field"], system.rows()) == (422, "prompt", [])


def test_text_is_kept_as_utf_8(system: Any) -> None:
    """A character takes its own bytes and not six, and comes to fal as it was."""
    prompt = "\u007fé日😀"
    _, job = system.post({"prompt": prompt})
    assert prompt in system.row(job["job_id"])["arguments_json"]["S"]
    assert system.requests()[0]["arguments"]["prompt"] == prompt


def fill(system: Any, job_id: str) -> None:
    """Fill a row to the last byte that the table takes, as an older version could."""
    row = system.row(job_id)
    arguments = json.loads(row["arguments_json"]["S"])
    low, high = 0, MAX_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        text = json.dumps(arguments | {"prompt": "x" * middle})
        try:
            boto3.client("dynamodb").put_item(TableName="darkroom-jobs", Item=row | {"arguments_json": {"S": text}})
        except ClientError:
            high = middle - 1
        else:
            low = middle
    assert low > MAX_BYTES / 2


def test_a_row_that_is_full_ends_and_holds_up_nobody(system: Any) -> None:
    """In an older version's row nothing can be noted: it is failed without what is large in it, and others go on."""
    system.deliver = lambda *_: 503
    _, full = system.post({"prompt": "p"})
    _, other = system.post({"prompt": "p"})
    fill(system, full["job_id"])
    system.pass_time(waiting.T_MAX + 3600, 3600)
    assert system.job(other["job_id"])["status"] == "succeeded"
    row = system.row(full["job_id"])
    assert (row["status"]["S"], "open_shard" in row, "arguments_json" in row) == ("failed", False, False)
    assert system.job(full["job_id"])["error"]["type"]
