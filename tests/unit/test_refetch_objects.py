"""Providers whose API shows objects by their ids: what is asked, and that answers fold as the webhooks do."""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from refetched import fold, refetch_of

import providers
from providers.core.objects import ApiObject, ObjectsApi
from providers.core.refetch import Credentials, Fetched, Gone
from schemas.errors import UninterpretableError
from schemas.facts import Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.unit

NOW = 1_790_000_300.0
CREDENTIALS = Credentials("http://api", "key", "hidden", "m1", token="granted")
BASIC = "Basic " + base64.b64encode(b"key:hidden").decode()


def fetched(provider: str, ref: str, value: Any) -> Meaning:
    """Interpret an API's answer as the consumer does, by the kind that the answer gets."""
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    answer = refetch_of(provider).answer(ref, 200, body)
    assert isinstance(answer, Fetched), answer
    return providers.interpret(provider, answer.kind, body)


# --- what is asked -----------------------------------------------------------------------------------------------

POLAR = "3f1a1cfe-0b2e-4c1e-9b1f-7b6a1d2c3e4f"
ASKED = [
    ("square", "pay1", "/v2/payments/pay1", "Bearer key"),
    ("square", "refund:pay1_re1", "/v2/refunds/pay1_re1", "Bearer key"),
    ("square", "dispute:dp1", "/v2/disputes/dp1", "Bearer key"),
    ("razorpay", "pay_1", "/v1/payments/pay_1", BASIC),
    ("razorpay", "order_1", "/v1/orders/order_1/payments", BASIC),
    ("razorpay", "refund:rfnd_1", "/v1/refunds/rfnd_1", BASIC),
    ("razorpay", "dispute:disp_1", "/v1/disputes/disp_1", BASIC),
    ("paypal", "5O190127TN364715T", "/v2/checkout/orders/5O190127TN364715T", "Bearer granted"),
    ("paypal", "charge:A1", "/v2/payments/authorizations/A1", "Bearer granted"),
    ("paypal", "capture:C1", "/v2/payments/captures/C1", "Bearer granted"),
    ("paypal", "refund:R1", "/v2/payments/refunds/R1", "Bearer granted"),
    ("paypal", "dispute:PP-D-1", "/v1/customer/disputes/PP-D-1", "Bearer granted"),
    ("checkout", "pay_1", "/payments/pay_1", "Bearer key"),
    ("checkout", "dispute:dsp_1", "/disputes/dsp_1", "Bearer key"),
    ("paystack", "ord-1.a=b", "/transaction/verify/ord-1.a%3Db", "Bearer key"),
    ("paystack", "dispute:12", "/dispute/12", "Bearer key"),
    ("paystack", "charge:pre.1", "/preauthorization/pre.1", "Bearer key"),
    ("paypal", "PAYID-1", "/v1/payments/payment/PAYID-1", "Bearer granted"),
    ("paypal", "sale:S1", "/v1/payments/sale/S1", "Bearer granted"),
    ("paypal", "sale_refund:R1", "/v1/payments/refund/R1", "Bearer granted"),
    ("standard_webhooks", "pay_1", "/payments/pay_1", "Bearer key"),
    ("standard_webhooks", "refund:ref_1", "/refunds/ref_1", "Bearer key"),
    ("standard_webhooks", "dispute:dis_1", "/disputes/dis_1", "Bearer key"),
    ("standard_webhooks", f"refund:{POLAR}", f"/v1/refunds/?id={POLAR}", "Bearer key"),
    ("braintree", "t1", "/merchants/m1/transactions/t1", BASIC),
    ("braintree", "refund:t2", "/merchants/m1/transactions/t2", BASIC),
    ("braintree", "dispute:d1", "/merchants/m1/disputes/d1", BASIC),
    ("shopify", "7", "/admin/api/2026-07/orders/7.json", None),
    ("shopify", "transactions:7", "/admin/api/2026-07/orders/7/transactions.json", None),
    ("shopify", "dispute:9", "/admin/api/2026-07/shopify_payments/disputes/9.json", None),
]


@pytest.mark.parametrize(("provider", "ref", "path", "authorization"), ASKED)
def test_an_object_is_asked_for_by_its_id(provider: str, ref: str, path: str, authorization: str | None):
    asked = refetch_of(provider).request(ref, CREDENTIALS, NOW)
    assert asked
    assert (asked.method, asked.url, asked.body) == ("GET", f"http://api{path}", None)
    assert asked.headers.get("Authorization") == authorization
    assert "key" not in repr(asked)
    assert "granted" not in repr(asked)


def test_a_shop_is_asked_with_its_token_at_its_own_address():
    asked = refetch_of("shopify").request("7", CREDENTIALS, NOW)
    assert asked
    assert asked.headers["X-Shopify-Access-Token"] == "key"
    assert refetch_of("shopify").base_url == ""
    assert refetch_of("shopify").needs == ("base_url",)


@pytest.mark.parametrize("provider", sorted({provider for provider, *_ in ASKED}))
def test_what_is_no_id_is_not_asked_about(provider: str):
    for ref in ("", "a/b", "../x", "x\n", "refund:", "dispute:a/b", "..", "evt 1", "x?y=z", "pay_1#"):
        assert refetch_of(provider).request(ref, CREDENTIALS, NOW) is None, ref


@pytest.mark.parametrize(("provider", "ref", "_path", "_authorization"), ASKED)
def test_another_object_is_no_answer(provider: str, ref: str, _path: str, _authorization: str | None):
    answer = refetch_of(provider).answer
    for body in (b"", b"[]", b"{}", b"<html>", b"\xff", b'{"id": "other"}', b'{"data": 1}', b"<transaction/>", b"null"):
        assert answer(ref, 200, body) is None
        assert answer(ref, 500, body) is None
    assert answer("a/b", 200, b"{}") is None


