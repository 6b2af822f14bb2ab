"""Each kind of Shopify, Square, Paystack and Braintree as a whole, by event and by API, in each of its statuses.

What a fact belongs to and its version decide as much as its state, and so do the references, the merchant account and
the mode. Beside each figure, id and time that counts stands one that must not.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

import providers
from providers.core.refetch import DAY, HOUR, Fetched
from schemas.errors import UninterpretableError
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

AT, UNIX, MICROS = "2026-09-21T14:18:20.250Z", 1_790_000_300.25, 1_790_000_300_250_000
LATER, OTHER = "2026-09-30T10:00:00Z", "2026-08-01T10:00:00Z"


def read(provider: str, kind: str, event: dict[str, Any]) -> Meaning:
    return providers.interpret(provider, kind, json.dumps(event).encode())


def read_again(provider: str, ref: str, value: dict[str, Any] | str) -> Meaning:
    """Interpret an API's answer as the consumer does."""
    found = providers.find(provider)
    assert found is not None
    assert found.refetch is not None
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    answer = found.refetch.answer(ref, 200, body)
    assert isinstance(answer, Fetched), answer
    return providers.interpret(provider, answer.kind, body)


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


def asked(key: str, amount: int = 1000, version: int = 0) -> Fact:
    return Fact(FactKind.TERMS, key, "asked", amount, version=version)


def tried(key: str, state: str, amount: int | None = None, payment: str | None = None) -> Fact:
    return Fact(FactKind.ATTEMPT, key, state, amount, payment)


def reserved(key: str, attempt: str | None = None, version: int = 0) -> Fact:
    return Fact(FactKind.AUTHORIZATION, key, "authorized", 1000, attempt, version)


def taken(key: str, authorization: str | None, amount: int | None = 1000, version: int = 0) -> Fact:
    return Fact(FactKind.CAPTURE, key, "succeeded", amount, authorization, version)


def being_taken(key: str, authorization: str | None, amount: int | None = 1000) -> Fact:
    return Fact(FactKind.CAPTURE, key, "pending", amount, authorization)


def undone(key: str, amount: int | None = 1000) -> Fact:
    return Fact(FactKind.REVERSAL, key, "failed", amount, key)


def released(key: str, state: str) -> Fact:
    return Fact(FactKind.VOID, key, state)


def ended(key: str, state: str) -> Fact:
    return Fact(FactKind.END, key, state)


def given_back(key: str, state: str, payment: str | None, amount: int | None = 1000) -> Fact:
    return Fact(FactKind.REFUND, key, state, amount, payment)


def disputed(key: str, state: str, payment: str | None, version: int = 0) -> Fact:
    return Fact(FactKind.DISPUTE, key, state, None, payment, version)


def gone(key: str, amount: int | None = 1000) -> Fact:
    return Fact(FactKind.DISPUTE_OUT, key, "withdrawn", amount)


def back(key: str, amount: int | None = 1000) -> Fact:
    return Fact(FactKind.DISPUTE_IN, key, "reinstated", amount)


# --- Shopify -----------------------------------------------------------------------------------------------------

TRANSACTION: dict[str, Any] = {
    "id": 11,
    "order_id": 7,
    "parent_id": 10,
    "amount": "10.00",
    "currency": "EUR",
    "test": False,
    "processed_at": AT,
    "created_at": OTHER,
    "authorization": "ch_9",
    "payment_id": "c99.1",
    # What is not settled yet and what is rounded: no figures of the transaction.
    "total_unsettled_set": {"presentment_money": {"amount": "3.00", "currency": "USD"}},
    "amount_rounding": "0.05",
}
UNDER_WAY, FAILED = ("pending", "awaiting_response", "unknown"), ("failure", "error")
TRIED: tuple[tuple[tuple[str, ...], tuple[Fact, ...]], ...] = (
    (UNDER_WAY, (tried("11", "processing", 1000, "7"),)),
    (FAILED, (tried("11", "failed", 1000, "7"),)),
)
TRANSACTIONS: dict[str, tuple[tuple[tuple[str, ...], tuple[Fact, ...]], ...]] = {
    "authorization": ((("success",), (reserved("11", "7"),)), *TRIED),
    "emv_authorization": ((("success",), (reserved("11", "7"),)), *TRIED),
    "sale": ((("success",), (taken("11", "7"), tried("11", "succeeded"))), *TRIED),
    "capture": ((("success",), (taken("11", "10"),)), (UNDER_WAY, (being_taken("11", "10"),)), (FAILED, ())),
    "void": ((("success",), (released("10", "canceled"),)), (UNDER_WAY, ()), (FAILED, ())),
    "refund": (
        (("success",), (given_back("11", "succeeded", "7"),)),
        (UNDER_WAY, (given_back("11", "pending", "7"),)),
        (FAILED, (given_back("11", "failed", "7"),)),
    ),
    "suggested_refund": ((("success", *UNDER_WAY, *FAILED), ()),),
    "change": ((("success", *UNDER_WAY, *FAILED), ()),),
}
"""By kind: statuses, and what a transaction says in them (Admin API, Transaction: `kind`, `status`)."""
OWN_REFS = {"sale": "capture", "capture": "capture", "refund": "refund"}


