"""Query parameters: one that is not known is a slip, and nobody pays for it or reads the wrong list."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

SLIPS = (
    ("POST", "/jobs?dry_run=true", "dry_run"),
    ("POST", "/jobs?wait=25", "wait"),
    ("POST", "/jobs?", None),
    ("POST", "/jobs?prompt=x", "prompt"),
    ("POST", "/jobs?%20=1", " "),
    ("GET", "/jobs?created_after=2026-01-01", "created_after"),
    ("GET", "/jobs?Status=queued", "Status"),
    ("GET", "/jobs?page=2", "page"),
    ("GET", f"/jobs/{'0' * 32}?verbose=1", "verbose"),
    ("GET", "/health?verbose", "verbose"),
)


@pytest.mark.parametrize(("method", "path", "name"), SLIPS)
def test_an_unknown_query_parameter_is_refused(system: Any, method: str, path: str, name: str | None) -> None:
    """Every route names it in a 422, and nothing is written, sent or paid."""
    answer = system.http(method, path, body=b'{"prompt": "p"}' if method == "POST" else b"")
    if name is None:
        assert answer["statusCode"] == 202
        return
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], [fault["field"] for fault in problem["errors"]]) == (422, [name])
    assert "unknown query parameter" in problem["detail"]
    assert (system.rows(), system.requests()) == ([], [])


def test_all_of_them_are_named_and_what_was_meant(system: Any) -> None:
    """Two slips are told at once, and a near one with what it may have been."""
    status, problem = system.get("/jobs?statuses=queued&limits=5&limit=5")
    told = {fault["field"]: fault["message"] for fault in problem["errors"]}
    assert (status, set(told)) == (422, {"statuses", "limits"})
    assert "did you mean status?" in told["statuses"]
    assert "did you mean limit?" in told["limits"]


def test_what_a_proxy_adds_to_a_webhook_url_does_no_harm(system: Any) -> None:
    """fal's deliveries come through whatever stands before the API."""
    deliver = system.deliver
    system.deliver = lambda url, *others: deliver(f"{url}&utm_source=proxy&x=", *others)
    _, job = system.post({"prompt": "p"})
    system.fal.advance(10)
    assert (system.answers, system.job(job["job_id"])["status"]) == ([200], "succeeded")


@pytest.mark.parametrize("status", ["cancelled", "canceled", "done", "QUEUED", ""])
def test_a_status_that_no_job_has(system: Any, status: str) -> None:
    """What cannot be asked for is refused, and nothing that cannot be is offered."""
    code, problem = system.get(f"/jobs?status={status}")
    assert (code, problem["errors"][0]["field"]) == (422, "status")
    assert "cancelled" not in problem["detail"]


def forge(*key: Any) -> str:
    """A cursor with any content."""
    return quote(base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("="), safe="")


MOMENT = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "key",
    [
        ("shop", "", ""),
        ("shop", MOMENT, ""),
        ("shop", "", "0" * 32),
        ("shop", MOMENT, "shared#breaker"),
        ("shop", "yesterday", "0" * 32),
        ("shop", MOMENT, "0" * 31),
        ("", MOMENT, "0" * 32),
        ("other", MOMENT, "0" * 32),
        ("shop", 7, "0" * 32),
        ("shop", MOMENT, "0" * 32, "more"),
        ("shop", MOMENT + "\n", "0" * 32),
        (),
    ],
)
def test_a_forged_cursor_is_refused(system: Any, key: tuple[Any, ...]) -> None:
    """Only what a page could have given is taken; empty texts and others' names are not put to the table."""
    system.aws_calls.clear()
    status, problem = system.get(f"/jobs?cursor={forge(*key)}")
    assert (status, problem["errors"][0]["field"], system.aws_calls) == (422, "cursor", [])


PRIVATE = (
    *("127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "10.1"),  # noqa: S104 - nothing listens here
    *("localhost", "localhost.", "LOCALHOST", "a.localhost", "localhost.localdomain", "printer", "printer.local"),
    *("printer.local.", "db.internal", "db.INTERNAL.", "nas.lan", "nas.home.arpa", "intranet", "x.corp", "a.b.test"),
    *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::8.8.8.8]", "[fe80::1]", "[fd00::1]", "[::]"),
    *("[2002:7f00:1::]", "[::ffff:8.8.8.8]", "169.254.169.254", "100.64.0.1", "192.168.0.1", "224.0.0.1", "1.2.3.4.5"),
    *("a..b", ".example.com", "1.2.3", "192.0.2.1", "user:pw@images.example.com", "@images.example.com"),
)


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_host_in_whatever_spelling_is_refused(system: Any, host: str) -> None:
    """A URL that leads inside, or that each client reads in its own way, is refused with the field's name."""
    status, problem = system.post({"prompt": "p", "image_url": f"https://{host}/a.png"})
    assert (status, problem["errors"][0]["field"], system.rows()) == (422, "image_url", [])


PUBLIC = (
    *("images.example.com", "images.example.com.", "8.8.8.8", "[2606:4700::1111]", "x_y.example.com"),
    *("localhost.example.com", "local.example", "0x7f.example.com", "xn--bcher-kva.example"),
)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_hosts_are_taken(system: Any, host: str) -> None:
    """What looks a little like one of those is fal's to fetch."""
    assert system.post({"prompt": "p", "image_url": f"https://{host}/a.png"})[0] == 202


@pytest.mark.parametrize(
    "reference", ["a\r\nb.png", "a\nb", "a\tb", "a\x7fb", "a\x00b", "a\x85b", "s3://darkroom-inputs/a\r\nb"]
)
def test_a_reference_with_control_characters_is_refused(system: Any, reference: str) -> None:
    """A line break in a reference is a slip or worse."""
    system.put(reference.removeprefix("s3://darkroom-inputs/"))
    status, problem = system.post({"prompt": "p", "image_url": reference})
    assert (status, problem["errors"][0]["field"], system.rows()) == (422, "image_url", [])
    assert system.post({"prompt": "p", "image_urls": ["p.png", reference]})[0] == 422
