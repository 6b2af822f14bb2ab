"""Messages to customers: which transition causes which, and what they say. Pure.

Each template is sent once a payment, that of refunds once a refund. The words are ASCII and stay under 160 characters,
one message of GSM 03.38. Only what is sure is sent: nothing while the facts contradict each other, and no message that
is no longer true when its turn comes.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from schemas.payment import Flag, Projection, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


class Template(StrEnum):
    """What a message says."""

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
_TRUE_WHILE: Final = {
    Template.AUTHORIZED: {Status.AUTHORIZED, *_PAID},
    Template.CAPTURED: {Status.CAPTURED},
    Template.FAILED: {Status.FAILED},
    Template.CANCELED: {Status.CANCELED, Status.EXPIRED},
}
"""The statuses at which a template is still true; a refund stays one."""
CHILD_LENGTH_MAX: Final = 400
CHILD_DIGITS: Final = 6

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


def templates_for(from_status: Status | None, to_status: Status) -> tuple[Template, ...]:
    """Return the message that a change of status sends; mostly none.

    Only what is sure is sent: no thanks for a part, and no authorization where money was there before and came undone.
    `from_status` is None for a payment that was not known.
    """
    template = _OF_STATUS.get(to_status)
    if template is None or (template is Template.AUTHORIZED and from_status in _PAID):
        return ()
    return () if from_status is not None and _OF_STATUS.get(from_status) is template else (template,)


Content = tuple[Template, str, int | None]
"""What a message is about: a template; of a refund also which one, and how much it gave back in minor units."""


def messages_for(old: Projection | None, new: Projection, refunds: Mapping[str, int]) -> list[Content]:
    """Return the messages that a change sends; none while the facts contradict each other.

    `old` is how the payment stood before; None where it, or its phone, is new. `refunds` are those that the change
    reports, with what each gave back. Each gets a message where they are what was given back. Otherwise (a provider may
    report sums alone) one message says what was given back, under the sum so far. A refund that both a sum and its own
    event report changes the payment once, so it gets one message.
    """
    if Flag.CONTRADICTION in new.flags:
        return []
    sure = old if old is not None and Flag.CONTRADICTION not in old.flags else None
    messages: list[Content] = [(one, "", None) for one in templates_for(sure.status if sure else None, new.status)]
    given_back = new.refunded - (old.refunded if old is not None else 0)
    if given_back <= 0:
        return messages
    if sum(refunds.values()) == given_back:
        each = sorted(refunds.items())
        return messages + [(Template.REFUNDED, key[:CHILD_LENGTH_MAX], amount) for key, amount in each]
    return [*messages, (Template.REFUNDED, str(new.refunded), given_back)]


def is_true(template: Template, status: Status) -> bool:
    """Tell whether what a template says is true of a payment of that status."""
    return template not in _TRUE_WHILE or status in _TRUE_WHILE[template]


def mark_of(payment_id: UUID, template: Template, child: str = "") -> str:
    """Return the code that ends a message: the same for every try of it, and no other message to that number has it.

    A message that was sent without an answer is found by it, also when the amount has grown since.
    """
    which = hashlib.sha256(child.encode()).hexdigest()[:CHILD_DIGITS].upper() if child else ""
    return f"Ref {payment_id.hex[-10:].upper()}{_LETTERS[template]}{which}"


def major_units(amount: int, decimals: int) -> str:
    """Return minor units as a customer reads them: 1050 at two decimals is `10.50`."""
    if not decimals:
        return str(amount)
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def text_for(template: Template, amount: int, currency: str | None, decimals: int, mark: str) -> str:
    """Return the whole message; `amount` is minor units, `decimals` those of its currency."""
    shown = f"{major_units(amount, decimals)} {currency}" if currency else major_units(amount, decimals)
    return f"{_TEXTS[template].format(amount=shown)} {mark}"
