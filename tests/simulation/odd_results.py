"""The scenarios of odd results: what comes from elsewhere, late, several at once, or in sizes near a limit."""

from typing import get_args

from tests.simulation.scenarios import DELETE, LARGE_TEXTS, PROMPT, OddResult, Outage, Post, Scenario, Upload

HOUR = 3600.0
SIZES = ("one-byte", "deletes", "escaped", "two-bytes", "three-bytes", "four-bytes", "too-large")
"""The names of LARGE_TEXTS."""
ODD_RESULTS = (
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
)
