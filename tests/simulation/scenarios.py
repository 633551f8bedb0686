"""What users, S3 and fal do in a run, apart from faults at calls."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.preset_file import load_presets
from shared.presets import Preset
from shared.settings import PRESETS_FILE
from shared.upload_patterns import UploadPattern

Fate = Literal["ok", "error", "payload_error", "download_error", "runner_error", "large", "never_started"]
"""What fal makes of a request that it took."""
Way = Literal["prompt", "lost", "twice", "echoed", "late", "contradicted", "error_first"]
"""How a request's delivery comes."""
FATES: tuple[tuple[Fate, ...], tuple[int, ...]] = (
    ("ok", "error", "payload_error", "download_error", "runner_error", "large", "never_started"),
    (12, 3, 3, 3, 3, 3, 1),
)
WAYS: tuple[tuple[Way, ...], tuple[int, ...]] = (
    ("prompt", "lost", "twice", "echoed", "late", "contradicted", "error_first"),
    (4, 1, 1, 1, 1, 1, 1),
)
"""What random runs choose from, and how often."""
PROMPT = "CANARY-PROMPT"
"""Stands in every prompt, and must stand in no log line."""
AGAIN = Preset(
    name="again", uploads=[UploadPattern(prefix="again/")], arguments={"prompt": PROMPT}, on_unknown="resubmit"
)
"""A preset whose owner would rather pay twice than have no picture."""
PRESETS = load_presets(PRESETS_FILE) | {AGAIN.name: AGAIN}


@dataclass(frozen=True)
class Upload:
    """A photo that lands in the inputs bucket; `copies` are the seconds after which its event comes again."""

    key: str = "sketch/shoe.jpg"
    at: float = 0.0
    version: str = "v1"
    copies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Post:
    """A POST /jobs, repeated with its Idempotency-Key until it is answered, and once more after `copies` seconds."""

    fields: dict[str, Any] = field(default_factory=lambda: {"prompt": PROMPT})
    at: float = 0.0
    key: str | None = "order-1"
    copies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Outage:
    """For some time a kind of call always fails, and in the same way."""

    operations: str
    kind: str
    at: float = 0.0
    seconds: float = 3600.0

    def hits(self, operation: str, after: float) -> bool:
        """Whether a call so many seconds after the beginning fails."""
        return operation.startswith(self.operations) and self.at <= after < self.at + self.seconds


@dataclass(frozen=True)
class Scenario:
    """One run without its faults; fates and ways go to fal's requests in the order in which they are taken."""

    name: str
    submissions: tuple[Upload | Post, ...]
    fates: tuple[Fate, ...] = ()
    ways: tuple[Way, ...] = ()
    run_seconds: float = 1.5
    forged: bool = False
    outages: tuple[Outage, ...] = ()

    @property
    def is_rough(self) -> bool:
        """Whether more happens than to one job on its own."""
        return len(self.submissions) > 1 or bool(self.outages)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("upload", (Upload(),)),
        Scenario("upload-again", (Upload(copies=(0.0, 1.0, 7200.0)),)),
        Scenario("post", (Post(),)),
        Scenario("post-again", (Post(copies=(1.0, 4000.0)),)),
        Scenario("two-images", (Post({"prompt": PROMPT, "num_images": 2}),)),
        Scenario("two-presets", (Upload("cars/car.jpg"),)),
        Scenario("two-jobs", (Upload(), Post(at=0.5))),
        Scenario("lost-webhook", (Upload(),), ways=("lost",)),
        Scenario("delivered-twice", (Post(),), ways=("twice",)),
        Scenario("late-delivery", (Post(),), ways=("late",)),
        Scenario("contradicted", (Post(),), ways=("contradicted",)),
        Scenario("error-first", (Post(),), ways=("error_first",)),
        Scenario("error", (Upload(),), fates=("error",)),
        Scenario("runner-error", (Post(),), fates=("runner_error",)),
        Scenario("payload-error", (Post(),), fates=("payload_error",)),
        Scenario("payload-error-lost", (Post(),), fates=("payload_error",), ways=("lost",)),
        Scenario("large-result", (Post(),), fates=("large",), ways=("lost",)),
        Scenario("never-started", (Post(),), fates=("never_started",)),
        Scenario("slow-run", (Upload(),), run_seconds=400.0),
        Scenario("forged", (Post(),), forged=True),
        Scenario("input-unread", (Upload(),), fates=("download_error", "download_error")),
        Scenario("in-doubt", (Upload("again/photo.jpg"),), outages=(Outage("fal.submit", "sent_not_taken", 0, 60),)),
        Scenario("input-unread-echoed", (Upload(),), fates=("download_error",), ways=("echoed",), run_seconds=400.0),
        Scenario(
            "in-doubt-and-slow",
            (Upload("again/photo.jpg"),),
            run_seconds=3000.0,
            outages=(Outage("fal.submit", "taken_reply_cut", 0, 30),),
        ),
        Scenario(
            "keys-blip",
            (Post(),),
            outages=(Outage("fal.submit", "taken_reply_cut", 0, 30), Outage("fal.keys", "refused", 0, 60)),
        ),
        Scenario(
            "deaf-for-minutes",
            (Post(),),
            outages=(Outage("fal.submit", "taken_reply_cut", 0, 30), Outage("dynamodb.", "throttled", 1, 400)),
        ),
        Scenario("locked", (Upload(), Post(at=30.0)), outages=(Outage("fal.submit", "status403", 0, 900),)),
        Scenario("locked-for-days", (Post(),), outages=(Outage("fal.submit", "status403", 0, 6 * 86_400),)),
        Scenario("fal-down", (Upload(), Post(at=30.0)), outages=(Outage("fal.", "refused", 0, 5 * 3600),)),
        Scenario("files-down", (Post(),), outages=(Outage("fal.file", "page502", 0, 3 * 3600),)),
        Scenario("keys-down", (Post(),), outages=(Outage("fal.keys", "refused", 0, 3 * 3600),)),
        Scenario("table-down", (Upload(), Post(at=2.0)), outages=(Outage("dynamodb.", "throttled", 1, 1000),)),
        Scenario("dead-letter", (Upload(),), outages=(Outage("dynamodb.", "throttled", 0, 6000),)),
        Scenario("unaskable", (Post(),), ways=("lost",), outages=(Outage("fal.status", "page502", 0, 5 * 3600),)),
        Scenario("bucket-down", (Upload(),), outages=(Outage("s3.", "throttled", 0, 3600),)),
    )
}


