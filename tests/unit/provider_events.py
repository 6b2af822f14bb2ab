"""Events of one payment a provider, made of the genuine bodies of the vectors: `EVENTS[provider][what](event_id)`.

`what` is a step of a payment's life in our words; the record says it in the provider's. Steps that a provider does not
tell are absent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from vector_events import body_of, changed, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.record import Record

    Maker = Callable[[str], Record]

PAYPAL_AMOUNT: Final = {"currency_code": "EUR", "value": "10.00"}


def _body(provider: str, case: str, changes: dict[str, Any]) -> dict[str, Any]:
    body = body_of(provider, case)
    for path, value in changes.items():
        body = changed(body, path, value)
    return body


def _reported(provider: str, case: str, kind: str, changes: dict[str, Any], event_id: str) -> Record:
    return made(provider, kind, _body(provider, case, changes), event_id)


def mollie(case: str, kind: str, **changes: Any) -> Maker:
    return partial(_reported, "mollie", f"event_{case}", kind, {"type": kind, **changes})


def razorpay(case: str, kind: str, more: dict[str, Any] | None = None) -> Maker:
    return partial(_reported, "razorpay", f"event_{case}", kind, {"event": kind, **(more or {})})


def square(case: str, kind: str, more: dict[str, Any] | None = None) -> Maker:
    return partial(_reported, "square", f"event_{case}", kind, {"type": kind, **(more or {})})


def checkout(case: str, kind: str, more: dict[str, Any] | None = None) -> Maker:
    return partial(_reported, "checkout", f"event_{case}", kind, {"type": kind, "data.amount": 8000, **(more or {})})


def flutterwave(case: str, kind: str, more: dict[str, Any] | None = None) -> Maker:
    return partial(_reported, "flutterwave", f"event_v4_{case}", kind, {"type": kind, **(more or {})})


def paystack(case: str, kind: str, more: dict[str, Any] | None = None) -> Maker:
    return partial(_reported, "paystack", f"event_{case}", kind, {"event": kind, **(more or {})})


def shopify(kind: str, **more: Any) -> Maker:
    changes = {"kind": kind, **more}
    return partial(_reported, "shopify", "event_capture", "order_transactions/create", changes)


def paypal(kind: str, **resource: Any) -> Maker:
    related = {"related_ids": {"order_id": "O1", "authorization_id": "A1"}}
    thing = {"amount": PAYPAL_AMOUNT, "supplementary_data": related, **resource}
    return lambda event_id: made("paypal", kind, {"id": event_id, "event_type": kind, "resource": thing}, event_id)


def mpesa(case: str, kind: str = "stkCallback") -> Maker:
    return partial(_reported, "mpesa", f"event_{case}", kind, {})


def _paypal_refund(kind: str) -> Maker:
    link = {"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C1"}
    return paypal(kind, id="R1", links=[link])


_PAYPAL_ORDER: Final[dict[str, Any]] = {"id": "O1", "purchase_units": [{"amount": PAYPAL_AMOUNT}]}
_RAZORPAY_OTHER: Final = {"payload.payment.entity.id": "pay_Other", "payload.payment.entity.status": "failed"}
_FLUTTERWAVE_FAILED: Final = {"data.id": "chg_other", "data.status": "failed"}
_PAYSTACK_KEY: Final = "ord-2scjwvfzgm_aa263d90"

EVENTS: Final[dict[str, dict[str, Maker]]] = {
    "mollie": {
        "progress": mollie("payment_paid", "payment.pending"),
        "authorized": mollie("payment_authorized", "payment.authorized"),
        "captured": mollie("payment_paid", "payment.paid"),
        "failed": mollie("payment_paid", "payment.failed"),
        "canceled": mollie("payment_paid", "payment.canceled"),
        "expired": mollie("payment_paid", "payment.expired"),
        "refund pending": mollie("refund_refunded", "refund.queued"),
        "refunded": mollie("refund_refunded", "refund.refunded"),
        "refund failed": mollie("refund_refunded", "refund.failed"),
    },
    "razorpay": {
        "authorized": razorpay("payment_authorized", "payment.authorized"),
        "captured": razorpay("payment_captured", "payment.captured"),
        "captured, in other words": razorpay("order_paid", "order.paid"),
        "failed": razorpay("payment_captured", "payment.failed", _RAZORPAY_OTHER),
        "refund pending": razorpay("refund_created", "refund.created"),
        "refunded": razorpay("refund_processed", "refund.processed"),
        "refund failed": razorpay("refund_processed", "refund.failed", {"payload.refund.entity.status": "failed"}),
    },
    "square": {
        "progress": square("payment_completed", "payment.created", {"data.object.payment.status": "PENDING"}),
        "authorized": square("payment_approved", "payment.updated"),
        "captured": square("payment_completed", "payment.updated"),
        "failed": square("payment_completed", "payment.updated", {"data.object.payment.status": "FAILED"}),
        "canceled": square("payment_completed", "payment.updated", {"data.object.payment.status": "CANCELED"}),
        "refund pending": square("refund_completed", "refund.created", {"data.object.refund.status": "PENDING"}),
        "refunded": square("refund_completed", "refund.updated"),
        "refund failed": square("refund_completed", "refund.updated", {"data.object.refund.status": "FAILED"}),
    },
    "checkout": {
        "progress": checkout("payment_approved", "payment_pending"),
        "authorized": checkout("payment_approved", "payment_approved"),
        "captured": checkout("payment_captured", "payment_captured", {"data.balances.total_authorized": 8000}),
        "failed": checkout("payment_declined", "payment_declined"),
        "canceled": checkout("payment_approved", "payment_canceled"),
        "expired": checkout("payment_approved", "payment_expired"),
        "refunded": checkout("payment_refunded", "payment_refunded", {"data.amount": 4000}),
        "refund failed": checkout("payment_refunded", "payment_refund_declined", {"data.amount": 4000}),
        "dispute opened": checkout("dispute", "dispute_received"),
        "dispute funds": checkout("dispute", "dispute_evidence_required"),
    },
    "flutterwave": {
        "captured": flutterwave("charge_completed", "charge.completed"),
        "failed": flutterwave("charge_completed", "charge.completed", _FLUTTERWAVE_FAILED),
        "refunded": flutterwave("refund", "refund.completed"),
        "refund failed": flutterwave("refund", "refund.failed", {"data.status": "failed"}),
    },
    "paystack": {
        "captured": paystack("charge_success", "charge.success"),
        "failed": paystack("charge_success", "charge.failed", {"data.status": "failed"}),
        "refund pending": paystack("refund_pending", "refund.pending", {"data.transaction_reference": _PAYSTACK_KEY}),
        "refunded": paystack("refund_processed", "refund.processed"),
        "refund failed": paystack("refund_processed", "refund.failed", {"data.status": "failed"}),
    },
    "shopify": {
        "authorized": shopify("authorization", id=120560818172775265),
        "captured": shopify("capture"),
        "failed": shopify("sale", status="failure", id=7),
        "canceled": shopify("void", id=8),
        "refund pending": shopify("refund", status="pending", id=9, amount="40.00"),
        "refunded": shopify("refund", id=9, amount="40.00"),
        "refund failed": shopify("refund", status="failure", id=9, amount="40.00"),
    },
    "paypal": {
        "progress": paypal("CHECKOUT.ORDER.APPROVED", **_PAYPAL_ORDER),
        "authorized": paypal("PAYMENT.AUTHORIZATION.CREATED", id="A1"),
        "captured": paypal("PAYMENT.CAPTURE.COMPLETED", id="C1"),
        "failed": paypal("PAYMENT.CAPTURE.DENIED", id="C0"),
        "canceled": paypal("PAYMENT.AUTHORIZATION.VOIDED", id="A1"),
        "refund pending": _paypal_refund("PAYMENT.REFUND.PENDING"),
        "refunded": _paypal_refund("PAYMENT.CAPTURE.REFUNDED"),
        "refund failed": _paypal_refund("PAYMENT.REFUND.FAILED"),
    },
    "mpesa": {"captured": mpesa("stk_success"), "failed": mpesa("stk_timeout")},
}


def telling(*steps: str) -> list[str]:
    """Return the providers that tell all of these steps."""
    return [provider for provider, events in EVENTS.items() if {*steps} <= events.keys()]


def interpreted(provider: str, *steps: str) -> list[Record]:
    """Return the events of these steps, each under an id of its own."""
    return [EVENTS[provider][step](f"evt_{place}") for place, step in enumerate(steps)]