@pytest.mark.parametrize(
    ("kind", "status", "facts"),
    [
        (kind, status, facts)
        for kind, by_status in TRANSACTIONS.items()
        for statuses, facts in by_status
        for status in statuses
    ],
)
def test_a_transaction_of_shopify(kind: str, status: str, facts: tuple[Fact, ...]) -> None:
    thing = TRANSACTION | {"kind": kind, "status": status}
    whole = Meaning(
        refs=refs(("payment", "7"), (OWN_REFS.get(kind, "charge"), "11")),
        facts=facts,
        opens=bool(facts) and kind in ("authorization", "emv_authorization", "sale", "capture"),
        currency="EUR",
        amount=1000,
        provider_ref="7",
        livemode=True,
        occurred_at=UNIX,
    )
    assert read("shopify", "order_transactions/create", thing) == whole
    assert read_again("shopify", "transactions:7", {"transactions": [thing]}) == whole


def test_every_transaction_that_shopify_lists_is_read() -> None:
    listed = [TRANSACTION | {"id": own, "kind": "refund", "status": "success"} for own in range(1, 121)]
    found = read_again("shopify", "transactions:7", {"transactions": listed})
    assert found.facts == tuple(given_back(str(one["id"]), "succeeded", "7") for one in listed)


def test_a_transaction_of_shopify_that_follows_none() -> None:
    """A capture then takes from any authorization of the order, and a void releases all of them."""
    for kind, fact in (("capture", taken("11", None)), ("void", ended("7", "canceled"))):
        thing = TRANSACTION | {"kind": kind, "status": "success", "parent_id": None}
        assert read("shopify", "order_transactions/create", thing).facts == (fact,)


@pytest.mark.parametrize(("test", "livemode"), [(True, False), (False, True), (None, None), ("false", None)])
def test_the_mode_of_shopify_is_signed(test: object, livemode: Any) -> None:
    sale = TRANSACTION | {"kind": "sale", "status": "success", "test": test}
    assert read("shopify", "order_transactions/create", sale).livemode is livemode
    assert read("shopify", "orders/updated", ORDER | {"test": test}).livemode is livemode
    shown = read("shopify", "refunds/create", refund_of(TRANSACTION | {"test": test}))
    assert shown.livemode is livemode


def refund_of(*transactions: dict[str, Any]) -> dict[str, Any]:
    """Return a refund of Shopify's; its own id is no transaction's."""
    listed = [{"kind": "refund", "status": "success"} | one for one in transactions]
    return {"id": 99, "order_id": 7, "processed_at": AT, "created_at": OTHER, "transactions": listed}


@pytest.mark.parametrize(
    ("status", "state"),
    [("success", "succeeded"), *((one, "pending") for one in UNDER_WAY), *((one, "failed") for one in FAILED)],
)
def test_a_refund_of_shopify_is_its_transactions(status: str, state: str) -> None:
    given = refund_of(
        TRANSACTION | {"status": status},
        TRANSACTION | {"id": 12, "amount": "2.50"},
        TRANSACTION | {"id": 13, "kind": "suggested_refund"},
    )
    assert read("shopify", "refunds/create", given) == Meaning(
        refs=refs(("payment", "7"), ("refund", "11"), ("refund", "12")),
        facts=(given_back("11", state, "7"), given_back("12", "succeeded", "7", 250)),
        currency="EUR",
        amount=1250,
        provider_ref="7",
        livemode=True,
        occurred_at=UNIX,
    )


ORDER: dict[str, Any] = {
    "id": 7,
    "currency": "EUR",
    "total_price": "12.00",
    "current_total_price": "10.00",
    "subtotal_price": "9.00",
    "total_outstanding": "4.00",
    "test": False,
    "cancelled_at": None,
    "updated_at": AT,
    "created_at": OTHER,
    "processed_at": OTHER,
    "checkout_id": 5,
    "order_number": 1001,
    "name": "#1001",
    "refunds": [],
}
IN_ALL = Fact(FactKind.CAPTURE_TOTAL, "7", "succeeded", 1000)
ORDERS: dict[str | None, tuple[Fact, ...]] = {
    **dict.fromkeys(("pending", "authorized", "partially_paid", None), ()),
    **dict.fromkeys(("paid", "partially_refunded", "refunded"), (IN_ALL,)),
    "voided": (ended("7", "canceled"),),
    "expired": (ended("7", "expired"),),
}
"""By `financial_status` of an order (Admin API, Order), what it says beside its total."""


