"""Orders of events that broke other people's systems, by the names under which lifecycle.md lists them."""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from events import (
    adyen,
    intent,
    record,
    standard,
    stripe_charge,
    stripe_dispute,
    stripe_intent,
    stripe_refund,
    understood,
)
from histories import EXPIRED_SESSION
from memory_tables import MemoryTables
from msgspec.structs import replace
from provider_events import EVENTS, interpreted, telling
from vector_events import genuine

from schemas.record import TRUST_HEADER

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

SUCCEEDED = stripe_intent("succeeded", amount_received=1000)
CHARGED = stripe_charge("succeeded", captured=True, amount_captured=1000)


def one_by_one(*records: Record) -> MemoryTables:
    tables = MemoryTables()
    for one in records:
        tables.process([one])
    return tables


def shown(tables: MemoryTables, *names: str) -> tuple[Any, ...]:
    return tuple(tables.only[name] for name in names)


def test_charge_succeeded_next_to_payment_intent_succeeded() -> None:
    for pair in permutations([CHARGED, SUCCEEDED]):
        tables = one_by_one(*pair)
        assert tables.outcomes() == ["applied", "noop"]
        assert shown(tables, "status", "captured") == ("captured", 1000)


@pytest.mark.parametrize("kind", ["requires_action", "created", "processing"])
def test_requires_action_or_created_after_succeeded(kind: str) -> None:
    tables = one_by_one(SUCCEEDED, stripe_intent(kind))
    assert tables.outcomes() == ["applied", "late"]
    assert tables.ledger[1].version is None
    assert shown(tables, "status") == ("captured",)


def test_created_after_requires_action() -> None:
    tables = one_by_one(stripe_intent("requires_action"), stripe_intent("created"))
    assert (tables.outcomes(), tables.only["status"]) == (["applied", "noop"], "requires_action")


def test_late_canceled_after_succeeded() -> None:
    tables = one_by_one(SUCCEEDED, stripe_intent("canceled"))
    assert tables.outcomes() == ["applied", "conflict"]
    assert shown(tables, "status", "captured") == ("captured", 1000)


def test_late_failed_after_succeeded() -> None:
    tables = one_by_one(SUCCEEDED, stripe_intent("payment_failed", latest_charge="ch_0"))
    assert (tables.outcomes(), tables.only["status"]) == (["applied", "late"], "captured")


def test_failed_attempt_1_processed_after_successful_attempt_2() -> None:
    reported = [
        intent(provider="adyen", reference="ORD-1"),
        adyen("AUTHORISATION", "PAY"),
        adyen("AUTHORISATION", "OLD", success=False),
    ]
    for order in permutations(reported):
        assert shown(one_by_one(*order), "status", "authorized") == ("authorized", 1000)


def test_authorisation_repeated_after_capture() -> None:
    tables = one_by_one(
        adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("AUTHORISATION", "PAY", event_id="again")
    )
    assert tables.outcomes() == ["applied", "applied", "late"]
    assert shown(tables, "status", "authorized", "captured") == ("captured", 1000, 1000)


def test_paid_captured_and_authorized_in_any_order() -> None:
    reported = [
        standard("payment.authorized"),
        standard("payment.captured"),
        standard("payment.captured", event_id="order_paid"),
    ]
    for order in permutations(reported):
        tables = one_by_one(*order)
        assert shown(tables, "status", "authorized", "captured") == ("captured", 1000, 1000)
        assert "conflict" not in tables.outcomes()


def test_refund_created_charge_refunded_and_charge_refund_updated_in_any_order() -> None:
    reported = [
        SUCCEEDED,
        stripe_refund("refund.created", "pending", 400),
        stripe_charge("refunded", captured=True, amount_captured=1000, amount_refunded=400),
        stripe_refund("charge.refund.updated", "succeeded", 400),
    ]
    for order in permutations(reported):
        tables = one_by_one(*order)
        assert shown(tables, "refund_status", "refunded") == ("partial", 400)
        assert not tables.parked


