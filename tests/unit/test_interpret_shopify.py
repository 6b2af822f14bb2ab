"""What Shopify's topics come to as facts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

from providers.shopify.meaning import meaning_of
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, RESERVE, CAPTURE, REFUND = (
    "820982911946154508",
    "120560818172775265",
    "120560818172775266",
    "120560818172775270",
)
TERMS = ("terms", KEY, "asked", "12590")
RESERVED = ("authorization", RESERVE, "authorized", "12590")
TOTAL = ("capture_total", KEY, "succeeded", "12590")
PAID = {**body_of("shopify", "event_order_paid"), "test": True}
TOPIC = "order_transactions/create"


def test_real_bodies() -> None:
    found = meaning("shopify", "event_authorization")
    assert facts(found) == {RESERVED}
    assert found.facts[0].parent == KEY
    assert found.livemode is False
    assert refs(found) == [("payment", KEY), ("charge", RESERVE)]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "EUR", 12590, KEY)
    taken = meaning("shopify", "event_capture")
    assert facts(taken) == {("capture", CAPTURE, "succeeded", "12590")}
    assert taken.facts[0].parent == RESERVE
    refund = meaning("shopify", "event_refund")
    assert facts(refund) == {("refund", REFUND, "succeeded", "4000")}
    assert refs(refund) == [("payment", KEY), ("refund", REFUND)]
    assert (refund.opens, refund.amount, refund.currency) == (False, 4000, "EUR")
    paid = meaning("shopify", "event_order_paid")
    assert facts(paid) == {TERMS, ("attempt", KEY, "created"), TOTAL}
    assert paid.livemode is None
    assert refs(paid) == [("payment", KEY)], "exact, though beyond 2**53"


@pytest.mark.parametrize(
    ("status", "paid"),
    [("paid", True), ("partially_refunded", True), ("refunded", True)]
    + [(other, False) for other in ("partially_paid", "pending", "authorized", "expired", "voided", "unpaid", None)],
)
def test_only_an_order_that_is_paid_in_full_counts_as_paid(status: str | None, paid: bool) -> None:  # noqa: FBT001
    """Shopify's `financial_status`: partially_paid is an order of which a part is still owed."""
    found = interpreted(
        "shopify", "orders/paid", changed(body_of("shopify", "event_order_paid"), "financial_status", status)
    )
    assert (TOTAL in facts(found)) is paid


@pytest.mark.parametrize(
    ("status", "over"), [("voided", "canceled"), ("expired", "expired"), ("pending", None), (7, None)]
)
def test_an_order_whose_payments_were_voided_or_ran_out_is_over(status: object, over: str | None) -> None:
    """By `financial_status`, in a webhook as in what the API shows (Admin API, Order)."""
    order = {**body_of("shopify", "event_order_paid"), "financial_status": status}
    ends = {("end", KEY, over)} if over else set()
    for found in (
        interpreted("shopify", "orders/updated", json.dumps(order).encode()),
        meaning_of("orders/updated", order),
    ):
        assert {one for one in facts(found) if one[0] == "end"} == ends


def transaction(kind: str, status: str = "success", **more: Any) -> dict[str, Any]:
    return {**body_of("shopify", "event_capture"), "kind": kind, "status": status, **more}


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("authorization", "pending", {("attempt", CAPTURE, "processing", "12590")}),
        ("authorization", "failure", {("attempt", CAPTURE, "failed", "12590")}),
        ("sale", "error", {("attempt", CAPTURE, "failed", "12590")}),
        ("sale", "success", {("capture", CAPTURE, "succeeded", "12590"), ("attempt", CAPTURE, "succeeded")}),
        ("emv_authorization", "success", {("authorization", CAPTURE, "authorized", "12590")}),
        ("authorization", "awaiting_response", {("attempt", CAPTURE, "processing", "12590")}),
        ("sale", "unknown", {("attempt", CAPTURE, "processing", "12590")}),
        ("suggested_refund", "success", set()),
        ("capture", "pending", {("capture", CAPTURE, "pending", "12590")}),
        ("capture", "failure", set()),
        ("void", "success", {("void", RESERVE, "canceled")}),
        ("void", "failure", set()),
        ("void", "pending", set()),
        ("void", "awaiting_response", set()),
        ("void", "unknown", set()),
        ("void", "error", set()),
        ("capture", "awaiting_response", {("capture", CAPTURE, "pending", "12590")}),
        ("capture", "unknown", {("capture", CAPTURE, "pending", "12590")}),
        ("capture", "error", set()),
        ("refund", "unknown", {("refund", CAPTURE, "pending", "12590")}),
        ("refund", "error", {("refund", CAPTURE, "failed", "12590")}),
        ("refund", "pending", {("refund", CAPTURE, "pending", "12590")}),
        ("refund", "failure", {("refund", CAPTURE, "failed", "12590")}),
        ("change", "success", set()),
    ],
)
def test_transactions(kind: str, status: str, expected: set[tuple[str, ...]]) -> None:
    meant = interpreted("shopify", TOPIC, transaction(kind, status))
    assert facts(meant) == expected
    assert meant.opens == (bool(expected) and kind in ("authorization", "emv_authorization", "sale", "capture"))


