"""fal's signing keys in the whole system: cold starts, outages of the key server, rotation, and floods."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError
from nacl.signing import SigningKey

from functions import callback, jobs
from local.fal.keys import jwk
from shared.errors import JobNotFoundError
from shared.jobs import JobStatus
from shared.reading import read_job
from tests.conftest import API, plain_client
from tests.flow.deliveries import (
    REQUEST_ID,
    SIGNATURE,
    TIMESTAMP,
    USER_ID,
    Delivery,
    calls_of,
    finished,
    held,
    signed,
    state,
)
from tests.flow.test_deliveries import spoiled

ROW = "shared#signing-keys"
FIVE_MINUTES = 300


def cold(system: Any) -> None:
    """Forget what a process knows: the next call meets a new one."""
    for part in ("verifier", "credentials", "dynamodb"):
        system.app.__dict__.pop(part, None)
    system.aws_calls.clear()


def fresh(system: Any, delivery: Delivery) -> Delivery:
    """The delivery, signed again by fal's present key at the present time."""
    return signed(system, delivery, timestamp=str(int(system.fal.clock.now())))


def keys_asked(asked: list[str]) -> int:
    """How often fal's key server was asked."""
    return len([call for call in asked if call.endswith("/jwks.json")])


def test_a_cold_start_verifies_while_the_key_server_is_down(system: Any) -> None:
    """A process that started in the outage takes what another kept, for one read more, and settles the job."""
    _, first = finished(system)
    cold(system)
    assert system.call_back(*first) == 200
    assert system.aws_calls[:2] == ["GetSecretValue", "UpdateItem"]
    kept = json.loads(system.row(ROW)["jwks"]["S"])
    assert jwk(system.fal.keys.current) in kept["keys"]
    job_id, delivery = finished(system)
    system.fal.change_settings({"jwks": "down"})
    cold(system)
    assert system.call_back(*delivery) == 200
    assert system.aws_calls == ["GetSecretValue", "GetItem", "GetItem", "PutObject", "UpdateItem"]
    assert system.job(job_id)["status"] == "succeeded"


def test_the_row_is_no_job(system: Any) -> None:
    """Neither reading nor delivering can address it, no list shows it, and the sweep passes it by."""
    _, delivery = finished(system)
    assert system.call_back(*delivery) == 200
    assert system.row(ROW)
    before = system.row(ROW)
    assert system.get("/jobs/shared%23signing-keys")[0] == 404
    assert system.call_back(delivery[0].replace("/fal/", "/fal/shared%23signing-keys"), *delivery[1:]) == 401
    # API Gateway decodes paths.
    event = {
        "version": "2.0",
        "rawPath": f"/jobs/{ROW}",
        "headers": {name.lower(): value for name, value in delivery[1].items()},
        "queryStringParameters": dict(parse_qsl(urlsplit(delivery[0]).query)),
        "pathParameters": {"job_id": ROW},
        "requestContext": {
            "http": {"method": "GET", "path": f"/jobs/{ROW}"},
            "requestId": "JKJaXmPLvHcESHA=",
            "authorizer": {"lambda": {"owner": "shop"}},
            "stage": "$default",
        },
        "body": delivery[2].decode(),
    }
    assert jobs.handler(event, system.context)["statusCode"] == 404
    assert callback.handler(event, system.context)["statusCode"] == 401
    with pytest.raises(JobNotFoundError):
        read_job(system.app, "shop", ROW)
    assert [job["status"] for job in system.jobs()] == [JobStatus.SUCCEEDED]
    system.pass_time(600)
    assert system.row(ROW) == before


def test_a_rotation_is_seen_and_kept(system: Any) -> None:
    """A delivery by a new key is taken after one look, and the next cold start in an outage knows that key."""
    held(system)
    _, first = finished(system)
    assert system.call_back(*first) == 200
    before = system.row(ROW)
    system.fal.keys.rotate()
    system.fal.advance(FIVE_MINUTES)
    _, second = finished(system)
    assert system.call_back(*second) == 200
    assert system.row(ROW) != before
    system.fal.change_settings({"jwks": "down"})
    _, third = finished(system)
    cold(system)
    assert system.call_back(*third) == 200


