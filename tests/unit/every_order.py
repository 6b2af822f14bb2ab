"""Records processed in every order, one by one or in one batch, without doing the same twice.

Orders that have brought the same about go on as one, for what follows is the same for all of them. Payments whose facts
came in another order are the same, which `_check_folds` holds for each of those orders.
"""

from __future__ import annotations

from copy import copy
from math import factorial
from typing import TYPE_CHECKING, Any, NamedTuple

from memory_tables import Head, MemoryTables, decoded, hashable, stands_under, walked
from msgspec.structs import replace

from consumer.commands import OpenCommand
from consumer.decode import Event
from consumer.entries import Entries
from consumer.fold import newer, project
from schemas.payment import Payment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from consumer.planner import Planner, Waiting
    from consumer.verdict import Dead
    from schemas.payment import Facts
    from schemas.record import Record

    Item = tuple[Record, Event | Dead]


class End(NamedTuple):
    """What one or more orders of the same records come to; `order` is one of them, `orders` says how many they are."""

    order: tuple[int, ...]
    orders: int
    tables: MemoryTables


def in_every_order(records: Sequence[Record]) -> list[End]:
    """Process records one by one in every order; return the different ends."""
    _check_folds(records)
    reached: dict[Any, End] = {(): End((), 1, MemoryTables())}
    for _ in records:
        following: dict[Any, End] = {}
        for end in reached.values():
            for place in _left(records, end.order):
                after = end.tables.copy()
                after.process([records[place]])
                order = (*end.order, place)
                key = (frozenset(order), after.state())
                before = following.get(key)
                following[key] = End(order, end.orders + (before.orders if before else 0), after)
        reached = following
    ends = list(reached.values())
    assert sum(end.orders for end in ends) == factorial(len(records))
    return ends


def _left(records: Sequence[Record], order: tuple[int, ...]) -> Iterator[int]:
    return (place for place in range(len(records)) if place not in order)


def _check_folds(records: Sequence[Record]) -> None:
    """Assert that the facts of some of the records come to the same row in whichever order they are joined."""
    items = [decoded(one) for one in records]
    reported = [item.meaning.facts for item in items if isinstance(item, Event)]
    reached: dict[frozenset[int], list[Facts]] = {frozenset(): [{}]}
    for _ in reported:
        following: dict[frozenset[int], dict[Any, Facts]] = {}
        for known, folds in reached.items():
            for place in set(range(len(reported))) - known:
                for facts in folds:
                    joined = facts | newer(facts, reported[place])
                    following.setdefault(known | {place}, {})[tuple(joined.items())] = joined
        reached = {known: list(folds.values()) for known, folds in following.items()}
        for folds in reached.values():
            rows = {project(facts) for facts in folds}
            assert len(rows) == 1, rows


# --- one batch ---------------------------------------------------------------------------------------------------


class Begun(NamedTuple):
    """A batch that has taken some of its records in.

    `waiting` has what waits by its record's place, `ways` the orders by which they were taken in: by the order in which
    they wait, which the batch does not look at before its end, one of those orders and how many they are.
    """

    planner: Planner
    waiting: dict[int, Waiting]
    ways: dict[tuple[int, ...], tuple[tuple[int, ...], int]]

    @property
    def taken(self) -> tuple[int, ...]:
        return next(iter(self.ways.values()))[0]

    def state(self) -> Any:
        """Return which records wait, and all that what the batch takes in later looks at.

        The rows that it adds are not looked at again; they say how the payments came about.
        """
        known, plan = self.planner._known, self.planner._plan
        held = (known.refs, known.payments, known.reported, known.bodies, known.groups, known.under, known.commands)
        written = ({*plan.opened}, {*plan.changed}, plan.bindings, stands_under(plan), plan.merges, plan.metadata)
        return frozenset(self.waiting), len(plan.letters), *map(hashable, held), *map(hashable, written)


def in_every_order_at_once(records: Sequence[Record]) -> list[End]:
    """Process records as one batch in every order; return the different ends."""
    tables = MemoryTables()
    items = [(one, decoded(one, tables.endpoints)) for one in records]
    reached: dict[Any, Begun] = {(): Begun(tables.planner(items), {}, {(): ((), 1)})}
    for _ in records:
        following: dict[Any, Begun] = {}
        for begun in reached.values():
            for place in _left(records, begun.taken):
                _add(following, _taken(begun, place, items[place]))
        reached = following
    ends = list(_ends([*reached.values()], tables))
    assert sum(end.orders for end in ends) == factorial(len(records))
    _check_whole(items, [begun.taken for begun in reached.values()], ends)
    return ends


