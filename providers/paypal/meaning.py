"""What PayPal's webhook events mean.

Sources: PayPal's webhook event names and the Orders v2, Payments v2 and Disputes v1 references. Amounts are major
units, as text. PayPal writes HUF and TWD without decimals; minor units are those of ISO 4217 all the same.

A payment is an order. One order may hold several authorizations and captures (purchase units, partial captures), so
each authorization is keyed by its own id, and a capture that was made without one belongs to the order. The merchant's
reference is `invoice_id`, which PayPal keeps unique; `custom_id` is free text that many payments may share.

The kinds of Payments v1 (PAYMENT.SALE.*) have other shapes: `unknown_kind`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from providers.core.meaning import maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    capture_failed,
    capture_pending,
    captured,
    dispute,
    ended,
    iso_seconds,
    major_units,
    need_kind,
    need_object,
    need_state,
    read_event,
    refund,
    reversal,
    said_nothing,
    terms,
    void,
)
from providers.core.reading import value_at
from providers.paypal.links import linked
from schemas.facts import Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact

_Resource = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside orders, payments and disputes say nothing."""
    event = read_event(body)
    need_kind(event.get("event_type"), kind)
    reader = _READERS.get(kind)
    if reader is None:
        return said_nothing(kind, _PAYMENT_FAMILIES)
    meaning = reader(need_object(event.get("resource"), "resource"))
    return replace(meaning, occurred_at=iso_seconds(event.get("create_time")))


def _money(value: Any, what: str) -> tuple[int, str]:
    currency = need_currency(value_at(value, "currency_code"), f"{what}.currency_code")
    return major_units(value_at(value, "value"), currency, f"{what}.value"), currency


def _related(resource: _Resource, name: str) -> str | None:
    return maybe_id(value_at(resource, "supplementary_data", "related_ids", name), name)


def _reference(resource: _Resource) -> str | None:
    return maybe_id(resource.get("invoice_id"), "invoice_id")


# --- CHECKOUT.ORDER.* --------------------------------------------------------------------------------------------


def _order(facts_of: Callable[[str, list[_Resource]], Facts]) -> Callable[[_Resource], Meaning]:
    """Read an order; its terms are the sum of its purchase units."""

    def read(order: _Resource) -> Meaning:
        key = need_id(order.get("id"), "resource.id")
        units = _listed(order.get("purchase_units"))
        sums = [_money(unit.get("amount"), "purchase_units.amount") for unit in units]
        if len({currency for _, currency in sums}) != 1:
            raise undecodable("purchase_units is no list of amounts in one currency")
        total = sum(amount for amount, _ in sums)
        reference = _reference(units[0]) if len(units) == 1 else None
        return Meaning(
            refs=(*refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, reference)), *_captures_of(units)),
            facts=(terms(key, total), *facts_of(key, units)),
            opens=True,
            currency=sums[0][1],
            amount=total,
            provider_ref=key,
        )

    return read


