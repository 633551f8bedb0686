"""The proof that the proof works: mistakes that somebody could make are found within the budget of a test run."""

from collections.abc import Callable, Iterator
from itertools import chain, islice

import pytest

from tests.simulation import (
    bugs_of_deliveries,
    bugs_of_limits,
    bugs_of_outputs,
    bugs_of_payment,
    bugs_of_rows,
    bugs_of_sight,
    bugs_of_strangers,
    bugs_of_turns,
    bugs_of_uploads,
    bugs_of_waiting,
)
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.exhaustive import interleavings, schedules
from tests.simulation.planting import BUGS
from tests.simulation.runs import Outcome, run
from tests.simulation.sandbox import Sandbox, sandbox

MODULES = (
    bugs_of_deliveries,
    bugs_of_limits,
    bugs_of_outputs,
    bugs_of_payment,
    bugs_of_rows,
    bugs_of_sight,
    bugs_of_strangers,
    bugs_of_turns,
    bugs_of_uploads,
    bugs_of_waiting,
)
OFTEN_TELL = ("lost-webhook", "contradicted")
"""Scenarios in which a fault shows more than in others."""
MOST_RUNS = 3000
"""A quarter of what a test run does without bugs."""
TOLD_BEFORE = {
    "account_is_learned_before_it_is_checked": "foreign:",
    "adoption_is_not_asked_after": "foreign-in-doubt:",
    "attempt_is_sent_without_a_claim": "never-started:",
    "body_is_written_anew_before_it_is_hashed": "keys-blip:",
    "cancel_is_taken_for_granted": "ends-as-it-is-cancelled:1512.wait8",
    "claim_that_is_never_confirmed_speaks_for_its_job": "foreign-and-never-askable:",
    "dead_is_declared_too_early": "in-doubt-and-slow:",
    "decision_rests_on_a_late_read": "seed:38/3",
    "delivery_about_no_job_is_answered_200": "forged:",
    "delivery_is_answered_before_its_pictures_are_safe": "files-down:",
    "delivery_without_a_reason_is_the_last_word": "never-started-bare:",
    "empty_upload_makes_a_job": "empty-first:",
    "error_after_ok_fails_the_job": "contradicted:14.refused",
    "every_403_is_about_the_account": "foreign-not-at-fal:",
    "every_503_in_json_is_fal_s_own": "asked-by-date:",
    "every_signed_delivery_is_believed": "foreign-in-doubt:",
    "existing_row_is_taken_for_our_own": "seed:178/3",
    "expired_lease_is_sent_again": "lost-webhook:6.crash_after",
    "failure_needs_no_account": "foreign-in-doubt:",
    "fal_that_cannot_be_asked_is_taken_for_a_yes": "foreign-and-unaskable:",
    "full_row_is_ended_with_all_that_is_in_it": "full-row:",
    "gateway_page_is_taken_for_a_refusal": "seed:115/3",
    "host_s_error_fails_the_job": "seed:216/3",
    "host_that_is_not_allowed_ends_the_job": "host-allowed-late:",
    "host_that_is_not_allowed_rings_nothing": "host-allowed-late:",
    "job_is_settled_before_its_outputs_are_stored": "seed:126/3",
    "key_is_not_its_owner_s_own": "two-owners-with-one-key:",
    "keys_are_looked_for_too_rarely": "keys-blip:",
    "keys_that_are_handed_back_are_left": "two-presets:",
    "large_bodies_are_taken": "body-of-too-large:",
    "late_note_is_written_over_the_truth": "post:7.wait8+18.wait8",
    "late_picture_is_left": "files-down:",
    "late_request_runs_on": "stuck:",
    "lease_never_expires": "seed:2/3",
    "link_names_no_version": "overwritten-kept:",
    "list_forgets_the_last_of_a_page": "one-owner-breaks-fal:",
    "lock_lifts_the_pause": "paused-as-a-lock-begins:",
    "lost_part_is_not_counted": "host-allowed-for-a-part:",
    "lost_picture_is_not_counted": "host-allowed-for-a-part:",
    "lost_webhook_is_missed_for_an_hour": "lost-webhook:",
    "mac_is_not_checked": "forged:",
    "message_is_deleted_although_nothing_was_written": "dead-letter:",
    "missing_payload_is_a_failure": "payload-error:",
    "more_images_than_asked_for_are_stored": "generous:",
    "odd_result_is_kept_whole": "large-body-wide:",
    "older_event_is_dropped": "events-out-of-order:",
    "one_lost_picture_costs_the_others": "host-allowed-for-a-part:",
    "one_owner_s_failures_lock_everybody": "one-owner-breaks-fal:",
    "one_owner_s_refusal_locks_everybody": "one-owner-breaks-fal:",
    "only_known_requests_are_adopted": "keys-blip:",
    "only_one_parked_job_probes": "one-of-an-owner-s:",
    "only_the_first_owner_probes": "no-key-and-refusals:",
    "only_word_of_a_request_is_refused_for_its_age": "deaf-for-minutes:",
    "overwritten_object_is_edited": "overwritten:",
    "own_write_is_not_recognised": "lost-webhook:2.repeated",
    "parked_jobs_are_forgotten": "locked:",
    "pause_does_not_hold_what_is_sent_again": "paused-over-retries:",
    "pause_is_read_once": "paused:",
    "pause_that_cannot_be_read_is_none": "paused:",
    "paused_jobs_wait_for_ever": "paused-while-locked:",
    "post_is_repeated_when_its_reply_is_lost": "in-doubt-and-slow:",
    "refused_request_is_tried_again": "refused-crowd:",
    "request_is_given_up_without_asking": "unaskable:",
    "result_stays_with_a_job_that_succeeded": "files-down:",
    "retry_after_is_ignored": "asked-to-wait:",
    "retry_after_is_read_as_a_number_only": "asked-by-date:",
    "row_is_full_before_it_is_paid": "large-body-wide:",
    "row_s_size_is_not_checked": "large-body-wide:",
    "signature_is_not_checked": "forged:",
    "startup_timeout_fails_the_job": "startup-timeout:",
    "storing_begins_anew": "files-down:",
    "stranger_rings_the_alarm": "foreign:",
    "text_is_kept_in_ascii": "large-body:",
    "throttle_is_taken_for_an_outage": "throttled:",
    "timeout_of_a_gateway_is_a_refusal": "post:6.taken_status408",
    "unreadable_answer_is_taken_for_a_refusal": "seed:115/3",
    "untyped_failure_is_asked_after_on_and_on": "untyped-lost:",
    "update_has_no_condition": "seed:27/3",
    "urls_of_lost_pictures_are_dropped": "host-never-allowed:",
    "verdict_on_an_old_attempt_is_taken_for_the_new_one_s": "input-unread-echoed:",
    "versions_of_a_key_are_one_upload": "overwritten:",
    "what_never_started_counts": "never-started-for-hours:",
    "write_that_failed_seems_unsent": "post:6.taken_write_failed",
}
"""What a long search found, run first; where the steps have changed since, the search begins anew."""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """The code under test, off the machine's clock and dice."""
    with sandbox() as made:
        yield made


