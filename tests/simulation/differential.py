"""The same run on the stand-ins and on moto: what is left at the end must be equal, and every step on the way."""

from typing import Any
from urllib.parse import urlsplit

from tests.simulation.moto_aws import Moto
from tests.simulation.runs import Outcome, run
from tests.simulation.sandbox import Sandbox


def final_state(outcome: Outcome) -> dict[str, Any]:
    """All that a run leaves: rows with every attribute, objects, fal's requests, what the queues still hold."""
    world = outcome.world
    requests = [
        (
            request.id,
            urlsplit(str(request.webhook_url)).path,
            request.state.value,
            _without_signatures(request.arguments),
        )
        for request in world.fal.requests()
    ]
    return {
        "rows": {row["job_id"]["S"]: row for row in world.backend.rows()},
        "objects": dict(world.backend.objects()),
        "requests": requests,
        "messages": world.backend.messages(),
        "dead letters": world.backend.take_dead_letters(),
        "violations": [str(violation) for violation in outcome.violations],
        "answers": [client.answers for client in world.clients],
        "trace": world.trace,
    }


def differences(box: Sandbox, moto: Moto, token: str, most_calls: int = 10_000) -> list[str] | None:
    """Where the two runs of a token differ, in words; None for one of many calls, or on a table that is to be late."""
    outcome = run(box, token)
    if len(outcome.world.points) > most_calls or outcome.world.scenario.lag:
        return None
    fast = final_state(outcome)
    slow = final_state(run(box, token, moto.begin))
    found = [f"{name}: {fast[name]!r} in memory, {slow[name]!r} on moto" for name in fast if fast[name] != slow[name]]
    if fast["trace"] != slow["trace"]:
        steps = zip(fast["trace"], slow["trace"], strict=False)
        first = next((pair for pair in steps if pair[0] != pair[1]), "one of them ends")
        found[-1] = f"trace: first {first}"
    return [f"{token}: {text}" for text in found]


def _without_signatures(arguments: Any) -> Any:
    """fal's input without what a presigned URL says of the machine's time."""
    if isinstance(arguments, dict) and "image_url" in arguments:
        return arguments | {"image_url": str(arguments["image_url"]).partition("?")[0]}
    return arguments
