"""Whatever comes in: `verify` raises SignatureRejected and nothing else, `interpret` UninterpretableError."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from discovery import NAMES, cases, events_of, verify
from hypothesis import given
from hypothesis import strategies as st

import providers
from providers.adyen import meaning as adyen
from providers.adyen.items import Item
from providers.braintree import meaning as braintree
from providers.checkout import meaning as checkout
from providers.core.contract import REASONS
from providers.core.reading import storable
from providers.flutterwave import meaning as flutterwave
from providers.gocardless import meaning as gocardless
from providers.mollie import meaning as mollie
from providers.mpesa import meaning as mpesa
from providers.paypal import meaning as paypal
from providers.paystack import meaning as paystack
from providers.razorpay import meaning as razorpay
from providers.shopify import meaning as shopify
from providers.square import meaning as square
from providers.standard_webhooks import meaning as standard_webhooks
from providers.stripe import meaning as stripe
from providers.stripe.things import Thing
from schemas.dead_letter import Reason
from schemas.errors import SignatureRejected, UninterpretableError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

KINDS: dict[str, list[str]] = {
    "adyen": [*adyen._ON_SUCCESS, "REPORT_AVAILABLE", "merchant.created", "NEW"],
    "braintree": [*braintree._READERS, "check", "transaction_new"],
    "checkout": [*checkout._PAYMENT_FACTS, *checkout._DISPUTE_FACTS, "card_verified", "payment_new"],
    "flutterwave": [*flutterwave._READERS, "transfer.disburse", "charge.new"],
    "github": ["ping"],
    "gocardless": [*gocardless._PAYMENT_FACTS, *gocardless._REFUND_STATES, "mandates.created", "payments.new"],
    "mollie": [*mollie._READERS, "profile.blocked", "payment.new"],
    "mpesa": [*mpesa._CONFIRMATIONS, "stkCallback", "Result", "Other"],
    "paypal": [*paypal._READERS, "BILLING.PLAN.CREATED", "PAYMENT.SALE.NEW"],
    "paystack": [*paystack._READERS, "transfer.success", "charge.new"],
    "razorpay": [*razorpay._READERS, "settlement.processed", "payment.new"],
    "shopify": [*shopify._READERS, "products/create", "refunds/new"],
    "square": [*square._READERS, "customer.created", "payment.new"],
    "standard_webhooks": [*standard_webhooks._READERS, "invoice.paid", "payment.new"],
    "stripe": [*stripe._READERS, "customer.created", "charge.new", "v1.payment_intent.succeeded", "v1.charge.new"],
    "twilio": ["sent", "delivered"],
}
"""Kinds of a provider beside those of its vectors: all that it reads, one of no payment, and an unknown one."""
NESTS: dict[str, tuple[str, ...]] = {
    "checkout": ("data",),
    "flutterwave": ("data",),
    "gocardless": ("links",),
    "mollie": ("_embedded", "entity"),
    "paypal": ("resource",),
    "paystack": ("data",),
    "standard_webhooks": ("data",),
    "stripe": ("data", "object"),
}
"""Under which names a body keeps the object that it is about; the object is the whole body where none stands here."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["EUR", "usd", "true", "false", "succeeded", "needs_response", "x" * 300, "\x00", 1000]),
    st.sampled_from(
        ["success", "paid", "COMPLETED", "sale", "refund", "10.00", "0", "tr_1", "https://x/captures/C1", "up"]
    ),
)
FIELDS = st.sampled_from(
    sorted(
        {*Thing.__struct_fields__, *Item.__struct_encode_fields__}
        | {*standard_webhooks._Data.__struct_fields__, "value", "data", "object", "order_id", "payload", "entity"}
        | {"reference", "action_id", "payment", "refund", "dispute", "kind", "transactions", "payments", "total_money"}
        | {"currency_code", "amount_refunded", "charge_id", "links", "purchase_units", "captures", "dispute_amount"}
        | {"rel", "href", "balances", "phase", "amount_money", "total_price", "paymentId", "Body", "stkCallback"}
        | {"ResultCode", "CheckoutRequestID", "CallbackMetadata", "Item", "Name", "Value", "TransID", "TransAmount"}
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=8), max_leaves=20
)


def _interpret(provider: str, kind: str, body: bytes) -> None:
    try:
        meaning = providers.interpret(provider, kind, body)
    except UninterpretableError as error:
        assert error.reason in (Reason.UNDECODABLE, Reason.UNKNOWN_KIND)  # noqa: PT017 - most bodies pass or not
        return
    assert all(storable(ref.ref) for ref in meaning.refs)
    assert all(storable(fact.key) for fact in meaning.facts)
    assert meaning.refs or not meaning.facts


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data(), body=st.binary())
def test_interpret_any_bytes(provider: str, data: st.DataObject, body: bytes) -> None:
    _interpret(provider, _kind(data, provider), body)


