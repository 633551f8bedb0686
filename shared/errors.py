"""Every error that Darkroom raises on purpose, as one tree.

DarkroomError
├── InvalidSubmissionError     theirs: 422, names the fields
│   └── KeyReusedError         an Idempotency-Key came again with another body
├── UnauthenticatedError       theirs: 401, without a token that is somebody's
├── JobNotFoundError           theirs: 404
├── StatusConflictError        another writer moved the job first; carries the job as it is
├── InvalidDeliveryError       theirs: a webhook call that is not fal's word about this job
│   └── StaleDeliveryError     it is, but too old
├── SigningKeysUnavailableError ours: fal's public keys cannot be fetched
├── UploadSkippedError         an upload that is no business of ours, with the reason
│   └── UploadUnmatchedError   no preset applies to it
├── UploadRejectedError        an upload that can never be edited, with the reason
├── AwsUnavailableError        ours: an AWS service does not answer now
├── TooManyOpenJobsError       theirs: 429, the owner has too many jobs under way
├── RowTooLargeError           ours: a job's row has no room for a write
├── SettingsError              a setting or presets.yaml is wrong; says which
├── FalError                   carries the seconds that fal asks to wait, if it does
│   ├── NotAcceptedError       proven not to be at fal; may be tried again
│   │   ├── PausedError        the operator has stopped all sending since it was last looked
│   │   ├── ThrottledError     requests come too fast, and not before fal's time is over
│   │   └── ProviderLockedError the account or its key is refused
│   ├── RefusedError           fal said no to this request for good
│   ├── ReplyLostError         fal may or may not have the request
│   ├── UnreadableError        fal cannot be asked right now
│   │   ├── UnknownRequestError it says that our key has no such request
│   │   └── OddResultError     it answers with a result that has no picture
│   └── ModelFailedError       the request was worked on and failed
├── OutputRefusedError         an output that must not be stored, for good
│   └── OutputNotAllowedError  unless the operator adds its host to FAL_OUTPUT_HOSTS
├── OutputUnfitError           what came for an output is no picture; its host may do better
└── OutputUnavailableError     an output that cannot be fetched now

Each class docstring says whose fault it is and what follows.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.deliveries import Delivery
    from shared.jobs import Job


class DarkroomError(Exception):
    """The root: `except DarkroomError` catches whatever Darkroom raises on purpose."""


class InvalidSubmissionError(DarkroomError):
    """The submission breaks rules: `faults` maps each field, in the caller's own terms, to what is wrong with it.

    Nothing was written or sent.
    """

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in faults.items()))
        self.faults = faults


class KeyReusedError(InvalidSubmissionError):
    """The Idempotency-Key belongs to a job with another body."""

    def __init__(self) -> None:
        super().__init__({"Idempotency-Key": "this key was used with another body"})


class UnauthenticatedError(DarkroomError):
    """The call has no token (`has_token`), or one that is nobody's."""

    def __init__(self, *, has_token: bool) -> None:
        super().__init__(
            "this token is nobody's; perhaps it was taken back"
            if has_token
            else "this route wants the header `Authorization: Bearer <token>`"
        )
        self.has_token = has_token


class JobNotFoundError(DarkroomError):
    """No such job, or none that this owner may see."""


class StatusConflictError(DarkroomError):
    """A conditional write found the job moved on (`job`), or gone (None)."""

    def __init__(self, job: "Job | None") -> None:
        super().__init__(f"the job is {job.status}" if job else "there is no such job")
        self.job = job


class InvalidDeliveryError(DarkroomError):
    """The webhook call is refused: it is forged, stale, altered, or about something else."""


class StaleDeliveryError(InvalidDeliveryError):
    """The call is fal's word about this job (`delivery`), but it is old, and may be a copy of one that was taken."""

    def __init__(self, delivery: "Delivery") -> None:
        super().__init__("the delivery is stale")
        self.delivery = delivery


class SigningKeysUnavailableError(DarkroomError):
    """fal's public keys could not be fetched and none are kept: ours, fal shall deliver again."""


class UploadSkippedError(DarkroomError):
    """The object is not an upload to edit: nothing to do, nothing to record."""


class UploadUnmatchedError(UploadSkippedError):
    """No preset applies to the object: perhaps it was uploaded under a wrong prefix."""


class UploadRejectedError(DarkroomError):
    """The upload cannot be edited: its jobs fail with `kind` and this reason."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class AwsUnavailableError(DarkroomError):
    """An AWS service does not give the answer that is needed to go on; another try may."""


class TooManyOpenJobsError(DarkroomError):
    """The owner has as many jobs under way as one may have; nothing was written, sent or paid.

    `retry_after`: seconds after which it is looked again.
    """

    def __init__(self, most: int, retry_after: int) -> None:
        super().__init__(f"{most} jobs of yours are under way, which is the most; post again when some have ended")
        self.retry_after = retry_after


class RowTooLargeError(DarkroomError):
    """DynamoDB takes no row so large: nothing was written."""


class SettingsError(DarkroomError):
    """A setting or a preset is wrong; the message says which and why."""


class FalError(DarkroomError):
    """Something at fal, or on the way there; `retry_after`: seconds that fal asks to wait, if it does."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAcceptedError(FalError):
    """The request provably did not enter fal's queue: trying again cannot pay twice."""


class PausedError(NotAcceptedError):
    """The operator stopped all sending while the request waited for its turn: it was not sent."""


class ThrottledError(NotAcceptedError):
    """fal takes no request now because too many came: it says nothing about the account."""


class ProviderLockedError(NotAcceptedError):
    """fal refuses the account or its key; `is_about_key` (401, 402): not the request, whatever it asks for."""

    def __init__(self, message: str, *, is_about_key: bool = False) -> None:
        super().__init__(message)
        self.is_about_key = is_about_key


class RefusedError(FalError):
    """fal refused this very request: another try would be refused too."""


class ReplyLostError(FalError):
    """The request went out and no readable answer came back: fal may have it, and bill it."""


class UnreadableError(FalError):
    """A status or a result could not be read now; `reason`: why the job waits, where more than its status is known."""

    reason: str | None = None


class UnknownRequestError(UnreadableError):
    """fal knows no such request of our key's (403, 404): it never was, or it is another account's, or long gone."""


class OddResultError(UnreadableError):
    """fal's result has no picture in it, whatever else (`content`); perhaps it is none yet."""

    def __init__(self, content: object) -> None:
        super().__init__("fal's result has no images")
        self.content = content


class ModelFailedError(FalError):
    """fal finished the request with an error; `kind` is fal's own error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class OutputRefusedError(DarkroomError):
    """The output breaks a rule for what may be stored (host, size, type): no second try will help."""


class OutputNotAllowedError(OutputRefusedError):
    """The output is at a host that outputs may not come from; the operator may allow it."""


class OutputUnfitError(DarkroomError):
    """What the output's host sent is no picture that may be stored, an error page say: another try may bring one."""


class OutputUnavailableError(DarkroomError):
    """The output's host did not hand it over in time: another try may."""
