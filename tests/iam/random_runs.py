"""What calls need in schedules of faults as the simulation makes them, on its stand-ins in memory."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from shared.app import aws_client
from tests.iam.needs import Need, needs_of
from tests.simulation import processes
from tests.simulation.calls import FaultyClient
from tests.simulation.runs import run
from tests.simulation.sandbox import sandbox

Note = Callable[[str, Mapping[str, Any]], None]


def record_schedules(seeds: range) -> dict[str, set[Need]]:
    """What each handler needed in the schedules of these seeds.

    Raises:
        KeyError: a call of which is not known what it needs.
    """
    asked: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = defaultdict(list)

    def client(stand_in: Any, service: str, process: processes.Process) -> FaultyClient:
        calls = asked[f"functions.{process.function}"]

        def note(method: str, parameters: Mapping[str, Any]) -> None:
            calls.append((service, _operations(service)[method], parameters))

        return FaultyClient(_NotingStandIn(stand_in, note), service, process)

    with pytest.MonkeyPatch.context() as patch, sandbox() as box:
        patch.setattr(processes, "FaultyClient", client)
        for seed in seeds:
            run(box, f"seed:{seed}/3")
    return {handler: set().union(*(needs_of(*call) for call in calls)) for handler, calls in asked.items()}


@cache
def _operations(service: str) -> dict[str, str]:
    """boto3's method names, and the operations that they call."""
    operations: dict[str, str] = aws_client(service).meta.method_to_api_mapping
    return operations


class _NotingStandIn:
    """A stand-in that notes what is asked of it, and which links are made."""

    def __init__(self, stand_in: Any, note: Note) -> None:
        self._stand_in = stand_in
        self._note = note

    def __getattr__(self, name: str) -> Any:
        """Give what the stand-in has under that name."""
        found = getattr(self._stand_in, name)
        if not callable(found):
            return found

        def ask(*method: str, **parameters: Any) -> Any:
            # A link names the method that it stands for.
            self._note(method[0] if method else name, parameters.get("Params", parameters))
            return found(*method, **parameters)

        return ask
