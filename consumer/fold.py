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
        place = (fact.kind, fact.key)
        held = news.get(place) or known.get(place)
        if held is None or _order(fact.kind, fact.state, fact.amount) > _order(fact.kind, *held):
            news[place] = (fact.state, fact.amount)
    return news


def _order(kind: FactKind, state: str, amount: int | None) -> tuple[int, int]:
    return RANKS[kind][state], -1 if amount is None else amount


def facts_of(known: Facts) -> list[Fact]:
    """Return joined facts as a list, for joining them into another payment."""
    return [Fact(kind, key, state, amount) for (kind, key), (state, amount) in known.items()]


class _Sums:
    """Figures of one payment, gathered in one pass over its facts."""

    __slots__ = ("amounts", "attempts", "authorizations", "disputes", "modes", "progress", "terms", "voids", "whole")

    def __init__(self, facts: Facts) -> None:
        self.amounts: dict[tuple[FactKind, str], int] = {}
        self.attempts: set[str] = set()
        self.disputes: set[str] = set()
        self.progress = 0
        self.terms = (-1, 0)
        self.modes: set[str] = set()
        self.authorizations: dict[str, int] = {}
        self.voids: dict[str, str] = {}
        for (kind, key), (state, amount) in facts.items():
            self._add(kind, key, state, amount or 0)
        self.whole = any(
            kind is FactKind.CAPTURE and state == "succeeded" and amount is None
            for (kind, _), (state, amount) in facts.items()
        )

    def _add(self, kind: FactKind, key: str, state: str, amount: int) -> None:
        match kind:
            case FactKind.AUTHORIZATION:
                self.authorizations[key] = amount
            case FactKind.PROGRESS:
                self.progress = max(self.progress, RANKS[kind][state])
            case FactKind.ATTEMPT:
                self.attempts.add(state)
            case FactKind.DISPUTE:
                self.disputes.add(state)
            case FactKind.TERMS:
                self.terms = max(self.terms, (RANKS[kind][state], amount))
            case FactKind.MODE:
                self.modes.update({key} if state == "automatic" else ())
            case FactKind.VOID:
                self.voids[key] = state
            case _:
                self.amounts[kind, state] = self.amounts.get((kind, state), 0) + amount

    @property
    def automatic(self) -> bool:
        """Tell whether an authorization is a capture too."""
        return "capture" in self.modes or {"intent", "provider"} <= self.modes

    @property
    def asked(self) -> int:
        """What the client asked for, where one did; a provider's echo of it does not count."""
        rank, amount = self.terms
        return amount if rank == RANKS[FactKind.TERMS]["intent"] else 0

    @property
    def live(self) -> list[int]:
        """Amounts that attempts reserve and that nobody released."""
        return [amount for key, amount in self.authorizations.items() if key not in self.voids]

    @property
    def void(self) -> Status:
        """How the payment ended without money: canceled where any attempt was."""
        return Status.CANCELED if "canceled" in self.voids.values() else Status.EXPIRED

    def of(self, kind: FactKind, *states: str) -> int:
        """Return the sum of a kind's amounts in these states."""
        return sum(self.amounts.get((kind, state), 0) for state in states)


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
        disputed=sums.of(FactKind.DISPUTE_FUNDS, "withdrawn", "withdrawn_final"),
    )


def _captured(sums: _Sums) -> int:
    """Sum the captures; an automatic payment is captured with its authorization, less what failed since.

    A capture whose provider names no amount took what the client asked for.
    """
    captured = sums.of(FactKind.CAPTURE, "succeeded")
    if sums.whole:
        captured = max(captured, sums.asked)
    if sums.automatic:
        taken = sum(sums.live) or sum(sums.authorizations.values())  # money beats the void of all there is
        return max(captured, taken - sums.of(FactKind.CAPTURE, "failed", "reversed"))
    return captured


def _authorized(sums: _Sums, captured: int) -> int:
    """Sum what the attempts reserve; where all was released, or money was taken from it, the figure stays."""
    live = sum(sums.live)
    figure = live if live and captured <= live else sum(sums.authorizations.values())
    return max(figure, sums.asked) if sums.whole else figure


def _refunded(sums: _Sums) -> int:
    """Sum the refunds by id, or take a cumulative figure that names none of them, whichever knows more.

    A cumulative figure counts refunds that are pending or failed since, so those known by id are taken off it.
    """
    total = sums.of(FactKind.REFUND_TOTAL, "succeeded")
    undone = sums.of(FactKind.REFUND, "pending", "failed", "reversed", "canceled")
    return max(sums.of(FactKind.REFUND, "succeeded"), total - undone)


def _status(sums: _Sums, authorized: int, captured: int) -> Status:
    if captured:
        return Status.CAPTURED if captured >= authorized else Status.PARTIALLY_CAPTURED
    if sums.live:
        return Status.AUTHORIZED
    if sums.voids:
        return sums.void
    if "failed" in sums.attempts and "succeeded" not in sums.attempts:
        return Status.FAILED
    return _PROGRESS_STATUS[sums.progress]


def _refund_status(sums: _Sums, captured: int, refunded: int) -> RefundStatus:
    if refunded:
        return RefundStatus.FULL if refunded >= captured else RefundStatus.PARTIAL
    return RefundStatus.PENDING if sums.of(FactKind.REFUND, "pending") else RefundStatus.NONE


def _dispute_status(disputes: set[str]) -> DisputeStatus:
    """Show an active dispute before a closed one, and a lost one before a won one."""
    for state in _ACTIVE_DISPUTES:
        if state in disputes:
            return DisputeStatus(state)
    for state, status in _CLOSED_DISPUTES:
        if state in disputes:
            return status
    return DisputeStatus.NONE


def broken_invariant(facts: Facts, projection: Projection) -> str | None:
    """Return which invariant of money the facts break, in words, or None."""
    if projection.captured > projection.authorized:
        return f"captured {projection.captured} exceeds authorized {projection.authorized}"
    pending = sum(
        amount or 0 for (kind, _), (state, amount) in facts.items() if kind is FactKind.REFUND and state == "pending"
    )
    if projection.refunded + pending > projection.captured:
        return f"refunds {projection.refunded} + {pending} pending exceed captured {projection.captured}"
    return None
