"""What several tests of the local stack share."""

import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from local import s3_events
from local.resources import Template
from local.template import TEMPLATE_FILE, read_yaml
from local.template_reader import load_template


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hide these tests from coverage, which is of what ships, and slows down all that runs."""
    if Path(__file__).parent not in item.path.parents:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)


@pytest.fixture
def template() -> Template:
    """The project's own template."""
    return load_template()


@pytest.fixture
def built() -> dict[str, Any]:
    """A template as `sam build` leaves it: each function with a folder of its own."""
    content = read_yaml(TEMPLATE_FILE.read_text())
    for name, resource in content["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = name
    return content


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in this process, its S3 notices in their true form."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    s3_events.install()
    with mock_aws():
        yield
