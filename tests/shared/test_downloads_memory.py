"""Memory: an output of any size passes through a few megabytes, over TLS on both sides as it is in Lambda."""

import contextlib
import gzip
import hashlib
import json
import logging
import os
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local.fal.certificate import make_certificate
from shared.downloads import MAX_BYTES
from tests.shared.hosts import FileHost, Say

ROOT = Path(__file__).parent.parent.parent
MOST = 8_000_000
BLOCK_BYTES = 1024 * 1024
# A JPEG's head, and then bytes of which no two blocks are the same, nor packed by anyone on the way.
HEAD = b"\xff\xd8" + struct.pack(">HHBHH", 0xFFC0, 17, 8, 1024, 1024)
PICTURE = HEAD + os.urandom(MAX_BYTES - len(HEAD))
BOMB = gzip.compress(HEAD + bytes(200_000_000))
START = b"HTTP/1.1 200 OK\r\n"


def blocks() -> Iterator[bytes]:
    """The picture in chunks of HTTP."""
    for start in range(0, MAX_BYTES, BLOCK_BYTES):
        yield b"%x\r\n%b\r\n" % (BLOCK_BYTES, PICTURE[start : start + BLOCK_BYTES])


def sends(*head: bytes, body: bytes) -> Say:
    """Say this, with the body's length."""
    return lambda connection: connection.sendall(
        b"".join((START, *head, b"Content-Length: %d\r\n\r\n" % len(body), body))
    )


def sends_chunks(*more: bytes) -> Say:
    """Say the picture in chunks, and then more."""

    def say(connection: Any) -> None:
        connection.sendall(START + b"Transfer-Encoding: chunked\r\n\r\n")
        for block in (*blocks(), *more):
            connection.sendall(block)

    return say


@dataclass
class S3:
    """moto's S3 behind TLS, in this process."""

    address: str
    client: Any
    context: ssl.SSLContext
    trusted: Path


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    """A server with the bucket for outputs."""
    context, trusted = make_certificate(tmp_path, "localhost")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler, ssl_context=context
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"https://127.0.0.1:{server.port}"
    with contextlib.closing(boto3.Session().client("s3", endpoint_url=address, verify=str(trusted))) as client:
        client.create_bucket(Bucket="outputs")
        yield S3(address, client, context, trusted)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.long
def test_no_output_takes_more_memory_than_a_small_one(s3: S3) -> None:
    """64 MiB are stored, and a bomb and what is too large are refused, each with less than 8 MB on top."""
    says = (
        sends(body=PICTURE[:BLOCK_BYTES]),
        sends(body=PICTURE),
        sends_chunks(b"0\r\n\r\n"),
        sends_chunks(b"1\r\nx\r\n0\r\n\r\n"),
        sends(b"Content-Encoding: gzip\r\n", body=BOMB),
        sends(body=BOMB),
    )
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(FileHost(say, s3.context)) for say in says]
        environment = {"AWS_ENDPOINT_URL": s3.address, "AWS_CA_BUNDLE": str(s3.trusted), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(  # noqa: S603 - our own script
            [
                *(sys.executable, str(Path(__file__).with_name("storing.py")), str(s3.trusted)),
                *(f"https://localhost:{host.port}/a.jpg" for host in hosts),
            ],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            check=True,
        )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    large = hashlib.sha256(PICTURE).hexdigest()
    assert [item["told"] for item in found] == [
        hashlib.sha256(PICTURE[:BLOCK_BYTES]).hexdigest(),
        large,
        large,
        f"the output is larger than {MAX_BYTES} bytes",
        "the output is packed",
        "the output is no JPEG, PNG or WebP picture",
    ]
    assert {item["told"]: item["grown"] for item in found[1:] if item["grown"] >= MOST} == {}
    stored = s3.client.list_objects_v2(Bucket="outputs")["Contents"]
    assert [(item["Key"], item["Size"]) for item in stored] == [
        *(("0.jpg", BLOCK_BYTES), ("1.jpg", MAX_BYTES), ("2.jpg", MAX_BYTES)),
    ]
    kept = s3.client.get_object(Bucket="outputs", Key="1.jpg")["Body"].read()
    assert hashlib.sha256(kept).hexdigest() == large