@pytest.mark.parametrize(("status", "more"), ORDERS.items())
def test_an_order_of_shopify(status: str | None, more: tuple[Fact, ...]) -> None:
    order = ORDER | {"financial_status": status}
    whole = Meaning(
        refs=refs(("payment", "7")),
        facts=(asked("7", version=MICROS), tried("7", "created"), *more),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="7",
        livemode=True,
        occurred_at=UNIX,
    )
    for topic in ("create", "updated", "paid", "cancelled"):
        assert read("shopify", f"orders/{topic}", order) == whole
    shown = read_again("shopify", "7", {"order": order})
    assert (shown.facts, shown.refs, shown.ask) == (whole.facts, whole.refs, "transactions:7")


@pytest.mark.parametrize("status", ORDERS)
def test_an_order_of_shopify_that_was_canceled(status: str | None) -> None:
    """It shows the total as it was, in no version: what is left of it is no edit. Its money its transactions tell."""
    order = ORDER | {"financial_status": status, "cancelled_at": AT}
    found = read("shopify", "orders/updated", order)
    assert found.facts == (asked("7", 1200), tried("7", "created"), ended("7", "canceled"))
    assert (found.amount, found.opens, found.livemode) == (1200, True, True)


DISPUTE: dict[str, Any] = {
    "id": 9,
    "order_id": 7,
    "amount": "10.00",
    "currency": "EUR",
    "reason": "fraudulent",
    "initiated_at": OTHER,
    "evidence_due_by": LATER,
    "finalized_on": None,
}
DISPUTES = {
    "needs_response": ("open", "inquiry"),
    "under_review": ("under_review", "inquiry"),
    "charge_refunded": ("prevented", "prevented"),
    "prevented": ("prevented", "prevented"),
    "accepted": ("lost", "lost"),
    "lost": ("lost", "lost"),
    "won": ("won", "won"),
}
"""By status, where a chargeback and an inquiry of Shopify's stand (ShopifyPaymentsDispute)."""


@pytest.mark.parametrize(("status", "states"), DISPUTES.items())
@pytest.mark.parametrize("type_", ["chargeback", "inquiry"])
def test_a_dispute_of_shopify(type_: str, status: str, states: tuple[str, str]) -> None:
    """A chargeback has taken its sum, whichever event comes first; an inquiry takes none and comes before."""
    thing = DISPUTE | {"type": type_, "status": status}
    if type_ == "inquiry":
        facts: tuple[Fact, ...] = (disputed("9", states[1], "7", 1 << 53),)
    else:
        came_back = (back("9"),) if states[0] in ("won", "prevented") else ()
        facts = (disputed("9", states[0], "7", 2 << 53), gone("9"), *came_back)
    whole = Meaning(
        refs=refs(("payment", "7"), ("dispute", "9")), facts=facts, currency="EUR", amount=1000, provider_ref="7"
    )
    for topic in ("disputes/create", "disputes/update"):
        assert read("shopify", topic, thing) == whole
    assert read_again("shopify", "dispute:9", {"dispute": thing}) == whole


# --- Square ------------------------------------------------------------------------------------------------------


