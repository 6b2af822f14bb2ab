"""What was given back of a payment, refund by refund. Pure.

A refund means what its payment had taken by then: a cancel-or-refund of what was never captured is a cancel, and a
refund that nothing accounts for may be no more than the release of what was reserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.facts import ChildState


class TakenMoney(msgspec.Struct, frozen=True):
    """What refunds are held against, in minor units: what each authorization reserves, and what was ever taken.

    `gross` is by the authorization that the captures name, `None` for those that name none.
    """

    reserved: Mapping[str, int]
    gross: Mapping[str | None, int]
    captured_ever: int


def is_cancel(refund: ChildState, taken: TakenMoney) -> bool:
    """Tell whether a cancel-or-refund was a cancel: nothing had been captured."""
    if refund.name != "either":
        return False
    captured = taken.gross.get(refund.parent, 0) + taken.gross.get(None, 0)
    return not captured and not (refund.parent not in taken.reserved and taken.captured_ever)


def given_back(refunds: Mapping[str, ChildState], totals: Mapping[str, ChildState], taken: TakenMoney) -> int:
    """Add the refunds up: by id, and what a cumulative figure that names none of them reports beyond those.

    A cumulative figure counts refunds that are pending or failed since, so those known by id are taken off it.
    """
    refunded = 0
    for state in refunds.values():
        if state.name == "succeeded" or (state.name == "either" and not is_cancel(state, taken)):
            refunded += state.amount or 0
    if unbooked := [state for state in refunds.values() if state.name == "unbooked"]:
        refunded += _unbooked(unbooked, taken)
    for key, total in totals.items():
        named = sum([state.amount or 0 for state in refunds.values() if state.parent in (None, key)])
        refunded += max((total.amount or 0) - named, 0)
    return refunded


def is_pending(refunds: Mapping[str, ChildState]) -> bool:
    """Tell whether a refund is under way."""
    return any(state.name == "pending" for state in refunds.values())


def _unbooked(unbooked: Iterable[ChildState], taken: TakenMoney) -> int:
    """Return what refunds that nothing accounts for gave back: all but the one of just what their payment released."""
    asked: dict[str | None, list[int]] = {}
    for state in unbooked:
        asked.setdefault(state.parent, []).append(state.amount or 0)
    return sum(
        [
            sum(amounts) - (rest if (rest := _released(parent, taken)) in amounts else 0)
            for parent, amounts in asked.items()
        ]
    )


def _released(payment: str | None, taken: TakenMoney) -> int:
    """Return what was reserved of a payment and not taken; below 0 where more was taken."""
    unnamed = taken.gross.get(None, 0) if len(taken.reserved) == 1 else 0
    return taken.reserved.get(payment or "", 0) - taken.gross.get(payment, 0) - unnamed
