"""One attempt of a request on a runner: arguments judged, inputs opened, pictures painted, a result given."""

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

from local.fal.faults import INFRASTRUCTURE, InfrastructureFault, ModelError, infrastructure_body
from local.fal.files import FileStore
from local.fal.inputs import InputLoader
from local.fal.kontext import Arguments, parse_arguments
from local.fal.pictures import Picture, paint
from local.fal.requests import Outcome, Request
from local.fal.settings import EmulatorSettings

if TYPE_CHECKING:
    from PIL import Image

# Kontext docs: the two single-image endpoints answer with fal's own Image record, the others with a shorter one.
FULL_RECORDS = frozenset({"fal-ai/flux-pro/kontext", "fal-ai/flux-pro/kontext/max"})


def infrastructure_outcome(fault: InfrastructureFault, timeout_type: str | None = None) -> Outcome:
    """Give the outcome of a request that failed around the model; it costs nothing."""
    status, message = INFRASTRUCTURE[fault]
    return Outcome(
        status=status,
        body=infrastructure_body(fault),
        error=message,
        error_type=fault,
        timeout_type=timeout_type,
        retryable=fault.startswith("runner_") or fault.endswith("_timeout"),
    )


class Runner:
    """The machine that paints."""

    def __init__(self, settings: EmulatorSettings, files: FileStore, inputs: InputLoader) -> None:
        self._settings = settings
        self._files = files
        self._inputs = inputs

    def run(self, request: Request) -> Outcome:
        """Give the outcome of the attempt that `request.attempts` counts."""
        script = request.script
        if script.infrastructure_error is not None:
            return infrastructure_outcome(script.infrastructure_error)
        if request.attempts <= script.fail_attempts:
            return infrastructure_outcome(script.fail_attempts_with)
        if script.result is not None:
            given = script.result
            return Outcome(
                status=given.status, body=given.body, units=given.billable_units, headers=dict(given.headers)
            )
        images = 1
        try:
            arguments = parse_arguments(request.address.endpoint, request.body)
            images = arguments.num_images
            return self._paint(request, arguments)
        except ModelError as error:
            body: JsonValue = {"detail": list(error.details)}
            units = images if script.billed_422 and error.status == 422 else 0  # noqa: PLR2004 - named by the switch
            return Outcome(status=error.status, body=body, units=units, retryable=error.retryable)

    def _paint(self, request: Request, arguments: Arguments) -> Outcome:
        script = request.script
        sources: list[Image.Image] = [self._inputs.load(loc, url) for loc, url in arguments.inputs()]
        seed = arguments.seed
        if seed is None:
            seed = script.seed if script.seed is not None else seed_of(request.id)
        records: list[JsonValue] = []
        for index in range(arguments.num_images):
            picture = paint(arguments, sources, seed, index, self._settings.megapixels, black=script.black)
            url = "" if script.empty_url else self._publish(request, picture, index, arguments)
            records.append(_record(request.address.endpoint, picture, url, script.drop_fields))
        seconds = self._settings.run_seconds if script.run_seconds is None else script.run_seconds
        body: dict[str, JsonValue] = {
            "images": records,
            "timings": {"inference": float(seconds)},
            "seed": seed,
            "has_nsfw_concepts": [script.nsfw] * arguments.num_images,
            "prompt": arguments.prompt,
        }
        kept: JsonValue = {name: value for name, value in body.items() if name not in script.drop_fields}
        return Outcome(status=200, body=kept, units=arguments.num_images, inline=arguments.sync_mode)

    def _publish(self, request: Request, picture: Picture, index: int, arguments: Arguments) -> str:
        if arguments.sync_mode:
            return f"data:{picture.content_type};base64,{base64.b64encode(picture.content).decode()}"
        files = request.script.files
        if files is not None and files.url is not None:
            return files.url
        digest = hashlib.sha256(f"{request.id}/{request.attempts}/{index}".encode()).hexdigest()
        path = f"{digest[:2]}/{digest[2:34]}.{arguments.output_format}"
        seconds = output_seconds(self._settings, request.lifecycle)
        self._files.put(path, picture.content, picture.content_type, seconds, files)
        return f"{self._settings.public_url}/files/{path}"


def seed_of(request_id: str) -> int:
    """Give the seed of a request that names none: 64 bits, as fal's are."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8])


def output_seconds(settings: EmulatorSettings, lifecycle: dict[str, JsonValue] | None) -> float | None:
    """Say how long a file is kept: as the lifecycle preference asks, else as long as all; None is for ever."""
    if lifecycle is None or "expiration_duration_seconds" not in lifecycle:
        return settings.output_seconds
    wanted = lifecycle["expiration_duration_seconds"]
    return float(wanted) if isinstance(wanted, int | float) else None


def parse_lifecycle(header: str | None) -> dict[str, JsonValue] | None:
    """Read a lifecycle preference; one that is no JSON object is as good as none."""
    try:
        found = json.loads(header or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _record(endpoint: str, picture: Picture, url: str, dropped: tuple[str, ...]) -> dict[str, JsonValue]:
    record: dict[str, JsonValue] = {
        "url": url,
        "content_type": picture.content_type,
        "width": picture.width,
        "height": picture.height,
    }
    if endpoint in FULL_RECORDS:
        record["file_name"] = url.rpartition("/")[2] if url.startswith("http") else None
        record["file_size"] = len(picture.content)
    return {name: value for name, value in record.items() if name not in dropped}
