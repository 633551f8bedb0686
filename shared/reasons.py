"""Why a job waits, and why it failed: our own words for it, all of them; fal's error types come beside them.

docs/api.md has a table with what each means and what to do.
"""

from enum import StrEnum


class Reason(StrEnum):
    """A job's `reason` while it is open, or the `type` of its error; several are both."""

    # What waits: nothing is at fal.
    PAUSED = "paused"
    PROVIDER_LOCKED = "provider_locked"
    THROTTLED = "throttled"
    RETRY = "retry"
    AWS_UNAVAILABLE = "aws_unavailable"
    MISCONFIGURED = "misconfigured"
    RESUBMIT = "resubmit"
    # What is in doubt.
    REPLY_LOST = "reply_lost"
    LEASE_EXPIRED = "lease_expired"
    NO_WORD_FROM_FAL = "no_word_from_fal"
    # What is wrong with an upload; nothing is paid.
    UPLOAD_GONE = "upload_gone"
    UPLOAD_SUPERSEDED = "upload_superseded"
    UPLOAD_ARCHIVED = "upload_archived"
    UPLOAD_UNREADABLE = "upload_unreadable"
    UNSAFE_KEY = "unsafe_key"
    OWN_OUTPUT = "own_output"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    FILE_TOO_LARGE = "file_too_large"
    IMAGE_TOO_LARGE = "image_too_large"
    # What fal said, or did not say.
    NOT_ACCEPTED = "not_accepted"
    REFUSED_BY_FAL = "refused_by_fal"
    FAL_ERROR = "fal_error"
    MODEL_ERROR = "model_error"
    # What became of a result; fal was paid.
    RESULT_UNAVAILABLE = "result_unavailable"
    UNREADABLE_RESULT = "unreadable_result"
    EMPTY_RESULT = "empty_result"
    OUTPUT_HOST_NOT_ALLOWED = "output_host_not_allowed"
    OUTPUT_UNAVAILABLE = "output_unavailable"
    OUTPUT_UNFIT = "output_unfit"
    OUTPUT_REFUSED = "output_refused"
    # What we could not do.
    LOOK_FAILED = "look_failed"


PARKING = frozenset({Reason.PAUSED, Reason.PROVIDER_LOCKED})
"""Reasons of parked jobs: they wait for something outside, and not for a moment of their own."""

PAID_AND_LOST = frozenset(
    {
        Reason.RESULT_UNAVAILABLE,
        Reason.UNREADABLE_RESULT,
        Reason.EMPTY_RESULT,
        Reason.OUTPUT_HOST_NOT_ALLOWED,
        Reason.OUTPUT_UNAVAILABLE,
        Reason.OUTPUT_UNFIT,
        Reason.OUTPUT_REFUSED,
    }
)
"""Ends of jobs whose picture fal made, and was paid for, and that is not stored."""
