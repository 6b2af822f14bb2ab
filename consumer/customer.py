"""Which messages a transition sends to the customer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.plan import OwedMessage
from schemas.facts import FactKind
from schemas.sms import messages_for

if TYPE_CHECKING:
    from schemas.payment import Facts, Payment, Projection

_GIVES_BACK: Final = {"either", "unbooked", "succeeded"}
"""States of a refund that may have given money back; what it came to, the fold says."""


def messages_to(payment: Payment, old: Projection | None, news: Facts) -> list[OwedMessage]:
    """Return the messages to the customer; a payment in test money sends none.

    `old` is how the payment stood before; None where it, or its phone, is new: then the message says where it stands.
    `news` are the facts that changed it.
    """
    if payment.phone is None or not payment.livemode:
        return []
    refunds = {
        key: state.amount
        for (kind, key), state in news.items()
        if kind is FactKind.REFUND and state.name in _GIVES_BACK and state.amount
    }
    messages = messages_for(old, payment.projection, refunds)
    return [OwedMessage(payment.id, payment.client, payment.phone, *one) for one in messages]
