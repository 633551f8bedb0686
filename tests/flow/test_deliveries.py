"""Which deliveries are refused, and that a true one settles its job once, whenever and however often it comes."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from nacl.signing import SigningKey

from functions import callback
from local.fal import Script
from local.fal.keys import sign
from tests.flow.deliveries import (
    ORDER,
    REQUEST_ID,
    SIGNATURE,
    TIMESTAMP,
    USER_ID,
    Delivery,
    calls_of,
    error,
    finished,
    held,
    signed,
    state,
    warm,
)


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


@pytest.mark.usefixtures("one_at_a_time")
def test_five_in_parallel_settle_the_job_once(system: Any) -> None:
    """A true delivery that comes five times at once is answered 200 each time, and one of them settles the job."""
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
