"""The scenarios by name: one run each without faults, and the ground for all schedules with some."""

from tests.simulation.odd_results import ODD_RESULTS
from tests.simulation.scenarios import (
    BREAKS_FAL,
    PROMPT,
    REFUSED,
    SEEMS_LOCKED,
    Outage,
    Post,
    Scenario,
    Upload,
)

HOUR = 3600.0


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
        *ODD_RESULTS,
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
