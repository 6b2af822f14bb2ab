"""Orders of events that broke other people's systems, by the names under which lifecycle.md lists them."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from events import adyen, intent, standard, stripe_charge, stripe_dispute, stripe_intent, stripe_refund
from histories import EXPIRED_SESSION
from paper_books import PaperBooks

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

SUCCEEDED = stripe_intent("succeeded", amount_received=1000)
CHARGED = stripe_charge("succeeded", captured=True, amount_captured=1000)


def one_by_one(*records: Record) -> PaperBooks:
    books = PaperBooks()
    for record in records:
        books.settle([record])
    return books


def shown(books: PaperBooks, *names: str) -> tuple[Any, ...]:
    return tuple(books.only[name] for name in names)


def test_charge_succeeded_next_to_payment_intent_succeeded() -> None:
    for pair in permutations([CHARGED, SUCCEEDED]):
        books = one_by_one(*pair)
        assert books.outcomes() == ["applied", "noop"]
        assert shown(books, "status", "captured") == ("captured", 1000)


@pytest.mark.parametrize("kind", ["requires_action", "created", "processing"])
def test_requires_action_or_created_after_succeeded(kind: str) -> None:
    books = one_by_one(SUCCEEDED, stripe_intent(kind))
    assert books.outcomes() == ["applied", "late"]
    assert books.ledger[1].version is None
    assert shown(books, "status") == ("captured",)


def test_created_after_requires_action() -> None:
    books = one_by_one(stripe_intent("requires_action"), stripe_intent("created"))
    assert (books.outcomes(), books.only["status"]) == (["applied", "late"], "requires_action")


def test_late_canceled_after_succeeded() -> None:
    books = one_by_one(SUCCEEDED, stripe_intent("canceled"))
    assert books.outcomes() == ["applied", "conflict"]
    assert books.ledger[1].version is None
    assert shown(books, "status", "captured") == ("captured", 1000)


def test_late_failed_after_succeeded() -> None:
    books = one_by_one(SUCCEEDED, stripe_intent("payment_failed", latest_charge="ch_0"))
    assert (books.outcomes(), books.only["status"]) == (["applied", "late"], "captured")


def test_failed_attempt_1_processed_after_successful_attempt_2() -> None:
    books = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("AUTHORISATION", "OLD", success=False))
    assert books.outcomes() == ["applied", "late"]
    assert shown(books, "status", "provider_ref") == ("authorized", "PAY")


def test_authorisation_repeated_after_capture() -> None:
    books = one_by_one(
        adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("AUTHORISATION", "PAY", event_id="again")
    )
    assert books.outcomes() == ["applied", "applied", "late"]
    assert shown(books, "status", "authorized", "captured") == ("captured", 1000, 1000)


def test_paid_captured_and_authorized_in_any_order() -> None:
    said = [
        standard("payment.authorized"),
        standard("payment.captured"),
        standard("payment.captured", event_id="order_paid"),
    ]
    for order in permutations(said):
        books = one_by_one(*order)
        assert shown(books, "status", "authorized", "captured") == ("captured", 1000, 1000)
        assert "conflict" not in books.outcomes()


def test_refund_created_charge_refunded_and_charge_refund_updated_in_any_order() -> None:
    said = [
        SUCCEEDED,
        stripe_refund("refund.created", "pending", 400),
        stripe_charge("refunded", captured=True, amount_captured=1000, amount_refunded=400),
        stripe_refund("charge.refund.updated", "succeeded", 400),
    ]
    for order in permutations(said):
        books = one_by_one(*order)
        assert shown(books, "refund_status", "refunded") == ("partial", 400)
        assert not books.parked


def test_refund_before_the_capture_fact() -> None:
    books = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("REFUND", "REF1", 250))
    assert (len(books.parked), books.only["refunded"]) == (1, 0)
    books.settle([adyen("CAPTURE", "CAP1")])
    assert (books.parked, books.only["refunded"]) == ({}, 250)


def test_refund_then_refund_failed_days_later() -> None:
    history = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("REFUND", "REF1", 250)]
    books = one_by_one(*history)
    assert shown(books, "refund_status", "refunded") == ("partial", 250)
    books.settle([adyen("REFUND_FAILED", "REF1", 250)])
    assert shown(books, "refund_status", "refunded") == ("none", 0)
    books.settle([adyen("REFUND", "REF1", 250, event_id="again")])
    assert books.outcomes()[-1] == "late"
    assert shown(books, "refund_status", "refunded") == ("none", 0)


def test_dispute_funds_withdrawn_before_dispute_created() -> None:
    books = one_by_one(
        SUCCEEDED,
        stripe_dispute("funds_withdrawn", "under_review"),
        stripe_dispute("created", "needs_response"),
    )
    assert books.outcomes() == ["applied", "applied", "late"]
    assert shown(books, "dispute_status", "disputed") == ("under_review", 1000)


def test_second_chargeback_beats_chargeback_reversed_in_any_order() -> None:
    said = [adyen(code, "DIS1") for code in ("CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK")]
    for order in permutations(said):
        books = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), *order)
        assert shown(books, "dispute_status", "disputed", "status") == ("lost", 1000, "captured")


def test_void_after_void() -> None:
    books = one_by_one(adyen("AUTHORISATION", "PAY"), adyen("CANCELLATION", "CAN1"), adyen("TECHNICAL_CANCEL", "CAN2"))
    assert (books.outcomes(), books.only["status"]) == (["applied", "applied", "noop"], "canceled")
    books.settle([adyen("EXPIRE", "EXP1")])
    assert (books.outcomes()[-1], books.only["status"]) == ("late", "canceled")


def test_an_attempt_that_was_voided_does_not_end_the_next_one() -> None:
    said = [adyen("AUTHORISATION", "OLD"), adyen("CANCELLATION", "CAN1", original="OLD"), adyen("AUTHORISATION", "PAY")]
    for order in permutations(said):
        books = one_by_one(*order)
        assert shown(books, "status", "authorized") == ("authorized", 1000)


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
    assert early.claims() == late.claims()
    assert not early.parked


def test_money_beats_a_void_also_where_an_intent_takes_it_with_the_authorization() -> None:
    said = [
        intent(provider="adyen", reference="ORD-1", capture="automatic"),
        adyen("AUTHORISATION", "PAY"),
        adyen("CANCELLATION", "CAN1"),
    ]
    for order in permutations(said):
        assert shown(one_by_one(*order), "status", "captured") == ("captured", 1000)
    assert one_by_one(*said).outcomes() == ["applied", "applied", "conflict"]


def test_a_session_that_expires_beside_a_paid_intent() -> None:
    for order in permutations([SUCCEEDED, EXPIRED_SESSION]):
        assert shown(one_by_one(*order), "status", "captured") == ("captured", 1000)


def test_capture_failed_takes_a_captured_payment_back() -> None:
    said = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("CAPTURE_FAILED", "CAP1")]
    for order in permutations(said):
        assert shown(one_by_one(*order), "status", "captured") == ("authorized", 0)


def test_timestamps_order_nothing() -> None:
    late = stripe_intent("succeeded", amount_received=1000)
    books = one_by_one(stripe_intent("processing", created=9_999_999_999), late)
    assert books.only["status"] == "captured"
