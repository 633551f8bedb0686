"""A stack that is deployed in the AWS stand-in, and the commands for it."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from local.deployed.__main__ import main
from local.deployed.stack import DeployedStack, Place
from local.settings import HOST, free_ports

ROOT = Path(__file__).parent.parent.parent.parent
REGION = "us-east-1"

FAKE_SAM = f"""#!{sys.executable}
import json, os, pathlib, signal, sys
calls = pathlib.Path(os.environ["SAM_CALLS"])
with calls.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if "--guided" in sys.argv and os.environ.get("SAM_ANSWERS"):
    pathlib.Path(sys.argv[sys.argv.index("--config-file") + 1]).write_text(os.environ["SAM_ANSWERS"])
if os.environ.get("SAM_WAITS"):
    print("waiting", flush=True)
    signal.sigwait([signal.SIGINT])
sys.exit(int(os.environ.get("SAM_EXIT", "0")))
"""


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The AWS stand-in, with CloudFormation."""
    port = free_ports()["AWS_PORT"]
    module = "tests.local.deployed.aws_with_cloudformation"
    command = [sys.executable, "-m", module, "--port", str(port), "--exit-with-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:  # noqa: S603 - our own module
        url = f"http://{HOST}:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=12)) as client:
            client.get(f"{url}/moto-api/")
        yield url
        process.kill()


class Api(ThreadingHTTPServer):
    """Who answers at the stack's URL, and for Lambda, which moto has no account settings of; a test chooses what."""

    status = 200
    room = 1000

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        if "account-settings" in self.path:
            self.send_response(200)
            self.end_headers()
            limits = {"ConcurrentExecutions": self.server.room, "UnreservedConcurrentExecutions": self.server.room}
            self.wfile.write(json.dumps({"AccountLimit": limits}).encode())
            return
        self.send_response(self.server.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def api() -> Iterator[Api]:
    """The API of the deployed stack."""
    with Api((HOST, 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def make_template(fal_key: str, tokens: str, api_url: str) -> dict[str, Any]:
    """A stack as Darkroom's looks from outside; moto makes no secrets from a template, so it is told of them."""
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "job_id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "job_id", "AttributeType": "S"}],
    }
    outputs = {
        "ApiUrl": api_url,
        "InputsBucket": {"Ref": "Inputs"},
        "OutputsBucket": {"Ref": "Outputs"},
        "AlarmTopic": {"Ref": "Alarms"},
        "FalKeySecret": fal_key,
        "TokensSecret": tokens,
        "JobTable": {"Ref": "Jobs"},
    }
    defaults = {"Architecture": "arm64", "UploadOwner": "uploads", "FalAuthScheme": "Key", "AlarmEmail": ""}
    return {
        "Parameters": {name: {"Type": "String", "Default": value} for name, value in defaults.items()},
        "Resources": {
            "Inputs": bucket,
            "Outputs": bucket,
            "Jobs": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": table},
            "Logs": {"Type": "AWS::Logs::LogGroup"},
            "Alarms": {"Type": "AWS::SNS::Topic"},
        },
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


@dataclass
class Cloud:
    """An account with a stack, and a folder from which it is worked with."""

    url: str
    folder: Path
    environment: dict[str, str]
    api_url: str
    session: boto3.Session = field(default_factory=boto3.Session)

    def client(self, service: str, region: str = REGION) -> Any:
        """Plain boto3, as somebody else has it."""
        return self.session.client(service, region, endpoint_url=self.url)  # type: ignore[call-overload] # literal names only

    def create_stack(self, name: str = "darkroom", **parameters: str) -> None:
        """Make a stack as a deploy would."""
        secrets = self.client("secretsmanager")
        fal_key = secrets.create_secret(Name=f"{name}/fal-key")["ARN"]
        tokens = secrets.create_secret(Name=f"{name}/tokens", SecretString="{}")["ARN"]
        self.client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=json.dumps(make_template(fal_key, tokens, self.api_url)),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )

    def read_secret(self, name: str) -> str:
        """The value of a secret of the stack."""
        return str(self.client("secretsmanager").get_secret_value(SecretId=f"darkroom/{name}")["SecretString"])

    def versions(self, name: str) -> set[str]:
        """The versions of a secret of the stack."""
        described = self.client("secretsmanager").describe_secret(SecretId=f"darkroom/{name}")
        return set(described.get("VersionIdsToStages", {}))

    def run(self, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command with what is piped into it; in this process, which is faster than one for each."""
        shown, complained = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown), redirect_stderr(complained):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["local.deployed", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(typed))
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            code = main()
        return subprocess.CompletedProcess(arguments, code, shown.getvalue(), complained.getvalue())

    def sam_calls(self) -> list[list[str]]:
        """What SAM was called with."""
        calls = self.folder / "calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


@pytest.fixture
def account(server: str, tmp_path: Path, api: Api) -> Cloud:
    """An empty account."""
    httpx.post(f"{server}/moto-api/reset").raise_for_status()
    shutil.copy(ROOT / "samconfig.toml", tmp_path)
    sam = tmp_path / "sam"
    sam.write_text(FAKE_SAM)
    sam.chmod(0o755)
    added = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ENDPOINT_URL_LAMBDA": api.url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(ROOT),
        "SAM_CALLS": str(tmp_path / "calls"),
    }
    return Cloud(server, tmp_path, dict(os.environ) | added, api.url)


@pytest.fixture
def cloud(account: Cloud) -> Cloud:
    """An account with a stack that was just deployed."""
    account.create_stack()
    return account


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    """The stack, for what happens in the middle of a command, and for many small cases."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    monkeypatch.chdir(cloud.folder)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session())
    return DeployedStack.read(Place("darkroom", "us-east-1"))
