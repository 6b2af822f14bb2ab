"""Each kind of PayPal's as a whole: references, what a fact belongs to, versions, the payee, the order.

`refs` join payments and `order` with `sole` tell whether an order is one payment: a reference too many joins two
merchants' money, one too few leaves a refund waiting.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import providers
from providers.core.refetch import Fetched
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

AT, UNIX = "2026-09-21T14:18:20.250Z", 1_790_000_300.25
MICROS = 1_790_000_300_250_000
TEN = {"currency_code": "EUR", "value": "10.00"}
OLD = {"currency": "EUR", "total": "10.00"}
API = "https://api.paypal.com/v2/payments/"


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


def up(collection: str, own: str, relation: str = "up") -> list[dict[str, str]]:
    """Return links as PayPal writes them, with others before and behind."""
    return [
        {"rel": "self", "href": f"{API}{collection}/OTHER"},
        {"rel": relation, "href": f"{API}{collection}/{own}"},
        {"rel": "refund", "href": f"{API}{collection}/ANOTHER"},
    ]


def related(**ids: str) -> dict[str, Any]:
    return {"supplementary_data": {"related_ids": ids}}


def paypal(kind: str, resource: dict[str, Any]) -> Meaning:
    event = {"id": "WH-1", "event_type": kind, "create_time": AT, "resource": resource}
    return providers.interpret("paypal", kind, json.dumps(event).encode())


def read_again(ref: str, value: dict[str, Any]) -> Meaning:
    """Interpret an API's answer as the consumer does."""
    found = providers.find("paypal")
    assert found is not None
    assert found.refetch is not None
    body = json.dumps(value).encode()
    answer = found.refetch.answer(ref, 200, body)
    assert isinstance(answer, Fetched), answer
    return providers.interpret("paypal", answer.kind, body)


CAPTURE: dict[str, Any] = {
    "id": "C1",
    "amount": TEN,
    # What PayPal keeps and what the merchant gets: none of it is the payment's amount.
    "seller_receivable_breakdown": {"gross_amount": TEN, "net_amount": {"currency_code": "EUR", "value": "9.40"}},
    "invoice_id": "ORD-1",
    "custom_id": "newsletter",
    "payee": {"merchant_id": "M1"},
}
WHOLE: dict[str, Any] = {"opens": True, "currency": "EUR", "amount": 1000, "occurred_at": UNIX}
REFERENCE = ("reference", "ORD-1")


def taken(authorization: str | None) -> tuple[Fact, ...]:
    return (Fact(FactKind.CAPTURE, "C1", "succeeded", 1000, authorization),)


CAPTURES: list[tuple[dict[str, Any], Meaning]] = [
    # Of an authorization: the order is one payment.
    (
        related(order_id="O1", authorization_id="A1"),
        Meaning(
            refs=refs(("payment", "O1"), ("session", "O1"), ("capture", "C1"), ("charge", "A1"), REFERENCE),
            facts=taken("A1"),
            provider_ref="O1",
            merchant_account="M1",
            order="O1",
            sole=True,
            **WHOLE,
        ),
    ),
    # Of an order that may be several payees': the payee's account joins it.
    (
        related(order_id="O1"),
        Meaning(
            refs=refs(("payment", "O1"), ("capture", "C1"), ("shared", "O1"), REFERENCE),
            facts=taken("O1"),
            provider_ref="O1",
            merchant_account="M1",
            order="O1",
            **WHOLE,
        ),
    ),
    # The same without the payee, as in 2021 and 2022: nothing but its own id is certain.
    (
        related(order_id="O1") | {"payee": None},
        Meaning(
            refs=refs(("capture", "C1"), ("shared", "O1"), REFERENCE),
            facts=taken("O1"),
            provider_ref="O1",
            order="O1",
            **WHOLE,
        ),
    ),
    # Of no order at all.
    (
        {},
        Meaning(
            refs=refs(("payment", "C1"), ("capture", "C1"), REFERENCE),
            facts=taken("C1"),
            provider_ref="C1",
            merchant_account="M1",
            **WHOLE,
        ),
    ),
    # Of a payment of version 1: it takes from any authorization of that.
    (
        {"parent_payment": "PAYID-1", "amount": OLD},
        Meaning(
            refs=refs(("payment", "PAYID-1"), ("capture", "C1"), REFERENCE),
            facts=taken(None),
            provider_ref="PAYID-1",
            merchant_account="M1",
            **WHOLE,
        ),
    ),
    # Of a subscription: many sales share its id.
    (
        {"billing_agreement_id": "I-1", "parent_payment": None, "amount": OLD},
        Meaning(
            refs=refs(("payment", "C1"), ("capture", "C1"), ("shared", "I-1"), REFERENCE),
            facts=taken("C1"),
            provider_ref="C1",
            merchant_account="M1",
            **WHOLE,
        ),
    ),
]


