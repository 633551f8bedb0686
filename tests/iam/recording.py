"""What the functions ask of AWS on a day on which each makes every kind of call that it can make.

The functions are the real ones, with boto3's own clients over moto, run by the simulation as processes of their own.
"""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest

from local.fal import ManualClock
from shared.app import aws_client
from shared.settings import Settings
from tests.iam.day import DAY, Day
from tests.iam.needs import Need, bucket_arn, needs_of
from tests.simulation import processes
from tests.simulation.calls import FaultyClient
from tests.simulation.fates import FAL
from tests.simulation.faults import FixedPlan
from tests.simulation.moto_aws import moto_stack
from tests.simulation.sandbox import sandbox
from tests.simulation.world import World


def record(environment: Mapping[str, str]) -> dict[str, set[Need]]:
    """What each handler needed on that day, with the variables that the template gives the functions.

    Raises:
        KeyError: a call of which is not known what it needs.
    """
    fal = {"FAL_QUEUE_URL": FAL, "FAL_JWKS_URL": f"{FAL}/.well-known/jwks.json", "FAL_OUTPUT_HOSTS": FAL}
    # So few that the function counts what an owner has under way.
    settings = Settings.from_environment({**environment, **fal, "MOST_OPEN_JOBS": "40"})
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch, sandbox() as box, moto_stack() as moto:
        patch.setattr(processes, "FaultyClient", recorder.client)
        clock = ManualClock()
        world = box.world = World(DAY, FixedPlan(), moto.begin(clock.now), clock)
        world.settings = settings
        try:
            Day(world).pass_by()
        finally:
            # A call that is not known may be why the day went wrong, and is told first.
            needs = recorder.needs()
        world.processes.close()
    return needs


class Recorder:
    """Gives each function clients of its own, which note every call that they make and every link."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Any] = {}
        self._calls: dict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
        self._missing: dict[str, set[Need]] = defaultdict(set)

    def client(self, _: Any, service: str, process: processes.Process) -> FaultyClient:
        """The simulation's client around one that notes."""
        return FaultyClient(self.noting(f"functions.{process.function}", service), service, process)

    def noting(self, handler: str, service: str) -> Any:
        """The client that the application itself would make, and that notes its calls."""
        if (handler, service) in self._clients:
            return self._clients[handler, service]
        client = self._clients[handler, service] = aws_client(service)

        def note(params: dict[str, Any], model: Any, context: dict[str, Any], **_: object) -> None:
            # Links are built like calls: whoever reads one later does so in the name of who made it.
            asked = dict(params)  # to which botocore adds more
            self._calls[handler].append((model.service_model.service_name, model.name, asked))
            context["asked"] = asked

        def note_missing(http_response: Any, context: dict[str, Any], **_: object) -> None:
            # Who may not list the bucket is told 403 of a missing object, and not 404 (S3 API: GetObject).
            if http_response.status_code == HTTPStatus.NOT_FOUND:
                self._missing[handler].add(Need("s3:ListBucket", bucket_arn(context["asked"]["Bucket"])))

        client.meta.events.register("provide-client-params", note)
        client.meta.events.register("after-call.s3.GetObject", note_missing)
        return client

    def needs(self) -> dict[str, set[Need]]:
        """What each handler needed.

        Raises:
            KeyError: a call of which is not known what it needs; only now, so that no function can catch it.
        """
        return {
            handler: self._missing[handler].union(*(needs_of(*call) for call in calls))
            for handler, calls in self._calls.items()
        }
