"""Each kind of Razorpay's as a whole: references, what a fact belongs to, versions, the merchant, the time.

The other tests of Razorpay look at a fact's key, state and amount alone.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from refetched import fetched, refetch_of

import providers
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

UNIX = 1_790_000_300
MICROS = 1_790_000_300_000_000


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


PAYMENT: dict[str, Any] = {
    "id": "pay_1",
    "entity": "payment",
    "amount": 1000,
    "currency": "INR",
    # What Razorpay keeps, what was given back, what it is in rupees: none of it is the payment's amount.
    "fee": 24,
    "tax": 4,
    "amount_refunded": 0,
    "base_amount": 90000,
    "base_currency": "EUR",
    "order_id": "order_1",
    "account_id": "acc_9",
    "notes": {"order_id": "ORD-1"},
}
# What is still due of an order is less than it asks for: a part of it would read as paid in full.
ORDER: dict[str, Any] = {"id": "order_1", "amount": 2500, "currency": "INR", "amount_paid": 1000, "amount_due": 1500,
                         "receipt": "R-1"}  # fmt: skip


def razorpay(kind: str, **entities: dict[str, Any]) -> Meaning:
    payload = {name: {"entity": entity} for name, entity in entities.items()}
    event = {"event": kind, "account_id": "acc_1", "created_at": UNIX, "payload": payload}
    return providers.interpret("razorpay", kind, json.dumps(event).encode())


ASKED = Fact(FactKind.TERMS, "pay_1", "asked", 1000)
WHOLE = Fact(FactKind.TERMS, "order_1", "asked", 2500)
RESERVED = Fact(FactKind.AUTHORIZATION, "pay_1", "authorized", 1000)
TAKEN = Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1")
FAILED = Fact(FactKind.ATTEMPT, "pay_1", "failed")
UNDER_WAY = Fact(FactKind.ATTEMPT, "pay_1", "processing")
RELEASED = Fact(FactKind.VOID, "pay_1", "canceled")
OPENED: dict[str, Any] = {"opens": True, "currency": "INR", "amount": 1000, "provider_ref": "pay_1"}
OF: dict[str, Any] = {"merchant_account": "acc_1", "occurred_at": float(UNIX)}

KINDS: list[tuple[str, Fact]] = [
    ("payment.authorized", RESERVED),
    ("payment.captured", TAKEN),
    ("order.paid", TAKEN),
    ("payment.failed", FAILED),
    ("payment.pending", UNDER_WAY),
]


@pytest.mark.parametrize(("kind", "fact"), KINDS)
def test_a_payment(kind: str, fact: Fact) -> None:
    """The kind says how it stands; the status that it shows may be a later one. The receipt goes before the notes."""
    for status in ("created", "authorized", "captured", "refunded", "failed"):
        payment = PAYMENT | {"status": status, "captured": status in ("captured", "refunded")}
        assert razorpay(kind, payment=payment) == Meaning(
            refs=refs(("payment", "pay_1"), ("payment", "order_1"), ("reference", "ORD-1")),
            facts=(ASKED, fact),
            **OPENED,
            **OF,
        )
        assert razorpay(kind, payment=payment, order=ORDER) == Meaning(
            refs=refs(("payment", "pay_1"), ("payment", "order_1"), ("reference", "R-1")),
            facts=(ASKED, WHOLE, fact),
            **OPENED,
            **OF,
        )


def test_a_payment_s_own_account_is_no_merchant_of_ours() -> None:
    event = {"event": "payment.captured", "payload": {"payment": {"entity": PAYMENT}}}
    assert providers.interpret("razorpay", "payment.captured", json.dumps(event).encode()).merchant_account == ""


def test_a_payment_of_no_order_and_an_order_in_another_currency() -> None:
    bare = PAYMENT | {"order_id": None, "notes": []}
    assert razorpay("payment.captured", payment=bare).refs == refs(("payment", "pay_1"))
    assert razorpay("payment.captured", payment=bare, order=ORDER).facts == (ASKED, TAKEN)
    found = razorpay("order.paid", payment=PAYMENT, order=ORDER | {"currency": "USD"})
    assert (found.facts, found.currency) == ((ASKED, TAKEN), "INR")


STATUSES: list[tuple[str | None, bool | None, tuple[Fact, ...]]] = [
    ("created", False, ()),
    (None, None, ()),
    ("authorized", False, (RESERVED,)),
    ("captured", True, (TAKEN,)),
    ("refunded", True, (TAKEN,)),
    ("refunded", None, (TAKEN,)),
    ("refunded", False, (RESERVED, RELEASED)),
    ("failed", False, (FAILED,)),
    ("pending", False, (UNDER_WAY,)),
]
BEHIND = {"payment_link": "session", "invoice": "session", "subscription": "shared", "qr_code": "shared",
          "virtual_account": "shared"}  # fmt: skip
"""What became one order, and what many payments share: its id must join none of them."""


@pytest.mark.parametrize(("status", "captured", "facts"), STATUSES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("payment_link.paid", "payment_link"),
        ("payment_link.partially_paid", "payment_link"),
        ("invoice.paid", "invoice"),
        ("invoice.partially_paid", "invoice"),
        ("subscription.charged", "subscription"),
        ("qr_code.credited", "qr_code"),
        ("virtual_account.credited", "virtual_account"),
    ],
)
def test_a_payment_behind_something(
    kind: str, name: str, status: str | None, *, captured: bool | None, facts: tuple[Fact, ...]
) -> None:
    own = {"id": "own_1", "amount": 9999, "currency": "INR", "order_id": "order_9"}
    payment = PAYMENT | {"status": status, "captured": captured}
    assert razorpay(kind, payment=payment, **{name: own}) == Meaning(
        refs=refs(("payment", "pay_1"), ("payment", "order_1"), (BEHIND[name], "own_1"), ("reference", "ORD-1")),
        facts=(ASKED, *facts),
        **OPENED,
        **OF,
    )


@pytest.mark.parametrize(("status", "captured", "facts"), STATUSES)
def test_a_payment_that_is_read_again(status: str | None, *, captured: bool | None, facts: tuple[Fact, ...]) -> None:
    """By its id, in the list of all or in that of the order: `account_id` of a payment is no merchant of ours."""
    payment = PAYMENT | {"status": status, "captured": captured}
    whole = Meaning(
        refs=refs(("payment", "pay_1"), ("payment", "order_1"), ("reference", "ORD-1")), facts=(ASKED, *facts), **OPENED
    )
    assert fetched("razorpay", "pay_1", payment) == whole
    assert providers.interpret("razorpay", "recall.payment", json.dumps(payment).encode()) == whole
    tries = fetched("razorpay", "order_1", {"entity": "collection", "count": 1, "items": [payment]})
    assert (tries.refs, tries.facts) == (whole.refs, whole.facts)
    assert (tries.currency, tries.amount, tries.merchant_account) == ("INR", 1000, "")


@pytest.mark.parametrize(
    ("kind", "name", "state"),
    [
        ("invoice.expired", "invoice", "expired"),
        ("payment_link.expired", "payment_link", "expired"),
        ("payment_link.cancelled", "payment_link", "canceled"),
    ],
)
@pytest.mark.parametrize("order", ["order_1", None])
def test_what_nobody_pays_any_more(kind: str, name: str, state: str, order: str | None) -> None:
    """Only the link or the invoice ends: what was paid in part goes by the payments' own ids."""
    own = {"id": "own_1", "amount": 1000, "currency": "INR", "order_id": order, "amount_paid": 400}
    assert razorpay(kind, **{name: own}) == Meaning(
        refs=refs(("session", "own_1"), *((("payment", "order_1"),) if order else ())),
        facts=(Fact(FactKind.TERMS, "own_1", "asked", 1000), Fact(FactKind.END, "own_1", state)),
        **OPENED | {"provider_ref": order or "own_1"},
        **OF,
    )


