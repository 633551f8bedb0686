"""The system in one process: the real handlers and adapters, moto for AWS, the emulator for fal, one clock for all."""

import dataclasses
import functools
import gc
import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import httpx
import hypothesis
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

import local.aws
import shared.app
from functions import authorize, callback, jobs, submit, sweep
from local.aws import create_stack
from local.fal import Emulator, EmulatorSettings, EmulatorTransport, ManualClock
from local.resources import Template
from local.template import REGION
from local.template_reader import load_template
from shared.app import App
from shared.observability import metrics
from shared.settings import Settings
from tests.quick_aws import make_quick
from tests.simulation.report import Report

# AWS's clients and what stands in for it are many objects that last: to look for garbage among them as often as usual
# takes a tenth of all the time.
gc.set_threshold(50_000, 20, 50)
# A shell's background jobs are deaf to Ctrl-C, and so are their children, to whom some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
make_quick()
# The same inputs each time, as many as take a second, and nothing is left on disk.
hypothesis.settings.register_profile("always", derandomize=True, max_examples=60, deadline=None, database=None)
hypothesis.settings.load_profile("always")

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "events" / "photos"
LONG = frozenset({"artifact", "browser", "comparison", "forgeries", "iam", "simulation"})
"""Folders of tests that only `make check` runs."""
FAL = "http://127.0.0.1:8787"
API = "https://api.example"
TOKENS = json.dumps({hashlib.sha256(b"token of the shop").hexdigest(): "shop"})

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_METRICS_DISABLED": "true",
}
SETTINGS = {
    "JOB_TABLE": "darkroom-jobs",
    "INPUTS_BUCKET": "darkroom-inputs",
    "OUTPUTS_BUCKET": "darkroom-outputs",
    "UPLOAD_OWNER": "shop",
    "FAL_QUEUE_URL": FAL,
    "FAL_JWKS_URL": f"{FAL}/.well-known/jwks.json",
    "FAL_OUTPUT_HOSTS": FAL,
    "FAL_KEY_SECRET": "darkroom/fal-key",
    "WEBHOOK_SECRET": "darkroom/webhook",
    "TOKENS_SECRET": "darkroom/tokens",
}


class Context(SimpleNamespace):
    """Lambda's context, with all the time in the world."""

    function_name = "darkroom-test"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:darkroom-test"
    aws_request_id = "00000000-0000-0000-0000-000000000000"
    milliseconds = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """As much time as the test says."""
        return self.milliseconds


