"""AWS that is throttled or down: callers are told to come again, and nobody pays twice for it."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber

from functions import authorize
from local.fal.scripts import Script

BODY = {"prompt": "a red shoe"}
THROTTLED = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}
Answering = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Lets AWS answer some operations in a way of its own, by HTTP as it would, for as long as a block lasts."""
    really = BotocoreStubber.__call__

    @contextmanager
    def answer(*operations: str, status: int = 400, content: Any = THROTTLED) -> Iterator[None]:
        def call(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
            _, _, operation = event_name.rpartition(".")
            if operation not in operations:
                return really(self, event_name, request, **more)
            raw = SimpleNamespace(stream=lambda **_: iter([body]), read=BytesIO(body).read)
            return AWSResponse(request.url, status, HTTPHeaders(), raw)

        body = json.dumps(content).encode()
        with monkeypatch.context() as patch:
            patch.setattr(BotocoreStubber, "__call__", call)
            patch.setattr("botocore.endpoint.time.sleep", lambda _: None)
            yield

    return answer


def is_problem(answer: tuple[int, dict[str, Any]]) -> bool:
    """Whether an answer says, as docs/api.md promises, that another try may help."""
    status, body = answer
    return (status, body["status"], body["title"]) == (503, 503, "Unavailable")


def test_reading_comes_again(system: Any, answering: Answering) -> None:
    """GET of a job and of the list are 503 problems, whichever read is refused, and also by a failing DynamoDB."""
    _, job = system.post(BODY)
    with answering("GetItem"):
        assert is_problem(system.get(f"/jobs/{job['job_id']}"))
    for operation in ("Query", "BatchGetItem"):
        with answering(operation):
            assert is_problem(system.get("/jobs"))
        with answering(operation, status=500, content={"__type": "InternalServerError"}):
            assert is_problem(system.get("/jobs"))
    assert system.get("/jobs")[0] == 200


def test_a_table_that_hands_keys_back_unread(system: Any, answering: Answering) -> None:
    """A list is not waited for until the function ends."""
    system.post(BODY)
    key = {"job_id": {"S": system.jobs()[0]["job_id"]}}
    unread = {"Responses": {}, "UnprocessedKeys": {"darkroom-jobs": {"Keys": [key]}}}
    with answering("BatchGetItem", status=200, content=unread):
        assert is_problem(system.get("/jobs"))


def test_what_is_not_written_down_is_not_sent(system: Any, answering: Answering) -> None:
    """A post whose job cannot be written, or whose key cannot be looked up, is a 503, and nothing is paid."""
    with answering("PutItem"):
        assert is_problem(system.post(BODY))
    with answering("GetItem"):
        assert is_problem(system.post(BODY, idempotency_key="k"))
    assert system.requests() == []


def test_what_was_sent_is_not_a_503(system: Any, answering: Answering) -> None:
    """Once fal has the request the caller gets the job, though it could not be noted: a repeated post would be paid."""
    with answering("UpdateItem"):
        status, job = system.post(BODY)
    assert (status, job["status"]) == (202, "submitting")
    system.pass_time(600)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_an_unforeseen_error_after_fal_took_it_is_no_5xx(system: Any, answering: Answering) -> None:
    """Whatever keeps the note from being written, the caller has the job, and it ends by fal's delivery."""
    refused = {"__type": "com.amazon.coral.validate#ValidationException", "message": "an odd one"}
    with answering("UpdateItem", content=refused):
        status, job = system.post(BODY)
    assert (status, job["status"]) == (202, "submitting")
    system.pass_time(600)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_what_fal_did_not_take_is_a_503(system: Any, answering: Answering) -> None:
    """Where nothing was paid the caller may post again, and is told so."""
    system.fal.add_scripts(Script.model_validate({"submit": {"answer": 400}}))
    with answering("UpdateItem"):
        assert is_problem(system.post(BODY))
    assert system.requests() == []


def test_a_delivery_comes_again(system: Any, answering: Answering) -> None:
    """fal is told to deliver again while the table does not answer, and the job ends well."""
    _, job = system.post(BODY)
    with answering("GetItem", "UpdateItem"):
        system.fal.advance(60)
        assert set(system.answers) == {503}
    system.fal.advance(7200)
    assert system.job(job["job_id"])["status"] == "succeeded"
    assert len(system.requests()) == 1


def test_a_token_that_cannot_be_looked_up_comes_again(system: Any, answering: Answering) -> None:
    """While Secrets Manager does not answer, a caller is told to come again, and not that the token is nobody's."""
    with answering("GetSecretValue"):
        told = authorize.handler({"headers": {"authorization": "Bearer token of the shop"}}, system.context)
    assert told["isAuthorized"] is True
    answer = system.http("GET", "/jobs", authorizer=told["context"])
    assert is_problem((answer["statusCode"], json.loads(answer["body"])))
    assert "secret" not in answer["body"]