# --- refunds -----------------------------------------------------------------------------------------------------

REFUND: dict[str, Any] = {"id": "rfnd_1", "entity": "refund", "amount": 400, "currency": "INR", "payment_id": "pay_1",
                          "notes": {"order_id": "ORD-9"}, "receipt": "R-9"}  # fmt: skip
REFUNDS: list[tuple[str, str | None, str]] = [
    *(("refund.processed", status, "succeeded") for status in ("processed", "pending", None)),
    *(("refund.failed", status, "failed") for status in ("failed", "pending", None)),
    *(
        (kind, status, state)
        for kind in ("refund.created", "refund.speed_changed")
        for status, state in (("pending", "pending"), ("processed", "succeeded"), ("failed", "failed"))
    ),
]


@pytest.mark.parametrize(("kind", "status", "state"), REFUNDS)
def test_a_refund(kind: str, status: str | None, state: str) -> None:
    """Its receipt and notes are its own, and name no payment."""
    refund, given_back = REFUND | {"status": status}, Fact(FactKind.REFUND, "rfnd_1", state, 400, "pay_1")
    whole: dict[str, Any] = {
        "refs": refs(("payment", "pay_1"), ("refund", "rfnd_1")),
        "currency": "INR",
        "amount": 400,
        "provider_ref": "pay_1",
    }
    assert razorpay(kind, refund=refund) == Meaning(facts=(given_back,), **whole, **OF)
    taken, held = PAYMENT | {"captured": True}, PAYMENT | {"captured": False}
    assert razorpay(kind, refund=refund, payment=taken) == Meaning(facts=(given_back, TAKEN), **whole, **OF)
    released = (RELEASED,) if state == "succeeded" else ()
    assert razorpay(kind, refund=refund, payment=held) == Meaning(facts=released, **whole, **OF)
    if kind == "refund.created":
        assert fetched("razorpay", "refund:rfnd_1", refund, about="pay_1") == Meaning(facts=(given_back,), **whole)


