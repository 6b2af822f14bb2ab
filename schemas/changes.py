"""A change: the record on `payments.changes`, one for each ledger row that changed a payment.

Records of one payment come in order of `version`, at least once: a reader keeps the highest version that it has seen
and drops what is not above it. `ce_id` is the same at every delivery.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Final
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.payment import Outcome, Status  # noqa: TC001 - pydantic reads the annotations
from schemas.record import SPEC_VERSION, Headers

SOURCE: Final = "ratchet/payments"
"""`ce_source` of a change; `ce_id` is unique within it."""
TYPE: Final = "payment.changed"
"""`ce_type` of a change."""


class Change(BaseModel):
    """The JSON value of one record. Amounts are minor units of `currency`.

    `source` and `event_id` name the event that changed the payment, `event_type` is its provider's name for it.
    `amount` is the event's own figure, not the payment's. `currency` is the payment's when the record was sent: null
    until an event has said it. `occurred_at` is what the provider says, `recorded_at` when the ledger row was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    payment_id: UUID
    version: Annotated[int, Field(ge=1)]
    source: str
    event_id: str
    event_type: str
    outcome: Outcome
    from_status: Status | None
    to_status: Status | None
    amount: Annotated[int, Field(ge=0)] | None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None
    occurred_at: dt.datetime | None
    recorded_at: dt.datetime


_FIXED: Final[Headers] = (
    ("ce_specversion", SPEC_VERSION.encode()),
    ("ce_source", SOURCE.encode()),
    ("ce_type", TYPE.encode()),
    ("content-type", b"application/json"),
)


def change_headers(payment_id: str, version: int, recorded_at: dt.datetime) -> Headers:
    """Return the CloudEvents headers of one change; `ce_id` is `payment_id/version`."""
    return (
        *_FIXED,
        ("ce_id", f"{payment_id}/{version}".encode()),
        ("ce_time", recorded_at.isoformat().encode()),
    )
