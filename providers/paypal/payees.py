"""Whose money an order is: its purchase units, shared out to their payees.

Source: Orders v2.13 (`checkout_orders_v2.json` of PayPal's API specifications). An order has up to ten purchase units,
each "a contract between a payer and the payee", with a `payee` of its own: `merchant_id`, the account's id, and
`email_address`, either of which may be absent; money may be sent to an address that has no account yet. An order of one
payee is one payment. One of several has an event for each of them, all with the webhook's body and an id made of the
webhook's and the payee's; the first keeps the webhook's. Where there are several units each has a `reference_id`.

A payee without `merchant_id` has no merchant account: its part goes by its units. No e-mail address leaves this module.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from providers.core.meaning import undecodable
from providers.core.reading import text_at, value_at
from providers.paypal.resource import Resource, listed

PART_MARK: Final = ":"
"""Stands between the webhook's id and what tells its parts apart."""
COPIES_BYTES_MAX: Final = 4 * 1024 * 1024
"""What all copies of one body may come to: a genuine dispute of 70 transactions has 50 KiB."""
_PLAIN: Final = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class PayeePart:
    """What of an order is one payee's: its purchase units, and the names of those within the order.

    `label` tells it from the order's other parts. `account` is the payee's merchant account, "" where it is not named.
    """

    label: str
    account: str
    units: tuple[Resource, ...]
    unit_names: tuple[str, ...]


def parts_of(order: Resource) -> tuple[PayeePart, ...]:
    """Return an order's parts, sorted by their labels: one of all units unless they name several payees."""
    units = listed(order.get("purchase_units"))
    payees = _payees(units)
    names = unit_names_of(order)
    parts = []
    for payee in dict.fromkeys(payees):
        own = [place for place, one in enumerate(payees) if one == payee]
        account = account_of(next((units[place] for place in own if account_of(units[place])), {}))
        label = _short(account) if account else f"unit-{min(names[place] for place in own)}"
        parts.append(PayeePart(label, account, tuple(units[i] for i in own), tuple(names[i] for i in own)))
    return tuple(sorted(parts, key=lambda part: part.label)) or (PayeePart("", "", (), ()),)


def account_of(resource: Resource) -> str:
    """Return the merchant account that a unit, a capture or an authorization is paid to; "" where it names none."""
    return text_at(resource, "payee", "merchant_id") or ""


def _payees(units: list[Resource]) -> list[str]:
    """Return who each unit is paid to: an account, an address of which no unit tells the account, or nobody named."""
    emails = [(text_at(unit, "payee", "email_address") or "").lower() for unit in units]
    named = list(zip(map(account_of, units), emails, strict=True))
    known = {email: account for account, email in named if email and account}
    return [account or known.get(email, email) for account, email in named]


def unit_names_of(order: Resource) -> tuple[str, ...]:
    """Return what each purchase unit goes by within its order: its `reference_id`; its place where those are no ids."""
    named = [value_at(unit, "reference_id") for unit in listed(order.get("purchase_units"))]
    ids = [one for one in named if isinstance(one, str) and one]
    if len(set(ids)) != len(named):
        return tuple(str(place) for place in range(len(named)))
    return tuple(map(_short, ids))


def _short(text: str) -> str:
    """Return a text that a merchant made up as it is, or its digest where it is too long for an id or no plain text."""
    return text if _PLAIN.fullmatch(text) else hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _copies_max(body: bytes) -> int:
    """Return how many events may have this body."""
    return COPIES_BYTES_MAX // max(len(body), 1)


def if_copied(labels: tuple[str, ...], body: bytes) -> tuple[str, ...]:
    """Return the labels of events that all have this body; () where one event has it, or more would than may."""
    return labels if 1 < len(labels) <= _copies_max(body) else ()


def labels_of(kind: str, body: bytes, resource: object) -> tuple[str, ...]:
    """Return the labels of the events that an order's webhook makes; () where it makes one.

    Each is a copy of the body, so together they are bounded; `chosen` refuses what is beyond.
    """
    order = resource if isinstance(resource, dict) else {}
    found: tuple[str, ...] = ()
    if kind.startswith("CHECKOUT.ORDER."):
        found = tuple(part.label for part in parts_of(order))
    elif kind == APPROVAL_REVERSED:
        found = unit_names_of(order)
    return if_copied(found, body)


APPROVAL_REVERSED: Final = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
"""Its order lists purchase units without their payees."""


def chosen(labels: tuple[str, ...], body: bytes, event_id: str, named_by: str = "the order has {} payees") -> int:
    """Return the place of the label that an event's id names after `PART_MARK`, or the first's.

    `named_by` says in an error what named so many, with their number at `{}`.
    """
    if len(labels) > max(_copies_max(body), 1):
        raise undecodable(f"{named_by.format(len(labels))}, too many for an event of each")
    named = [place for place, one in enumerate(labels[1:], start=1) if event_id.endswith(PART_MARK + one)]
    return max(named, key=lambda place: len(labels[place]), default=0)
