"""What events under Standard Webhooks say as a whole: our own shape, Dodo's and Polar's, and their answers.

`FACTS` of the other file has our own shape's facts; here are what joins them, and the two public senders in full.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from refetched import fetched, fold, refetch_of

import providers
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

AT, UNIX = "2026-09-21T14:18:20.250Z", 1_790_000_300.25


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


def sent(kind: str, data: dict[str, Any]) -> Meaning:
    event = {"type": kind, "timestamp": AT, "data": data}
    return providers.interpret("standard_webhooks", kind, json.dumps(event).encode())


def whole(*facts: Fact, currency: str | None = "EUR", amount: int | None = 1000, **more: Any) -> Meaning:
    given: dict[str, Any] = {"refs": refs(("payment", "pay_1")), "provider_ref": "pay_1", "occurred_at": UNIX}
    return Meaning(facts=facts, currency=currency, amount=amount, **given | more)


TERMS = Fact(FactKind.TERMS, "pay_1", "asked", 1000)
TAKEN = Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1")
RESERVED = Fact(FactKind.AUTHORIZATION, "pay_1", "authorized", 1000)


def tried(state: str, key: str = "pay_1", payment: str | None = None) -> Fact:
    return Fact(FactKind.ATTEMPT, key, state, None, payment)


def ended(state: str) -> Fact:
    return Fact(FactKind.END, "pay_1", state)


# --- our own shape -----------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {"payment_id": "pay_1", "reference": "ORD-1", "amount": 1000, "currency": "EUR"}
TRIES = ("created", "requires_action", "processing", "failed")


@pytest.mark.parametrize("state", TRIES)
def test_a_try_that_has_an_id_of_its_own_is_of_its_payment(state: str) -> None:
    of = {"refs": refs(("payment", "pay_1"), ("reference", "ORD-1")), "opens": True}
    kind = f"payment.{state}"
    assert sent(kind, OWN | {"id": "try_2"}) == whole(TERMS, tried(state, "try_2", "pay_1"), **of)
    for own in ("pay_1", None):
        assert sent(kind, OWN | {"id": own}) == whole(TERMS, tried(state), **of)


@pytest.mark.parametrize("state", TRIES)
@pytest.mark.parametrize(
    ("end", "status"),
    [("canceled", "canceled"), ("cancelled", "canceled"), ("expired", "expired"), ("captured", "captured"),
     ("authorized", "authorized")],
)  # fmt: skip
def test_a_payment_that_ended_ends_its_tries(state: str, end: str, status: str) -> None:
    """What an end leaves open is shown as under way, and asked about, for good."""
    tries = sent(f"payment.{state}", OWN | {"id": "try_2"})
    over = sent(f"payment.{end}", OWN)
    assert fold(tries, over).status == fold(over, tries).status == status


def test_a_payment_whose_try_failed_is_not_left_as_only_created() -> None:
    found = fold(sent("payment.created", OWN), sent("payment.failed", OWN | {"id": "try_1"}))
    assert found.status == "failed"
    again = sent("payment.processing", OWN | {"id": "try_2"})
    assert fold(sent("payment.created", OWN), sent("payment.failed", OWN | {"id": "try_1"}), again).status == (
        "processing"
    )


REFUND_KINDS = ("pending", "succeeded", "failed", "reversed", "canceled")
DISPUTE_KINDS = {"inquiry": "inquiry", "opened": "open", "under_review": "under_review", "challenged": "under_review",
                 "won": "won", "cancelled": "won", "lost": "lost", "accepted": "lost", "expired": "lost",
                 "prevented": "prevented"}  # fmt: skip


@pytest.mark.parametrize("state", REFUND_KINDS)
def test_a_refund_of_ours(state: str) -> None:
    of = {"refs": refs(("payment", "pay_1"), ("reference", "ORD-1"))}
    for name in ("id", "refund_id"):
        found = sent(f"refund.{state}", OWN | {name: "r"})
        assert found == whole(Fact(FactKind.REFUND, "r", state, 1000, "pay_1"), **of)


@pytest.mark.parametrize(("kind", "state"), DISPUTE_KINDS.items())
def test_a_dispute_of_ours_takes_nothing_by_itself(kind: str, state: str) -> None:
    of = {"refs": refs(("payment", "pay_1"), ("reference", "ORD-1"))}
    fact = Fact(FactKind.DISPUTE, "d", state, None, "pay_1")
    for name in ("id", "dispute_id"):
        assert sent(f"dispute.{kind}", OWN | {name: "d"}) == whole(fact, **of)
        bare = sent(f"dispute.{kind}", OWN | {name: "d", "amount": None})
        assert (bare.facts, bare.amount, bare.opens) == ((fact,), None, False)


# --- Dodo Payments -----------------------------------------------------------------------------------------------

DODO: dict[str, Any] = {
    "payload_type": "Payment",
    "payment_id": "pay_1",
    "business_id": "bus_1",
    "total_amount": 1000,
    "tax": 160,
    # What the merchant is paid, in the currency of the account: no figure of the payment.
    "settlement_amount": 900,
    "settlement_currency": "USD",
    "currency": "EUR",
    "metadata": {"order_id": "ORD-1"},
}


@pytest.mark.parametrize(
    ("kind", "fact"),
    [
        ("payment.succeeded", TAKEN),
        ("payment.failed", tried("failed")),
        ("payment.processing", tried("processing")),
        ("payment.cancelled", ended("canceled")),
    ],
)
def test_a_payment_of_dodo(kind: str, fact: Fact) -> None:
    assert sent(kind, DODO) == whole(TERMS, fact, opens=True)


DODO_STATUSES: list[tuple[str | None, Fact]] = [
    ("succeeded", TAKEN),
    ("failed", tried("failed")),
    ("cancelled", ended("canceled")),
    ("processing", tried("processing")),
    ("requires_customer_action", tried("requires_action")),
    ("requires_merchant_action", tried("requires_action")),
    ("requires_payment_method", tried("created")),
    ("requires_confirmation", tried("created")),
    (None, tried("created")),
    ("requires_capture", RESERVED),
    # How much of it was captured nothing tells: not all of it.
    ("partially_captured", tried("processing")),
    ("partially_captured_and_capturable", tried("processing")),
]
"""dodo-docs, openapi.documented, IntentStatus: the whole list, and null."""


@pytest.mark.parametrize(("status", "fact"), DODO_STATUSES)
def test_a_payment_of_dodo_that_is_read_again(status: str | None, fact: Fact) -> None:
    found = fetched("standard_webhooks", "pay_1", DODO | {"status": status})
    assert found == whole(TERMS, fact, opens=True, occurred_at=None)


@pytest.mark.parametrize(
    ("status", "state"),
    [("succeeded", "succeeded"), ("failed", "failed"), ("pending", "pending"), ("review", "pending")],
)
def test_a_refund_of_dodo(status: str, state: str) -> None:
    """openapi.documented, RefundStatus: the whole list. A part of its payment."""
    refund = {"refund_id": "ref_1", "payment_id": "pay_1", "amount": 400, "currency": "EUR", "status": status,
              "is_partial": True, "business_id": "bus_1"}  # fmt: skip
    fact = Fact(FactKind.REFUND, "ref_1", state, 400, "pay_1")
    again = fetched("standard_webhooks", "refund:ref_1", refund, about="pay_1")
    assert again == whole(fact, amount=400, occurred_at=None)
    if status in ("succeeded", "failed"):
        assert sent(f"refund.{status}", refund) == whole(fact, amount=400)


DODO_DISPUTES = {"opened": "open", "challenged": "under_review", "accepted": "lost", "expired": "lost", "lost": "lost",
                 "cancelled": "won", "won": "won"}  # fmt: skip
"""openapi.documented, DisputeStatus: the whole list."""


@pytest.mark.parametrize(("stage", "number"), [("pre_dispute", 0), ("dispute", 1), ("pre_arbitration", 2)])
@pytest.mark.parametrize(("kind", "state"), DODO_DISPUTES.items())
def test_a_dispute_of_dodo(kind: str, state: str, stage: str, number: int) -> None:
    """Each round's money is held and given back by itself."""
    own = {"dispute_id": "dis_1", "payment_id": "pay_1", "business_id": "bus_1", "amount": "700", "currency": "EUR",
           "dispute_stage": stage, "dispute_status": f"dispute_{kind}"}  # fmt: skip
    part = (f"dis_1#{number}", "dis_1") if number else ("dis_1", None)
    taken = Fact(FactKind.DISPUTE_OUT, part[0], "withdrawn", 700, part[1], number)
    back = Fact(FactKind.DISPUTE_IN, part[0], "reinstated", 700, part[1], number)
    facts = (
        Fact(FactKind.DISPUTE, "dis_1", state, None, "pay_1", number << 53),
        taken,
        *((back,) if state == "won" else ()),
    )
    assert sent(f"dispute.{kind}", own) == whole(*facts, amount=700)
    again = fetched("standard_webhooks", "dispute:dis_1", own, about="pay_1")
    assert again == whole(*facts, amount=700, occurred_at=None)


