"""What can be set about the emulator, at the start and while it runs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from local.fal.switches import CallFault, FileFault

MIB = 1024 * 1024

KONTEXT_ENDPOINTS = (
    "fal-ai/flux-pro/kontext",
    "fal-ai/flux-pro/kontext/multi",
    "fal-ai/flux-pro/kontext/text-to-image",
    "fal-ai/flux-pro/kontext/max",
    "fal-ai/flux-pro/kontext/max/multi",
    "fal-ai/flux-pro/kontext/max/text-to-image",
)


class EmulatorSettings(BaseModel):
    """How this fal behaves; every default is what fal's docs say, or the milder of two readings."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    seed: int = Field(default=0, description="All that looks random comes from it.")
    public_url: str = Field(default="http://127.0.0.1:8787", description="Output files are served under it.")
    answer_urls_on: str | None = Field(
        default=None, description="Base of the request URLs in answers; None means the caller's own Host."
    )
    answer_app: str | None = Field(
        default=None, description="The owner/app that answers name, as a reseller's gateway names fal-ai/flux-1."
    )
    answer_is_short: bool = Field(default=False, description="A gateway's answer lacks logs and metrics.")
    endpoints: tuple[str, ...] = Field(
        default=(*KONTEXT_ENDPOINTS, "workflows/*", "comfy/*"), description="Patterns of the endpoints that exist."
    )

    user_id: str = Field(default="user_darkroom", description="The account that every request belongs to.")
    keys: tuple[str, ...] | None = Field(default=None, description="The accepted `id:secret` keys; None accepts any.")
    auth_schemes: tuple[Literal["Key", "Bearer"], ...] = ("Key",)
    locked: bool = Field(default=False, description="The account's balance is exhausted: every submit is a 403.")
    refuse_submits: Literal[401, 402, 403] | None = Field(default=None, description="Every submit is refused so.")

    concurrency: int = Field(default=2, ge=1, description="How many requests run at once; the others wait.")
    queue_seconds: float = Field(default=0.5, ge=0, description="The least time that a request waits.")
    run_seconds: float = Field(default=1.5, ge=0, description="How long one attempt runs.")
    retry_seconds: float = Field(default=1.0, ge=0, description="The least wait before fal's own next attempt.")
    attempts: int = Field(
        default=10, ge=1, description="How often fal runs a request that keeps failing with 503 or 504."
    )
    others_queued: int = Field(default=0, ge=0, description="Strangers ahead in the queue of each endpoint.")
    store_io: bool = Field(default=True, description="Payload storage, which an account has unless it says otherwise.")

    cancel_status: Literal[200, 202] = 202
    cancel_word: Literal["CANCELLATION_REQUESTED", "OK"] = "CANCELLATION_REQUESTED"
    cancelled_running_completes: bool = Field(default=False, description="Cancelling what runs changes nothing.")
    webhook_on_queued_cancel: bool = False
    webhook_on_running_cancel: bool = True

    megapixels: float = Field(default=1.048576, gt=0, description="The area of a picture; Kontext paints about one.")
    max_input_bytes: int = Field(default=50 * MIB, gt=0)
    allow_private_inputs: bool = Field(default=True, description="Fal refuses them; locally all inputs are private.")
    output_seconds: float | None = Field(default=7 * 86400, description="How long output files are kept.")

    allow_private_webhooks: bool = False
    delivery_schedule: Literal["until_expiry", "two_hours"] = Field(
        default="until_expiry", description="31 retries until the result expires, or the older 10 retries in 2 hours."
    )
    retry_signature: Literal["original", "fresh"] = Field(
        default="original", description="Whether a retried delivery is signed again; fal does not say."
    )
    jwks: Literal["ok", "down", "slow", "empty", "oversized"] = "ok"
    jwks_slow_seconds: float = Field(default=30.0, ge=0)
    jwks_keys: int = Field(default=2, ge=1, description="How many public keys are published at once.")

    files: FileFault | None = Field(default=None, description="What becomes of the fetches of all output files.")
    status_calls: CallFault | None = Field(default=None, description="What all status fetches are answered.")
    result_calls: CallFault | None = Field(default=None, description="What all result fetches are answered.")
