"""What can go wrong with a delivery, though fal means well, or because somebody else sent it."""

import json
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from local.fal.keys import sign
from local.fal.spoiling import ORDER
from tests.local.fal.signatures import published, verifies

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal, Live, Sent

HOOK = "https://hooks.example/fal"
PAINT = "fal-ai/flux-pro/kontext/text-to-image"
USER_ID = "X-Fal-Webhook-User-Id"
TIMESTAMP = "X-Fal-Webhook-Timestamp"
SIGNATURE = "X-Fal-Webhook-Signature"
REFUSED = {"status": 422, "body": {"detail": []}}


def run(fal: "Fal", hook: str = HOOK, **script: object) -> dict[str, Any]:
    """Submit with that script, and give the job."""
    fal.script(script)
    return fal.submit(params={"fal_webhook": hook})


def told(fal: "Fal", **deliveries: object) -> list["Sent"]:
    """Give what arrives within a minute of a request with those delivery faults."""
    run(fal, deliveries=deliveries)
    fal.emulator.advance(60)
    return fal.sent


def verdicts(fal: "Fal") -> list[str]:
    """Say of each delivery that arrived what it tells."""
    return [json.loads(sent.body)["status"] for sent in fal.sent]


def test_a_delivery_comes_several_times(fal: "Fal") -> None:
    """The copies are equal to the byte, and come at the same moment or as far apart as is asked."""
    first, second, third = told(fal, copies=3)
    assert first == second == third
    fal.sent.clear()
    run(fal, deliveries={"copies": 3, "apart_seconds": 3600})
    fal.emulator.advance(3 * 3600)
    first, second, third = fal.sent
    assert (second.at - first.at, third.at - second.at) == (3600, 3600)
    assert all(verifies(sent, published(fal)) for sent in fal.sent)


def test_each_copy_has_its_own_retries(fal: "Fal") -> None:
    """One that is refused comes again, while the other has arrived."""
    fal.receive = lambda _: 503 if len(fal.sent) == 1 else 200
    job = run(fal, deliveries={"copies": 2})
    fal.emulator.advance(60)
    found = [[one["status"] for one in delivery["attempts"]] for delivery in fal.seen(job)["deliveries"]]
    assert found == [[503, 200], [200]]


class Together(BaseHTTPRequestHandler):
    """Answers none before three are there."""

    there = threading.Barrier(3)

    def do_POST(self) -> None:
        """Wait for the others."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.there.wait(10)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_copies_come_in_parallel(live: "Live") -> None:
    """A receiver that answers none before all three have come gets them all, each at its first attempt."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Together) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
        thread.start()
        live.script({"deliveries": {"copies": 3}})
        hook = f"http://127.0.0.1:{server.server_port}/"
        live.http.post(f"/{PAINT}", json={"prompt": "a"}, params={"fal_webhook": hook})
        deadline = time.monotonic() + 10
        states: list[str] = []
        while states != ["delivered"] * 3 and time.monotonic() < deadline:
            time.sleep(0.02)
            states = [one["state"] for one in live.requests()[0]["deliveries"]]
        server.shutdown()
        thread.join()
    assert [len(one["attempts"]) for one in live.requests()[0]["deliveries"]] == [1, 1, 1]


def test_a_delivery_is_delayed(fal: "Fal") -> None:
    """It is signed when it is sent, so that it is late and not stale."""
    job = run(fal, deliveries={"delay_seconds": 900})
    fal.emulator.advance(1000)
    (sent,) = fal.sent
    assert sent.at == fal.seen(job)["completed_at"] + 900
    assert sent.headers[TIMESTAMP] == str(int(sent.at))


def test_a_delivery_is_lost_for_ever(fal: "Fal") -> None:
    """Nobody is told, and who asks learns that it succeeded."""
    job = run(fal, deliveries={"lost": True})
    fal.emulator.advance(86400)
    assert fal.sent == []
    assert fal.seen(job)["deliveries"][0]["state"] == "lost"
    assert fal.http.get(job["response_url"]).status_code == 200


def test_a_delivery_overtakes_the_answer_of_its_submit(fal: "Fal") -> None:
    """It has come and been answered when the submit returns, and no clock had to move."""
    before = fal.emulator.clock.now()
    job = run(fal, deliveries={"at_submit": True})
    (sent,) = fal.sent
    assert json.loads(sent.body)["request_id"] == job["request_id"]
    assert verifies(sent, published(fal))
    assert (job["status"], fal.status(job)["status"]) == ("IN_PROGRESS", "COMPLETED")
    assert fal.emulator.clock.now() == before
    fal.emulator.advance(60)
    assert len(fal.sent) == 1