def test_a_new_order() -> None:
    found = interpreted(
        "shopify", "orders/create", changed(body_of("shopify", "event_order_paid"), "financial_status", "pending")
    )
    assert facts(found) == {TERMS, ("attempt", KEY, "created")}


def test_a_refund_of_goods_alone_and_one_of_two_transactions() -> None:
    body = body_of("shopify", "event_refund")
    none = interpreted("shopify", "refunds/create", {**body, "transactions": []})
    assert (none.facts, none.amount, none.currency) == ((), None, None)
    one = body["transactions"][0]
    two = [one, {**one, "id": 2, "amount": "1.00"}, {**one, "id": 3, "kind": "void"}]
    found = interpreted("shopify", "refunds/create", {**body, "transactions": two})
    assert facts(found) == {("refund", REFUND, "succeeded", "4000"), ("refund", "2", "succeeded", "100")}
    assert found.amount == 4100


DISPUTE: dict[str, Any] = {
    "id": 598735659,
    "order_id": int(KEY),
    "type": "chargeback",
    "amount": "11.50",
    "currency": "EUR",
    "status": "needs_response",
}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "open"),
        ({"type": "inquiry"}, "inquiry"),
        ({"type": "inquiry", "status": "under_review"}, "inquiry"),
        ({"status": "under_review"}, "under_review"),
        ({"status": "charge_refunded"}, "prevented"),
        ({"status": "prevented"}, "prevented"),
        ({"status": "accepted"}, "lost"),
        ({"status": "lost"}, "lost"),
        ({"status": "won", "type": "inquiry"}, "won"),
    ],
)
def test_disputes(changes: dict[str, Any], state: str) -> None:
    found = interpreted("shopify", "disputes/update", {**DISPUTE, **changes})
    asks, back = changes.get("type") == "inquiry", state in ("won", "prevented")
    taken = set() if asks else {("dispute_out", "598735659", "withdrawn", "1150")}
    given = {("dispute_in", "598735659", "reinstated", "1150")} if back and not asks else set()
    assert facts(found) == {("dispute", "598735659", state), *taken, *given}
    assert refs(found) == [("payment", KEY), ("dispute", "598735659")]


@pytest.mark.parametrize("kind", ["order_transactions/update", "refunds/update", "disputes/delete"])
def test_unknown_kind(kind: str) -> None:
    assert refused("shopify", kind, {}) == "unknown_kind"


@pytest.mark.parametrize("kind", ["orders/fulfilled", "orders/delete", "products/create", "tender_transactions/create"])
def test_topics_that_say_nothing(kind: str) -> None:
    assert interpreted("shopify", kind, {"id": 1}) == Meaning()


REFUND_BODY = body_of("shopify", "event_refund")
OTHERS = [{**REFUND_BODY["transactions"][0], "order_id": 1}]
MIXED = [REFUND_BODY["transactions"][0], {**REFUND_BODY["transactions"][0], "currency": "USD"}]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", {"id": 1}),
        ("orders/updated", b""),
        ("orders/paid", body_of("shopify", "event_capture")),
        ("orders/paid", REFUND_BODY),
        (TOPIC, body_of("shopify", "event_order_paid")),
        (TOPIC, transaction("teleport")),
        (TOPIC, {**transaction("sale"), "kind": ["sale"]}),
        (TOPIC, transaction("sale", "odd")),
        (TOPIC, transaction("sale", amount="1.234")),
        (TOPIC, transaction("sale", id=None)),
        ("refunds/create", transaction("refund")),
        ("refunds/create", {**REFUND_BODY, "transactions": OTHERS}),
        ("refunds/create", {**REFUND_BODY, "transactions": MIXED}),
        ("disputes/create", {**DISPUTE, "status": "odd"}),
    ],
    ids=range(14),
)
def test_undecodable(kind: str, body: Any) -> None:
    """The topic is unsigned: a genuine body under another topic moves nothing."""
    assert refused("shopify", kind, body) == "undecodable"


