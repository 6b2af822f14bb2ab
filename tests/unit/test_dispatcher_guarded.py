"""What the dispatcher writes: in a transaction that asks for the lease first, and a page with its cursor at once."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from consumer.dispatcher.recall import ListRange
from consumer.dispatcher.recall_found import RecallFound
from consumer.dispatcher.recall_rows import SPOOL_COLUMNS, Shown, new_of, open_cursor, spool_new
from consumer.dispatcher.worker import GuardedRows
from runtime.lease import Lease
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.record import recalled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

LEASE = Lease("dispatcher", "me", 7)
BEGAN = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
CURSOR = ("stripe", "acme", "events", 4)
NAMES = {
    statement("runtime", "guard_lease"): "guard",
    statement("consumer", "lock_reported_messages"): "lock",
    **{
        statement("consumer.dispatcher", name): name
        for name in ("finish_sms", "fail_recall", "move_recall", "note_seen", "find_known", "open_cursor")
    },
}


class Database:
    """A pool of one connection, which is itself. Each answer comes a turn later; `known` are ids seen before."""

    def __init__(self, *, held: bool = True, stands: bool = True, known: set[str] | None = None) -> None:
        self.held, self.stands, self.known = held, stands, known or set()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.copied: list[tuple[str, list[Any], tuple[str, ...]]] = []
        self.patience: list[float] = []
        self.within = False
        self.rolled_back = False
        self.openings: list[dict[str, int] | None] = []

    @asynccontextmanager
    async def acquire(self, *, timeout: float) -> AsyncIterator[Database]:  # noqa: ASYNC109 - asyncpg's name
        self.patience.append(timeout)
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within = True
        try:
            yield
        except BaseException:
            self.rolled_back = True
            raise
        finally:
            self.within = False

    async def _ask(self, sql: str, given: tuple[Any, ...]) -> str:
        await asyncio.sleep(0)
        name = NAMES[sql]
        assert self.within or name in {"find_known", "open_cursor"}
        self.asked.append((name, given))
        return name

    async def fetchval(self, sql: str, *given: Any) -> int | None:
        await self._ask(sql, given)
        return 1 if self.held else None

    async def fetchrow(self, sql: str, *given: Any) -> dict[str, int] | None:
        if await self._ask(sql, given) == "open_cursor":
            return self.openings.pop(0)
        return {"turns": 5} if self.stands else None

    async def fetch(self, sql: str, *given: Any) -> list[dict[str, str]]:
        name = await self._ask(sql, given)
        ids = given[1] if name in {"note_seen", "find_known"} else []
        return [{"event_id": one} for one in ids if (one in self.known) == (name == "find_known")]

    async def execute(self, sql: str, *given: Any) -> None:
        await self._ask(sql, given)

    async def copy_records_to_table(self, table: str, *, records: list[Any], columns: tuple[str, ...]) -> None:
        await asyncio.sleep(0)
        assert self.within
        self.copied.append((table, records, columns))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


def shown(*numbers: int, source: str = "stripe/acme") -> list[Shown]:
    return [
        Shown(
            recalled(source, "events", f"evt_{number}", "charge", None, b"{}", 1_767_000_000.0),
            None,
            BEGAN + dt.timedelta(days=number),
        )
        for number in numbers
    ]


async def guarded(rows: GuardedRows) -> None:
    async with rows.guarded(LEASE) as connection:
        await connection.execute(statement("consumer.dispatcher", "fail_recall"))


WAYS: list[tuple[Any, list[str]]] = [
    (lambda rows: rows.finish_sent(LEASE, "SM1", 9), ["lock", "finish_sms"]),
    (lambda rows: rows.fetch_one(LEASE, "fail_recall", 1), ["fail_recall"]),
    (lambda rows: rows.fetch_all(LEASE, "fail_recall", 1), ["fail_recall"]),
    (guarded, ["fail_recall"]),
    (
        lambda rows: rows.spool_page(LEASE, CURSOR, ListRange(0.0, 60.0, None), None, shown(1), BEGAN),
        ["move_recall", "note_seen"],
    ),
]


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("way", range(len(WAYS)))
async def test_whatever_is_written_the_lease_is_asked_for_first_in_the_same_transaction(
    way: int, *, held: bool
) -> None:
    """A dispatcher that lost it would write beside the next one: two answers about a payment, a message twice."""
    write, names = WAYS[way]
    database = Database(held=held)
    rows = GuardedRows(database, 4.5, "acme.webhooks")  # type: ignore[arg-type]
    if held:
        await write(rows)
    else:
        with pytest.raises(LeaseLostError):
            await write(rows)
    assert database.names == ["guard", *(names if held else [])]
    assert database.asked[0][1] == LEASE.fence
    assert (database.rolled_back, database.patience) == (not held, [4.5])
    assert bool(database.copied) == (held and "note_seen" in names)


@pytest.mark.parametrize("following", [None, "p2"])
async def test_a_page_and_its_cursor_go_together_and_only_a_span_that_is_through_is_read_until_its_end(
    following: str | None,
) -> None:
    """Read until the end of a span of which pages are left, what those show would never be asked for again."""
    database = Database(known={"evt_2"})
    rows = GuardedRows(database, 4.5, "acme.webhooks")  # type: ignore[arg-type]
    since, until = BEGAN.timestamp(), BEGAN.timestamp() + 60.0
    span = ListRange(since, until, "p1")
    assert await rows.spool_page(LEASE, CURSOR, span, following, shown(1, 2, 3), BEGAN) == 2
    ends = BEGAN, BEGAN + dt.timedelta(seconds=60)
    moved = (*ends, "p2", None) if following else (None, None, None, ends[1])
    assert database.asked[1] == ("move_recall", (*CURSOR, *moved))
    name, (source, ids, kinds, refs, moments, began) = database.asked[2]
    assert (name, source, ids) == ("note_seen", "stripe/acme", ["evt_1", "evt_2", "evt_3"])
    assert (kinds, refs, began) == (["charge"] * 3, [None] * 3, BEGAN)
    assert moments == [BEGAN + dt.timedelta(days=number) for number in (1, 2, 3)]
    ((table, records, columns),) = database.copied
    assert (table, columns) == ("spool", SPOOL_COLUMNS)
    assert records == [one.record.spooled("acme.webhooks") for one in shown(1, 3)], (
        "of what is known nothing goes twice"
    )


async def test_a_page_whose_cursor_another_one_has_moved_leaves_nothing() -> None:
    database = Database(stands=False)
    rows = GuardedRows(database, 4.5, "acme.webhooks")  # type: ignore[arg-type]
    assert await rows.spool_page(LEASE, CURSOR, ListRange(0.0, 60.0, None), None, shown(1), BEGAN) == 0
    assert (database.names, database.copied) == (["guard", "move_recall"], [])


async def test_a_page_that_shows_nothing_or_nothing_new_spools_nothing() -> None:
    database = Database(known={"evt_1"})
    async with database.transaction():
        assert await spool_new(database, "t", "stripe", [], BEGAN) == set()  # type: ignore[arg-type]
        assert database.asked == []
        assert await spool_new(database, "t", "stripe", shown(1), BEGAN) == set()  # type: ignore[arg-type]
    assert database.copied == []
    assert await new_of(database, "stripe", shown(1, 2)) == {"evt_2"}  # type: ignore[arg-type]


async def test_of_two_that_make_one_cursor_the_second_reads_what_the_first_has_made() -> None:
    database = Database()
    database.openings = [None, {"turns": 0}]
    row: Any = await open_cursor(database, "stripe", "acme", "events", "stripe/acme", 50)  # type: ignore[arg-type]
    assert row == {"turns": 0}
    assert database.asked == [("open_cursor", ("stripe", "acme", "events", "stripe/acme", 50))] * 2


def test_what_was_found_is_counted_by_what_was_known_and_what_is_history() -> None:
    found = RecallFound("stripe/acme", BEGAN)
    found.take(shown(3, 1, 2, 0), {"evt_0", "evt_1", "evt_3"}, BEGAN + dt.timedelta(days=2))
    found.take(shown(4), set(), BEGAN + dt.timedelta(days=2))
    days = [moment and (moment - BEGAN).days for moment in (found.first, found.last, found.began_at)]
    assert (found.pages, found.known, found.history, dict(found.new), days) == (2, 2, 2, {"charge": 3}, [0, 3, 2])