def _listed(value: Any) -> list[_Resource]:
    """Return the objects of a list; anything else is as good as absent."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _captures_of(units: list[_Resource]) -> tuple[Ref, ...]:
    """Return references to the captures that an order lists, by which refunds and disputes name it."""
    listed = [one for unit in units for one in _listed(value_at(unit, "payments", "captures"))]
    return tuple(Ref(RefKind.CAPTURE, need_id(one.get("id"), "captures.id")) for one in listed)


def _completed(key: str, units: list[_Resource]) -> Facts:
    """Give what the order lists, under the keys of its own events; one that lists nothing is on its way."""
    return tuple(fact for unit in units for fact in _unit(key, unit)) or (attempt(key, "processing"),)


def _unit(order: str, unit: _Resource) -> Facts:
    authorizations = _listed(value_at(unit, "payments", "authorizations"))
    facts: Facts = ()
    for one in authorizations:
        if one.get("status") in _RESERVED:
            amount, _ = _money(one.get("amount"), "authorizations.amount")
            facts += (authorized(need_id(one.get("id"), "authorizations.id"), amount, attempt=order),)
    for one in _listed(value_at(unit, "payments", "captures")):
        if one.get("status") in _TAKEN:
            key, amount = need_id(one.get("id"), "captures.id"), _money(one.get("amount"), "captures.amount")[0]
            # Beside listed authorizations a capture that names none of them belongs to one of them all the same.
            facts += (captured(key, amount, authorization=_authorization(one) or (None if authorizations else order)),)
    return facts


_RESERVED: Final = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
_TAKEN: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def _approval_reversed(resource: _Resource) -> Meaning:
    """Read the end of an approved order that was not captured in time: PayPal canceled it."""
    key = need_id(resource.get("order_id"), "resource.order_id")
    return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=(ended(key, "canceled"),), provider_ref=key)


# --- PAYMENT.AUTHORIZATION.* -------------------------------------------------------------------------------------


def _authorization_event(fact_of: Callable[[_Resource, str, int, str | None], Fact]) -> Callable[[_Resource], Meaning]:
    """Read an authorization; `fact_of` gets it, its id, its amount and its order."""

    def read(resource: _Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        order = _related(resource, "order_id")
        amount, currency = _money(resource.get("amount"), "amount")
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, order or own), (RefKind.CHARGE, own), (RefKind.REFERENCE, _reference(resource))
            ),
            facts=(fact_of(resource, own, amount, order),),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=order or own,
        )

    return read


def _voided(resource: _Resource, own: str, _amount: int, _order: str | None) -> Fact:
    """Tell a void from the end of the authorization's time, which come under one kind."""
    ended, voided = iso_seconds(resource.get("expiration_time")), iso_seconds(resource.get("update_time"))
    expired = ended is not None and voided is not None and voided >= ended
    return void(own, "expired" if expired else "canceled")


# --- PAYMENT.CAPTURE.* -------------------------------------------------------------------------------------------


def _authorization(capture: _Resource) -> str | None:
    return _related(capture, "authorization_id") or linked(capture.get("links"), "up", "authorizations")


def _capture(facts_of: Callable[[str | None, str, str, int], Facts]) -> Callable[[_Resource], Meaning]:
    """Read a capture; `facts_of` gets its order, its authorization (else the payment), its own id and the amount."""

    def read(resource: _Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        order, authorization = _related(resource, "order_id"), _authorization(resource)
        amount, currency = _money(resource.get("amount"), "amount")
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, order or own),
                (RefKind.CAPTURE, own),
                (RefKind.CHARGE, authorization),
                (RefKind.REFERENCE, _reference(resource)),
            ),
            facts=facts_of(order, authorization or order or own, own, amount),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=order or own,
        )

    return read


def _pending(order: str | None, authorization: str, own: str, amount: int) -> Facts:
    taking = capture_pending(own, amount, authorization=authorization)
    return (attempt(own, "processing", amount=amount, payment=order), taking)


def _denied(order: str | None, authorization: str, own: str, amount: int) -> Facts:
    failed = capture_failed(own, amount, authorization=authorization)
    return (attempt(own, "failed", amount=amount, payment=order), *failed)


def _refund(state: str | None) -> Callable[[_Resource], Meaning]:
    """Read a refund, which names its capture by the link `up`; without `state` its own status tells it."""

    def read(resource: _Resource) -> Meaning:
        own = need_id(resource.get("id"), "resource.id")
        amount, currency = _money(resource.get("amount"), "amount")
        status = need_state(_REFUND_STATES, resource.get("status", "COMPLETED"), "resource.status")
        capture = _capture_of(resource)
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, _related(resource, "order_id")),
                (RefKind.CAPTURE, capture),
                (RefKind.REFUND, own),
            ),
            facts=(refund(own, state or status, amount, payment=capture),),
            currency=currency,
            amount=amount,
        )

    return read


_REFUND_STATES: Final = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "canceled",
}


def _capture_of(resource: _Resource) -> str:
    return need_id(
        linked(resource.get("links"), "up", "captures") or _related(resource, "capture_id"), "the capture's link"
    )