def test_an_order_says_how_it_stands_whatever_the_topic() -> None:
    """Shopify's own sample of orders/paid is a canceled order; a topic that nobody signed adds nothing to the body."""
    paid = body_of("shopify", "event_order_paid")
    for body in (paid, {**paid, "financial_status": "pending"}, {**paid, "cancelled_at": "2026-09-21T10:00:00-04:00"}):
        found = [
            facts(interpreted("shopify", f"orders/{topic}", body))
            for topic in ("create", "updated", "paid", "cancelled")
        ]
        assert found.count(found[0]) == 4


def test_every_order_of_a_life() -> None:
    refund = made("shopify", TOPIC, REFUND_BODY["transactions"][0], "e1")
    names = ("event_authorization", "event_capture", "event_refund")
    paid = made("shopify", "orders/paid", PAID, "e2")
    check_every_order(
        [*(genuine("shopify", name) for name in names), paid, refund],
        provider_ref=KEY,
        status="captured",
        refund_status="partial",
        currency="EUR",
        amount=12590,
        authorized=12590,
        captured=12590,
        refunded=4000,
    )


def test_every_order_of_two_partial_captures() -> None:
    parts = [transaction("capture", id=own, amount=amount) for own, amount in ((1, "100.00"), (2, "25.90"))]
    records = [made("shopify", TOPIC, one, f"e{place}") for place, one in enumerate(parts)]
    check_every_order([genuine("shopify", "event_authorization"), *records], status="captured", captured=12590)


def test_every_order_of_a_paid_order_alone_and_of_one_that_two_sales_paid() -> None:
    paid = made("shopify", "orders/paid", PAID, "paid")
    check_every_order([paid], status="captured", captured=12590, authorized=12590)
    sales = [transaction("sale", id=own, amount=amount) for own, amount in ((1, "20.00"), (2, "105.90"))]
    records = [made("shopify", TOPIC, one, f"e{place}") for place, one in enumerate(sales)]
    check_every_order([paid, *records], status="captured", captured=12590, authorized=12590)


def test_a_void_releases_the_rest() -> None:
    void = made("shopify", TOPIC, transaction("void", id=9), "e1")
    check_every_order([genuine("shopify", "event_authorization"), void], status="canceled", captured=0)
    unnamed = made("shopify", TOPIC, transaction("void", id=9, parent_id=None), "e1")
    check_every_order([genuine("shopify", "event_authorization"), unnamed], status="canceled", captured=0)


def test_a_dispute_without_an_order_says_nothing() -> None:
    assert interpreted("shopify", "disputes/create", {**DISPUTE, "order_id": None}) == Meaning()


def test_an_inquiry_that_becomes_a_chargeback_and_is_won() -> None:
    steps = [{**DISPUTE, "type": "inquiry", "status": "won"}, DISPUTE]
    records = [made("shopify", "disputes/update", one, f"e{place}") for place, one in enumerate(steps)]
    paid = made("shopify", "orders/paid", {**PAID, "test": False}, "paid")
    check_every_order([paid, *records], dispute_status="open", disputed=1150)
    won = made("shopify", "disputes/update", {**DISPUTE, "status": "won"}, "e3")
    check_every_order([paid, *records, won], dispute_status="won", disputed=0)


def refunds(*amounts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"transactions": [{"kind": "refund", "status": "success", "amount": one, **more}]} for one in amounts]