def test_refund_before_the_capture_fact() -> None:
    """At Adyen it proves the capture, which most accounts do not get."""
    tables = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("REFUND", "REF1", 250))
    assert shown(tables, "status", "captured", "refunded") == ("captured", 1000, 250)
    tables.process([adyen("CAPTURE", "CAP1")])
    assert shown(tables, "captured", "refunded") == (1000, 250)
    tables = one_by_one(standard("payment.authorized"), standard("refund.succeeded", amount=250, child="ref_1"))
    assert shown(tables, "status", "captured", "refunded") == ("authorized", 0, 250)
    assert tables.outcomes() == ["applied", "conflict"]
    tables.process([standard("payment.captured")])
    assert shown(tables, "captured", "refunded", "refund_status") == (1000, 250, "partial")


def test_refund_then_refund_failed_days_later() -> None:
    history = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("REFUND", "REF1", 250)]
    tables = one_by_one(*history)
    assert shown(tables, "refund_status", "refunded") == ("partial", 250)
    tables.process([adyen("REFUND_FAILED", "REF1", 250)])
    assert shown(tables, "refund_status", "refunded") == ("none", 0)
    tables.process([adyen("REFUND", "REF1", 250, event_id="again")])
    assert tables.outcomes()[-1] == "late"
    assert shown(tables, "refund_status", "refunded") == ("none", 0)


def test_dispute_funds_withdrawn_before_dispute_created() -> None:
    tables = one_by_one(
        SUCCEEDED,
        stripe_dispute("funds_withdrawn", "under_review"),
        stripe_dispute("created", "needs_response"),
    )
    assert tables.outcomes() == ["applied", "applied", "late"]
    assert shown(tables, "dispute_status", "disputed") == ("under_review", 1000)


def test_second_chargeback_beats_chargeback_reversed_in_any_order() -> None:
    reported = [adyen(code, "DIS1") for code in ("CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK")]
    for order in permutations(reported):
        tables = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), *order)
        assert shown(tables, "dispute_status", "disputed", "status") == ("lost", 1000, "captured")


def test_void_after_void() -> None:
    tables = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("CANCELLATION", "CAN1"), adyen("TECHNICAL_CANCEL", "CAN2"))
    assert (tables.outcomes(), tables.only["status"]) == (["applied", "applied", "noop"], "canceled")
    tables.process([adyen("EXPIRE", "EXP1")])
    assert (tables.outcomes()[-1], tables.only["status"]) == ("late", "canceled")


def test_an_attempt_that_was_voided_does_not_end_the_next_one() -> None:
    old = [adyen("AUTHORISATION", "OLD"), adyen("CANCELLATION", "CAN1", original="OLD")]
    reported = [intent(provider="adyen", reference="ORD-1"), *old, adyen("AUTHORISATION", "PAY")]
    for order in permutations(reported):
        tables = one_by_one(*order)
        assert shown(tables, "status", "authorized") == ("authorized", 1000)


@pytest.mark.parametrize(
    "webhook",
    [
        standard("payment.created", reference="ORD-1"),
        standard("payment.authorized", reference="ORD-1"),
        standard("payment.captured", reference="ORD-1"),
        standard("payment.failed", reference="ORD-1"),
        standard("payment.canceled", reference="ORD-1"),
        standard("refund.succeeded", reference="ORD-1", child="ref_1", amount=1),
        standard("dispute.opened", reference="ORD-1", child="dis_1"),
    ],
    ids=lambda record: record.header("ce_type"),
)
def test_any_webhook_before_our_own_payment_row(webhook: Record) -> None:
    rest = [intent(reference="ORD-1"), standard("payment.captured", event_id="paid")]
    early, late = one_by_one(webhook, *rest), one_by_one(*rest, webhook)
    assert early.only == late.only
    assert early.only["client"] == "shop"
    assert early.dedupe_keys() == late.dedupe_keys()
    assert not early.parked


def test_a_cancellation_that_worked_proves_that_nothing_was_captured() -> None:
    reported = [
        intent(provider="adyen", reference="ORD-1", capture="automatic"),
        adyen("AUTHORISATION", "PAY"),
        adyen("CANCELLATION", "CAN1"),
    ]
    for order in permutations(reported):
        assert shown(one_by_one(*order), "status", "captured") == ("canceled", 0)


def test_a_session_that_expires_beside_a_paid_intent() -> None:
    for order in permutations([SUCCEEDED, EXPIRED_SESSION]):
        assert shown(one_by_one(*order), "status", "captured") == ("captured", 1000)


