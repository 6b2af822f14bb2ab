"""Where disputes stand, and what of the captured money they hold. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.facts import State


def stage_of(key: str, dispute: State, outs: Mapping[str, State]) -> str:
    """Return where a dispute stands; one that nobody answered in time is lost where it had taken money.

    `outs` are the parts that disputes took.
    """
    if dispute.name != "undefended":
        return dispute.name
    return "lost" if any(key == (out.parent or own) for own, out in outs.items()) else "prevented"


def money_held(outs: Mapping[str, State], ins: Mapping[str, State], captured: int) -> int:
    """Return what disputes hold: in each round what was taken (`outs`) less what was given back (`ins`).

    A later round that takes money says that the rounds before it had given theirs back, unless they tell a part.
    """
    if not outs:
        return 0
    taken, given = _by_round(outs, whole=captured), _by_round(ins, whole=-1)
    last: dict[str, int] = {}
    for dispute, number in (*taken, *given):
        last[dispute] = max(last.get(dispute, 0), number)
    total = 0
    for (dispute, number), amount in taken.items():
        back = given.get((dispute, number), amount if number < last[dispute] else 0)
        total += 0 if back < 0 else max(amount - back, 0)
    return total


def _by_round(parts: Mapping[str, State], *, whole: int) -> dict[tuple[str, int], int]:
    """Return the parts of disputes' money added up by dispute and round; `whole` stands for a part without amount."""
    sums: dict[tuple[str, int], int] = {}
    for key, state in parts.items():
        place = (state.parent or key, state.version)
        if state.amount is None or sums.get(place, 0) < 0:
            sums[place] = whole
        else:
            sums[place] = sums.get(place, 0) + state.amount
    return sums
