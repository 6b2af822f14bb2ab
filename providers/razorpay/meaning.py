"""Razorpay: a keyed hash over the raw body; the event id stands in an unsigned header.

Sources: Razorpay's Python SDK (`utility` and its tests, one of which stands in the vectors) and webhook documentation.

Signed: the raw body, a newline at its end included. `X-Razorpay-Signature: <hex HMAC-SHA256>`, key = the webhook's
secret. After a rotation, retries of events from before it keep the old secret, so both are live.

Identity: `x-razorpay-event-id` is unsigned: a replay under a fresh id verifies, so dedupe has to look at the body too.
The payment is `payload.payment.entity.id`, which refunds, orders and disputes carry as well.

Meaning (razorpay/markdown-docs): a payment is one attempt and is captured in full, so `payment.captured` and
`order.paid` are one fact. All attempts of an order are one payment of ours: the order's id is a reference beside the
payment's. A payment link and an invoice become one order (SESSION), also where they are paid in parts; a subscription,
a QR code and a virtual account are paid many times (SHARED); the events of all of them hold the payment. A refund whose
payment was never captured gives a hold back: no money that was taken, so the authorization ends.

Disputes: the phase orders first (a chargeback that was won can come back as pre-arbitration), within it the event's
`created_at`; `action_required` opens one that was under review. `amount_deducted` is what a lost one took off the
balance, 0 otherwise.

Amounts are minor units of ISO 4217. The merchant's reference is the order's `receipt` or stands in `notes`.
`account_id` names the merchant; the mode stands in no field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import (
    id_or_none,
    in_scope,
    maybe_id,
    maybe_time,
    need_amount,
    need_currency,
    need_id,
    refs_of,
)
from providers.core.payments import (
    Facts,
    amount_if_given,
    at_stage,
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    ended,
    if_given,
    micros,
    need_kind,
    need_object,
    need_state,
    noted_reference,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
    void,
)
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at, value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Razorpay-Signature` over the raw body; return the one event."""
    check_body_mac(request, "x-razorpay-signature", hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "payload", "payment", "entity", "id")
    return [Notification(request.header("x-razorpay-event-id"), text_at(event, "event"), payment_ref, request.body)]


