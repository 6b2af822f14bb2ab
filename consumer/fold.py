"""The fold: facts joined, and what they come to. Pure.

The join is the least upper bound of a lattice (commutative, associative, idempotent; `schemas.facts` has its parts),
and `project` looks at nothing but the joined facts; so any order and any repetition of the same events gives the same
row. `consumer.children` does the sums of each kind of child, with `consumer.refunds` and `consumer.payment_attempts`;
`consumer.plain` is the short way of most payments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer import disputes
from consumer.children import Children
from consumer.payment_attempts import ended_attempts, open_attempt
from consumer.plain import plain_row
from consumer.refunds import is_pending
from schemas.facts import INTENT, RANKS, ChildState, Fact, FactKind
from schemas.payment import DisputeStatus, Facts, Flag, Projection, RefundStatus, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

_TERMS: Final = FactKind.TERMS
_TELL_AMOUNTS: Final = (_TERMS, FactKind.AUTHORIZATION, FactKind.ATTEMPT)
_OPEN: Final = {"created": Status.CREATED, "requires_action": Status.REQUIRES_ACTION, "processing": Status.PROCESSING}
_ENDS: Final = (("canceled", Status.CANCELED), ("expired", Status.EXPIRED), ("failed", Status.FAILED))
_DISPUTES: Final = ("open", "inquiry", "under_review", "lost", "won", "prevented")
"""Which of several disputes is shown: the one that needs somebody first."""


# --- the join ----------------------------------------------------------------------------------------------------


def newer(known: Facts, facts: Iterable[Fact]) -> Facts:
    """Return the joined states of those children of which `facts` say more than is known."""
    news: Facts = {}
    for fact in facts:
        place = (fact.kind, fact.key)
        held = news.get(place) or known.get(place)
        if held is None:
            news[place] = ChildState(fact.state, fact.amount, fact.parent, fact.version, fact.replaces)
        elif (joined := _join(held, fact)) is not held:
            news[place] = joined
    return news


def _join(held: ChildState, fact: Fact) -> ChildState:
    """Return the join of what is known of a child and what a fact says of it; `held` itself where that is no more."""
    name, amount, version = fact.state, fact.amount, fact.version
    parent, replaces, low = fact.parent, fact.replaces, held.low
    if parent != held.parent:
        parent = _larger(held.parent, parent)
    if replaces != held.replaces:
        replaces = _larger(held.replaces, replaces)
    if version != held.version:
        later = version > held.version
    elif name != held.name:
        ranks = RANKS[fact.kind]
        later = ranks[name] > ranks[held.name]
    else:
        later = amount != held.amount and (held.amount is None or (amount is not None and amount > held.amount))
    if amount != held.amount:
        low = _lower(held, amount, later=later) if fact.kind is _TERMS else None
    if later:
        return ChildState(name, amount, parent, version, replaces, low)
    if parent == held.parent and replaces == held.replaces and low == held.low:
        return held
    return ChildState(held.name, held.amount, parent, held.version, replaces, low)


def _larger(one: str | None, other: str | None) -> str | None:
    """Return the larger text; no text is below any."""
    return other if one is None or (other is not None and other > one) else one


def _lower(held: ChildState, amount: int | None, *, later: bool) -> int | None:
    """Return the smallest amount ever reported, where it is not the one that counts."""
    amounts = [one for one in (held.amount if held.low is None else held.low, amount) if one is not None]
    least = min(amounts, default=None)
    return None if least == (amount if later else held.amount) else least


def united(own: Facts, others: Iterable[Facts]) -> Facts:
    """Return a payment's own facts and those of others, joined."""
    facts = dict(own)
    for other in others:
        facts |= other if facts.keys().isdisjoint(other) else newer(facts, facts_of(other))
    return facts


def facts_of(known: Facts) -> list[Fact]:
    """Return joined facts as a list, for joining them into another payment."""
    facts = [
        Fact(kind, key, state.name, state.amount, state.parent, state.version, state.replaces)
        for (kind, key), state in known.items()
    ]
    lows = [(kind, key, state) for (kind, key), state in known.items() if state.low is not None]
    return facts + [Fact(kind, key, state.name, state.low) for kind, key, state in lows]


# --- what the facts come to --------------------------------------------------------------------------------------


