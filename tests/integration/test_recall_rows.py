"""Which rows of recall its statements take, change and count: each beside rows that differ in one thing."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until_waiting
from filled_database import by_heap, filled_database, undone

from consumer.dispatcher.recall_rows import open_cursor
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

MARK = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
LIST = ("stripe", "acme", "events")
NEW_LIST = ("stripe", "acme", "disputes")
ROWS = f"""
insert into recall_cursors (provider, account, list, began_at, read_until, since, until, page, turns, last_error)
select provider, account, list, '{MARK}', '{MARK}', '{MARK}', '{MARK}', 'before', 2, 'before'
from (values ('stripe', 'acme', 'events'), ('stripe', 'acme', 'refunds'), ('stripe', '', 'events'),
    ('stripe', '', 'disputes'), ('mollie', 'acme', 'events'), ('mollie', 'acme', 'disputes'))
    as near (provider, account, list);
insert into spool (topic, value, header_names, header_values) select 't', '', '{{}}', '{{}}' from generate_series(1, 3);
"""
LEDGER_ROW = """
insert into payment_logs (id, source, event_id, event_type, outcome, facts, topic, partition, "offset", recorded_at,
    relay_xid, hash)
overriding system value values ($1, $2, $3, 'x', 'noop', '[]', 't', 0, $1, $4, 5, sha256('x'))
"""
KNOWN = """
insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, header_names, header_values, parked_at, deadline)
values ($1, $2 || 'parked', '', 'orphan', '', '[]', 't', 0, 1, 0, '{}', '{}', now(), now());
""", """
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, value, header_names, header_values, source,
    event_id, reason, message, relay_xid, created_at)
values ($1, 0, 1, sha256('x'), 1, '', '{}', '{}', $1, $2 || 'letter', 'orphan', '', 1, now());
""", """
insert into recalled_events (source, event_id, kind, occurred_at, history) values ($1, $2 || 'shown', 'k', now(), false)
"""  # fmt: skip


def sql(name: str) -> str:
    return statement("consumer.dispatcher", name)


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with filled_database(stack, template_database, ROWS) as connection:
        yield connection


@pytest.fixture
async def owner(filled: asyncpg.Connection[Any]) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give the filled database; what a test does in it is undone."""
    async with undone(filled):
        await by_heap(filled)
        yield filled


