"""Deliveries: forged ones change nothing, true ones settle a job once, in whatever order and number they come."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from moto.core.botocore_stubber import BotocoreStubber
from nacl.signing import SigningKey

from functions import callback
from local.fal import Emulator, Script
from local.fal.keys import sign
from local.fal.scripts import ScriptedResult

FAL = "http://127.0.0.1:8787"
ORDER = 2**252 + 27742317777372353535851937790883648493
REQUEST_ID = "X-Fal-Webhook-Request-Id"
USER_ID = "X-Fal-Webhook-User-Id"
TIMESTAMP = "X-Fal-Webhook-Timestamp"
SIGNATURE = "X-Fal-Webhook-Signature"
HTML = b"<!doctype html><html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

Delivery = tuple[str, dict[str, str], bytes]


def held(system: Any) -> list[Delivery]:
    """Let fal believe that its deliveries arrive, and keep them here instead."""
    kept: list[Delivery] = []

    def keep(url: str, headers: dict[str, str], body: bytes, _timeout: float) -> int:
        kept.append((url, headers, body))
        return 200

    system.deliver = keep
    return kept


def finished(system: Any, **fields: Any) -> tuple[str, Delivery]:
    """A job that fal is done with, and the delivery that says so and has not come yet."""
    kept = held(system)
    _, job = system.post({"prompt": "p", **fields})
    system.fal.advance(10)
    (delivery,) = kept
    assert system.job(job["job_id"])["status"] == "queued"
    return job["job_id"], delivery


def signed(system: Any, delivery: Delivery, body: Any = None, **changes: str) -> Delivery:
    """The delivery with another body, request, account or time, signed by fal."""
    url, headers, content = delivery
    content = content if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request_id = changes.get("request_id", headers[REQUEST_ID])
    user_id = changes.get("user_id", headers[USER_ID])
    timestamp = changes.get("timestamp", headers[TIMESTAMP])
    signature = sign(system.fal.keys.current, request_id, user_id, timestamp, content)
    own = {REQUEST_ID: request_id, USER_ID: user_id, TIMESTAMP: timestamp, SIGNATURE: signature}
    return url, headers | own, content


def result(delivery: Delivery, *images: Any) -> dict[str, Any]:
    """A delivery's body that brings other images."""
    event: dict[str, Any] = json.loads(delivery[2])
    return event | {"payload": event["payload"] | {"images": [{"url": image} for image in images]}}


def error(delivery: Delivery, payload: Any) -> dict[str, Any]:
    """A delivery's body that says that the request failed."""
    event: dict[str, Any] = json.loads(delivery[2])
    return event | {"status": "ERROR", "error": "Invalid status code: 422", "payload": payload}


def state(system: Any) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """All that Darkroom keeps: the rows, and every output with its bytes."""
    listed = system.s3.list_objects_v2(Bucket="darkroom-outputs").get("Contents", [])
    bodies = {item["Key"]: system.s3.get_object(Bucket="darkroom-outputs", Key=item["Key"]) for item in listed}
    rows = sorted(system.rows(), key=lambda row: str(row["job_id"]))
    return rows, {key: body["Body"].read() for key, body in bodies.items()}


def warm(system: Any) -> None:
    """Let one job go through, so that secrets and keys are at hand."""
    system.post({"prompt": "p"})
    system.fal.advance(10)
    assert system.answers == [200]
    system.aws_calls.clear()


def calls_of(monkeypatch: pytest.MonkeyPatch, answer: tuple[str, str, bytes] | None = None) -> list[str]:
    """Note what is asked of fal by HTTP, and give another answer for output files where one is told."""
    asked: list[str] = []
    really = Emulator.__call__

    def call(self: Emulator, environ: Any, start_response: Any) -> Iterable[bytes]:
        asked.append(f"{environ['HTTP_HOST']}{environ['PATH_INFO']}")
        if answer is None or not environ["PATH_INFO"].startswith("/files/"):
            return really(self, environ, start_response)
        status, content_type, body = answer
        moved = [("Location", "http://169.254.169.254/latest/meta-data/")] if status.startswith("3") else []
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *moved])
        return [body]

    monkeypatch.setattr(Emulator, "__call__", call)
    return asked


