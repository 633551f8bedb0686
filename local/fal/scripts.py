"""What a single request is told to do otherwise than the settings say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from local.fal.faults import InfrastructureFault
from local.fal.switches import CallFault, DeliveryFaults, OutputFault, SubmitFault


class ScriptedResult(BaseModel):
    """An answer that the model gives instead of working."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = Field(default=200, ge=200, le=599)
    body: JsonValue = None
    headers: dict[str, str] = Field(default_factory=dict)
    billable_units: int = Field(default=0, ge=0)


class Script(BaseModel):
    """One request's part; scripts stand in a line and each submit takes the next.

    A field left out means that the request behaves as the settings say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The queue.
    start: Literal["IN_QUEUE", "IN_PROGRESS"] = "IN_QUEUE"
    queue_seconds: float | None = Field(default=None, ge=0)
    run_seconds: float | None = Field(default=None, ge=0)
    cancelled_running_completes: bool | None = None

    # The attempts.
    fail_attempts: int = Field(default=0, ge=0, description="So many attempts fail before one may succeed.")
    fail_attempts_with: InfrastructureFault = "runner_connection_error"
    infrastructure_error: InfrastructureFault | None = Field(default=None, description="Every attempt fails so.")

    # The result.
    result: ScriptedResult | None = None
    billed_422: bool = Field(default=False, description="A 422 is billed as if the pictures had been painted.")
    seed: int | None = Field(default=None, description="The seed used where the arguments name none.")
    nsfw: bool = Field(default=False, description="Every has_nsfw_concepts flag is true.")
    black: bool = Field(default=False, description="The pictures are black, as a safety filter leaves them.")
    empty_url: bool = Field(default=False, description="The result names no file.")
    drop_fields: tuple[str, ...] = Field(default=(), description="Left out of the result and of its images.")

    # The webhook.
    payload_error: bool = Field(
        default=False, description="The webhook comes without the payload, which is at the queue."
    )

    # The faults; files, status_calls and result_calls go before the settings of the same names.
    submit: SubmitFault | None = None
    deliveries: DeliveryFaults = DeliveryFaults()
    files: OutputFault | None = None
    status_calls: CallFault | None = None
    result_calls: CallFault | None = None