# --- what an answer says -----------------------------------------------------------------------------------------


def square(status: str, **more: Any) -> dict[str, Any]:
    money = {"amount": 1000, "currency": "EUR"}
    return {"payment": {"id": "p1", "status": status, "amount_money": money, "total_money": money, **more}}


def razorpay(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "pay_1", "entity": "payment", "amount": 1000, "currency": "INR", "status": status, **more}


def braintree_credit(status: str) -> str:
    """Return a refund of EUR 4.00, which is a transaction too (braintree_python, Transaction)."""
    return (
        f"<transaction><id>t2</id><type>credit</type><amount>4.00</amount><status>{status}</status>"
        "<refunded-transaction-id>t1</refunded-transaction-id><currency-iso-code>EUR</currency-iso-code></transaction>"
    )


def paypal_order(status: str, **payments: Any) -> dict[str, Any]:
    unit = {"amount": {"currency_code": "EUR", "value": "10.00"}, "payments": payments}
    return {"id": "O1", "status": status, "purchase_units": [unit]}


def ten(own: str, status: str, value: str = "10.00", **more: Any) -> dict[str, Any]:
    return {"id": own, "status": status, "amount": {"currency_code": "EUR", "value": value}, **more}


UP = {"links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C1"}]}


def checkout(status: str, **balances: int) -> dict[str, Any]:
    held = {f"total_{name}": amount for name, amount in balances.items()}
    return {"id": "pay_1", "status": status, "amount": 1000, "currency": "EUR", "balances": held}


def paystack(status: str) -> dict[str, Any]:
    data = {"reference": "ord1", "status": status, "amount": 1000, "currency": "NGN", "domain": "test"}
    return {"status": True, "message": "Verification successful", "data": data}


def dodo(status: str | None) -> dict[str, Any]:
    return {"payment_id": "pay_1", "status": status, "total_amount": 1000, "currency": "EUR"}


def braintree(status: str, more: str = "") -> str:
    return (
        f"<transaction><id>t1</id><type>sale</type><amount>10.00</amount><status>{status}</status>"
        f"<currency-iso-code>EUR</currency-iso-code>{more}</transaction>"
    )


def shopify_order(status: str, **more: Any) -> dict[str, Any]:
    reported = {"id": 7, "total_price": "10.00", "currency": "EUR", "financial_status": status, "test": False}
    return {"order": reported | more}


def shopify_transactions(*fields: tuple[int, str, str, int | None]) -> dict[str, Any]:
    listed = [
        {"id": own, "order_id": 7, "kind": kind, "status": status, "amount": "10.00", "currency": "EUR",
         "parent_id": parent}
        for own, kind, status, parent in fields
    ]  # fmt: skip
    return {"transactions": listed}