def eur(amount: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def square(kind: str, **thing: Any) -> Meaning:
    event = {"merchant_id": "M1", "location_id": "L1", "type": kind, "event_id": "e1", "created_at": AT,
             "data": {"type": "x", "id": "OTHER", "object": thing}}  # fmt: skip
    return read("square", kind, event)


def as_reported(shown: Meaning) -> dict[str, Any]:
    """Return what of an answer is what an event says: all but the merchant account and the time."""
    return {name: getattr(shown, name) for name in ("refs", "facts", "opens", "currency", "amount", "provider_ref")}


PAYMENT: dict[str, Any] = {
    "id": "p1",
    "amount_money": eur(900),
    "tip_money": eur(100),
    "total_money": eur(1000),
    "approved_money": eur(900),
    "app_fee_money": eur(30),
    "refunded_money": eur(400),
    "reference_id": "ORD-1",
    "order_id": "O9",
    "location_id": "L1",
    "customer_id": "C9",
    "refund_ids": ["p1_r1"],
    "created_at": OTHER,
    "updated_at": LATER,
}
CHANGED = 1_790_762_400_000_000
PAYMENTS: dict[str, tuple[Fact, ...]] = {
    "PENDING": (tried("p1", "processing"),),
    "APPROVED": (reserved("p1", version=CHANGED),),
    "COMPLETED": (reserved("p1", version=CHANGED), taken("p1", "p1", version=CHANGED)),
    "CANCELED": (ended("p1", "canceled"),),
    "FAILED": (tried("p1", "failed"),),
}


@pytest.mark.parametrize(("status", "facts"), PAYMENTS.items())
def test_a_payment_of_square(status: str, facts: tuple[Fact, ...]) -> None:
    """Its order may have several payments, so that joins nothing; what was refunded its refunds tell."""
    thing = PAYMENT | {"status": status}
    whole = Meaning(
        refs=refs(("payment", "p1"), ("reference", "ORD-1")),
        facts=(asked("p1", version=CHANGED), *facts),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="p1",
        merchant_account="M1",
        occurred_at=UNIX,
    )
    for kind in ("payment.created", "payment.updated"):
        assert square(kind, payment=thing) == whole
    assert as_reported(read_again("square", "p1", {"payment": thing})) == as_reported(whole)


@pytest.mark.parametrize(
    ("status", "state"),
    [("PENDING", "pending"), ("COMPLETED", "succeeded"), ("REJECTED", "failed"), ("FAILED", "failed")],
)
def test_a_refund_of_square(status: str, state: str) -> None:
    thing = {"id": "p1_r1", "payment_id": "p1", "order_id": "O9", "status": status, "amount_money": eur(400),
             "app_fee_money": eur(10), "processing_fee": [{"amount_money": eur(-12)}], "updated_at": LATER,
             "unlinked": False}  # fmt: skip
    whole = Meaning(
        refs=refs(("payment", "p1"), ("refund", "p1_r1")),
        facts=(given_back("p1_r1", state, "p1", 400),),
        currency="EUR",
        amount=400,
        provider_ref="p1",
        merchant_account="M1",
        occurred_at=UNIX,
    )
    for kind in ("refund.created", "refund.updated"):
        assert square(kind, refund=thing) == whole
    assert as_reported(read_again("square", "refund:p1_r1", {"refund": thing})) == as_reported(whole)


def moved(state: str, kind: FactKind) -> tuple[Fact, ...]:
    """Return what a dispute of Square's did with money in the round of its version, which is 3."""
    return (Fact(kind, "d1#3", state, 1000, "d1", 3),)


SQUARE_DISPUTES: dict[str, tuple[str, int, tuple[Fact, ...]]] = {
    "INQUIRY_EVIDENCE_REQUIRED": ("inquiry", 0, ()),
    "INQUIRY_PROCESSING": ("inquiry", 0, ()),
    "INQUIRY_CLOSED": ("prevented", 0, ()),
    "EVIDENCE_REQUIRED": ("open", 1, ()),
    "PROCESSING": ("under_review", 1, ()),
    "WON": ("won", 1, moved("reinstated", FactKind.DISPUTE_IN)),
    "LOST": ("lost", 1, moved("withdrawn", FactKind.DISPUTE_OUT)),
    "ACCEPTED": ("lost", 1, moved("withdrawn", FactKind.DISPUTE_OUT)),
}
"""By state (DisputeState of api.json): where it stands, its stage, and what became of its money."""


@pytest.mark.parametrize(("given", "expected"), SQUARE_DISPUTES.items())
def test_a_dispute_of_square(given: str, expected: tuple[str, int, tuple[Fact, ...]]) -> None:
    state, stage, money = expected
    thing = {"id": "d1", "dispute_id": "d1", "state": given, "amount_money": eur(1000), "version": 3,
             "disputed_payment": {"payment_id": "p1"}, "brand_dispute_id": "B9", "card_brand": "VISA",
             "reported_at": OTHER, "updated_at": LATER}  # fmt: skip
    whole = Meaning(
        refs=refs(("payment", "p1"), ("dispute", "d1")),
        facts=(disputed("d1", state, "p1", (stage << 53) + 3), *money),
        currency="EUR",
        amount=1000,
        provider_ref="p1",
        merchant_account="M1",
        occurred_at=UNIX,
    )
    for kind in ("dispute.created", "dispute.state.changed", "dispute.state.updated"):
        assert square(kind, dispute=thing) == whole
    assert as_reported(read_again("square", "dispute:d1", {"dispute": thing})) == as_reported(whole)


# --- Paystack ----------------------------------------------------------------------------------------------------

CHARGE: dict[str, Any] = {
    "id": 302961,
    "domain": "live",
    "reference": "pay1",
    "amount": 1000,
    # What Paystack keeps, what was asked for before fees, and when it was made: none of them counts.
    "requested_amount": 1100,
    "fees": 15,
    "currency": "ZAR",
    "paid_at": AT,
    "created_at": OTHER,
    "metadata": {"order_id": "ORD-1", "custom_fields": []},
    "receipt_number": "R9",
    "authorization": {"authorization_code": "AUTH_9"},
    "customer": {"customer_code": "CUS_9"},
    "integration": 100043,
}


def paystack(kind: str, data: dict[str, Any]) -> Meaning:
    return read("paystack", kind, {"event": kind, "data": data})


def of_charge(*facts: Fact, at: float | None = UNIX) -> Meaning:
    return Meaning(
        refs=refs(("payment", "pay1"), ("reference", "ORD-1"), ("reference", "pay1")),
        facts=(asked("pay1"), *facts),
        opens=True,
        currency="ZAR",
        amount=1000,
        provider_ref="pay1",
        livemode=True,
        occurred_at=at,
    )


CHARGES: dict[str, Fact] = {
    "success": taken("pay1", "pay1"),
    "reversed": taken("pay1", "pay1"),
    "failed": tried("pay1", "failed"),
    "abandoned": tried("pay1", "created"),
    **dict.fromkeys(("ongoing", "pending", "processing", "queued"), tried("pay1", "processing")),
}
"""Every status in which a transaction may be read again (transaction verify)."""


@pytest.mark.parametrize(("status", "fact"), CHARGES.items())
def test_a_transaction_of_paystack(status: str, fact: Fact) -> None:
    thing = CHARGE | {"status": status}
    assert read_again("paystack", "pay1", {"status": True, "data": thing}) == of_charge(fact)
    for kind, expected in (("charge.success", "success"), ("charge.failed", "failed")):
        if status == expected:
            assert paystack(kind, thing) == of_charge(fact)
        else:
            with pytest.raises(UninterpretableError):
                paystack(kind, thing)


HOLD: dict[str, Any] = {
    "id": 523,
    "domain": "live",
    "reference": "pre1",
    "amount": 1000,
    "captured_amount": None,
    "currency": "ZAR",
    "metadata": {"order_id": "ORD-1"},
    "expiry_date": LATER,
    "expired_at": None,
    "captured_at": None,
    "transaction": None,
    "createdAt": OTHER,
}


def of_hold(*facts: Fact, transaction: str | None = None, at: float | None = None) -> Meaning:
    own = [("payment", transaction)] if transaction else []
    return Meaning(
        refs=refs(("payment", "pre1"), *own, ("charge", "pre1"), ("reference", "ORD-1"), ("reference", "pre1")),
        facts=(asked("pre1"), reserved("pre1"), *facts),
        opens=True,
        currency="ZAR",
        amount=1000,
        provider_ref="pre1",
        livemode=True,
        occurred_at=at,
    )


def test_a_hold_of_paystack() -> None:
    assert paystack("preauthorization.reserve.success", HOLD) == of_hold()
    part = HOLD | {"captured_amount": 600, "captured_at": AT, "transaction": {"reference": "pay1", "id": 9}}
    part_taken = of_hold(taken("pay1", "pre1", 600), transaction="pay1", at=UNIX)
    assert paystack("preauthorization.capture.success", part) == part_taken
    assert paystack("preauthorization.capture.success", HOLD) == of_hold(taken("pre1", "pre1"))


@pytest.mark.parametrize(
    ("until", "state"), [(AT, "expired"), ("2026-09-21T14:18:19Z", "expired"), (LATER, "canceled"), (None, "canceled")]
)
def test_a_hold_of_paystack_that_was_released(until: str | None, state: str) -> None:
    whole = of_hold(released("pre1", state))
    over = HOLD | {"expired_at": AT, "expiry_date": until}
    assert paystack("preauthorization.release.success", over) == whole
    shown = HOLD | {"released_at": AT, "expiry_date": until, "status": "released"}
    assert read_again("paystack", "charge:pre1", {"status": True, "data": shown}) == whole


@pytest.mark.parametrize("status", ["authorized", "captured", "capture_failed", "release_failed"])
def test_a_hold_of_paystack_that_is_read_again_stays_reserved(status: str) -> None:
    """How much was taken of one its transaction tells, which is asked about next."""
    shown = read_again("paystack", "charge:pre1", {"status": True, "data": HOLD | {"status": status}})
    assert (shown.refs, shown.facts, shown.livemode) == (of_hold().refs, of_hold().facts, True)
    assert shown.ask == ("pre1" if status == "captured" else None)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("refund.pending", "pending"),
        ("refund.processing", "pending"),
        ("refund.needs-attention", "pending"),
        ("refund.processed", "succeeded"),
        ("refund.failed", "failed"),
    ],
)
def test_a_refund_of_paystack(kind: str, state: str) -> None:
    """By `refund_reference` before its id: its earlier events carry that alone."""
    thing = {"id": "77", "status": "x", "transaction_reference": "pay1", "refund_reference": "TRF_1", "amount": "400",
             "currency": "ZAR", "domain": "live", "integration": 1, "processor": "mpgs_zap"}  # fmt: skip
    whole = Meaning(
        refs=refs(("payment", "pay1"), ("refund", "TRF_1")),
        facts=(given_back("TRF_1", state, "pay1", 400),),
        currency="ZAR",
        amount=400,
        provider_ref="pay1",
        livemode=True,
    )
    assert paystack(kind, thing) == whole
    test = paystack(kind, thing | {"domain": "test", "refund_reference": None})
    assert (test.livemode, test.facts) == (False, (given_back("77", state, "pay1", 400),))


