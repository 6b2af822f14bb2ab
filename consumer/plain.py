"""A plain payment's row, in one pass over its facts. Pure.

Nearly every payment holds what was asked for, attempts, holds, captures and refunds, and nothing that unmakes or moves
another child. `consumer.children` has the rules in full and their reasons; a property test holds the two equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.payment_attempts import went_on
from schemas.facts import INTENT, FactKind
from schemas.payment import DisputeStatus, Flag, Projection, RefundStatus, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.facts import ChildState
    from schemas.payment import Facts

# Members as names of the module: looking one up in its enum costs as much as the rest of its line.
_TERMS: Final = FactKind.TERMS
_MODE: Final = FactKind.MODE
_ATTEMPT: Final = FactKind.ATTEMPT
_AUTHORIZATION: Final = FactKind.AUTHORIZATION
_CAPTURE: Final = FactKind.CAPTURE
_REFUND: Final = FactKind.REFUND
_REFUND_TOTAL: Final = FactKind.REFUND_TOTAL
_CAPTURED: Final = Status.CAPTURED
_PARTIALLY_CAPTURED: Final = Status.PARTIALLY_CAPTURED
_AUTHORIZED: Final = Status.AUTHORIZED
_CREATED: Final = Status.CREATED
_NOT_REFUNDED: Final = RefundStatus.NONE
_REFUND_PENDING: Final = RefundStatus.PENDING
_REFUNDED: Final = RefundStatus.FULL
_REFUNDED_IN_PART: Final = RefundStatus.PARTIAL
_UNDISPUTED: Final = DisputeStatus.NONE
_OVER_CAPTURED: Final = Flag.OVER_CAPTURED
_OVER_REFUNDED: Final = Flag.OVER_REFUNDED
_OF_TRY: Final = {
    "created": (0, Status.CREATED),
    "succeeded": (0, Status.CREATED),
    "failed": (1, Status.FAILED),
    "expired": (2, Status.EXPIRED),
    "canceled": (3, Status.CANCELED),
    "requires_action": (4, Status.REQUIRES_ACTION),
    "processing": (5, Status.PROCESSING),
}
"""What an attempt without money comes to, and which of several is shown: the furthest open, else the strongest end."""
_OPEN: Final = 4
"""Where the attempts begin that are still open."""
_GIVEN_BACK: Final = ("succeeded", "unbooked")
"""States of a refund that count; an unbooked one released nothing where no hold has anything left."""
_NO_FLAGS: Final[tuple[str, ...]] = ()


def plain_row(facts: Facts) -> Projection | None:  # noqa: C901, PLR0911, PLR0912 - one case a kind, the frequent first
    """Return what a plain payment's facts come to, or None where they are not plain.

    Not plain: a child of another kind than those below; money of 0 or of an unknown amount; a hold that takes another's
    place; a cancel-or-refund; a refund that nothing accounts for, which may have released the rest of a hold; refunds
    of what nobody took; totals that differ.
    """
    asked: int | None = None
    attempts: dict[str, ChildState] = {}
    holds: dict[str, int] = {}
    taken: dict[str | None, int] = {}
    refunds: dict[str, ChildState] = {}
    totals: dict[str, int] = {}
    modes: dict[str, str] = {}
    for (kind, key), state in facts.items():
        if kind is _ATTEMPT:
            attempts[key] = state
        elif kind is _TERMS:
            if not (amount := state.amount) or (asked is not None and asked != amount):
                return None
            asked = amount
        elif kind is _CAPTURE:
            if state.name == "succeeded":
                if not state.amount:
                    return None
                taken[state.parent] = taken.get(state.parent, 0) + state.amount
        elif kind is _AUTHORIZATION:
            if not state.amount or state.replaces is not None:
                return None
            holds[key] = state.amount
        elif kind is _REFUND:
            if state.name == "either":
                return None
            refunds[key] = state
        elif kind is _REFUND_TOTAL:
            totals[key] = state.amount or 0
        elif kind is _MODE:
            modes[key] = state.name
        else:
            return None
    if modes and holds:
        _take_at_once(modes, holds, taken)
    if refunds and holds and _may_release(refunds, holds, taken):
        return None
    if taken:
        return _paid(asked, holds, taken, refunds, totals)
    if refunds or totals:
        return None
    return _held(asked, holds) if holds else _unpaid(asked, attempts)


def _held(asked: int | None, holds: dict[str, int]) -> Projection:
    """Return the row of a payment of which money is held and none was taken."""
    authorized = sum(holds.values())
    return Projection(_AUTHORIZED, _NOT_REFUNDED, _UNDISPUTED, asked or authorized, authorized)


def _unpaid(asked: int | None, attempts: dict[str, ChildState]) -> Projection:
    """Return the row of a payment that has attempts at most."""
    best, status, shown = 0, _CREATED, asked or 0
    for key, state in attempts.items():
        rank, name = _OF_TRY[state.name]
        if rank > best and (rank < _OPEN or len(attempts) == 1 or not went_on(attempts, key, state)):
            best, status = rank, name
        if asked is None and state.amount is not None and state.amount > shown:
            shown = state.amount
    return Projection(status, _NOT_REFUNDED, _UNDISPUTED, shown)


def _take_at_once(modes: dict[str, str], holds: dict[str, int], taken: dict[str | None, int]) -> None:
    """Count as taken what a provider takes at once and tells by the hold alone."""
    if None in taken:
        return
    by_intent = modes.get(INTENT) == "automatic"
    for key, amount in holds.items():
        mode = modes.get(key)
        if (mode == "automatic" or (mode == "account" and by_intent)) and key not in taken:
            taken[key] = amount


def _may_release(refunds: dict[str, ChildState], holds: dict[str, int], taken: dict[str | None, int]) -> bool:
    """Tell whether a refund that nothing accounts for may have released the rest of a hold."""
    if all(state.name != "unbooked" for state in refunds.values()):
        return False
    unnamed = taken.get(None, 0) if len(holds) == 1 else 0
    return any(amount > taken.get(key, 0) + unnamed for key, amount in holds.items())


def _paid(
    asked: int | None,
    holds: dict[str, int],
    taken: dict[str | None, int],
    refunds: dict[str, ChildState],
    totals: dict[str, int],
) -> Projection:
    """Return the row of a payment of which money was taken."""
    captured = sum(taken.values())
    authorized, flags = captured, _NO_FLAGS
    if holds:
        authorized, over = _against(holds, taken, captured)
        flags = (_OVER_CAPTURED,) if over else _NO_FLAGS
    amount = asked or authorized
    status = _CAPTURED if captured >= amount else _PARTIALLY_CAPTURED
    refunded, refund_status = 0, _NOT_REFUNDED
    if refunds or totals:
        refunded = _refunded(refunds.values(), totals)
        if refunded:
            refund_status = _REFUNDED if refunded >= captured else _REFUNDED_IN_PART
            if refunded > captured:
                flags += (_OVER_REFUNDED,)
        elif any(state.name == "pending" for state in refunds.values()):
            refund_status = _REFUND_PENDING
    return Projection(status, refund_status, _UNDISPUTED, amount, authorized, captured, refunded, 0, flags)


def _against(holds: dict[str, int], taken: dict[str | None, int], captured: int) -> tuple[int, bool]:
    """Return what is authorized, with what captures proved for themselves, and whether more was taken than that."""
    authorized = sum(holds.values())
    over = False
    for key, amount in taken.items():
        held = holds.get(key) if key is not None else None
        if held is not None:
            over = over or amount > held
        elif key is not None:
            authorized += amount
    return authorized, over or (None in taken and captured > authorized)


def _refunded(refunds: Iterable[ChildState], totals: dict[str, int]) -> int:
    """Add up the refunds: by id, and what cumulative figures tell beyond those that they count."""
    refunded = 0
    for state in refunds:
        if state.name in _GIVEN_BACK:
            refunded += state.amount or 0
    for key, total in totals.items():
        named = 0
        for state in refunds:
            if state.parent == key or state.parent is None:
                named += state.amount or 0
        if total > named:
            refunded += total - named
    return refunded