REPORTED: list[tuple[str, str, Any, str, int, int]] = [
    ("square", "p1", square("PENDING"), "processing", 0, 0),
    ("square", "p1", square("APPROVED"), "authorized", 0, 0),
    ("square", "p1", square("COMPLETED"), "captured", 1000, 0),
    ("square", "p1", square("CANCELED"), "canceled", 0, 0),
    ("square", "p1", square("FAILED"), "failed", 0, 0),
    ("razorpay", "pay_1", razorpay("created"), "created", 0, 0),
    ("razorpay", "pay_1", razorpay("authorized"), "authorized", 0, 0),
    ("razorpay", "pay_1", razorpay("captured", captured=True), "captured", 1000, 0),
    ("razorpay", "pay_1", razorpay("failed"), "failed", 0, 0),
    ("razorpay", "pay_1", razorpay("refunded", captured=False, amount_refunded=1000), "canceled", 0, 0),
    ("razorpay", "pay_1", razorpay("refunded", captured=True, amount_refunded=1000), "captured", 1000, 0),
    ("razorpay", "order_1", {"entity": "collection", "items": []}, "created", 0, 0),
    (
        "razorpay",
        "order_1",
        {
            "entity": "collection",
            "items": [razorpay(state, id=f"pay_{state}", order_id="order_1") for state in ("failed", "captured")],
        },
        "captured",
        1000,
        0,
    ),
    ("paypal", "O1", paypal_order("APPROVED"), "created", 0, 0),
    ("paypal", "O1", paypal_order("COMPLETED"), "processing", 0, 0),
    ("paypal", "O1", paypal_order("VOIDED"), "canceled", 0, 0),
    ("paypal", "O1", paypal_order("COMPLETED", captures=[ten("C1", "COMPLETED")]), "captured", 1000, 0),
    (
        "paypal",
        "O1",
        paypal_order("COMPLETED", captures=[ten("C1", "REFUNDED")], refunds=[ten("R1", "COMPLETED", "4.00", **UP)]),
        "captured",
        1000,
        400,
    ),
    ("paypal", "O1", paypal_order("COMPLETED", captures=[ten("C1", "DECLINED")]), "failed", 0, 0),
    ("paypal", "O1", paypal_order("COMPLETED", captures=[ten("C1", "PENDING")]), "processing", 0, 0),
    ("paypal", "O1", paypal_order("COMPLETED", authorizations=[ten("A1", "CREATED")]), "authorized", 0, 0),
    ("paypal", "charge:A1", ten("A1", "CREATED"), "authorized", 0, 0),
    ("paypal", "charge:A1", ten("A1", "VOIDED"), "canceled", 0, 0),
    ("paypal", "charge:A1", ten("A1", "PENDING"), "created", 0, 0),
    ("paypal", "capture:C1", ten("C1", "COMPLETED"), "captured", 1000, 0),
    ("paypal", "capture:C1", ten("C1", "PENDING"), "processing", 0, 0),
    ("paypal", "capture:C1", ten("C1", "FAILED"), "failed", 0, 0),
    ("checkout", "pay_1", checkout("Pending"), "processing", 0, 0),
    ("checkout", "pay_1", checkout("Authorized", authorized=1000), "authorized", 0, 0),
    ("checkout", "pay_1", checkout("Partially Captured", authorized=1000, captured=400), "partially_captured", 400, 0),
    ("checkout", "pay_1", checkout("Captured", authorized=1000, captured=1000), "captured", 1000, 0),
    ("checkout", "pay_1", checkout("Refunded", authorized=1000, captured=1000, refunded=1000), "captured", 1000, 1000),
    ("checkout", "pay_1", checkout("Voided", authorized=1000, voided=1000), "canceled", 0, 0),
    ("checkout", "pay_1", checkout("Expired", authorized=1000), "expired", 0, 0),
    ("checkout", "pay_1", checkout("Canceled"), "canceled", 0, 0),
    ("checkout", "pay_1", checkout("Declined"), "failed", 0, 0),
    ("checkout", "pay_1", checkout("Card Verified"), "created", 0, 0),
    ("checkout", "pay_1", checkout("Paid") | {"destination": {"type": "card"}}, "created", 0, 0),
    ("paystack", "ord1", paystack("success"), "captured", 1000, 0),
    ("paystack", "ord1", paystack("reversed"), "captured", 1000, 0),
    ("paystack", "ord1", paystack("failed"), "failed", 0, 0),
    ("paystack", "ord1", paystack("abandoned"), "created", 0, 0),
    ("paystack", "ord1", paystack("ongoing"), "processing", 0, 0),
    ("standard_webhooks", "pay_1", dodo("succeeded"), "captured", 1000, 0),
    ("standard_webhooks", "pay_1", dodo("failed"), "failed", 0, 0),
    ("standard_webhooks", "pay_1", dodo("cancelled"), "canceled", 0, 0),
    ("standard_webhooks", "pay_1", dodo("processing"), "processing", 0, 0),
    ("standard_webhooks", "pay_1", dodo("requires_customer_action"), "requires_action", 0, 0),
    ("standard_webhooks", "pay_1", dodo("requires_capture"), "authorized", 0, 0),
    ("standard_webhooks", "pay_1", dodo(None), "created", 0, 0),
    ("braintree", "t1", braintree("authorizing"), "processing", 0, 0),
    ("braintree", "t1", braintree("authorized"), "authorized", 0, 0),
    ("braintree", "t1", braintree("authorization_expired"), "expired", 0, 0),
    ("braintree", "t1", braintree("settlement_pending"), "processing", 0, 0),
    ("braintree", "t1", braintree("settled"), "captured", 1000, 0),
    ("braintree", "t1", braintree("settlement_declined"), "failed", 0, 0),
    ("braintree", "t1", braintree("settlement_failed"), "failed", 0, 0),
    ("braintree", "t1", braintree("voided"), "canceled", 0, 0),
    ("braintree", "t1", braintree("processor_declined"), "failed", 0, 0),
    ("shopify", "7", shopify_order("pending"), "created", 0, 0),
    ("shopify", "7", shopify_order("paid"), "captured", 1000, 0),
    ("shopify", "7", shopify_order("voided"), "canceled", 0, 0),
    ("shopify", "7", shopify_order("expired"), "expired", 0, 0),
    ("shopify", "7", shopify_order("voided", cancelled_at="2026-11-01T10:00:00Z"), "canceled", 0, 0),
    ("shopify", "transactions:7", shopify_transactions(), "created", 0, 0),
    ("shopify", "transactions:7", shopify_transactions((1, "authorization", "success", None)), "authorized", 0, 0),
    (
        "shopify",
        "transactions:7",
        shopify_transactions((1, "authorization", "success", None), (2, "void", "success", 1)),
        "canceled",
        0,
        0,
    ),
    (
        "shopify",
        "transactions:7",
        shopify_transactions((1, "sale", "success", None), (2, "refund", "success", 1)),
        "captured",
        1000,
        1000,
    ),
]


@pytest.mark.parametrize("reported", REPORTED)
def test_every_status_is_read(reported: tuple[str, str, Any, str, int, int]):
    provider, ref, answer, *expected = reported
    row = fold(fetched(provider, ref, answer))
    assert [row.status, row.captured, row.refunded] == expected


@pytest.mark.parametrize("reported", REPORTED)
def test_an_answer_that_tells_a_sum_tells_its_currency(reported: tuple[str, str, Any, str, int, int]):
    """Without it a sum in another currency than the payment's would be added up, and not only be seen."""
    provider, ref, answer, *_ = reported
    meant = fetched(provider, ref, answer)
    if any(fact.amount for fact in meant.facts):
        assert meant.currency in {"EUR", "INR", "NGN"}


def first_version(state: str, *related: dict[str, Any]) -> dict[str, Any]:
    """Return a payment of PayPal's version 1 of EUR 10.00 (payments_payment_v1)."""
    amount = {"total": "10.00", "currency": "EUR"}
    transaction = {"amount": amount, "invoice_number": "ORD-1", "related_resources": list(related)}
    return {"id": "PAYID-1", "intent": "sale", "state": state, "transactions": [transaction]}


def part(name: str, own: str, state: str, value: str = "10.00", **more: Any) -> dict[str, Any]:
    money = {"total": value, "currency": "EUR"}
    return {name: {"id": own, "state": state, "amount": money, "parent_payment": "PAYID-1", **more}}