CLAIM: dict[str, Any] = {
    "id": 42,
    "refund_amount": 400,
    "currency": "ZAR",
    "domain": "live",
    "transaction": CHARGE | {"status": "success"},
    "transaction_reference": None,
    "merchant_transaction_reference": "OTHER",
    "dueAt": LATER,
    "resolvedAt": OTHER,
    "createdAt": OTHER,
    "updatedAt": AT,
}
CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"status": "awaiting-merchant-feedback", "resolution": None}, "open"),
    ({"status": "awaiting-bank-feedback", "resolution": None}, "under_review"),
    ({"status": "pending", "resolution": None}, "under_review"),
    ({"status": "resolved", "resolution": "merchant-accepted"}, "lost"),
    ({"status": "resolved", "resolution": "auto-accepted"}, "lost"),
    ({"status": "resolved", "resolution": "declined"}, "won"),
]


@pytest.mark.parametrize(("given", "state"), CLAIMS)
def test_a_dispute_of_paystack(given: dict[str, Any], state: str) -> None:
    """It takes what is claimed, which may be a part of its transaction, where it was accepted."""
    thing = CLAIM | given
    whole = Meaning(
        refs=refs(("payment", "pay1"), ("dispute", "42")),
        facts=(disputed("42", state, "pay1"), *((gone("42", 400),) if state == "lost" else ())),
        currency="ZAR",
        amount=400,
        provider_ref="pay1",
        livemode=True,
        occurred_at=UNIX,
    )
    over = given["status"] == "resolved"
    for kind in ["charge.dispute.resolve"] if over else ["charge.dispute.create", "charge.dispute.remind"]:
        assert paystack(kind, thing) == whole
    assert read_again("paystack", "dispute:42", {"status": True, "data": thing}) == whole


