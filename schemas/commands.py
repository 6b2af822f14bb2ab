"""What executors get: the records of `payments.commands`.

A command is here once it was checked: valid, about the client's own payment, with room for its money. Records of one
payment come in order, at least once. Whoever talks to the provider carries it out, with `id` as the provider's
idempotency key, never begins it after `expires_at`, and answers on `payments.events` (`schemas.events.ANSWERS`).
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Any, Final, Literal
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.record import EVENT_ID_LENGTH_MAX, SPEC_VERSION, Headers

SOURCE: Final = "ratchet/commands"
"""`ce_source` of commands; `ce_id` is the command's id."""
TYPES: Final = ("command.capture", "command.cancel", "command.refund")


class CommandRecord(BaseModel):
    """The JSON value of a record of `payments.commands`. Amounts are minor units of `currency`; a cancel has none.

    `id` tells commands apart and is the provider's idempotency key: of one that the API took a UUID, else the `ce_id`
    that its publisher gave. `attempt_id` and `provider_ref` name the payment at the provider that it is for; they stay
    what they are, whatever becomes of it. `payment_id` is the client's: another one where an intent has attempts.
    `reference` is the client's own name of the payment; `reason` and `metadata` are what it noted on the command.
    """

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=EVENT_ID_LENGTH_MAX)]
    payment_id: UUID
    attempt_id: UUID
    client: str
    command: Literal["capture", "cancel", "refund"]
    provider: str
    account: str
    merchant_account: str
    livemode: bool
    provider_ref: str | None
    reference: str | None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None
    amount: Annotated[int, Field(ge=1)] | None
    reason: str | None
    metadata: dict[str, Any] | None
    asked_at: dt.datetime
    expires_at: dt.datetime


def headers_of(  # noqa: PLR0913 - one argument a header
    command_id: str, command: str, asked_at: dt.datetime, expires_at: dt.datetime, provider: str, *, livemode: bool
) -> Headers:
    """Return the CloudEvents headers of a command; the last two are for filters.

    `ce_expirytime` is CloudEvents' documented extension "Expiry Time".
    """
    return (
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_source", SOURCE.encode()),
        ("content-type", b"application/json"),
        ("ce_type", f"command.{command}".encode()),
        ("ce_id", command_id.encode()),
        ("ce_time", asked_at.isoformat().encode()),
        ("ce_expirytime", expires_at.isoformat().encode()),
        ("ce_provider", provider.encode()),
        ("ce_livemode", b"true" if livemode else b"false"),
    )
