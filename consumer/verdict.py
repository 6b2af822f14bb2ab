"""What becomes of one event: a verdict, as data. Pure.

Every record of a batch ends in exactly one of these. `consumer.transaction` carries them out, all in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consumer.fold import newer, project
from schemas.dead_letter import Reason
from schemas.facts import INTENT, RANKS, Fact, FactKind
from schemas.payment import Outcome, Status

if TYPE_CHECKING:
    from schemas.facts import Meaning
    from schemas.payment import Facts, Payment, Projection


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """The event is in the ledger. `news` is what it adds to the payment's facts.

    `versioned` tells whether the payment's version counts it. `reported` is what was folded, which the ledger keeps.
    """

    outcome: Outcome
    news: Facts
    projection: Projection
    versioned: bool
    reported: tuple[Fact, ...] = ()


class Waits(msgspec.Struct, frozen=True, gc=False):
    """The event's payment is not known yet: it is parked, and becomes a dead letter of `reason` past its deadline."""

    reason: Reason
    detail: str


class Dead(msgspec.Struct, frozen=True, gc=False):
    """The record is a dead letter."""

    reason: Reason
    message: str


_QUIET: Final = frozenset({(FactKind.ATTEMPT, "succeeded"), (FactKind.END, "closed")})
"""States that only accompany others: alone they don't make an event worth a version."""

_ECHOES: Final = frozenset({FactKind.TERMS, FactKind.MODE, FactKind.CAPTURE_TOTAL, FactKind.REFUND_TOTAL})
"""Facts that repeat what others reported in more detail: worth a version only where a column moves."""

_UNDER_WAY: Final = ("created", "requires_action", "processing")
"""States of a try that are worth a version only where a column moves."""

_UNPAID: Final = (Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING, Status.FAILED)
"""Statuses in which a try to pay is news."""

_IN_ANY_CURRENCY: Final = frozenset({FactKind.ATTEMPT, FactKind.DISPUTE, FactKind.VOID, FactKind.END, FactKind.MODE})


def decide(payment: Payment, meaning: Meaning, *, facts_max: int) -> Recorded | Dead:
    """Decide what an event does to a payment whose row is locked.

    Whatever a verified event says of a known payment is folded: what does not add up is a flag, and money in another
    currency is noted without its sum. Only the bound of one payment's facts is a refusal.
    """
    facts = reported_in(payment.currency, meaning)
    news = newer(payment.facts, facts)
    if len(payment.facts) + len(news) > facts_max and len(payment.facts.keys() | news.keys()) > facts_max:
        return Dead(Reason.CONFLICT, f"the payment holds {facts_max} facts, the most that one payment may have")
    before = payment.projection
    if not news:
        outcome = Outcome.LATE if _stale(payment, facts, before) else Outcome.NOOP
        return Recorded(outcome, news, before, versioned=False, reported=facts)
    after = project(payment.facts | news)
    outcome = _outcome(payment, facts, news, after)
    versioned = after != before or outcome is Outcome.APPLIED
    return Recorded(outcome, news, after, versioned=versioned, reported=facts)


def reported_in(currency: str | None, meaning: Meaning) -> tuple[Fact, ...]:
    """Return what an event says of a payment in `currency`; money in another one is seen, and in no sum.

    A dispute in another currency is seen as well where it tells of no money.
    """
    if not currency or not meaning.currency or meaning.currency == currency:
        return meaning.facts
    kept = tuple(fact for fact in meaning.facts if fact.kind in _IN_ANY_CURRENCY)
    money = [fact for fact in meaning.facts if fact.kind not in _IN_ANY_CURRENCY]
    seen = money or [fact for fact in kept if fact.kind is FactKind.DISPUTE]
    return kept + tuple(Fact(FactKind.OTHER_CURRENCY, one.key, "seen", one.amount, meaning.currency) for one in seen)


def _outcome(payment: Payment, facts: tuple[Fact, ...], news: Facts, after: Projection) -> Outcome:
    """Name what an event did that reported something new."""
    before = payment.projection
    if set(after.flags) - set(before.flags):
        return Outcome.CONFLICT
    if payment.version == 0:
        return Outcome.APPLIED
    if after.status is before.status and _stale(payment, facts, after):
        return Outcome.LATE
    if after == before and all(_only_echoes(kind, key, state.name) for (kind, key), state in news.items()):
        return Outcome.NOOP
    return Outcome.APPLIED


def _only_echoes(kind: FactKind, key: str, state: str) -> bool:
    if key == INTENT:
        return False
    return kind in _ECHOES or (kind, state) in _QUIET or (kind is FactKind.ATTEMPT and state in _UNDER_WAY)


def _stale(payment: Payment, facts: tuple[Fact, ...], after: Projection) -> bool:
    """Tell whether every fact that matters is older in rank than what the payment knows."""
    stale = False
    for fact in facts:
        if fact.kind in (FactKind.MODE, FactKind.TERMS) or (fact.kind, fact.state) in _QUIET:
            continue
        if not _outranked(payment, fact, after):
            return False
        stale = True
    return stale


def _outranked(payment: Payment, fact: Fact, after: Projection) -> bool:
    known = payment.facts.get((fact.kind, fact.key))
    if known is not None and (known.version, RANKS[fact.kind][known.name]) > (fact.version, fact.rank):
        return True
    before = payment.projection
    match fact.kind:
        case FactKind.ATTEMPT:
            return before.status not in _UNPAID
        case FactKind.AUTHORIZATION:
            return before.captured > 0 and (known is not None or before.authorized == after.authorized)
        case FactKind.VOID | FactKind.END:
            return before.status is Status.CAPTURED
        case _:
            return False