def test_capture_failed_takes_a_captured_payment_back() -> None:
    reported = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("CAPTURE_FAILED", "CAP1")]
    for order in permutations(reported):
        assert shown(one_by_one(*order), "status", "captured") == ("failed", 0)


def test_timestamps_order_nothing() -> None:
    late = stripe_intent("succeeded", amount_received=1000)
    tables = one_by_one(stripe_intent("processing", created=9_999_999_999), late)
    assert tables.only["status"] == "captured"


# --- the same orders, as the other providers tell them ------------------------------------------------------------

TELL_VOIDS = ("paypal", "shopify")
"""Whose cancel is the void of an authorization, of what is left of it perhaps."""


def brought_nothing(tables: MemoryTables) -> bool:
    """Tell whether the last event was late; where ids are unsigned, a body that came before is a duplicate."""
    return tables.duplicates == 1 or tables.outcomes()[-1] == "late"


def bare(tables: MemoryTables) -> tuple[Any, ...]:
    return shown(tables, "status", "captured", "refund_status", "refunded")


@pytest.mark.parametrize("provider", telling("progress", "captured"))
def test_created_or_pending_after_succeeded(provider: str) -> None:
    tables = one_by_one(*interpreted(provider, "captured", "progress"))
    assert tables.outcomes() == ["applied", "late"]
    assert tables.ledger[1].version is None
    assert tables.only["status"] == "captured"


@pytest.mark.parametrize(
    ("provider", "step"),
    [(name, step) for name, events in EVENTS.items() for step in ("canceled", "expired", "failed") if step in events],
)
def test_late_canceled_expired_or_failed_after_succeeded(provider: str, step: str) -> None:
    before, after = one_by_one(*interpreted(provider, "captured")), one_by_one(*interpreted(provider, "captured", step))
    assert bare(after) == bare(before)
    if (provider, step) == ("paypal", "failed"):  # a denied capture is a child of its own, and news
        assert after.outcomes() == ["applied", "applied"]
        return
    assert after.outcomes() == ["applied", "late" if step == "failed" or provider in TELL_VOIDS else "conflict"]


@pytest.mark.parametrize("provider", telling("failed", "captured"))
def test_failed_attempt_processed_after_the_successful_one(provider: str) -> None:
    early, late = (
        one_by_one(*interpreted(provider, *steps)) for steps in (("failed", "captured"), ("captured", "failed"))
    )
    assert early.only == late.only
    assert late.only["status"] == "captured"


@pytest.mark.parametrize("provider", telling("authorized", "captured"))
def test_authorization_repeated_after_capture(provider: str) -> None:
    tables = one_by_one(*interpreted(provider, "authorized", "captured", "authorized"))
    assert tables.outcomes()[:2] == ["applied", "applied"]
    assert brought_nothing(tables)
    assert tables.only["status"] == "captured"


def test_order_paid_payment_captured_and_payment_authorized_in_any_order() -> None:
    for order in permutations(interpreted("razorpay", "authorized", "captured", "captured, in other words")):
        tables = one_by_one(*order)
        assert shown(tables, "status", "authorized", "captured") == ("captured", 138406, 138406)
        assert "conflict" not in tables.outcomes()
        assert not tables.parked


@pytest.mark.parametrize("provider", telling("refund pending", "refunded", "captured"))
def test_refund_created_and_refund_processed_in_any_order(provider: str) -> None:
    rows = {
        str(one_by_one(*order).only)
        for order in permutations(interpreted(provider, "captured", "refund pending", "refunded"))
    }
    assert len(rows) == 1
    tables = one_by_one(*interpreted(provider, "captured", "refunded", "refund pending"))
    assert tables.only["refunded"] > 0
    assert not tables.parked
    assert not tables.letters


@pytest.mark.parametrize("provider", telling("refunded", "captured"))
def test_refund_before_the_capture(provider: str) -> None:
    tables = one_by_one(*interpreted(provider, "refunded"))
    assert len(tables.parked) == 1
    assert not tables.letters
    tables.process([EVENTS[provider]["captured"]("evt_late")])
    assert tables.only == one_by_one(*interpreted(provider, "captured", "refunded")).only
    assert (tables.parked, tables.only["status"]) == ({}, "captured")