def spoiled_headers(delivery: Delivery) -> dict[str, dict[str, str]]:
    """The headers of a delivery, forged, broken or left out in each way."""
    _, headers, body = delivery
    signature = headers[SIGNATURE]
    raw = bytes.fromhex(signature)
    large_s = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    stranger = SigningKey(hashlib.sha256(b"a stranger").digest())
    texts = headers[REQUEST_ID], headers[USER_ID], headers[TIMESTAMP]
    flipped = f"{int(signature[0], 16) ^ 1:x}{signature[1:]}"
    signatures = {
        "zeros": "0" * 128,
        "one bit": flipped,
        "cut": signature[:-2],
        "odd": signature[:-1],
        "long": signature + "00",
        "twice": f"{signature},{signature}",
        "after another": f"{flipped},{signature}",
        "no hex": "z" * 128,
        "base64": base64.b64encode(raw).decode(),
        "spaced": " ".join(signature[i : i + 2] for i in range(0, 128, 2)),
        "another key's": sign(stranger, *texts, body),
        "malleable": large_s.hex(),
        "of the body alone": stranger.sign(body).signature.hex(),
        "a hash": hashlib.sha512(body).hexdigest(),
        "not ASCII": "\u0661" * 128,
    }
    later = str(int(headers[TIMESTAMP]) + 1)
    changed = {
        TIMESTAMP: [later, f"{headers[TIMESTAMP]}.0", f" {headers[TIMESTAMP]}", "soon", "-1", "1e9", "9" * 400, "NaN"],
        REQUEST_ID: ["0" * 36, headers[REQUEST_ID].upper(), f"{headers[REQUEST_ID]},{headers[REQUEST_ID]}"],
        USER_ID: ["user_stranger", headers[USER_ID].upper(), "*"],
    }
    without = {name: {n: v for n, v in headers.items() if n != name} for name in changed | {SIGNATURE: []}}
    return (
        {f"no {name}": left for name, left in without.items()}
        | {f"empty {name}": headers | {name: ""} for name in without}
        | {f"signature: {name}": headers | {SIGNATURE: value} for name, value in signatures.items()}
        | {f"{name}: {value:.40}": headers | {name: value} for name, values in changed.items() for value in values}
        | {"none at all": {}}
    )


def spoiled(delivery: Delivery, other: Delivery) -> dict[str, Delivery]:
    """Everything about a delivery spoiled in turn: headers, body, and the URL with its MAC."""
    url, headers, body = delivery
    cases = {name: (url, wrong, body) for name, wrong in spoiled_headers(delivery).items()}
    bodies = {
        "one byte": body.replace(b'"OK"', b'"Ok"'),
        "another file": body.replace(b"/files/", b"/filez/"),
        "written anew": json.dumps(json.loads(body), separators=(",", ":")).encode(),
        "a newline more": body + b"\n",
        "cut": body[:-1],
        "empty": b"",
        "another's": other[2],
    }
    cases |= {f"body: {name}": (url, headers, wrong) for name, wrong in bodies.items()}
    path, _, query = url.partition("?")
    stem, _, job_id = path.rpartition("/")
    before, _, mac = query.rpartition("mac=")
    other_mac = other[0].rpartition("mac=")[2]
    urls = {
        "no query": path,
        "no mac": f"{path}?{before.rstrip('&')}",
        "empty mac": f"{path}?{before}mac=",
        "other mac": f"{path}?{before}mac={other_mac}",
        "short mac": f"{path}?{before}mac={mac[:-1]}",
        "two macs": f"{path}?{before}mac={mac},{other_mac}",
        "non-ASCII mac": f"{path}?{before}mac=%C3%A4",
        "attempt": url.replace("attempt=1", "attempt=2"),
        "no attempt": url.replace("attempt=1&", ""),
        "padded attempt": url.replace("attempt=1", "attempt=01"),
        "wordy attempt": url.replace("attempt=1", "attempt=one"),
        "other job": f"{other[0].partition('?')[0]}?{query}",
        "no job": f"{stem}/{'0' * 32}?{query}",
        "upper case": f"{stem}/{job_id.upper()}?{query}",
        "no id": f"{stem}/?{query}",
    }
    if "key=" in query:
        urls["output key"] = url.replace("key=jobs", "key=studio-shot")
    return cases | {f"url: {name}": (wrong, headers, body) for name, wrong in urls.items()}


