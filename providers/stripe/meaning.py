"""What Stripe's events mean; payments are PaymentIntents, or bare charges in older integrations.

Sources: Stripe's webhook documentation and `stripe-python` (`WebhookSignature`; event names and object fields of
version 16.1). Amounts are minor units as Stripe writes them.

One attempt of a payment has one key, the PaymentIntent's id, or the charge's id where there is no PaymentIntent.
Stripe's figures for authorized, captured and refunded money are cumulative, so they stand under that key and the larger
one wins: payment_intent.succeeded and charge.succeeded say one fact. A try at paying is keyed by its charge, a refund
and a dispute by their own ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from providers.core.meaning import (
    decode_or_raise,
    maybe_id,
    maybe_time,
    need_amount,
    need_currency,
    need_id,
    refs_of,
    undecodable,
    unknown_kind,
)
from providers.core.reading import value_at
from schemas.facts import Fact, FactKind, Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


class Thing(msgspec.Struct):
    """What we read of `data.object`; a field of another shape is refused only by the kind that needs it."""

    id: Any = None
    payment_intent: Any = None
    charge: Any = None
    latest_charge: Any = None
    last_payment_error: Any = None
    client_reference_id: Any = None
    metadata: Any = None
    amount: Any = None
    amount_capturable: Any = None
    amount_received: Any = None
    amount_captured: Any = None
    amount_refunded: Any = None
    captured: Any = None
    currency: Any = None
    refunds: Any = None
    status: Any = None


class _Data(msgspec.Struct):
    object: Thing


class _Event(msgspec.Struct):
    data: _Data
    type: Any = None
    created: Any = None


class _Envelope(msgspec.Struct):
    type: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)

Facts = tuple[Fact, ...]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside the payment families say nothing."""
    reader = _READERS.get(kind)
    if reader is None:
        if decode_or_raise(_ENVELOPE, body).type != kind:
            raise undecodable("the body's type is not the kind it came as")
        if kind.startswith(_PAYMENT_FAMILIES):
            raise unknown_kind(kind)
        return Meaning()
    event = decode_or_raise(_EVENT, body)
    if event.type != kind:
        raise undecodable("the body's type is not the kind it came as")
    return reader(event, event.data.object)


def _id(value: object, what: str) -> str | None:
    """Return an id that may come expanded to its whole object."""
    return maybe_id(value.get("id") if isinstance(value, dict) else value, what)


def _reference(thing: Thing) -> str | None:
    metadata = thing.metadata if isinstance(thing.metadata, dict) else {}
    return maybe_id(metadata.get("reference"), "metadata.reference") or maybe_id(
        metadata.get("order_id"), "metadata.order_id"
    )


def _terms(amount: int) -> Fact:
    return Fact(FactKind.TERMS, "amount", "provider", amount)


def _attempt(charge: str | None, state: str) -> Facts:
    return (Fact(FactKind.ATTEMPT, charge, state),) if charge else ()


# --- payment_intent.* --------------------------------------------------------------------------------------------


def _intent(kind: str) -> Callable[[_Event, Thing], Meaning]:
    def read(event: _Event, intent: Thing) -> Meaning:
        key = need_id(intent.id, "data.object.id")
        charge = _id(intent.latest_charge, "latest_charge")
        total = need_amount(intent.amount, "amount")
        amount, facts = _INTENT_FACTS[kind](intent, key, charge, total)
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, charge), (RefKind.REFERENCE, _reference(intent))),
            facts=(_terms(total), *facts) if facts else (),
            opens=bool(facts),
            currency=need_currency(intent.currency, "currency"),
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.created),
        )

    return read


_Said = tuple[int, Facts]
"""An event's headline amount and what it adds."""


def _progress(state: str) -> Callable[[Thing, str, str | None, int], _Said]:
    return lambda _intent, key, _charge, total: (total, (Fact(FactKind.PROGRESS, key, state),))


def _intent_capturable(intent: Thing, key: str, charge: str | None, _total: int) -> _Said:
    """Read the authorization: what can still be captured and what was.

    The sum holds through several partial captures and grows with an incremental authorization. It falls when Stripe
    releases the rest after a final capture; the larger figure wins, so `authorized` keeps what was reserved.
    """
    received = need_amount(intent.amount_received or 0, "amount_received")
    reserved = need_amount(need_amount(intent.amount_capturable, "amount_capturable") + received, "the sum")
    if not reserved:
        return 0, ()
    return reserved, (Fact(FactKind.AUTHORIZATION, key, "authorized", reserved), *_attempt(charge, "succeeded"))