def outcomes(box: Sandbox, name: str) -> Iterator[Outcome]:
    """Runs in the order in which they are likely to find something: no fault, random ones, all single ones."""

    def once(token: str) -> Outcome:
        return run(box, token)

    if name in TOLD_BEFORE:
        yield once(TOLD_BEFORE[name])
    yield from (once(f"{scenario}:") for scenario in SCENARIOS)
    yield from chain(
        (once(f"seed:{seed}/3") for seed in range(300)),
        *(interleavings(once, scenario) for scenario in ("post", "upload")),
        *(schedules(once, scenario, 1) for scenario in (*OFTEN_TELL, *SCENARIOS)),
    )


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(
    name: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """With this bug in the code some schedule breaks an invariant."""
    BUGS[name](monkeypatch)
    for number, outcome in enumerate(islice(outcomes(box, name), MOST_RUNS), start=1):
        if outcome.violations:
            record_property(
                f"bug found: {name}", f"run {number:>4}, {outcome.token}, {outcome.violations[0].invariant}"
            )
            return
    pytest.fail(f"{name} was not found in {MOST_RUNS} runs")


def test_many_bugs_are_planted() -> None:
    """Every module of bugs adds its own to the list."""
    assert {plant.__module__ for plant in BUGS.values()} == {module.__name__ for module in MODULES}
    assert len(BUGS) >= 80