@pytest.mark.parametrize(
    ("changes", "amount"),
    [
        ({"current_total_price": "80.00"}, "8000"),
        ({"current_total_price": "130.00"}, "13000"),
        ({"current_total_price": "85.90", "refunds": refunds("40.00")}, "12590"),
        ({"current_total_price": "125.90", "refunds": refunds("40.00")}, "12590"),
        ({"current_total_price": "0.00", "refunds": [None, {"transactions": [7]}]}, "0"),
        ({"current_total_price": "80.00", "total_price": None}, "8000"),
        ({"refunds": refunds("1.00")}, "12590"),
        ({"current_total_price": "85.90", "refunds": refunds("40.00", currency="USD")}, "8590"),
        ({"current_total_price": "85.90", "refunds": refunds("40.00", status="failure")}, "8590"),
        ({"current_total_price": "85.90", "refunds": refunds("40.00", status="pending")}, "8590"),
    ],
)
def test_what_an_order_asks_for_after_edits_and_before_refunds(changes: dict[str, Any], amount: str) -> None:
    assert ("terms", KEY, "asked", amount) in facts(interpreted("shopify", "orders/paid", {**PAID, **changes}))


def abroad(currency: str, before: str, current: str, shops: str = "80.00", **more: Any) -> dict[str, Any]:
    """Return an order of a shop in EUR whose customer pays in another currency."""

    def shown(name: str, amount: str) -> dict[str, Any]:
        return {f"{name}_set": {"presentment_money": {"amount": amount, "currency_code": currency}}, name: shops}

    totals = shown("total_price", before) | shown("current_total_price", current)
    return {**PAID, **totals, "presentment_currency": currency, **more}


@pytest.mark.parametrize(
    ("order", "amount"),
    [
        (abroad("USD", "100.00", "50.00", refunds=refunds("50.00", currency="USD")), "10000"),
        (abroad("USD", "100.00", "50.00", refunds=refunds("50.00")), "10000"),
        (abroad("USD", "100.00", "50.00", refunds=refunds("70.00", currency="USD")), "10000"),
        (abroad("USD", "100.00", "50.00", "120.00", refunds=refunds("70.00", currency="USD")), "10000"),
        (abroad("USD", "100.00", "50.00", refunds=refunds("50.00", currency="EUR")), "5000"),
        (abroad("USD", "100.00", "50.00"), "5000"),
        (abroad("USD", "100.00", "50.00", cancelled_at="2026-09-21T10:00:00Z"), "10000"),
        (abroad("JPY", "12000", "6000", refunds=refunds("6000", currency="JPY")), "12000"),
        (abroad("JPY", "12000", "12000", refunds=refunds("6000", currency="JPY")), "12000"),
        (abroad("KWD", "30.000", "10.500", refunds=refunds("19.500", currency="KWD")), "30000"),
    ],
)
def test_what_an_order_asks_for_is_bounded_in_its_customers_currency(order: dict[str, Any], amount: str) -> None:
    """The shop's total is another number: in euros it is less than the dollars, and than the yen."""
    assert ("terms", KEY, "asked", amount) in facts(interpreted("shopify", "orders/updated", order))


@pytest.mark.parametrize(("first", "later", "amount"), [("125.90", "85.90", 8590), ("85.90", "125.90", 12590)])
def test_what_an_order_asks_for_is_what_it_asked_for_last(first: str, later: str, amount: int) -> None:
    """An edit may lower it: the larger figure is not the newer one."""
    records = []
    for price, hour in ((first, 10), (later, 11)):
        changes = {"financial_status": "pending", "current_total_price": price}
        order = {**PAID, **changes, "updated_at": f"2026-09-21T{hour}:00:00Z"}
        records.append(made("shopify", "orders/updated", order, f"e{hour}"))
    check_every_order(records, amount=amount)


def test_a_canceled_order_that_was_paid_takes_no_money_a_second_time() -> None:
    """It keeps `financial_status` paid until its refund is through; what was captured its transactions say."""
    found = interpreted("shopify", "orders/cancelled", {**PAID, "cancelled_at": "2026-09-21T10:00:00-04:00"})
    assert [(one.kind, one.state) for one in found.facts] == [
        ("terms", "asked"),
        ("attempt", "created"),
        ("end", "canceled"),
    ]


def test_an_order_is_in_the_currency_of_its_transactions() -> None:
    money = {"presentment_money": {"amount": "150.00", "currency_code": "USD"}}
    body = {**PAID, "presentment_currency": "USD", "total_price_set": money}
    found = interpreted("shopify", "orders/paid", body)
    assert (found.currency, found.amount) == ("USD", 15000)
    assert interpreted("shopify", "orders/paid", {**PAID, "presentment_currency": "USD"}).currency == "EUR"
