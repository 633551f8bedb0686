"""What several tests of the local stack share."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from local import s3_events
from local.resources import Template, load_template


@pytest.fixture
def template() -> Template:
    """The project's own template."""
    return load_template()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in this process, its S3 notices in their true form."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    s3_events.install()
    with mock_aws():
        yield