def project(facts: Facts) -> Projection:
    """Return what the facts come to, also of several payments' facts united."""
    return plain_row(facts) or full_row(facts)


def full_row(facts: Facts) -> Projection:
    """Return the same by the rules in full, for facts of every shape."""
    children = Children(facts)
    captured, refunded = children.captured, children.refunded
    flags = _flags(children)
    return Projection(
        status=_status(children),
        refund_status=_refund_status(children),
        dispute_status=_dispute_status(children),
        amount=children.amount,
        authorized=children.authorized,
        captured=captured,
        refunded=refunded,
        disputed=disputes.money_held(
            children.of(FactKind.DISPUTE_OUT), children.of(FactKind.DISPUTE_IN), children.captured_of
        ),
        flags=tuple(sorted(flags)) if flags else (),
    )


def held(facts: Facts) -> int:
    """Return what an attempt holds: what was captured less what was refunded, else what is authorized and live."""
    row = plain_row(facts)
    if row is not None:
        return max(row.captured - row.refunded, 0) if row.captured else row.authorized
    children = Children(facts)
    return max(children.captured - children.refunded, 0) if children.captured else children.live


def asked(facts: Facts) -> int | None:
    """Return what an attempt asked for to begin with, or None where nothing tells.

    Tips, increments and adjustments come on top; an amount that was lowered before anything was paid counts lowered.
    """
    intent_amount: int | None = None
    reported: dict[FactKind, list[ChildState]] = {}
    for (kind, key), state in facts.items():
        if kind is _TERMS and key == INTENT:
            intent_amount = state.amount
        elif kind in _TELL_AMOUNTS:
            reported.setdefault(kind, []).append(state)
    if _TERMS in reported:
        return max((state.amount if state.low is None else state.low) or 0 for state in reported[_TERMS])
    if intent_amount is not None:
        return intent_amount
    attempts = reported.get(FactKind.AUTHORIZATION) or reported.get(FactKind.ATTEMPT) or ()
    return max([state.amount for state in attempts if state.amount is not None], default=None)


def _status(children: Children) -> Status:
    """Return the status: money first, then an attempt that is open, then how it ended."""
    captured = children.captured
    if captured or children.paid_nothing:
        return Status.CAPTURED if captured >= children.asked else Status.PARTIALLY_CAPTURED
    if children.is_live:
        return Status.AUTHORIZED
    state = "processing" if children.takes_unknown else open_attempt(children)
    if state in ("requires_action", "processing"):
        return _OPEN[state]
    return _ended(children)


def _ended(children: Children) -> Status:
    """Return how a payment ended without money: by itself, by money that came undone, or by its last try."""
    if children.ends:
        return Status.CANCELED if "canceled" in children.ends.values() else Status.EXPIRED
    if children.undone:
        return Status.FAILED
    ended = ended_attempts(children)
    return next((status for name, status in _ENDS if name in ended), Status.CREATED)


def _refund_status(children: Children) -> RefundStatus:
    if children.refunded:
        return RefundStatus.FULL if children.refunded >= children.captured else RefundStatus.PARTIAL
    return RefundStatus.PENDING if is_pending(children.of(FactKind.REFUND)) else RefundStatus.NONE


def _dispute_status(children: Children) -> DisputeStatus:
    known, outs = children.of(FactKind.DISPUTE), children.of(FactKind.DISPUTE_OUT)
    if not known:
        return DisputeStatus.NONE
    stages = {disputes.stage_of(key, state, outs) for key, state in known.items()}
    return next(DisputeStatus(name) for name in _DISPUTES if name in stages)


def _flags(children: Children) -> list[Flag]:
    """Return the flags that the facts raise by themselves; those of several payments are the group's."""
    flags = []
    if children.over_captured:
        flags.append(Flag.OVER_CAPTURED)
    if children.refunded > children.captured:
        flags.append(Flag.OVER_REFUNDED)
    if 0 < children.captured_ever < children.asked and children.is_closed:
        flags.append(Flag.UNDERPAID)
    if children.amount_differs:
        flags.append(Flag.AMOUNT_DIFFERS)
    if children.contradicts:
        flags.append(Flag.CONTRADICTION)
    if children.of(FactKind.OTHER_CURRENCY):
        flags.append(Flag.OTHER_CURRENCY)
    return flags
