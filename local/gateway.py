"""The stand-in for the API Gateway HTTP API: requests become events of payload format 2.0, answers become responses.

AWS docs: http-api-develop-integrations-lambda, http-api-lambda-authorizer.
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from local.container_process import FunctionError, PayloadTooLargeError
from local.lambdas import Invoke
from local.resources import Function, Route
from local.template import ACCOUNT_ID, REGION

MAX_BODY = 10 * 1024 * 1024
"""API Gateway takes no larger body (API Gateway docs: quotas)."""
TEXT_TYPES = re.compile(r"text/.*|application/(.*\+)?(json|xml|javascript)")
"""Bodies that reach a function as they are; all others come in base64."""
API_ID = "local"
API_ARN = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}"


@dataclass(frozen=True)
class Target:
    """A route with the function that it leads to."""

    route: Route
    function: str

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path's parameters if the request is this route's."""
        if self.route.is_default:
            return {}
        if self.route.method not in {method, "ANY"}:
            return None
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(self.route.path))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        found = re.fullmatch(pattern, path)
        return found and found.groupdict()


def _rank(target: Target) -> tuple[bool, bool, int]:
    return target.route.is_default, target.route.method == "ANY", target.route.path.count("{")


class Gateway:
    """A WSGI application that answers for the API."""

    def __init__(self, functions: Mapping[str, Function], invoke: Invoke) -> None:
        targets = [Target(route, name) for name, function in functions.items() for route in function.routes]
        # A fixed path wins over one with parameters, and $default takes what is left (API Gateway docs: routing).
        self._targets = sorted(targets, key=_rank)
        self._functions = functions
        self._invoke = invoke

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request, as WSGI has it."""
        request = Request(environ)
        request.max_content_length = MAX_BODY
        call_id = uuid.uuid4().hex[:15] + "="
        response = self.respond(request, call_id)
        response.headers["apigw-requestid"] = call_id
        return response(environ, start_response)

    def respond(self, request: Request, call_id: str) -> Response:
        """Answer one request."""
        for target in self._targets:
            parameters = target.match(request.method, request.path)
            if parameters is not None:
                return self._call(request, target, parameters, call_id)
        return _message(404, "Not Found")

    def _call(self, request: Request, target: Target, parameters: dict[str, str], call_id: str) -> Response:
        try:
            event = make_event(request, target, parameters, call_id)
            if target.route.authorizer:
                refusal = self._authorize(target, event)
                if refusal is not None:
                    return refusal
            return make_response(self._invoke(target.function, event))
        except (RequestEntityTooLarge, PayloadTooLargeError):
            return _message(413, "Request Entity Too Large")
        except FunctionError:
            return _message(500, "Internal Server Error")

    def _authorize(self, target: Target, event: dict[str, Any]) -> Response | None:
        """Ask the authorizer; what it tells of the caller goes into the event. A response is a refusal."""
        name = str(target.route.authorizer)
        question = {key: value for key, value in event.items() if key not in {"body", "isBase64Encoded"}}
        answer = self._invoke(
            name,
            question
            | {
                "type": "REQUEST",
                "routeArn": f"{API_ARN}/$default/{target.route.method}{target.route.path}",
                "identitySource": [target.route.key],
            },
        )
        if not isinstance(answer, dict) or not isinstance(answer.get("isAuthorized"), bool):
            raise FunctionError("AuthorizerError", f"{self._functions[name].name}: no simple response")
        if not answer["isAuthorized"]:
            return _message(403, "Forbidden")
        event["requestContext"]["authorizer"] = {"lambda": answer.get("context") or {}}
        return None


def make_event(request: Request, target: Target, parameters: dict[str, str], call_id: str) -> dict[str, Any]:
    """The event that a request becomes.

    Raises:
        RequestEntityTooLarge: the body is larger than what API Gateway takes.
    """
    now = time.time()
    headers = {name.lower(): value for name, value in request.headers.items()}
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    query = request.query_string.decode("latin-1")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": target.route.key,
        # The HTTP API decodes the path, unlike the REST API.
        "rawPath": request.path,
        "rawQueryString": query,
        "headers": headers
        | {
            "x-forwarded-for": request.remote_addr or "127.0.0.1",
            "x-forwarded-port": request.host.rpartition(":")[2],
            "x-forwarded-proto": request.scheme,
        },
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": call_id,
            "routeKey": target.route.key,
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _join_values(query)
    if parameters:
        event["pathParameters"] = parameters
    return event | _body(request)


def _join_values(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(request: Request) -> dict[str, Any]:
    body = request.get_data()
    if not body:
        return {"isBase64Encoded": False}
    if TEXT_TYPES.fullmatch(request.mimetype) and "content-encoding" not in request.headers:
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass  # What is no UTF-8 is binary, whatever it says.
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def make_response(result: Any) -> Response:
    """The response that a function's result becomes; a result without `statusCode` is the body itself."""
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result)
        return Response(body, content_type="application/json")
    content = result.get("body") or ""
    if not isinstance(content, str):
        return _message(500, "Internal Server Error")
    data = base64.b64decode(content) if result.get("isBase64Encoded") else content.encode()
    response = Response(data, status=int(result["statusCode"]), content_type="text/plain;charset=UTF-8")
    for name, value in (result.get("headers") or {}).items():
        if name.lower() not in {"content-length", "connection"}:
            response.headers[name] = str(value)
    for cookie in result.get("cookies") or []:
        response.headers.add("Set-Cookie", cookie)
    return response


def _message(status: int, text: str) -> Response:
    return Response(json.dumps({"message": text}), status=status, content_type="application/json")
