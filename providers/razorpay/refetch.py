"""Razorpay read again at its API: a payment, a refund, a dispute, each by its own id; the tries of an order.

Source: razorpay/markdown-docs, api/ (2026-04-09).

A payment tells how much was refunded, of refunds that may still fail too, so its sum is not counted: refunds are asked
about by their own ids.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from providers.core.objects import DISPUTES, REFUNDS, ApiObject, ObjectsApi, basic
from providers.core.payments import need_state
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, announced, merged
from providers.razorpay.meaning import meaning_of, meaning_of_payment
from schemas.facts import FactKind, Meaning, RefKind

_KINDS: Final = {
    "open": "payment.dispute.created",
    **{status: f"payment.dispute.{status}" for status in ("under_review", "won", "lost", "closed")},
}


def _meaning_of_dispute(dispute: dict[str, Any]) -> Meaning:
    return meaning_of(need_state(_KINDS, dispute.get("status"), "dispute.status"), "dispute", dispute)


def _meaning_of_payments(listed: list[Any]) -> Meaning:
    """Read the tries of an order, which are one payment here; an order that nobody tried to pay says nothing."""
    return merged(*(meaning_of_payment(one) for one in listed if isinstance(one, dict)))


WATCHES: Final = (
    announced("Razorpay tries for 24 hours"),
    Watch(
        statuses=("processing",),
        after=1 * HOUR,
        every=12 * HOUR,
        until=6 * DAY,
        source="payments/payments/capture-settings: the bank is asked for 3 days",
    ),
    Watch(
        statuses=("authorized",),
        after=3 * DAY,
        every=1 * DAY,
        until=15 * DAY,
        source="payments/payments/capture-settings: what is not captured in 3 days is given back by itself",
    ),
    Watch(
        refunds=("pending",),
        child=RefKind.REFUND,
        after=7 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="payments/payments/capture-settings: 5 to 7 working days",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="api/disputes/entity: `respond_by` ends the merchant's part alone",
        guess="until",
    ),
)

_API: Final = ObjectsApi(
    (
        ApiObject(
            "refund",
            re.compile("rfnd_[A-Za-z0-9]{1,60}"),
            "/v1/refunds/{id}",
            partial(meaning_of, "refund.created", "refund"),
            prefix=REFUNDS,
            shows=("entity", "refund"),
            payment_at=("payment_id",),
        ),
        ApiObject(
            "dispute",
            re.compile("disp_[A-Za-z0-9]{1,60}"),
            "/v1/disputes/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            shows=("entity", "dispute"),
            payment_at=("payment_id",),
        ),
        ApiObject(
            "order_payments",
            re.compile("order_[A-Za-z0-9]{1,60}"),
            "/v1/orders/{id}/payments",
            _meaning_of_payments,
            within=("items",),
            id_at=("order_id",),
            shows=("entity", "collection"),
            listed=True,
        ),
        ApiObject(
            "payment",
            re.compile("pay_[A-Za-z0-9]{1,60}"),
            "/v1/payments/{id}",
            meaning_of_payment,
            shows=("entity", "payment"),
        ),
    ),
    basic,
)

REFETCH: Final = _API.refetch(
    "https://api.razorpay.com",
    watches=WATCHES,
    needs=("secret",),
    timed=(FactKind.DISPUTE,),
    ticks_per_second=1_000_000,
)
