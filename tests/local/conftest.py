"""What several tests of the local stack share."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from local import s3_events
from local.resources import Template, load_template
from local.template import TEMPLATE_FILE, read_yaml


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
