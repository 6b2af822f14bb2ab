"""What each of Stripe's kinds comes to as facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

import providers
from schemas.dead_letter import Reason
from schemas.errors import UninterpretableError
from schemas.facts import AMOUNT_MAX, Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1000,
    "amount_capturable": 0,
    "amount_received": 0,
    "currency": "eur",
    "latest_charge": "ch_1",
    "metadata": {"order_id": "ORD-1"},
}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1000,
    "amount_captured": 0,
    "amount_refunded": 0,
    "captured": False,
    "currency": "eur",
    "payment_intent": "pi_1",
    "metadata": {"order_id": "ORD-1"},
}
REFUND = {"id": "re_1", "amount": 400, "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}
DISPUTE = {"id": "du_1", "amount": 1000, "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}
SESSION = {"id": "cs_1", "payment_intent": None, "client_reference_id": "ORD-1"}

REFS = (Ref(RefKind.PAYMENT, "pi_1"), Ref(RefKind.CHARGE, "ch_1"), Ref(RefKind.REFERENCE, "ORD-1"))

CREATED_AT = 1790000000
TERMS = Fact(FactKind.TERMS, "pi_1", "asked", 1000, version=CREATED_AT)
AUTHORIZED = Fact(FactKind.AUTHORIZATION, "pi_1", "authorized", 1000)


def attempt(state: str, key: str = "ch_1") -> Fact:
    return Fact(FactKind.ATTEMPT, key, state, None, None if key == "pi_1" else "pi_1", CREATED_AT)


def captured(amount: int = 1000) -> Fact:
    return Fact(FactKind.CAPTURE, "pi_1", "succeeded", amount, "pi_1")


CAPTURED = captured()
PAID = attempt("succeeded")
FAILED = attempt("failed")


def ended(state: str, key: str = "pi_1") -> Fact:
    return Fact(FactKind.END, key, state)


def void(state: str, key: str = "pi_1") -> Fact:
    return Fact(FactKind.VOID, key, state)


def refund(state: str, key: str = "re_1", amount: int = 400) -> Fact:
    return Fact(FactKind.REFUND, key, state, amount, "pi_1")


def refund_total(amount: int) -> Fact:
    return Fact(FactKind.REFUND_TOTAL, "pi_1", "succeeded", amount)


def dispute(state: str, stage: int = 1) -> Fact:
    return Fact(FactKind.DISPUTE, "du_1", state, None, "pi_1", (stage << 53) + CREATED_AT)


def funds(state: str) -> Fact:
    return Fact(FactKind.DISPUTE_OUT if state == "withdrawn" else FactKind.DISPUTE_IN, "du_1", state, 1000)


def interpret(kind: str, thing: Any, **changes: Any) -> Meaning:
    body = {"id": "evt_1", "type": kind, "created": 1790000000, "data": {"object": {**thing, **changes}}}
    return providers.interpret("stripe", kind, json.dumps(body).encode())


FACTS = [
    ("payment_intent.created", INTENT, {}, (TERMS, attempt("created", "pi_1"))),
    ("payment_intent.requires_action", INTENT, {}, (TERMS, attempt("requires_action"))),
    ("payment_intent.processing", INTENT, {}, (TERMS, attempt("processing"))),
    ("payment_intent.partially_funded", INTENT, {}, ()),
    ("payment_intent.amount_capturable_updated", INTENT, {"amount_capturable": 1000}, (TERMS, AUTHORIZED, PAID)),
    (
        "payment_intent.amount_capturable_updated",
        INTENT,
        {"amount_capturable": 700, "amount_received": 300},
        (TERMS, AUTHORIZED, captured(300), PAID),
    ),
    ("payment_intent.amount_capturable_updated", INTENT, {}, ()),
    ("payment_intent.succeeded", INTENT, {"amount_received": 1000}, (TERMS, CAPTURED, PAID)),
    (
        "payment_intent.succeeded",
        INTENT,
        {"amount_received": 300, "latest_charge": None},
        (TERMS, captured(300)),
    ),
    (
        "payment_intent.succeeded",
        INTENT,
        {"amount_received": 1100, "latest_charge": {"id": "ch_1"}},
        (TERMS, captured(1100), PAID),
    ),
    ("payment_intent.payment_failed", INTENT, {}, (TERMS, FAILED)),
    (
        "payment_intent.payment_failed",
        INTENT,
        {"latest_charge": None, "last_payment_error": {"charge": "ch_1"}},
        (TERMS, FAILED),
    ),
    (
        "payment_intent.payment_failed",
        INTENT,
        {"latest_charge": None},
        (TERMS, attempt("failed", "pi_1")),
    ),
    (
        "payment_intent.payment_failed",
        INTENT,
        {"last_payment_error": {"charge": "ch_1", "payment_method": {"id": "pm_1"}}},
        (TERMS, FAILED, attempt("failed", "pm_1")),
    ),
    (
        "payment_intent.requires_action",
        INTENT,
        {"latest_charge": None, "payment_method": "pm_1"},
        (TERMS, attempt("requires_action", "pm_1")),
    ),
    (  # the second try waits for the customer; the latest charge is the failed one of the first
        "payment_intent.requires_action",
        INTENT,
        {"latest_charge": "ch_0", "payment_method": "pm_2"},
        (TERMS, attempt("requires_action", "pm_2")),
    ),
    ("payment_intent.canceled", INTENT, {}, (TERMS, ended("canceled"))),
    ("charge.pending", CHARGE, {}, (TERMS, attempt("processing"))),
    ("charge.succeeded", CHARGE, {}, (TERMS, AUTHORIZED, PAID)),
    ("charge.succeeded", CHARGE, {"captured": True, "amount_captured": 1000}, (TERMS, CAPTURED, PAID)),
    ("charge.captured", CHARGE, {"captured": True, "amount_captured": 1000}, (TERMS, CAPTURED, PAID)),
    ("charge.succeeded", CHARGE, {"captured": None, "amount_captured": None}, (TERMS, CAPTURED, PAID)),
    ("charge.failed", CHARGE, {}, (TERMS, FAILED)),
    ("charge.expired", CHARGE, {}, (TERMS, void("expired"))),
    ("charge.updated", CHARGE, {}, ()),
    (
        "charge.updated",
        CHARGE,
        {"status": "succeeded", "captured": True, "amount_captured": 300},
        (TERMS, captured(300), PAID),
    ),
    ("charge.refunded", CHARGE, {"amount_refunded": 1000}, (void("canceled"),)),
    (
        "charge.refunded",
        CHARGE,
        {"captured": True, "amount_captured": 1000, "amount_refunded": 400},
        (refund_total(400),),
    ),
    (
        "charge.refunded",
        CHARGE,
        {"captured": True, "amount_captured": None, "amount_refunded": 400},
        (refund_total(400),),
    ),
    # A partial capture: 700 of the 1000 refunded are the rest that was released.
    ("charge.refunded", CHARGE, {"captured": True, "amount_captured": 300, "amount_refunded": 700}, ()),
    (
        "charge.refunded",
        CHARGE,
        {"captured": True, "amount_captured": 300, "amount_refunded": 800},
        (refund_total(100),),
    ),
    (
        "charge.refunded",
        CHARGE,
        {
            "captured": True,
            "amount_captured": 1000,
            "amount_refunded": 400,
            "refunds": {"data": [{"id": "re_1", "amount": 400, "status": "succeeded", "balance_transaction": "txn_1"}]},
        },
        (refund_total(400), refund("succeeded")),
    ),
    ("refund.created", REFUND, {"status": "pending"}, (refund("pending"),)),
    ("refund.created", REFUND, {"status": "requires_action"}, (refund("pending"),)),
    ("refund.updated", REFUND, {"status": "succeeded"}, (refund("unbooked"),)),
    ("refund.updated", REFUND, {"status": "succeeded", "balance_transaction": "txn_1"}, (refund("succeeded"),)),
    ("refund.updated", REFUND, {"status": "canceled"}, (refund("canceled"),)),
    ("refund.created", REFUND, {"status": None}, (refund("pending"),)),
    ("refund.created", REFUND, {"status": None, "balance_transaction": "txn_1"}, (refund("succeeded"),)),
    ("charge.refund.updated", REFUND, {"status": "succeeded"}, (refund("unbooked"),)),
    ("refund.failed", REFUND, {"status": "failed"}, (refund("failed"),)),
    ("charge.dispute.created", DISPUTE, {"status": "warning_needs_response"}, (dispute("inquiry", 0),)),
    ("charge.dispute.created", DISPUTE, {"status": "needs_response"}, (dispute("open"),)),
    ("charge.dispute.updated", DISPUTE, {"status": "under_review"}, (dispute("under_review"),)),
    ("charge.dispute.funds_withdrawn", DISPUTE, {"status": "needs_response"}, (dispute("open"), funds("withdrawn"))),
    ("charge.dispute.funds_reinstated", DISPUTE, {"status": "won"}, (dispute("won"), funds("reinstated"))),
    (
        "charge.dispute.funds_reinstated",
        DISPUTE,
        {"status": "won", "balance_transactions": [{"amount": -1000, "currency": "eur"}]},
        (dispute("won"), funds("withdrawn"), funds("reinstated")),
    ),
    ("charge.dispute.closed", DISPUTE, {"status": "won"}, (dispute("won"),)),
    ("charge.dispute.closed", DISPUTE, {"status": "lost"}, (dispute("lost"),)),
    ("charge.dispute.closed", DISPUTE, {"status": "prevented"}, (dispute("prevented"),)),
    ("charge.dispute.closed", DISPUTE, {"status": "charge_refunded"}, (dispute("prevented"),)),
    ("charge.dispute.closed", DISPUTE, {"status": "warning_closed"}, (dispute("prevented", 0),)),
    ("checkout.session.expired", SESSION, {}, (ended("expired", "cs_1"),)),
    ("checkout.session.expired", SESSION, {"payment_intent": "pi_1"}, (ended("expired"),)),
    ("checkout.session.expired", SESSION, {"client_reference_id": None}, (ended("expired", "cs_1"),)),
    ("checkout.session.completed", SESSION, {}, ()),
    ("invoice.paid", {"id": "in_1"}, {}, ()),
    ("invoice_payment.paid", {"id": "inpay_1", "invoice": "in_1"}, {"payment": None}, ()),
    ("customer.updated", {}, {}, ()),
    ("payout.paid", {}, {}, ()),
]


@pytest.mark.parametrize(("kind", "thing", "changes", "facts"), FACTS, ids=[f"{n}-{c[0]}" for n, c in enumerate(FACTS)])
def test_facts(kind: str, thing: Any, changes: dict[str, Any], facts: tuple[Fact, ...]) -> None:
    meaning = interpret(kind, thing, **changes)
    assert meaning.facts == facts
    of_intent_or_charge = kind.startswith(("payment_intent.", "charge.", "checkout.")) and ".dispute." not in kind
    assert meaning.opens == (bool(facts) and of_intent_or_charge and not kind.startswith("charge.refund"))


def test_one_fact_of_two_names() -> None:
    of_intent = interpret("payment_intent.succeeded", INTENT, amount_received=1000)
    of_charge = interpret("charge.succeeded", CHARGE, captured=True, amount_captured=1000)
    assert of_intent == of_charge
    assert of_intent == Meaning(
        refs=REFS,
        facts=(TERMS, CAPTURED, PAID),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="pi_1",
        occurred_at=1790000000.0,
    )


def test_a_bare_charge_is_its_own_payment() -> None:
    meaning = interpret("charge.succeeded", CHARGE, payment_intent=None, metadata=None)
    assert meaning.refs == (Ref(RefKind.PAYMENT, "ch_1"), Ref(RefKind.CHARGE, "ch_1"))
    assert meaning.facts[1].key == meaning.provider_ref == "ch_1"
    refunded = interpret("refund.updated", REFUND, payment_intent=None, status="succeeded")
    assert refunded.refs == meaning.refs


def test_reference_beats_order_id() -> None:
    meaning = interpret("payment_intent.created", INTENT, metadata={"reference": "R", "order_id": "O"})
    assert meaning.refs[-1] == Ref(RefKind.REFERENCE, "R")


@pytest.mark.parametrize("reference", ["half \ud83d", "x" * 256, "nul\x00", ["ORD-1"], True, ""])
def test_a_reference_that_cannot_be_kept_loses_no_payment(reference: Any) -> None:
    meaning = interpret("payment_intent.created", INTENT, metadata={"order_id": reference})
    assert meaning.refs == REFS[:2]
    assert meaning.facts


def test_a_capture_of_an_older_version_is_what_was_not_released() -> None:
    old = {"captured": True, "amount_captured": None, "amount_refunded": 300}
    assert captured(700) in interpret("charge.captured", CHARGE, **old).facts


def test_a_dispute_of_an_older_version_goes_by_its_charge() -> None:
    meaning = interpret("charge.dispute.closed", DISPUTE, id=None, status="won", payment_intent=None)
    assert [fact.key for fact in meaning.facts] == ["ch_1"]


def test_a_listed_refund_that_cannot_be_read_is_in_the_total_all_the_same() -> None:
    odd = [{"id": "re_1"}, {"amount": 5}, {"id": "re_2", "status": "new", "amount": 5}, None]
    paid = {"captured": True, "amount_captured": 1000, "amount_refunded": 400, "refunds": {"data": odd}}
    assert interpret("charge.refunded", CHARGE, **paid).facts == (refund_total(400),)


def test_a_refund_of_no_payment_says_nothing() -> None:
    of_a_balance = {"status": "succeeded", "payment_intent": None, "charge": None}
    assert interpret("refund.updated", REFUND, **of_a_balance) == Meaning()


@pytest.mark.parametrize(
    "changes", [{"amount": None}, {"currency": None}, {"amount": "1000"}, {"amount": -1}, {"currency": "euro"}], ids=str
)
def test_a_try_stands_without_a_sum_that_can_be_read(changes: dict[str, Any]) -> None:
    found = interpret("payment_intent.created", INTENT, **changes)
    assert (found.amount, found.currency) == (None, None)
    assert {(fact.kind, fact.amount) for fact in found.facts} == {(FactKind.ATTEMPT, None)}


UNDECODABLE: list[tuple[str, Any, dict[str, Any]]] = [
    ("payment_intent.created", INTENT, {"id": None}),
    ("payment_intent.created", INTENT, {"id": "x" * 256}),
    ("payment_intent.created", INTENT, {"id": "pi\x00"}),
    ("payment_intent.succeeded", INTENT, {"amount": "1000"}),
    ("payment_intent.succeeded", INTENT, {"amount": 10.0}),
    ("payment_intent.succeeded", INTENT, {"amount": True}),
    ("payment_intent.succeeded", INTENT, {"amount": -1}),
    ("payment_intent.succeeded", INTENT, {"amount": AMOUNT_MAX + 1}),
    ("payment_intent.succeeded", INTENT, {"amount": 10**30}),
    ("payment_intent.succeeded", INTENT, {"currency": "euro"}),
    (
        "payment_intent.amount_capturable_updated",
        INTENT,
        {"amount_capturable": AMOUNT_MAX, "amount_received": AMOUNT_MAX},
    ),
    ("charge.succeeded", CHARGE, {"captured": "yes"}),
    ("charge.captured", CHARGE, {"captured": True, "amount_captured": "1000"}),
    ("refund.updated", REFUND, {"status": "lost"}),
    ("refund.updated", REFUND, {"status": ["succeeded"]}),
    ("charge.dispute.created", DISPUTE, {"status": {}}),
]


@pytest.mark.parametrize(("kind", "thing", "changes"), UNDECODABLE, ids=range(len(UNDECODABLE)))
def test_undecodable(kind: str, thing: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret(kind, thing, **changes)
    assert refused.value.reason == Reason.UNDECODABLE


@pytest.mark.parametrize("kind", ["payment_intent.teleported", "charge.dispute.new", "refund.lost", "charge.x"])
def test_unknown_kind_of_a_payment_family(kind: str) -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret(kind, CHARGE)
    assert refused.value.reason == Reason.UNKNOWN_KIND


@pytest.mark.parametrize("kind", ["", "unknown", "customer.created", "charge.succeeded"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"type": "payout.paid", "data": {"object": {}}}'])
def test_a_body_that_is_not_of_its_kind(kind: str, body: bytes) -> None:
    with pytest.raises(UninterpretableError) as refused:
        providers.interpret("stripe", kind, body)
    assert refused.value.reason == Reason.UNDECODABLE


def test_a_cut_emoji_elsewhere_hides_nothing() -> None:
    meaning = interpret("payment_intent.created", INTENT, description="half \ud83d")
    assert meaning.facts == (TERMS, attempt("created", "pi_1"))
