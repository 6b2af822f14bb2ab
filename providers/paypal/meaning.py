"""What PayPal's webhook events mean.

Sources: PayPal's webhook event names and the Orders v2, Payments v2 and Disputes v1 references. Amounts are major
units, as text. PayPal writes HUF and TWD without decimals; minor units are those of ISO 4217 all the same.

A payment is an order. It may hold several captures (purchase units, partial captures), and one authorization at a time:
an order with the intent AUTHORIZE has one purchase unit, and a reauthorization is a new authorization that takes the
place of the one before. A capture that was made without an authorization belongs to the order. The merchant's reference
is `invoice_id`, which PayPal keeps unique; `custom_id` is free text that many payments may share.

Payments v1 has kinds of the same names in another shape, and PAYMENT.SALE.*, the payments of subscriptions: each sale
is a payment, the subscription (`billing_agreement_id`) is shared by many. A reversal of version 1 that names no sale is
refused: money moved, and nothing tells whose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from providers.core.meaning import id_or_none, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    capture_failed,
    capture_pending,
    captured,
    ended,
    iso_seconds,
    micros,
    need_kind,
    need_object,
    need_state,
    read_event,
    refund,
    reversal,
    said_nothing,
    summed,
    terms,
    void,
)
from providers.core.reading import value_at
from providers.paypal import disputes
from providers.paypal.resource import (
    Resource,
    authorization_of,
    capture_of,
    is_capture,
    listed,
    maybe_money,
    money,
    payment_of,
    reference_of,
)
from schemas.facts import Meaning, Ref, RefKind

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
    if kind not in _READERS and kind not in _DISPUTES:
        return Meaning() if kind in _SILENT else said_nothing(kind, _PAYMENT_FAMILIES)
    resource = need_object(event.get("resource"), "resource")
    if kind in _DISPUTES:
        meaning = disputes.read_dispute(resource, _DISPUTES[kind](resource), body, event_id)
    else:
        meaning = _READERS[kind](resource)
    return replace(summed(meaning), occurred_at=iso_seconds(event.get("create_time")))


# --- CHECKOUT.ORDER.* --------------------------------------------------------------------------------------------


def _order(facts_of: Callable[[str, list[Resource]], Facts]) -> Callable[[Resource], Meaning]:
    """Read an order; its terms are the sum of its purchase units."""

    def read(order: Resource) -> Meaning:
        key = need_id(order.get("id"), "resource.id")
        units = listed(order.get("purchase_units"))
        sums = [maybe_money(unit.get("amount"), "purchase_units.amount") for unit in units]
        currencies = {currency for _, currency in sums}
        if None not in currencies and len(currencies) != 1:
            raise undecodable("purchase_units is no list of amounts in one currency")
        total = sum(amount for amount, _ in sums)
        reference = reference_of(units[0]) if len(units) == 1 else None
        return Meaning(
            refs=(*refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, reference)), *_captures_of(units)),
            facts=(terms(key, total), *facts_of(key, units)),
            opens=True,
            currency=None if None in currencies else sums[0][1],
            amount=total,
            provider_ref=key,
        )

    return read


def _captures_of(units: list[Resource]) -> tuple[Ref, ...]:
    """Return references to the captures that an order lists, by which refunds and disputes name it."""
    captures = [one for unit in units for one in listed(value_at(unit, "payments", "captures"))]
    return tuple(Ref(RefKind.CAPTURE, need_id(one.get("id"), "captures.id")) for one in captures)


def _completed(key: str, units: list[Resource]) -> Facts:
    """Give what the order lists, under the keys of its own events; one that lists nothing is on its way."""
    return tuple(fact for unit in units for fact in _unit(key, unit)) or (attempt(key, "processing"),)


def _unit(order: str, unit: Resource) -> Facts:
    authorizations = listed(value_at(unit, "payments", "authorizations"))
    facts: Facts = ()
    for one in authorizations:
        if one.get("status") in _RESERVED:
            amount, _ = money(one.get("amount"), "authorizations.amount")
            facts += (_reserved(one, need_id(one.get("id"), "authorizations.id"), amount, order),)
    for one in listed(value_at(unit, "payments", "captures")):
        if one.get("status") in _TAKEN:
            key, amount = need_id(one.get("id"), "captures.id"), money(one.get("amount"), "captures.amount")[0]
            # Beside listed authorizations a capture that names none of them belongs to one of them all the same.
            parent = authorization_of(one) or (None if authorizations else order)
            facts += (captured(key, amount, authorization=parent),)
    return facts


def _reserved(resource: Resource, own: str, amount: int, order: str | None) -> Fact:
    """Say what an authorization reserves, in the place of an older one of its order."""
    version = micros(iso_seconds(resource.get("create_time")))
    return authorized(own, amount, attempt=order, replaces=order, version=version)


_RESERVED: Final = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
_TAKEN: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def _approval_reversed(resource: Resource) -> Meaning:
    """Read the end of an approved order that was not captured in time: PayPal canceled it."""
    key = need_id(resource.get("order_id"), "resource.order_id")
    return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=(ended(key, "canceled"),), provider_ref=key)


# --- PAYMENT.AUTHORIZATION.* -------------------------------------------------------------------------------------


def _authorization_event(fact_of: Callable[[Resource, str, int, str | None], Fact]) -> Callable[[Resource], Meaning]:
    """Read an authorization; `fact_of` gets it, its id, its amount and its order."""

    def read(resource: Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        order = payment_of(resource)
        amount, currency = maybe_money(resource.get("amount"), "amount")
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, order or own), (RefKind.CHARGE, own), (RefKind.REFERENCE, reference_of(resource))
            ),
            facts=(fact_of(resource, own, amount, order),),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=order or own,
        )

    return read


def _voided(resource: Resource, own: str, _amount: int, _order: str | None) -> Fact:
    """Tell a void from the end of the authorization's time, which come under one kind."""
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
        order, authorization = payment_of(resource), authorization_of(resource)
        amount, currency = maybe_money(resource.get("amount"), "amount")
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, order or own),
                (RefKind.CAPTURE, own),
                (RefKind.CHARGE, authorization),
                (RefKind.SHARED, id_or_none(resource.get("billing_agreement_id"))),
                (RefKind.REFERENCE, reference_of(resource)),
            ),
            facts=facts_of(order, authorization or _unreserved(resource, order, own), own, amount),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=order or own,
        )

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
                (RefKind.PAYMENT, payment_of(resource)),
                (RefKind.CAPTURE, capture),
                (RefKind.REFUND, own),
            ),
            facts=(refund(own, state or status, amount, payment=capture),),
            currency=currency,
            amount=amount,
        )

    return read


def _status(resource: Resource) -> str:
    """Return a refund's status, which version 1 calls its state, in small letters; it is done where none is told."""
    told = next((one for one in (resource.get("status"), resource.get("state")) if isinstance(one, str) and one), None)
    return (told or "COMPLETED").upper()


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
        refs=refs_of((RefKind.PAYMENT, payment_of(resource)), (RefKind.CAPTURE, capture)),
        facts=(reversal(own, capture, amount),),
        currency=currency,
        amount=amount,
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
    "CHECKOUT.ORDER.APPROVED": _order(lambda key, _units: (attempt(key, "created"),)),
    "CHECKOUT.ORDER.COMPLETED": _order(_completed),
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": _approval_reversed,
    "PAYMENT.AUTHORIZATION.CREATED": _authorization_event(_reserved),
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
