"""What the stack's three ports refuse to pages of other sites, and that they still serve everybody else."""

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.aws import session
from local.settings import ROOT, Fal, Ports, free_ports
from local.stack import Stack
from tests.local.browsing import ATTEMPTS, LINK, ask, fetched

TOKEN = {"Authorization": "Bearer local"}
LOOKS = {"api": "/health", "aws": "/", "fal": "/emulator/health"}
"""What each port answers a program with 200."""
SECRET = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/secretsmanager/aws4_request, Signature=x",
    "X-Amz-Target": "secretsmanager.GetSecretValue",
    "Content-Type": "application/x-amz-json-1.1",
}
"""How anybody asks moto for a secret, which takes any key."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack for the tests of this module."""
    ports = Ports.read({}, defaults=free_ports())
    with Stack(ports, Fal.choose({}, ports)) as running:
        yield running
    running.log.unlink()


def url_of(stack: Stack, port: str) -> str:
    """Where one of the three answers."""
    return {"api": stack.api_url, "aws": stack.aws_url, "fal": stack.fal_url}[port]


@pytest.mark.parametrize("port", LOOKS)
def test_a_page_of_another_site_is_refused(stack: Stack, port: str) -> None:
    """Whatever such a page has the browser send, each port answers 403, and nothing that lets the page read it."""
    for name, (method, headers) in ATTEMPTS.items():
        answer = ask(url_of(stack, port) + LOOKS[port], method, headers)
        assert answer.status == 403, name
        assert not [header for header in answer.headers if header.startswith("access-control-")], name


@pytest.mark.parametrize("port", LOOKS)
def test_a_name_that_was_made_to_lead_here_is_refused(stack: Stack, port: str) -> None:
    """DNS rebinding makes a page's own name lead to this machine: its requests are of one origin, and refused."""
    number = urlsplit(url_of(stack, port)).port
    for host in (f"rebound.example:{number}", f"host.docker.internal:{number}", f"172.17.0.1:{number}"):
        headers = {"Host": host, "Origin": f"http://{host}"} | fetched("cors", site="same-origin")
        for method in ("GET", "POST"):
            assert ask(url_of(stack, port) + LOOKS[port], method, headers).status == 403


@pytest.mark.parametrize("port", LOOKS)
def test_everybody_else_is_served(stack: Stack, port: str) -> None:
    """Programs, typed addresses, the port's own pages, and pictures on a page of this machine come through."""
    url = url_of(stack, port)
    number = urlsplit(url).port
    for headers in (
        {},
        {"Host": f"localhost:{number}"},
        fetched("navigate", "document", "none"),
        fetched("cors", site="same-origin") | {"Origin": url},
        fetched("no-cors", "image", "same-site"),
    ):
        answer = ask(url + LOOKS[port], headers=headers)
        assert answer.status == 200
        assert not [header for header in answer.headers if header.startswith("access-control-")]
        assert "origin" not in answer.headers.get("vary", "").lower()


@pytest.mark.parametrize(("port", "status"), [("api", 200), ("aws", 403), ("fal", 200)])
def test_a_link_leads_where_a_look_changes_nothing(stack: Stack, port: str, status: int) -> None:
    """A link on another site may be followed to the API and the emulator, and not to AWS, whose orders may be GETs."""
    assert ask(url_of(stack, port) + LOOKS[port], headers=LINK).status == status


@pytest.mark.parametrize(("port", "sandboxed"), [("api", False), ("aws", True), ("fal", True)])
def test_stored_files_do_not_speak_for_their_port(stack: Stack, port: str, sandboxed: bool) -> None:
    """What is stored may be a page with a script: it is shown in a sandbox. The API's own pages are not."""
    headers = ask(url_of(stack, port) + LOOKS[port]).headers
    assert (headers.get("content-security-policy") == "sandbox") is sandboxed


def test_no_page_reads_a_secret(stack: Stack) -> None:
    """Secrets Manager tells a program, and no page, neither by CORS nor by a name of its own."""
    body = json.dumps({"SecretId": "darkroom/webhook"}).encode()
    told = ask(stack.aws_url, "POST", SECRET, body)
    assert b"mac_key" in told.body
    assert not [header for header in told.headers if header.startswith("access-control-")]
    for headers in (ATTEMPTS["what a preflight allowed"][1], {"Host": "evil.example"}, {"Origin": "null"}):
        answer = ask(stack.aws_url, "POST", SECRET | headers, body)
        assert (answer.status, b"mac_key" in answer.body) == (403, False)


