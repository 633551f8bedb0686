"""The application of a container, wired from its environment."""

import pytest

from shared.app import app
from shared.errors import SettingsError


def test_sam_local_without_a_stack_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under plain `sam local` names are made up and credentials may be real: the function refuses, and says why."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    monkeypatch.setenv("JOB_TABLE", "Jobs")
    app.cache_clear()
    with pytest.raises(SettingsError, match="README, Plain sam commands"):
        app()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://172.17.0.1:5000")
    monkeypatch.setenv("INPUTS_BUCKET", "darkroom-inputs")
    monkeypatch.setenv("OUTPUTS_BUCKET", "darkroom-outputs")
    assert app().settings.job_table == "Jobs"
    app.cache_clear()