def _intent_succeeded(intent: Thing, key: str, charge: str | None, total: int) -> _Said:
    return _paid(key, charge, total, need_amount(intent.amount_received, "amount_received"))


def _paid(key: str, charge: str | None, total: int, captured: int) -> _Said:
    """Give authorization and capture at once; an over-capture raises what was authorized, as Stripe allowed it.

    A capture below the authorized amount is final: Stripe releases the rest (unless it is multicapture), and the
    payment reads as partially captured.
    """
    return captured, (
        Fact(FactKind.AUTHORIZATION, key, "authorized", max(total, captured)),
        Fact(FactKind.CAPTURE, key, "succeeded", captured),
        *_attempt(charge, "succeeded"),
    )


def _intent_failed(intent: Thing, key: str, charge: str | None, total: int) -> _Said:
    """Name the failed try by its charge; one that failed before there was a charge (3-D Secure) by the intent."""
    error = intent.last_payment_error if isinstance(intent.last_payment_error, dict) else {}
    failed = _id(error.get("charge"), "last_payment_error.charge") or charge or key
    return total, (Fact(FactKind.ATTEMPT, failed, "failed"),)


def _intent_canceled(_intent: Thing, key: str, _charge: str | None, total: int) -> _Said:
    return total, (Fact(FactKind.VOID, key, "canceled"),)


_INTENT_FACTS: Final[dict[str, Callable[[Thing, str, str | None, int], _Said]]] = {
    "payment_intent.created": _progress("created"),
    "payment_intent.requires_action": _progress("requires_action"),
    "payment_intent.processing": _progress("processing"),
    "payment_intent.partially_funded": lambda _intent, _key, _charge, total: (total, ()),
    "payment_intent.amount_capturable_updated": _intent_capturable,
    "payment_intent.succeeded": _intent_succeeded,
    "payment_intent.payment_failed": _intent_failed,
    "payment_intent.canceled": _intent_canceled,
}


# --- charge.* ----------------------------------------------------------------------------------------------------


def _charge(kind: str) -> Callable[[_Event, Thing], Meaning]:
    def read(event: _Event, charge: Thing) -> Meaning:
        own = need_id(charge.id, "data.object.id")
        key = _id(charge.payment_intent, "payment_intent") or own
        total = need_amount(charge.amount, "amount")
        amount, facts = _CHARGE_FACTS[kind](charge, key, own, total)
        opens = bool(facts) and kind != "charge.refunded"
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, own), (RefKind.REFERENCE, _reference(charge))),
            facts=(_terms(total), *facts) if opens else facts,
            opens=opens,
            currency=need_currency(charge.currency, "currency"),
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.created),
        )

    return read


def _is_captured(charge: Thing) -> bool:
    if not isinstance(charge.captured, bool):
        raise undecodable("captured is no boolean")
    return charge.captured


def _charge_succeeded(charge: Thing, key: str, own: str, total: int) -> _Said:
    if _is_captured(charge):
        return _charge_captured(charge, key, own, total)
    return total, (Fact(FactKind.AUTHORIZATION, key, "authorized", total), *_attempt(own, "succeeded"))


def _charge_captured(charge: Thing, key: str, own: str, total: int) -> _Said:
    return _paid(key, own, total, need_amount(charge.amount_captured, "amount_captured"))


def _charge_refunded(charge: Thing, key: str, _own: str, total: int) -> _Said:
    """Read the cumulative refunds; of a charge that was never captured it is a release.

    After a partial capture `amount_refunded` also counts the rest that Stripe released, which never was money taken.
    What is left after taking it off is a floor; the refunds themselves come under their own ids.
    """
    given_back = need_amount(charge.amount_refunded, "amount_refunded")
    if not _is_captured(charge):
        return given_back, (Fact(FactKind.VOID, key, "canceled"),)
    captured = total if charge.amount_captured is None else need_amount(charge.amount_captured, "amount_captured")
    floor = given_back - max(total - captured, 0)
    if floor <= 0:
        return given_back, ()
    named = _listed_refunds(charge) if captured >= total else ()
    return given_back, (Fact(FactKind.REFUND_TOTAL, key, "succeeded", floor), *named)


def _listed_refunds(charge: Thing) -> Facts:
    """Return the refunds that API versions before 2022-11-15 list inside the charge."""
    listed = value_at(charge.refunds, "data")
    if not isinstance(listed, list):
        return ()
    return tuple(
        Fact(
            FactKind.REFUND,
            need_id(value_at(refund, "id"), "refunds.data.id"),
            _refund_state(value_at(refund, "status")),
            need_amount(value_at(refund, "amount"), "refunds.data.amount"),
        )
        for refund in listed
    )


