"""The fold: facts joined, and what they come to. Pure.

`join` is the least upper bound of a semilattice (commutative, associative, idempotent), and `project` looks at nothing
but the joined facts; so any order and any repetition of the same events gives the same row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.facts import RANKS, Fact, FactKind
from schemas.payment import DisputeStatus, Facts, Projection, RefundStatus, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

_TERMS: Final = FactKind.TERMS
_PROGRESS: Final = FactKind.PROGRESS
_AUTHORIZATION: Final = FactKind.AUTHORIZATION
_ATTEMPT: Final = FactKind.ATTEMPT
_CAPTURE: Final = FactKind.CAPTURE
_REFUND: Final = FactKind.REFUND
_REFUND_TOTAL: Final = FactKind.REFUND_TOTAL
_DISPUTE: Final = FactKind.DISPUTE
_DISPUTE_FUNDS: Final = FactKind.DISPUTE_FUNDS
_VOID: Final = FactKind.VOID
_PROGRESS_STATUS: Final = (Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING)
_ACTIVE_DISPUTES: Final = ("under_review", "open", "inquiry")
_CLOSED_DISPUTES: Final = (
    ("lost_final", DisputeStatus.LOST),
    ("lost", DisputeStatus.LOST),
    ("won", DisputeStatus.WON),
    ("prevented", DisputeStatus.PREVENTED),
)


def newer(known: Facts, facts: Iterable[Fact]) -> Facts:
    """Return the entries of `facts` that go beyond what is known: a later rank, or a larger amount at the same rank."""
    news: Facts = {}
    for fact in facts:
        place, said = (fact.kind, fact.key), (fact.state, fact.amount)
        held = news.get(place) or known.get(place)
        if held is None or (held != said and _order(fact.kind, *said) > _order(fact.kind, *held)):
            news[place] = said
    return news


def _order(kind: FactKind, state: str, amount: int | None) -> tuple[int, int]:
    return RANKS[kind][state], -1 if amount is None else amount


def facts_of(known: Facts) -> list[Fact]:
    """Return joined facts as a list, for joining them into another payment."""
    return [Fact(kind, key, state, amount) for (kind, key), (state, amount) in known.items()]


class _Sums:
    """Figures of one payment, gathered in one pass over its facts.

    Amounts of captures, refunds and disputes' funds are sums by state; `live` is what attempts reserve and nobody
    released; `whole` tells of a capture that names no amount.
    """

    __slots__ = (
        "attempts",
        "authorizations",
        "captures",
        "disputes",
        "funds",
        "live",
        "modes",
        "progress",
        "refunds",
        "refunds_total",
        "terms",
        "voids",
        "whole",
    )

    def __init__(self, facts: Facts) -> None:  # noqa: C901 - one case a kind of fact, the frequent ones first
        self.attempts: set[str] = set()
        self.disputes: set[str] = set()
        self.modes: set[str] = set()
        self.authorizations: dict[str, int] = {}
        self.voids: dict[str, str] = {}
        captures: dict[str, int] = {}
        refunds: dict[str, int] = {}
        funds: dict[str, int] = {}
        self.captures, self.refunds, self.funds = captures, refunds, funds
        self.terms, self.progress, self.refunds_total, self.whole = (-1, 0), 0, 0, False
        for (kind, key), (state, said) in facts.items():
            amount = said or 0
            if kind is _ATTEMPT:
                self.attempts.add(state)
            elif kind is _AUTHORIZATION:
                self.authorizations[key] = amount
            elif kind is _CAPTURE:
                captures[state] = captures.get(state, 0) + amount
                self.whole = self.whole or (said is None and state == "succeeded")
            elif kind is _TERMS:
                self.terms = max(self.terms, (RANKS[kind][state], amount))
            elif kind is _PROGRESS:
                self.progress = max(self.progress, RANKS[kind][state])
            elif kind is _REFUND:
                refunds[state] = refunds.get(state, 0) + amount
            elif kind is _REFUND_TOTAL:
                self.refunds_total += amount
            elif kind is _VOID:
                self.voids[key] = state
            elif kind is _DISPUTE:
                self.disputes.add(state)
            elif kind is _DISPUTE_FUNDS:
                funds[state] = funds.get(state, 0) + amount
            elif state == "automatic":
                self.modes.add(key)
        self.live = sum([amount for key, amount in self.authorizations.items() if key not in self.voids])

    @property
    def automatic(self) -> bool:
        """Tell whether an authorization is a capture too."""
        return "capture" in self.modes or {"intent", "provider"} <= self.modes

    @property
    def asked(self) -> int:
        """What the client asked for, where one did; a provider's echo of it does not count."""
        rank, amount = self.terms
        return amount if rank == RANKS[_TERMS]["intent"] else 0


