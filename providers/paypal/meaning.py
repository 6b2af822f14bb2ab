"""What PayPal's webhook events mean.

Sources: PayPal's webhook event names and the Orders v2, Payments v2 and Disputes v1 references. Amounts are major
units, as text. PayPal writes HUF and TWD without decimals; minor units are those of ISO 4217 all the same.

A payment is an order, or of an order of several payees what is one payee's (`orders`, `payees`). It may hold several
captures (purchase units, partial captures), and one authorization at a time: an order with the intent AUTHORIZE has one
purchase unit, so an authorization, or a capture of one, proves the order to be one payment; a reauthorization is a new
authorization that takes the place of the one before. Any other capture is of the order, and of its payee: that joins it
where it is named (`payee.merchant_id`); where it is not (captures of 2021 and 2022), an order that is proved to be one
payment. The merchant's reference is `invoice_id`, which PayPal keeps unique; `custom_id` is free text that many
payments may share. A refund is found by its capture: who refunds (`payer`) is not read, nor the seller of a dispute.

Payments v1 has kinds of the same names in another shape, and PAYMENT.SALE.*, the payments of subscriptions: each sale
is a payment, the subscription (`billing_agreement_id`) is shared by many. A reversal of version 1 that names no sale is
refused: money moved, and nothing tells whose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from providers.core.meaning import id_or_none, in_scope, need_id, refs_of
from providers.core.payments import (
    Facts,
    attempt,
    capture_failed,
    capture_pending,
    captured,
    iso_seconds,
    need_kind,
    need_object,
    need_state,
    read_event,
    refund,
    reversal,
    summed,
    unread_kind,
    void,
)
from providers.paypal import disputes, orders
from providers.paypal.payees import APPROVAL_REVERSED, account_of
from providers.paypal.resource import (
    Resource,
    authorization_of,
    capture_of,
    is_capture,
    maybe_money,
    money,
    order_of,
    payment_of,
    reference_of,
    whole_of,
)
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; of several that the body makes, the first."""
    return interpret_part(kind, body, "")


def interpret_part(kind: str, body: bytes, event_id: str) -> Meaning:
    """Return what an event says; kinds outside orders, payments and disputes say nothing."""
    event = read_event(body)
    need_kind(event.get("event_type"), kind)
    if kind not in _KINDS:
        return Meaning() if kind in _SILENT else unread_kind(kind, _PAYMENT_FAMILIES)
    resource = need_object(event.get("resource"), "resource")
    if kind in _DISPUTES:
        meaning = disputes.read_dispute(resource, _DISPUTES[kind](resource), body, event_id)
    elif kind in orders.FACTS:
        meaning = orders.read_order(resource, kind, body, event_id)
    elif kind == APPROVAL_REVERSED:
        meaning = orders.read_reversed_approval(resource, body, event_id)
    else:
        meaning = _READERS[kind](resource)
    return replace(summed(meaning), occurred_at=iso_seconds(event.get("create_time")))


# --- PAYMENT.AUTHORIZATION.* -------------------------------------------------------------------------------------


def _authorization_event(fact_of: Callable[[Resource, str, int, str | None], Fact]) -> Callable[[Resource], Meaning]:
    """Read an authorization; `fact_of` gets it, its id, its amount and its order."""

    def read(resource: Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        payment, order = payment_of(resource), order_of(resource)
        amount, currency = maybe_money(resource.get("amount"), "amount")
        meaning = Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, payment or own),
                (RefKind.SESSION, order),
                (RefKind.CHARGE, own),
                (RefKind.REFERENCE, reference_of(resource)),
            ),
            facts=(fact_of(resource, own, amount, payment),),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=payment or own,
            order=order,
            sole=True,
        )
        return in_scope(meaning, account_of(resource))

    return read


def _voided(resource: Resource, own: str, _amount: int, _order: str | None) -> Fact:
    """Read a void: `expired` where the authorization's time was over by then, else `canceled`. One kind has both."""
    until = iso_seconds(resource.get("expiration_time") or resource.get("valid_until"))
    voided = iso_seconds(resource.get("update_time"))
    expired = until is not None and voided is not None and voided >= until
    return void(own, "expired" if expired else "canceled")


# --- PAYMENT.CAPTURE.* -------------------------------------------------------------------------------------------


def _unreserved(resource: Resource, order: str | None, own: str) -> str | None:
    """Return what stands for the authorization of a capture that names none: version 1's is any of its payment."""
    return None if resource.get("parent_payment") else order or own


def _capture(facts_of: Callable[[str | None, str | None, str, int], Facts]) -> Callable[[Resource], Meaning]:
    """Read a capture; `facts_of` gets its order, its authorization (else the payment), its own id and the amount."""

    def read(resource: Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        payment, order, authorization = payment_of(resource), order_of(resource), authorization_of(resource)
        account, sole = account_of(resource), authorization is not None
        open_order = order is not None and not sole
        amount, currency = maybe_money(resource.get("amount"), "amount")
        meaning = Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, None if open_order and not account else payment or own),
                (RefKind.SESSION, None if open_order else order),
                (RefKind.CAPTURE, own),
                (RefKind.CHARGE, authorization),
                (RefKind.SHARED, order if open_order else None),
                (RefKind.SHARED, id_or_none(resource.get("billing_agreement_id"))),
                (RefKind.REFERENCE, reference_of(resource)),
            ),
            facts=facts_of(payment, authorization or _unreserved(resource, payment, own), own, amount),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=payment or own,
            order=order,
            sole=sole,
        )
        return in_scope(meaning, account)

    return read