def test_a_spoiled_delivery_is_refused(system: Any) -> None:
    """Whatever is forged, altered or left out: 401, not one AWS call, nothing changes, and the true one still works."""
    warm(system)
    other = system.deliveries[0]
    job_id, delivery = finished(system)
    before = state(system)
    system.aws_calls.clear()
    answers = {name: system.call_back(*wrong) for name, wrong in spoiled(delivery, other).items()}
    assert {name: status for name, status in answers.items() if status != 401} == {}
    assert system.aws_calls == []
    assert state(system) == before
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"


def test_forged_calls_fetch_keys_once_in_five_minutes(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of signatures by unknown keys makes fal's key server no work, and one with a wrong MAC none at all."""
    warm(system)
    _, (url, headers, body) = finished(system)
    asked = calls_of(monkeypatch)
    stranger = SigningKey(hashlib.sha256(b"a stranger").digest())
    for attempt in range(40):
        assert system.call_back(url + "0", headers, body) == 401
        system.fal.advance(5)
        timestamp = str(int(headers[TIMESTAMP]) + attempt)
        forged = sign(stranger, headers[REQUEST_ID], headers[USER_ID], timestamp, body)
        assert system.call_back(url, headers | {TIMESTAMP: timestamp, SIGNATURE: forged}, body) == 401
    assert len([call for call in asked if call.endswith("/jwks.json")]) <= 1


def test_the_timestamp_s_tolerance(system: Any) -> None:
    """Five minutes early or late is good, a second more is not; the job is then found done by asking."""
    for skew, status in ((-301, 401), (-300, 200), (300, 200), (301, 401)):
        job_id, delivery = finished(system)
        moment = str(int(system.fal.clock.now()) + skew)
        before = state(system)
        assert system.call_back(*signed(system, delivery, timestamp=moment)) == status
        assert (state(system) == before) == (status == 401)
        for _ in range(5):
            system.fal.advance(60)
            system.sweep()
        assert system.job(job_id)["status"] == "succeeded"
        assert system.call_back(*delivery) == 401


def test_base64_bodies_are_decoded_before_they_are_verified(system: Any) -> None:
    """API Gateway may pass a body as base64: the bytes inside are what fal signed."""
    job_id, (url, headers, body) = finished(system)
    event = {
        "version": "2.0",
        "headers": {name.lower(): value for name, value in headers.items()},
        "queryStringParameters": dict(parse_qsl(urlsplit(url).query)),
        "pathParameters": {"job_id": job_id},
        "requestContext": {"http": {"method": "POST", "path": f"/webhooks/fal/{job_id}"}},
        "isBase64Encoded": True,
    }
    for wrong in (body + b" ", body[:-1], base64.b64encode(body), b""):
        spoiled_event = event | {"body": base64.b64encode(wrong).decode()}
        assert callback.handler(spoiled_event, system.context)["statusCode"] == 401
    assert system.job(job_id)["status"] == "queued"
    whole = event | {"body": base64.b64encode(body).decode()}
    assert callback.handler(whole, system.context)["statusCode"] == 200
    assert system.job(job_id)["status"] == "succeeded"


def test_an_authentic_delivery_for_another_job(system: Any) -> None:
    """What fal signed for one request is no news of another, before and after that one settles."""
    kept = held(system)
    ids = [system.post({"prompt": prompt})[1]["job_id"] for prompt in ("first", "second")]
    system.fal.advance(10)
    first, second = sorted(kept, key=lambda call: ids.index(call[0].partition("?")[0].rpartition("/")[2]))
    swapped = (second[0], first[1], first[2])
    for _ in range(2):
        before = state(system)
        system.aws_calls.clear()
        assert system.call_back(*swapped) == 404
        assert state(system) == before
        assert {"PutObject", "PutItem"}.isdisjoint(system.aws_calls)
        assert system.call_back(*second) == 200
    assert [system.job(job_id)["status"] for job_id in ids] == ["queued", "succeeded"]
    assert system.call_back(*first) == 200
    assert system.job(ids[0])["status"] == "succeeded"


def test_an_authentic_delivery_of_a_stranger(system: Any) -> None:
    """fal signs for every customer: a request that is not the job's own changes nothing about it."""
    job_id, delivery = finished(system)
    stranger = "11111111-2222-3333-4444-555555555555"
    body = json.loads(delivery[2]) | {"request_id": stranger, "gateway_request_id": stranger}
    before = state(system)
    for changes in ({"request_id": stranger}, {"request_id": stranger, "user_id": "user_stranger"}):
        assert system.call_back(*signed(system, delivery, body, **changes)) == 404
        failure = body | {"status": "ERROR", "error": "no", "payload": {"detail": "no"}}
        assert system.call_back(*signed(system, delivery, failure, **changes)) == 404
    assert state(system) == before
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"


def test_a_delivery_whose_job_is_gone(system: Any) -> None:
    """With no row there is no job: 404, and no object is left behind."""
    job_id, delivery = finished(system)
    boto3.client("dynamodb").delete_item(TableName="darkroom-jobs", Key={"job_id": {"S": job_id}})
    assert system.call_back(*delivery) == 404
    assert state(system) == ([], {})


@pytest.mark.parametrize(("pinned", "status"), [("user_darkroom", 200), ("user_other", 401)])
def test_the_account_can_be_pinned(make_system: Callable[..., Any], pinned: str, status: int) -> None:
    """With FAL_USER_ID, deliveries of any other account are refused, however well signed."""
    system = make_system({"FAL_USER_ID": pinned})
    _, job = system.post({"prompt": "p"})
    system.aws_calls.clear()
    before = state(system)
    system.fal.advance(10)
    assert set(system.answers) == {status}
    if status == 401:
        assert state(system) == before
        assert {"GetItem", "UpdateItem", "PutObject"}.isdisjoint(system.aws_calls)
    else:
        assert system.job(job["job_id"])["status"] == "succeeded"


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moto do each call whole before the next, as AWS does; between the calls of a thread others may go first."""
    lock = threading.RLock()
    really = BotocoreStubber.__call__

    def call(self: BotocoreStubber, *arguments: Any, **more: Any) -> Any:
        with lock:
            return really(self, *arguments, **more)

    monkeypatch.setattr(BotocoreStubber, "__call__", call)


def test_five_in_parallel_settle_the_job_once(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A true delivery that comes five times at once is answered 200 each time, and one of them settles the job."""
    one_at_a_time(monkeypatch)
    together = threading.Barrier(1)
    updates: list[int] = []
    plain = system.app.client

    def wait(**_: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(5)

    def client(service: str) -> Any:
        made = plain(service)
        made.meta.events.register("before-call.dynamodb.UpdateItem", wait)
        made.meta.events.register(
            "after-call.dynamodb.UpdateItem", lambda http_response, **_: updates.append(http_response.status_code)
        )
        return made

    system.app.client = client
    warm(system)
    job_id, delivery = finished(system, num_images=2)
    updates.clear()
    together = threading.Barrier(5)
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda call: system.call_back(*call), [delivery] * 5))
    together = threading.Barrier(1)
    assert answers == [200] * 5
    assert updates.count(200) == 1
    assert [output["index"] for output in system.job(job_id)["outputs"]] == [0, 1]
    after = state(system)
    assert len(after[1]) == 3
    for _ in range(3):
        system.fal.advance(20)
        assert system.call_back(*delivery) == 200
    assert state(system) == after


