"""`python -m local.presets [KEY]`: whether presets.yaml is right, and which uploads start which preset."""

import sys
from collections.abc import Collection, Iterator

from local.prices import dollars, price
from shared.endpoints import Endpoint
from shared.errors import SettingsError, UploadSkippedError
from shared.jobs import Upload
from shared.preset_file import load_presets
from shared.presets import Preset, output_key
from shared.settings import PRESETS_FILE
from shared.uploads import choose_presets, without_extension


def describe_all(presets: Collection[Preset]) -> Iterator[str]:
    """A line for each preset: the uploads that start it, what an edit costs, and its description."""
    yield f"{PRESETS_FILE.name} is right. Its {len(presets)} presets, and the uploads that start them:"
    yield ""
    patterns = {preset.name: ", ".join(map(str, preset.uploads)) or "posted jobs alone" for preset in presets}
    longest_name, longest_uploads = max(map(len, patterns)), max(map(len, patterns.values()))
    for preset in presets:
        about = f"{_price(preset)}  {preset.description}".rstrip()
        yield f"  {preset.name:<{longest_name}}  {patterns[preset.name]:<{longest_uploads}}  {about}"
    yield ""
    yield "`make presets KEY=products/a.jpg` shows what one upload would start."


def describe_upload(presets: Collection[Preset], key: str) -> Iterator[str]:
    """What an upload of this key would start, and where its outputs would be; or why it would start nothing."""
    upload = Upload(bucket="inputs", key=key, version="")
    try:
        chosen = choose_presets(presets, upload)
    except UploadSkippedError as reason:
        yield f"{key} starts nothing: {reason}"
        yield from _hint(presets, key)
        return
    yield f"{key} starts {len(chosen)} {'job' if len(chosen) == 1 else 'jobs'}:"
    yield ""
    for preset in chosen:
        place = output_key(preset.output_key, preset=preset.name, path=without_extension(key), job_id="{job_id}")
        # What is filled in keeps its braces by doubled ones, which the last filling halves.
        yield f"  {preset.name}  {_price(preset)}  {place.replace('{{', '{').replace('}}', '}')}"


def _hint(presets: Collection[Preset], key: str) -> Iterator[str]:
    """The same key in other letters, where that would start something."""
    for preset in presets:
        for pattern in preset.uploads:
            prefix = pattern.prefix or ""
            meant = prefix + key[len(prefix) :]
            if meant != key and key.lower() == meant.lower() and pattern.matches(meant):
                yield f"did you mean {meant}? It starts {preset.name}."


def _price(preset: Preset) -> str:
    endpoint = preset.endpoint or Endpoint.choose(preset.tier or "pro", images=1)
    return dollars(price(endpoint, int(preset.arguments.get("num_images", 1))))


def main() -> int:
    """Check and describe; the result is the exit code."""
    try:
        presets = load_presets(PRESETS_FILE).values()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    keys = sys.argv[1:]
    for line in [line for key in keys for line in describe_upload(presets, key)] or describe_all(presets):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
