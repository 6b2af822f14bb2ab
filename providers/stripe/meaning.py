"""What Stripe's events mean; payments are PaymentIntents, or bare charges in older integrations.

Sources: Stripe's webhook documentation and `stripe-python` (`WebhookSignature`; event names and object fields of
version 16.1). Amounts are minor units as Stripe writes them.

A payment's key is the PaymentIntent's id, or the charge's id where there is no PaymentIntent. Stripe's figures for
authorized, captured and refunded money are cumulative, so they stand under that key and the larger one wins:
payment_intent.succeeded and charge.succeeded say one fact. A try at paying is keyed by its charge, else by its payment
method, else by the intent; a refund and a dispute by their own ids. `created` of the event, signed, orders the states
of one object, never objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from providers.core.meaning import (
    decode_or_raise,
    in_scope,
    maybe_id,
    maybe_time,
    need_amount,
    need_currency,
    need_id,
    refs_of,
    undecodable,
    unknown_kind,
)
from providers.core.payments import (
    Facts,
    at_stage,
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    ended,
    refund,
    refunded_in_all,
    terms,
    void,
)
from providers.core.reading import value_at
from schemas.facts import Meaning, RefKind


class Thing(msgspec.Struct):
    """What we read of `data.object`; a field of another shape is refused only by the kind that needs it."""

    id: Any = None
    payment_intent: Any = None
    payment_method: Any = None
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
    account: Any = None
    livemode: Any = None


class _Envelope(msgspec.Struct):
    type: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


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
    return in_scope(reader(event, event.data.object), event.account, event.livemode)


def _id(value: object, what: str) -> str | None:
    """Return an id that may come expanded to its whole object."""
    return maybe_id(value.get("id") if isinstance(value, dict) else value, what)


def _reference(thing: Thing) -> str | None:
    metadata = thing.metadata if isinstance(thing.metadata, dict) else {}
    return maybe_id(metadata.get("reference"), "metadata.reference") or maybe_id(
        metadata.get("order_id"), "metadata.order_id"
    )


def _version(event: _Event) -> int:
    """Return when Stripe made the event, in whole seconds: the newest state of one object stands."""
    return int(maybe_time(event.created) or 0)


def _tries(keys: tuple[str | None, ...], state: str, payment: str, version: int) -> Facts:
    """Say where a try stands that goes by several names: its charge, its payment method."""
    named = dict.fromkeys(key for key in keys if key)
    return tuple(attempt(key, state, payment=None if key == payment else payment, version=version) for key in named)


# --- payment_intent.* --------------------------------------------------------------------------------------------


def _intent(kind: str) -> Callable[[_Event, Thing], Meaning]:
    def read(event: _Event, intent: Thing) -> Meaning:
        key = need_id(intent.id, "data.object.id")
        charge = _id(intent.latest_charge, "latest_charge")
        total = need_amount(intent.amount, "amount")
        amount, facts = _INTENT_FACTS[kind](intent, key, charge, total, _version(event))
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, charge), (RefKind.REFERENCE, _reference(intent))),
            facts=(terms(key, total, version=_version(event)), *facts) if facts else (),
            opens=bool(facts),
            currency=need_currency(intent.currency, "currency"),
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.created),
        )

    return read


_Said = tuple[int, Facts]
"""An event's headline amount and what it adds."""


_IntentReader = Callable[[Thing, str, str | None, int, int], _Said]
"""Takes the intent, its id, its charge's, its amount and the version."""


def _progress(state: str) -> _IntentReader:
    """Name the try by its payment method, in older integrations by its charge, else by the intent alone.

    `latest_charge` of a second try that waits for the customer is still the failed charge of the first.
    """

    def read(intent: Thing, key: str, charge: str | None, total: int, version: int) -> _Said:
        own = _id(intent.payment_method, "payment_method") or charge or key
        return total, _tries((key if state == "created" else own,), state, key, version)

    return read


def _intent_capturable(intent: Thing, key: str, charge: str | None, _total: int, version: int) -> _Said:
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
    return reserved, (authorized(key, reserved), *taken, *_tries((charge,), "succeeded", key, version))


def _intent_succeeded(intent: Thing, key: str, charge: str | None, _total: int, version: int) -> _Said:
    return _paid(key, charge, need_amount(intent.amount_received, "amount_received"), version)


def _paid(key: str, charge: str | None, taken: int, version: int) -> _Said:
    """Give the money taken so far; less than the intent's amount reads as partially captured."""
    return taken, (captured(key, taken, authorization=key), *_tries((charge,), "succeeded", key, version))