# --- Braintree ---------------------------------------------------------------------------------------------------

SENT_AT = 1_790_000_300.0


def xml(**fields: object) -> str:
    """Return elements as Braintree writes them; `_` in a name is `-`."""
    return "".join(f"<{(tag := name.replace('_', '-'))}>{text}</{tag}>" for name, text in fields.items())


def braintree(kind: str, subject: str) -> Meaning:
    document = xml(notification=xml(timestamp="2026-09-21T14:18:20Z", kind=kind, subject=subject))
    payload = base64.encodebytes(document.encode()).decode()
    return providers.interpret("braintree", kind, urlencode({"bt_signature": "p|x", "bt_payload": payload}).encode())


SALE: dict[str, Any] = {
    "id": "t1",
    "type": "sale",
    "amount": "10.00",
    "currency_iso_code": "EUR",
    # Fees, tax and what the customer is: none of it is the payment's.
    "service_fee_amount": "1.00",
    "tax_amount": "1.60",
    "merchant_account_id": "eur_shop",
    "order_id": "ORD-1",
    "created_at": OTHER,
    "customer": xml(id="C9"),
    "purchase_order_number": "PO9",
    "processor_response_code": "1000",
}
SETTLED = (taken("t1", "t1"),)
NOT_SETTLED = (tried("t1", "failed"), being_taken("t1", "t1"), undone("t1"))
SALES: dict[str, tuple[Fact, ...]] = {
    "authorizing": (tried("t1", "processing"),),
    "authorized": (reserved("t1"),),
    "authorization_expired": (reserved("t1"), released("t1", "expired")),
    **dict.fromkeys(("submitted_for_settlement", "settling", "settlement_confirmed", "settled"), SETTLED),
    "settlement_pending": (tried("t1", "processing"), being_taken("t1", "t1")),
    **dict.fromkeys(("settlement_declined", "settlement_failed"), NOT_SETTLED),
    **dict.fromkeys(("failed", "gateway_rejected", "processor_declined"), (tried("t1", "failed"),)),
    "voided": (reserved("t1"), released("t1", "canceled")),
}
"""Every status of a transaction (braintree_python, Transaction.Status; "Transaction statuses")."""


def of_sale(given: tuple[Fact, ...], /, *more: tuple[str, str], **changes: Any) -> Meaning:
    whole: dict[str, Any] = {
        "refs": refs(("payment", "t1"), *more, ("reference", "ORD-1")),
        "facts": (asked("t1"), *given),
        "opens": True,
        "currency": "EUR",
        "amount": 1000,
        "provider_ref": "t1",
        "merchant_account": "eur_shop",
        "occurred_at": SENT_AT,
    }
    return Meaning(**whole | changes)


@pytest.mark.parametrize(("status", "facts"), SALES.items())
def test_a_sale_of_braintree(status: str, facts: tuple[Fact, ...]) -> None:
    thing = xml(**SALE, status=status)
    assert braintree("transaction_retried", xml(transaction=thing)) == of_sale(facts)
    shown = read_again("braintree", "t1", xml(transaction=thing))
    assert shown == of_sale(facts, occurred_at=None)
    listed = xml(transactions=xml(transaction=thing) + xml(transaction=xml(**SALE | {"id": "t0"}, status="settled")))
    charge = xml(subscription=xml(id="s1", merchant_account_id="other_shop") + listed)
    local = xml(payment_id="lp1") + xml(transaction=thing)
    for kind in ("subscription_charged_successfully", "subscription_charged_unsuccessfully"):
        assert braintree(kind, charge) == of_sale(facts, ("shared", "s1"))
    assert braintree("local_payment_completed", xml(local_payment=local)) == of_sale(facts, ("session", "lp1"))
    assert braintree("local_payment_funded", xml(local_payment_funded=local)) == of_sale(facts, ("session", "lp1"))


