"""Requests that become events, and answers that become responses."""

import base64
import gzip
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from local.container_process import FunctionError, PayloadTooLargeError
from local.gateway import MAX_BODY, Gateway
from local.resources import Template

TOKEN = {"Authorization": "Bearer local"}


class Functions:
    """Functions that keep their events and give the answers that a test sets."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {"Authorize": {"isAuthorized": True, "context": {"owner": "local"}}}

    def __call__(self, function: str, event: dict[str, Any]) -> Any:
        """Keep the event and give the answer, or raise it."""
        self.events.append((function, event))
        answer = self.answers.get(function, {"statusCode": 204})
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def event(self) -> dict[str, Any]:
        """The last event."""
        return self.events[-1][1]

    @property
    def names(self) -> list[str]:
        """Who was called."""
        return [name for name, _ in self.events]


@pytest.fixture
def functions() -> Functions:
    """Functions behind the API."""
    return Functions()


@pytest.fixture
def client(template: Template, functions: Functions) -> Client:
    """A caller of the template's API."""
    return Client(Gateway(template.functions, functions), use_cookies=False)


def message(response: TestResponse) -> tuple[int, str]:
    """The status and the message that API Gateway gives."""
    return response.status_code, response.get_json()["message"]


def test_an_event_has_payload_format_2(client: Client, functions: Functions) -> None:
    """A request becomes an event as AWS documents it: decoded path, raw query, values joined by commas."""
    client.post(
        "/webhooks/fal/a%20b?x=1&y=%C3%BC&x=2&z",
        data="{}",
        content_type="application/json",
        headers=[("X-Two", "1"), ("X-Two", "2"), ("Cookie", "a=1; b=2"), ("User-Agent", "test")],
    )
    assert functions.names == ["Callback"]
    event = functions.event
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /webhooks/fal/{job_id}"
    assert event["rawPath"] == "/webhooks/fal/a b"
    assert event["rawQueryString"] == "x=1&y=%C3%BC&x=2&z"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "ü", "z": ""}
    assert event["pathParameters"] == {"job_id": "a b"}
    assert event["headers"]["x-two"].replace(" ", "") == "1,2"
    assert event["headers"]["content-type"] == "application/json"
    assert event["headers"]["host"] == "localhost"
    assert "cookie" not in event["headers"]
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["body"] == "{}"
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["http"]["method"] == "POST"
    assert context["http"]["path"] == "/webhooks/fal/a b"
    assert context["http"]["userAgent"] == "test"
    assert context["stage"] == "$default"
    assert context["requestId"]
    assert context["timeEpoch"] > 1_700_000_000_000
    assert "authorizer" not in context


def test_an_event_without_query_and_body_leaves_them_out(client: Client, functions: Functions) -> None:
    """What a request does not have, its event does not have either."""
    client.get("/health")
    assert functions.event["rawQueryString"] == ""
    assert not {"queryStringParameters", "pathParameters", "body", "cookies"} & functions.event.keys()


@pytest.mark.parametrize(
    ("content_type", "body", "is_text"),
    [
        ("application/json", b'{"a": 1}', True),
        ("application/problem+json; charset=utf-8", b"{}", True),
        ("text/plain", "ü".encode(), True),
        ("application/xml", b"<a/>", True),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("application/octet-stream", b"a", False),
        ("image/png", b"\x89PNG", False),
        ("", b"a", False),
        ("application/json", b"\xff", False),
    ],
)
def test_only_text_comes_as_it_is(
    client: Client, functions: Functions, content_type: str, body: bytes, is_text: bool
) -> None:
    """A body that is no text by its content type comes in base64, byte for byte."""
    client.post("/webhooks/fal/1", data=body, headers={"Content-Type": content_type} if content_type else {})
    assert functions.event["isBase64Encoded"] is not is_text
    content = functions.event["body"]
    assert (content.encode() if is_text else base64.b64decode(content)) == body


def test_a_packed_body_comes_in_base64(client: Client, functions: Functions) -> None:
    """What is gzipped is not text, whatever is inside."""
    packed = gzip.compress(b"{}")
    headers = {"Content-Encoding": "gzip"}
    client.post("/webhooks/fal/1", data=packed, content_type="application/json", headers=headers)
    assert base64.b64decode(functions.event["body"]) == packed


def test_the_authorizers_context_reaches_the_function(client: Client, functions: Functions) -> None:
    """A caller that may pass is known to the function by what the authorizer said."""
    client.get("/jobs/1", headers=TOKEN)
    assert functions.names == ["Authorize", "ReadJobs"]
    question = functions.events[0][1]
    assert question["type"] == "REQUEST"
    assert question["version"] == "2.0"
    assert question["identitySource"] == ["GET /jobs/{job_id}"]
    assert question["routeArn"].endswith("/$default/GET/jobs/{job_id}")
    assert question["headers"]["authorization"] == "Bearer local"
    assert functions.event["requestContext"]["authorizer"] == {"lambda": {"owner": "local"}}


