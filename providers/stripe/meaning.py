"""What Stripe's events mean; payments are PaymentIntents, or bare charges in older integrations.

Sources: Stripe's webhook documentation and `stripe-python` (event names and object fields of version 16.1). Amounts are
minor units as Stripe writes them; a meaning has them in those of ISO 4217.

A payment's key is the PaymentIntent's id, or the charge's id where there is no PaymentIntent. Stripe's figures for
authorized, captured and refunded money are cumulative, so they stand under that key and the larger one wins:
payment_intent.succeeded and charge.succeeded say one fact. A try at paying is keyed by its charge, else by its payment
method, else by the intent; a refund and a dispute by their own ids. `created` of the event, signed, orders the states
of one object, never objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from providers.core.meaning import (
    decode_or_raise,
    in_scope,
    maybe_id,
    maybe_time,
    need_amount,
    need_id,
    refs_of,
    undecodable,
    unknown_kind,
)
from providers.core.money import meaning_in_iso_units
from providers.core.payments import Facts, authorized, captured, ended, refunded_in_all, summed, terms, void
from providers.core.reading import value_at
from providers.stripe.disputes import listed_refunds, read_dispute, read_refund
from providers.stripe.sessions import (
    INVOICE_KINDS,
    SESSION_KINDS,
    read_expired,
    read_invoice,
    read_invoice_payment,
    read_session,
)
from providers.stripe.thin import THIN, read_thin
from providers.stripe.things import (
    Data,
    StripeEvent,
    Thing,
    asked_of,
    id_of,
    named_beside,
    tries,
    undoable_days,
    version_of,
)
from schemas.facts import FactKind, Meaning, RefKind


class _Envelope(msgspec.Struct):
    type: Any = None


_in_iso_units: Final = partial(meaning_in_iso_units, decimals={"ISK": 2, "UGX": 2, "MGA": 0})
"""Stripe's minor units (docs.stripe.com/currencies, zero-decimal currencies and special cases): ISK and UGX have no
decimals and are written with two, MGA is written without; all others are as in ISO 4217."""

_EVENT: Final = msgspec.json.Decoder(StripeEvent)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside the payment families say nothing."""
    whole = kind.removeprefix(THIN)
    if whole != kind and whole in _READERS:
        return read_thin(kind, body)
    reader = _READERS.get(kind)
    if reader is None:
        if decode_or_raise(_ENVELOPE, body).type != kind:
            raise undecodable("the body's type is not the kind it came as")
        if whole.startswith(_PAYMENT_FAMILIES):
            raise unknown_kind(kind)
        return Meaning()
    event = decode_or_raise(_EVENT, body)
    if event.type != kind:
        raise undecodable("the body's type is not the kind it came as")
    return in_scope(_in_iso_units(summed(reader(event, event.data.object))), event.account, event.livemode)


# --- payment_intent.* --------------------------------------------------------------------------------------------


def _intent(kind: str) -> Callable[[StripeEvent, Thing], Meaning]:
    def read(event: StripeEvent, intent: Thing) -> Meaning:
        key = need_id(intent.id, "data.object.id")
        charge = id_of(intent.latest_charge, "latest_charge")
        total, currency = asked_of(intent)
        amount, facts = _INTENT_FACTS[kind](intent, key, charge, total, version_of(event))
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, charge), *named_beside(intent)),
            facts=(terms(key, total, version=version_of(event)), *facts) if facts else (),
            opens=bool(facts),
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.created),
            undoable_days=_undoable_days(intent, facts),
        )

    return read


def _undoable_days(thing: Thing, facts: Facts) -> int:
    """Return how long money that was taken may be taken back: a bank's late failure comes as a dispute."""
    return undoable_days(thing) if any(fact.kind is FactKind.CAPTURE for fact in facts) else 0


_Read = tuple[int, Facts]
"""An event's headline amount and what it adds."""


_IntentReader = Callable[[Thing, str, str | None, int, int], _Read]
"""Takes the intent, its id, its charge's, its amount and the version."""


