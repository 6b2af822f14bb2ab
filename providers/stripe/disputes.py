"""What Stripe's refunds and disputes mean: money that goes back, by the ids of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from providers.core.meaning import id_or_none, maybe_time, need_amount, need_id, refs_of, undecodable
from providers.core.payments import Facts, at_stage, dispute, dispute_funds, refund
from providers.core.reading import value_at
from providers.stripe.things import StripeEvent, Thing, asked_of, id_of, version_of
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUND_STATES: Final = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}


def _refund_state(refund_read: Thing) -> str:
    """Return the state that a refund's status stands for, or raise `undecodable`.

    The status is nullable (docs.stripe.com/api/refunds/object); then what was booked on the balance was given back.
    """
    status = refund_read.status
    if status is None:
        return "succeeded" if refund_read.balance_transaction else "pending"
    state = _REFUND_STATES.get(status) if isinstance(status, str) else None
    if state is None:
        raise undecodable("the refund's status is not one of Stripe's")
    return state


def listed_refunds(charge: Thing, payment: str) -> Facts:
    """Return the refunds that API versions before 2022-11-15 list inside the charge, as far as they can be read.

    The charge's own figure counts them all: what is not readable here is no loss.
    """
    listed = value_at(charge.refunds, "data")
    facts = []
    for one in listed if isinstance(listed, list) else ():
        key, status = id_or_none(value_at(one, "id")), value_at(one, "status")
        amount = value_at(one, "amount")
        if key and isinstance(status, str) and status in _REFUND_STATES and amount is not None:
            state = _booked(_REFUND_STATES[status], value_at(one, "balance_transaction"))
            facts.append(refund(key, state, need_amount(amount, "refunds.data.amount"), payment=payment))
    return tuple(facts)


def _child(event: StripeEvent, thing: Thing, facts: Facts) -> Meaning:
    """Tell a refund's or a dispute's facts; their metadata is their own and names no payment."""
    intent, charge = id_of(thing.payment_intent, "payment_intent"), id_of(thing.charge, "charge")
    amount, currency = asked_of(thing)
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, intent or charge), (RefKind.CHARGE, charge)),
        facts=facts,
        currency=currency,
        amount=amount,
        provider_ref=intent or charge,
        occurred_at=maybe_time(event.created),
    )


def _payment_of(thing: Thing) -> str | None:
    """Return the payment that a refund or a dispute names: the intent, in older integrations the charge."""
    return id_of(thing.payment_intent, "payment_intent") or id_of(thing.charge, "charge")


def read_refund(event: StripeEvent, thing: Thing) -> Meaning:
    """Read a refund; one of a customer's cash balance names no payment and says nothing (both ids are nullable).

    "Balance transaction that describes the impact on your account balance" (docs.stripe.com/api/refunds/object): one
    that succeeded without it is the rest of an authorization that Stripe released, where it is of that amount.
    """
    if _payment_of(thing) is None:
        return Meaning()
    key, (amount, _) = need_id(thing.id, "data.object.id"), asked_of(thing)
    state = _booked(_refund_state(thing), thing.balance_transaction)
    return _child(event, thing, (refund(key, state, amount, payment=_payment_of(thing)),))


def _booked(state: str, balance_transaction: object) -> str:
    return "unbooked" if state == "succeeded" and not balance_transaction else state


_DISPUTE_STATES: Final = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "prevented",  # an inquiry that ended without becoming a dispute
    "needs_response": "open",
    "under_review": "under_review",
    "appeal_needs_response": "under_review",
    "appeal_under_review": "under_review",
    "prevented": "prevented",
    "charge_refunded": "prevented",  # of older API versions: the charge was refunded before the bank decided
    "won": "won",
    "lost": "lost",
}


def read_dispute(funds: str | None) -> Callable[[StripeEvent, Thing], Meaning]:
    """Read a dispute; `funds` is what the kind says of the money: withdrawn, reinstated, or None for nothing."""

    def read(event: StripeEvent, thing: Thing) -> Meaning:
        # In the API of 2013 a dispute had no id: its charge's stands for it.
        key = id_of(thing.id, "data.object.id") or need_id(id_of(thing.charge, "charge"), "charge")
        amount, _ = asked_of(thing)
        state = _DISPUTE_STATES.get(thing.status) if isinstance(thing.status, str) else None
        if state is None:
            raise undecodable("the dispute's status is not one of Stripe's")
        stage = 0 if str(thing.status).startswith("warning_") else 1
        version = at_stage(stage, version_of(event))
        facts: Facts = (dispute(key, state, payment=_payment_of(thing), version=version),)
        facts += _funds(key, amount, funds, thing)
        return _child(event, thing, facts)

    return read


def _funds(key: str, amount: int, funds: str | None, thing: Thing) -> Facts:
    """Say what a dispute took and gave back: as its balance transactions tell, else what the kind says, of all of it.

    "Zero, one, or two balance transactions that show funds withdrawn and reinstated" (Dispute.balance_transactions):
    where a refund had been made before, a dispute that was lost gives that part back. They are in the currency of the
    account; what came back of another currency is worked out by its share. Both figures are cumulative.
    """
    listed = thing.balance_transactions if isinstance(thing.balance_transactions, list) else []
    moves = [move for one in listed if isinstance(move := value_at(one, "amount"), int) and not isinstance(move, bool)]
    taken, given = -sum(move for move in moves if move < 0), sum(move for move in moves if move > 0)
    if not taken:
        return (dispute_funds(key, funds, amount),) if funds else ()
    if any(value_at(one, "currency") != thing.currency for one in listed):
        taken, given = amount, amount * given // taken
    back = (dispute_funds(key, "reinstated", need_amount(given, "what a dispute gave back")),) if given else ()
    if funds == "reinstated" and not given:
        back = (dispute_funds(key, "reinstated", amount),)
    return (dispute_funds(key, "withdrawn", need_amount(taken, "what a dispute took")), *back)