def test_no_page_changes_anything(stack: Stack) -> None:
    """Uploads, resets, tokens that were guessed and the emulator's controls: all is as it was."""
    page = ATTEMPTS["text that is posted"][1]
    job = b'{"prompt": "a lighthouse", "tier": "max"}'
    for url, method, body in (
        (f"{stack.aws_url}/darkroom-inputs/products/evil.png", "PUT", b"x"),
        (f"{stack.aws_url}/darkroom-inputs", "POST", b"x"),
        (f"{stack.aws_url}/moto-api/reset", "POST", b""),
        (f"{stack.fal_url}/emulator/scripts", "POST", b'{"seed": 666}'),
        (f"{stack.fal_url}/emulator/settings", "PATCH", b'{"locked": true}'),
        (f"{stack.fal_url}/emulator/reset", "POST", b""),
        (f"{stack.api_url}/jobs", "POST", job),
    ):
        assert ask(url, method, page | TOKEN, body).status == 403
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        assert "Contents" not in s3.list_objects_v2(Bucket="darkroom-inputs")
    assert httpx.get(f"{stack.fal_url}/emulator/scripts").json() == {"scripts": []}
    assert httpx.get(f"{stack.fal_url}/emulator/settings").json()["locked"] is False
    assert httpx.get(f"{stack.api_url}/jobs", headers=TOKEN).json()["jobs"] == []


def test_a_bucket_s_own_cors_is_not_told(stack: Stack) -> None:
    """A bucket may hold CORS rules, as on AWS; here no answer lets a page of another origin read along."""
    rule: Any = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        s3.create_bucket(Bucket="shared-with-all")
        s3.put_bucket_cors(Bucket="shared-with-all", CORSConfiguration={"CORSRules": [rule]})
        s3.put_object(Bucket="shared-with-all", Key="a.txt", Body=b"x")
    url = f"{stack.aws_url}/shared-with-all/a.txt"
    for method, headers in (*ATTEMPTS.values(), ("GET", {"Origin": stack.aws_url}), ("OPTIONS", {})):
        answer = ask(url, method, headers)
        assert not [header for header in answer.headers if header.startswith("access-control-")]


@pytest.mark.parametrize("port", LOOKS)
def test_the_body_of_a_refused_call_is_not_the_next_call(stack: Stack, port: str) -> None:
    """What is in the body of a refused call is no call, on a connection that could carry more than one."""
    hidden = b"POST /emulator/scripts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 13\r\n\r\n" + b'{"seed": 666}'
    answer = ask(url_of(stack, port) + LOOKS[port], *ATTEMPTS["text that is posted"], hidden)
    assert answer.status == 403
    assert httpx.get(f"{stack.fal_url}/emulator/scripts").json() == {"scripts": []}


def test_links_and_path_style_work_by_localhost_too(stack: Stack) -> None:
    """boto3 with `localhost`, and presigned links that a terminal opens in a browser, with either name."""
    number = urlsplit(stack.aws_url).port
    for host in (f"127.0.0.1:{number}", f"localhost:{number}"):
        with closing(session().client("s3", endpoint_url=f"http://{host}")) as s3:
            s3.upload_file(str(ROOT / "events" / "photos" / "coffee.png"), "darkroom-outputs", "cup.png")
            link = s3.generate_presigned_url("get_object", Params={"Bucket": "darkroom-outputs", "Key": "cup.png"})
        opened = ask(link, headers=fetched("navigate", "document", "none"))
        assert (opened.status, opened.body[:4]) == (200, b"\x89PNG")
        assert ask(link, headers=fetched("no-cors", "image", "same-site")).status == 200
        assert ask(link, headers=fetched("no-cors", "image")).status == 403


def test_the_log_is_the_user_s_alone(stack: Stack) -> None:
    """Others on this machine cannot read what functions and stand-ins log."""
    assert stat.S_IMODE(stack.log.stat().st_mode) == 0o600
