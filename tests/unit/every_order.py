"""Records processed one by one in every order, without doing the same twice."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, NamedTuple

from memory_tables import MemoryTables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.record import Record


class End(NamedTuple):
    """What one or more orders of the same records come to; `order` is one of them, `orders` says how many they are."""

    order: tuple[int, ...]
    orders: int
    tables: MemoryTables


def in_every_order(records: Sequence[Record]) -> list[End]:
    """Process records one by one in every order; return the different ends.

    Orders that have brought the same tables about go on as one: what follows is the same for all of them.
    """
    reached: dict[tuple[tuple[int, ...], str], End] = {((), ""): End((), 1, MemoryTables())}
    for _ in records:
        following: dict[tuple[tuple[int, ...], str], End] = {}
        for end in reached.values():
            for place in set(range(len(records))) - set(end.order):
                after = end.tables.copy()
                after.process([records[place]])
                order = (*end.order, place)
                key = (tuple(sorted(order)), after.state())
                before = following.get(key)
                following[key] = End(order, end.orders + (before.orders if before else 0), after)
        reached = following
    ends = list(reached.values())
    assert sum(end.orders for end in ends) == factorial(len(records))
    return ends