WITHOUT_A_SUM: dict[str, tuple[Fact, ...]] = {
    "authorizing": (tried("t1", "processing"),),
    "settled": (taken("t1", "t1", None),),
    "submitted_for_settlement": (taken("t1", "t1", None),),
    "settlement_declined": (tried("t1", "failed"), being_taken("t1", "t1", None), undone("t1", None)),
    "processor_declined": (tried("t1", "failed"),),
    "gateway_rejected": (tried("t1", "failed"),),
    "voided": (tried("t1", "canceled"), released("t1", "canceled")),
    "authorization_expired": (tried("t1", "expired"), released("t1", "expired")),
}


@pytest.mark.parametrize(("status", "facts"), WITHOUT_A_SUM.items())
def test_a_local_payment_of_braintree_that_tells_no_currency(status: str, facts: tuple[Fact, ...]) -> None:
    """As in the samples of the SDK: what it took is as much as the client asked for."""
    thing = xml(**{name: text for name, text in SALE.items() if name != "currency_iso_code"}, status=status)
    local = xml(local_payment=xml(payment_id="lp1") + xml(transaction=thing))
    whole = of_sale(facts, ("session", "lp1"), facts=facts, currency=None, amount=None)
    assert braintree("local_payment_completed", local) == whole


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("transaction_settled", SETTLED),
        ("transaction_disbursed", SETTLED),
        ("transaction_settlement_declined", NOT_SETTLED),
    ],
)
def test_a_settlement_of_braintree(kind: str, facts: tuple[Fact, ...]) -> None:
    """The kind says how it went, not the status; a part of an authorization is of its payment, and a retry too."""
    assert braintree(kind, xml(transaction=xml(**SALE, status="settling"))) == of_sale(facts)
    part = xml(**SALE | {"id": "t2", "authorized_transaction_id": "t1"})
    of_part = {
        "transaction_settlement_declined": (tried("t2", "failed"), being_taken("t2", "t1"), undone("t2")),
    }.get(kind, (taken("t2", "t1"),))
    names = refs(("payment", "t1"), ("payment", "t2"), ("reference", "ORD-1"))
    assert braintree(kind, xml(transaction=part)) == of_sale((), facts=of_part, refs=names)
    again = xml(**SALE | {"retried_transaction_id": "t0"})
    assert braintree(kind, xml(transaction=again)) == of_sale(facts, ("payment", "t0"))


CREDIT = SALE | {"id": "t2", "type": "credit", "refunded_transaction_id": "t1", "merchant_account_id": "other_shop"}
CREDITS: dict[str, str] = {
    **dict.fromkeys(("authorizing", "authorized", "settlement_pending"), "pending"),
    **dict.fromkeys(("submitted_for_settlement", "settling", "settlement_confirmed", "settled"), "succeeded"),
    **dict.fromkeys(("settlement_declined", "settlement_failed", "authorization_expired"), "failed"),
    **dict.fromkeys(("failed", "gateway_rejected", "processor_declined"), "failed"),
    "voided": "canceled",
}


def of_credit(state: str, **changes: Any) -> Meaning:
    whole: dict[str, Any] = {
        "refs": refs(("payment", "t1"), ("refund", "t2")),
        "facts": (given_back("t2", state, "t1"),),
        "currency": "EUR",
        "amount": 1000,
        "provider_ref": "t1",
        "occurred_at": SENT_AT,
    }
    return Meaning(**whole | changes)


@pytest.mark.parametrize(("status", "state"), CREDITS.items())
def test_a_credit_of_braintree(status: str, state: str) -> None:
    """It is of its sale, whichever merchant account it goes by, and its reference names no payment."""
    thing = xml(transaction=xml(**CREDIT, status=status))
    assert braintree("transaction_retried", thing) == of_credit(state)
    assert read_again("braintree", "refund:t2", thing) == of_credit(state, occurred_at=None)


def test_a_kind_that_says_how_a_credit_of_braintree_went() -> None:
    for kind, state in (
        ("transaction_settled", "succeeded"),
        ("transaction_disbursed", "succeeded"),
        ("transaction_settlement_declined", "failed"),
    ):
        assert braintree(kind, xml(transaction=xml(**CREDIT))) == of_credit(state)
    failed = of_credit("failed", facts=(given_back("t2", "failed", "t1", None),), currency=None, amount=None)
    assert braintree("refund_failed", xml(transaction=xml(**CREDIT))) == failed


BRAINTREE_DISPUTES = {
    "dispute_opened": ("open", "open", "inquiry"),
    "dispute_disputed": ("disputed", "under_review", "inquiry"),
    "dispute_under_review": ("under_review", "under_review", "inquiry"),
    "dispute_accepted": ("accepted", "lost", "prevented"),
    "dispute_auto_accepted": ("auto_accepted", "lost", "prevented"),
    "dispute_expired": ("expired", "lost", "prevented"),
    "dispute_lost": ("lost", "lost", "prevented"),
    "dispute_won": ("won", "won", "prevented"),
}
"""By kind: the status that the API shows, where it stands, and where a retrieval stands."""