def test_a_caller_that_may_not_pass_is_refused(client: Client, functions: Functions) -> None:
    """What the authorizer refuses does not reach the function."""
    functions.answers["Authorize"] = {"isAuthorized": False}
    assert message(client.get("/jobs", headers=TOKEN)) == (403, "Forbidden")
    assert functions.names == ["Authorize"]


@pytest.mark.parametrize("answer", [None, {"isAuthorized": "yes"}, FunctionError("KeyError", "broken")])
def test_a_broken_authorizer_lets_nobody_pass(client: Client, functions: Functions, answer: Any) -> None:
    """An authorizer that fails, or answers in another form, is our own fault."""
    functions.answers["Authorize"] = answer
    assert message(client.get("/jobs", headers=TOKEN)) == (500, "Internal Server Error")
    assert functions.names == ["Authorize"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("DELETE", "/health"), ("GET", "/jobs/1/2"), ("GET", "/jobs/")]
)
def test_an_unknown_route(client: Client, functions: Functions, method: str, path: str) -> None:
    """A path or method that the template does not have is the default route's, with or without token."""
    assert client.open(path, method=method).status_code == 204
    assert functions.names == ["ReadJobs"]
    assert functions.event["routeKey"] == functions.event["requestContext"]["routeKey"] == "$default"
    assert (functions.event["rawPath"], "pathParameters" in functions.event) == (path, False)


def test_without_a_default_route_what_is_unknown_is_not_found(template: Template, functions: Functions) -> None:
    """API Gateway then answers in its own words."""
    bare = {
        name: replace(function, routes=tuple(route for route in function.routes if not route.is_default))
        for name, function in template.functions.items()
    }
    answer = Client(Gateway(bare, functions)).get("/nowhere")
    assert message(answer) == (404, "Not Found")
    assert functions.events == []


def test_each_answer_names_its_call(client: Client, functions: Functions) -> None:
    """The id that the function has is in a header, as with API Gateway."""
    answers = [client.get("/health") for _ in range(2)]
    called = [event["requestContext"]["requestId"] for _, event in functions.events]
    assert [answer.headers["apigw-requestid"] for answer in answers] == called
    assert len(set(called)) == 2


def test_a_large_body_is_refused(client: Client, functions: Functions) -> None:
    """API Gateway takes 10 MB at most."""
    assert message(client.post("/webhooks/fal/1", data=b"x" * (MAX_BODY + 1)))[0] == 413
    assert functions.events == []


def test_an_event_that_lambda_refuses(client: Client, functions: Functions) -> None:
    """A body that fits the API but not the function is too large as well."""
    functions.answers["Callback"] = PayloadTooLargeError()
    assert client.post("/webhooks/fal/1", data=b"x").status_code == 413


def test_a_function_that_fails(client: Client, functions: Functions) -> None:
    """A caller learns nothing of a function's error."""
    functions.answers["ReadJobs"] = FunctionError("ValueError", "secret")
    assert message(client.get("/health")) == (500, "Internal Server Error")


def test_a_full_answer(client: Client, functions: Functions) -> None:
    """Status, headers, cookies and body are the function's."""
    functions.answers["ReadJobs"] = {
        "statusCode": 302,
        "headers": {"Location": "https://example.com/", "content-type": "text/html", "Content-Length": "999"},
        "cookies": ["a=1", "b=2"],
        "body": "ü",
    }
    response = client.get("/health")
    assert response.status_code == 302
    assert response.headers["Location"] == "https://example.com/"
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert response.data == "ü".encode()


def test_a_binary_answer(client: Client, functions: Functions) -> None:
    """A body in base64 goes out as its bytes."""
    body = base64.b64encode(b"\x00\xff").decode()
    functions.answers["ReadJobs"] = {"statusCode": 200, "body": body, "isBase64Encoded": True}
    assert client.get("/health").data == b"\x00\xff"


@pytest.mark.parametrize(("answer", "body"), [({"a": 1}, b'{"a": 1}'), ("text", b"text"), (None, b"null")])
def test_a_bare_answer_is_the_body(client: Client, functions: Functions, answer: Any, body: bytes) -> None:
    """An answer without statusCode is a 200 with itself as JSON."""
    functions.answers["ReadJobs"] = answer
    if answer is None:
        functions.answers["ReadJobs"] = []
        body = b"[]"
    response = client.get("/health")
    assert (response.status_code, response.content_type, response.data) == (200, "application/json", body)


def test_a_body_that_is_no_text_is_an_error(client: Client, functions: Functions) -> None:
    """A function that forgot to make its body text gets what it would get on AWS."""
    functions.answers["ReadJobs"] = {"statusCode": 200, "body": {"a": 1}}
    assert client.get("/health").status_code == 500