def test_a_key_that_cannot_be_had_makes_fal_deliver_again(system: Any) -> None:
    """After a rotation in an outage a true delivery is answered 503, and taken when the server is back."""
    _, first = finished(system)
    assert system.call_back(*first) == 200
    system.fal.change_settings({"jwks": "down"})
    system.fal.keys.rotate()
    system.fal.advance(FIVE_MINUTES)
    job_id, delivery = finished(system)
    for _ in range(2):
        before = state(system)
        assert system.call_back(*delivery) == 503
        assert state(system) == before
        cold(system)
    system.fal.change_settings({"jwks": "ok"})
    cold(system)
    assert system.call_back(*delivery) == 200
    assert system.job(job_id)["status"] == "succeeded"


@pytest.mark.parametrize("mode", ["down", "empty", "oversized"])
def test_an_outage_before_anything_was_kept(system: Any, mode: str) -> None:
    """Without keys anywhere the delivery is answered 503, the row stays unwritten, and asking recovers the job."""
    job_id, delivery = finished(system)
    system.fal.change_settings({"jwks": mode})
    assert system.call_back(*delivery) == 503
    assert system.row(ROW) is None
    system.pass_time(300)
    assert system.job(job_id)["status"] == "succeeded"


@pytest.mark.parametrize("operation", ["UpdateItem", "GetItem"])
def test_trouble_with_the_row_costs_no_delivery(
    system: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    """Where the row cannot be written, or read by a process with old keys, a delivery that verifies settles its job."""
    _, first = finished(system)
    if operation == "GetItem":
        assert system.call_back(*first) == 200
        system.fal.change_settings({"jwks": "down"})
        system.fal.advance(25 * 3600)
        _, first = finished(system)
    plain = plain_client("dynamodb")

    class Troubled:
        """The client, for which the shared row is out of reach."""

        exceptions = plain.exceptions

        def __getattr__(self, name: str) -> Any:
            def call(**arguments: Any) -> Any:
                if arguments["Key"]["job_id"]["S"] == ROW:
                    raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, operation)
                return getattr(plain, name)(**arguments)

            return call

    monkeypatch.setitem(system.app.__dict__, "dynamodb", Troubled())
    assert system.call_back(*first) == 200
    said = {"UpdateItem": "signing keys not kept", "GetItem": "kept signing keys cannot be read"}[operation]
    assert said in caplog.messages


def everything() -> tuple[Any, Any]:
    """All that Darkroom keeps, shared rows too."""
    rows = plain_client("dynamodb").scan(TableName="darkroom-jobs")["Items"]
    objects = plain_client("s3").list_objects_v2(Bucket="darkroom-outputs").get("Contents", [])
    return sorted(rows, key=str), [(item["Key"], item["ETag"]) for item in objects]


