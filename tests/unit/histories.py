"""Histories of payments: the events that providers send in one life, and the row that they come to.

The row is what `lifecycle.md` says by plain arithmetic; columns that are not named have their value of `PLAIN`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events import adyen, intent, standard, stripe, stripe_charge, stripe_dispute, stripe_intent, stripe_refund

if TYPE_CHECKING:
    from schemas.record import Record

PLAIN: dict[str, Any] = {
    "client": None,
    "status": "created",
    "refund_status": "none",
    "dispute_status": "none",
    "currency": "EUR",
    "amount": 1000,
    "authorized": 0,
    "captured": 0,
    "refunded": 0,
    "disputed": 0,
    "flags": [],
}
CAPTURED = {"status": "captured", "authorized": 1000, "captured": 1000}


@dataclass(frozen=True)
class History:
    """At most six events, of which every order is possible, and the row that any order of them comes to."""

    name: str
    records: tuple[Record, ...]
    row: dict[str, Any] = field(default_factory=dict)


def history(name: str, provider_ref: str, *records: Record, **row: Any) -> History:
    return History(name, records, {**PLAIN, "provider_ref": provider_ref, **row})


def stripe_life(name: str, *records: Record, **row: Any) -> History:
    return history(f"stripe: {name}", "pi_1", *records, **row)


def adyen_life(name: str, *records: Record, **row: Any) -> History:
    return history(f"adyen: {name}", "PAY", *records, **row)


def standard_life(name: str, *records: Record, **row: Any) -> History:
    return history(f"standard webhooks: {name}", "pay_1", *records, **row)


STRIPE = [
    stripe_life(
        "paid at once after a challenge, a late cancel beside it",
        stripe_intent("created", latest_charge=None),
        stripe_intent("requires_action", latest_charge=None),
        stripe_intent("processing"),
        stripe_intent("succeeded", amount_received=1000),
        stripe_charge("succeeded", captured=True, amount_captured=1000),
        stripe_intent("canceled"),
        **CAPTURED,
        flags=["contradiction"],
    ),
    stripe_life(
        "authorized, captured in part, refunded in part",
        stripe_intent("amount_capturable_updated", amount_capturable=1000),
        stripe_charge("succeeded"),
        stripe_charge("captured", captured=True, amount_captured=600),
        stripe_intent("succeeded", amount_received=600),
        stripe_refund("refund.created", "pending", 200),
        stripe_refund("refund.updated", "succeeded", 200),
        status="partially_captured",
        authorized=1000,
        captured=600,
        refund_status="partial",
        refunded=200,
    ),
    stripe_life(
        "a failed try, then a second one that succeeds",
        stripe_intent("payment_failed", latest_charge="ch_0"),
        stripe_charge("failed", id="ch_0"),
        stripe_intent("created", latest_charge=None),
        stripe_intent("succeeded", amount_received=1000),
        stripe_charge("succeeded", captured=True, amount_captured=1000),
        **CAPTURED,
    ),
    stripe_life(
        "two tries that failed, each after a challenge",
        stripe_intent("requires_action", latest_charge=None, payment_method="pm_1"),
        stripe_intent(
            "payment_failed",
            latest_charge="ch_0",
            last_payment_error={"charge": "ch_0", "payment_method": {"id": "pm_1"}},
        ),
        stripe_intent("requires_action", event_id="evt_a2", latest_charge="ch_0", payment_method="pm_2"),
        stripe_intent(
            "payment_failed",
            event_id="evt_f2",
            last_payment_error={"charge": "ch_1", "payment_method": {"id": "pm_2"}},
        ),
        status="failed",
    ),
    stripe_life(
        "authorized and canceled",
        stripe_intent("created", latest_charge=None),
        stripe_intent("requires_action", latest_charge=None),
        stripe_intent("amount_capturable_updated", amount_capturable=1000),
        stripe_charge("refunded", amount_refunded=1000),
        stripe_intent("canceled"),
        status="canceled",
        authorized=1000,
    ),
    stripe_life(
        "failed for good",
        stripe_intent("created", latest_charge=None),
        stripe_intent("processing"),
        stripe_intent("payment_failed"),
        stripe_charge("failed"),
        status="failed",
    ),
    stripe_life(
        "refunded in two parts, reported by refunds and by the charge",
        stripe_intent("succeeded", amount_received=1000),
        stripe_refund("refund.created", "pending", 400),
        stripe_charge("refunded", captured=True, amount_captured=1000, amount_refunded=400),
        stripe_refund("charge.refund.updated", "succeeded", 400),
        stripe_refund("refund.created", "succeeded", 600, key="re_2"),
        stripe_charge("refunded", captured=True, amount_captured=1000, amount_refunded=1000, event_id="evt_both"),
        **CAPTURED,
        refund_status="full",
        refunded=1000,
    ),
    stripe_life(
        "a refund that failed after the charge counted it",
        stripe_intent("succeeded", amount_received=1000),
        stripe_refund("refund.created", "succeeded", 400),
        stripe_charge("refunded", captured=True, amount_captured=1000, amount_refunded=400),
        stripe_refund("refund.failed", "failed", 400),
        stripe_refund("refund.created", "pending", 700, key="re_2"),
        **CAPTURED,
        refund_status="pending",
    ),
    stripe_life(
        "a dispute that was won",
        stripe_intent("succeeded", amount_received=1000),
        stripe_dispute("created", "needs_response"),
        stripe_dispute("funds_withdrawn", "needs_response"),
        stripe_dispute("updated", "under_review"),
        stripe_dispute("closed", "won"),
        stripe_dispute("funds_reinstated", "won"),
        **CAPTURED,
        dispute_status="won",
    ),
    stripe_life(
        "a dispute that was lost, of a refunded payment",
        stripe_intent("succeeded", amount_received=1000),
        stripe_dispute("created", "needs_response", 800),
        stripe_dispute("funds_withdrawn", "needs_response", 800),
        stripe_dispute("closed", "lost", 800),
        stripe_refund("refund.updated", "succeeded", 200),
        **CAPTURED,
        dispute_status="lost",
        disputed=800,
        refund_status="partial",
        refunded=200,
    ),
]

ADYEN = [
    adyen_life(
        "captured in parts, a refund that failed and one that did not",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1", 400),
        adyen("CAPTURE", "CAP2", 600),
        adyen("REFUND", "REF1", 300),
        adyen("REFUND_FAILED", "REF1", 300),
        adyen("REFUND", "REF2", 500),
        **CAPTURED,
        refund_status="partial",
        refunded=500,
    ),
    adyen_life(
        "pending, then authorized, expiry that did not work",
        adyen("PENDING", "PAY"),
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1", 700),
        adyen("CANCELLATION", "CAN1", success=False),
        status="partially_captured",
        authorized=1000,
        captured=700,
    ),
    adyen_life(
        "a capture that failed after its successor was refunded",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1"),
        adyen("CAPTURE_FAILED", "CAP1"),
        adyen("CAPTURE", "CAP2"),
        adyen("REFUND", "REF1"),
        **CAPTURED,
        refund_status="full",
        refunded=1000,
    ),
    adyen_life(
        "adjusted upwards and captured whole, a cancel that came too late",
        adyen("AUTHORISATION", "PAY"),
        adyen("AUTHORISATION_ADJUSTMENT", "ADJ1", 1500),
        adyen("CAPTURE", "CAP1", 1500),
        adyen("CANCELLATION", "CAN1"),
        status="captured",
        amount=1500,
        authorized=1500,
        captured=1500,
        flags=["contradiction"],
    ),
    adyen_life(
        "a chargeback won, then lost for good",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1"),
        adyen("NOTIFICATION_OF_CHARGEBACK", "DIS1"),
        adyen("CHARGEBACK", "DIS1"),
        adyen("CHARGEBACK_REVERSED", "DIS1"),
        adyen("SECOND_CHARGEBACK", "DIS1"),
        **CAPTURED,
        dispute_status="lost",
        disputed=1000,
    ),
    adyen_life(
        "canceled, reported twice",
        adyen("AUTHORISATION", "PAY"),
        adyen("CANCELLATION", "CAN1"),
        adyen("TECHNICAL_CANCEL", "CAN2"),
        status="canceled",
        authorized=1000,
    ),
    adyen_life(
        "an automatic intent, captured with its authorization, refunded",
        intent(provider="adyen", reference="ORD-1", capture="automatic"),
        adyen("AUTHORISATION", "PAY"),
        adyen("REFUND", "REF1", 250),
        adyen("CANCEL_OR_REFUND", "COR1", 750),
        **CAPTURED,
        client="shop",
        reference="ORD-1",
        refund_status="full",
        refunded=1000,
    ),
]

STANDARD = [
    standard_life(
        "two captures, a refund of each",
        standard("payment.created"),
        standard("payment.authorized"),
        standard("payment.captured", amount=400, child="cap_1"),
        standard("payment.captured", amount=600, child="cap_2"),
        standard("refund.succeeded", amount=400, child="ref_1"),
        standard("refund.succeeded", amount=600, child="ref_2"),
        **CAPTURED,
        refund_status="full",
        refunded=1000,
    ),
    standard_life(
        "an intent, a failed try, progress that comes late",
        intent(reference="ORD-1", provider_ref="pay_1"),
        standard("payment.failed", child="try_1"),
        standard("payment.requires_action"),
        standard("payment.processing"),
        standard("payment.captured"),
        standard("payment.canceled"),
        **CAPTURED,
        client="shop",
        reference="ORD-1",
        flags=["contradiction"],
    ),
    standard_life(
        "expired, then canceled, reported without amounts",
        standard("payment.created", amount=None, currency=None),
        standard("payment.requires_action"),
        standard("payment.expired", amount=None, currency=None),
        standard("payment.canceled", amount=None, currency=None),
        status="canceled",
    ),
    standard_life(
        "cumulative captures and refunds",
        standard("payment.authorized"),
        standard("payment.captured", amount=300),
        standard("payment.captured", amount=900),
        standard("payment.refunded", amount=100),
        standard("payment.refunded", amount=350),
        status="partially_captured",
        authorized=1000,
        captured=900,
        refund_status="partial",
        refunded=350,
    ),
    standard_life(
        "refunds that are pending, canceled and reversed",
        standard("payment.captured"),
        standard("refund.pending", amount=900, child="ref_1"),
        standard("refund.canceled", amount=900, child="ref_1"),
        standard("refund.succeeded", amount=800, child="ref_2"),
        standard("refund.reversed", amount=800, child="ref_2"),
        standard("refund.pending", amount=1000, child="ref_3"),
        **CAPTURED,
        refund_status="pending",
    ),
    standard_life(
        "an inquiry that became a dispute and was won",
        standard("payment.captured"),
        standard("dispute.inquiry", child="dis_1"),
        standard("dispute.opened", child="dis_1"),
        standard("dispute.funds_withdrawn", child="dis_1"),
        standard("dispute.funds_reinstated", child="dis_1"),
        standard("dispute.won", child="dis_1"),
        **CAPTURED,
        dispute_status="won",
    ),
]
RICHER = [
    stripe_life(
        "captured in parts while the rest waits",
        stripe_intent("amount_capturable_updated", amount_capturable=1000, event_id="evt_held"),
        stripe_intent("amount_capturable_updated", amount_capturable=600, amount_received=400, event_id="evt_part"),
        stripe_charge("succeeded"),
        stripe_intent("succeeded", amount_received=900),
        stripe_refund("refund.created", "succeeded", 400),
        status="partially_captured",
        authorized=1000,
        captured=900,
        refund_status="partial",
        refunded=400,
    ),
    stripe_life(
        "lowered before it was paid, raised before that",
        stripe_intent("created", latest_charge=None),
        stripe_intent("processing", amount=1500, created=1_790_000_001),
        stripe_intent("requires_action", amount=800, created=1_790_000_002),
        stripe_intent("succeeded", amount=800, amount_received=800, created=1_790_000_003),
        status="captured",
        amount=800,
        authorized=800,
        captured=800,
    ),
    stripe_life(
        "a second try under way after the first one failed",
        stripe_intent("processing", latest_charge="ch_0"),
        stripe_intent("payment_failed", latest_charge="ch_0", created=1_790_000_001),
        stripe_charge("failed", id="ch_0"),
        stripe_intent("requires_action", latest_charge="ch_1", created=1_790_000_002),
        status="requires_action",
    ),
    adyen_life(
        "over-captured by a tip",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1", 900),
        adyen("CAPTURE", "CAP2", 250),
        adyen("REFUND", "REF1", 150),
        status="captured",
        authorized=1000,
        captured=1150,
        refund_status="partial",
        refunded=150,
        flags=["over_captured"],
    ),
    adyen_life(
        "adjusted up and down, nothing says which came last",
        adyen("AUTHORISATION", "PAY"),
        adyen("AUTHORISATION_ADJUSTMENT", "ADJ1", 1500),
        adyen("AUTHORISATION_ADJUSTMENT", "ADJ2", 700),
        adyen("CAPTURE", "CAP1", 700),
        status="partially_captured",
        amount=1500,
        authorized=1500,
        captured=700,
        flags=["contradiction"],
    ),
    adyen_life(
        "a capture that failed days after it was reported",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1"),
        adyen("CAPTURE_FAILED", "CAP1"),
        status="failed",
        authorized=1000,
    ),
    adyen_life(
        "one of two captures failed late, refunded above what is left",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1", 400),
        adyen("CAPTURE", "CAP2", 600),
        adyen("REFUND", "REF1", 500),
        adyen("CAPTURE_FAILED", "CAP2", 600),
        status="partially_captured",
        authorized=1000,
        captured=400,
        refund_status="full",
        refunded=500,
        flags=["over_refunded"],
    ),
    adyen_life(
        "a chargeback given back in part, then lost in the second round",
        adyen("AUTHORISATION", "PAY"),
        adyen("CAPTURE", "CAP1"),
        adyen("CHARGEBACK", "DIS1", 800),
        adyen("CHARGEBACK_REVERSED", "DIS1", 500),
        adyen("SECOND_CHARGEBACK", "DIS1", 500),
        **CAPTURED,
        dispute_status="lost",
        disputed=800,
    ),
    history(
        "adyen: an order paid by two tenders, one of them given back in part",
        "GIFT",
        intent(provider="adyen", reference="ORD-1"),
        adyen("AUTHORISATION", "PAY", 400),
        adyen("CAPTURE", "CAP1", 400),
        adyen("AUTHORISATION", "GIFT", 600),
        adyen("CAPTURE", "CAP2", 600, original="GIFT"),
        adyen("REFUND", "REF1", 100),
        **CAPTURED,
        client="shop",
        reference="ORD-1",
        refund_status="partial",
        refunded=100,
    ),
    standard_life(
        "a try that failed beside one that is open",
        standard("payment.created"),
        standard("payment.failed", child="try_1"),
        standard("payment.processing", child="try_2"),
        status="processing",
    ),
    standard_life(
        "captured in part, the rest canceled, a refund above it",
        standard("payment.authorized"),
        standard("payment.captured", amount=400),
        standard("payment.canceled"),
        standard("refund.succeeded", amount=450, child="ref_1"),
        status="partially_captured",
        authorized=1000,
        captured=400,
        refund_status="full",
        refunded=450,
        flags=["over_refunded", "underpaid"],
    ),
]


EXPIRED_SESSION = stripe(
    "checkout.session.expired", {"id": "cs_1", "payment_intent": "pi_1", "client_reference_id": "ORD-1"}
)
HISTORIES = [*STRIPE, *ADYEN, *STANDARD, *RICHER]