@pytest.mark.parametrize(("more", "whole"), CAPTURES, ids=["held", "order", "no payee", "bare", "version 1", "sale"])
def test_a_capture(more: dict[str, Any], whole: Meaning) -> None:
    for kind in ("PAYMENT.CAPTURE.COMPLETED", "PAYMENT.SALE.COMPLETED"):
        assert paypal(kind, CAPTURE | more) == whole


HELD_BY: list[dict[str, Any]] = [
    related(order_id="O1", authorization_id="A1"),
    related(order_id="O1") | {"links": up("authorizations", "A1")},
    related(order_id="O1") | {"links": up("authorization", "A1", "authorization")},
]


@pytest.mark.parametrize("more", HELD_BY, ids=["related", "up", "version 1"])
def test_a_capture_is_of_the_authorization_that_it_names(more: dict[str, Any]) -> None:
    pending = Fact(FactKind.CAPTURE, "C1", "pending", 1000, "A1")
    expected = {
        "COMPLETED": taken("A1"),
        "PENDING": (Fact(FactKind.ATTEMPT, "C1", "processing", 1000, "O1"), pending),
        **dict.fromkeys(
            ("DENIED", "DECLINED"),
            (
                Fact(FactKind.ATTEMPT, "C1", "failed", 1000, "O1"),
                pending,
                Fact(FactKind.REVERSAL, "C1", "failed", 1000, "C1"),
            ),
        ),
    }
    for state, facts in expected.items():
        found = paypal(f"PAYMENT.CAPTURE.{state}", CAPTURE | more)
        assert (found.facts, found.sole) == (facts, True)
        assert Ref(RefKind.CHARGE, "A1") in found.refs


def held(**more: Any) -> dict[str, Any]:
    whole = {"id": "A1", "amount": TEN, "invoice_id": "ORD-1", "payee": {"merchant_id": "M1"}, "create_time": AT,
             "update_time": "2026-09-30T10:00:00Z"}  # fmt: skip
    return whole | related(order_id="O1") | more


def test_an_authorization() -> None:
    """One that comes later takes the place of one before: by when it was made, not by when it changed."""
    whole = Meaning(
        refs=refs(("payment", "O1"), ("session", "O1"), ("charge", "A1"), REFERENCE),
        facts=(Fact(FactKind.AUTHORIZATION, "A1", "authorized", 1000, "O1", MICROS, "O1"),),
        provider_ref="O1",
        merchant_account="M1",
        order="O1",
        sole=True,
        **WHOLE,
    )
    assert paypal("PAYMENT.AUTHORIZATION.CREATED", held()) == whole
    for status in ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED"):
        shown = read_again("charge:A1", held(status=status))
        assert (shown.refs, shown.facts, shown.sole) == (whole.refs, whole.facts, True)
        assert (shown.merchant_account, shown.order) == ("M1", "O1")


@pytest.mark.parametrize(("status", "facts"), [("DENIED", (Fact(FactKind.VOID, "A1", "canceled"),)), ("PENDING", ())])
def test_an_authorization_that_reserved_nothing(status: str, facts: tuple[Fact, ...]) -> None:
    assert read_again("charge:A1", held(status=status)).facts == facts


@pytest.mark.parametrize("name", ["expiration_time", "valid_until"])
@pytest.mark.parametrize(
    ("until", "state"),
    [("2026-09-30T09:59:59Z", "expired"), ("2026-09-30T10:00:00Z", "expired"), ("2026-09-30T10:00:01Z", "canceled")],
)
def test_an_authorization_that_was_released_when_its_time_was_up(name: str, until: str, state: str) -> None:
    found = paypal("PAYMENT.AUTHORIZATION.VOIDED", held() | {name: until})
    assert found.facts == (Fact(FactKind.VOID, "A1", state),)


