"""Messages to customers: which transition causes which, and what they say. Pure.

Each template is sent once a payment. The words are ASCII and stay under 160 characters, one message of GSM 03.38.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from schemas.payment import RefundStatus, Status

if TYPE_CHECKING:
    from uuid import UUID


class Template(StrEnum):
    """What a customer is told."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    REFUNDED = "refunded"
    CANCELED = "canceled"


class SmsStatus(StrEnum):
    """Where a message stands; the column of `sms_transactions`."""

    QUEUED = "queued"
    SENDING = "sending"
    """Claimed: it may be at the provider, or may not."""
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"


_OF_STATUS: Final = {
    Status.AUTHORIZED: Template.AUTHORIZED,
    Status.CAPTURED: Template.CAPTURED,
    Status.FAILED: Template.FAILED,
    Status.CANCELED: Template.CANCELED,
    Status.EXPIRED: Template.CANCELED,
}
_PAID: Final = (Status.PARTIALLY_CAPTURED, Status.CAPTURED)
_GIVEN_BACK: Final = (RefundStatus.PARTIAL, RefundStatus.FULL)

_LETTERS: Final = {
    Template.AUTHORIZED: "A",
    Template.CAPTURED: "C",
    Template.FAILED: "F",
    Template.REFUNDED: "R",
    Template.CANCELED: "X",
}
_TEXTS: Final = {
    Template.AUTHORIZED: "Your payment of {amount} is authorized.",
    Template.CAPTURED: "We received your payment of {amount}. Thank you.",
    Template.FAILED: "Your payment of {amount} failed.",
    Template.REFUNDED: "We refunded {amount} to you.",
    Template.CANCELED: "Your payment of {amount} was canceled. Nothing was charged.",
}


def templates_for(
    from_status: Status | None,
    to_status: Status,
    from_refund: RefundStatus = RefundStatus.NONE,
    to_refund: RefundStatus = RefundStatus.NONE,
) -> tuple[Template, ...]:
    """Return what a transition of a payment is told with, in order; mostly nothing.

    Only what is sure is told: no thanks for a part, and no authorization where money was there before and came undone.
    `from_status` is None for a payment that was not known. One event may do two things at once: what a provider's API
    answered can say that a payment was captured and refunded.
    """
    told = []
    template = _OF_STATUS.get(to_status)
    if template is Template.AUTHORIZED and from_status in _PAID:
        template = None
    if template is not None and (from_status is None or _OF_STATUS.get(from_status) is not template):
        told.append(template)
    if to_refund in _GIVEN_BACK and from_refund not in _GIVEN_BACK:
        told.append(Template.REFUNDED)
    return tuple(told)


def mark_of(payment_id: UUID, template: Template) -> str:
    """Return the code that ends a message: the same for every try of it, and no other message to that number has it.

    A message that was sent without an answer is found by it, also when the amount has grown since.
    """
    return f"Ref {payment_id.hex[-10:].upper()}{_LETTERS[template]}"


def major_units(amount: int, decimals: int) -> str:
    """Return minor units as a customer reads them: 1050 at two decimals is `10.50`."""
    if not decimals:
        return str(amount)
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def text_for(template: Template, payment_id: UUID, amount: int, currency: str | None, decimals: int) -> str:
    """Return the whole message; `amount` is minor units, `decimals` those of its currency."""
    shown = f"{major_units(amount, decimals)} {currency}" if currency else major_units(amount, decimals)
    return f"{_TEXTS[template].format(amount=shown)} {mark_of(payment_id, template)}"