def forged(system: Any, delivery: Delivery, other: Delivery) -> list[Delivery]:
    """Forgeries of every kind, among them those that get as far as the keys."""
    url, headers, body = delivery
    stranger = SigningKey(b"\x07" * 32)
    own = system.fal.keys.current
    now = int(system.fal.clock.now())
    texts = headers[REQUEST_ID], headers[USER_ID], str(now)
    message = "\n".join([*texts, "0" * 64]).encode()
    mac = url.rpartition("=")[2]
    strangers = stranger.sign(message).signature.hex()
    return [
        *spoiled(delivery, other).values(),
        (url, headers | {SIGNATURE: strangers, TIMESTAMP: str(now)}, body),
        (url, headers | {SIGNATURE: own.sign(message).signature.hex(), TIMESTAMP: str(now)}, body),
        (url.replace(mac, "0" * 64), headers, body),
        (url, {}, body),
        (url, headers, body[: len(body) // 2]),
        signed(system, delivery, timestamp=str(now - 301)),
        signed(system, delivery, timestamp=str(now + 301)),
        signed(system, delivery, user_id="user_foreign", timestamp=str(now)),
    ]


@pytest.mark.long
def test_ten_thousand_forged_calls(make_system: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood at a cold process costs a read of a secret and a look for keys; none is taken, nothing changes."""
    system = make_system({"FAL_USER_ID": "user_darkroom"})
    _, other = finished(system)
    assert system.call_back(*other) == 200
    _, delivery = finished(system)
    before = everything()
    cold(system)
    asked = calls_of(monkeypatch)
    kinds = forged(system, delivery, other)
    for number in range(5_000):
        assert system.call_back(*kinds[number % len(kinds)]) == 401
    # One kind is no forgery but an old, true delivery: whether its job still waits for it is looked up once.
    assert (system.aws_calls, keys_asked(asked)) == (["GetSecretValue", "GetItem"], 1)
    began, intervals = system.fal.clock.now(), 10
    for _ in range(100):
        system.fal.clock.move(FIVE_MINUTES * intervals / 100)
        kinds = forged(system, delivery, other)
        assert {system.call_back(*kinds[number % len(kinds)]) for number in range(50)} == {401}
    assert system.fal.clock.now() - began == FIVE_MINUTES * intervals
    assert system.aws_calls.count("GetItem") == 1
    assert set(system.aws_calls) == {"GetSecretValue", "GetItem"}
    assert len(system.aws_calls) <= 2 + intervals
    assert 1 < keys_asked(asked) <= 1 + intervals
    assert everything() == before
    assert system.call_back(*fresh(system, delivery)) == 200


def test_a_flood_in_an_outage(make_system: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key server down, a flood at a cold process costs one read of the row more, in five minutes."""
    system = make_system({"FAL_USER_ID": "user_darkroom"})
    _, other = finished(system)
    assert system.call_back(*other) == 200
    _, delivery = finished(system)
    before = everything()
    system.fal.change_settings({"jwks": "down"})
    cold(system)
    asked = calls_of(monkeypatch)
    kinds = forged(system, delivery, other)
    answers = {system.call_back(*kinds[number % len(kinds)]) for number in range(1_000)}
    assert 200 not in answers
    assert sorted(system.aws_calls) == ["GetItem", "GetItem", "GetSecretValue"]
    assert keys_asked(asked) == 1
    assert everything() == before


def test_the_webhook_secret_is_rotated_in_flight(system: Any) -> None:
    """Requests under way carry the old MAC: they are taken while the secret holds its key, and refused afterwards."""
    held(system)
    under_way = [finished(system) for _ in range(2)]
    secret = {"url": API, "mac_key": "n" * 64, "previous_mac_key": "k" * 64}
    secrets = plain_client("secretsmanager")
    secrets.put_secret_value(SecretId="darkroom/webhook", SecretString=json.dumps(secret))
    cold(system)
    assert system.call_back(*under_way[0][1]) == 200
    new_id, delivery = finished(system)
    assert delivery[0].rpartition("=")[2] != under_way[0][1][0].rpartition("=")[2]
    assert system.call_back(*delivery) == 200
    assert system.job(new_id)["status"] == "succeeded"
    secrets.put_secret_value(SecretId="darkroom/webhook", SecretString=json.dumps(secret | {"previous_mac_key": ""}))
    cold(system)
    assert system.call_back(*under_way[1][1]) == 401
    system.pass_time(300)
    assert system.job(under_way[1][0])["status"] == "succeeded"


def test_the_callback_s_fetch_is_the_application_s_own(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key server that answers with a redirect is not followed elsewhere."""
    _, delivery = finished(system)
    elsewhere: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        elsewhere.append(str(request.url))
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/"}, stream=httpx.ByteStream(b""))

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        monkeypatch.setattr(system.app, "http", http)
        assert system.call_back(*delivery) == 503
    assert [url for url in elsewhere if "169.254" in url] == []
    assert len(elsewhere) == 1
