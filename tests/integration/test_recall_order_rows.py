"""Orders of recall and what the board counts, as rows: whom each statement means, and what is left alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from plain_rows import DAY, HOUR, MOMENT, add

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.integration


async def run(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[asyncpg.Record]:
    return await connection.fetch(statement("ops.console", name), *arguments)


async def order(heap: asyncpg.Connection[Any], status: str, provider: str, **columns: Any) -> int:
    ended = {"ended_at": MOMENT} if status in {"done", "stopped", "failed"} else {}
    ended |= {"error": "why"} if status == "failed" else {}
    row = {"provider": provider, "account": "", "since": MOMENT, "until": MOMENT + DAY, "dry_run": False}
    row |= {"requested_by": "alice", "because": "", "status": status, "next_at": MOMENT}
    return int(await add(heap, "recall_orders", **row | ended | columns))


async def asked(heap: asyncpg.Connection[Any], provider: str, open_max: int) -> list[int]:
    words = provider, "", MOMENT, MOMENT + DAY, False, "alice", "", open_max
    return [row["id"] for row in await run(heap, "order_recall", *words)]


async def test_one_order_of_a_provider_is_open_and_so_many_in_all(heap: asyncpg.Connection[Any]) -> None:
    for status in ("done", "failed", "done", "failed"):
        await order(heap, status, "stripe")
    for status, provider in (("queued", "adyen"), ("running", "paypal")):
        await order(heap, status, provider)
    for provider in ("adyen", "paypal"):
        assert await asked(heap, provider, 9) == [], "one of the provider is open"
    assert await asked(heap, "stripe", 2) == [], "as many are open as may be"
    assert len(await asked(heap, "stripe", 3)) == 1
    assert await heap.fetchval("select count(*) from recall_orders where status = 'queued'") == 2


async def test_an_order_is_stopped_once_and_at_once_where_it_has_not_begun(heap: asyncpg.Connection[Any]) -> None:
    for status in ("queued", "running", "done", "failed", "stopped"):
        stopped_by = "carol" if status == "stopped" else None
        one, neighbour = (
            await order(heap, status, "stripe", stopped_by=stopped_by),
            await order(heap, status, "adyen", stopped_by=stopped_by),
        )
        before = await heap.fetch("select * from recall_orders order by id")
        found = await run(heap, "stop_recall", one, "bob")
        after = await heap.fetch("select * from recall_orders order by id")
        assert after[1] == before[1], neighbour
        if status in {"done", "failed", "stopped"}:
            assert (found, after[0]) == ([], before[0]), status
        else:
            assert [row["id"] for row in found] == [one]
            assert (after[0]["stopped_by"], after[0]["next_at"] > MOMENT) == ("bob", True)
            ended = status == "queued"
            assert (after[0]["status"], after[0]["ended_at"] is not None) == ("stopped" if ended else status, ended)
            assert await run(heap, "stop_recall", one, "dan") == []
            assert await heap.fetchval("select stopped_by from recall_orders where id = $1", one) == "bob"
        await heap.execute("delete from recall_orders")
    one = await order(heap, "running", "stripe", stopped_by="carol")
    assert await run(heap, "stop_recall", one, "bob") == [], "who asked first is kept"


async def test_orders_are_listed_the_newest_first(heap: asyncpg.Connection[Any]) -> None:
    for number, status, provider in (
        *((2, "queued", "stripe"), (1, "done", "stripe"), (4, "running", "adyen"), (3, "failed", "adyen")),
    ):
        await order(heap, status, provider, id=number)
    for words, wanted in (
        ((None, None, 9), [4, 3, 2, 1]),
        ((None, None, 2), [4, 3]),
        ((3, None, 9), [3]),
        ((None, "stripe", 9), [2]),
        ((None, "adyen", 9), [4]),
        ((2, "adyen", 9), []),
    ):
        assert [row["id"] for row in await run(heap, "list_recall_orders", *words)] == wanted, words


async def stretches(heap: asyncpg.Connection[Any]) -> list[tuple[Any, ...]]:
    found = await heap.fetch("select seconds, began_at, provider, outcome, detail, events from outcome_counts")
    return sorted(tuple(row) for row in found)


async def test_each_event_counts_into_its_minute_ten_minutes_and_hour(heap: asyncpg.Connection[Any]) -> None:
    fresh = [(MOMENT + 11 * HOUR / 60, 2), (MOMENT + 12 * HOUR / 60, 3), (MOMENT + HOUR, 5)]
    words = [one for one, _ in fresh], *([text] * 3 for text in ("stripe", "applied", "")), [many for _, many in fresh]
    for times in (1, 2):
        await run(heap, "add_outcome_counts", *words)
        wanted = [(60, moment, many) for moment, many in fresh]
        wanted += [
            (600, MOMENT + 10 * HOUR / 60, 5),
            (600, MOMENT + HOUR, 5),
            (3600, MOMENT, 5),
            (3600, MOMENT + HOUR, 5),
        ]
        assert await stretches(heap) == [
            (seconds, moment, "stripe", "applied", "", times * many) for seconds, moment, many in wanted
        ]


async def count(heap: asyncpg.Connection[Any], seconds: int, began_at: dt.datetime, **columns: Any) -> None:
    row = {"provider": "stripe", "outcome": "applied", "detail": "", "events": 1}
    await add(heap, "outcome_counts", returning=None, seconds=seconds, began_at=began_at, **row | columns)


async def test_stretches_are_kept_for_as_long_as_the_board_shows_them(heap: asyncpg.Connection[Any]) -> None:
    now = dt.datetime.now(dt.UTC)
    young = {60: 25 * HOUR, 600: 25 * HOUR, 3600: 7 * DAY + 23 * HOUR}
    old = {60: 27 * HOUR, 600: 27 * HOUR, 3600: 8 * DAY + HOUR}
    for ages in (young, old):
        for seconds, age in ages.items():
            await count(heap, seconds, now - age)
    await run(heap, "remove_old_outcome_counts")
    assert [row[:2] for row in await stretches(heap)] == [(seconds, now - age) for seconds, age in young.items()]


async def test_the_cursor_moves_where_there_is_a_place_and_stays_elsewhere(heap: asyncpg.Connection[Any]) -> None:
    names = "ledger_xid", "ledger_id", "letters_xid", "letters_id", "parked_id"
    for place, after in (
        ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
        ((None,) * 5, (1, 2, 3, 4, 5)),
        ((11, None, 13, None, 15), (11, 2, 13, 4, 15)),
        ((None, 12, None, 14, None), (11, 12, 13, 14, 15)),
    ):
        await run(heap, "move_outcome_cursor", *place)
        (found,) = await run(heap, "lock_outcome_cursor")
        assert tuple(found[name] for name in names) == after


async def test_a_chart_sums_the_stretches_of_one_length(heap: asyncpg.Connection[Any]) -> None:
    for seconds, began_at, columns in (
        *((60, MOMENT, {}), (60, MOMENT, {"provider": "adyen", "events": 2}), (60, MOMENT, {"outcome": "late"})),
        *((60, MOMENT + HOUR, {}), (60, MOMENT - HOUR, {}), (600, MOMENT, {})),
    ):
        await count(heap, seconds, began_at, **columns)
    found = await run(heap, "sum_outcomes", 60, MOMENT)
    assert sorted(map(tuple, found)) == [(MOMENT, "applied", 3), (MOMENT, "late", 1), (MOMENT + HOUR, "applied", 1)]


async def test_the_minutes_of_those_that_fail_now_are_listed(heap: asyncpg.Connection[Any]) -> None:
    recent = MOMENT + 3 * HOUR
    for provider, outcome in (
        ("a", "conflict"),
        ("b", "dead_letter"),
        ("c", "refused"),
        ("d", "applied"),
        ("e", "late"),
    ):
        await count(heap, 60, recent, provider=provider, outcome=outcome)
    await count(heap, 60, recent - HOUR, provider="f", outcome="conflict")
    await count(heap, 600, recent, provider="g", outcome="conflict")
    for began_at, seconds in ((MOMENT, 60), (MOMENT - HOUR, 60), (MOMENT + HOUR, 600)):
        await count(heap, seconds, began_at, provider="a")
        await count(heap, seconds, began_at, provider="g")
    found = await run(heap, "list_failing_minutes", MOMENT, recent)
    assert [row["began_at"] for row in found] == [MOMENT, recent, recent, recent]
    assert sorted((row["began_at"], row["provider"]) for row in found) == [
        (MOMENT, "a"),
        *((recent, provider) for provider in "abc"),
    ]