_Event = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; one that holds no payment, refund, dispute, link or invoice says nothing."""
    event = read_event(body)
    need_kind(event.get("event"), kind)
    reader = _READERS.get(kind)
    if reader is None:
        return Meaning() if kind.startswith(_SILENT) else unread_kind(kind, ("payment.", "order.", "refund."))
    meaning = summed(reader(event))
    return in_scope(replace(meaning, occurred_at=maybe_time(event.get("created_at"))), event.get("account_id"))


def _entity(event: _Event, name: str) -> dict[str, Any]:
    return need_object(value_at(event, "payload", name, "entity"), f"payload.{name}.entity")


def _money(entity: dict[str, Any]) -> tuple[int, str | None]:
    amount, currency = entity.get("amount"), entity.get("currency")
    return if_given(lambda: (need_amount(amount, "amount"), need_currency(currency, "currency")), amount, currency)


def _payment(facts_of: Callable[[str, int], Facts]) -> Callable[[_Event], Meaning]:
    def read(event: _Event) -> Meaning:
        return _read_payment(event, _entity(event, "payment"), facts_of)

    return read


def _read_payment(event: _Event, payment: dict[str, Any], facts_of: Callable[[str, int], Facts]) -> Meaning:
    key, order = need_id(payment.get("id"), "payment.id"), maybe_id(payment.get("order_id"), "payment.order_id")
    receipt = id_or_none(value_at(event, "payload", "order", "entity", "receipt"))
    amount, currency = _money(payment)
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, key),
            (RefKind.PAYMENT, order),
            *((kind, _own(event, name, kind)) for name, kind in _BEHIND.items()),
            (RefKind.REFERENCE, receipt or noted_reference(payment.get("notes"))),
        ),
        facts=(terms(key, amount), *_whole(event, order, currency), *facts_of(key, amount)),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
    )


def _own(event: _Event, name: str, kind: RefKind) -> str | None:
    """Return the id of what stands behind a payment; one that many share is for looking up, and may be none."""
    own = value_at(event, "payload", name, "entity", "id")
    return id_or_none(own) if kind is RefKind.SHARED else maybe_id(own, f"{name}.id")


_BEHIND: Final = {
    "payment_link": RefKind.SESSION,
    "invoice": RefKind.SESSION,
    "subscription": RefKind.SHARED,
    "qr_code": RefKind.SHARED,
    "virtual_account": RefKind.SHARED,
}
"""What stands behind a payment: what became one order, and what many payments share."""


def _whole(event: _Event, order: str | None, currency: str | None) -> Facts:
    """Return what the order asks for in all, which several payments may come to."""
    entity = value_at(event, "payload", "order", "entity")
    asked = value_at(entity, "amount")
    amount = amount_if_given(lambda: need_amount(asked, "order.amount"), asked)
    if order is None or amount is None or value_at(entity, "currency") not in (None, currency):
        return ()
    return (terms(order, amount),)


def _paid(event: _Event) -> Meaning:
    """Read the payment inside the event of a link, an invoice, a subscription, a QR code or a virtual account."""
    payment = value_at(event, "payload", "payment", "entity")
    return _read_payment(event, payment, _by_status(payment)) if isinstance(payment, dict) else Meaning()


def _by_status(payment: dict[str, Any]) -> Callable[[str, int], Facts]:
    """Return what a payment's status says; one that was given back without having been captured was released."""
    status = payment.get("status")
    if status == "refunded" and payment.get("captured") is False:
        return lambda key, amount: (authorized(key, amount), void(key, "canceled"))
    return _STATUS.get(status if isinstance(status, str) else "", lambda _key, _amount: ())


def meaning_of_payment(payment: dict[str, Any]) -> Meaning:
    """Return what a payment says that the API showed, by its id or in a list."""
    return summed(_read_payment({}, payment, _by_status(payment)))


def meaning_of(kind: str, name: str, entity: dict[str, Any]) -> Meaning:
    """Return what an entity says when it stands alone in an event of that kind, which is one that we read."""
    return summed(_READERS[kind]({"payload": {name: {"entity": entity}}}))


def _taken(key: str, amount: int) -> Facts:
    return (captured(key, amount, authorization=key),)


def _reserved(key: str, amount: int) -> Facts:
    return (authorized(key, amount),)


_STATUS: Final[dict[str, Callable[[str, int], Facts]]] = {
    "authorized": _reserved,
    "captured": _taken,
    "refunded": _taken,
    "failed": lambda key, _amount: (attempt(key, "failed"),),
    "pending": lambda key, _amount: (attempt(key, "processing"),),
}


def _unpaid(name: str, state: str) -> Callable[[_Event], Meaning]:
    """Read the end of a link or an invoice that nobody pays any more; what was paid in part stays."""

    def read(event: _Event) -> Meaning:
        entity = _entity(event, name)
        key, order = need_id(entity.get("id"), f"{name}.id"), maybe_id(entity.get("order_id"), f"{name}.order_id")
        amount, currency = _money(entity)
        return Meaning(
            refs=refs_of((RefKind.SESSION, key), (RefKind.PAYMENT, order)),
            facts=(terms(key, amount), ended(key, state)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=order or key,
        )

    return read


def _refund(state: str | None) -> Callable[[_Event], Meaning]:
    """Read a refund; without `state` its own status tells it."""

    def read(event: _Event) -> Meaning:
        entity = _entity(event, "refund")
        own, payment = need_id(entity.get("id"), "refund.id"), need_id(entity.get("payment_id"), "refund.payment_id")
        found = state or need_state(_REFUND_STATES, entity.get("status"), "refund.status")
        amount, currency = _money(entity)
        facts: Facts = (refund(own, found, amount, payment=payment), *_shown(event, payment, currency))
        if value_at(event, "payload", "payment", "entity", "captured") is False:
            facts = (void(payment, "canceled"),) if found == "succeeded" else ()
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
            facts=facts,
            currency=currency,
            amount=amount,
            provider_ref=payment,
        )

    return read