def test_a_receiver_may_call_fal_while_the_submit_waits(fal: "Fal") -> None:
    """All in one process and on one thread: it fetches the output and submits another request that does the same."""
    statuses: list[int] = []

    def receive(sent: "Sent") -> int:
        url = json.loads(sent.body)["payload"]["images"][0]["url"]
        statuses.append(fal.http.get(url).status_code)
        if len(fal.sent) == 1:
            run(fal, deliveries={"at_submit": True})
        return 200

    fal.receive = receive
    run(fal, deliveries={"at_submit": True})
    assert statuses == [200, 200]


def test_a_receiver_that_refuses_at_submit_is_told_again(fal: "Fal") -> None:
    """The submit is answered all the same, and a usual retry follows."""
    fal.receive = lambda _: 503 if len(fal.sent) == 1 else 200
    run(fal, deliveries={"at_submit": True})
    fal.emulator.advance(60)
    assert len(fal.sent) == 2


def test_a_delivery_overtakes_an_answer_that_is_then_lost(fal: "Fal") -> None:
    """Faults of submit and delivery go together."""
    fal.script({"submit": {"answer": "nginx_504", "accepted": True}, "deliveries": {"at_submit": True}})
    assert fal.post(params={"fal_webhook": HOOK}).status_code == 504
    assert verdicts(fal) == ["OK"]


@pytest.mark.parametrize("seconds", [-301, -300, 301, 86400])
def test_a_timestamp_is_stale_or_ahead_and_truly_signed(fal: "Fal", seconds: int) -> None:
    """Only the time is wrong."""
    (sent,) = told(fal, spoil={"timestamp_seconds": seconds})
    assert int(sent.headers[TIMESTAMP]) == int(sent.at) + seconds
    assert verifies(sent, published(fal))


def test_a_delivery_is_signed_by_a_key_that_fal_does_not_have(fal: "Fal") -> None:
    """The signature is one, and no published key made it."""
    (sent,) = told(fal, spoil={"signature": "wrong_key"})
    assert len(bytes.fromhex(sent.headers[SIGNATURE])) == 64
    assert not verifies(sent, published(fal))


def test_a_foreign_account_is_truly_signed(fal: "Fal") -> None:
    """fal's key signs for all its customers."""
    (sent,) = told(fal, spoil={"user_id": "user_somebody"})
    assert sent.headers[USER_ID] == "user_somebody"
    assert verifies(sent, published(fal))


@pytest.mark.parametrize("how", ["flipped", "truncated", "not_hex", "non_canonical", "zeros"])
def test_a_signature_is_spoiled(fal: "Fal", how: str) -> None:
    """All the rest is as fal sends it."""
    (sent,) = told(fal, spoil={"signature": how})
    assert not verifies(sent, published(fal))
    headers = sent.headers
    request_id = headers["X-Fal-Webhook-Request-Id"]
    true = sign(fal.emulator.keys.current, request_id, headers[USER_ID], headers[TIMESTAMP], sent.body)
    assert headers[SIGNATURE] != true
    if how == "non_canonical":
        numbers = [int.from_bytes(bytes.fromhex(one)[32:], "little") for one in (headers[SIGNATURE], true)]
        assert numbers[0] - numbers[1] == ORDER
    if how == "not_hex":
        with pytest.raises(ValueError, match="non-hex"):
            bytes.fromhex(headers[SIGNATURE])


@pytest.mark.parametrize("how", ["padded", "flipped", "truncated"])
def test_a_body_is_changed_after_signing(fal: "Fal", how: str) -> None:
    """A space more leaves the JSON what it was, and the signature is good for the true bytes alone."""
    job = run(fal, deliveries={"spoil": {"body": how}})
    fal.emulator.advance(60)
    (sent,) = fal.sent
    true = fal.seen(job)["deliveries"][0]["body"]
    assert not verifies(sent, published(fal))
    assert verifies(replace(sent, body=true.encode()), published(fal))
    if how == "padded":
        assert json.loads(sent.body) == json.loads(true)


@pytest.mark.parametrize("name", ["X-Fal-Webhook-Request-Id", USER_ID, TIMESTAMP, SIGNATURE])
def test_a_header_is_missing_doubled_or_altered(fal: "Fal", name: str) -> None:
    """Each of the four, and nothing else about the delivery."""
    (missing,) = told(fal, spoil={"drop_headers": [name]})
    assert set(missing.headers) == {"Content-Type", "X-Fal-Webhook-Request-Id", USER_ID, TIMESTAMP, SIGNATURE} - {name}
    fal.sent.clear()
    (doubled,) = told(fal, spoil={"double_headers": [name]})
    assert doubled.headers[name] == doubled.headers[name.lower()]
    assert verifies(doubled, published(fal))
    fal.sent.clear()
    (altered,) = told(fal, spoil={"set_headers": {name: "17"}})
    assert altered.headers[name] == "17"
    assert not verifies(altered, published(fal))


