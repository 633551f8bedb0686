"""Settings: read from the environment, or refused by name."""

import pytest

from shared.errors import SettingsError
from shared.settings import Settings

NEEDED = {"JOB_TABLE": "t", "INPUTS_BUCKET": "i", "OUTPUTS_BUCKET": "o"}


def test_defaults_are_fal_s_own() -> None:
    """Table and buckets are enough; everything else points at fal."""
    settings = Settings.from_environment(NEEDED | {"FAL_OUTPUT_HOSTS": "", "UNRELATED": "x"})
    assert settings.fal_queue_url == "https://queue.fal.run"
    assert [url.split("/")[2] for url in settings.fal_jwks_url] == ["rest.fal.ai", "rest.alpha.fal.ai"]
    assert settings.fal_auth_scheme == "Key"
    assert settings.fal_output_hosts == ()


def test_lists_are_split_at_commas() -> None:
    """Several hosts or key servers stand in one variable."""
    settings = Settings.from_environment(NEEDED | {"FAL_OUTPUT_HOSTS": "a.example, http://127.0.0.1:8787"})
    assert settings.fal_output_hosts == ("a.example", "http://127.0.0.1:8787")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOB_TABLE", ""),
        ("INPUTS_BUCKET", ""),
        ("FAL_QUEUE_URL", "queue.fal.run"),
        ("FAL_QUEUE_URL", "ftp://queue.fal.run"),
        ("FAL_QUEUE_URL", "https://queue.fal.run:99999"),
        ("FAL_QUEUE_URL", "https://user@queue.fal.run"),
        ("FAL_AUTH_SCHEME", "Basic"),
        ("FAL_OUTPUT_HOSTS", "a.example:99999"),
        ("FAL_OUTPUT_HOSTS", "https://a.example/files"),
        ("FAL_OUTPUT_HOSTS", "https://user@a.example"),
        ("FAL_OUTPUT_EXPIRY", "1 day"),
        ("FAL_OUTPUT_EXPIRY", "60"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    """The message begins with the variable's name."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_environment(NEEDED | {name: value})
