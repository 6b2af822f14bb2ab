"""What Mollie's events mean, and what its API answers.

Sources: Mollie's webhook documentation, mollie/openapi.

A payment is one attempt, keyed by its id. Amounts are major units, as text. What payment.paid captured is
`amountCaptured`, cumulative, else the whole amount; the events of single captures tell parts of the same money, so they
have the payment asked about, which a later part may change without an event of its own. The old kind names a payment
and says nothing: its state stands at the API alone. So does that of a payment in the `simple` form, which is asked
about. A refund or a chargeback in that form names the payment by its link (`_links.entity`, which may be absent), else
it is `undecodable`: subscribe to the full form. The merchant's reference stands in a payment's `metadata`; `profileId`
names the merchant, `mode` the mode.

An order of the Orders API is one payment, whose tries are its `tr_` payments; its webhook is the old kind with an
`ord_` id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from providers.core.meaning import id_or_none, in_scope, need_currency, need_id, refs_of, undecodable
from providers.core.objects import ApiObject, ObjectsApi, by_key
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    ended,
    if_given,
    iso_seconds,
    major_units,
    need_kind,
    need_object,
    noted_reference,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
    void,
)
from providers.core.reading import text_at, to_id, value_at
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, merged
from providers.mollie.signature import hint_of
from schemas.errors import SignatureRejected
from schemas.facts import Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

_Entity = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside payments, refunds, captures and chargebacks say nothing."""
    if not kind:
        return _hinted(body)
    event = read_event(body)
    need_kind(event.get("type"), kind)
    entity = value_at(event, "_embedded", "entity")
    if kind in _CAPTURES:
        return Meaning(ask=id_or_none(value_at(entity, "paymentId")) or _linked_payment(event))
    reader = _READERS.get(kind)
    if reader is None:
        return unread_kind(kind, ("payment.", "refund.", "capture.", "chargeback."))
    if entity is None and kind.startswith("payment."):
        return Meaning(ask=need_id(event.get("entityId"), "entityId"))
    if entity is None and (linked := _linked_payment(event)) is not None:
        return Meaning(ask=linked)
    entity = need_object(entity, "_embedded.entity")
    if entity.get("id") != event.get("entityId"):
        raise undecodable("entityId is not the id of the entity")
    return _scoped(reader(entity, iso_seconds(event.get("createdAt"))), entity)


def _linked_payment(event: _Entity) -> str | None:
    """Return the payment that the entity's own address names, as of a refund, a chargeback or a capture."""
    found = _OF_A_PAYMENT.search(text_at(event, "_links", "entity", "href") or "")
    return found[1] if found else None


_OF_A_PAYMENT: Final = re.compile(r"/payments/(tr_[A-Za-z0-9]{1,60})/")


def _scoped(meaning: Meaning, entity: _Entity) -> Meaning:
    """Return the meaning in the profile and the mode that the entity names."""
    mode = entity.get("mode")
    return in_scope(meaning, entity.get("profileId"), mode == "live" if mode in ("live", "test") else None)


def _hinted(body: bytes) -> Meaning:
    """Name the payment of an old webhook; nothing in it says what happened."""
    try:
        named = hint_of(body).payment_ref
    except SignatureRejected as error:
        raise undecodable("neither an event nor a form with one resource id") from error
    return Meaning(refs=(Ref(RefKind.PAYMENT, need_id(named, "id")),), provider_ref=named)


def _money(value: Any, what: str) -> tuple[int, str]:
    currency = need_currency(value_at(value, "currency"), f"{what}.currency")
    return major_units(value_at(value, "value"), currency, f"{what}.value"), currency


def _sum(thing: _Entity, what: str) -> tuple[int, str | None]:
    """Return the amount of an entity, or none; see `summed`."""
    given = thing.get("amount")
    return if_given(lambda: _money(given, f"{what}.amount"), value_at(given, "value"), value_at(given, "currency"))


def _payment(facts_of: Callable[[_Entity, str, int], Facts]) -> Callable[[_Entity, float | None], Meaning]:
    def read(payment: _Entity, occurred_at: float | None) -> Meaning:
        key = need_id(payment.get("id"), "payment.id")
        amount, currency = _sum(payment, "payment")
        meaning = Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, key),
                (RefKind.PAYMENT, to_id(payment.get("orderId"))),
                (RefKind.REFERENCE, noted_reference(payment.get("metadata"))),
            ),
            facts=(terms(key, amount), *facts_of(payment, key, amount)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=to_id(payment.get("orderId")) or key,
            occurred_at=occurred_at,
            undoable_days=_UNDOABLE_DAYS if _is_debit(payment) else 0,
        )
        return summed(meaning)

    return read


