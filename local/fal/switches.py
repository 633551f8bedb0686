"""The faults that can be switched on, each as a small model; docs/emulator.md shows them all with examples."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

WebhookHeader = Literal[
    "X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp", "X-Fal-Webhook-Signature"
]
# `closed` is no answer at all, `malformed` a 200 that cannot be read, and nginx's pages come from before fal's queue.
Breakage = Literal[
    "closed", "malformed", "nginx_502", "nginx_503", "nginx_504", 400, 401, 402, 403, 404, 409, 429, 500, 503
]
# fal itself says these, so that nothing was taken.
REFUSALS = frozenset({400, 401, 402, 403, 404, 409, 429, 503})


class Switch(BaseModel):
    """A fault; a field that is unknown is an error, and so is a value that means nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SubmitFault(Switch):
    """What one submit is answered, and whether the request is accepted all the same."""

    answer: Breakage | None = Field(default=None, description="Instead of the true answer; None leaves that.")
    accepted: bool | None = Field(
        default=None, description="Whether fal takes the request nonetheless; None: as the answer suggests."
    )
    seconds: float = Field(default=0, ge=0, description="How long the answer takes, the request being taken at once.")
    retry_after: int | None = Field(default=None, ge=0, description="Seconds, as the header Retry-After of the answer.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.accepted and self.answer in REFUSALS:
            raise ValueError(f"with answer {self.answer} fal refuses, so that accepted cannot be true")
        if self.accepted is False and self.answer is None:
            raise ValueError("accepted can be false only with an answer that tells of it")
        return self

    @property
    def accepts(self) -> bool:
        """Whether the request is in the queue afterwards: with a readable or an unreadable 200, if nothing is said."""
        return self.answer in {None, "malformed"} if self.accepted is None else self.accepted


class CallFault(Switch):
    """What the status or result fetches of a request are answered."""

    answer: Breakage
    first: int | None = Field(default=None, ge=1, description="Only the first so many of each request; None: all.")


class FileFault(Switch):
    """What becomes of the fetches of output files."""

    answer: (
        Literal[
            "closed",
            403,
            404,
            500,
            "drip",
            "short",
            "endless",
            "gzip_bomb",
            "empty",
            "html",
            "svg",
            "polyglot",
            "huge",
            "redirect",
        ]
        | None
    ) = Field(default=None, description="Instead of the picture.")
    first: int | None = Field(default=None, ge=1, description="Only the first so many fetches of a file; None: all.")
    location: str | None = Field(default=None, description="Where `redirect` leads.")
    seconds: float = Field(default=1, ge=0, description="The pause of `drip` before each KiB.")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.answer == "redirect") != (self.location is not None):
            raise ValueError("answer redirect and a location belong together")
        return self


class OutputFault(FileFault):
    """What becomes of one request's output files, or of what its result names in their place."""

    url: str | None = Field(default=None, description="The result names this URL, and no file is made.")


class Spoil(Switch):
    """What is wrong about a delivery. What fal would sign is signed again, so that only this is wrong."""

    timestamp_seconds: int = Field(default=0, description="The time signed is so many seconds ahead, or behind.")
    user_id: str | None = Field(default=None, description="The account signed: a stranger's, of whom fal knows too.")
    signature: Literal["wrong_key", "flipped", "truncated", "not_hex", "non_canonical", "zeros"] | None = None
    body: Literal["padded", "flipped", "truncated"] | None = Field(
        default=None, description="Changed after signing: a space more, one bit, half of it gone."
    )
    drop_headers: tuple[WebhookHeader, ...] = ()
    double_headers: tuple[WebhookHeader, ...] = Field(
        default=(), description="Sent twice, with the same value; the second name is in small letters."
    )
    set_headers: dict[WebhookHeader, str] = Field(default_factory=dict, description="Sent with another value.")


class ExtraDelivery(Spoil):
    """A delivery besides the true one, sent once: a late duplicate, a forgery, a contradiction."""

    delay_seconds: float = Field(default=0, ge=0, description="After completion.")
    contradicts: bool = Field(default=False, description="It says ERROR of a success and OK of a failure.")
    url: str | None = Field(default=None, description="Where to, if not to the request's own webhook.")


class DeliveryFaults(Switch):
    """How the event of a request reaches its webhook."""

    lost: bool = Field(default=False, description="The true delivery is never sent.")
    at_submit: bool = Field(
        default=False, description="The request completes, and its event is answered, before the submit is."
    )
    delay_seconds: float = Field(default=0, ge=0, description="From completion to the first attempt.")
    copies: int = Field(default=1, ge=1, le=100, description="Each is a delivery of its own, with its own retries.")
    apart_seconds: float = Field(default=0, ge=0, description="Between copies; 0: at once, in parallel where it can.")
    spoil: Spoil | None = None
    spoil_first: int | None = Field(
        default=None, ge=1, description="Only the first so many attempts are spoiled, then true ones follow; None: all."
    )
    extra: tuple[ExtraDelivery, ...] = ()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.at_submit and (self.lost or self.delay_seconds):
            raise ValueError("at_submit excludes lost and delay_seconds")
        return self
