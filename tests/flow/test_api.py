"""The API: repeating a call, whose job is whose, listing page by page, and what an answer holds."""

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

JOB_FIELDS = {
    "job_id",
    "status",
    "reason",
    "why",
    "endpoint",
    "preset",
    "upload",
    "request_id",
    "outputs",
    "missing",
    "seed",
    "error",
    "created_at",
    "updated_at",
    "settled_at",
}
OUTPUT_FIELDS = {"index", "bucket", "key", "url", "content_type", "width", "height", "bytes", "sha256", "nsfw"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def pages(system: Any, query: str = "", owner: str = "shop") -> Iterator[list[dict[str, Any]]]:
    """Read a listing to its end."""
    cursor = ""
    while True:
        status, page = system.get(f"/jobs?{query}{cursor}", owner=owner)
        assert (status, set(page)) == (200, {"jobs", "cursor"})
        yield page["jobs"]
        if page["cursor"] is None:
            return
        cursor = f"&cursor={quote(page['cursor'], safe='')}"


def test_the_same_key_and_body_give_the_same_job(system: Any) -> None:
    """A repeated call is answered with the job as it now is, and paid once."""
    body = {"prompt": "Make it blue", "num_images": 2}
    status, first = system.post(body, Idempotency_Key="order-7")
    assert status == 202
    again = system.http("POST", "/jobs", body=json.dumps(body).encode(), Idempotency_Key="order-7")
    assert again["statusCode"] == 202
    assert again["headers"]["Location"] == f"/jobs/{first['job_id']}"
    assert json.loads(again["body"])["job_id"] == first["job_id"]
    system.fal.advance(10)
    row = system.row(first["job_id"])
    status, later = system.post(body, Idempotency_Key="order-7")
    assert (status, later["job_id"], later["status"]) == (202, first["job_id"], "succeeded")
    assert len(later["outputs"]) == 2
    assert system.rows() == [row]
    assert len(system.requests()) == 1


def test_the_same_body_in_other_words(system: Any) -> None:
    """What means the same is the same: another order, more space, or a default spelled out."""
    written = (
        b'{"prompt": "p", "seed": 7}',
        b'{ "seed":7,\n"prompt":"\\u0070" }',
        b'{"prompt": "p", "seed": "7"}',
        b'{"prompt": "p", "seed": 7, "num_images": 1, "guidance_scale": 3.5}',
    )
    answers = [system.post(body, Idempotency_Key="k") for body in written]
    assert [status for status, _ in answers[:2]] == [202, 202]
    assert len({job["job_id"] for status, job in answers if status == 202}) == 1
    assert {status for status, _ in answers} <= {202, 422}
    assert len(system.rows()) == len(system.requests()) == 1


def test_the_same_key_with_another_body(system: Any) -> None:
    """A key that stands for another submission is refused by its name, and the first job stays as it is."""
    system.post({"prompt": "p"}, Idempotency_Key="k")
    system.fal.advance(10)
    rows = system.rows()
    others: list[dict[str, Any]] = [
        {"prompt": "q"},
        {"prompt": "p", "num_images": 2},
        {"prompt": "p", "tier": "max"},
        {"prompt": "p", "seed": 0},
        {"prompt": "p", "sync_mode": True},
        {"prompt": "p", "image_url": "https://images.example/a.png"},
        {"prompt": "p", "preset": "tiger-eye"},
    ]
    for body in others:
        answer = system.http("POST", "/jobs", body=json.dumps(body).encode(), Idempotency_Key="k")
        assert (body, answer["statusCode"]) == (body, 422)
        assert answer["headers"]["Content-Type"] == "application/problem+json"
        (error,) = json.loads(answer["body"])["errors"]
        assert error["field"] == "Idempotency-Key"
    assert system.rows() == rows
    assert len(system.requests()) == 1


def test_keys_belong_to_their_owners(system: Any) -> None:
    """Two owners may use the same key; neither sees the other's job, and keys differ by letter case."""
    ids = {system.post({"prompt": "p"}, owner=owner, Idempotency_Key="k")[1]["job_id"] for owner in ("shop", "other")}
    ids.add(system.post({"prompt": "q"}, owner="sho", Idempotency_Key="pk")[1]["job_id"])
    ids.add(system.post({"prompt": "q"}, owner="shopk", Idempotency_Key="k")[1]["job_id"])
    ids.add(system.post({"prompt": "p"}, Idempotency_Key="K")[1]["job_id"])
    assert len(ids) == len(system.rows()) == len(system.requests()) == 5


@pytest.mark.usefixtures("one_at_a_time")
def test_one_key_five_times_at_once(system: Any) -> None:
    """Callers that repeat themselves in parallel share one job and one paid request; other bodies are refused."""
    system.post({"prompt": "warms up"})
    with ThreadPoolExecutor(5) as threads:
        same = list(threads.map(lambda _: system.post({"prompt": "p"}, Idempotency_Key="same"), range(5)))
        other = list(threads.map(lambda n: system.post({"prompt": str(n)}, Idempotency_Key="other"), range(5)))
    assert [status for status, _ in same] == [202] * 5
    assert len({job["job_id"] for _, job in same}) == 1
    assert sorted(status for status, _ in other) == [202, 422, 422, 422, 422]
    assert len(system.rows()) == len(system.requests()) == 3


def test_another_owner_s_output_is_no_input(system: Any) -> None:
    """An output is an image to edit for its owner alone; to anybody else it is not there."""
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    reference = f"s3://darkroom-outputs/{system.job(job['job_id'])['outputs'][0]['key']}"
    status, problem = system.post({"prompt": "p", "image_url": reference}, owner="other")
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["image_url"])
    assert len(system.rows()) == len(system.requests()) == 1
    assert system.post({"prompt": "p", "image_url": reference})[0] == 202


