"""Shopify: a keyed hash over the raw body; topic and event id stand in unsigned headers.

Source: Shopify's webhook documentation. There is no official vector; ShopifyAPI for Python verifies OAuth alone.

Signed: the raw body. `X-Shopify-Hmac-SHA256: <base64 HMAC-SHA256>`, key = the app's client secret; after a rotation
Shopify goes on signing with the old one for up to an hour, so both are live.

Identity: `X-Shopify-Event-Id` and `X-Shopify-Topic`, both unsigned: a replay under a fresh event id verifies, so
dedupe has to look at the body too. The payment is `order_id`, else (of an order itself) `id`. These ids go beyond
2**53 and are read as exact whole numbers.

Meaning: a payment is an order, and its transactions are the children, keyed by their own ids; a refund's transactions
come in `refunds/create` and in `order_transactions/create` under the same ones. Amounts are major units, as text. The
topic is unsigned, so a body must have the shape of the topic that it came under, and `orders/paid` its paid status.

`orders/paid` says that the whole order is paid and lists no transactions. To count it beside them would count money
twice, so it says what is reserved and that it is taken at once (`MODE` automatic): where transactions are told, those
say what was taken, in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.meaning import need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    capture_pending,
    captured,
    dispute,
    iso_seconds,
    major_units,
    mode,
    need_object,
    need_state,
    read_event,
    refund,
    said_nothing,
    terms,
    void,
)
from providers.core.proof import hmac_base64
from providers.core.reading import read_json, text_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Shopify-Hmac-SHA256` over the raw body; return the one event."""
    check_body_mac(request, "x-shopify-hmac-sha256", hmac_base64)
    event_id, kind = request.header("x-shopify-event-id"), request.header("x-shopify-topic")
    subject = read_json(request.body)
    return [Notification(event_id, kind, text_at(subject, "order_id") or text_at(subject, "id"), request.body)]


_Object = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; topics outside orders' payments, refunds and disputes say nothing."""
    subject = read_event(body)
    if not kind:
        raise undecodable("the event names no topic")
    reader = _READERS.get(kind)
    return reader(subject) if reader else said_nothing(kind, ("order_transactions/", "refunds/", "disputes/"))


def _money(thing: _Object, name: str) -> tuple[int, str]:
    currency = need_currency(thing.get("currency"), "currency")
    return major_units(thing.get(name), currency, name), currency


def _order(facts_of: Callable[[_Object, str, int], Facts]) -> Callable[[_Object], Meaning]:
    def read(order: _Object) -> Meaning:
        key = need_id(order.get("id"), "id")
        amount, currency = _money(order, "total_price")
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key)),
            facts=(terms(key, amount), *facts_of(order, key, amount)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=iso_seconds(order.get("updated_at")),
        )

    return read


def _paid(order: _Object, key: str, amount: int) -> Facts:
    if order.get("financial_status") not in ("paid", "partially_refunded", "refunded"):
        raise undecodable("financial_status of a paid order is another one")
    return (authorized(key, amount), mode(key, "automatic"))


def _transaction(said: _Object) -> Meaning:
    """Read one transaction of an order."""
    key = need_id(said.get("order_id"), "order_id")
    own = need_id(said.get("id"), "id")
    kind, status = said.get("kind"), need_state(_STATUSES, said.get("status"), "status")
    if not isinstance(kind, str) or kind not in _TRANSACTION_FACTS:
        raise undecodable("kind is none of a transaction")
    amount, currency = _money(said, "amount")
    facts = _TRANSACTION_FACTS[kind](key, own, status, amount)
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (_CHILD_REFS.get(kind, RefKind.CHARGE), own)),
        facts=facts,
        opens=bool(facts) and kind in ("authorization", "sale", "capture"),
        currency=currency,
        amount=amount,
        provider_ref=key,
        occurred_at=iso_seconds(said.get("processed_at")),
    )


_CHILD_REFS: Final = {"capture": RefKind.CAPTURE, "sale": RefKind.CAPTURE, "refund": RefKind.REFUND}