NAMING: list[tuple[dict[str, Any], str | None]] = [
    ({"links": up("captures", "C1"), **related(order_id="O1")}, "O1"),
    (related(order_id="O1", capture_id="C1"), "O1"),
    ({"sale_id": "C1"}, None),
    ({"capture_id": "C1"}, None),
    ({"links": up("sale", "C1", "sale")}, None),
    ({"links": up("capture", "C1", "capture")}, None),
]


@pytest.mark.parametrize(("names", "order"), NAMING, ids=["up", "related", "sale_id", "capture_id", "sale", "capture"])
@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"status": "COMPLETED"}, "succeeded"),
        ({}, "succeeded"),
        ({"status": ""}, "succeeded"),
        ({"status": "PENDING"}, "pending"),
        ({"status": "FAILED"}, "failed"),
        ({"status": "CANCELLED"}, "canceled"),
        ({"state": "pending"}, "pending"),
        ({"state": "completed"}, "succeeded"),
    ],
    ids=str,
)
def test_a_refund(names: dict[str, Any], order: str | None, given: dict[str, Any], state: str) -> None:
    """It is of its capture: who refunds and the reference on the refund name no payment."""
    own = {"id": "R1", "amount": TEN, "invoice_id": "ORD-9", "payer": {"merchant_id": "M9"}} | names
    for kind in ("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.SALE.REFUNDED"):
        assert paypal(kind, own | given) == Meaning(
            refs=refs(("capture", "C1"), ("refund", "R1")),
            facts=(Fact(FactKind.REFUND, "R1", state, 1000, "C1"),),
            currency="EUR",
            amount=1000,
            occurred_at=UNIX,
            order=order,
        )
    back = own | {"parent_payment": "PAYID-1"}
    found = paypal("PAYMENT.SALE.REFUNDED", back)
    whole = () if order else refs(("payment", "PAYID-1"))
    assert found.refs == (*whole, *refs(("capture", "C1"), ("refund", "R1")))


@pytest.mark.parametrize(("names", "order"), NAMING, ids=["up", "related", "sale_id", "capture_id", "sale", "capture"])
def test_money_that_paypal_took_back(names: dict[str, Any], order: str | None) -> None:
    """A reversal is no refund of the merchant's, and has an id of its own; below zero it is the same sum."""
    for amount in (TEN, {"currency": "EUR", "total": "-10.00"}):
        for kind in ("PAYMENT.CAPTURE.REVERSED", "PAYMENT.SALE.REVERSED"):
            assert paypal(kind, {"id": "R1", "amount": amount} | names) == Meaning(
                refs=refs(("capture", "C1")),
                facts=(Fact(FactKind.REVERSAL, "R1", "done", 1000, "C1"),),
                currency="EUR",
                amount=1000,
                occurred_at=UNIX,
                order=order,
            )
    of_payment = paypal("PAYMENT.SALE.REVERSED", {"id": "R1", "amount": TEN, "parent_payment": "PAYID-1"} | names)
    assert of_payment.refs == (*(() if order else refs(("payment", "PAYID-1"))), *refs(("capture", "C1")))


@pytest.mark.parametrize("collection", ["captures", "capture", "sale"])
def test_a_reversal_that_is_the_capture_itself(collection: str) -> None:
    own = {"id": "C1", "amount": TEN, "links": [{"rel": "self", "href": f"{API}{collection}/C1"}]}
    found = paypal("PAYMENT.CAPTURE.REVERSED", own)
    assert (found.refs, found.facts) == (
        refs(("capture", "C1")),
        (Fact(FactKind.REVERSAL, "C1", "done", 1000, "C1"),),
    )


# --- disputes ----------------------------------------------------------------------------------------------------

DISPUTE: dict[str, Any] = {
    "dispute_id": "PP-1",
    "status": "UNDER_REVIEW",
    "dispute_amount": TEN,
    "create_time": "2026-09-01T10:00:00Z",
    "update_time": AT,
    "disputed_transactions": [{"seller_transaction_id": "C1", "buyer_transaction_id": "B1"}],
}