def test_without_a_key_every_call_is_a_job(system: Any) -> None:
    """Two equal calls without a key are two jobs."""
    ids = {system.post({"prompt": "p"})[1]["job_id"] for _ in range(3)}
    assert len(ids) == len(system.rows()) == len(system.requests()) == 3


def test_another_owner_s_job_is_not_there(system: Any) -> None:
    """Of a job of somebody else, and of one that never was, the answer is the same 404."""
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    answers = [system.get(f"/jobs/{job_id}", owner="other") for job_id in (job["job_id"], "0" * 32)]
    for (status, problem), job_id in zip(answers, (job["job_id"], "0" * 32), strict=True):
        assert status == problem["status"] == 404
        assert set(problem) <= {"type", "title", "status", "detail", "instance"}
        assert problem["detail"].replace(job_id, "") == answers[0][1]["detail"].replace(job["job_id"], "")
    for wrong in ("x", job["job_id"].upper(), job["job_id"][:-1], f"{job['job_id']}0", "k" * 3000, "%00", "a%2Fb"):
        assert system.get(f"/jobs/{wrong}")[0] == 404
    assert system.get("/jobs", owner="other") == (200, {"jobs": [], "cursor": None})


@pytest.mark.parametrize("keyed", [False, True])
def test_listing_is_newest_first(system: Any, keyed: bool) -> None:
    """The newest job comes first, whether its id was made from a key or from the time, and by upload too."""
    made = []
    for index in range(6):
        headers = {"Idempotency_Key": f"k{index}"} if keyed else {}
        made.append(system.post({"prompt": str(index)}, **headers)[1]["job_id"])
        system.fal.advance(1)
    system.upload(system.put("sketch/a.png"))
    listed = system.get("/jobs")[1]["jobs"]
    assert [job["job_id"] for job in listed[1:]] == made[::-1]
    assert listed[0]["upload"]["key"] == "sketch/a.png"
    assert [job["created_at"] for job in listed] == sorted((job["created_at"] for job in listed), reverse=True)


def test_paging_gives_every_job_once(system: Any) -> None:
    """A page holds as many as asked for, 20 unasked, and the cursor leads through all, also within one moment."""
    for index in range(23):
        system.post({"prompt": "p"}, Idempotency_Key=f"k{index}")
    system.post({"prompt": "p"}, owner="other")
    whole = [job["job_id"] for job in system.get("/jobs?limit=100")[1]["jobs"]]
    assert len(whole) == len(set(whole)) == 23
    for query, sizes in (("", [20, 3]), ("limit=10", [10, 10, 3]), ("limit=23", [23]), ("limit=1", [1] * 23)):
        found = [page for page in pages(system, query) if page]
        assert [len(page) for page in found] == sizes
        assert [job["job_id"] for page in found for job in page] == whole


def test_a_page_is_not_disturbed_by_new_jobs(system: Any) -> None:
    """What comes in between two pages neither hides a job nor shows one twice."""
    before = [system.post({"prompt": "p"})[1]["job_id"] for _ in range(5) if system.fal.advance(1) is None]
    first = system.get("/jobs?limit=2")[1]
    system.fal.advance(1)
    system.post({"prompt": "new"})
    cursor = quote(first["cursor"], safe="")
    second = system.get(f"/jobs?limit=100&cursor={cursor}")[1]
    assert [job["job_id"] for job in first["jobs"] + second["jobs"]] == before[::-1]