EXPIRED = {"valid_until": "2026-11-01T10:00:00Z", "update_time": "2026-10-20T10:00:00Z"}
FIRST: list[tuple[dict[str, Any], str, int, int]] = [
    (first_version("created"), "created", 0, 0),
    (first_version("failed"), "failed", 0, 0),
    (first_version("approved", part("sale", "S1", "completed")), "captured", 1000, 0),
    (first_version("approved", part("sale", "S1", "pending")), "processing", 0, 0),
    (first_version("approved", part("sale", "S1", "denied")), "failed", 0, 0),
    (
        first_version(
            "approved",
            part("sale", "S1", "partially_refunded"),
            part("refund", "R1", "completed", "-4.00", sale_id="S1"),
            part("refund", "R2", "failed", "6.00", sale_id="S1"),
        ),
        "captured",
        1000,
        400,
    ),
    (first_version("approved", part("authorization", "A1", "authorized")), "authorized", 0, 0),
    (first_version("approved", part("authorization", "A1", "voided")), "canceled", 0, 0),
    (first_version("approved", part("authorization", "A1", "expired", **EXPIRED)), "expired", 0, 0),
    (first_version("approved", part("authorization", "A1", "denied")), "canceled", 0, 0),
    (first_version("approved", part("authorization", "A1", "pending")), "created", 0, 0),
    (
        first_version("approved", part("authorization", "A1", "captured"), part("capture", "C1", "completed")),
        "captured",
        1000,
        0,
    ),
    (first_version("in_progress", part("order", "O1", "PENDING"), {"odd": 7}), "created", 0, 0),
]


@pytest.mark.parametrize("reported", FIRST, ids=range(len(FIRST)))
def test_a_payment_of_version_1_of_paypal_shows_all_that_became_of_it(reported: tuple[dict[str, Any], str, int, int]):
    answer, *expected = reported
    found = fetched("paypal", "PAYID-1", answer)
    row = fold(found)
    assert [row.status, row.captured, row.refunded] == expected
    assert {Ref(RefKind.PAYMENT, "PAYID-1"), Ref(RefKind.REFERENCE, "ORD-1")} <= set(found.refs)
    assert found.opens


def test_a_payment_of_version_1_says_the_facts_of_its_webhooks():
    sale = part("sale", "S1", "completed")
    event = {"event_type": "PAYMENT.SALE.COMPLETED", "resource": sale["sale"]}
    webhook = providers.interpret("paypal", "PAYMENT.SALE.COMPLETED", json.dumps(event).encode())
    assert set(webhook.facts) <= set(fetched("paypal", "PAYID-1", first_version("approved", sale)).facts)
    for ref, path in (("PAY-8EN8", "PAY-8EN8"), ("PAYID-1", "PAYID-1")):
        asked = refetch_of("paypal").request(ref, CREDENTIALS, NOW)
        assert asked
        assert asked.url == f"http://api/v1/payments/payment/{path}"


def sale(state: str) -> dict[str, Any]:
    """Return a subscription's sale of EUR 10.00 as PayPal's API shows it (PayPal-Python-SDK#187)."""
    amount = {"total": "10.00", "currency": "EUR", "details": {"subtotal": "10.00"}}
    return {"id": "S1", "state": state, "amount": amount, "billing_agreement_id": "I-1", "invoice_number": ""}


@pytest.mark.parametrize(
    ("state", "kind", "status"),
    [
        ("completed", "COMPLETED", "captured"),
        ("partially_refunded", "COMPLETED", "captured"),
        ("refunded", "COMPLETED", "captured"),
        ("pending", "PENDING", "processing"),
        ("denied", "DENIED", "failed"),
    ],
)
def test_a_sale_of_paypal_says_what_its_webhook_says(state: str, kind: str, status: str):
    event = {"event_type": f"PAYMENT.SALE.{kind}", "resource": sale(state)}
    webhook = providers.interpret("paypal", event["event_type"], json.dumps(event).encode())  # type: ignore[arg-type]
    found = fetched("paypal", "sale:S1", sale(state))
    assert (found.facts, found.refs) == (webhook.facts, webhook.refs)
    assert Ref(RefKind.SHARED, "I-1") in found.refs
    assert fold(found).status == status
    unnamed = fetched("paypal", "sale:S1", sale(state) | {"billing_agreement_id": "I" * 300})
    assert unnamed.facts == found.facts, "what joins nothing loses nothing"
    with pytest.raises(UninterpretableError):
        fetched("paypal", "sale:S1", sale("odd"))


@pytest.mark.parametrize(("state", "expected"), [("completed", "succeeded"), ("cancelled", "canceled")])
def test_a_refund_of_a_sale_of_paypal_says_where_it_stands(state: str, expected: str):
    shown = {"id": "R1", "state": state, "amount": {"total": "4.00", "currency": "EUR"}, "sale_id": "S1"}
    found = fetched("paypal", "sale_refund:R1", shown)
    assert [(fact.key, fact.state, fact.amount, fact.parent) for fact in found.facts] == [("R1", expected, 400, "S1")]
    assert Ref(RefKind.CAPTURE, "S1") in found.refs


def test_what_an_id_may_be_of_instead():
    instead = refetch_of("paypal").instead
    assert [instead(ref) for ref in ("S1", "capture:S1", "refund:R1")] == ["sale:S1", "sale:S1", "sale_refund:R1"]
    for ref in ("sale:S1", "sale_refund:R1", "charge:A1", "dispute:D1", "PAYID-1", "a/b", ""):
        assert instead(ref) is None
    assert refetch_of("stripe").instead("pi_1") is None
    assert refetch_of("mpesa").instead("ws_CO_1") is None


def test_an_order_whose_authorization_was_voided_is_over():
    row = fold(fetched("paypal", "O1", paypal_order("COMPLETED", authorizations=[ten("A1", "VOIDED")])))
    assert row.status == "canceled"


def hold(status: str, **more: Any) -> dict[str, Any]:
    """Return Paystack's answer about a hold of 10.00 (doc-code-snippets, preauthorization/verify)."""
    data = {"id": 523, "reference": "pre1", "status": status, "amount": 1000, "currency": "ZAR", "domain": "live"}
    return {"status": True, "message": "Preauthorization retrieved", "data": {**data, "metadata": None, **more}}