@pytest.mark.parametrize(("kind", "stands"), BRAINTREE_DISPUTES.items())
@pytest.mark.parametrize("type_", ["chargeback", "pre_arbitration", "retrieval"])
@pytest.mark.parametrize("named", ["amount_disputed", "amount"])
def test_a_dispute_of_braintree(kind: str, stands: tuple[str, str, str], type_: str, named: str) -> None:
    """The amount disputed, of older documents `amount`, is gone until it is won; a question takes nothing."""
    status, state, question = stands
    sale = {"id": "t1", "amount": "99.00", "order_id": "ORD-1", "purchase_order_number": "PO9"}
    other = {"amount": "55.00"} if named == "amount_disputed" else {}
    thing = xml(
        dispute=xml(
            **{"id": "d1", "status": status, "kind": type_, "currency_iso_code": "EUR", **other, named: "10.00"},
            amount_won="4.00" if state == "won" else "0.00",
            merchant_account_id="eur_shop",
            original_dispute_id="d0",
            case_number="CASE9",
            received_date="2026-09-20",
            reply_by_date="2026-10-04",
            created_at=OTHER,
            transaction=xml(**sale),
        )
    )
    money = (gone("d1"), *((back("d1", 400),) if state == "won" else ()))
    asks = type_ == "retrieval"
    whole = Meaning(
        refs=refs(("payment", "t1"), ("dispute", "d1"), ("reference", "ORD-1")),
        facts=(disputed("d1", question if asks else state, "t1"), *(() if asks else money)),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="t1",
        merchant_account="eur_shop",
        occurred_at=SENT_AT,
    )
    assert braintree(kind, thing) == whole
    shown = read_again("braintree", "dispute:d1", thing)
    assert (as_reported(shown), shown.merchant_account) == (as_reported(whole), "eur_shop")


# --- what is asked again by itself -------------------------------------------------------------------------------

Span = tuple[tuple[str, ...], str | None, float, float, float]
STATES: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "statuses": lambda watch: watch.statuses,
    "refunds": lambda watch: watch.refunds,
    "disputes": lambda watch: watch.disputes,
}
OPEN = ("inquiry", "open", "under_review")
WATCHED: dict[str, dict[str, list[Span]]] = {
    "shopify": {
        "statuses": [
            (("created", "processing"), None, 1 * DAY, 1 * DAY, 30 * DAY),
            (("authorized",), None, 6 * DAY, 1 * DAY, 32 * DAY),
        ],
        "refunds": [(("pending",), None, 2 * DAY, 1 * DAY, 60 * DAY)],
        "disputes": [(OPEN, "dispute", 7 * DAY, 7 * DAY, 200 * DAY)],
    },
    "square": {
        "statuses": [
            (("created",), None, 1 * HOUR, 12 * HOUR, 3 * DAY),
            (("processing",), None, 6 * HOUR, 12 * HOUR, 30 * DAY),
            (("authorized",), None, 36 * HOUR, 12 * HOUR, 40 * DAY),
        ],
        "refunds": [(("pending",), "refund", 3 * DAY, 1 * DAY, 60 * DAY)],
        "disputes": [(OPEN, "dispute", 7 * DAY, 7 * DAY, 365 * DAY)],
    },
    "paystack": {
        "statuses": [
            (("created", "processing"), None, 1 * HOUR, 6 * HOUR, 7 * DAY),
            (("authorized",), "charge", 1 * DAY, 1 * DAY, 32 * DAY),
        ],
        "refunds": [],
        "disputes": [(OPEN, "dispute", 2 * DAY, 2 * DAY, 180 * DAY)],
    },
    "braintree": {
        "statuses": [
            (("created",), None, 1 * HOUR, 12 * HOUR, 3 * DAY),
            (("processing",), None, 2 * DAY, 1 * DAY, 30 * DAY),
            (("authorized",), None, 3 * DAY, 1 * DAY, 32 * DAY),
        ],
        "refunds": [(("pending",), "refund", 2 * DAY, 1 * DAY, 30 * DAY)],
        "disputes": [(OPEN, "dispute", 7 * DAY, 7 * DAY, 365 * DAY)],
    },
}
"""By provider: in which states a payment is asked about, by which child, after how long, how often, until when.

A refund of Paystack's can't be asked about: its events name it otherwise than the API does.
"""


@pytest.mark.parametrize("provider", WATCHED)
def test_what_is_asked_about_again(provider: str) -> None:
    found = providers.find(provider)
    assert found is not None
    assert found.refetch is not None
    assert not any(watch.debits for watch in found.refetch.watches)
    for name, states_of in STATES.items():
        given = [
            (states_of(watch), watch.child, watch.after, watch.every, watch.until)
            for watch in found.refetch.watches
            if states_of(watch)
        ]
        assert given == WATCHED[provider][name], name
