"""What Shopify's topics mean: an order is a payment, and its transactions are its children.

Transactions are keyed by their own ids; a capture and a void name their authorization (`parent_id`), a sale is
authorization and capture in one. A refund's transactions come in `refunds/create` and in `order_transactions/create`
under the same ids. Amounts are major units, as text, in `currency`; an order shows its own in the shop's currency and
in the customer's (`.._set.presentment_money`), which is that of its transactions. The topic is unsigned, so a body must
have the shape of the topic that it came under.

What an order asks for may be lowered by an edit: `current_total_price`, in the version of `updated_at`; what was
refunded is taken off it too, and is added again. That an order is paid says this much was taken in all, and lists no
transactions: it counts what no transaction tells. `test` is the mode. No signed field names the shop.

A chargeback takes its amount at once and a won one gives it back; an inquiry takes nothing
(help.shopify.com, "The chargeback process").
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from providers.core.meaning import maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    amount_if_given,
    at_stage,
    attempt,
    authorized,
    capture_pending,
    captured,
    captured_in_all,
    dispute,
    dispute_funds,
    ended,
    if_given,
    iso_seconds,
    major_units,
    micros,
    need_state,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
    void,
)
from providers.core.reading import value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


_Object = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; topics outside orders' payments, refunds and disputes say nothing."""
    subject = read_event(body)
    if not kind:
        raise undecodable("the event names no topic")
    reader = _READERS.get(kind)
    return summed(reader(subject)) if reader else unread_kind(kind, ("order_transactions/", "refunds/", "disputes/"))


def _money(thing: _Object, name: str) -> tuple[int, str | None]:
    amounts, code = thing.get(name), thing.get("currency")

    def read() -> tuple[int, str]:
        currency = need_currency(code, "currency")
        return major_units(amounts, currency, name), currency

    return if_given(read, amounts, code)


def _mode(thing: _Object) -> bool | None:
    """Return whether an order or a transaction is live, or None where it does not tell."""
    test = thing.get("test")
    return not test if isinstance(test, bool) else None


# --- orders ------------------------------------------------------------------------------------------------------


_PAID: Final = ("paid", "partially_refunded", "refunded")
_OVER: Final = {"voided": "canceled", "expired": "expired"}
"""How an order ends all of whose payments were voided, or whose authorization ran out, by its `financial_status`."""


def _order(order: _Object) -> Meaning:
    """Read an order: what it asks for, whether it is paid in full, and whether it was canceled, voided or ran out.

    Each topic's body is the order as it stands, and the topic is unsigned: the body alone says which it is.
    """
    key = need_id(order.get("id"), "id")
    amount, currency = _total(order)
    seconds = iso_seconds(order.get("updated_at"))
    canceled = _is_canceled(order)
    if currency is None and "financial_status" not in order:
        raise undecodable(f"{key} is no order: it has neither a total nor a financial_status")
    facts = [terms(key, amount, version=0 if canceled else micros(seconds)), attempt(key, "created")]
    if order.get("financial_status") in _PAID and not canceled:
        facts.append(captured_in_all(key, amount))
    if over := _OVER.get("voided" if canceled else str(order.get("financial_status"))):
        facts.append(ended(key, over))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key)),
        facts=tuple(facts),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
        livemode=_mode(order),
        occurred_at=seconds,
    )


def _is_canceled(order: _Object) -> bool:
    """Tell whether an order was canceled; only a time says so."""
    return isinstance(order.get("cancelled_at"), str)


def _total(order: _Object) -> tuple[int, str | None]:
    """Return what an order asks for, after edits and before refunds, in the currency of its transactions.

    A canceled order's current total is what is left of it, so it shows the total as it was.
    """
    current = order.get("current_total_price") is not None and not _is_canceled(order)
    name = "current_total_price" if current else "total_price"
    shown = value_at(order, f"{name}_set", "presentment_money")
    abroad = order.get("presentment_currency") not in (None, order.get("currency")) and isinstance(shown, dict)
    total = (
        {"currency": value_at(shown, "currency_code") or value_at(shown, "currency"), name: shown["amount"]}
        if (abroad and "amount" in shown)
        else order
    )
    amount, currency = _money(total, name)
    if currency is None:
        return amount, None
    return max(amount, min(amount + _given_back(order, currency), _before(order, currency, abroad=abroad))), currency


def _before(order: _Object, currency: str, *, abroad: bool) -> int:
    """Return the total before edits and refunds, which bounds what an order asks for after them; 0 if unknown."""
    shown = value_at(order, "total_price_set", "presentment_money", "amount") if abroad else order.get("total_price")
    return amount_if_given(lambda: major_units(shown, currency, "total_price"), shown) or 0


def _given_back(order: _Object, currency: str) -> int:
    """Return what the refunds in an order gave back."""
    refunds = [one for one in _listed(order, "refunds") if isinstance(one, dict)]
    given = [one for refund in refunds for one in _listed(refund, "transactions") if isinstance(one, dict)]
    amounts = [
        one.get("amount")
        for one in given
        if (one.get("kind"), one.get("status")) == ("refund", "success") and one.get("currency") in (None, currency)
    ]
    return sum(amount_if_given(partial(major_units, one, currency, "refunds.amount"), one) or 0 for one in amounts)


def _listed(thing: _Object, name: str) -> list[Any]:
    listed = thing.get(name)
    return listed if isinstance(listed, list) else []


# --- transactions ------------------------------------------------------------------------------------------------