OVER = {"released_at": "2026-11-02T10:00:00.000Z", "expiry_date": "2026-11-01T10:00:00.000Z"}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (hold("authorized"), "authorized"),
        (hold("capture_failed"), "authorized"),
        (hold("release_failed"), "authorized"),
        (hold("captured"), "authorized"),
        (hold("released"), "canceled"),
        (hold("released", **OVER), "expired"),
        (hold("failed"), "failed"),
    ],
)
def test_a_hold_of_paystack_is_read_by_its_reference(answer: dict[str, Any], status: str):
    found = fetched("paystack", "charge:pre1", answer)
    assert fold(found).status == status
    assert found.ask == ("pre1" if answer["data"]["status"] == "captured" else None)
    assert found.livemode is True
    reserved = {"event": "preauthorization.reserve.success", "data": answer["data"]}
    webhook = providers.interpret("paystack", reserved["event"], json.dumps(reserved).encode())
    assert Ref(RefKind.CHARGE, "pre1") in webhook.refs, "without it nothing would ask about the hold"


def test_a_hold_that_paystack_does_not_know_is_gone():
    body = json.dumps({"status": False, "message": "Preauthorization not found", "code": "not_found"}).encode()
    assert refetch_of("paystack").answer("charge:pre1", 400, body) is Gone.GONE


REFUNDS: list[tuple[str, str, Any, str, str]] = [
    ("square", "refund:r1", {"refund": {"id": "r1", "payment_id": "p1", "status": "COMPLETED",
     "amount_money": {"amount": 400, "currency": "EUR"}}}, "p1", "succeeded"),
    ("square", "refund:r1", {"refund": {"id": "r1", "payment_id": "p1", "status": "REJECTED",
     "amount_money": {"amount": 400, "currency": "EUR"}}}, "p1", "failed"),
    ("razorpay", "refund:rfnd_1", {"id": "rfnd_1", "entity": "refund", "payment_id": "pay_1", "status": "processed",
     "amount": 400, "currency": "INR"}, "pay_1", "succeeded"),
    ("razorpay", "refund:rfnd_1", {"id": "rfnd_1", "entity": "refund", "payment_id": "pay_1", "status": "pending",
     "amount": 400, "currency": "INR"}, "pay_1", "pending"),
    ("paypal", "refund:R1", ten("R1", "CANCELLED", "4.00", **UP), "C1", "canceled"),
    ("paypal", "refund:R1", ten("R1", "COMPLETED", "4.00", **UP), "C1", "succeeded"),
    *(
        ("braintree", "refund:t2", braintree_credit(status), "t1", state)
        for status, state in (
            ("authorizing", "pending"),
            ("settlement_pending", "pending"),
            ("settled", "succeeded"),
            ("settlement_declined", "failed"),
            ("settlement_failed", "failed"),
            ("processor_declined", "failed"),
            ("voided", "canceled"),
        )
    ),
    ("standard_webhooks", "refund:ref_1", {"refund_id": "ref_1", "payment_id": "pay_1", "status": "failed",
     "amount": 400, "currency": "EUR"}, "pay_1", "failed"),
    ("standard_webhooks", "refund:ref_1", {"refund_id": "ref_1", "payment_id": "pay_1", "status": "review",
     "amount": 400, "currency": "EUR"}, "pay_1", "pending"),
    ("standard_webhooks", f"refund:{POLAR}", {"items": [{"id": POLAR, "order_id": "ord_1", "status": "failed",
     "amount": 360, "tax_amount": 40, "currency": "eur"}], "pagination": {"total_count": 1}}, "ord_1", "failed"),
    ("standard_webhooks", f"refund:{POLAR}", {"items": [{"id": POLAR, "order_id": "ord_1", "status": "succeeded",
     "amount": 360, "tax_amount": 40, "currency": "eur"}], "pagination": {"total_count": 1}}, "ord_1", "succeeded"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "ref", "answer", "payment", "state"), REFUNDS)
def test_a_refund_says_where_it_stands(provider: str, ref: str, answer: Any, payment: str, state: str):
    [fact] = fetched(provider, ref, answer).facts
    assert (fact.kind, fact.key, fact.state, fact.amount) == ("refund", ref.removeprefix("refund:"), state, 400)
    assert fact.parent == payment


def disputed(provider: str, state: str) -> Any:
    """Return the API's answer about a dispute of 1000 in that state of the provider's."""
    money = {"amount": 1000, "currency": "EUR"}
    shapes: dict[str, Any] = {
        "square": {"dispute": {"id": "1", "state": state, "amount_money": money,
                               "disputed_payment": {"payment_id": "p1"}}},
        "razorpay": {"id": "disp_1", "entity": "dispute", "payment_id": "pay_1", "status": state, "phase": "chargeback",
                     "amount": 1000, "currency": "INR", "amount_deducted": 1000 if state == "lost" else 0},
        "paypal": {"dispute_id": "PP-1", "status": "RESOLVED" if state.startswith("RESOLVED") else state,
                   "dispute_life_cycle_stage": "CHARGEBACK", "dispute_outcome": {"outcome_code": state},
                   "disputed_transactions": [{"seller_transaction_id": "C1"}],
                   "dispute_amount": {"currency_code": "EUR", "value": "10.00"}},
        "checkout": {"id": "dsp_1", "status": state, "amount": 1000, "currency": "EUR", "payment": {"id": "pay_1"}},
        "paystack": {"status": True, "data": {"id": 1, "status": "resolved" if "-" not in state else state,
                     "resolution": state, "refund_amount": 1000, "currency": "NGN",
                     "transaction": {"reference": "ord1"}}},
        "standard_webhooks": {"dispute_id": "dis_1", "payment_id": "pay_1", "dispute_status": state, "amount": "1000",
                              "currency": "EUR"},
        "braintree": f"<dispute><id>d1</id><status>{state}</status><amount>10.00</amount><currency-iso-code>EUR"
                     "</currency-iso-code><transaction><id>t1</id></transaction></dispute>",
        "shopify": {"dispute": {"id": 9, "order_id": 7, "type": "chargeback", "status": state, "amount": "10.00",
                                "currency": "EUR"}},
    }  # fmt: skip
    return shapes[provider]