def _progress(state: str) -> _IntentReader:
    """Name the try by its payment method, in older integrations by its charge, else by the intent alone.

    `latest_charge` of a second try that waits for the customer is still the failed charge of the first.
    """

    def read(intent: Thing, key: str, charge: str | None, total: int, version: int) -> _Read:
        own = id_of(intent.payment_method, "payment_method") or charge or key
        return total, tries((key if state == "created" else own,), state, key, version)

    return read


def _intent_capturable(intent: Thing, key: str, charge: str | None, _total: int, version: int) -> _Read:
    """Read the authorization: what can still be captured and what was.

    The sum holds through several partial captures and grows with an incremental authorization. It falls when Stripe
    releases the rest after a final capture; the larger figure wins, so `authorized` keeps what was reserved. What was
    received while the rest waits is captured (multicapture).
    """
    received = need_amount(intent.amount_received or 0, "amount_received")
    reserved = need_amount(need_amount(intent.amount_capturable, "amount_capturable") + received, "the sum")
    if not reserved:
        return 0, ()
    taken = (captured(key, received, authorization=key),) if received else ()
    return reserved, (authorized(key, reserved), *taken, *tries((charge,), "succeeded", key, version))


def _intent_succeeded(intent: Thing, key: str, charge: str | None, _total: int, version: int) -> _Read:
    return _paid(key, charge, need_amount(intent.amount_received, "amount_received"), version)


def _paid(key: str, charge: str | None, taken: int, version: int) -> _Read:
    """Give the money taken so far; less than the intent's amount reads as partially captured."""
    return taken, (captured(key, taken, authorization=key), *tries((charge,), "succeeded", key, version))


def _intent_failed(intent: Thing, key: str, charge: str | None, total: int, version: int) -> _Read:
    """Name the failed try by its charge and its payment method; one that had neither by the intent."""
    error = intent.last_payment_error if isinstance(intent.last_payment_error, dict) else {}
    failed = id_of(error.get("charge"), "last_payment_error.charge") or charge
    method = id_of(error.get("payment_method"), "last_payment_error.payment_method")
    return total, tries((failed, method) if failed or method else (key,), "failed", key, version)


def _intent_canceled(_intent: Thing, key: str, _charge: str | None, total: int, _version: int) -> _Read:
    return total, (ended(key, "canceled"),)


_INTENT_FACTS: Final[dict[str, _IntentReader]] = {
    "payment_intent.created": _progress("created"),
    "payment_intent.requires_action": _progress("requires_action"),
    "payment_intent.processing": _progress("processing"),
    "payment_intent.partially_funded": lambda _intent, _key, _charge, total, _version: (total, ()),
    "payment_intent.amount_capturable_updated": _intent_capturable,
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.payment_failed": _intent_failed,
    "payment_intent.canceled": _intent_canceled,
}


# --- charge.* ----------------------------------------------------------------------------------------------------


def _charge(kind: str) -> Callable[[StripeEvent, Thing], Meaning]:
    def read(event: StripeEvent, charge: Thing) -> Meaning:
        own = need_id(charge.id, "data.object.id")
        key = id_of(charge.payment_intent, "payment_intent") or own
        total, currency = asked_of(charge)
        version = version_of(event)
        amount, facts = _CHARGE_FACTS[kind](charge, key, own, total, version)
        opens = bool(facts) and kind != "charge.refunded"
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, own), *named_beside(charge)),
            facts=(terms(key, total, version=version), *facts) if opens else facts,
            opens=opens,
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.created),
            undoable_days=_undoable_days(charge, facts),
        )

    return read


def _is_captured(charge: Thing) -> bool:
    """Tell whether a charge's money was taken; one that does not tell is older than authorizations, and took it all."""
    if charge.captured is None:
        return True
    if not isinstance(charge.captured, bool):
        raise undecodable("captured is no boolean")
    return charge.captured


_ChargeReader = Callable[[Thing, str, str, int, int], _Read]
"""Takes the charge, its payment's id, its own, its amount and the version."""