def test_a_cursor_is_no_way_to_another_owner_s_jobs(system: Any) -> None:
    """A cursor of one owner shows another nothing, and a spoiled one is refused."""
    for _ in range(4):
        system.post({"prompt": "p"}, owner="other")
    cursor = system.get("/jobs?limit=2", owner="other")[1]["cursor"]
    status, page = system.get(f"/jobs?cursor={quote(cursor, safe='')}")
    assert status == 422 or page == {"jobs": [], "cursor": None}
    for spoiled in (cursor[:-3], cursor + "x", cursor[::-1], "0" + cursor):
        status, page = system.get(f"/jobs?cursor={quote(spoiled, safe='')}", owner="other")
        assert status in {200, 422}
        assert status == 422 or {job["job_id"] for job in page["jobs"]} <= {row["job_id"]["S"] for row in system.rows()}


def test_filters(system: Any) -> None:
    """status and preset filter, alone and together, and a page is filled from what fits."""
    for index in range(6):
        system.post({"prompt": "p", "preset": "tiger-eye"} if index % 2 else {"prompt": "p"})
    system.fal.advance(30)
    for index in range(4):
        system.post({"preset": "tiger-eye"} if index % 2 else {"prompt": "p"})

    def count(query: str) -> int:
        return sum(len(page) for page in pages(system, query))

    assert count("status=succeeded") == 6
    assert count("status=queued") == 4
    assert count("status=failed") == 0
    assert count("preset=tiger-eye") == 5
    assert count("preset=tiger-eye&status=succeeded") == 3
    assert count("preset=no-such-preset") == 0
    assert count("limit=1&status=queued&preset=tiger-eye") == 2
    (page, *_) = pages(system, "limit=3&status=succeeded")
    assert len(page) == 3
    assert {job["status"] for job in page} == {"succeeded"}


ROUTES = (
    ("GET", "/"),
    ("GET", "/job"),
    ("GET", "/jobs/x/y"),
    ("GET", "/jobs/"),
    ("GET", "/JOBS"),
    ("POST", "/"),
    ("POST", "/jobs/x"),
    ("PUT", "/jobs"),
    ("DELETE", "/jobs/x"),
    ("PATCH", "/jobs"),
)


def test_unknown_routes(system: Any) -> None:
    """What is no route is a 404 (or a 405), as a problem."""
    system.post({"prompt": "p"})
    for method, path in ROUTES:
        answer = system.http(method, path)
        assert (method, path, answer["statusCode"]) in {(method, path, 404), (method, path, 405)}
        assert answer["headers"]["Content-Type"] == "application/problem+json"
        problem = json.loads(answer["body"])
        assert problem["status"] == answer["statusCode"]
        assert {"type", "title", "detail", "instance"} <= set(problem)
    assert len(system.rows()) == 1


def test_a_job_has_exactly_its_documented_fields(system: Any) -> None:
    """In whatever state, whether made, read or listed, a job shows what is documented and nothing of the inside."""
    _, made = system.post({"prompt": "a secret told", "num_images": 2, "output_format": "png"})
    system.upload(system.put("sketch/text.png", "README.md"))
    assert set(made) == JOB_FIELDS
    assert (made["outputs"], made["settled_at"], made["error"]) == ([], None, None)
    system.fal.advance(10)
    listed = system.jobs()
    assert {job["status"] for job in listed} == {"succeeded", "failed"}
    for job in listed:
        assert set(job) == set(system.job(job["job_id"])) == JOB_FIELDS
        assert all(MOMENT.fullmatch(job[name]) for name in ("created_at", "updated_at", "settled_at"))
        assert job["error"] is None or set(job["error"]) == {"type", "message"}
        assert "a secret told" not in json.dumps(job)
        assert "mac=" not in json.dumps(job)
    done = system.job(made["job_id"])
    assert [set(output) for output in done["outputs"]] == [OUTPUT_FIELDS] * 2
    assert [output["index"] for output in done["outputs"]] == [0, 1]
    for output in done["outputs"]:
        assert all(type(output[name]) is int for name in ("index", "width", "height", "bytes"))
        assert output["content_type"] == "image/png"
        assert re.fullmatch(r"[0-9a-f]{64}", output["sha256"])
    assert type(done["seed"]) is str


