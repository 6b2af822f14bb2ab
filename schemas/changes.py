"""What readers get: changes (`payments.changes`) and the newest state of each payment (`payments.state`).

A change is a record for each ledger row that changed a payment, a state one for each payment; both say how it stands.
Records of one payment come in order of `epoch`, then `version`, at least once: a reader keeps the highest (epoch,
version) that it has seen and drops what is not above it. `ce_id` is the same at every delivery. A reader that begins
reads `payments.state` to its end and then `payments.changes`, by the same rule.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Any, Final
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.payment import (  # noqa: TC001 - pydantic reads the annotations
    DisputeStatus,
    Flag,
    Outcome,
    RefundStatus,
    Status,
)
from schemas.record import SPEC_VERSION, Headers

SOURCE: Final = "ratchet/payments"
"""`ce_source` of changes and states; `ce_id` is unique within it and `ce_type`."""
CHANGE_TYPE: Final = "payment.changed"
STATE_TYPE: Final = "payment.state"


class Versioned(BaseModel):
    """Which payment, and which of its versions. A field that is new is no reason to refuse a record."""

    model_config = ConfigDict(frozen=True)

    payment_id: UUID
    version: Annotated[int, Field(ge=1)]


class ChangeEvent(Versioned):
    """What happened, as the ledger's row has it."""

    source: str
    event_id: str
    event_type: str
    outcome: Outcome
    from_status: Status | None
    to_status: Status | None
    event_amount: Annotated[int, Field(ge=0)] | None
    occurred_at: dt.datetime | None
    recorded_at: dt.datetime


class VersionedPayment(Versioned):
    """How a payment stands, in the columns of the table."""

    provider: str
    account: str
    merchant_account: str
    livemode: bool
    provider_ref: str | None
    reference: str | None
    client: str | None
    status: Status
    refund_status: RefundStatus
    dispute_status: DisputeStatus
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None
    amount: Annotated[int, Field(ge=0)]
    authorized: Annotated[int, Field(ge=0)]
    captured: Annotated[int, Field(ge=0)]
    refunded: Annotated[int, Field(ge=0)]
    disputed: Annotated[int, Field(ge=0)]
    flags: list[Flag]
    intent_id: UUID | None
    merged_into: UUID | None
    metadata: dict[str, Any] | None
    created_at: dt.datetime
    epoch: Annotated[int, Field(ge=1)]


class Change(VersionedPayment, ChangeEvent):
    """The JSON value of a record of `payments.changes`. Amounts are minor units of `currency`.

    First what happened: `source` and `event_id` name the event that changed the payment, `event_type` is its provider's
    name for it, `event_amount` the event's own figure. `occurred_at` is what the provider says, `recorded_at` when the
    ledger row was written. A change without an event of its own (an attempt was adopted or released, a payment turned
    out to be another one) has the source `ratchet` and the event id `payment_id:version`.

    `epoch` is another, larger number after the database was restored or a replica promoted: from there versions count
    anew, and may be given again with other contents.

    Then, from `provider` on, how the payment stood when the record was sent, which may be later. `livemode` is false of
    test money, `metadata` is what the client noted on its intent. Payments that have neither `intent_id` nor
    `merged_into` add up to all the money there is.
    """


class State(VersionedPayment):
    """The JSON value of a record of `payments.state`: how a payment stands at its newest version.

    The topic keeps the newest record of each payment, by key. A payment that turned out to be another one stays, with
    `merged_into`; nothing is ever removed.
    """


_FIXED: Final[Headers] = (
    ("ce_specversion", SPEC_VERSION.encode()),
    ("ce_source", SOURCE.encode()),
    ("content-type", b"application/json"),
)


def headers_of(  # noqa: PLR0913, PLR0917 - one argument a header
    kind: str, payment_id: str, version: int, recorded_at: dt.datetime, status: str, provider: str, *, livemode: bool
) -> Headers:
    """Return the CloudEvents headers of a change or state (`kind`); `ce_id` is `payment_id/version`.

    The last three are for filters.
    """
    return (
        *_FIXED,
        ("ce_type", kind.encode()),
        ("ce_id", f"{payment_id}/{version}".encode()),
        ("ce_time", recorded_at.isoformat().encode()),
        ("ce_status", status.encode()),
        ("ce_provider", provider.encode()),
        ("ce_livemode", b"true" if livemode else b"false"),
    )