def _intent_failed(intent: Thing, key: str, charge: str | None, total: int, version: int) -> _Said:
    """Name the failed try by its charge and its payment method; one that had neither by the intent."""
    error = intent.last_payment_error if isinstance(intent.last_payment_error, dict) else {}
    failed = _id(error.get("charge"), "last_payment_error.charge") or charge
    method = _id(error.get("payment_method"), "last_payment_error.payment_method")
    return total, _tries((failed, method) if failed or method else (key,), "failed", key, version)


def _intent_canceled(_intent: Thing, key: str, _charge: str | None, total: int, _version: int) -> _Said:
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


def _charge(kind: str) -> Callable[[_Event, Thing], Meaning]:
    def read(event: _Event, charge: Thing) -> Meaning:
        own = need_id(charge.id, "data.object.id")
        key = _id(charge.payment_intent, "payment_intent") or own
        total = need_amount(charge.amount, "amount")
        version = _version(event)
        amount, facts = _CHARGE_FACTS[kind](charge, key, own, total, version)
        opens = bool(facts) and kind != "charge.refunded"
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.CHARGE, own), (RefKind.REFERENCE, _reference(charge))),
            facts=(terms(key, total, version=version), *facts) if opens else facts,
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


_ChargeReader = Callable[[Thing, str, str, int, int], _Said]
"""Takes the charge, its payment's id, its own, its amount and the version."""


def _charge_tried(state: str) -> _ChargeReader:
    def read(charge: Thing, key: str, own: str, total: int, version: int) -> _Said:
        method = charge.payment_method if isinstance(charge.payment_method, str) else None
        return total, _tries((own, maybe_id(method, "payment_method")), state, key, version)

    return read


def _charge_succeeded(charge: Thing, key: str, own: str, total: int, version: int) -> _Said:
    if _is_captured(charge):
        return _charge_captured(charge, key, own, total, version)
    return total, (authorized(key, total), *_tries((own,), "succeeded", key, version))


def _charge_captured(charge: Thing, key: str, own: str, _total: int, version: int) -> _Said:
    return _paid(key, own, need_amount(charge.amount_captured, "amount_captured"), version)


def _charge_refunded(charge: Thing, key: str, _own: str, total: int, _version: int) -> _Said:
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
    named = _listed_refunds(charge, key) if taken >= total else ()
    return given_back, (refunded_in_all(key, floor), *named)


def _listed_refunds(charge: Thing, payment: str) -> Facts:
    """Return the refunds that API versions before 2022-11-15 list inside the charge."""
    listed = value_at(charge.refunds, "data")
    if not isinstance(listed, list):
        return ()
    return tuple(
        refund(
            need_id(value_at(one, "id"), "refunds.data.id"),
            _refund_state(value_at(one, "status")),
            need_amount(value_at(one, "amount"), "refunds.data.amount"),
            payment=payment,
        )
        for one in listed
    )


_CHARGE_FACTS: Final[dict[str, _ChargeReader]] = {
    "charge.pending": _charge_tried("processing"),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": _charge_captured,
    "charge.failed": _charge_tried("failed"),
    "charge.expired": lambda _charge, key, _own, total, _version: (total, (void(key, "expired"),)),
    "charge.refunded": _charge_refunded,
    "charge.updated": lambda _charge, _key, _own, total, _version: (total, ()),
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


def _payment_of(thing: Thing) -> str | None:
    """Return the payment that a refund or a dispute names: the intent, in older integrations the charge."""
    return _id(thing.payment_intent, "payment_intent") or _id(thing.charge, "charge")


def _refund(event: _Event, thing: Thing) -> Meaning:
    key, amount = need_id(thing.id, "data.object.id"), need_amount(thing.amount, "amount")
    return _child(event, thing, (refund(key, _refund_state(thing.status), amount, payment=_payment_of(thing)),))


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

    def read(event: _Event, thing: Thing) -> Meaning:
        key, amount = need_id(thing.id, "data.object.id"), need_amount(thing.amount, "amount")
        state = _DISPUTE_STATES.get(thing.status) if isinstance(thing.status, str) else None
        if state is None:
            raise undecodable("the dispute's status is not one of Stripe's")
        stage = 0 if str(thing.status).startswith("warning_") else 1
        version = at_stage(stage, _version(event))
        facts: Facts = (dispute(key, state, payment=_payment_of(thing), version=version),)
        if funds:
            facts += (dispute_funds(key, funds, amount),)
        return _child(event, thing, facts)

    return read


def _session_expired(event: _Event, session: Thing) -> Meaning:
    """Read an expired Checkout session; one that nobody tried to pay has no PaymentIntent, only a reference."""
    intent = _id(session.payment_intent, "payment_intent")
    reference = _reference(session) or maybe_id(session.client_reference_id, "client_reference_id")
    refs = refs_of((RefKind.PAYMENT, intent), (RefKind.REFERENCE, reference))
    if not refs:
        return Meaning()
    key = intent or need_id(session.id, "data.object.id")
    facts = (ended(key, "expired"),)
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