def _sum_of(amounts: dict[str, int], *states: str) -> int:
    return sum([amounts.get(state, 0) for state in states])


def project(facts: Facts) -> Projection:
    """Return what the facts come to."""
    sums = _Sums(facts)
    captured = _captured(sums)
    authorized = _authorized(sums, captured)
    refunded = _refunded(sums)
    return Projection(
        status=_status(sums, authorized, captured),
        refund_status=_refund_status(sums, captured, refunded),
        dispute_status=_dispute_status(sums.disputes),
        amount=sums.terms[1] or authorized,
        authorized=authorized,
        captured=captured,
        refunded=refunded,
        disputed=_sum_of(sums.funds, "withdrawn", "withdrawn_final") if sums.funds else 0,
    )


def _captured(sums: _Sums) -> int:
    """Sum the captures; an automatic payment is captured with its authorization, less what failed since.

    A capture whose provider names no amount took what the client asked for.
    """
    captured = sums.captures.get("succeeded", 0)
    if sums.whole:
        captured = max(captured, sums.asked)
    if sums.modes and sums.automatic:
        taken = sums.live or sum(sums.authorizations.values())  # money beats the void of all there is
        return max(captured, taken - _sum_of(sums.captures, "failed", "reversed"))
    return captured


def _authorized(sums: _Sums, captured: int) -> int:
    """Sum what the attempts reserve; where all was released, or money was taken from it, the figure stays."""
    figure = sums.live if sums.live and captured <= sums.live else sum(sums.authorizations.values())
    return max(figure, sums.asked) if sums.whole else figure


def _refunded(sums: _Sums) -> int:
    """Sum the refunds by id, or take a cumulative figure that names none of them, whichever knows more.

    A cumulative figure counts refunds that are pending or failed since, so those known by id are taken off it.
    """
    if not sums.refunds:
        return sums.refunds_total
    undone = _sum_of(sums.refunds, "pending", "failed", "reversed", "canceled")
    return max(sums.refunds.get("succeeded", 0), sums.refunds_total - undone)


def _status(sums: _Sums, authorized: int, captured: int) -> Status:
    if captured:
        return Status.CAPTURED if captured >= authorized else Status.PARTIALLY_CAPTURED
    if sums.authorizations.keys() - sums.voids.keys():
        return Status.AUTHORIZED
    if sums.voids:
        return Status.CANCELED if "canceled" in sums.voids.values() else Status.EXPIRED
    if "failed" in sums.attempts and "succeeded" not in sums.attempts:
        return Status.FAILED
    return _PROGRESS_STATUS[sums.progress]


def _refund_status(sums: _Sums, captured: int, refunded: int) -> RefundStatus:
    if refunded:
        return RefundStatus.FULL if refunded >= captured else RefundStatus.PARTIAL
    return RefundStatus.PENDING if sums.refunds.get("pending") else RefundStatus.NONE


def _dispute_status(disputes: set[str]) -> DisputeStatus:
    """Show an active dispute before a closed one, and a lost one before a won one."""
    for state in _ACTIVE_DISPUTES if disputes else ():
        if state in disputes:
            return DisputeStatus(state)
    for state, status in _CLOSED_DISPUTES if disputes else ():
        if state in disputes:
            return status
    return DisputeStatus.NONE


def broken_invariant(facts: Facts, projection: Projection) -> str | None:
    """Return which invariant of money the facts break, in words, or None."""
    if projection.captured > projection.authorized:
        return f"captured {projection.captured} exceeds authorized {projection.authorized}"
    if projection.refund_status is RefundStatus.NONE:
        return None
    pending = sum(
        amount or 0 for (kind, _), (state, amount) in facts.items() if kind is FactKind.REFUND and state == "pending"
    )
    if projection.refunded + pending > projection.captured:
        return f"refunds {projection.refunded} + {pending} pending exceed captured {projection.captured}"
    return None
