"""Mistakes with what fal says.

Each is one that somebody could make in good faith, and stands for a rule that the code keeps.
"""

import json
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

import shared.completion
import shared.deliveries
import shared.job_table
import shared.posting
import shared.recovery
import shared.signing_keys
import shared.submission
import shared.webhook_urls
from shared.deliveries import Verifier
from shared.errors import InvalidDeliveryError, StatusConflictError
from shared.jobs import JobError, JobStatus
from tests.simulation.planting import COPIES, around, bug
from tests.simulation.processes import module_copy


@bug
def mac_is_not_checked(patch: MonkeyPatch) -> None:
    """fal's signature alone is trusted, which any of its customers can have."""
    patch.setattr("shared.webhook_urls.hmac.compare_digest", lambda *_: True)


@bug
def signature_is_not_checked(patch: MonkeyPatch) -> None:
    """Whoever knows a webhook URL speaks for fal."""
    patch.setattr(Verifier, "_check_signature", lambda *_: None)


@bug
def body_is_written_anew_before_it_is_hashed(patch: MonkeyPatch) -> None:
    """The JSON is the same and its bytes are not: true deliveries are refused."""

    def message(really: Any, request_id: str, user_id: str, timestamp: str, body: bytes) -> bytes:
        try:
            body = json.dumps(json.loads(body), separators=(",", ":")).encode()
        except ValueError:
            raise InvalidDeliveryError("not JSON") from None
        return bytes(really(request_id, user_id, timestamp, body))

    around(patch, shared.deliveries, "signed_message", message)


@bug
def delivery_about_no_job_is_answered_200(patch: MonkeyPatch) -> None:
    """fal is told that it arrived, and does not come again."""
    for number in range(COPIES):
        around(patch, module_copy("callback", number), "complete", _nobody_is_settled)


def _nobody_is_settled(really: Any, app: Any, delivery: Any) -> Any:
    try:
        return really(app, delivery)
    except StatusConflictError as conflict:
        if conflict.job is None:
            return app.jobs.get(delivery.target.job_id) or _Settled()
        raise


class _Settled:
    status = JobStatus.SUCCEEDED


@bug
def only_known_requests_are_adopted(patch: MonkeyPatch) -> None:
    """A delivery for a job whose reply was lost fits no request."""

    def is_about(really: Any, delivery: Any, job: Any) -> bool:
        return job.request is not None and bool(really(delivery, job))

    around(patch, shared.completion, "is_about", is_about)


@bug
def only_word_of_a_request_is_refused_for_its_age(patch: MonkeyPatch) -> None:
    """fal's later tries are stale, and nobody else knows the request."""
    for number in range(COPIES):
        patch.setattr(module_copy("callback", number), "is_awaited", lambda *_: False)


@bug
def keys_are_looked_for_too_rarely(patch: MonkeyPatch) -> None:
    """One failed look for fal's keys, with none at hand, shuts all deliveries out for hours."""
    patch.setattr("shared.signing_keys.KEYS_FIRST_INTERVAL", 20_000)
    patch.setattr("shared.signing_keys.KEYS_FETCH_INTERVAL", 20_000)


@bug
def missing_payload_is_a_failure(patch: MonkeyPatch) -> None:
    """OK without a payload is a success whose result is at the queue."""

    def read(really: Any, app: Any, delivery: Any, job: Any) -> Any:
        if delivery.succeeded and delivery.payload is None:
            return JobStatus.FAILED, {"error": JobError(type="no_payload", message="none").model_dump()}
        return really(app, delivery, job)

    around(patch, shared.completion, "_read", read)


@bug
def error_after_ok_fails_the_job(patch: MonkeyPatch) -> None:
    """While outputs are being stored, a contradiction takes the pictures back."""

    def come_again(really: Any, delivery: Any, job: Any) -> Any:
        if job.status is JobStatus.STORING:
            raise _ContradictedError(job)
        return really(delivery, job)

    def complete(really: Any, app: Any, delivery: Any) -> Any:
        try:
            return really(app, delivery)
        except _ContradictedError as contradicted:
            return app.jobs.move(contradicted.args[0], JobStatus.FAILED)

    around(patch, shared.completion, "_come_again", come_again)
    for number in range(COPIES):
        around(patch, module_copy("callback", number), "complete", complete)


class _ContradictedError(Exception):
    pass
