"""What the intents API answers with. Amounts are minor units of `currency`."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic needs it at run time
from typing import Annotated, Any, Literal
from uuid import UUID  # noqa: TC003 - pydantic needs it at run time

from pydantic import BaseModel, ConfigDict, Field

from schemas.payment import (  # noqa: TC001 - pydantic needs them at run time
    DisputeStatus,
    Flag,
    Outcome,
    RefundStatus,
    Status,
)

MinorUnits = Annotated[int, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Accepted(_Answer):
    """A payment was promised under `id`; its events are on their way."""

    id: UUID
    status: Status
    command: Literal["create"]
    provider: str
    account: str
    merchant_account: str
    livemode: bool
    provider_ref: str | None
    reference: str | None
    currency: str
    amount: MinorUnits
    capture: Literal["automatic", "manual"]


class Asked(_Answer):
    """A command was taken. `status` is the payment's when it was; `amount` is what was asked for, None for cancel."""

    id: UUID
    status: Status
    command: Literal["capture", "cancel", "refund"]
    currency: str | None
    amount: MinorUnits | None


class CommandShown(_Answer):
    """A command that was taken, and what became of it: `asked` until its executor answers.

    `amount` is what was asked for, None for cancel. What is refused, with a `reason`, holds no money back. Nobody
    begins a command after `expires_at`, None until it is on its way to the executor; `expired` is one that nobody ended
    when its money became free again. `attempt_id` is the payment at the provider that it is for.
    """

    id: str
    command: Literal["capture", "cancel", "refund"]
    amount: MinorUnits | None
    state: Literal["asked", "accepted", "refused", "done", "expired"]
    reason: str | None
    attempt_id: UUID | None
    asked_at: dt.datetime
    expires_at: dt.datetime | None


class AttemptShown(_Answer):
    """A payment at the provider that the intent has adopted: `id` names it in a command's `attempt_id`."""

    id: UUID
    provider_ref: str | None
    status: Status
    currency: str | None
    authorized: MinorUnits
    captured: MinorUnits
    refunded: MinorUnits
    disputed: MinorUnits


class PaymentAnswer(_Answer):
    """A payment as it stands. `version` is 0 until the intent is in the ledger; `timeline` leads to its events.

    `livemode` false is test money; `flags` say what of it does not add up; `metadata` is what the client noted.
    `commands` are the newest that it asked for, oldest first; `attempts` those that an intent has adopted.
    """

    id: UUID
    status: Status
    refund_status: RefundStatus
    dispute_status: DisputeStatus
    provider: str
    account: str
    merchant_account: str
    livemode: bool
    provider_ref: str | None
    reference: str | None
    currency: str | None
    amount: MinorUnits
    authorized: MinorUnits
    captured: MinorUnits
    refunded: MinorUnits
    disputed: MinorUnits
    flags: list[Flag]
    metadata: dict[str, Any]
    commands: list[CommandShown]
    attempts: list[AttemptShown]
    version: Annotated[int, Field(ge=0)]
    created_at: dt.datetime
    updated_at: dt.datetime
    timeline: str


class Found(_Answer):
    """The client's payments that a name leads to. `complete` is false where there are more than are shown."""

    payments: list[PaymentAnswer]
    complete: bool


class Moment(_Answer):
    """One event of a payment, as the ledger has it."""

    source: str
    event_id: str
    event_type: str
    outcome: Outcome
    from_status: Status | None
    to_status: Status | None
    amount: MinorUnits | None
    version: int | None
    occurred_at: dt.datetime | None
    recorded_at: dt.datetime


class Timeline(_Answer):
    """A payment's events in the order of the ledger. `complete` is false where there are more than are shown."""

    id: UUID
    timeline: list[Moment]
    complete: bool


class Defect(_Answer):
    """What is wrong with one place of a body; `pointer` is a JSON pointer as a URI fragment (RFC 6901, 6)."""

    pointer: str
    detail: str


class ProblemDetails(BaseModel):
    """A problem (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Defect] | None = None
    state: Status | None = None
    payment_id: UUID | None = None
    attempt_ids: list[UUID] | None = None