_CHARGE_FACTS: Final[dict[str, Callable[[Thing, str, str, int], _Said]]] = {
    "charge.pending": lambda _charge, key, _own, total: (total, (Fact(FactKind.PROGRESS, key, "processing"),)),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_captured,
    "charge.failed": lambda _charge, _key, own, total: (total, _attempt(own, "failed")),
    "charge.expired": lambda _charge, key, _own, total: (total, (Fact(FactKind.VOID, key, "expired"),)),
    "charge.refunded": _charge_refunded,
    "charge.updated": lambda _charge, _key, _own, total: (total, ()),
}


# --- refunds, disputes, checkout ---------------------------------------------------------------------------------


_REFUND_STATES: Final = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}


def _refund_state(status: object) -> str:
    state = _REFUND_STATES.get(status) if isinstance(status, str) else None
    if state is None:
        raise undecodable("the refund's status is not one of Stripe's")
    return state


def _child(event: _Event, thing: Thing, facts: Facts) -> Meaning:
    """Tell a refund's or a dispute's facts; their metadata is their own and names no payment."""
    intent, charge = _id(thing.payment_intent, "payment_intent"), _id(thing.charge, "charge")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, intent or charge), (RefKind.CHARGE, charge)),
        facts=facts,
        currency=need_currency(thing.currency, "currency"),
        amount=need_amount(thing.amount, "amount"),
        provider_ref=intent or charge,
        occurred_at=maybe_time(event.created),
    )


def _refund(event: _Event, refund: Thing) -> Meaning:
    key, amount = need_id(refund.id, "data.object.id"), need_amount(refund.amount, "amount")
    return _child(event, refund, (Fact(FactKind.REFUND, key, _refund_state(refund.status), amount),))


_DISPUTE_STATES: Final = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "prevented",  # an inquiry that ended without becoming a dispute
    "needs_response": "open",
    "under_review": "under_review",
    "appeal_needs_response": "under_review",
    "appeal_under_review": "under_review",
    "prevented": "prevented",
    "won": "won",
    "lost": "lost",
}


def _dispute(funds: str | None) -> Callable[[_Event, Thing], Meaning]:
    """Read a dispute; `funds` is what the kind says of the money: withdrawn, reinstated, or None for nothing."""

    def read(event: _Event, dispute: Thing) -> Meaning:
        key, amount = need_id(dispute.id, "data.object.id"), need_amount(dispute.amount, "amount")
        state = _DISPUTE_STATES.get(dispute.status) if isinstance(dispute.status, str) else None
        if state is None:
            raise undecodable("the dispute's status is not one of Stripe's")
        facts: Facts = (Fact(FactKind.DISPUTE, key, state),)
        if funds:
            facts += (Fact(FactKind.DISPUTE_FUNDS, key, funds, amount),)
        return _child(event, dispute, facts)

    return read


def _session_expired(event: _Event, session: Thing) -> Meaning:
    """Read an expired Checkout session; one that nobody tried to pay has no PaymentIntent, only a reference."""
    intent = _id(session.payment_intent, "payment_intent")
    reference = _reference(session) or maybe_id(session.client_reference_id, "client_reference_id")
    refs = refs_of((RefKind.PAYMENT, intent), (RefKind.REFERENCE, reference))
    if not refs:
        return Meaning()
    key = intent or need_id(session.id, "data.object.id")
    facts = (Fact(FactKind.VOID, key, "expired"),)
    return Meaning(refs=refs, facts=facts, provider_ref=intent, occurred_at=maybe_time(event.created))


_PAYMENT_FAMILIES: Final = ("payment_intent.", "charge.", "refund.")

_READERS: Final[dict[str, Callable[[_Event, Thing], Meaning]]] = {
    **{kind: _intent(kind) for kind in _INTENT_FACTS},
    **{kind: _charge(kind) for kind in _CHARGE_FACTS},
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), _refund),
    **dict.fromkeys(("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"), _dispute(None)),
    "charge.dispute.funds_withdrawn": _dispute("withdrawn"),
    "charge.dispute.funds_reinstated": _dispute("reinstated"),
    "checkout.session.expired": _session_expired,
}

INTENT_KINDS: Final = frozenset(_INTENT_FACTS)


def said_by(kind: str, thing: Thing) -> Meaning:
    """Return what an object says when it stands in an event of that kind, which is one that we read."""
    return _READERS[kind](_Event(_Data(thing)), thing)
