"""Where an event gives one thing two names, the one counts by which the thing's other events know it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from vector_events import body_of, changed, event, interpreted, refs

pytestmark = pytest.mark.unit


class Named(NamedTuple):
    """A genuine event with both names put in: `known` are its references that count, `unknown` the other names."""

    provider: str
    case: str
    changes: dict[str, Any]
    known: set[tuple[str, str]]
    unknown: set[tuple[str, str]]


OURS: dict[str, Any] = {"type": "", "data": {"payment_id": "pay_1", "amount": 5, "currency": "EUR"}}
CASES = {
    "paystack, a refund": Named(
        "paystack", "event_refund_processed", {"data.id": 16000001, "data.refund_reference": "TRF_1"},
        {("refund", "TRF_1")}, {("refund", "16000001")},
    ),
    "square, a dispute": Named(
        "square", "event_dispute_created", {"data.object.dispute.id": "d_1", "data.object.dispute.dispute_id": "d_2"},
        {("dispute", "d_1")}, {("dispute", "d_2")},
    ),
    "stripe, whose refund it is": Named(
        "stripe", "event_refund_failed", {"data.object.payment_intent": "pi_1", "data.object.charge": "ch_1"},
        {("payment", "pi_1"), ("charge", "ch_1")}, {("payment", "ch_1")},
    ),
    "stripe, the merchant's reference": Named(
        "stripe", "event_payment_intent_succeeded", {"data.object.metadata": {"order_id": "o_2", "reference": "o_1"}},
        {("reference", "o_1")}, {("reference", "o_2")},
    ),
    "adyen, whose refund it is": Named(
        "adyen", "event_refund", {"pspReference": "psp_2", "originalReference": "psp_1"},
        {("payment", "psp_1")}, {("payment", "psp_2")},
    ),
    "checkout, whose dispute it is": Named(
        "checkout", "event_dispute", {"data.id": "dsp_1", "data.payment_id": "pay_1"},
        {("payment", "pay_1"), ("dispute", "dsp_1")}, {("payment", "dsp_1")},
    ),
    "mollie, a try of an order": Named(
        "mollie", "event_payment_paid", {"_embedded.entity.orderId": "ord_1"},
        {("payment", "ord_1")}, set(),
    ),
    "razorpay, the merchant's reference": Named(
        "razorpay", "event_order_paid",
        {"payload.order.entity.receipt": "r_1", "payload.payment.entity.notes": {"reference": "r_2"}},
        {("reference", "r_1")}, {("reference", "r_2")},
    ),
    "paypal, whose refund it is": Named(
        "paypal", "event_payment_capture_refunded",
        {"resource.links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C1", "method": "GET"}],
         "resource.sale_id": "C2", "resource.capture_id": "C3"},
        {("capture", "C1")}, {("capture", "C2"), ("capture", "C3")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_which_of_two_names_counts(case: str) -> None:
    asked = CASES[case]
    body = body_of(asked.provider, asked.case)
    for path, value in asked.changes.items():
        body = changed(body, path, value)
    found = refs(interpreted(asked.provider, event(asked.provider, asked.case).kind or "", body))
    assert asked.known <= set(found)
    assert not asked.unknown & set(found)


@pytest.mark.parametrize(
    ("kind", "other", "ref"),
    [
        ("payment.captured", "capture_id", "capture"),
        ("payment.refunded", "refund_id", "refund"),
        ("refund.succeeded", "refund_id", "refund"),
        ("dispute.opened", "dispute_id", "dispute"),
    ],
)
def test_in_our_own_shape_the_child_s_id_counts(kind: str, other: str, ref: str) -> None:
    body = changed(changed(changed(OURS, "type", kind), "data.id", "own_1"), f"data.{other}", "other_1")
    keys = {one.key for one in interpreted("standard_webhooks", kind, body).facts if str(one.kind) == ref}
    assert keys == {"own_1"}
