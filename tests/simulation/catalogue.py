"""The scenarios by name: one run each without faults, and the ground for all schedules with some."""

from typing import get_args

from tests.simulation.scenarios import (
    BREAKS_FAL,
    DELETE,
    LARGE_TEXTS,
    PROMPT,
    REFUSED,
    SEEMS_LOCKED,
    OddResult,
    Outage,
    Post,
    Scenario,
    Upload,
)

HOUR = 3600.0
SIZES = ("one-byte", "deletes", "escaped", "two-bytes", "three-bytes", "four-bytes", "too-large")
"""The names of LARGE_TEXTS."""


def _refused(number: int, why: str, at: float = 0.0) -> Post:
    return Post({"prompt": f"{PROMPT} {why}"}, at=at, key=f"bad-{number}", owner="guest")


def _good(number: int, at: float) -> Post:
    return Post(at=at, key=f"good-{number}")


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
        # What was uploaded is one version of an object.
        Scenario("overwritten", (Upload(event_after=5.0), Upload(at=2.0, version="v2", event_after=5.0))),
        Scenario(
            "overwritten-kept",
            (Upload(event_after=5.0, copies=(90.0,)), Upload(at=2.0, version="v2", event_after=5.0)),
            versioned=True,
        ),
        Scenario(
            "overwritten-while-locked",
            (Upload(), Upload(at=200.0, version="v2")),
            versioned=True,
            outages=(Outage("fal.submit", "status403", 0, 600),),
        ),
        Scenario(
            "overwritten-unkept-while-locked",
            (Upload(), Upload(at=200.0, version="v2")),
            outages=(Outage("fal.submit", "status403", 0, 600),),
        ),
        Scenario(
            "events-out-of-order",
            (Upload(event_after=20.0, copies=(0.5, 90.0)), Upload(at=2.0, version="v2", copies=(60.0,))),
        ),
        Scenario(
            "events-out-of-order-kept",
            (Upload(event_after=20.0, copies=(0.5, 90.0)), Upload(at=2.0, version="v2", copies=(60.0,))),
            versioned=True,
        ),
        # A tool makes the object first, and writes its bytes next; or it empties what is there.
        Scenario("empty-first", (Upload(is_empty=True, copies=(30.0,)), Upload(at=1.0, version="v2"))),
        Scenario(
            "empty-first-kept",
            (Upload(is_empty=True, event_after=3.0), Upload(at=1.0, version="v2", copies=(9.0,))),
            versioned=True,
        ),
        Scenario("emptied", (Upload(event_after=5.0), Upload(at=2.0, version="v2", is_empty=True))),
        # What fal takes slowly, or not yet, is not lost.
        Scenario("never-started-for-hours", (Upload(),), fates=("never_started",) * 8),
        Scenario("backlog", tuple(_good(number, number / 4) for number in range(8)), slots=1, run_seconds=1700.0),
        Scenario("asked-to-wait", (Upload(), Post(at=30.0)), outages=(Outage("fal.submit", "wait600", 0, 60),)),
        Scenario("asked-by-date", (Upload(), Post(at=30.0)), outages=(Outage("fal.submit", "wait_until", 0, 60),)),
        Scenario("throttled", (Upload(), Post(at=5.0)), outages=(Outage("fal.submit", "status429", 0, 1500),)),
        # The operator stops all sending.
        Scenario(
            "paused",
            (Upload(), Post(at=30.0), Post(key="order-2", at=300.0), Upload("sketch/hat.jpg", at=400.0)),
            paused=(10.0, 2000.0),
        ),
        Scenario(
            "paused-unread",
            (Post(), Post(key="order-2", at=300.0), Post(key="order-3", at=1000.0)),
            paused=(5.0, 7200.0),
            outages=(Outage("dynamodb.get_item", "throttled", 100, 3000),),
        ),
        Scenario("paused-and-unread-input", (Upload(),), fates=("download_error",), paused=(0.5, 4000.0)),
        Scenario("startup-timeout", (Post(),), fates=("startup_timeout",)),
        Scenario(
            "paused-as-a-lock-begins",
            (Upload(at=190.0), Upload("sketch/hat.jpg", at=215.0)),
            paused=(200.0, 4000.0),
            outages=(Outage("fal.submit", "status403", 205, 600),),
        ),
        Scenario(
            "paused-while-locked",
            (Upload(), Post(at=400.0)),
            paused=(200.0, 4000.0),
            outages=(Outage("fal.submit", "status403", 0, 600),),
        ),
        Scenario("paused-over-retries", (Post(),), fates=("never_started",), paused=(1000.0, 9000.0)),
        # Failures in whatever form.
        Scenario("untyped", (Post(),), fates=("untyped",)),
        Scenario("untyped-lost", (Post(),), fates=("untyped",), ways=("lost",)),
        Scenario("untyped-bare", (Post(),), fates=("untyped",), ways=("bare",)),
        Scenario("error-bare", (Post(),), fates=("error",), ways=("bare",)),
        Scenario("never-started-bare", (Post(),), fates=("never_started",), ways=("bare",)),
        Scenario("bare", (Post(),), ways=("bare",)),
        # What comes from elsewhere.
        Scenario("host-allowed-late", (Post(),), fates=("moved",), allowed_after=7200.0),
        Scenario("host-never-allowed", (Post(),), fates=("moved",)),
        Scenario("host-allowed-too-late", (Post(),), fates=("moved",), allowed_after=30 * HOUR),
        Scenario("host-allowed-for-a-part", (Post({"prompt": PROMPT, "num_images": 2}),), fates=("moved_in_part",)),
        Scenario(
            "host-of-a-part-allowed-late",
            (Post({"prompt": PROMPT, "num_images": 2}),),
            fates=("moved_in_part",),
            allowed_after=3 * HOUR,
        ),
        *(
            Scenario(f"result-{fate.replace('_', '-')}", (Post({"prompt": PROMPT, "num_images": 2}),), fates=(fate,))
            for fate in get_args(OddResult)
        ),
        Scenario("page-alone", (Post(),), fates=("pages",), ways=("lost",)),
        # fal works on a request whose time has long been over.
        Scenario("stuck", (Post(),), fates=("stuck",)),
        Scenario("stuck-for-good", (Post(),), fates=("stuck_for_good",)),
        Scenario("ends-as-it-is-cancelled", (Post(),), run_seconds=14_640.0, ways=("lost",)),
        # Several at once, and what each sees.
        Scenario("delivered-at-once", (Post(),), ways=("at_once",)),
        Scenario("posted-at-once", (Post(copies=(0.0, 0.0)),)),
        Scenario("swept-twice", (Post(),), ways=("lost",), sweeps="doubled"),
        Scenario("swept-each-minute", (Upload(),), ways=("late",), sweeps="each_minute", run_seconds=400.0),
        Scenario(
            "locked-and-swept-twice",
            (Upload(), Post(at=30.0), Post(at=40.0, key="order-2", owner="guest")),
            sweeps="doubled",
            outages=(Outage("fal.submit", "status403", 0, 300),),
        ),
        Scenario("late-index", (Upload(), Post(at=0.5)), ways=("lost", "late"), lag=70.0),
        Scenario(
            "late-index-while-locked",
            (Upload(), Post(at=30.0)),
            lag=70.0,
            outages=(Outage("fal.submit", "status403", 0, 400),),
        ),
        Scenario("skewed-clocks", (Upload(copies=(1.0,)), Post(at=30.0)), ways=("lost", "twice"), skew=4.0),
        Scenario("two-owners-with-one-key", (Post(), Post(owner="guest"))),
        Scenario("generous", (Post({"prompt": PROMPT, "num_images": 2}),), fates=("generous",)),
        Scenario("foreign", (Post(),), foreign=True, run_seconds=30.0),
        Scenario(
            "foreign-in-doubt",
            (Post(), Post(at=300.0, key="order-2")),
            foreign=True,
            run_seconds=60.0,
            outages=(Outage("fal.submit", "taken_reply_cut", 0, 30),),
        ),
        Scenario(
            "foreign-not-at-fal",
            (Post(),),
            foreign=True,
            outages=(Outage("fal.submit", "sent_not_taken", 0, 30),),
        ),
        Scenario(
            "foreign-while-locked",
            (Post(), Post(at=300.0, key="order-2")),
            foreign=True,
            outages=(Outage("fal.submit", "status403", 0, 900),),
        ),
        Scenario(
            "foreign-and-unaskable",
            (Post(),),
            foreign=True,
            ways=("late",),
            outages=(Outage("fal.submit", "taken_reply_cut", 0, 30), Outage("fal.status", "page502", 0, 100)),
        ),
        Scenario("foreign-and-failed", (Post(),), foreign=True, fates=("error",)),
        # Rows near the limit.
        Scenario("large-body", (Post({"prompt": PROMPT + DELETE * 68_050}),), fates=("vast",)),
        Scenario("large-body-wide", (Post({"prompt": PROMPT + "é" * 60_000}),), fates=("vast",), ways=("lost",)),
        Scenario("large-body-in-parts", (Post({"prompt": PROMPT + DELETE * 68_050, "num_images": 4}),)),
        *(
            Scenario(f"body-of-{name}", (Post({"prompt": PROMPT + text, "num_images": 4}),), fates=("long_urls",))
            for name, text in zip(SIZES, LARGE_TEXTS, strict=True)
        ),
        Scenario(
            "long-urls-and-files-down",
            (Post({"prompt": PROMPT + LARGE_TEXTS[0], "num_images": 4}),),
            fates=("long_urls",),
            outages=(Outage("fal.file", "page502", 0, 3 * HOUR),),
        ),
        Scenario("overlong-urls", (Post({"prompt": PROMPT, "num_images": 4}),), fates=("overlong_urls",)),
        Scenario("full-row", (Post(),), run_seconds=400.0, filled_after=100.0),
        # One owner's requests are refused, and not the account.
        Scenario(
            "refused-crowd",
            (*(_refused(number, REFUSED) for number in range(4)), *(_good(number, 30.0) for number in range(2))),
        ),
        Scenario(
            "one-owner-breaks-fal",
            (
                *(_refused(number, BREAKS_FAL, at=number * 2.0) for number in range(12)),
                *(_good(n, 60.0) for n in range(10)),
            ),
        ),
        Scenario(
            "one-of-an-owner-s",
            (_refused(0, SEEMS_LOCKED), *(Post(at=5.0, key=f"other-{n}", owner="guest") for n in range(5))),
            outages=(Outage("fal.submit", "status401", 0, 300),),
        ),
        Scenario(
            "no-key-and-refusals",
            (*(_refused(number, SEEMS_LOCKED) for number in range(5)), *(_good(number, 30.0) for number in range(3))),
            outages=(Outage("fal.submit", "status401", 0, 300),),
        ),
        Scenario(
            "lock-and-refusals",
            (*(_refused(number, SEEMS_LOCKED) for number in range(5)), *(_good(number, 30.0) for number in range(12))),
            outages=(Outage("fal.submit", "status403", 0, 300),),
        ),
        # The longest by far: what others find too is found before it.
        Scenario(
            "foreign-and-never-askable",
            (Post(),),
            foreign=True,
            outages=(Outage("fal.submit", "sent_not_taken", 0, 30), Outage("fal.status", "page502", 0, 90_000.0)),
        ),
    )
}
INTERLEAVED = (
    *("upload", "upload-again", "two-presets", "post", "posted-at-once", "post-again", "two-jobs"),
    *("delivered-twice", "delivered-at-once", "contradicted", "error-first", "late-delivery", "swept-twice"),
    *("in-doubt", "never-started", "ends-as-it-is-cancelled", "locked-and-swept-twice", "foreign-in-doubt"),
    *("events-out-of-order", "overwritten", "payload-error", "late-index", "paused-as-a-lock-begins"),
)
"""The core scenarios, in which any two functions that run at once are interleaved at each pair of their calls."""