@pytest.mark.parametrize(
    ("stage", "number"),
    [("INQUIRY", 0), ("CHARGEBACK", 1), (None, 1), ("OF_TOMORROW", 1), ("PRE_ARBITRATION", 2), ("ARBITRATION", 3)],
)
def test_a_dispute(stage: str | None, number: int) -> None:
    whole = Meaning(
        refs=refs(("capture", "C1"), ("dispute", "PP-1")),
        facts=(Fact(FactKind.DISPUTE, "PP-1", "under_review", None, "C1", (number << 53) + MICROS),),
        currency="EUR",
        amount=1000,
    )
    given = DISPUTE | {"dispute_life_cycle_stage": stage}
    found = paypal("CUSTOMER.DISPUTE.UPDATED", given)
    assert (found.refs, found.facts, found.amount, found.occurred_at) == (whole.refs, whole.facts, 1000, UNIX)
    assert read_again("dispute:PP-1", given) == whole


def test_a_dispute_of_several_payments_is_shared_by_them() -> None:
    both = [{"seller_transaction_id": one} for one in ("C1", "C2")]
    found = paypal("CUSTOMER.DISPUTE.UPDATED", DISPUTE | {"disputed_transactions": both})
    assert (found.refs, found.amount) == (refs(("capture", "C1"), ("shared", "PP-1")), None)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("RESOLVED_BUYER_FAVOUR", "lost"),
        ("ACCEPTED", "lost"),
        ("RESOLVED_SELLER_FAVOUR", "won"),
        ("RESOLVED_WITH_PAYOUT", "won"),
        ("DENIED", "won"),
        ("CANCELED_BY_BUYER", "won"),
        ("NONE", "prevented"),
        ("", "prevented"),
        (None, "prevented"),
    ],
)
def test_how_a_dispute_ended(code: str | None, state: str) -> None:
    given = DISPUTE | {"status": "RESOLVED", "dispute_outcome": {"outcome_code": code}}
    for kind in ("CUSTOMER.DISPUTE.RESOLVED", "CUSTOMER.DISPUTE.UPDATED"):
        assert [fact.state for fact in paypal(kind, given).facts] == [state]
    assert [fact.state for fact in read_again("dispute:PP-1", given).facts] == [state]


@pytest.mark.parametrize("waits", ["OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE"])
def test_an_inquiry_takes_no_money_whoever_it_waits_for(waits: str) -> None:
    for stage, state in (("INQUIRY", "inquiry"), ("CHARGEBACK", "open"), ("ARBITRATION", "open")):
        given = DISPUTE | {"status": waits, "dispute_life_cycle_stage": stage}
        for kind in ("CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED"):
            assert [fact.state for fact in paypal(kind, given).facts] == [state]


# --- orders ------------------------------------------------------------------------------------------------------


def unit(name: str = "default", account: str = "M1", **payments: Any) -> dict[str, Any]:
    return {"reference_id": name, "amount": TEN, "payee": {"merchant_id": account}, "invoice_id": f"ORD-{name}",
            "payments": payments}  # fmt: skip


def order(status: str, *units: dict[str, Any]) -> dict[str, Any]:
    return {"id": "O1", "status": status, "purchase_units": list(units)}