OK_THEN_ERROR, ERROR_THEN_OK = "succeeded", "failed"


@pytest.mark.parametrize("first", [OK_THEN_ERROR, ERROR_THEN_OK])
def test_the_first_outcome_stays(system: Any, first: str) -> None:
    """Of two contradictory deliveries the first settles the job; the other is heard, and changes nothing."""
    job_id, delivery = finished(system)
    failure = signed(system, delivery, error(delivery, {"detail": "no", "error_type": "internal_error"}))
    calls = [delivery, failure] if first == OK_THEN_ERROR else [failure, delivery]
    assert system.call_back(*calls[0]) == 200
    assert system.job(job_id)["status"] == first
    rows, outputs = state(system)
    system.fal.advance(5)
    assert system.call_back(*calls[1]) == 200
    assert state(system)[0] == rows
    assert first == ERROR_THEN_OK or state(system)[1] == outputs
    assert (system.job(job_id)["error"] is None) == (first == OK_THEN_ERROR)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_delivery_before_the_submit_s_own_update(system: Any, outcome: str) -> None:
    """fal may be done before its answer is written: the delivery is adopted, and the late update undoes nothing."""
    if outcome == "failed":
        system.fal.add_scripts(Script(infrastructure_error="internal_error"))
    plain = system.app.client
    states: list[str] = []

    def overtake(**_: Any) -> None:
        if not states:
            states.append(system.rows()[0]["status"]["S"])
            system.fal.advance(10)

    def client(service: str) -> Any:
        made = plain(service)
        made.meta.events.register("before-call.dynamodb.UpdateItem", overtake)
        return made

    system.app.client = client
    status, job = system.post({"prompt": "p"})
    assert (status, states, system.answers) == (202, ["submitting"], [200])
    job = system.job(job["job_id"])
    (request,) = system.requests()
    assert (job["status"], job["request_id"]) == (outcome, request["request_id"])
    assert len(job["outputs"]) == len(state(system)[1]) == (1 if outcome == "succeeded" else 0)
    settled = state(system)
    system.fal.advance(600)
    system.sweep()
    assert state(system) == settled