async def cursors(owner: asyncpg.Connection[Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = await owner.fetch("select * from recall_cursors")
    return {(row["provider"], row["account"], row["list"]): dict(row) for row in rows}


async def moved(owner: asyncpg.Connection[Any], name: str, *arguments: Any) -> dict[str, Any]:
    """Run a statement for LIST; return its cursor, once no other is seen to have changed."""
    before = await cursors(owner)
    await owner.execute("update recall_cursors set asked_at = null")
    turns = await owner.fetchval(sql(name), *LIST, *arguments)
    after = await cursors(owner)
    assert {key: after[key] for key in after if key != LIST} == {
        key: row | {"asked_at": None} for key, row in before.items() if key != LIST
    }
    assert after[LIST]["asked_at"] is not None
    assert turns == after[LIST]["turns"]
    return after[LIST]


SPAN = ("since", "until", "page", "read_until", "turns", "last_error")


async def test_a_page_moves_the_cursor_of_its_own_list(owner: asyncpg.Connection[Any]) -> None:
    """What was read is never read until an earlier time: that would be reported as webhooks that came twice."""
    for turns in (1, 3):
        assert await owner.fetchval(sql("move_recall"), *LIST, turns, None, None, None, None) is None
    row = await moved(owner, "move_recall", 2, MARK - DAY, MARK + DAY, "next", None)
    assert [row[name] for name in SPAN] == [MARK - DAY, MARK + DAY, "next", MARK, 3, None]
    row = await moved(owner, "move_recall", 3, None, None, None, MARK + DAY)
    assert [row[name] for name in SPAN] == [None, None, None, MARK + DAY, 4, None]
    row = await moved(owner, "move_recall", 4, None, None, None, MARK)
    assert row["read_until"] == MARK + DAY


async def test_a_failure_is_noted_at_its_own_list(owner: asyncpg.Connection[Any]) -> None:
    row = await moved(owner, "fail_recall", "why", False)
    assert [row[name] for name in SPAN] == [MARK, MARK, "before", MARK, 2, "why"]
    row = await moved(owner, "fail_recall", "no such page", True)
    assert [row[name] for name in SPAN] == [MARK, MARK, None, MARK, 3, "no such page"]


async def test_a_cursor_is_that_of_its_list(owner: asyncpg.Connection[Any]) -> None:
    """How full the spool is, is counted up to the bound that matters."""
    [row] = await owner.fetch(sql("open_cursor"), *LIST, "stripe/acme", 2)
    assert (row["began_at"], row["read_until"], row["page"]) == (MARK, MARK, "before")
    assert (row["turns"], row["spooled"]) == (2, 2)
    assert len(await cursors(owner)) == 6


@pytest.mark.parametrize("others", [False, True])
async def test_a_list_is_read_since_the_first_event_of_its_own_endpoint(
    owner: asyncpg.Connection[Any], *, others: bool
) -> None:
    """The first by the ledger's order: before it the endpoint had no secret, so nothing was lost."""
    for number, source, days in ((9, "stripe/acme", 3), (5, "stripe/acme", 4), *[(2, "stripe", 9)] * others):
        await owner.execute(LEDGER_ROW, number, source, f"e{number}", MARK - days * DAY)
    before = await cursors(owner)
    [row] = await owner.fetch(sql("open_cursor"), *NEW_LIST, "stripe/acme", 2)
    assert [row[name] for name in ("began_at", "read_until", "since", "page", "turns", "spooled")] == [
        MARK - 4 * DAY, MARK - 4 * DAY, None, None, 0, 2,
    ]  # fmt: skip
    after = await cursors(owner)
    assert {key: after[key] for key in before} == before
    assert after.keys() - before.keys() == {NEW_LIST}
    assert len(await owner.fetch(sql("open_cursor"), *NEW_LIST, "stripe/acme", 2)) == 1


async def test_a_list_whose_endpoint_got_nothing_yet_is_read_from_now_on(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(LEDGER_ROW, 2, "stripe", "e", MARK)
    [row] = await owner.fetch(sql("open_cursor"), *NEW_LIST, "stripe/acme", 2)
    assert abs(row["now"] - row["began_at"]) < HOUR


async def test_of_two_who_open_a_list_at_once_both_get_its_cursor(database: Database) -> None:
    """The dispatcher's two jobs and `ratchet recall` do so: the second sees no row in its own snapshot."""
    one, other, observer = [await asyncpg.connect(database.owner_dsn) for _ in range(3)]
    try:
        async with one.transaction():
            first = await open_cursor(one, *NEW_LIST, "stripe/acme", 1)
            second = asyncio.create_task(open_cursor(other, *NEW_LIST, "stripe/acme", 1))
            await until_waiting(observer)
        assert (await second)["began_at"] == first["began_at"]
        assert await observer.fetchval("select count(*) from recall_cursors") == 1
    finally:
        for connection in (one, other, observer):
            connection.terminate()


IDS = [f"{source}{place}" for source in ("", "o-") for place in ("ledger", "parked", "letter", "shown")] + ["new"]


async def fill_known(owner: asyncpg.Connection[Any]) -> None:
    """Write what is known of stripe, and of another source what is not known of stripe."""
    for number, (source, prefix) in enumerate((("stripe", ""), ("stripe/acme", "o-"))):
        await owner.execute(LEDGER_ROW, number, source, f"{prefix}ledger", MARK)
        for one in KNOWN:
            await owner.execute(one, source, prefix)


async def test_what_came_in_any_way_from_the_same_source_is_known(owner: asyncpg.Connection[Any]) -> None:
    await fill_known(owner)
    found = {row["event_id"] for row in await owner.fetch(sql("find_known"), "stripe", IDS)}
    assert found == {"ledger", "parked", "letter", "shown"}


async def test_what_is_not_known_is_noted_and_history_from_before_the_secret(owner: asyncpg.Connection[Any]) -> None:
    await fill_known(owner)
    new = {"o-ledger", "o-parked", "o-letter", "o-shown", "new"}
    at = [MARK - HOUR if one == "o-ledger" else MARK for one in IDS]
    places = ["obj" if one == "new" else None for one in IDS]
    found = await owner.fetch(sql("note_seen"), "stripe", IDS, [f"k-{one}" for one in IDS], places, at, MARK)
    assert sorted(row["event_id"] for row in found) == sorted(new)
    rows = await owner.fetch("select * from recalled_events where source = 'stripe' and event_id <> 'shown'")
    assert {tuple(row[name] for name in ("event_id", "kind", "ref", "occurred_at", "history")) for row in rows} == {
        (one, f"k-{one}", places[place], at[place], one == "o-ledger") for place, one in enumerate(IDS) if one in new
    }


SHOWN = """
insert into recalled_events (source, event_id, kind, occurred_at, seen_at, history, first_at, webhook_at, lost_at)
values ($1, $2, 'k', now() - $3::interval, now() - $3::interval, 'history' = $2,
    case when $2 <> 'by webhook' then now() end, case when $2 in ('by webhook', 'late') then now() end,
    case when $2 = 'lost' then '2026-11-28 12:00Z'::timestamptz end)
"""


async def test_what_recall_alone_brought_is_lost_after_the_provider_s_tries(owner: asyncpg.Connection[Any]) -> None:
    for source, name, hours in (
        *[("stripe", name, 9) for name in ("missed", "late", "lost", "history", "by webhook")],
        ("stripe/acme", "missed", 3), ("stripe", "not yet", 1), ("mollie", "not yet", 3), ("mollie", "missed", 9),
        ("paypal", "missed", 9),
    ):  # fmt: skip
        await owner.execute(SHOWN, source, name, hours * HOUR)
    providers, seconds = ["stripe", "mollie", "square"], [2 * 3600.0, 6 * 3600.0, 0.0]
    for _ in range(2):
        rows = await owner.fetch(sql("count_recalled"), providers, seconds)
        assert {tuple(row) for row in rows} == {("stripe", 5, 3), ("mollie", 2, 1), ("square", 0, 0)}
    lost = await owner.fetch(
        "select source, event_id, lost_at = $1 from recalled_events where lost_at is not null", MARK
    )
    missed = {(source, "missed", False) for source in ("stripe", "stripe/acme", "mollie")}
    assert {tuple(row) for row in lost} == missed | {("stripe", "lost", True)}, "since when it is lost stands"


async def test_what_needs_no_counting_is_forgotten_so_many_at_once(owner: asyncpg.Connection[Any]) -> None:
    for source, name, days in (
        *[("stripe", name, 40) for name in ("history", "by webhook", "late", "lost", "missed")],
        ("mollie", "history", 40), ("mollie", "by webhook", 20), ("paypal", "history", 20),
    ):  # fmt: skip
        await owner.execute(SHOWN, source, name, days * DAY)
    kept = {("stripe", name) for name in ("late", "lost", "missed")} | {("mollie", "by webhook"), ("paypal", "history")}
    left = []
    for _ in range(3):
        await owner.execute(sql("trim_recalled"), 30, 2)
        left.append({tuple(row) for row in await owner.fetch("select source, event_id from recalled_events")})
    assert [len(one) for one in left] == [6, 5, 5]
    assert left[-1] == kept


async def order(owner: asyncpg.Connection[Any], number: int, **changed: Any) -> None:
    """Write an order of a provider of its own."""
    now = dt.datetime.now(dt.UTC)
    row = {
        "id": number, "provider": f"p{number}", "account": "", "since": MARK - DAY, "until": MARK, "dry_run": False,
        "requested_by": "ada", "because": "", "status": "running", "next_at": now - HOUR,
    } | changed  # fmt: skip
    row["ended_at"] = now if row["status"] in {"done", "stopped", "failed"} else None
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await owner.execute(
        f"insert into recall_orders ({', '.join(row)}) overriding system value values ({places})", *row.values()
    )


async def orders(owner: asyncpg.Connection[Any]) -> dict[int, dict[str, Any]]:
    return {row["id"]: dict(row) for row in await owner.fetch("select * from recall_orders")}


async def test_the_order_that_waited_the_longest_has_its_turn(owner: asyncpg.Connection[Any]) -> None:
    now = dt.datetime.now(dt.UTC)
    await order(owner, 1, next_at=now - HOUR, status="queued")
    await order(owner, 4, next_at=now - 2 * HOUR, status="queued")
    await order(owner, 3, next_at=now - 2 * HOUR, started_at=MARK)
    await order(owner, 2, next_at=now + HOUR, status="queued")
    await order(owner, 5, next_at=now - 9 * HOUR, status="done", started_at=MARK)
    before, taken = await orders(owner), []
    while row := await owner.fetchrow(sql("take_recall_order"), 2):
        taken.append((row["id"], row["spooled"]))
        after = (await orders(owner))[row["id"]]
        assert after["status"] == "running"
        assert (after["started_at"] == MARK) == (row["id"] == 3), "when it was begun stands"
        assert after["started_at"] is not None
        await owner.fetchval(sql("delay_recall_order"), row["id"], 3600.0, None, 0)
    assert taken == [(3, 2), (4, 2), (1, 2)]
    assert {number: row for number, row in (await orders(owner)).items() if number in {2, 5}} == {
        number: before[number] for number in (2, 5)
    }


async def near_orders(owner: asyncpg.Connection[Any]) -> dict[int, dict[str, Any]]:
    """Write order 1 and others that differ: another one that is carried out, and three that are not."""
    await order(owner, 1, turns=2, failures=3, next_at=MARK)
    await order(owner, 2, turns=2, failures=3, next_at=MARK)
    for number, status in enumerate(("stopped", "queued", "done"), 3):
        await order(owner, number, turns=2, status=status, stopped_by="eve")
    return await orders(owner)


async def of_the_first(owner: asyncpg.Connection[Any], name: str, *arguments: Any) -> dict[str, Any]:
    """Run a statement for each order that is not carried out and for the first; return that, the others unchanged."""
    before = await orders(owner)
    for number in (3, 4, 5):
        assert await owner.fetchval(sql(name), number, *arguments) is None, number
    assert await owner.fetchval(sql(name), 1, *arguments) == 1
    after = await orders(owner)
    assert {number: after[number] for number in range(2, 6)} == {number: before[number] for number in range(2, 6)}
    return after[1]


async def test_an_order_is_put_off_and_its_last_error_stands(owner: asyncpg.Connection[Any]) -> None:
    await near_orders(owner)
    for error, shown, failures in ((None, None, 4), ("why", "why", 5), ("else", "else", 6), (None, "else", 0)):
        row = await of_the_first(owner, "delay_recall_order", 3600.0, error, failures)
        assert (row["status"], row["error"], row["failures"]) == ("running", shown, failures)
        assert HOUR / 2 < row["next_at"] - dt.datetime.now(dt.UTC) < 2 * HOUR


@pytest.mark.parametrize(("status", "error", "shown"), [("failed", "why", "why"), ("stopped", None, "before")])
async def test_an_order_ends_once_and_says_why(
    owner: asyncpg.Connection[Any], status: str, error: str | None, shown: str
) -> None:
    await near_orders(owner)
    await owner.execute("update recall_orders set error = 'before', stopped_by = 'eve' where id = 1")
    row = await of_the_first(owner, "end_recall_order", status, error)
    assert (row["status"], row["error"]) == (status, shown)
    assert row["ended_at"] is not None
    assert await owner.fetchval(sql("end_recall_order"), 1, "done", None) is None


FOUND = {
    "asked_since": MARK - 2 * DAY, "secret_since": MARK - 3 * DAY, "pages": 4, "known": 5, "new": 6, "history": 2,
    "kinds": '{"k": 6}', "first_at": MARK - HOUR, "last_at": MARK,
}  # fmt: skip


async def test_a_page_moves_its_order_and_the_last_one_ends_it(owner: asyncpg.Connection[Any]) -> None:
    await near_orders(owner)
    await owner.execute("update recall_orders set error = 'before' where id = 1")
    for turns in (1, 3):
        assert await owner.fetchval(sql("move_recall_order"), 1, turns, "l", "p", *FOUND.values()) is None
    row = await of_the_first(owner, "move_recall_order", 2, "refunds", "next", *FOUND.values())
    expected = FOUND | {"list": "refunds", "page": "next", "status": "running", "ended_at": None, "turns": 3,
                        "failures": 0, "error": None}  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert abs(row["next_at"] - dt.datetime.now(dt.UTC)) < HOUR / 2
    assert await owner.fetchval(sql("move_recall_order"), 1, 3, None, None, *FOUND.values()) == 1
    row = (await orders(owner))[1]
    assert (row["status"], row["list"], row["page"], row["turns"]) == ("done", None, None, 4)
    assert row["ended_at"] is not None