@pytest.mark.parametrize("provider", telling("refunded", "refund failed", "captured"))
def test_refund_succeeded_then_failed_days_later(provider: str) -> None:
    tables = one_by_one(*interpreted(provider, "captured", "refunded"))
    assert tables.only["refunded"] > 0
    tables.process([EVENTS[provider]["refund failed"]("evt_failed")])
    assert shown(tables, "status", "refund_status", "refunded") == ("captured", "none", 0)
    tables.process([EVENTS[provider]["refunded"]("evt_again")])
    assert brought_nothing(tables)
    assert tables.only["refunded"] == 0


def test_dispute_funds_withdrawn_before_the_dispute_was_reported() -> None:
    rows = [
        one_by_one(*interpreted("checkout", "captured", *order)).only
        for order in permutations(["dispute opened", "dispute funds"])
    ]
    assert rows[0] == rows[1]
    assert (rows[0]["dispute_status"], rows[0]["disputed"]) == ("open", 8000)


@pytest.mark.parametrize("provider", telling("authorized", "canceled"))
def test_void_twice(provider: str) -> None:
    tables = one_by_one(*interpreted(provider, "authorized", "canceled", "canceled"))
    assert tables.outcomes() in (["applied", "applied", "noop"], ["applied", "applied"])  # one body may be one event
    assert (tables.only["status"], tables.only["captured"]) == ("canceled", 0)


def test_time_out_callback_then_the_real_result() -> None:
    """M-Pesa: both carry one id and are hints; what moves money is the answer to the query that either asks for."""
    failed, paid = (EVENTS["mpesa"][step]("ws_CO_1") for step in ("failed", "captured"))
    hints = [
        replace(one, headers=tuple((name, b"hint" if name == TRUST_HEADER else value) for name, value in one.headers))
        for one in (failed, paid)
    ]
    tables = one_by_one(*hints)
    assert (tables.payments, len(tables.refetches)) == ({}, 2)
    assert not tables.letters
    for pair in permutations([failed, paid]):
        tables = one_by_one(*pair)
        assert shown(tables, "status", "captured") == ("captured", 100)
        assert not tables.letters


@pytest.mark.parametrize("provider", ["gocardless", "mollie", "paystack", "razorpay", "shopify", "square"])
def test_any_event_before_the_intent(provider: str) -> None:
    captured = (
        genuine("gocardless", "event_paid_out") if provider == "gocardless" else interpreted(provider, "captured")[0]
    )
    named = next(ref.ref for ref in understood(captured).meaning.refs if ref.kind == "payment")
    amount, currency = understood(captured).meaning.amount or 1000, understood(captured).meaning.currency or "EUR"
    live = understood(captured).livemode
    asked = intent(provider=provider, provider_ref=named, amount=amount, currency=currency, livemode=live)
    early, late = one_by_one(captured, asked), one_by_one(asked, captured)
    assert early.only == late.only
    assert early.only["client"] == "shop"
    assert early.only["captured"] == amount
    assert not early.parked


# --- what contradicts is read again ------------------------------------------------------------------------------


def asked_again(tables: MemoryTables) -> list[tuple[str, str, str]]:
    return [(one.provider, one.ref, one.reason) for one in tables.refetches]


def test_a_contradiction_that_is_raised_has_the_payment_read_again_once() -> None:
    tables = one_by_one(SUCCEEDED, stripe_intent("canceled"))
    assert tables.only["flags"] == ["contradiction"]
    assert asked_again(tables) == [("stripe", "pi_1", "contradiction")]
    tables.process([CHARGED])
    assert len(tables.refetches) == 1, "it stands since"


def test_a_contradiction_of_a_provider_without_an_api_asks_nobody() -> None:
    tables = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("CANCELLATION", "CAN1"))
    assert (tables.only["flags"], tables.refetches) == (["contradiction"], [])


def test_an_answer_that_contradicts_is_not_asked_for_again() -> None:
    answer = json.loads(stripe_intent("canceled").value or b"")["data"]["object"] | {"status": "canceled"}
    tables = one_by_one(SUCCEEDED, record("stripe", "refetch:1", "refetch.payment_intent", answer))
    assert (tables.only["flags"], tables.refetches) == (["contradiction"], [])