_UNDOABLE_DAYS: Final = 60
"""A payer takes a SEPA debit back within eight weeks (docs.mollie.com, "SEPA Direct Debit", "Chargebacks")."""


def _is_debit(payment: _Entity) -> bool:
    return payment.get("method") == "directdebit" and payment.get("status") == "paid"


def _paid(payment: _Entity, key: str, amount: int) -> Facts:
    """Read what was captured, of what had been reserved where the two are distinguished."""
    if payment.get("amountCaptured") is None:
        return (captured(key, amount, authorization=key),)
    taken, _ = _money(payment["amountCaptured"], "payment.amountCaptured")
    return (authorized(key, amount), captured(key, taken, authorization=key))


def _ended(payment: _Entity, key: str, state: str) -> Facts:
    """Say that a payment was ended, with what it had reserved; one of an order is a try, and another may follow."""
    order = to_id(payment.get("orderId"))
    return (ended(key, state),) if order is None else (attempt(key, state, payment=order), void(key, state))


def _failed(key: str) -> Facts:
    """Say that a payment failed, and what it had reserved with it: an authorization that ran out ends so."""
    return (attempt(key, "failed"), void(key, "failed"))


def _child(facts_of: Callable[[str, int, str], Facts], kind: RefKind) -> Callable[[_Entity, float | None], Meaning]:
    """Read a refund or a chargeback; its metadata is its own and names no payment."""

    def read(entity: _Entity, occurred_at: float | None) -> Meaning:
        own, payment = need_id(entity.get("id"), "entity.id"), need_id(entity.get("paymentId"), "entity.paymentId")
        amount, currency = _sum(entity, "entity")
        meaning = Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (kind, own)),
            facts=facts_of(own, amount, payment),
            currency=currency,
            amount=amount,
            provider_ref=payment,
            occurred_at=occurred_at,
        )
        return summed(meaning)

    return read


def _refund(state: str) -> Callable[[_Entity, float | None], Meaning]:
    return _child(lambda own, amount, payment: (refund(own, state, amount, payment=payment),), RefKind.REFUND)


def _chargeback(state: str, funds: str) -> Callable[[_Entity, float | None], Meaning]:
    """Read a chargeback: Mollie takes its amount off the balance when it comes, and gives it back when reversed."""
    return _child(
        lambda own, amount, payment: (dispute(own, state, payment=payment), dispute_funds(own, funds, amount)),
        RefKind.DISPUTE,
    )


_CAPTURES: Final = frozenset({"capture.succeeded", "capture.failed"})

_READERS: Final[dict[str, Callable[[_Entity, float | None], Meaning]]] = {
    "payment.pending": _payment(lambda _payment, key, _amount: (attempt(key, "processing"),)),
    "payment.authorized": _payment(lambda _payment, key, amount: (authorized(key, amount),)),
    "payment.paid": _payment(_paid),
    "payment.failed": _payment(lambda _payment, key, _amount: _failed(key)),
    "payment.canceled": _payment(lambda payment, key, _amount: _ended(payment, key, "canceled")),
    "payment.expired": _payment(lambda payment, key, _amount: _ended(payment, key, "expired")),
    **dict.fromkeys(("refund.queued", "refund.pending", "refund.processing"), _refund("pending")),
    "refund.refunded": _refund("succeeded"),
    "refund.failed": _refund("failed"),
    "refund.canceled": _refund("canceled"),
    "chargeback.received": _chargeback("open", "withdrawn"),
    "chargeback.reversed": _chargeback("won", "reinstated"),
}


# --- read again at the API: a payment with its refunds and chargebacks --------------------------------------------


def _fetched_order(order: _Entity) -> Meaning:
    """Read an order as one payment: its tries with what they took, its refunds, its end."""
    key = need_id(order.get("id"), "order.id")
    amount, currency = _money(order.get("amount"), "order.amount")
    ends = {"canceled": ended(key, "canceled"), "expired": ended(key, "expired")}
    tries = [_fetched_payment({**one, "orderId": key}) for one in _embedded(order, "payments")]
    refunds = [_fetched_refund(one, str(one.get("paymentId"))) for one in _embedded(order, "refunds")]
    whole = Meaning(
        refs=refs_of((RefKind.PAYMENT, key)),
        facts=(terms(key, amount), attempt(key, "created")),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
    )
    end = ends.get(str(order.get("status")))
    meaning = merged(whole, *tries, *refunds)
    reference = noted_reference(order.get("metadata")) or to_id(order.get("orderNumber"))
    refs = tuple(ref for ref in meaning.refs if ref.kind is not RefKind.REFERENCE)
    return replace(
        meaning,
        refs=refs + refs_of((RefKind.REFERENCE, reference)),
        facts=(*meaning.facts, end) if end else meaning.facts,
    )


