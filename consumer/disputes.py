"""Where disputes stand, and what of the captured money they hold. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.facts import ChildState


def stage_of(key: str, dispute: ChildState, outs: Mapping[str, ChildState]) -> str:
    """Return where a dispute stands; one that nobody answered in time is lost where it had taken money.

    `outs` are the parts that disputes took.
    """
    if dispute.name != "undefended":
        return dispute.name
    return "lost" if any(key == (out.parent or own) for own, out in outs.items()) else "prevented"


def money_held(outs: Mapping[str, ChildState], ins: Mapping[str, ChildState], captured_of: Callable[[str], int]) -> int:
    """Return what disputes hold: in each round what was taken (`outs`) less what was given back (`ins`).

    `captured_of` returns what was captured of a dispute's payment, which a part without an amount took. A later round
    that takes money says that the rounds before it had given theirs back, unless they tell a part.
    """
    if not outs:
        return 0
    taken, given = _by_round(outs), _by_round(ins)
    last: dict[str, int] = {}
    for dispute, number in (*taken, *given):
        last[dispute] = max(last.get(dispute, 0), number)
    total = 0
    for (dispute, number), amount in taken.items():
        took = captured_of(dispute) if amount is None else amount
        back = given.get((dispute, number), took if number < last[dispute] else 0)
        total += 0 if back is None else max(took - back, 0)
    return total


def _by_round(parts: Mapping[str, ChildState]) -> dict[tuple[str, int], int | None]:
    """Return the parts of disputes' money added up by dispute and round.

    None is all of it: a part without an amount is, so that parts beside it add nothing.
    """
    sums: dict[tuple[str, int], int | None] = {}
    for key, state in parts.items():
        place = (state.parent or key, state.version)
        held = sums.get(place, 0)
        sums[place] = None if held is None or state.amount is None else held + state.amount
    return sums