def _kind(data: st.DataObject, provider: str) -> str:
    return data.draw(st.sampled_from(_kinds(provider)))


def _kinds(provider: str) -> list[str]:
    return [*KINDS.get(provider, ()), *sorted({one.kind or "" for one in events_of(provider)} | {"", "new.kind"})]


def _wrapped(provider: str, kind: str, thing: Any) -> Any:
    """Put an object where the provider's bodies have it, under the kind that they tell."""
    for name in reversed(NESTS.get(provider, ())):
        thing = {name: thing}
    resource, _, action = kind.partition(".")
    reported = {"type": kind, "event": kind, "event_type": kind, "eventCode": kind, "TransactionType": kind}
    if provider in ("flutterwave", "mollie"):
        del reported["event"]
    return {**thing, **reported, "resource_type": resource, "action": action} if isinstance(thing, dict) else thing


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data(), thing=VALUES)
def test_interpret_any_json(provider: str, data: st.DataObject, thing: Any) -> None:
    kind = _kind(data, provider)
    _interpret(provider, kind, json.dumps(_wrapped(provider, kind, thing)).encode())


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data())
def test_interpret_a_genuine_body_with_one_value_changed(provider: str, data: st.DataObject) -> None:
    notification = data.draw(st.sampled_from(events_of(provider)))
    whole = _json(notification.body)
    if isinstance(whole, dict):
        place, name = data.draw(st.sampled_from(list(_places(whole))))
        place[name] = data.draw(VALUES)
        body = json.dumps(whole).encode()
    else:
        body = _mutated(data, notification.body)
    _interpret(provider, notification.kind or "", body)


def _json(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(body)
    return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a JSON value: the object or list, and the name or index in it."""
    for name, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, name
        if isinstance(inner, dict | list):
            yield from _places(inner)


@pytest.mark.parametrize("text", ["", "x" * 300, "\x00", "1e5", "0x10", "-1", "1000000000000000.01", "&lt;"])
@pytest.mark.parametrize("name", ["id", "type", "amount", "currency-iso-code", "order-id", "refunded-transaction-id"])
@pytest.mark.parametrize("kind", KINDS["braintree"])
def test_interpret_any_document(kind: str, name: str, text: str) -> None:
    fields = {"id": "t1", "type": "sale", "amount": "1.00", "currency-iso-code": "EUR", "order-id": "O", name: text}
    inside = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
    subject = f"<transaction>{inside}</transaction><dispute>{inside}<transaction><id>t1</id></transaction></dispute>"
    document = f"<notification><kind>{kind}</kind><subject>{subject}</subject></notification>"
    _interpret("braintree", kind, urlencode({"bt_payload": base64.b64encode(document.encode())}).encode())


def _mutated(data: st.DataObject, whole: bytes) -> bytes:
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 5)))
    return whole[:start] + data.draw(st.binary(max_size=5)) + whole[end:]


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data())
def test_verify_mutated_requests(provider: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(cases(provider)))
    body = _mutated(data, base64.b64decode(case["body_base64"]))
    headers = {
        name: _mutated(data, value.encode("latin-1")).decode("latin-1") if isinstance(value, str) else value
        for name, value in case["headers"].items()
        if data.draw(st.booleans())
    }
    with contextlib.suppress(SignatureRejected):
        for one in verify(provider, case | {"headers": headers}, body):
            assert one.event_id is None or storable(one.event_id)


@pytest.mark.parametrize("provider", NAMES)
@given(
    headers=st.dictionaries(
        st.sampled_from(["stripe-signature", "hmacsignature", "webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=30) | st.lists(st.text(max_size=30), max_size=3),
    ),
    body=st.binary(),
    secrets=st.lists(st.text(max_size=20), max_size=3),
    now=st.floats(),
)
def test_verify_anything_is_refused(provider: str, headers: Any, body: bytes, secrets: list[str], now: float) -> None:
    with pytest.raises(SignatureRejected) as refused:
        providers.verify(provider, headers=headers, body=body, url="", secrets=secrets, now=now)
    assert refused.value.reason in REASONS


@pytest.mark.parametrize("provider", NAMES)
def test_a_deep_body_is_uninterpretable(provider: str) -> None:
    if provider == "twilio":
        pytest.skip("its bodies are forms; a receipt of any other body says nothing")
    for kind in _kinds(provider):
        with pytest.raises(UninterpretableError):
            providers.interpret(provider, kind, b'{"type":' + b"[" * 100_000)