ODD_DETAILS: tuple[Any, ...] = (None, [], {}, 5, [7], [{}], [{"loc": 1, "msg": None, "type": []}])
ODD_ERRORS: tuple[Any, ...] = (None, [], {}, "no", {"error": "no"}, *({"detail": detail} for detail in ODD_DETAILS))
ODD_IMAGES: tuple[Any, ...] = (None, "x", {}, {"url": None}, {"url": 7}, {"url": ""})
ODD_RESULTS: tuple[Any, ...] = (
    *({}, [], "x", 7, {"images": []}, {"images": None}),
    *({"images": [image]} for image in ODD_IMAGES),
)
DETAIL = {"loc": ["body", "prompt"], "msg": "a secret told", "type": "content_policy_violation", "input": "p"}


def test_errors_of_both_shapes(system: Any) -> None:
    """A list of details, a flat text, and what is neither: each fails the job with a type and a message."""
    system.fal.add_scripts(
        Script(result=ScriptedResult(status=422, body={"detail": [DETAIL]})),
        Script(infrastructure_error="runner_server_error"),
    )
    jobs = [system.post({"prompt": "p"})[1]["job_id"] for _ in range(2)]
    system.fal.advance(60)
    jobs_now = [system.job(job_id) for job_id in jobs]
    assert [job["status"] for job in jobs_now] == ["failed", "failed"]
    assert [job["error"]["type"] for job in jobs_now] == ["content_policy_violation", "runner_server_error"]
    assert all(job["error"]["message"] for job in jobs_now)
    for payload in ODD_ERRORS:
        job_id, delivery = finished(system)
        assert system.call_back(*signed(system, delivery, error(delivery, payload))) == 200
        job = system.job(job_id)
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["type"]
        assert job["error"]["message"]
    assert state(system)[1] == {}


def test_a_result_without_its_payload_is_fetched(system: Any) -> None:
    """OK with payload null and a payload_error is a success: the result is read from the queue and stored."""
    system.fal.add_scripts(Script(payload_error=True))
    _, job = system.post({"prompt": "p", "num_images": 3})
    system.fal.advance(10)
    assert json.loads(system.deliveries[0][2])["payload"] is None
    job = system.job(job["job_id"])
    assert (job["status"], len(job["outputs"]), job["error"]) == ("succeeded", 3, None)
    assert len(state(system)[1]) == 3
    assert len(system.requests()) == 1


def test_seeds_keep_every_digit(system: Any) -> None:
    """A seed is given back as text, and kept so."""
    for seed in (0, 2**53 + 1, 2**63 - 1, 17454220438242315174, 2**64 - 1, 10**38 + 1):
        system.fal.add_scripts(Script(seed=seed))
        _, job = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.job(job["job_id"])["seed"] == str(seed)
        assert str(seed) in system.row(job["job_id"])["seed"].values()


def test_a_result_without_pictures(system: Any) -> None:
    """An empty URL, no images, or no result at all is a failure with a reason, and nothing is stored."""
    system.fal.add_scripts(Script(empty_url=True))
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    ids = [job["job_id"]]
    for payload in ODD_RESULTS:
        job_id, delivery = finished(system)
        body = json.loads(delivery[2]) | {"payload": payload}
        assert system.call_back(*signed(system, delivery, body)) == 200
        ids.append(job_id)
    for job in map(system.job, ids):
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == {}


def test_a_result_with_one_picture_of_two(system: Any) -> None:
    """A paid picture is kept though the other one has no address."""
    job_id, delivery = finished(system, num_images=2)
    url = json.loads(delivery[2])["payload"]["images"][0]["url"]
    assert system.call_back(*signed(system, delivery, result(delivery, url, ""))) == 200
    job = system.job(job_id)
    assert (job["status"], len(job["outputs"])) == ("succeeded", 1)
    assert list(state(system)[1]) == [job["outputs"][0]["key"]]


