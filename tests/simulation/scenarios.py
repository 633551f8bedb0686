"""What users, S3 and fal do in a run, apart from faults at calls."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.preset_file import load_presets
from shared.presets import Preset
from shared.settings import PRESETS_FILE
from shared.upload_patterns import UploadPattern

OddFate = Literal[
    "startup_timeout", "untyped", "moved", "moved_in_part", "generous", "vast", "long_urls", "overlong_urls"
]
OddResult = Literal["fewer", "none", "same_twice", "pages", "page_in_part", "no_bytes", "gone"]
Endless = Literal["stuck", "stuck_for_good"]
Plain = Literal["ok", "error", "payload_error", "download_error", "runner_error", "large", "never_started"]
Fate = Plain | OddFate | OddResult | Endless
"""What fal makes of a request that it took."""
Way = Literal["prompt", "lost", "twice", "at_once", "echoed", "late", "contradicted", "error_first", "bare"]
"""How a request's delivery comes."""
FATES: tuple[tuple[Fate, ...], tuple[int, ...]] = (
    (
        "ok",
        "error",
        "payload_error",
        "download_error",
        "runner_error",
        "large",
        "never_started",
        "untyped",
        "moved",
        "generous",
        "moved_in_part",
        "long_urls",
        "overlong_urls",
        "fewer",
        "none",
        "same_twice",
        "pages",
        "page_in_part",
        "no_bytes",
        "gone",
        "stuck",
        "stuck_for_good",
    ),
    (24, 6, 6, 6, 6, 6, 2, 4, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
)
WAYS: tuple[tuple[Way, ...], tuple[int, ...]] = (
    ("prompt", "lost", "twice", "at_once", "echoed", "late", "contradicted", "error_first", "bare"),
    (4, 1, 1, 1, 1, 1, 1, 1, 1),
)
"""What random runs choose from, and how often."""
PROMPT = "CANARY-PROMPT"
"""Stands in every prompt, and must stand in no log line."""
REFUSED, SEEMS_LOCKED, BREAKS_FAL = TROUBLES = ("REFUSE-THIS", "SEEM-LOCKED-BY-THIS", "BREAK-FAL-BY-THIS")
"""Stand in prompts that fal never takes: it answers a bare page, the words of a locked account, an error of its own."""
DELETE = "\x7f"
"""A character of one byte that JSON in ASCII writes with six."""
LARGE_TEXTS = ("x" * 130_000, DELETE * 68_050, "\n" * 64_000, "é" * 60_000, "€" * 43_000, "🖼" * 32_000, "x" * 140_000)
"""What makes a body as large as it may be, in characters of one to four bytes and escaped ones, and one too large."""
AGAIN = Preset(
    name="again", uploads=[UploadPattern(prefix="again/")], arguments={"prompt": PROMPT}, on_unknown="resubmit"
)
"""A preset whose owner would rather pay twice than have no picture."""
PRESETS = load_presets(PRESETS_FILE) | {AGAIN.name: AGAIN}


@dataclass(frozen=True)
class Upload:
    """A photo that lands in the inputs bucket; `copies` are the seconds after which its event comes again.

    `event_after`: the seconds after which it comes first, in which the key may be overwritten. `is_empty`: a tool makes
    the object before it has its bytes.
    """

    key: str = "sketch/shoe.jpg"
    at: float = 0.0
    version: str = "v1"
    copies: tuple[float, ...] = ()
    event_after: float = 0.0
    is_empty: bool = False


@dataclass(frozen=True)
class Post:
    """A POST /jobs, repeated with its Idempotency-Key until it is answered, and once more after `copies` seconds."""

    fields: dict[str, Any] = field(default_factory=lambda: {"prompt": PROMPT})
    at: float = 0.0
    key: str | None = "order-1"
    copies: tuple[float, ...] = ()
    owner: str = "shop"


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
    """One run without its faults; fates and ways go to fal's requests in the order in which they are taken.

    `slots`: the requests that fal runs at once. `versioned`: the inputs bucket keeps each version. `foreign`: another
    customer of fal sends deliveries of its own to our URLs. `paused`: when the operator stops all sending, and when it
    goes on. `allowed_after`: when the operator allows the host to which fal has moved files. `filled_after`: when the
    rows of open jobs are found full, as another release could have left them. `sweeps`: the clock's function runs when
    a job is due, and then twice at once, or each minute. `lag`: the seconds by which indexes, and reads that are not
    consistent, are late. `skew`: by which the clocks of functions are ahead and behind in turn.
    """

    name: str
    submissions: tuple[Upload | Post, ...]
    fates: tuple[Fate, ...] = ()
    ways: tuple[Way, ...] = ()
    run_seconds: float = 1.5
    forged: bool = False
    outages: tuple[Outage, ...] = ()
    slots: int = 2
    versioned: bool = False
    foreign: bool = False
    paused: tuple[float, float] | None = None
    allowed_after: float | None = None
    filled_after: float | None = None
    sweeps: Literal["due", "doubled", "each_minute"] = "due"
    lag: float = 0.0
    skew: float = 0.0

    @property
    def is_rough(self) -> bool:
        """Whether more happens than to one job on its own."""
        return len(self.submissions) > 1 or bool(self.outages)


OUTAGES = (
    ("fal.submit", "status403"),
    ("fal.submit", "status503"),
    ("fal.submit", "wait600"),
    ("fal.submit", "wait_until"),
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
            foreign=dice.random() < ROUGH,
            allowed_after=dice.choice((None, 5000.0)),
            sweeps=dice.choice(("due", "due", "doubled")),
            lag=dice.choice((0.0, 2.0)),
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
        slots=dice.choice((1, 2, 2, 40)),
        versioned=dice.random() < 0.5,
        foreign=dice.random() < 0.1,
        paused=dice.choice((None, None, (0.0, 400.0), (1.0, 4000.0), (61.0, 90_000.0))),
        allowed_after=dice.choice((None, 5000.0)),
        sweeps=dice.choice(("due", "due", "doubled")),
        lag=dice.choice((0.0, 0.0, 2.0, 70.0)),
        skew=dice.choice((0.0, 0.0, 3.0)),
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
        key, event_after = f"{folder}/photo-{dice.randint(0, 1)}.jpg", dice.choice((0.0, 0.0, 31.0))
        is_empty = dice.random() < ROUGH
        return Upload(key, at=at, version=f"v{index}", copies=copies, event_after=event_after, is_empty=is_empty)
    prompt = dice.choice((*[PROMPT] * 20, f"{PROMPT} {REFUSED}", f"{PROMPT} {SEEMS_LOCKED}"))
    if dice.random() < ROUGH / 2:
        prompt += dice.choice(LARGE_TEXTS)
    fields: dict[str, Any] = {"prompt": prompt, "num_images": dice.choice((1, 1, 2))}
    if dice.random() < 0.3:
        fields["image_url"] = "sketch/input.jpg"
    return Post(fields, at=at, key=f"order-{index}", copies=copies, owner=dice.choice(("shop", "shop", "guest")))
