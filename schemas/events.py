"""What upstream services tell of their own payments: the records of `payments.events`.

CloudEvents 1.0 in Kafka's binary content mode: `ce_type` is one of `EVENTS`, the value is the JSON object of that type,
`ce_source` is the service (`billing`, or `billing/account`), `ce_id` is unique within it, and the same in every copy.
Amounts are minor units of `currency`.
"""

from __future__ import annotations

from typing import Annotated, Final, Self
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.intents import Amount, Currency, Reference, RefusalReason  # noqa: TC001 - pydantic reads the annotations
from schemas.record import EVENT_ID_LENGTH_MAX


class PaymentEvent(BaseModel):
    """What an event says at least. `payment_id` is the service's own id of the payment, `reference` the merchant's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payment_id: Reference
    reference: Reference | None = None
    livemode: bool = True


class PaymentTried(PaymentEvent):
    """Where a try to pay stands. `id` names the try where a payment has several; `amount` is what it asks for."""

    id: Reference | None = None
    amount: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.amount is None) != (self.currency is None):
            raise ValueError("amount and currency belong together: give both or neither")
        return self


class MoneyHeld(PaymentEvent):
    """`amount` is reserved, in all: a second one with more raises it."""

    amount: Amount
    currency: Currency


class MoneyMoved(PaymentEvent):
    """One capture or refund, of `amount`; `id` names it, so that a second one is distinguished from a copy."""

    id: Reference
    amount: Amount
    currency: Currency


class PaymentEnded(PaymentEvent):
    """The payment was ended: what is held for it is free."""


class DisputeStands(PaymentEvent):
    """Where the dispute `id` stands."""

    id: Reference


class DisputeMoved(MoneyMoved):
    """The dispute `id` took `amount`, or gave it back."""


class CommandAnswered(BaseModel):
    """What became of a command. `id` is the payment's id and `command_id` the command's `ce_id`, as it had them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    command_id: Annotated[str, Field(min_length=1, max_length=EVENT_ID_LENGTH_MAX)]


class CommandRefused(CommandAnswered):
    """The command won't be carried out, for this reason; the money that it asked for is free again."""

    reason: RefusalReason


EVENTS: Final[dict[str, type[PaymentEvent]]] = {
    **dict.fromkeys(
        ("payment.created", "payment.requires_action", "payment.processing", "payment.failed"), PaymentTried
    ),
    "payment.authorized": MoneyHeld,
    **dict.fromkeys(("payment.captured", "payment.refunded"), MoneyMoved),
    **dict.fromkeys(("payment.canceled", "payment.expired"), PaymentEnded),
    **dict.fromkeys(("refund.pending", "refund.failed", "refund.canceled", "refund.reversed"), MoneyMoved),
    **dict.fromkeys(
        (
            "dispute.inquiry",
            "dispute.opened",
            "dispute.under_review",
            "dispute.won",
            "dispute.lost",
            "dispute.prevented",
        ),
        DisputeStands,
    ),
    **dict.fromkeys(("dispute.funds_withdrawn", "dispute.funds_reinstated"), DisputeMoved),
}
"""Which value belongs to which type of what services tell of their own payments."""
ANSWERS: Final[dict[str, type[CommandAnswered]]] = {
    "command.accepted": CommandAnswered,
    "command.refused": CommandRefused,
    "command.done": CommandAnswered,
}
"""Which value belongs to which answer of an executor."""
ALL: Final[dict[str, type[PaymentEvent | CommandAnswered]]] = {**EVENTS, **ANSWERS}
"""The whole vocabulary of `payments.events`."""