def listed(own: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": own, "status": status, "amount": TEN, "create_time": AT} | more


ASKED = Fact(FactKind.TERMS, "O1", "asked", 1000)


def test_an_order_of_one_payee() -> None:
    whole = Meaning(
        refs=refs(("payment", "O1"), ("session", "O1"), ("reference", "ORD-default")),
        facts=(ASKED, Fact(FactKind.ATTEMPT, "O1", "created")),
        provider_ref="O1",
        merchant_account="M1",
        order="O1",
        sole=True,
        **WHOLE,
    )
    assert paypal("CHECKOUT.ORDER.APPROVED", order("APPROVED", unit())) == whole
    shown = read_again("O1", order("APPROVED", unit()))
    assert (shown.refs, shown.facts, shown.merchant_account) == (whole.refs, whole.facts, "M1")


def test_the_units_of_one_payee_are_one_payment_of_their_sum_and_of_no_reference() -> None:
    found = paypal("CHECKOUT.ORDER.APPROVED", order("APPROVED", unit("a"), unit("b")))
    assert (found.amount, found.refs, found.sole) == (2000, refs(("payment", "O1"), ("session", "O1")), True)


@pytest.mark.parametrize(
    ("account", "names", "of_order"),
    [("M1", [("payment", "O1"), ("session", "O1:a"), ("shared", "O1"), ("reference", "ORD-a")], "O1"),
     ("", [("session", "O1:a"), ("shared", "O1")], None)],
    ids=["account", "address"],
)  # fmt: skip
def test_a_payee_s_part_of_an_order(account: str, names: list[tuple[str, str]], of_order: str | None) -> None:
    """Without the account nobody can promise the part, and the order's id by itself names no payment of its own."""
    own = unit("a", account) | {"payee": {"merchant_id": account, "email_address": "a@example.test"}}
    other = unit("b", "") | {"payee": {"email_address": "b@example.test"}}
    whole = paypal("CHECKOUT.ORDER.APPROVED", order("APPROVED", own, other))
    assert (whole.refs, whole.order, whole.sole) == (refs(*names), of_order, False)
    assert (whole.merchant_account, whole.amount) == (account, 1000)


@pytest.mark.parametrize(
    ("status", "reserves"),
    [("CREATED", True), ("CAPTURED", True), ("PARTIALLY_CAPTURED", True), ("PENDING", False), ("DENIED", False)],
)
def test_what_an_order_lists_as_reserved(status: str, *, reserves: bool) -> None:
    facts = paypal("CHECKOUT.ORDER.COMPLETED", order("COMPLETED", unit(authorizations=[listed("A1", status)]))).facts
    assert facts[0] == ASKED
    if reserves:
        assert facts[1:] == (Fact(FactKind.AUTHORIZATION, "A1", "authorized", 1000, "O1", MICROS, "O1"),)
    else:
        assert facts[1:] == (Fact(FactKind.ATTEMPT, "O1", "processing"),)


@pytest.mark.parametrize(
    ("status", "takes"),
    [
        ("COMPLETED", True),
        ("PARTIALLY_REFUNDED", True),
        ("REFUNDED", True),
        ("PENDING", False),
        ("DECLINED", False),
        ("FAILED", False),
    ],
)
def test_what_an_order_lists_as_taken(status: str, *, takes: bool) -> None:
    found = paypal("CHECKOUT.ORDER.COMPLETED", order("COMPLETED", unit(captures=[listed("C1", status)])))
    assert found.facts[1:] == (taken("O1") if takes else (Fact(FactKind.ATTEMPT, "O1", "processing"),))
    assert found.refs[2:] == refs(("reference", "ORD-default"), ("capture", "C1"))


def test_an_order_that_is_read_again_shows_what_came_undone() -> None:
    payments: dict[str, Any] = {
        "authorizations": [listed("A1", "VOIDED")],
        "captures": [listed("C2", "DECLINED")],
        "refunds": [listed("R1", "PENDING", links=up("captures", "C1"))],
    }
    found = read_again("O1", order("COMPLETED", unit(**payments)))
    assert set(found.facts[1:]) == {
        Fact(FactKind.ATTEMPT, "O1", "processing"),
        Fact(FactKind.AUTHORIZATION, "A1", "authorized", 1000, "O1", MICROS, "O1"),
        Fact(FactKind.VOID, "A1", "canceled"),
        Fact(FactKind.ATTEMPT, "C2", "failed", 1000, "O1"),
        Fact(FactKind.CAPTURE, "C2", "pending", 1000, "O1"),
        Fact(FactKind.REVERSAL, "C2", "failed", 1000, "C2"),
        Fact(FactKind.REFUND, "R1", "pending", 1000, "C1"),
    }


def test_an_order_that_is_void_is_over() -> None:
    assert Fact(FactKind.END, "O1", "canceled") in read_again("O1", order("VOIDED", unit())).facts


def test_an_approval_that_ran_out_is_of_its_order_or_of_a_unit() -> None:
    kind, end = "CHECKOUT.PAYMENT-APPROVAL.REVERSED", (Fact(FactKind.END, "O1", "canceled"),)
    for units in ([], [{"reference_id": "a"}]):
        one = paypal(kind, {"order_id": "O1", "purchase_units": units})
        assert (one.refs, one.facts, one.provider_ref) == (refs(("payment", "O1")), end, "O1")
    several = paypal(kind, {"order_id": "O1", "purchase_units": [{"reference_id": "a"}, {"reference_id": "b"}]})
    assert (several.refs, several.facts) == (refs(("session", "O1:a")), end)
    assert (several.provider_ref, several.order) == ("O1", "O1")


def test_units_of_one_name_go_by_their_places() -> None:
    units = [{"reference_id": "a"}, {"reference_id": "a"}]
    found = paypal("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {"order_id": "O1", "purchase_units": units})
    assert found.refs == refs(("session", "O1:0"))


def test_an_address_is_one_payee_in_whatever_letters_and_beside_its_account() -> None:
    """E-mail addresses differ by no capital, and an address that another unit gives an account is of that account."""
    shop = {"merchant_id": "M1", "email_address": "shop@example.test"}
    units = [unit("a") | {"payee": shop}, unit("b") | {"payee": {"email_address": "Shop@Example.test"}}]
    found = paypal("CHECKOUT.ORDER.APPROVED", order("APPROVED", *units))
    assert (found.amount, found.merchant_account, found.sole) == (2000, "M1", True)


# --- version 1 ---------------------------------------------------------------------------------------------------


def payment(state: str = "approved", **related_resource: Any) -> dict[str, Any]:
    transaction = {"amount": OLD, "invoice_number": "ORD-1", "related_resources": [related_resource]}
    return {"id": "PAYID-1", "state": state, "transactions": [transaction]}


V1: list[tuple[str, str, tuple[Fact, ...]]] = [
    *(("sale", one, taken(None)) for one in ("completed", "partially_refunded", "refunded")),
    ("capture", "completed", taken(None)),
    ("sale", "pending", (Fact(FactKind.ATTEMPT, "C1", "processing", 1000, "PAYID-1"),
                         Fact(FactKind.CAPTURE, "C1", "pending", 1000))),
    ("sale", "denied", (Fact(FactKind.ATTEMPT, "C1", "failed", 1000, "PAYID-1"),
                        Fact(FactKind.CAPTURE, "C1", "pending", 1000),
                        Fact(FactKind.REVERSAL, "C1", "failed", 1000, "C1"))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "state", "facts"), V1)
def test_what_a_payment_of_version_1_lists(name: str, state: str, facts: tuple[Fact, ...]) -> None:
    related_one: dict[str, Any] = {name: {"id": "C1", "state": state, "amount": OLD}}
    found = read_again("PAYID-1", payment(**related_one))
    begun = (Fact(FactKind.TERMS, "PAYID-1", "asked", 1000), Fact(FactKind.ATTEMPT, "PAYID-1", "created"))
    assert found.facts == (*begun, *facts)
    assert found.refs == refs(("payment", "PAYID-1"), REFERENCE, ("capture", "C1"))
    assert (found.provider_ref, found.currency, found.amount, found.opens) == ("PAYID-1", "EUR", 1000, True)


def test_a_refund_that_a_payment_of_version_1_lists() -> None:
    back = {"id": "R1", "state": "completed", "amount": {"currency": "EUR", "total": "-4.00"}, "sale_id": "C1"}
    found = read_again("PAYID-1", payment(refund=back))
    assert found.facts[2:] == (Fact(FactKind.REFUND, "R1", "succeeded", 400, "C1"),)


@pytest.mark.parametrize(
    ("state", "stands"), [("failed", "failed"), ("created", "created"), ("in_progress", "created")]
)
def test_where_a_payment_of_version_1_stands(state: str, stands: str) -> None:
    assert read_again("PAYID-1", payment(state)).facts[1] == Fact(FactKind.ATTEMPT, "PAYID-1", stands)


def test_a_payment_of_version_1_of_two_transactions_goes_by_neither_one_s_reference() -> None:
    whole = payment()
    other = {"amount": OLD, "invoice_number": "ORD-2", "related_resources": []}
    found = read_again("PAYID-1", whole | {"transactions": [*whole["transactions"], other]})
    assert (found.refs, found.amount) == (refs(("payment", "PAYID-1")), 2000)