FOREIGN = (
    "https://evil.example/a.jpg",
    "https://fal.media.evil.example/a.jpg",
    "https://evilfal.media/a.jpg",
    "https://v3.fal.media@evil.example/a.jpg",
    "https://user:password@v3.fal.media/a.jpg",
    "https://v3.fal.media:22/a.jpg",
    "http://v3.fal.media/a.jpg",
    "http://127.0.0.1:8788/files/a.jpg",
    "http://127.0.0.1:8787@evil.example/files/a.jpg",
    "http://127.0.0.1:8787.evil.example/files/a.jpg",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://2130706433:8787/files/a.jpg",
    "//v3.fal.media/a.jpg",
    "/files/a.jpg",
    "file:///etc/passwd",
    "ftp://v3.fal.media/a.jpg",
    "data:text/html;base64," + base64.b64encode(HTML).decode(),
    "data:image/svg+xml;base64," + base64.b64encode(SVG).decode(),
    "data:image/jpeg;base64," + base64.b64encode(HTML).decode(),
    "data:image/jpeg;base64,%%%",
    "data:image/jpeg,",
    "data:",
    "not a URL",
    "https://",
    "https://v3.fal.media:port/a.jpg",
    "\u0000",
)


def test_foreign_addresses_are_never_asked(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that is not at fal's own hosts is not fetched: the job fails and says so."""
    warm(system)
    before = state(system)[1]
    for url in FOREIGN:
        job_id, delivery = finished(system)
        with monkeypatch.context() as patch:
            asked = calls_of(patch)
            assert system.call_back(*signed(system, delivery, result(delivery, url))) == 200
            assert asked == []
        job = system.job(job_id)
        assert (url, job["status"], job["outputs"]) == (url, "failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == before


ANSWERS: dict[str, tuple[str, str, bytes]] = {
    "HTML": ("200 OK", "image/jpeg", HTML),
    "SVG": ("200 OK", "image/jpeg", SVG),
    "GIF": ("200 OK", "image/jpeg", b"GIF89a/*" + HTML),
    "empty": ("200 OK", "image/jpeg", b""),
    "half a head": ("200 OK", "image/jpeg", b"\xff\xd8\xff"),
    "no picture": ("200 OK", "image/png", b"\x00" * 1000),
    "moved": ("302 Found", "image/jpeg", b""),
    "not there": ("404 Not Found", "text/html", HTML),
    "forbidden": ("403 Forbidden", "text/html", HTML),
    "broken": ("500 Internal Server Error", "text/html", HTML),
}


def test_an_output_that_is_no_picture_is_never_stored(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there and is no picture fails the job; what cannot be had now is tried again, and fails in the end."""
    ids: list[str] = []
    asked: list[str] = []
    for name, answer in ANSWERS.items():
        with monkeypatch.context() as patch:
            told = calls_of(patch, answer)
            system.answers.clear()
            ids.append(system.post({"prompt": name})[1]["job_id"])
            system.fal.advance(10)
            asked += told
        status = system.job(ids[-1])["status"]
        expected = {"failed"} if answer[0].startswith("200") else {"failed", "storing"}
        assert (name, status in expected, system.answers) == (name, True, [200])
        assert state(system)[1] == {}
    with monkeypatch.context() as patch:
        later = calls_of(patch, ANSWERS["not there"])
        for _ in range(48):
            system.fal.advance(1800)
            system.sweep()
    for job in map(system.job, ids):
        assert (job["status"], job["outputs"]) == ("failed", [])
        assert job["error"]["message"]
    assert state(system)[1] == {}
    assert [call for call in (*asked, *later) if not call.startswith("127.0.0.1:8787/")] == []
    assert len(system.requests()) == len(ANSWERS)


def test_an_output_host_that_comes_back(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fal's file host is down the job is `storing`, answered 200, and it is finished when the host is back."""
    with monkeypatch.context() as patch:
        calls_of(patch, ANSWERS["broken"])
        _, job = system.post({"prompt": "p"})
        system.fal.advance(10)
        assert system.answers == [200]
        assert system.job(job["job_id"])["status"] == "storing"
    for _ in range(5):
        system.fal.advance(60)
        system.sweep()
    job = system.job(job["job_id"])
    assert job["status"] == "succeeded"
    ((key, content),) = state(system)[1].items()
    assert (job["outputs"][0]["key"], job["outputs"][0]["bytes"]) == (key, len(content))