def _transaction(child: _Object) -> Meaning:
    """Read one transaction of an order."""
    key = need_id(child.get("order_id"), "order_id")
    own = need_id(child.get("id"), "id")
    kind, status = child.get("kind"), need_state(_STATUSES, child.get("status"), "status")
    if not isinstance(kind, str) or kind not in _TRANSACTION_FACTS:
        raise undecodable("kind is none of a transaction")
    amount, currency = _money(child, "amount")
    facts = _TRANSACTION_FACTS[kind](_Child(key, own, maybe_id(child.get("parent_id"), "parent_id"), status, amount))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (_CHILD_REFS.get(kind, RefKind.CHARGE), own)),
        facts=facts,
        opens=bool(facts) and kind in _OPENING,
        currency=currency,
        amount=amount,
        provider_ref=key,
        livemode=_mode(child),
        occurred_at=iso_seconds(child.get("processed_at")),
    )


class _Child(NamedTuple):
    """A transaction: its order, its id, the transaction that it follows, how it went, and its amount."""

    order: str
    own: str
    parent: str | None
    status: str
    amount: int


_CHILD_REFS: Final = {"capture": RefKind.CAPTURE, "sale": RefKind.CAPTURE, "refund": RefKind.REFUND}
_OPENING: Final = frozenset({"authorization", "emv_authorization", "sale", "capture"})


def meaning_of(topic: str, thing: _Object) -> Meaning:
    """Return what an object says when it is the body of that topic, which is one that we read."""
    return summed(_READERS[topic](thing))


_STATUSES: Final = {
    "success": "succeeded",
    "pending": "pending",
    "awaiting_response": "pending",
    "unknown": "pending",
    "failure": "failed",
    "error": "failed",
}


def _authorization(child: _Child) -> Facts:
    if child.status == "succeeded":
        return (authorized(child.own, child.amount, attempt=child.order),)
    state = "processing" if child.status == "pending" else "failed"
    return (attempt(child.own, state, amount=child.amount, payment=child.order),)


def _sale(child: _Child) -> Facts:
    if child.status != "succeeded":
        return _authorization(child)
    return (captured(child.own, child.amount, authorization=child.order), attempt(child.own, "succeeded"))


def _capture(child: _Child) -> Facts:
    """Read a capture; one that failed took nothing, and the next one is a transaction of its own."""
    if child.status == "failed":
        return ()
    if child.status == "pending":
        return (capture_pending(child.own, child.amount, authorization=child.parent),)
    return (captured(child.own, child.amount, authorization=child.parent),)


def _void(child: _Child) -> Facts:
    """Read a void: of the authorization that it names, without one of all that the order has."""
    if child.status != "succeeded":
        return ()
    return (void(child.parent, "canceled"),) if child.parent else (ended(child.order, "canceled"),)


def _nothing(_child: _Child) -> Facts:
    return ()


_TRANSACTION_FACTS: Final[dict[str, Callable[[_Child], Facts]]] = {
    "authorization": _authorization,
    "emv_authorization": _authorization,
    "sale": _sale,
    "capture": _capture,
    "void": _void,
    "refund": lambda child: (refund(child.own, child.status, child.amount, payment=child.order),),
    "suggested_refund": _nothing,
    "change": _nothing,  # coins handed back at a till
}


def _refund(child: _Object) -> Meaning:
    """Read a refund: the transactions of kind refund in it; one that only takes goods back has none."""
    key = need_id(child.get("order_id"), "order_id")
    if "transactions" not in child:
        raise undecodable("transactions is missing")
    meanings = [_transaction(one) for one in _listed(child, "transactions") if value_at(one, "kind") == "refund"]
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
        livemode=next((one.livemode for one in meanings), None),
        occurred_at=iso_seconds(child.get("processed_at")),
    )


# --- disputes of Shopify Payments --------------------------------------------------------------------------------


def _dispute(child: _Object) -> Meaning:
    """Read a dispute; one without an order is about no payment that is known here."""
    own, key = need_id(child.get("id"), "id"), maybe_id(child.get("order_id"), "order_id")
    if key is None:
        return Meaning()
    amount, currency = _money(child, "amount")
    state = need_state(_DISPUTE_STATES, child.get("status"), "status")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.DISPUTE, own)),
        facts=_dispute_facts(own, key, state, amount, asks=child.get("type") == "inquiry"),
        currency=currency,
        amount=amount,
        provider_ref=key,
    )


def _dispute_facts(own: str, key: str, state: str, amount: int, *, asks: bool) -> Facts:
    """Read an inquiry, which takes nothing, or the chargeback that may follow it under the same id."""
    shown = "inquiry" if asks and state in ("open", "under_review") else state
    opened = dispute(own, shown, payment=key, version=at_stage(1 if asks else 2))
    if asks:
        return (opened,)
    taken = dispute_funds(own, "withdrawn", amount)
    given_back = (dispute_funds(own, "reinstated", amount),) if state in ("won", "prevented") else ()
    return (opened, taken, *given_back)


_DISPUTE_STATES: Final = {
    "needs_response": "open",
    "under_review": "under_review",
    "charge_refunded": "prevented",
    "prevented": "prevented",
    "accepted": "lost",
    "lost": "lost",
    "won": "won",
}

_READERS: Final[dict[str, Callable[[_Object], Meaning]]] = {
    **dict.fromkeys(("orders/create", "orders/updated", "orders/paid", "orders/cancelled"), _order),
    "order_transactions/create": _transaction,
    "refunds/create": _refund,
    **dict.fromkeys(("disputes/create", "disputes/update"), _dispute),
}
