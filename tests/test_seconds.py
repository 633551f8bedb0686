"""Seconds that hang together: whoever changes one of them alone finds the others here."""

from pathlib import Path

import httpx
import pytest

from functions import submit
from local.template_reader import load_template
from shared import images, recovery, sending, storing, waiting
from shared.app import SUBMIT_SECONDS, aws_client, fal_http
from shared.completion import ASK_SECONDS
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
API_GATEWAY = 30
"""An HTTP API waits so long for a function (AWS docs: quotas)."""
WEBHOOK = 15
"""fal waits so long for a webhook's answer (fal docs: webhooks)."""
DELETED = 86_400
"""After so long fal deletes outputs, as each submission asks it to."""

FUNCTIONS = load_template().functions


def test_a_lease_outlives_every_function() -> None:
    """An attempt whose lease is over is on no wire any more, whichever function sent it."""
    assert max(function.timeout for function in FUNCTIONS.values()) < waiting.LEASE


def test_what_answers_the_api_ends_before_the_api_does() -> None:
    """A caller gets our answer and not API Gateway's; so does fal, well before it gives up."""
    for function in FUNCTIONS.values():
        if function.routes:
            assert function.timeout <= API_GATEWAY
    assert FUNCTIONS["Authorize"].timeout < API_GATEWAY
    assert FUNCTIONS["SubmitFromApi"].timeout > sending.POST_SECONDS


def test_one_post_fits_into_what_is_kept_for_it() -> None:
    """Connecting and fal's answer at their slowest leave seconds for the note of it."""
    timeout = fal_http().timeout
    assert (timeout.connect, timeout.read, timeout.write) == (5, SUBMIT_SECONDS, SUBMIT_SECONDS)
    assert 5 + SUBMIT_SECONDS + 2 <= sending.POST_SECONDS
    assert sending.POST_SECONDS < submit.UPLOAD_MILLISECONDS / 1000 < submit.ONE_UPLOAD_SECONDS
    assert FUNCTIONS["SubmitFromUpload"].timeout > submit.ONE_UPLOAD_SECONDS


def test_outputs_are_stored_while_fal_waits() -> None:
    """Half of fal's patience is left for the table and for S3."""
    assert storing.STORE_SECONDS * 2 <= WEBHOOK


def test_the_sweep_has_time_for_the_last_look_that_it_begins() -> None:
    """It begins none with less time left than one takes at worst."""
    assert sending.POST_SECONDS < recovery.JOB_SECONDS < FUNCTIONS["Sweep"].timeout


def test_an_input_can_be_read_as_long_as_an_attempt_may_begin() -> None:
    """fal reads inputs when it begins, which may be as late as it may begin, and again when it runs."""
    assert images.INPUT_LINK_SECONDS >= waiting.START_TIMEOUT + waiting.RUN + waiting.LEASE


def test_links_to_outputs_last_as_long_as_the_docs_say() -> None:
    """An hour."""
    assert images.OUTPUT_LINK_SECONDS == 3600
    assert "good for an hour" in (ROOT / "docs/api.md").read_text()


def test_fal_keeps_outputs_as_long_as_they_are_tried_to_be_stored() -> None:
    """Those that cannot be had are given up before fal deletes the others."""
    assert Settings.model_fields["fal_output_expiry"].default >= waiting.STORE
    assert int(FUNCTIONS["Callback"].environment["FAL_OUTPUT_EXPIRY"]) >= waiting.STORE
    assert storing.PATIENCE < waiting.STORE <= DELETED


def test_a_dead_attempt_can_neither_start_nor_run_nor_be_delivered() -> None:
    """Only then may a preset have its job sent again."""
    assert waiting.ATTEMPT >= waiting.LEASE + waiting.START_TIMEOUT + waiting.RUN + 2 * 3600
    assert waiting.T_MAX == 4 * 24 * 3600


def test_a_lost_webhook_costs_three_minutes_at_most() -> None:
    """A job is asked about within two minutes, by a sweep that comes each minute."""
    polls = int(FUNCTIONS["Sweep"].environment["POLL_SECONDS"])
    (clock,) = FUNCTIONS["Sweep"].schedules
    assert polls + clock.seconds <= 180
    assert ASK_SECONDS + clock.seconds <= 180


def test_fal_s_client_keeps_nothing_between_requests() -> None:
    """A kept connection could lose a POST, a proxy of the environment reads the key, and cookies pile up."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "https://evil.example/", "Set-Cookie": "a=1"})

    client = fal_http()
    assert client.trust_env is False
    assert client.follow_redirects is False
    pool = client._transport._pool  # type: ignore[attr-defined] # noqa: SLF001 - where httpx puts what was asked for
    assert pool._max_keepalive_connections == 0  # noqa: SLF001 - the same
    client._transport = httpx.MockTransport(answer)  # noqa: SLF001 - the same client, without a network
    for _ in range(2):
        assert client.post("https://queue.fal.run/").status_code == 302
    assert [request.url.host for request in seen] == ["queue.fal.run"] * 2
    assert not [request for request in seen if "cookie" in request.headers]


@pytest.mark.parametrize("service", ["dynamodb", "s3", "secretsmanager"])
def test_aws_is_given_up_before_the_function_ends(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries of thirteen seconds at most, as all that is promised of slow services rests on."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = aws_client(service).meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