OUTAGES = (
    ("fal.submit", "status403"),
    ("fal.submit", "status503"),
    ("fal.submit", "taken_reply_lost"),
    ("fal.submit", "sent_not_taken"),
    ("fal.", "refused"),
    ("fal.file", "page502"),
    ("fal.file", "cut"),
    ("fal.keys", "refused"),
    ("dynamodb.", "throttled"),
    ("s3.", "throttled"),
    ("secretsmanager.", "timeout"),
)
"""What may be out for a while in random runs."""


ROUGH = 0.06
"""The share of random runs with several jobs, outages and many faults; they take several times as long."""


def random_scenario(dice: random.Random, name: str, most_jobs: int) -> Scenario:
    """A submission, or in rough runs up to `most_jobs`, with whatever can happen to them."""
    if dice.random() >= ROUGH:
        return Scenario(
            name,
            (_random_submission(dice, 0),),
            fates=tuple(dice.choices(*FATES, k=1)),
            ways=tuple(dice.choices(*WAYS, k=1)),
            forged=dice.random() < ROUGH,
        )
    submissions = tuple(_random_submission(dice, index) for index in range(dice.randint(1, most_jobs)))
    return Scenario(
        name,
        submissions,
        fates=tuple(dice.choices(*FATES, k=most_jobs)),
        ways=tuple(dice.choices(*WAYS, k=most_jobs)),
        run_seconds=dice.choice((0.0, 1.5, 1.5, 90.0, 400.0)),
        forged=dice.random() < 0.1,
        outages=tuple(_random_outage(dice) for _ in range(dice.choice((0, 0, 0, 1, 2)))),
    )


def _random_outage(dice: random.Random) -> Outage:
    at, seconds = dice.choice((0.0, 1.0, 60.0, 3000.0)), dice.choice((5.0, 60.0, 400.0, 4000.0, 30_000.0))
    return Outage(*dice.choice(OUTAGES), at=at, seconds=seconds)


def _random_submission(dice: random.Random, index: int) -> Upload | Post:
    at = dice.choice((0.0, 0.0, 1.0, 30.0, 3000.0))
    copies = tuple(
        sorted(dice.choice((0.0, 1.0, 3.0, 61.0, 900.0, 20_000.0)) for _ in range(dice.choice((0, 0, 1, 2))))
    )
    if dice.random() < 0.5:
        folder = dice.choice(("sketch", "claymation", "again", "cars"))
        # Two versions of one key, or two keys.
        return Upload(f"{folder}/photo-{dice.randint(0, 1)}.jpg", at=at, version=f"v{index}", copies=copies)
    fields: dict[str, Any] = {"prompt": PROMPT, "num_images": dice.choice((1, 1, 2))}
    if dice.random() < 0.3:
        fields["image_url"] = "sketch/input.jpg"
    return Post(fields, at=at, key=f"order-{index}", copies=copies)
