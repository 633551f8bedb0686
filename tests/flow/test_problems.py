"""Problems: each answer that is an error has its own type, and says in which call it came."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from local.template_reader import load_template
from shared.api import STATUS, Problem

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([a-z-]+)` \| ([0-9]{3}) \| .+ \|$", re.MULTILINE)
NOBODY = {"owner": ""}


def read(answer: dict[str, Any]) -> tuple[int, str]:
    """The status of an answer, and its problem's type."""
    problem = json.loads(answer["body"])
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert problem["status"] == answer["statusCode"]
    assert problem["instance"] == "urn:darkroom:call:JKJaXmPLvHcESHA%3D"
    assert problem["detail"]
    return answer["statusCode"], problem["type"].removeprefix("urn:darkroom:problem:")


def test_every_kind_is_in_the_docs() -> None:
    """With its status, and nothing else is."""
    assert {
        Problem(name): HTTPStatus(int(status)) for name, status in ROW.findall((ROOT / "docs/api.md").read_text())
    } == STATUS


def test_no_route_that_asks_for_a_token_answers_without_one(system: Any) -> None:
    """Whatever else is wrong with the call, who calls comes first, and nothing is written."""
    routes = [route for function in load_template().functions.values() for route in function.routes if route.authorizer]
    assert len(routes) >= 5
    for route in routes:
        for query in ("", "?slip=1"):
            answer = system.http(
                route.method, route.path.replace("{job_id}", "0" * 32) + query, authorizer=NOBODY, body=b"{"
            )
            assert read(answer) == (401, "unauthenticated"), route.key
    assert system.rows() == []


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="darkroom"'),
        ({"authorization": "Bearer x"}, 'Bearer realm="darkroom", error="invalid_token"'),
    ],
)
def test_who_has_no_good_token_is_told_so(system: Any, headers: dict[str, str], challenge: str) -> None:
    """RFC 6750: what is wanted, and whether what came was wrong."""
    answer = system.http("GET", "/jobs", authorizer=NOBODY, **headers)
    assert (answer["statusCode"], answer["headers"]["WWW-Authenticate"]) == (401, challenge)


@pytest.mark.parametrize("path", ["/jobs/", "/", "/jobs/1/2", "/webhooks/fal/1"])
def test_what_the_default_route_gets_is_nobody_s(system: Any, path: str) -> None:
    """No authorizer was asked there, so a path that is almost a route shows nothing of anybody."""
    system.post({"prompt": "p"})
    answer = system.http("GET", path, authorizer=NOBODY)
    assert read(answer) in {(404, "route-not-found"), (401, "unauthenticated")}


def test_each_kind_comes_where_it_belongs(make_system: Callable[..., Any]) -> None:
    """Kinds that share a status are told apart by their types."""
    system = make_system({"MOST_OPEN_JOBS": "1"})
    assert system.post({"prompt": "p"}, idempotency_key="k")[0] == 202

    def post(body: str, **headers: str) -> dict[str, Any]:
        answer: dict[str, Any] = system.http("POST", "/jobs", body=body.encode(), **headers)
        return answer

    assert read(post('{"prompt": 1}')) == (422, "invalid-submission")
    assert read(post('{"prompt": "q"}', idempotency_key="k")) == (422, "key-reused")
    assert read(post('{"prompt": "q"}')) == (429, "too-many-open-jobs")
    assert read(system.http("GET", f"/jobs/{'0' * 32}")) == (404, "job-not-found")
    assert read(system.http("DELETE", "/jobs")) == (404, "route-not-found")