def _fetched_refund(child: _Entity, payment: str) -> Meaning:
    reader = _READERS.get(f"refund.{child.get('status')}")
    if reader is None:
        raise undecodable("the status of a refund is not one of Mollie's")
    return reader({**child, "paymentId": payment}, None)


def payment_meaning(payment: _Entity) -> Meaning:
    """Return what a payment says that the API showed, in its profile and its mode."""
    return _scoped(_fetched_payment(payment), payment)


def _fetched_payment(payment: _Entity) -> Meaning:
    """Read what the API answered: what the webhook of its status says, and what those of its children say."""
    meaning = _payment(_fetched_facts)(payment, None)
    children = [
        *((f"refund.{child.get('status')}", child) for child in _embedded(payment, "refunds")),
        *(("chargeback." + _chargeback_end(child), child) for child in _embedded(payment, "chargebacks")),
    ]
    for kind, child in children:
        if kind not in _READERS:
            raise undecodable("the status of a refund is not one of Mollie's")
        meaning = merged(meaning, _READERS[kind]({**child, "paymentId": payment.get("id")}, None))
    return meaning


def _chargeback_end(chargeback: _Entity) -> str:
    return "reversed" if text_at(chargeback, "reversedAt") else "received"


def _embedded(payment: _Entity, name: str) -> list[_Entity]:
    listed = value_at(payment, "_embedded", name)
    return [child for child in listed if isinstance(child, dict)] if isinstance(listed, list) else []


def _fetched_facts(payment: _Entity, key: str, amount: int) -> Facts:
    """Say what the status says; part of an authorization may be captured before the payment is paid."""
    status = payment.get("status")
    taken = _money(payment["amountCaptured"], "amountCaptured")[0] if payment.get("amountCaptured") else 0
    if status == "paid" or taken:
        return _paid(payment, key, amount)
    facts_of = _OF_STATUS.get(status) if isinstance(status, str) else None
    if facts_of is None:
        raise undecodable("the payment's status is not one of Mollie's")
    return facts_of(payment, key, amount)


_OF_STATUS: Final[dict[str, Callable[[_Entity, str, int], Facts]]] = {
    "open": lambda _payment, key, _amount: (attempt(key, "created"),),
    "pending": lambda _payment, key, _amount: (attempt(key, "processing"),),
    "authorized": lambda _payment, key, amount: (authorized(key, amount),),
    "failed": lambda _payment, key, _amount: _failed(key),
    "canceled": lambda payment, key, _amount: _ended(payment, key, "canceled"),
    "expired": lambda payment, key, _amount: _ended(payment, key, "expired"),
}

_UNDERWAY: Final = ("created", "processing")
WATCHES: Final = (
    Watch(
        statuses=_UNDERWAY,
        after=1 * HOUR,
        every=6 * HOUR,
        until=30 * DAY,
        source="docs, Handling payment status: `open` and `pending` call no webhook; an order is valid for 28 days",
    ),
    Watch(
        statuses=_UNDERWAY,
        after=1 * DAY,
        every=1 * DAY,
        until=102 * DAY,
        source="mollie/openapi (2026-08-21), `dueDate` of a bank transfer: 100 days after tomorrow at most",
    ),
    Watch(
        statuses=("authorized",),
        after=7 * DAY,
        every=1 * DAY,
        until=182 * DAY,
        source="`captureBefore`: 7 days at Visa, 28 at Klarna, 30 at Mastercard, 180 at Vipps (docs.payreque.st)",
    ),
    Watch(
        refunds=("pending",),
        after=12 * HOUR,
        every=12 * HOUR,
        until=30 * DAY,
        source="docs, Webhooks: the old webhook tells no canceled refund",
        guess="until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        after=1 * DAY,
        every=1 * DAY,
        until=180 * DAY,
        source="docs, Webhooks: the old webhook tells no chargeback that was reversed",
        guess="until",
    ),
    Watch(
        debits=True,
        after=5 * DAY,
        every=7 * DAY,
        until=_UNDOABLE_DAYS * DAY,
        source="help article 115002540294: a debit fails within 5 business days, is charged back within 56 days",
    ),
)
"""The old webhook tells few of the ends."""

_API: Final = ObjectsApi(
    (
        ApiObject(
            "payment",
            re.compile("tr_[A-Za-z0-9]{1,64}"),
            "/v2/payments/{id}?embed=refunds,captures,chargebacks",
            payment_meaning,
            shows=("resource", "payment"),
        ),
        ApiObject(
            "order",
            re.compile("ord_[A-Za-z0-9]{1,64}"),
            "/v2/orders/{id}?embed=payments,refunds",
            lambda order: _scoped(_fetched_order(order), order),
            shows=("resource", "order"),
        ),
    ),
    by_key,
)

REFETCH: Final = _API.refetch("https://api.mollie.com", watches=WATCHES)
