"""Stripe's objects and events as far as they are read, and what is read of all of them alike."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from providers.core.meaning import id_or_none, maybe_id, maybe_time, need_amount, need_currency
from providers.core.payments import Facts, attempt, if_given
from providers.core.reading import value_at
from schemas.facts import RefKind


class Thing(msgspec.Struct):
    """What we read of `data.object`; a field of another shape is refused only by the kind that needs it."""

    id: Any = None
    payment_intent: Any = None
    payment_method: Any = None
    charge: Any = None
    latest_charge: Any = None
    last_payment_error: Any = None
    payment_method_details: Any = None
    payment_method_types: Any = None
    disputed: Any = None
    client_reference_id: Any = None
    invoice: Any = None
    subscription: Any = None
    payment: Any = None
    parent: Any = None
    payment_status: Any = None
    metadata: Any = None
    amount: Any = None
    amount_capturable: Any = None
    amount_received: Any = None
    amount_captured: Any = None
    amount_refunded: Any = None
    amount_total: Any = None
    captured: Any = None
    currency: Any = None
    refunds: Any = None
    balance_transaction: Any = None
    balance_transactions: Any = None
    status: Any = None


class Data(msgspec.Struct):
    """`data` of an event."""

    object: Thing


class StripeEvent(msgspec.Struct):
    """What we read of an event: `account` names the connected account that it is about."""

    data: Data
    type: Any = None
    created: Any = None
    account: Any = None
    livemode: Any = None


def id_of(value: object, what: str) -> str | None:
    """Return an id that may come expanded to its whole object."""
    return maybe_id(value.get("id") if isinstance(value, dict) else value, what)


def asked_of(thing: Thing) -> tuple[int, str | None]:
    """Return the amount of an object, of a session its total, and the currency; 0 and None where one is absent."""
    amount, currency = thing.amount_total if thing.amount is None else thing.amount, thing.currency
    return if_given(lambda: (need_amount(amount, "amount"), need_currency(currency, "currency")), amount, currency)


_UNDOABLE_DAYS: Final = {
    **dict.fromkeys(
        ("ach_debit", "us_bank_account", "sepa_debit", "bacs_debit", "au_becs_debit", "nz_bank_account"), 60
    ),
    "acss_debit": 90,
}
"""Bank debits. A payer has 60 days at ACH and eight weeks at SEPA, "no questions asked" (support.stripe.com, "Disputes
for ACH payments", "SEPA Direct Debit payment disputes"), and 90 in Canada; nobody is asked for longer than that."""


def undoable_days(thing: Thing) -> int:
    """Return for how long a bank may take a charge or an intent back by itself, 0 where none may."""
    given = value_at(thing.payment_method_details, "type")
    types = [given] if given else thing.payment_method_types
    days = [_UNDOABLE_DAYS.get(str(one), 0) for one in types] if isinstance(types, list) else []
    return max(days) if days and all(days) else 0


def name_of(value: object) -> str | None:
    """Return an id that a payment can do without, also of an expanded object; None where it cannot be one."""
    return id_or_none(value.get("id") if isinstance(value, dict) else value)


def reference_of(thing: Thing) -> str | None:
    """Return the merchant's own reference from the metadata; None where it is none that can be kept."""
    metadata = thing.metadata if isinstance(thing.metadata, dict) else {}
    return id_or_none(metadata.get("reference")) or id_or_none(metadata.get("order_id"))


def named_beside(thing: Thing) -> tuple[tuple[RefKind, str | None], ...]:
    """Return the other names of a payment: the invoice that it pays (before 2025-03-31), the merchant's reference."""
    return (RefKind.PAYMENT, name_of(thing.invoice)), (RefKind.REFERENCE, reference_of(thing))


def version_of(event: StripeEvent) -> int:
    """Return when Stripe made the event, in whole seconds: the newest state of one object stands."""
    return int(maybe_time(event.created) or 0)


def tries(keys: tuple[str | None, ...], state: str, payment: str, version: int) -> Facts:
    """Say where a try stands that goes by several names: its charge, its payment method."""
    named = dict.fromkeys(key for key in keys if key)
    return tuple(attempt(key, state, payment=None if key == payment else payment, version=version) for key in named)