@dataclass
class System:
    """Darkroom whole: its application, fal, and the ways in."""

    app: App
    fal: Emulator
    deliveries: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    aws_calls: list[str] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    """What fal's runners read of inputs, in their order."""
    context: Any = field(default_factory=Context)

    @property
    def s3(self) -> Any:
        """Plain boto3, as a user has it."""
        return plain_client("s3")

    def put(
        self, key: str, photo: str | bytes = "coffee.png", bucket: str = "darkroom-inputs", **of_event: Any
    ) -> dict[str, Any]:
        """Put a photo in the inputs bucket, and give the EventBridge event of a bucket without versions about it."""
        content = photo if isinstance(photo, bytes) else (PHOTOS / photo).read_bytes()
        etag = self.s3.put_object(Bucket=bucket, Key=key, Body=content)["ETag"].strip('"')
        return self.created(key, etag=etag, size=len(content), bucket=bucket, **of_event)

    def put_version(self, key: str, photo: str | bytes = "coffee.png") -> dict[str, Any]:
        """Put a photo in the inputs bucket, and give the EventBridge event of a bucket with versions about it."""
        event = self.put(key, photo)
        event["detail"]["object"]["version-id"] = self.s3.head_object(Bucket="darkroom-inputs", Key=key)["VersionId"]
        return event

    @staticmethod
    def created(
        key: str, *, etag: str = "e", size: int = 1, bucket: str = "darkroom-inputs", sequencer: str = "0055"
    ) -> dict[str, Any]:
        """The EventBridge event of an object."""
        item = {"key": key, "size": size, "etag": etag, "sequencer": sequencer}
        detail = {"bucket": {"name": bucket}, "object": item}
        return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    def upload(self, *events: Any) -> list[str]:
        """Hand events to SubmitFromUpload as one batch, and give the ids of the messages that failed."""
        records = [
            {
                "messageId": str(index),
                "body": event if isinstance(event, str) else json.dumps(event),
                "eventSource": "aws:sqs",
            }
            for index, event in enumerate(events)
        ]
        answer = submit.from_upload({"Records": records}, self.context)
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    def http(
        self,
        method: str,
        url: str,
        *,
        owner: str = "shop",
        authorizer: dict[str, Any] | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> dict[str, Any]:
        """Call the API as API Gateway would call its functions; `authorizer`: what that told, if not the owner."""
        parts = urlsplit(url)
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": parts.path,
            "rawQueryString": parts.query,
            "headers": {name.lower().replace("_", "-"): value for name, value in headers.items()},
            "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)),
            "requestContext": {
                "http": {"method": method, "path": parts.path},
                "requestId": "JKJaXmPLvHcESHA=",
                "stage": "$default",
            },
            "body": body.decode() if body else None,
            "isBase64Encoded": False,
        }
        event["requestContext"]["authorizer"] = {"lambda": authorizer or {"owner": owner}}
        handler = submit.from_api if method == "POST" else jobs.handler
        answer: dict[str, Any] = handler(event, self.context)
        return answer

    def post(self, body: Any, *, owner: str = "shop", **headers: str) -> tuple[int, dict[str, Any]]:
        """POST /jobs, and give status and JSON of the answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.http(
            "POST", "/jobs", owner=owner, authorizer=None, body=content, content_type="application/json", **headers
        )
        return answer["statusCode"], json.loads(answer["body"])

    def get(self, path: str, *, owner: str = "shop") -> tuple[int, dict[str, Any]]:
        """GET a path, and give status and JSON of the answer."""
        answer = self.http("GET", path, owner=owner)
        return answer["statusCode"], json.loads(answer["body"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as its owner sees it."""
        status, body = self.get(f"/jobs/{job_id}")
        assert status == 200
        return body

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of the shop, newest first."""
        found: list[dict[str, Any]] = self.get("/jobs?limit=100")[1]["jobs"]
        return found

    def fetch(self, url: str) -> bytes:
        """Read an input as fal's runner would, and note what was read."""
        self.read.append(read_object(url))
        return self.read[-1]

    def deliver(self, url: str, headers: dict[str, str], body: bytes, timeout: float = 15) -> int:
        """Take one webhook call as API Gateway would; the tests may hold it back, spoil it or send it again."""
        del timeout
        self.deliveries.append((url, headers, body))
        self.answers.append(self.call_back(url, headers, body))
        return self.answers[-1]

    def call_back(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Hand a webhook call to the callback function, and give the status that it answers."""
        names = {name.lower(): value for name, value in headers.items()}
        parts = urlsplit(url)
        event = {
            "version": "2.0",
            "rawPath": parts.path,
            "headers": names,
            "queryStringParameters": dict(parse_qsl(parts.query)),
            "pathParameters": {"job_id": parts.path.rpartition("/")[2]},
            "requestContext": {"http": {"method": "POST", "path": parts.path}},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        return int(callback.handler(event, self.context)["statusCode"])

    def hurry(self) -> None:
        """Leave functions the time for one try at fal, and for no second one of their own."""
        self.context.milliseconds = 24_400

    def take_time(self) -> None:
        """Leave functions all their time again."""
        self.context.milliseconds = 60_000

    def sweep(self) -> int:
        """Let the clock's function run once."""
        return int(sweep.handler({}, self.context)["advanced"])

    def pass_time(self, seconds: int, step: int = 60) -> None:
        """Let fal and the clock's function both do what falls due, minute by minute or in longer steps."""
        for _ in range(0, seconds, step):
            self.fal.advance(step)
            if self._may_find_something():
                self.sweep()

    def _may_find_something(self) -> bool:
        """Whether a sweep now could do anything: most of the minutes of a day are spared, for they find nothing."""
        rows: Any = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables["darkroom-jobs"].items.values()
        return any(
            row.attrs["job_id"].value == "shared#breaker"
            or ("open_shard" in row.attrs and row.attrs["open_shard"].value.startswith("parked"))
            or ("check_at" in row.attrs and int(row.attrs["check_at"].value) <= self.app.timestamp())
            for row in rows
        )

    def row(self, job_id: str) -> dict[str, Any] | None:
        """The row of a job as the table holds it."""
        answer = plain_client("dynamodb").get_item(TableName="darkroom-jobs", Key={"job_id": {"S": job_id}})
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all jobs."""
        items: list[dict[str, Any]] = plain_client("dynamodb").scan(TableName="darkroom-jobs")["Items"]
        return [item for item in items if not item["job_id"]["S"].startswith("shared#")]

    def requests(self) -> list[dict[str, Any]]:
        """What fal accepted, and bills."""
        with httpx.Client(transport=httpx.WSGITransport(app=self.fal), base_url=FAL) as client:
            answer = client.get("/emulator/requests").json()
        found: list[dict[str, Any]] = answer["requests"]
        return found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of the folders that take long."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] in LONG:
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # What make leaves there would have a make that a test runs say more than it is asked.
    for name in [name for name in os.environ if name.startswith(("AWS_", "FAL_", "MAKE", "MFLAGS"))]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def read_object(url: str) -> bytes:
    """Read an object by its presigned URL, as fal's runner would."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    version = {"VersionId": query["versionId"]} if "versionId" in query else {}
    bucket = (parts.hostname or "").partition(".")[0]
    answer = plain_client("s3").get_object(Bucket=bucket, Key=unquote(parts.path[1:]), **version)
    return bytes(answer["Body"].read())


@pytest.fixture
def make_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., System]]:
    """Builds a system; settings may differ from the usual ones."""
    monkeypatch.setattr(local.aws, "session", lambda: SimpleNamespace(client=plain_client))
    with mock_aws():
        webhook = {"url": API, "mac_key": "k" * 64}
        create_stack(
            stored_template(), secrets={"Webhook": json.dumps(webhook), "FalKey": "id:secret", "Tokens": TOKENS}
        )
        systems: list[System] = []

        def make(settings: dict[str, str] | None = None, **fal_settings: Any) -> System:
            clock = ManualClock()
            fal = Emulator(
                EmulatorSettings(
                    **{"megapixels": 0.01, "public_url": FAL, "allow_private_webhooks": True, **fal_settings}
                ),
                clock=clock,
                fetch=lambda url: built.fetch(url),  # noqa: PLW0108 - the system is made of it
                deliver=lambda *call: built.deliver(*call),  # noqa: PLW0108 - tests put another `deliver` in its place
            )
            app = App(
                Settings.from_environment(SETTINGS | (settings or {})),
                http=httpx.Client(transport=EmulatorTransport(fal)),
                now=lambda: datetime.fromtimestamp(clock.now(), UTC),
                sleep=clock.sleep,
            )
            built = System(app, fal)
            app.client, recording_clients.calls = recording_clients, built.aws_calls
            for module in (submit, callback, jobs, sweep, authorize):
                monkeypatch.setattr(module, "app", lambda: app)
            systems.append(built)
            return built

        yield make
        for built in systems:
            built.app.http.close()


