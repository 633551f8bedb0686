"""Events as API Gateway hands them to functions."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit


def http_event(method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """An HTTP API event of payload format 2.0."""
    parts = urlsplit(url)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "requestContext": {
            "http": {"method": method, "path": parts.path},
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
        },
        "body": body.decode() if body else None,
        "isBase64Encoded": False,
    }