def test_a_doubled_header_goes_over_the_wire_twice(live: "Live") -> None:
    """Real HTTP carries both lines."""
    lines: list[list[str]] = []

    class Counting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            lines.append(self.headers.get_all(TIMESTAMP, []))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Counting) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        live.script({"deliveries": {"spoil": {"double_headers": [TIMESTAMP]}}})
        hook = f"http://127.0.0.1:{server.server_port}/"
        live.http.post(f"/{PAINT}", json={"prompt": "a"}, params={"fal_webhook": hook})
        thread.join(10)
    ((first, second),) = lines
    assert first == second


def test_true_deliveries_follow_spoiled_ones(fal: "Fal") -> None:
    """The first two attempts are spoiled and the third is true; or all of them are."""
    fal.receive = lambda sent: 200 if verifies(sent, published(fal)) else 401
    first, second, third = told(fal, spoil={"signature": "wrong_key"}, spoil_first=2)
    assert [verifies(sent, published(fal)) for sent in (first, second, third)] == [False, False, True]
    fal.sent.clear()
    run(fal, deliveries={"spoil": {"signature": "wrong_key"}})
    fal.emulator.advance(3600)
    assert len(fal.sent) == 32


def test_the_deliveries_of_two_requests_are_swapped(fal: "Fal") -> None:
    """A delay of the first lets the second be told first."""
    first = run(fal, deliveries={"delay_seconds": 30})
    second = run(fal)
    fal.emulator.advance(60)
    assert [json.loads(sent.body)["request_id"] for sent in fal.sent] == [second["request_id"], first["request_id"]]


@pytest.mark.parametrize(
    ("script", "told_first"),
    [
        ({"deliveries": {"extra": [{"contradicts": True, "delay_seconds": 1}]}}, ["OK", "ERROR"]),
        ({"deliveries": {"extra": [{"contradicts": True}], "delay_seconds": 1}}, ["ERROR", "OK"]),
        ({"result": REFUSED, "deliveries": {"extra": [{"contradicts": True, "delay_seconds": 1}]}}, ["ERROR", "OK"]),
        ({"result": REFUSED, "deliveries": {"extra": [{"contradicts": True}], "delay_seconds": 1}}, ["OK", "ERROR"]),
    ],
)
def test_a_second_delivery_contradicts(fal: "Fal", script: dict[str, Any], told_first: list[str]) -> None:
    """OK then ERROR and ERROR then OK, each truly signed, and whichever of the two is true."""
    run(fal, **script)
    fal.emulator.advance(60)
    assert verdicts(fal) == told_first
    assert all(verifies(sent, published(fal)) for sent in fal.sent)


def test_a_forgery_comes_besides_the_true_delivery(fal: "Fal") -> None:
    """It lies, is signed by a stranger's key, and is not tried again when it is refused."""
    fal.receive = lambda sent: 200 if verifies(sent, published(fal)) else 401
    run(fal, deliveries={"delay_seconds": 5, "extra": [{"contradicts": True, "signature": "wrong_key"}]})
    fal.emulator.advance(3600)
    assert [verifies(sent, published(fal)) for sent in fal.sent] == [False, True]
    assert verdicts(fal) == ["ERROR", "OK"]


def test_a_delivery_is_replayed_to_another_job(fal: "Fal") -> None:
    """True in every byte, and at the wrong address; also hours later at the right one."""
    run(fal, deliveries={"extra": [{"url": HOOK + "?job=2"}, {"delay_seconds": 7200}]})
    fal.emulator.advance(3 * 3600)
    assert [sent.url for sent in fal.sent] == [HOOK, HOOK + "?job=2", HOOK]
    assert len({sent.body for sent in fal.sent}) == 1
    assert fal.sent[2].at - fal.sent[0].at == 7200


def test_an_extra_delivery_to_a_private_target_is_dropped_too(fal: "Fal") -> None:
    """What fal cannot reach, it cannot reach by a fault."""
    job = run(fal, deliveries={"extra": [{"url": "http://10.0.0.1/"}]})
    fal.emulator.advance(60)
    assert [one["state"] for one in fal.seen(job)["deliveries"]] == ["delivered", "dropped"]


@pytest.mark.parametrize(
    "deliveries",
    [
        {"at_submit": True, "lost": True},
        {"at_submit": True, "delay_seconds": 1},
        {"copies": 0},
        {"spoil": {"drop_headers": ["X-Fal-Nothing"]}},
        {"extra": [{"again": True}]},
    ],
)
def test_faults_that_exclude_each_other_are_refused(fal: "Fal", deliveries: dict[str, object]) -> None:
    """The 422 names the place."""
    answer = fal.http.post("/emulator/scripts", json={"deliveries": deliveries})
    assert answer.status_code == 422
    assert all(detail["loc"][:2] == [0, "deliveries"] for detail in answer.json()["detail"])
