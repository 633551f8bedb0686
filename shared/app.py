"""The application: settings and adapters, wired once for each container."""

import functools
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import boto3
import httpx
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from shared.accounts import Accounts
from shared.breaker import Breaker
from shared.credentials import Credentials
from shared.deliveries import Verifier
from shared.downloads import Downloads
from shared.errors import SettingsError
from shared.fal import FalClient
from shared.images import Images
from shared.job_indexes import JobIndexes
from shared.job_table import JobTable
from shared.kept_keys import KeptKeys
from shared.open_jobs import OpenJobs
from shared.preset_file import load_presets
from shared.presets import Preset, check_uploads
from shared.settings import PRESETS_FILE, Settings
from shared.signing_keys import SigningKeys
from shared.throttle import Throttle
from shared.webhook_urls import Target

SUBMIT_SECONDS = 15
"""How long fal may take to answer a submission or a question."""

Item = TypeVar("Item")
Made = TypeVar("Made")


_making = threading.Lock()


def utc_now() -> datetime:
    """The time, to the millisecond that the table keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def aws_client(service: str) -> Any:
    """A client of one AWS service, which gives up well before its function does."""
    config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    if service == "s3":
        # fal follows links from outside, where only a bucket's own region answers without a redirect; a stand-in on
        # this machine has no names for buckets.
        local = "AWS_ENDPOINT_URL" in os.environ
        config = config.merge(Config(signature_version="s3v4", s3={"addressing_style": "path" if local else "virtual"}))
    with _making:  # which boto3 does not guard by itself
        return boto3.client(service, config=config)  # type: ignore[call-overload] # its stubs know literal names only


def fal_http() -> httpx.Client:
    """The HTTP client for fal.

    A connection is used once: a kept one that died meanwhile would leave a submission in doubt. Cookies of file hosts
    and gateways are not kept, where they would pile up.
    """
    return httpx.Client(
        timeout=httpx.Timeout(SUBMIT_SECONDS, connect=5),
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


@dataclass
class App:
    """Settings and the adapters made of them; tests hand in their own clients, clock and transports.

    `answered`: attempts of which this container knows that no old delivery about them is waited for. `fit_none`:
    requests of paid results of which it has counted that they fit no job's.
    """

    settings: Settings
    client: Callable[[str], Any] = aws_client
    http: httpx.Client = field(default_factory=fal_http)
    now: Callable[[], datetime] = utc_now
    nonce: Callable[[], str] = lambda: secrets.token_hex(8)
    sleep: Callable[[float], None] = time.sleep
    threads: int = 16
    answered: set[Target] = field(default_factory=set)
    fit_none: set[str] = field(default_factory=set)

    def each(self, work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """Do the same with each item, side by side where there are several and threads for them."""
        items = list(items)
        threads = min(self.threads, len(items))
        if threads <= 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, items))

    def timestamp(self) -> float:
        """The time in Unix seconds."""
        return self.now().timestamp()

    @cached_property
    def presets(self) -> dict[str, Preset]:
        """The presets by name."""
        presets = load_presets(PRESETS_FILE)
        if self.settings.inputs_bucket == self.settings.outputs_bucket:
            check_uploads(presets, self.settings.outputs_prefix)
        return presets

    @cached_property
    def credentials(self) -> Credentials:
        """Secrets."""
        return Credentials(lambda: self.client("secretsmanager"), self.settings, self.timestamp)

    @cached_property
    def dynamodb(self) -> Any:
        """The one client of DynamoDB: a second would cost a cold start its making and its handshake."""
        return self.client("dynamodb")

    @cached_property
    def jobs(self) -> JobTable:
        """The job table."""
        return JobTable(self.dynamodb, self.settings.job_table, self.now, self.nonce)

    @cached_property
    def indexes(self) -> JobIndexes:
        """Lists of jobs."""
        return JobIndexes(self.dynamodb, self.settings.job_table, self.now)

    @cached_property
    def open_jobs(self) -> OpenJobs:
        """How many jobs an owner may have under way."""
        return OpenJobs(self.indexes, self.settings.most_open_jobs, self.timestamp)

    @cached_property
    def breaker(self) -> Breaker:
        """What is known of the account at fal."""
        return Breaker(self.dynamodb, self.settings.job_table, self.now, self.nonce)

    @cached_property
    def images(self) -> Images:
        """Pictures in S3."""
        return Images(self.client("s3"), self.settings.outputs_bucket)

    @cached_property
    def fal(self) -> FalClient:
        """fal's queue."""
        settings = self.settings
        return FalClient(
            self.http,
            settings.fal_queue_url,
            settings.fal_auth_scheme,
            self.credentials.fal_key,
            settings.fal_output_expiry,
            self.now,
        )

    @cached_property
    def throttle(self) -> Throttle:
        """How fast fal lets this container submit."""
        return Throttle(self.timestamp, lambda seconds: self.sleep(seconds))  # noqa: PLW0108 - tests put another `sleep`

    @cached_property
    def downloads(self) -> Downloads:
        """Outputs at fal."""
        return Downloads(self.http, self.settings.fal_output_hosts)

    @cached_property
    def accounts(self) -> Accounts:
        """The fal accounts whose requests are ours."""
        return Accounts(lambda: self.dynamodb, self.settings.job_table)

    @cached_property
    def verifier(self) -> Verifier:
        """The judge of webhook calls."""
        kept = KeptKeys(lambda: self.dynamodb, self.settings.job_table)
        keys = SigningKeys(self.http, self.settings.fal_jwks_url, self.timestamp, kept.read, kept.keep)
        return Verifier(self.credentials.webhook, keys, self.settings.fal_user_id, self.timestamp)


def time_left(context: LambdaContext, spare: float = 0.0) -> Callable[[], float]:
    """How to ask for the seconds until this invocation is ended, without those that are to be spared for others."""
    return lambda: context.get_remaining_time_in_millis() / 1000 - spare


@functools.cache
def app() -> App:
    """This container's application, wired when it is first asked for.

    Raises:
        SettingsError: an environment variable or a preset is wrong.
    """
    if "AWS_SAM_LOCAL" in os.environ and "AWS_ENDPOINT_URL" not in os.environ:
        # SAM takes `!Ref Jobs` for the name `Jobs`, and real credentials for its own.
        raise SettingsError(
            "this function runs under `sam local` without a local stack, and would call AWS itself:"
            " README, Plain sam commands, says how it is run"
        )
    return App(Settings.from_environment(os.environ))
