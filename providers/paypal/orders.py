"""What PayPal says of orders: what was asked for, and which authorizations and captures were made of it.

An order of one payee is one payment, and all that stands under the order is of it. One of several payees is a payment
for each of them (`payees`), which the order's id names only together with the payee's merchant account; its units name
it as well, within the order, and so do the captures that it lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from providers.core.meaning import in_scope, need_id, refs_of, undecodable
from providers.core.payments import Facts, attempt, authorized, captured, ended, iso_seconds, micros, terms
from providers.core.reading import value_at
from providers.paypal.payees import PayeePart, chosen, parts_of, unit_names_of
from providers.paypal.resource import Resource, authorization_of, listed, maybe_money, money, reference_of
from schemas.facts import Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact


def read_order(order: Resource, kind: str, body: bytes, event_id: str) -> Meaning:
    """Read an order, or the part of it that is the payee's whom the event's id names; see `FACTS` for the kinds."""
    part, several = part_of(order, body, event_id)
    key = need_id(order.get("id"), "resource.id")
    sums = [maybe_money(unit.get("amount"), "purchase_units.amount") for unit in part.units]
    currencies = {currency for _, currency in sums}
    if None not in currencies and len(currencies) != 1:
        raise undecodable("purchase_units is no list of amounts in one currency")
    total = sum(amount for amount, _ in sums)
    meaning = Meaning(
        refs=(*_order_refs(key, part, several=several), *_captures_of(part.units)),
        facts=(terms(key, total), *FACTS[kind](key, part.units)),
        opens=True,
        currency=None if None in currencies else sums[0][1],
        amount=total,
        provider_ref=key,
        order=key if part.account or not several else None,
        sole=not several,
    )
    return in_scope(meaning, part.account)


def part_of(order: Resource, body: bytes, event_id: str) -> tuple[PayeePart, bool]:
    """Return the part of an order that an event is about, and whether the order has several."""
    parts = parts_of(order)
    return parts[chosen(tuple(part.label for part in parts), body, event_id)], len(parts) > 1


def _order_refs(order: str, part: PayeePart, *, several: bool) -> tuple[Ref, ...]:
    """Return what names the payment: of one payee the order; else its part by the payee's account and by its units.

    Without the payee's account no client can promise that part, so no reference of the merchant's is given for it.
    """
    reference = reference_of(part.units[0]) if len(part.units) == 1 else None
    if not several:
        return refs_of((RefKind.PAYMENT, order), (RefKind.SESSION, order), (RefKind.REFERENCE, reference))
    return refs_of(
        (RefKind.PAYMENT, order if part.account else None),
        *((RefKind.SESSION, f"{order}:{name}") for name in part.unit_names),
        (RefKind.SHARED, order),
        (RefKind.REFERENCE, reference if part.account else None),
    )


def _captures_of(units: tuple[Resource, ...]) -> tuple[Ref, ...]:
    """Return references to the captures that an order lists, by which refunds and disputes name it."""
    captures = [one for unit in units for one in listed(value_at(unit, "payments", "captures"))]
    return tuple(Ref(RefKind.CAPTURE, need_id(one.get("id"), "captures.id")) for one in captures)


def _completed(key: str, units: tuple[Resource, ...]) -> Facts:
    """Give what the order lists, under the keys of its own events; one that lists nothing is on its way."""
    return tuple(fact for unit in units for fact in _unit(key, unit)) or (attempt(key, "processing"),)


def _unit(order: str, unit: Resource) -> Facts:
    authorizations = listed(value_at(unit, "payments", "authorizations"))
    facts: Facts = ()
    for one in authorizations:
        if one.get("status") in _RESERVED:
            amount, _ = money(one.get("amount"), "authorizations.amount")
            facts += (reserved(one, need_id(one.get("id"), "authorizations.id"), amount, order),)
    for one in listed(value_at(unit, "payments", "captures")):
        if one.get("status") in _TAKEN:
            key, amount = need_id(one.get("id"), "captures.id"), money(one.get("amount"), "captures.amount")[0]
            # Beside listed authorizations a capture that names none of them belongs to one of them all the same.
            parent = authorization_of(one) or (None if authorizations else order)
            facts += (captured(key, amount, authorization=parent),)
    return facts


def reserved(resource: Resource, own: str, amount: int, order: str | None) -> Fact:
    """Say what an authorization reserves, in the place of an older one of its order."""
    version = micros(iso_seconds(resource.get("create_time")))
    return authorized(own, amount, attempt=order, replaces=order, version=version)


_RESERVED: Final = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
_TAKEN: Final = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")

FACTS: Final[dict[str, Callable[[str, tuple[Resource, ...]], Facts]]] = {
    "CHECKOUT.ORDER.APPROVED": lambda key, _units: (attempt(key, "created"),),
    "CHECKOUT.ORDER.COMPLETED": _completed,
}


def read_reversed_approval(resource: Resource, body: bytes, event_id: str) -> Meaning:
    """Read the end of an approved order that was not captured in time: PayPal canceled it.

    It lists units without their payees, so it is an event of each unit, whose name finds the part that it is of.
    """
    key = need_id(resource.get("order_id"), "resource.order_id")
    names = unit_names_of(resource)
    facts = (ended(key, "canceled"),)
    if len(names) < 2:  # noqa: PLR2004 - several
        return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=facts, provider_ref=key)
    own = names[chosen(names, body, event_id)]
    return Meaning(refs=refs_of((RefKind.SESSION, f"{key}:{own}")), facts=facts, provider_ref=key, order=key)