def _shown(event: _Event, payment: str, currency: str | None) -> Facts:
    """Return what had been taken, where a refund or a dispute shows its payment: there is no part capture."""
    shown = value_at(event, "payload", "payment", "entity")
    if value_at(shown, "captured") is not True or value_at(shown, "id") != payment:
        return ()
    amount, given_in = _money(shown)
    return (captured(payment, amount, authorization=payment),) if amount and given_in == currency else ()


_REFUND_STATES: Final = {"pending": "pending", "processed": "succeeded", "failed": "failed"}

_PHASES: Final = {"fraud": 0, "retrieval": 0, "chargeback": 1, "pre_arbitration": 2, "arbitration": 3}
"""The phases of a dispute, in their order; in the first the bank asks and takes nothing yet."""


def _dispute(state_of: Callable[[dict[str, Any]], str]) -> Callable[[_Event], Meaning]:
    def read(event: _Event) -> Meaning:
        entity = _entity(event, "dispute")
        own, payment = need_id(entity.get("id"), "dispute.id"), need_id(entity.get("payment_id"), "dispute.payment_id")
        amount, currency = _money(entity)
        state = state_of(entity)
        taken = _deducted(entity) if state == "lost" else 0
        version = at_stage(_phase(entity), micros(maybe_time(event.get("created_at"))))
        funds = (dispute_funds(own, "withdrawn", taken),) if taken else ()
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
            facts=(dispute(own, state, payment=payment, version=version), *funds, *_shown(event, payment, currency)),
            currency=currency,
            amount=amount,
            provider_ref=payment,
        )

    return read


def _phase(entity: dict[str, Any]) -> int:
    phase = entity.get("phase")
    return _PHASES.get(phase, 1) if isinstance(phase, str) else 1


def _deducted(entity: dict[str, Any]) -> int:
    return need_amount(entity.get("amount_deducted") or 0, "dispute.amount_deducted")


def _opened(entity: dict[str, Any]) -> str:
    return "open" if _phase(entity) else "inquiry"


def _closed(entity: dict[str, Any]) -> str:
    """Return how a closed dispute ended, which only the money tells."""
    return "lost" if _deducted(entity) else "prevented"


_SILENT: Final = ("payment.downtime.", "order.notification.", "refund.arn_updated")

_READERS: Final[dict[str, Callable[[_Event], Meaning]]] = {
    "payment.authorized": _payment(_reserved),
    **dict.fromkeys(("payment.captured", "order.paid"), _payment(_taken)),
    "payment.failed": _payment(_STATUS["failed"]),
    "payment.pending": _payment(_STATUS["pending"]),
    **dict.fromkeys(
        (
            "invoice.paid",
            "invoice.partially_paid",
            "payment_link.paid",
            "payment_link.partially_paid",
            "qr_code.credited",
            "subscription.charged",
            "virtual_account.credited",
        ),
        _paid,
    ),
    "invoice.expired": _unpaid("invoice", "expired"),
    "payment_link.expired": _unpaid("payment_link", "expired"),
    "payment_link.cancelled": _unpaid("payment_link", "canceled"),
    **dict.fromkeys(("refund.created", "refund.speed_changed"), _refund(None)),
    "refund.processed": _refund("succeeded"),
    "refund.failed": _refund("failed"),
    **dict.fromkeys(("payment.dispute.created", "payment.dispute.action_required"), _dispute(_opened)),
    "payment.dispute.under_review": _dispute(lambda _entity: "under_review"),
    "payment.dispute.won": _dispute(lambda _entity: "won"),
    "payment.dispute.lost": _dispute(lambda _entity: "lost"),
    "payment.dispute.closed": _dispute(_closed),
}