def _reversed(resource: _Resource) -> Meaning:
    """Read money that PayPal took back: the resource is the capture, or like a refund, of a part perhaps."""
    own = need_id(resource.get("id"), "resource.id")
    capture = own if linked(resource.get("links"), "self", "captures") == own else _capture_of(resource)
    amount, currency = _money(resource.get("amount"), "amount")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, _related(resource, "order_id")), (RefKind.CAPTURE, capture)),
        facts=(reversal(own, capture, amount),),
        currency=currency,
        amount=amount,
    )


# --- CUSTOMER.DISPUTE.* ------------------------------------------------------------------------------------------


def _dispute(state_of: Callable[[_Resource], str]) -> Callable[[_Resource], Meaning]:
    """Read a dispute; `seller_transaction_id` is the capture. Its events do not tell whether money moved."""

    def read(resource: _Resource) -> Meaning:
        own = need_id(resource.get("dispute_id"), "resource.dispute_id")
        transaction = value_at(resource, "disputed_transactions", 0, "seller_transaction_id")
        amount, currency = _money(resource.get("dispute_amount"), "dispute_amount")
        capture = need_id(transaction, "disputed_transactions.seller_transaction_id")
        return Meaning(
            refs=refs_of(
                (RefKind.CAPTURE, capture),
                (RefKind.DISPUTE, own),
            ),
            facts=(dispute(own, state_of(resource), payment=capture),),
            currency=currency,
            amount=amount,
        )

    return read


def _dispute_opened(resource: _Resource) -> str:
    return "inquiry" if resource.get("dispute_life_cycle_stage") == "INQUIRY" else "open"


def _dispute_updated(resource: _Resource) -> str:
    status = resource.get("status")
    if status == "RESOLVED":
        return _dispute_outcome(resource)
    waits = status in ("OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE")
    return _dispute_opened(resource) if waits else "under_review"


def _dispute_outcome(resource: _Resource) -> str:
    outcome = value_at(resource, "dispute_outcome", "outcome_code")
    return need_state(_OUTCOMES, outcome, "dispute_outcome.outcome_code")


_OUTCOMES: Final = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "DENIED": "won",
    "CANCELED_BY_BUYER": "won",
}
"""RESOLVED_WITH_PAYOUT and NONE do not tell who won: such an event is for people to look at."""

_PAYMENT_FAMILIES: Final = (
    "CHECKOUT.",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.AUTHORIZATION.",
    "PAYMENT.CAPTURE.",
    "PAYMENT.ORDER.",
    "PAYMENT.REFUND.",
    "PAYMENT.SALE.",
)

_READERS: Final[dict[str, Callable[[_Resource], Meaning]]] = {
    "CHECKOUT.ORDER.APPROVED": _order(lambda key, _units: (attempt(key, "created"),)),
    "CHECKOUT.ORDER.COMPLETED": _order(_completed),
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": _approval_reversed,
    "PAYMENT.AUTHORIZATION.CREATED": _authorization_event(
        lambda _resource, own, amount, order: authorized(own, amount, attempt=order)
    ),
    "PAYMENT.AUTHORIZATION.VOIDED": _authorization_event(_voided),
    "PAYMENT.CAPTURE.PENDING": _capture(_pending),
    "PAYMENT.CAPTURE.COMPLETED": _capture(
        lambda _order, authorization, own, amount: (captured(own, amount, authorization=authorization),)
    ),
    **dict.fromkeys(("PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.DECLINED"), _capture(_denied)),
    "PAYMENT.CAPTURE.REFUNDED": _refund(None),
    "PAYMENT.CAPTURE.REVERSED": _reversed,
    "PAYMENT.REFUND.PENDING": _refund("pending"),
    "PAYMENT.REFUND.FAILED": _refund("failed"),
    "CUSTOMER.DISPUTE.CREATED": _dispute(_dispute_opened),
    "CUSTOMER.DISPUTE.UPDATED": _dispute(_dispute_updated),
    "CUSTOMER.DISPUTE.RESOLVED": _dispute(_dispute_outcome),
}