def _check_whole(items: Sequence[Item], orders: Iterable[tuple[int, ...]], ends: Sequence[End]) -> None:
    """Assert that batches that are planned as a whole come to one of the ends."""
    states = {end.tables.state() for end in ends}
    for order in orders:
        whole = MemoryTables()
        whole.process_items([items[place] for place in order])
        assert whole.state() in states, order


def _add(reached: dict[Any, Begun], begun: Begun) -> None:
    """Put a batch to those that are reached, or its ways to those of an equal one."""
    ways = reached.setdefault((frozenset(begun.taken), begun.state()), begun).ways
    if ways is not begun.ways:
        for way, (order, orders) in begun.ways.items():
            ways[way] = order, orders + (ways[way][1] if way in ways else 0)


def _taken(begun: Begun, place: int, item: Item) -> Begun:
    """Return a batch that has taken one more record in."""
    planner = forked(begun.planner)
    waits = planner.take(*item)
    _check_chains(planner, begun.planner)
    more = (place,) if waits else ()
    ways = {(*way, *more): ((*order, place), orders) for way, (order, orders) in begun.ways.items()}
    return Begun(planner, begun.waiting | dict(zip(more, waits, strict=True)), ways)


def _ends(reached: Sequence[Begun], tables: MemoryTables) -> Iterator[End]:
    """Finish batches for each order in which something waits.

    What waits is tried in its order. The first, once it is applied, is tried no more: the batch goes on as one in which
    the others wait. Where the first has to wait on, the batch is finished as it is.
    """
    waiting: list[dict[Any, Begun]] = [{} for _ in range(max(len(begun.waiting) for begun in reached) + 1)]
    for begun in reached:
        _add(waiting[len(begun.waiting)], begun)
    for many, found in reversed([*enumerate(waiting)]):
        for begun in found.values():
            applied = {way[0]: _tried(begun, way[0]) for way in begun.ways if way}
            for after in filter(None, applied.values()):
                _add(waiting[many - 1], after)
            for way, (order, orders) in begun.ways.items():
                if not (way and applied[way[0]]):
                    ended = tables.copy()
                    ended.carry_out(forked(begun.planner).finish([begun.waiting[place] for place in way]))
                    yield End(order, orders, ended)


def _tried(begun: Begun, first: int) -> Begun | None:
    """Return a batch to which what waits first was applied, or None where it has to wait on."""
    planner = forked(begun.planner)
    if not planner._try(*begun.waiting[first]):
        return None
    _check_chains(planner, begun.planner)
    waiting = {place: held for place, held in begun.waiting.items() if place != first}
    return Begun(planner, waiting, {way[1:]: kept for way, kept in begun.ways.items() if way and way[0] == first})


def _check_chains(planner: Planner, before: Planner) -> None:
    """Assert that the rows that a planner has added to those of `before` chain on."""
    rows, payments = planner._plan.rows[len(before._plan.rows) :], before._known.payments
    for one in planner._known.payments.values():
        head = _head_of(payments[one.id]) if one.id in payments else Head()
        assert walked([row for row in rows if row.payment_id == one.id], head)[:3] == _head_of(one)[:3]


def _head_of(payment: Payment) -> Head:
    return Head(payment.head_hash, payment.version, payment.head_xid, payment.projection.status)


def forked(planner: Planner) -> Planner:
    """Return a planner that has come as far, and goes on by itself."""
    payments: dict[int, Payment] = {}
    known, plan = _parts_copied(planner._known, payments), _parts_copied(planner._plan, payments)
    entries = Entries(plan, planner._now, planner._entries._xid)
    adopted = _copied(planner._grouping._adopted, payments)
    grouping = _like(planner._grouping, _known=known, _plan=plan, _entries=entries, _adopted=adopted)
    other: Planner = _like(planner, _known=known, _plan=plan, _entries=entries, _grouping=grouping)
    return other


def _like(one: Any, **changed: Any) -> Any:
    other = object.__new__(type(one))
    other.__dict__.update(one.__dict__, **changed)
    return other


def _parts_copied(held: Any, payments: dict[int, Payment]) -> Any:
    return type(held)(*[_copied(getattr(held, name), payments) for name in held.__slots__])


def _copied(held: Any, payments: dict[int, Payment]) -> Any:
    """Copy what a batch alters, a payment once; what it never alters stays the same, also within dicts and lists."""
    kind = type(held)
    if kind is Payment:
        if id(held) not in payments:
            payments[id(held)] = replace(held, facts=held.facts.copy())
        return payments[id(held)]
    if kind is dict and type(next(iter(held.values()), None)) in _ALTERED:
        return {key: _copied(one, payments) for key, one in held.items()}
    if kind is list and held and type(held[0]) in _ALTERED:
        return [_copied(one, payments) for one in held]
    return copy(held) if kind in _ALTERED else held


_ALTERED = frozenset({dict, list, set, Payment, OpenCommand})