OPEN = {
    "square": ("dispute:1", "EVIDENCE_REQUIRED", "WON", "LOST"),
    "razorpay": ("dispute:disp_1", "open", "won", "lost"),
    "paypal": ("dispute:PP-1", "WAITING_FOR_SELLER_RESPONSE", "RESOLVED_SELLER_FAVOUR", "RESOLVED_BUYER_FAVOUR"),
    "checkout": ("dispute:dsp_1", "evidence_required", "won", "lost"),
    "paystack": ("dispute:1", "awaiting-merchant-feedback", "declined", None),
    "standard_webhooks": ("dispute:dis_1", "dispute_opened", "dispute_won", "dispute_lost"),
    "braintree": ("dispute:d1", "open", "won", "lost"),
    "shopify": ("dispute:9", "needs_response", "won", "lost"),
}


@pytest.mark.parametrize("provider", OPEN)
def test_a_dispute_says_where_it_stands(provider: str):
    ref, *states = OPEN[provider]
    for state, expected in zip(states, ("open", "won", "lost"), strict=True):
        if state is not None:
            found = fetched(provider, ref, disputed(provider, state))
            assert fold(found).dispute_status == expected
            assert {one.kind for one in found.refs} & {RefKind.PAYMENT, RefKind.CAPTURE}


DISPUTE_STATES = {
    "braintree": {  # braintree_python, Dispute.Status
        "open": "open", "disputed": "under_review", "under_review": "under_review", "accepted": "lost",
        "auto_accepted": "lost", "expired": "lost", "lost": "lost", "won": "won",
    },
    "razorpay": {  # api/disputes/entity, `status`
        "open": "open", "under_review": "under_review", "won": "won", "lost": "lost", "closed": "prevented",
    },
    "square": {  # DisputeState
        "INQUIRY_EVIDENCE_REQUIRED": "inquiry", "INQUIRY_PROCESSING": "inquiry", "INQUIRY_CLOSED": "prevented",
        "EVIDENCE_REQUIRED": "open", "PROCESSING": "under_review", "WON": "won", "LOST": "lost", "ACCEPTED": "lost",
    },
    "shopify": {  # ShopifyPaymentsDispute, `status`
        "needs_response": "open", "under_review": "under_review", "charge_refunded": "prevented", "accepted": "lost",
        "won": "won", "lost": "lost",
    },
}  # fmt: skip
"""Every state that a provider's dispute may be found in: one that can't be read leaves its payment as it was."""


@pytest.mark.parametrize(
    ("provider", "state", "expected"),
    [(provider, *one) for provider, states in DISPUTE_STATES.items() for one in states.items()],
)
def test_a_dispute_is_read_again_in_every_state_that_it_may_have(provider: str, state: str, expected: str):
    row = fold(fetched(provider, OPEN[provider][0], disputed(provider, state)))
    assert row.dispute_status == expected


def test_a_dispute_that_paystack_resolved_against_the_merchant_took_its_sum():
    body = disputed("paystack", "awaiting-merchant-feedback")
    body["data"] |= {"status": "resolved", "resolution": "merchant-accepted"}
    row = fold(fetched("paystack", "ord1", paystack("success")), fetched("paystack", "dispute:1", body))
    assert (row.dispute_status, row.captured, row.disputed) == ("lost", 1000, 1000)


@pytest.mark.parametrize(
    ("provider", "ref", "answer"),
    [
        ("square", "p1", square("NEW")),
        ("razorpay", "dispute:disp_1", disputed("razorpay", "odd")),
        ("paypal", "O1", paypal_order("NEW")),
        ("paypal", "capture:C1", ten("C1", "NEW")),
        ("checkout", "dispute:dsp_1", disputed("checkout", "odd")),
        ("paystack", "ord1", paystack("odd")),
        ("standard_webhooks", "pay_1", dodo("odd")),
        ("braintree", "dispute:d1", disputed("braintree", "odd")),
        ("shopify", "dispute:9", disputed("shopify", "odd")),
    ],
)
def test_words_that_a_provider_does_not_have_are_undecodable(provider: str, ref: str, answer: Any):
    with pytest.raises(UninterpretableError) as error:
        fetched(provider, ref, answer)
    assert error.value.reason == "undecodable"


# --- the answers and the webhooks are one ------------------------------------------------------------------------


def test_answers_say_the_facts_of_the_webhooks():
    money = {"amount": 1000, "currency": "EUR"}
    payment = {"id": "p1", "status": "COMPLETED", "amount_money": money, "updated_at": "2026-11-01T10:00:00Z"}
    event = {"type": "payment.updated", "merchant_id": "M1", "data": {"object": {"payment": payment}}}
    webhook = providers.interpret("square", "payment.updated", json.dumps(event).encode())
    assert fetched("square", "p1", {"payment": payment}).facts == webhook.facts
    sale = {"id": 1, "order_id": 7, "kind": "sale", "status": "success", "amount": "10.00", "currency": "EUR"}
    reported = providers.interpret("shopify", "order_transactions/create", json.dumps(sale).encode())
    assert fetched("shopify", "transactions:7", {"transactions": [sale]}).facts == reported.facts