def _pending(order: str | None, authorization: str | None, own: str, amount: int) -> Facts:
    taking = capture_pending(own, amount, authorization=authorization)
    return (attempt(own, "processing", amount=amount, payment=order), taking)


def _denied(order: str | None, authorization: str | None, own: str, amount: int) -> Facts:
    failed = capture_failed(own, amount, authorization=authorization)
    return (attempt(own, "failed", amount=amount, payment=order), *failed)


def _refund(state: str | None) -> Callable[[Resource], Meaning]:
    """Read a refund, which names its capture by the link `up`; without `state` its own status tells it."""

    def read(resource: Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        amount, currency = money(resource.get("amount"), "amount", given_back=True)
        status = need_state(_REFUND_STATES, _status(resource), "resource.status")
        capture = capture_of(resource)
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, whole_of(resource)),
                (RefKind.CAPTURE, capture),
                (RefKind.REFUND, own),
            ),
            facts=(refund(own, state or status, amount, payment=capture),),
            currency=currency,
            amount=amount,
            order=order_of(resource),
        )

    return read


def _status(resource: Resource) -> str:
    """Return a refund's status in capitals, COMPLETED where none is given; version 1 has `state`, in small letters."""
    given = next((one for one in (resource.get("status"), resource.get("state")) if isinstance(one, str) and one), None)
    return (given or "COMPLETED").upper()


_REFUND_STATES: Final = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "canceled",
}


def _reversed(resource: Resource) -> Meaning:
    """Read money that PayPal took back: the resource is the capture, or like a refund, of a part perhaps."""
    own = need_id(resource.get("id"), "resource.id")
    capture = own if is_capture(resource, own) else capture_of(resource)
    amount, currency = money(resource.get("amount"), "amount", given_back=True)
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, whole_of(resource)), (RefKind.CAPTURE, capture)),
        facts=(reversal(own, capture, amount),),
        currency=currency,
        amount=amount,
        order=order_of(resource),
    )


def meaning_of(kind: str, resource: Resource) -> Meaning:
    """Return what a resource says when it stands in an event of that kind, which is one that we read."""
    return summed(_READERS[kind](resource))


_PAYMENT_FAMILIES: Final = (
    "CHECKOUT.",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.AUTHORIZATION.",
    "PAYMENT.CAPTURE.",
    "PAYMENT.ORDER.",
    "PAYMENT.REFUND.",
    "PAYMENT.SALE.",
)

_SILENT: Final = frozenset(
    {
        "CHECKOUT.CHECKOUT.BUYER-APPROVED",
        "CHECKOUT.CHECKOUT.COMPLETED",
        "CHECKOUT.ORDER.PROCESSED",
        "CHECKOUT.ORDER.SAVED",
        "PAYMENT.ORDER.CANCELLED",
        "PAYMENT.ORDER.CREATED",
    }
)
"""Steps on the way to a payment, whose money comes under kinds of its own."""

_TAKEN_NOW: Final = _capture(
    lambda _order, authorization, own, amount: (captured(own, amount, authorization=authorization),)
)

_READERS: Final[dict[str, Callable[[Resource], Meaning]]] = {
    "PAYMENT.AUTHORIZATION.CREATED": _authorization_event(orders.reserved),
    "PAYMENT.AUTHORIZATION.VOIDED": _authorization_event(_voided),
    **dict.fromkeys(("PAYMENT.CAPTURE.PENDING", "PAYMENT.SALE.PENDING"), _capture(_pending)),
    **dict.fromkeys(("PAYMENT.CAPTURE.COMPLETED", "PAYMENT.SALE.COMPLETED"), _TAKEN_NOW),
    **dict.fromkeys(("PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.DECLINED", "PAYMENT.SALE.DENIED"), _capture(_denied)),
    **dict.fromkeys(("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.SALE.REFUNDED"), _refund(None)),
    **dict.fromkeys(("PAYMENT.CAPTURE.REVERSED", "PAYMENT.SALE.REVERSED"), _reversed),
    "PAYMENT.REFUND.PENDING": _refund("pending"),
    "PAYMENT.REFUND.FAILED": _refund("failed"),
}

_DISPUTES: Final[dict[str, Callable[[Resource], str]]] = {
    "CUSTOMER.DISPUTE.CREATED": disputes.created,
    "CUSTOMER.DISPUTE.UPDATED": disputes.updated,
    "CUSTOMER.DISPUTE.RESOLVED": disputes.outcome,
}

_KINDS: Final = {*_READERS, *_DISPUTES, *orders.FACTS, APPROVAL_REVERSED}