_STATUSES: Final = {"success": "succeeded", "pending": "pending", "failure": "failed", "error": "failed"}


def _authorization(key: str, own: str, status: str, amount: int) -> Facts:
    if status == "pending":
        return (attempt(own, "processing", amount=amount, payment=key),)
    if status == "failed":
        return (attempt(own, "failed", amount=amount, payment=key),)
    return (authorized(key, amount), attempt(own, "succeeded", payment=key))


def _sale(key: str, own: str, status: str, amount: int) -> Facts:
    if status != "succeeded":
        return _authorization(key, own, status, amount)
    return (captured(own, amount, authorization=key),)


def _capture(key: str, own: str, status: str, amount: int) -> Facts:
    """Read a capture; one that failed took nothing, and the next one is a transaction of its own."""
    if status == "failed":
        return ()
    if status == "pending":
        return (capture_pending(own, amount, authorization=key),)
    return (captured(own, amount, authorization=key),)


def _void(key: str, _own: str, status: str, _amount: int) -> Facts:
    return (void(key, "canceled"),) if status == "succeeded" else ()


_TRANSACTION_FACTS: Final[dict[str, Callable[[str, str, str, int], Facts]]] = {
    "authorization": _authorization,
    "sale": _sale,
    "capture": _capture,
    "void": _void,
    "refund": lambda key, own, status, amount: (refund(own, status, amount, payment=key),),
    "change": lambda _key, _own, _status, _amount: (),  # coins handed back at a till
}


def _refund(said: _Object) -> Meaning:
    """Read a refund: the transactions of kind refund in it; one that only takes goods back has none."""
    key = need_id(said.get("order_id"), "order_id")
    listed = said.get("transactions")
    if not isinstance(listed, list):
        raise undecodable("transactions is no list")
    meanings = [_transaction(need_object(one, "transactions")) for one in listed if _gives_back(one)]
    if any(meaning.provider_ref != key for meaning in meanings):
        raise undecodable("a transaction is of another order")
    currencies = {meaning.currency for meaning in meanings}
    if len(currencies) > 1:
        raise undecodable("transactions are in several currencies")
    return Meaning(
        refs=tuple(dict.fromkeys((*refs_of((RefKind.PAYMENT, key)), *(ref for one in meanings for ref in one.refs)))),
        facts=tuple(fact for meaning in meanings for fact in meaning.facts),
        currency=currencies.pop() if currencies else None,
        amount=sum(meaning.amount or 0 for meaning in meanings) if meanings else None,
        provider_ref=key,
        occurred_at=iso_seconds(said.get("processed_at")),
    )


def _gives_back(transaction: Any) -> bool:
    return not isinstance(transaction, dict) or transaction.get("kind") == "refund"


def _dispute(said: _Object) -> Meaning:
    """Read a dispute of Shopify Payments; its events do not tell whether money moved."""
    own, key = need_id(said.get("id"), "id"), need_id(said.get("order_id"), "order_id")
    amount, currency = _money(said, "amount")
    state = need_state(_DISPUTE_STATES, said.get("status"), "status")
    asks = said.get("type") == "inquiry" and state in ("open", "under_review")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.DISPUTE, own)),
        facts=(dispute(own, "inquiry" if asks else state, payment=key),),
        currency=currency,
        amount=amount,
        provider_ref=key,
    )


_DISPUTE_STATES: Final = {
    "needs_response": "open",
    "under_review": "under_review",
    "charge_refunded": "prevented",
    "accepted": "lost",
    "lost": "lost",
    "won": "won",
}

_READERS: Final[dict[str, Callable[[_Object], Meaning]]] = {
    "orders/create": _order(lambda _order, key, _amount: (attempt(key, "created"),)),
    "orders/paid": _order(_paid),
    "order_transactions/create": _transaction,
    "refunds/create": _refund,
    **dict.fromkeys(("disputes/create", "disputes/update"), _dispute),
}

PROVIDER: Final = Provider("shopify", verify, interpret, event_id_signed=False)