def stripe_object(shown: str, code: str, amount: int) -> dict[str, Any]:
    """Return an object of Stripe's with that figure, as its API shows it."""
    of_intent = {"payment_intent": "pi_1", "charge": "ch_1"}
    moves = [{"id": "txn_1", "amount": -amount, "currency": code}]
    found: dict[str, dict[str, Any]] = {
        "payment_intent": {"id": "pi_1", "status": "succeeded", "amount_received": amount},
        "charge": {"id": "ch_1", "status": "succeeded", "captured": True, "amount_captured": amount,
                   "amount_refunded": amount},
        "refund": {"id": "re_1", "status": "succeeded", **of_intent},
        "dispute": {"id": "du_1", "status": "lost", "balance_transactions": moves, **of_intent},
        "checkout.session": {"id": "cs_1", "status": "complete", "payment_status": "paid", "amount_total": amount,
                             "payment_intent": "pi_1"},
    }  # fmt: skip
    return {"object": shown, "amount": amount, "currency": code} | found[shown]


def stripe_intent_with_charge(code: str, amount: int) -> dict[str, Any]:
    return stripe_object("payment_intent", code, amount) | {"latest_charge": stripe_object("charge", code, amount)}


def stripe_disputes(code: str, amount: int) -> dict[str, Any]:
    return {"object": "list", "data": [stripe_object("dispute", code, amount)]}


def paystack_thing(code: str, amount: int, **more: Any) -> dict[str, Any]:
    data = {"reference": "ord1", "status": "success", "amount": amount, "currency": code, "domain": "live", **more}
    return {"status": True, "message": "Verification successful", "data": data}


IN_OTHER_UNITS: dict[str, dict[str, int]] = {
    "stripe": {"eur": 1000, "jpy": 1000, "isk": 100_000, "ugx": 100_000, "mga": 10},
    "checkout": {"EUR": 1000, "JPY": 1000, "CLP": 100_000},
    "paystack": {"NGN": 1000, "XOF": 100_000, "RWF": 100_000},
    "standard_webhooks": {"eur": 1000, "isk": 100_000, "ugx": 100_000, "mga": 10},
}
"""How each provider writes 1000 minor units of ISO 4217, where the two differ and where they don't."""
SHOWN: list[tuple[str, str, Callable[[str, int], Any]]] = [
    ("stripe", "pi_1", partial(stripe_object, "payment_intent")),
    ("stripe", "pi_1", stripe_intent_with_charge),
    ("stripe", "ch_1", partial(stripe_object, "charge")),
    ("stripe", "refund:re_1", partial(stripe_object, "refund")),
    ("stripe", "dispute:du_1", partial(stripe_object, "dispute")),
    ("stripe", "disputes:pi_1", stripe_disputes),
    ("stripe", "session:cs_1", partial(stripe_object, "checkout.session")),
    (
        "checkout",
        "pay_1",
        lambda code, amount: (
            checkout("Refunded", authorized=amount, captured=amount, refunded=amount)
            | {"amount": amount, "currency": code}
        ),
    ),
    (
        "checkout",
        "dispute:dsp_1",
        lambda code, amount: disputed("checkout", "lost") | {"amount": amount, "currency": code},
    ),
    ("paystack", "ord1", paystack_thing),
    (
        "paystack",
        "dispute:1",
        lambda code, amount: {
            "status": True,
            "data": disputed("paystack", "merchant-accepted")["data"]
            | {"status": "resolved", "refund_amount": amount, "currency": code},
        },
    ),
    (
        "standard_webhooks",
        f"refund:{POLAR}",
        lambda code, amount: {
            "items": [{"id": POLAR, "order_id": "ord_1", "status": "succeeded", "amount": amount, "currency": code}]
        },
    ),
]


@pytest.mark.parametrize(("provider", "ref", "answer_in"), SHOWN, ids=range(len(SHOWN)))
def test_an_answer_is_in_the_units_of_iso_4217_too(
    provider: str, ref: str, answer_in: Callable[[str, int], Any]
) -> None:
    """An answer stands beside webhooks that are: the larger figure would win, a hundred times too much."""
    for code, amount in IN_OTHER_UNITS[provider].items():
        meant = fetched(provider, ref, answer_in(code, amount))
        amounts = {fact.amount for fact in meant.facts if fact.amount is not None}
        assert (meant.currency, meant.amount, amounts) == (code.upper(), 1000, {1000})


def test_checkout_balances_count_what_no_event_reported_and_nothing_twice():
    captured = {"type": "payment_captured", "data": {"id": "pay_1", "action_id": "act_1", "amount": 400,
                "currency": "EUR"}}  # fmt: skip
    webhook = providers.interpret("checkout", "payment_captured", json.dumps(captured).encode())
    answer = fetched("checkout", "pay_1", checkout("Partially Captured", authorized=1000, captured=700))
    assert fold(webhook).captured == 400
    assert fold(webhook, answer).captured == fold(answer, webhook).captured == 700


def test_a_refund_of_polar_is_read_as_its_webhook_and_its_key_never_goes_to_dodo():
    refund = {"id": POLAR, "order_id": "ord_1", "status": "succeeded", "amount": 400, "currency": "eur"}
    event = json.dumps({"type": "refund.updated", "data": refund}).encode()
    webhook = providers.interpret("standard_webhooks", "refund.updated", event)
    refetch = refetch_of("standard_webhooks")
    assert fetched("standard_webhooks", f"refund:{POLAR}", {"items": [refund]}).facts == webhook.facts
    assert not fetched("standard_webhooks", f"refund:{POLAR}", {"items": []}).facts
    other = json.dumps({"items": [refund | {"id": POLAR.replace("3", "4")}]}).encode()
    assert refetch.answer(f"refund:{POLAR}", 200, other) is None
    for address in (refetch.base_url, "https://test.dodopayments.com"):
        credentials = Credentials(address, "key", "", "")
        assert refetch.request(f"refund:{POLAR}", credentials, NOW) is None
        assert refetch.request("refund:ref_1", credentials, NOW)