@functools.cache
def stored_template() -> Template:
    """What template.yaml says of all that functions read and write, read once; queues and rules are tests/local's."""
    return dataclasses.replace(load_template(), queues=(), rules=())


@functools.cache
def plain_client(service: str, endpoint_url: str | None = None) -> Any:
    """Plain boto3, as a user has it; moto stands behind it in every test, so one client serves them all."""
    return boto3.Session().client(service, endpoint_url=endpoint_url)  # type: ignore[call-overload] # literal names only


class RecordingClients:
    """The application's own clients, kept for all tests; every call that leaves them is noted, repeated ones too."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Give the client of a service."""
        if service not in self._made:
            self._made[service] = shared.app.aws_client(service)
            self._made[service].meta.events.register("before-send", self._note)
        return self._made[service]

    def _note(self, event_name: str, **_: object) -> None:
        self.calls.append(event_name.rpartition(".")[2])


recording_clients = RecordingClients()


@pytest.fixture
def system(make_system: Callable[..., System]) -> System:
    """The system with its usual settings."""
    return make_system()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], float]:
    """Gives the sum of a metric in all that functions printed since the test began (CloudWatch docs: EMF)."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
    metrics.clear_metrics()  # of tests that counted and ended no function
    lines: list[dict[str, Any]] = []

    def count(name: str) -> float:
        lines.extend(json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
        return float(sum(sum(line.get(name, [])) for line in lines))

    return count


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moto do each call whole before the next, as AWS does; between the calls of a thread others may go first."""
    lock = threading.RLock()
    really = BotocoreStubber.__call__

    def call(self: BotocoreStubber, *arguments: Any, **more: Any) -> Any:
        with lock:
            return really(self, *arguments, **more)

    monkeypatch.setattr(BotocoreStubber, "__call__", call)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the figures that tests measured; those of the simulation's parts are added up."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [figure for report in reports for figure in report.user_properties]
    simulation = Report()
    for name, value in figures:
        if name == Report.PROPERTY:
            simulation.merge(Report.from_json(value))
    others = [f"{name}: {value}" for name, value in figures if name != Report.PROPERTY]
    if lines := others + (simulation.lines() if simulation.runs else []):
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(lines))