def test_links_point_at_the_outputs_bucket(system: Any) -> None:
    """A link is presigned, for that one object, has an end, and is made again for each answer."""
    system.upload(system.put("sketch/größe & 100 %+.png"))
    system.fal.advance(10)
    (job,) = system.jobs()
    (output,) = job["outputs"]
    parts = urlsplit(output["url"])
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc) == ("https", "darkroom-outputs.s3.amazonaws.com")
    assert parts.path == "/" + quote(output["key"], safe="/~")
    assert "X-Amz-Signature" in query
    assert 0 < int(query["X-Amz-Expires"][0]) <= 7 * 86400
    assert "url" not in json.dumps(system.row(job["job_id"])["outputs"])
    status, body = system.get("/health")
    assert status == 200
    assert body


@pytest.mark.parametrize("again", ["4", "4.0", "4.00", "0.4e1", "40e-1"])
def test_numbers_may_be_written_in_any_way(system: Any, again: str) -> None:
    """A client that repeats a call with 4.0 where it sent 4 means the same, and gets its job."""
    first, second = (b'{"prompt": "p", "guidance_scale": %b, "seed": 7}' % text.encode() for text in ("4", again))
    _, job = system.post(first, Idempotency_Key="k")
    assert system.post(second, Idempotency_Key="k")[1]["job_id"] == job["job_id"]
    assert system.post(b'{"prompt": "p", "guidance_scale": 4.5, "seed": 7}', Idempotency_Key="k")[0] == 422
    assert len(system.requests()) == 1


@pytest.mark.parametrize("path", ["/health", "/jobs", "/jobs/{job_id}"])
def test_what_can_be_read_can_be_looked_at(system: Any, path: str) -> None:
    """HEAD answers as GET does; what is not there is not there for it either."""
    _, job = system.post({"prompt": "p"})
    path = path.format(job_id=job["job_id"])
    assert system.http("HEAD", path)["statusCode"] == 200
    assert system.http("HEAD", f"/jobs/{'0' * 32}")["statusCode"] == 404


def test_an_output_is_named_by_its_job(system: Any) -> None:
    """`job_id/index` is the owner's own output, as `s3://bucket/key` of the answer is; the edit is of its bytes."""
    _, made = system.post({"prompt": "p"})
    system.fal.advance(10)
    (output,) = system.job(made["job_id"])["outputs"]
    for reference in (f"{made['job_id']}/0", f"s3://{output['bucket']}/{output['key']}"):
        status, edit = system.post({"prompt": "darker", "image_url": reference})
        assert status == 202, edit
        system.fal.advance(10)
        assert system.job(edit["job_id"])["status"] == "succeeded"
        assert hashlib.sha256(system.read[-1]).hexdigest() == output["sha256"]


def test_an_output_that_is_none(system: Any) -> None:
    """A job that is not there, is another owner's, or has no such output yet is named, and nothing is paid."""
    _, made = system.post({"prompt": "p"})
    _, others = system.post({"prompt": "p"}, owner="other")
    paid = len(system.requests())
    for reference, why in {
        f"{made['job_id']}/0": "is queued, and has no output 0",
        f"{others['job_id']}/0": f"there is no job {others['job_id']}",
        f"{'0' * 32}/0": "there is no job",
    }.items():
        status, problem = system.post({"prompt": "p", "image_url": reference})
        assert (status, problem["errors"][0]["field"]) == (422, "image_url")
        assert why in problem["errors"][0]["message"]
    system.fal.advance(10)
    key = system.job(made["job_id"])["outputs"][0]["key"]
    _, problem = system.post({"prompt": "p", "image_url": key})
    assert "an output is job_id/index or s3://bucket/key" in problem["errors"][0]["message"]
    assert len(system.requests()) == paid


def test_a_wrong_queue_fails_no_job(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect at the queue's URL is a setting's fault: jobs wait, say so, and are sent when it is mended."""

    def redirect(_: httpx.Request) -> httpx.Response:
        return httpx.Response(308, headers={"Location": "https://queue.example/secret?key=1"})

    with monkeypatch.context() as patch:
        patch.setattr(system.app.fal, "_http", httpx.Client(transport=httpx.MockTransport(redirect)))
        _, job = system.post({"prompt": "p"})
        system.pass_time(3600)
    waiting = system.job(job["job_id"])
    assert (waiting["status"], waiting["reason"]) == ("accepted", "misconfigured")
    assert waiting["why"] == "FAL_QUEUE_URL is not the queue: it answers 308 and leads to https://queue.example"
    system.pass_time(1800)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1