# --- disputes ----------------------------------------------------------------------------------------------------

PHASES = [("fraud", 0), ("retrieval", 0), ("chargeback", 1), ("pre_arbitration", 2), ("arbitration", 3)]
DISPUTES: list[tuple[str, str, int, str]] = [
    *((kind, "open", 0, "open") for kind in ("created", "action_required")),
    ("under_review", "under_review", 0, "under_review"),
    ("won", "won", 0, "won"),
    # Deducted when it began, and given back: what is deducted counts of a lost one alone.
    ("won", "won", 700, "won"),
    ("under_review", "under_review", 700, "under_review"),
    ("lost", "lost", 700, "lost"),
    ("lost", "lost", 0, "lost"),
    ("closed", "closed", 0, "prevented"),
    ("closed", "closed", 700, "lost"),
]


@pytest.mark.parametrize("in_phase", PHASES, ids=[phase for phase, _ in PHASES])
@pytest.mark.parametrize("event", DISPUTES, ids=[f"{kind}-{deducted}" for kind, _, deducted, _ in DISPUTES])
def test_a_dispute(event: tuple[str, str, int, str], in_phase: tuple[str, int]) -> None:
    (kind, status, deducted, state), (phase, number) = event, in_phase
    own = {"id": "disp_1", "entity": "dispute", "payment_id": "pay_1", "amount": 900, "currency": "INR",
           "amount_deducted": deducted, "phase": phase, "status": status, "created_at": 1}  # fmt: skip
    if state == "open" and number == 0:
        state = "inquiry"
    took = (Fact(FactKind.DISPUTE_OUT, "disp_1", "withdrawn", deducted),) if state == "lost" and deducted else ()

    def at(micros: int) -> Fact:
        return Fact(FactKind.DISPUTE, "disp_1", state, None, "pay_1", (number << 53) + micros)

    whole: dict[str, Any] = {
        "refs": refs(("payment", "pay_1"), ("dispute", "disp_1")),
        "currency": "INR",
        "amount": 900,
        "provider_ref": "pay_1",
    }
    kind = f"payment.dispute.{kind}"
    assert razorpay(kind, dispute=own) == Meaning(facts=(at(MICROS), *took), **whole, **OF)
    shown = razorpay(kind, dispute=own, payment=PAYMENT | {"captured": True})
    assert shown.facts == (at(MICROS), *took, TAKEN)
    assert fetched("razorpay", "dispute:disp_1", own, about="pay_1") == Meaning(facts=(at(0), *took), **whole)


# --- what is asked about again -----------------------------------------------------------------------------------


def test_what_is_looked_at_again_and_in_which_states() -> None:
    watched = {state for watch in refetch_of("razorpay").watches for state in watch.statuses}
    assert {"processing", "authorized"} <= watched
    assert [watch.refunds for watch in refetch_of("razorpay").watches if watch.refunds] == [("pending",)]
    (disputes,) = [watch.disputes for watch in refetch_of("razorpay").watches if watch.disputes]
    assert set(disputes) == {"open", "inquiry", "under_review"}