def _charge_tried(state: str) -> _ChargeReader:
    def read(charge: Thing, key: str, own: str, total: int, version: int) -> _Read:
        method = charge.payment_method if isinstance(charge.payment_method, str) else None
        return total, tries((own, maybe_id(method, "payment_method")), state, key, version)

    return read


def _charge_succeeded(charge: Thing, key: str, own: str, total: int, version: int) -> _Read:
    if _is_captured(charge):
        return _charge_captured(charge, key, own, total, version)
    reserved = _reserved(charge, total)
    return reserved, (authorized(key, reserved), *tries((own,), "succeeded", key, version))


def _reserved(charge: Thing, total: int) -> int:
    """Return what the bank reserved: with partial authorization that is less than the charge's amount."""
    given = value_at(charge.payment_method_details, "card", "amount_authorized")
    return total if given is None else need_amount(given, "amount_authorized")


def _charge_captured(charge: Thing, key: str, own: str, total: int, version: int) -> _Read:
    return _paid(key, own, _captured_of(charge, total), version)


def _captured_of(charge: Thing, total: int) -> int:
    """Return what was captured; without the figure (it is there since 2020) what was not released with the capture."""
    if charge.amount_captured is not None:
        return need_amount(charge.amount_captured, "amount_captured")
    return max(total - need_amount(charge.amount_refunded or 0, "amount_refunded"), 0)


def _charge_updated(charge: Thing, key: str, own: str, total: int, version: int) -> _Read:
    """Read a charge that succeeded as such, for part captures show here too; any other change says nothing."""
    return _charge_succeeded(charge, key, own, total, version) if charge.status == "succeeded" else (total, ())


def _charge_refunded(charge: Thing, key: str, _own: str, total: int, _version: int) -> _Read:
    """Read the cumulative refunds; of a charge that was never captured it is a release.

    After a partial capture `amount_refunded` also counts the rest that Stripe released, which never was money taken.
    What is left after taking it off is a floor; the refunds themselves come under their own ids.
    """
    given_back = need_amount(charge.amount_refunded, "amount_refunded")
    if not _is_captured(charge):
        return given_back, (void(key, "canceled"),)
    taken = total if charge.amount_captured is None else need_amount(charge.amount_captured, "amount_captured")
    floor = given_back - max(total - taken, 0)
    if floor <= 0:
        return given_back, ()
    named = listed_refunds(charge, key) if taken >= total else ()
    return given_back, (refunded_in_all(key, floor), *named)


_CHARGE_FACTS: Final[dict[str, _ChargeReader]] = {
    "charge.pending": _charge_tried("processing"),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_captured,
    "charge.failed": _charge_tried("failed"),
    "charge.expired": lambda _charge, key, _own, total, _version: (total, (void(key, "expired"),)),
    "charge.refunded": _charge_refunded,
    "charge.updated": _charge_updated,
}


_PAYMENT_FAMILIES: Final = ("payment_intent.", "charge.", "refund.")

_READERS: Final[dict[str, Callable[[StripeEvent, Thing], Meaning]]] = {
    **{kind: _intent(kind) for kind in _INTENT_FACTS},
    **{kind: _charge(kind) for kind in _CHARGE_FACTS},
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), read_refund),
    **dict.fromkeys(("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"), read_dispute(None)),
    "charge.dispute.funds_withdrawn": read_dispute("withdrawn"),
    "charge.dispute.funds_reinstated": read_dispute("reinstated"),
    **{kind: read_session(kind) for kind in SESSION_KINDS},
    "checkout.session.expired": read_expired,
    **dict.fromkeys(INVOICE_KINDS, read_invoice),
    "invoice_payment.paid": read_invoice_payment,
}

INTENT_KINDS: Final = frozenset(_INTENT_FACTS)


def meaning_of(kind: str, thing: Thing) -> Meaning:
    """Return what an object says when it stands in an event of that kind, which is one that we read."""
    return _in_iso_units(summed(_READERS[kind](StripeEvent(Data(thing)), thing)))
