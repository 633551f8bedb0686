"""Mistakes with deliveries that fal signs for others.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.adoption
import shared.completion
from shared.accounts import Accounts
from shared.errors import UnreadableError
from shared.job_table import JobTable
from shared.jobs import Job, JobStatus
from tests.simulation.planting import around, bug


@bug
def failure_needs_no_account(patch: MonkeyPatch) -> None:
    """Pictures are looked at with care, and whoever says that a request failed is believed."""

    def check(really: Any, app: Any, delivery: Any, job: Any) -> None:
        if delivery.succeeded:
            really(app, delivery, job)

    around(patch, shared.completion, "check_account", check)


@bug
def account_is_learned_before_it_is_checked(patch: MonkeyPatch) -> None:
    """Whoever delivers first is known from then on, though its delivery is refused."""

    def is_ours(really: Any, self: Accounts, user_id: str) -> Any:
        known = really(self, user_id)
        if known is None:
            self.learn(user_id)
        return known

    around(patch, Accounts, "is_ours", is_ours)


@bug
def fal_that_cannot_be_asked_is_taken_for_a_yes(patch: MonkeyPatch) -> None:
    """While fal does not say whose a request is, its delivery is believed."""

    def is_of_ours(really: Any, *arguments: Any) -> Any:
        try:
            return really(*arguments)
        except UnreadableError:
            return True

    around(patch, shared.adoption, "is_of_ours", is_of_ours)


@bug
def stranger_rings_the_alarm(patch: MonkeyPatch) -> None:
    """Each picture that fits no request seems to be one that we paid for."""
    around(patch, shared.completion, "is_of_ours", lambda *_: True)


@bug
def claim_that_is_never_confirmed_speaks_for_its_job(patch: MonkeyPatch) -> None:
    """A job that is given up keeps the request that somebody named, as if it were its own."""

    def move(really: Any, self: JobTable, job: Job, to: JobStatus, **changes: Any) -> Any:
        if to is JobStatus.FAILED and job.claim:
            changes.pop("request", None)
        return really(self, job, to, **changes)

    around(patch, JobTable, "move", move)
