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
    """Figures of one payment, gathered in one pass over its facts; each method takes one kind of fact in.

    `live` is what attempts reserve and nobody released; `uncaptured` what failed of an automatic capture.
    """

    __slots__ = (
        "attempts",
        "authorizations",
        "captured",
        "disputed",
        "disputes",
        "live",
        "modes",
        "progress",
        "refunds",
        "refunds_pending",
        "refunds_total",
        "refunds_undone",
        "terms",
        "uncaptured",
        "voids",
        "whole",
    )

    def __init__(self, facts: Facts) -> None:
        self.attempts: set[str] = set()
        self.disputes: set[str] = set()
        self.modes: set[str] = set()
        self.authorizations: dict[str, int] = {}
        self.voids: dict[str, str] = {}
        self.terms = (-1, 0)
        self.progress = self.captured = self.uncaptured = self.disputed = 0
        self.refunds = self.refunds_pending = self.refunds_undone = self.refunds_total = 0
        self.whole = False
        for (kind, key), (state, amount) in facts.items():
            _TAKE[kind](self, key, state, amount or 0)
            if amount is None and kind is FactKind.CAPTURE and state == "succeeded":
                self.whole = True
        self.live = sum([amount for key, amount in self.authorizations.items() if key not in self.voids])

    @property
    def automatic(self) -> bool:
        """Tell whether an authorization is a capture too."""
        return "capture" in self.modes or {"intent", "provider"} <= self.modes

    @property
    def asked(self) -> int:
        """What the client asked for, where one did; a provider's echo of it does not count."""
        rank, amount = self.terms
        return amount if rank == RANKS[FactKind.TERMS]["intent"] else 0

    def take_terms(self, _key: str, state: str, amount: int) -> None:
        self.terms = max(self.terms, (RANKS[FactKind.TERMS][state], amount))

    def take_mode(self, key: str, state: str, _amount: int) -> None:
        if state == "automatic":
            self.modes.add(key)

    def take_progress(self, _key: str, state: str, _amount: int) -> None:
        self.progress = max(self.progress, RANKS[FactKind.PROGRESS][state])

    def take_authorization(self, key: str, _state: str, amount: int) -> None:
        self.authorizations[key] = amount

    def take_attempt(self, _key: str, state: str, _amount: int) -> None:
        self.attempts.add(state)

    def take_capture(self, _key: str, state: str, amount: int) -> None:
        if state == "succeeded":
            self.captured += amount
        elif state != "pending":
            self.uncaptured += amount

    def take_refund(self, _key: str, state: str, amount: int) -> None:
        if state == "succeeded":
            self.refunds += amount
        else:
            self.refunds_undone += amount
            self.refunds_pending += amount if state == "pending" else 0

    def take_refund_total(self, _key: str, _state: str, amount: int) -> None:
        self.refunds_total += amount

    def take_dispute(self, _key: str, state: str, _amount: int) -> None:
        self.disputes.add(state)

    def take_dispute_funds(self, _key: str, state: str, amount: int) -> None:
        if state != "reinstated":
            self.disputed += amount

    def take_void(self, key: str, state: str, _amount: int) -> None:
        self.voids[key] = state


_TAKE: Final = {kind: getattr(_Sums, f"take_{kind}") for kind in FactKind}


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
        disputed=sums.disputed,
    )


def _captured(sums: _Sums) -> int:
    """Sum the captures; an automatic payment is captured with its authorization, less what failed since.

    A capture whose provider names no amount took what the client asked for.
    """
    captured = max(sums.captured, sums.asked) if sums.whole else sums.captured
    if sums.modes and sums.automatic:
        taken = sums.live or sum(sums.authorizations.values())  # money beats the void of all there is
        return max(captured, taken - sums.uncaptured)
    return captured


def _authorized(sums: _Sums, captured: int) -> int:
    """Sum what the attempts reserve; where all was released, or money was taken from it, the figure stays."""
    figure = sums.live if sums.live and captured <= sums.live else sum(sums.authorizations.values())
    return max(figure, sums.asked) if sums.whole else figure


def _refunded(sums: _Sums) -> int:
    """Sum the refunds by id, or take a cumulative figure that names none of them, whichever knows more.

    A cumulative figure counts refunds that are pending or failed since, so those known by id are taken off it.
    """
    return max(sums.refunds, sums.refunds_total - sums.refunds_undone)


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
    return RefundStatus.PENDING if sums.refunds_pending else RefundStatus.NONE


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
