"""What becomes of one event: a verdict, as data. Pure.

Every record of a batch ends in exactly one of these. `consumer.batch` carries them out, all in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consumer.fold import broken_invariant, newer, project
from schemas.dead_letter import Reason
from schemas.facts import RANKS, Fact, FactKind
from schemas.payment import Outcome, Status

if TYPE_CHECKING:
    from schemas.facts import Meaning
    from schemas.payment import Facts, Payment, Projection


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The event is in the books: a ledger row. `news` is what it adds to the payment's facts.

    `versioned` tells whether the payment's version counts it.
    """

    outcome: Outcome
    news: Facts
    projection: Projection
    versioned: bool


class Waits(msgspec.Struct, frozen=True, gc=False):
    """The event can't be true yet: it is parked, and becomes a dead letter of `reason` past its deadline."""

    reason: Reason
    detail: str


class Dead(msgspec.Struct, frozen=True, gc=False):
    """The record is a dead letter."""

    reason: Reason
    message: str


Judgement = Settled | Waits | Dead

_QUIET: Final = frozenset({(FactKind.TERMS, "provider"), (FactKind.ATTEMPT, "succeeded")})
"""Facts that only accompany others: alone they don't make an event worth a version."""

_ECHOES: Final = frozenset({FactKind.PROGRESS, FactKind.REFUND_TOTAL})
"""Facts that say again what others said in more detail: worth a version only where a column moves."""


def judge(payment: Payment, meaning: Meaning, *, facts_max: int, alone: bool = True) -> Judgement:
    """Judge what an event does to a payment whose row is locked.

    Not `alone`: its companions are settled with it, and the invariants of money were checked for all of them together.
    """
    if meaning.currency and payment.currency and meaning.currency != payment.currency and meaning.facts:
        return Dead(Reason.CONFLICT, f"currency {meaning.currency} on a payment in {payment.currency}")
    news = newer(payment.facts, meaning.facts)
    if len(payment.facts) + len(news) > facts_max and len(payment.facts.keys() | news.keys()) > facts_max:
        return Dead(Reason.CONFLICT, f"the payment holds {facts_max} facts, the most that one payment may have")
    before = payment.projection
    if not news:
        return Settled(_unmoved(payment, meaning), news, before, versioned=False)
    joined = payment.facts | news
    after = project(joined)
    if alone and (broken := broken_invariant(joined, after)):
        return Waits(Reason.CONFLICT, broken)
    return _settled(payment, meaning, news, after)


def _settled(payment: Payment, meaning: Meaning, news: Facts, after: Projection) -> Settled:
    before = payment.projection
    first = payment.version == 0
    if not first and before.status is Status.CAPTURED and _voids(meaning.facts):
        return Settled(Outcome.CONFLICT, news, after, versioned=after != before)
    if not first and _stale(payment, meaning.facts):
        return Settled(Outcome.LATE, news, after, versioned=after != before)
    if not first and after == before and all(_only_echoes(kind, state) for (kind, _), (state, _) in news.items()):
        return Settled(_unmoved(payment, meaning), news, after, versioned=False)
    return Settled(Outcome.APPLIED, news, after, versioned=True)


def _only_echoes(kind: FactKind, state: str) -> bool:
    return kind in _ECHOES or (kind, state) in _QUIET


def _unmoved(payment: Payment, meaning: Meaning) -> Outcome:
    if payment.projection.status is Status.CAPTURED and _voids(meaning.facts):
        return Outcome.CONFLICT
    return Outcome.LATE if _stale(payment, meaning.facts) else Outcome.NOOP


def _voids(facts: tuple[Fact, ...]) -> bool:
    return any(fact.kind is FactKind.VOID for fact in facts)


def _stale(payment: Payment, facts: tuple[Fact, ...]) -> bool:
    """Tell whether every fact that matters is older in rank than what the payment knows."""
    stale = False
    for fact in facts:
        if (fact.kind, fact.state) in _QUIET or fact.kind is FactKind.MODE:
            continue
        if not _outranked(payment, fact):
            return False
        stale = True
    return stale


def _outranked(payment: Payment, fact: Fact) -> bool:
    known = payment.facts.get((fact.kind, fact.key))
    if known is not None and RANKS[fact.kind][known[0]] > fact.rank:
        return True
    before = payment.projection
    match fact.kind:
        case FactKind.PROGRESS:
            return before.status not in (Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING)
        case FactKind.ATTEMPT:
            return before.status not in (Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING, Status.FAILED)
        case FactKind.AUTHORIZATION:
            return known is not None and before.captured > 0
        case _:
            return False