def test_an_order_of_a_shop_makes_us_ask_for_its_transactions():
    assert fetched("shopify", "7", shopify_order("pending")).ask == "transactions:7"
    refetch = refetch_of("shopify")
    mixed = shopify_transactions((1, "sale", "success", None))
    mixed["transactions"][0]["order_id"] = 8
    assert refetch.answer("transactions:7", 200, json.dumps(mixed).encode()) is None


def test_a_reference_that_paystack_does_not_know_is_gone():
    body = json.dumps({"status": False, "message": "not found", "code": "transaction_not_found"}).encode()
    answer = refetch_of("paystack").answer
    assert answer("ord1", 400, body) is Gone.GONE
    assert answer("ord1", 500, body) is None
    assert answer("ord1", 400, b'{"code": "invalid_params"}') is None


def test_every_status_of_a_dispute_that_checkout_publishes_is_read():
    """DisputeStatus of checkout-sdk-java 7.16."""
    for status in ("arb_evidence_submitted", "arbitration_under_review", "evidence_under_review"):
        found = fetched("checkout", "dispute:dsp_1", disputed("checkout", status))
        assert fold(found).dispute_status == "under_review"


def test_an_answer_names_the_payment_that_it_is_of():
    body = json.dumps(disputed("square", "WON")).encode()
    assert refetch_of("square").answer("dispute:1", 200, body) == Fetched("dispute", "p1")


def test_a_kind_that_an_api_does_not_have_is_undecodable():
    api = ObjectsApi((ApiObject("thing", re.compile("[a-z]"), "/{id}", lambda _one: Meaning()),), lambda _who: {})
    assert api.interpret("refetch.thing", b'{"id": "a"}') == Meaning()
    for kind, body in (("refetch.other", b"{}"), ("refetch.thing", b"[]"), ("refetch.thing", b"")):
        with pytest.raises(UninterpretableError):
            api.interpret(kind, body)


@pytest.mark.parametrize("provider", sorted(name for name in providers.paying() if name != "adyen"))
def test_every_provider_that_can_be_asked_has_a_schedule(provider: str):
    """Adyen has no API that shows a payment (help.adyen.com), and is named for it."""
    refetch = refetch_of(provider)
    assert refetch.watches
    for watch in refetch.watches:
        assert 0 < watch.after <= watch.until
        assert watch.every > 0
        assert watch.source
        asked = [ref for name, ref, *_ in ASKED if name == provider]
        assert not asked or watch.child is None or any(ref.startswith(f"{watch.child}:") for ref in asked)


def braintree_dispute() -> str:
    body: str = disputed("braintree", "won")
    return body


ORDER = {"supplementary_data": {"related_ids": {"order_id": "O1"}}}
KEYED: list[tuple[str, str, Any, str]] = [
    *((name, ref, answer, payment) for name, ref, answer, payment, _ in REFUNDS if "order_id" not in str(answer)
      and name != "paypal"),
    ("paypal", "capture:C1", ten("C1", "COMPLETED", **ORDER), "O1"),
    ("paypal", "charge:A1", ten("A1", "CREATED", **ORDER), "O1"),
    ("paypal", "refund:R1", ten("R1", "COMPLETED", **UP, **ORDER), "O1"),
    ("paypal", "refund:R1", ten("R1", "COMPLETED", **UP), "R1"),
    ("square", "dispute:1", disputed("square", "WON"), "p1"),
    ("razorpay", "dispute:disp_1", disputed("razorpay", "won"), "pay_1"),
    ("checkout", "dispute:dsp_1", disputed("checkout", "won"), "pay_1"),
    ("paystack", "dispute:1", disputed("paystack", "declined"), "ord1"),
    ("standard_webhooks", "dispute:dis_1", disputed("standard_webhooks", "dispute_won"), "pay_1"),
    ("braintree", "dispute:d1", braintree_dispute(), "t1"),
    ("shopify", "dispute:9", disputed("shopify", "won"), "7"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "ref", "answer", "payment"), KEYED)
def test_an_answer_about_a_child_is_keyed_by_its_payment(provider: str, ref: str, answer: Any, payment: str):
    """Its record then goes where the payment's own records go, and one consumer has both."""
    body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
    found = refetch_of(provider).answer(ref, 200, body)
    assert isinstance(found, Fetched)
    assert found.ref == payment


@pytest.mark.parametrize(
    ("provider", "kind", "event", "account"),
    [
        ("square", "payment.updated", {"merchant_id": "M1", "data": {"object": square("COMPLETED")}}, "M1"),
        ("razorpay", "payment.captured", {"account_id": "acc_1", "payload": {"payment": {"entity":
         razorpay("captured")}}}, "acc_1"),
        ("checkout", "payment_approved", {"data": {"entity_id": "ent_1", "id": "pay_1", "amount": 1000,
         "currency": "EUR"}}, "ent_1"),
    ],
)  # fmt: skip
def test_an_event_is_of_the_merchant_account_that_it_names(provider: str, kind: str, event: Any, account: str):
    named = "event" if provider == "razorpay" else "type"
    found = providers.interpret(provider, kind, json.dumps({named: kind, **event}).encode())
    assert found.merchant_account == account


@pytest.mark.parametrize("status", ["settlement_declined", "settlement_failed"])
def test_a_settlement_that_did_not_happen_takes_the_money_back(status: str):
    taken, undone = (fetched("braintree", "t1", braintree(one)) for one in ("submitted_for_settlement", status))
    assert fold(taken).captured == 1000
    assert fold(taken, undone).captured == fold(undone, taken).captured == 0