# --- Polar -------------------------------------------------------------------------------------------------------

ORDER: dict[str, Any] = {
    "id": "ord_1",
    "status": "paid",
    "amount": 900,
    "subtotal_amount": 950,
    "discount_amount": 50,
    "net_amount": 900,
    "tax_amount": 200,
    "total_amount": 1100,
    "applied_balance_amount": -100,
    "due_amount": 1000,
    "refunded_amount": 0,
    "currency": "usd",
    "checkout_id": "chk_1",
}


def test_an_order_of_polar() -> None:
    facts = (
        Fact(FactKind.TERMS, "ord_1", "asked", 1000),
        Fact(FactKind.CAPTURE, "ord_1", "succeeded", 1000, "ord_1"),
    )
    of = {"refs": refs(("payment", "ord_1")), "provider_ref": "ord_1"}
    assert sent("order.paid", ORDER) == whole(*facts, currency="USD", opens=True, **of)
    for kind in ("order.created", "order.updated", "order.refunded"):
        assert sent(kind, ORDER) == Meaning()


@pytest.mark.parametrize("state", ["pending", "succeeded", "failed", "canceled"])
def test_a_refund_of_polar(state: str) -> None:
    """polarsource/polar, RefundStatus: the whole list. What goes back is the amount with its tax, to the order."""
    own = "4b3e8f0a-1111-4222-8333-444455556666"
    refund = {"id": own, "order_id": "ord_1", "status": state, "amount": 400, "tax_amount": 80, "currency": "usd",
              "subscription_id": None, "customer_id": "cus_1", "reason": "other"}  # fmt: skip
    fact = Fact(FactKind.REFUND, own, state, 480, "ord_1")
    of = {"refs": refs(("payment", "ord_1")), "provider_ref": "ord_1", "currency": "USD", "amount": 480}
    for kind in ("refund.created", "refund.updated"):
        assert sent(kind, refund) == whole(fact, **of)
    again = fetched("standard_webhooks", f"refund:{own}", {"items": [refund]}, about=own)
    assert (again.refs, again.facts) == (of["refs"], (fact,))
    assert (again.currency, again.amount) == ("USD", 480)


# --- what is asked about again -----------------------------------------------------------------------------------


def test_what_is_looked_at_again_and_in_which_states() -> None:
    watches = refetch_of("standard_webhooks").watches
    assert {state for one in watches for state in one.statuses} == {"created", "requires_action", "processing"}
    assert [one.refunds for one in watches if one.refunds] == [("pending",)]
    (disputes,) = [one.disputes for one in watches if one.disputes]
    assert set(disputes) == {"open", "inquiry", "under_review"}
