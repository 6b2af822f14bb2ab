"""What each statement of the relay touches: under its lease alone, and beside rows that differ in one thing."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until
from plain_rows import lying

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

FENCE = ("relay", 1, "a")
LOST = [("nothing", 1, "a"), ("relay", 2, "a"), ("relay", 1, "b"), ("old", 1, "a")]
"""Leases that do not stand: of another name, token or holder, and one that has expired."""
LEASES = """
insert into leases (name, token, holder, expires_at)
values ('relay', 1, 'a', now() + interval '1 hour'), ('old', 1, 'a', now() - interval '1 second'),
    ('sweeper', 1, 'a', now() + interval '1 hour')
"""
MOMENT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give the owner's session that reads tables as they lie, with leases of which one stands."""
    async with lying(database.owner_dsn) as connection:
        await connection.execute(LEASES)
        yield connection


@pytest.fixture
async def other(other: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    """Give a second session, which waits for locks a moment only."""
    await other.execute("set lock_timeout = '200ms'")
    return other


async def leases(owner: asyncpg.Connection[Any]) -> dict[str, tuple[Any, ...]]:
    found = await owner.fetch("select *, expires_at > clock_timestamp() + interval '30 min' as long from leases")
    return {row["name"]: (row["token"], row["holder"], row["long"]) for row in found}


TAKE_OVER = "update leases set holder = 'z', token = token + 1 where name = 'relay'"


async def test_a_lease_is_that_of_a_name_a_token_and_a_holder(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    before = await leases(owner)
    for lost in LOST:
        assert await owner.fetchval(statement("runtime", "guard_lease"), *lost) is None, lost
        assert await owner.fetchval(statement("runtime", "renew_lease"), *lost, 9999.0) is None, lost
        await owner.execute(statement("runtime", "release_lease"), *lost)
    assert await leases(owner) == before
    async with owner.transaction():
        assert await owner.fetchval(statement("runtime", "guard_lease"), *FENCE) == 1
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute(TAKE_OVER)
    await owner.execute("update leases set expires_at = now() + interval '1 min' where name = 'relay'")
    assert await owner.fetchval(statement("runtime", "renew_lease"), *FENCE, 9999.0) == 1
    assert await leases(owner) == before
    await owner.execute(statement("runtime", "release_lease"), *FENCE)
    assert await leases(owner) == before | {"relay": (1, "a", False)}
    await owner.execute("update leases set expires_at = 'infinity' where name = 'relay'")
    await owner.execute(statement("producers", "end_relay_term"))
    assert await leases(owner) == before | {"relay": (2, "a", False)}
    await owner.execute(statement("producers", "end_relay_term"))
    assert await leases(owner) == before | {"relay": (2, "a", False)}, "what has ended is not ended again"


async def test_who_asked_while_another_took_the_lease_does_not_get_it(
    owner: asyncpg.Connection[Any], database: Database
) -> None:
    """Both have seen that it had expired; the second waits for the row of the first."""
    sql, second = statement("runtime", "acquire_lease"), await asyncpg.connect(database.owner_dsn)
    try:
        async with owner.transaction():
            assert await owner.fetchval(sql, "old", "first", 60.0) == 2
            asked = asyncio.ensure_future(second.fetchval(sql, "old", "second", 60.0))
            waiting = "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1"
            pid = second.get_server_pid()

            async def waits() -> bool:
                return bool(await owner.fetchval(waiting, pid))

            await until(waits, "the second waits for the first")
        assert await asked is None
        assert (await owner.fetchrow("select holder, token from leases where name = 'old'")) == ("first", 2)
    finally:
        await second.close()


async def cursors(owner: asyncpg.Connection[Any]) -> dict[str, tuple[Any, ...]]:
    found = await owner.fetch("select *, updated_at > $1 as now from relay_cursors", MOMENT)
    return {row["name"]: (row["relay_xid"], row["id"], row["now"]) for row in found}


async def test_a_cursor_moves_from_where_it_stands_while_the_lease_does(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    sql = statement("producers", "move_cursor")
    await owner.execute("update relay_cursors set relay_xid = 5, id = 7, updated_at = $1", MOMENT)
    before = await cursors(owner)
    for lost in LOST:
        assert await owner.fetchval(sql, "changes", 5, 7, 6, 8, *lost) is None, lost
    for place in ((4, 7), (5, 6)):
        assert await owner.fetchval(sql, "changes", *place, 6, 8, *FENCE) is None
    assert await cursors(owner) == before
    async with owner.transaction():
        assert await owner.fetchval(sql, "changes", 5, 7, 6, 8, *FENCE) == 8
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute(TAKE_OVER)
    assert await cursors(owner) == before | {"changes": (6, 8, True)}


SPOOLED = (
    "insert into spool (topic, key, value, header_names, header_values) values ('t', $1, $2, '{a}', '{b}') returning id"
)


async def test_spooled_records_go_and_refused_ones_become_dead_letters_while_the_lease_stands(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    ids = [await owner.fetchval(SPOOLED, key, b"v") for key in (b"k", None, b"k", b"k")]
    await owner.execute("update spool set created_at = $1", MOMENT + SECOND / 8)
    sql = statement("producers", "delete_spool")
    refused = [ids[1:3], ["why 1", "why 2"], ["s1", "s2"], ["e1", "e2"], ["x1", "x2"], ["p1", "p2"]]
    for lost in LOST:
        assert await owner.fetchval(sql, ids[:3], *lost, *refused) is False, lost
    assert await owner.fetchval("select count(*) from spool") == 4
    async with owner.transaction():
        assert await owner.fetchval(sql, ids[:3], *FENCE, *refused) is True
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute(TAKE_OVER)
    assert [row["id"] for row in await owner.fetch("select id from spool")] == ids[3:]
    letters = await owner.fetch("select * from dead_letters order by id")
    digests = [hashlib.sha256(text).digest() for text in (b"-1:v", b"1:k1:v")]
    assert [
        (row["topic"], row["partition"], row["offset"], row["digest"], row["source"], row["event_id"], row["message"])
        for row in letters
    ] == [("t", 0, ids[1], digests[0], "s1", "e1", "why 1"), ("t", 0, ids[2], digests[1], "s2", "e2", "why 2")]
    assert {row["timestamp_ms"] for row in letters} == {int(MOMENT.timestamp()) * 1000 + 125}
    assert {(row["reason"], row["event_type"][0], row["payment_ref"][0]) for row in letters} == {
        ("data_rejected", "x", "p")
    }
    async with owner.transaction():
        again = await owner.fetchval(SPOOLED, b"k", b"v")
        await owner.execute("update dead_letters set \"offset\" = $1 where event_id = 'e2'", again)
        one = [[again], ["w"], ["s"], ["e"], ["x"], ["p"]]
        assert await owner.fetchval(sql, [again], *FENCE, *one) is True, "one that is a dead letter already stays one"
    assert await owner.fetchval("select count(*) from dead_letters") == 2


async def test_the_spool_is_read_up_to_its_bounds(owner: asyncpg.Connection[Any]) -> None:
    ids = [await owner.fetchval(SPOOLED, key, b"v") for key in (b"k", None, b"k", b"k")]
    await owner.execute("update spool set created_at = now() where id = $1", ids[0])  # it stands last in the table now
    size = await owner.fetchval(
        "select octet_length(key) + octet_length(value) + pg_column_size(header_names) + pg_column_size(header_values) "
        "from spool where id = $1",
        ids[0],
    )
    sql = statement("producers", "read_spool")

    async def read(rows: int, size_max: int, *left_out: int) -> list[int]:
        return [row["id"] for row in await owner.fetch(sql, rows, size_max, list(left_out))]

    assert await read(10, 1 << 20) == ids
    assert await read(2, 1 << 20) == ids[:2]
    assert await read(10, 1 << 20, ids[0], ids[2]) == [ids[1], ids[3]]
    assert [await read(10, bound) for bound in (size, size + 1)] == [ids[:1], ids[:2]]
    keyless = 2 * size - 1
    assert [await read(10, bound) for bound in (keyless, keyless + 1)] == [ids[:2], ids[:3]]


LETTER = """
insert into dead_letters (relay_xid, key, value, topic, partition, "offset", timestamp_ms, digest, header_names,
    header_values, reason, message, created_at)
values ($1, $2, $3, 't', 0, (select count(*) from dead_letters), 1, sha256('x'), '{a}', '{b}', 'conflict', 'why', $4)
returning id
"""
LEDGER_ROW = """
insert into payment_logs (relay_xid, payment_id, version, source, event_id, event_type, outcome, facts, topic,
    partition, "offset", recorded_at, hash)
values ($1, $2, $3, 's', gen_random_uuid()::text, 'x', 'noop', '[]', 't', 0, 0, $4, sha256('x'))
returning id
"""
PAYMENT = """
insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized, captured,
    refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at, metadata)
values (gen_random_uuid(), 'stripe', '', 'created', 'none', 'none', 0, 0, 0, 0, 0, $1, '{}', '', 9, now(), now(), $2)
returning id
"""
COMMAND = """
insert into commands (relay_xid, payment_id, command_id, client, command, attempt_id, provider, account,
    merchant_account, livemode, amount, metadata, state, asked_at, expires_at, created_at)
values ($1, gen_random_uuid(), gen_random_uuid()::text, 'shop', 'refund', gen_random_uuid(), 'stripe', '', '', true, 1,
    $2, $3, $5::timestamptz - interval '1 day', $4, $5)
returning id
"""
HOUR = dt.timedelta(hours=1)


async def test_dead_letters_are_read_in_order_up_to_their_bounds(owner: asyncpg.Connection[Any]) -> None:
    last, *ids = [
        await owner.fetchval(LETTER, xid, key, value, MOMENT)
        for xid, key, value in ((6, b"k", b"v"), (5, b"k", b"v"), (5, None, None), (5, b"k", b"long"))
    ]
    ids.append(last)
    size = await owner.fetchval(
        "select octet_length(key) + octet_length(value) + pg_column_size(header_names) + pg_column_size(header_values) "
        "from dead_letters where id = $1",
        last,
    )
    sql = statement("producers", "read_letters")

    async def read(*place: int, rows: int = 10, size_max: int = 1 << 20, value_max: int = 4) -> list[int]:
        return [row["id"] for row in await owner.fetch(sql, *place, rows, size_max, value_max)]

    assert await read(0, 0) == ids
    assert await read(5, ids[0]) == ids[1:], "the cursor stands on a row that was read"
    assert await read(0, 0, rows=2) == ids[:2]
    assert [await read(0, 0, size_max=bound) for bound in (size, size + 1)] == [ids[:1], ids[:2]]
    bare = 2 * size - 2
    assert [await read(0, 0, size_max=bound) for bound in (bare, bare + 1)] == [ids[:2], ids[:3]]
    found = await owner.fetch(sql, 0, 0, 10, 1 << 20, 3)
    assert [(row["value"], row["value_left_out"]) for row in found] == [
        *((b"v", False), (None, False), (None, True), (b"v", False)),
    ]
    found = await owner.fetch(sql, 0, 0, 10, 1 << 20, 4)
    assert [row["value"] for row in found] == [b"v", None, b"long", b"v"]


async def test_ledger_rows_are_read_in_order_with_their_payment_as_it_stands(owner: asyncpg.Connection[Any]) -> None:
    one, two = [await owner.fetchval(PAYMENT, version, '{"k": "v"}') for version in (2, 1)]
    last, *ids = [
        await owner.fetchval(LEDGER_ROW, *row, MOMENT)
        for row in ((6, two, 1), (5, one, 1), (5, one, 2), (5, None, None))
    ]
    ids.append(last)
    await owner.execute("insert into epochs (epoch, timeline, because) values (9999999999, 1, 'a later one')")
    size = len('{"k": "v"}')
    changes, states = statement("producers", "read_changes"), statement("producers", "read_states")
    for sql, payments, bounds in (
        (changes, [one, one, None, two], {size: 1, size + 1: 2, 2 * size: 2, 2 * size + 1: 4}),
        (states, [None, one, None, two], {1: 2, size: 2, size + 1: 4, 2 * size: 4}),
    ):
        found = await owner.fetch(sql, 0, 0, 10, 1 << 20)
        assert [row["id"] for row in found] == ids
        assert {row["epoch"] for row in found} == {9999999999}
        shown = [row["payment_id"] if row["provider"] else None for row in found]
        assert shown == payments
        assert [row["id"] for row in await owner.fetch(sql, 5, ids[0], 10, 1 << 20)] == ids[1:]
        assert [row["id"] for row in await owner.fetch(sql, 0, 0, 2, 1 << 20)] == ids[:2]
        for bound, count in bounds.items():
            assert [row["id"] for row in await owner.fetch(sql, 0, 0, 10, bound)] == ids[:count], bound


async def test_commands_are_read_in_order_and_due_where_nobody_began_them(owner: asyncpg.Connection[Any]) -> None:
    now = dt.datetime.now(dt.UTC)
    last, *ids = [
        await owner.fetchval(COMMAND, *row, now)
        for row in (
            (6, '{"k": "v"}', None, now + HOUR),
            (5, '{"k": "v"}', "accepted", now + HOUR),
            (5, None, None, now - HOUR),
            (5, '{"k": "v"}', None, now + HOUR),
        )
    ]
    ids.append(last)
    sql, size = statement("producers", "read_commands"), len('{"k": "v"}')
    found = await owner.fetch(sql, 0, 0, 10, 1 << 20)
    assert [(row["id"], row["due"]) for row in found] == list(zip(ids, (False, False, True, True), strict=True))
    assert [row["id"] for row in await owner.fetch(sql, 5, ids[0], 10, 1 << 20)] == ids[1:]
    assert [row["id"] for row in await owner.fetch(sql, 0, 0, 2, 1 << 20)] == ids[:2]
    for bound, count in {size: 1, size + 1: 3, 2 * size: 3, 2 * size + 1: 4}.items():
        assert [row["id"] for row in await owner.fetch(sql, 0, 0, 10, bound)] == ids[:count], bound


async def test_what_a_transaction_under_way_may_still_add_to_is_not_read(
    owner: asyncpg.Connection[Any], other: asyncpg.Connection[Any]
) -> None:
    """Rows of its id may come: a cursor that had passed them would never see them."""
    async with other.transaction():
        xid = await other.fetchval("select pg_current_xact_id()::text::bigint")
        for at in (xid - 1, xid, xid + 1):
            await owner.execute(LETTER, at, b"k", b"v", MOMENT)
            await owner.execute(LEDGER_ROW, at, None, None, MOMENT)
            await owner.execute(COMMAND, at, None, None, MOMENT + HOUR, MOMENT)
        for name, bounds in (
            ("read_letters", (10, 1 << 20, 1 << 20)),
            ("read_changes", (10, 1 << 20)),
            ("read_states", (10, 1 << 20)),
            ("read_commands", (10, 1 << 20)),
        ):
            found = await owner.fetch(statement("producers", name), 0, 0, *bounds)
            assert [row["relay_xid"] for row in found] == [xid - 1], name


async def test_what_waits_for_each_publisher_is_counted_behind_its_own_cursor(owner: asyncpg.Connection[Any]) -> None:
    payment = await owner.fetchval(PAYMENT, 2, None)
    ledger = [await owner.fetchval(LEDGER_ROW, 5, payment, version, MOMENT) for version in (1, 2, 3, 4)]
    await owner.execute(LEDGER_ROW, 5, None, None, MOMENT)
    letters = [await owner.fetchval(LETTER, 5, b"k", b"v", MOMENT) for _ in range(6)]
    commands = [await owner.fetchval(COMMAND, 5, None, None, MOMENT + HOUR, MOMENT) for _ in range(9)]
    await owner.execute(SPOOLED, b"k", b"v")
    behind = {"changes": ledger[2], "state": ledger[1], "dead_letters": letters[2], "commands": commands[1]}
    await owner.executemany("update relay_cursors set relay_xid = 5, id = $2 where name = $1", list(behind.items()))
    row = await owner.fetchrow(statement("producers", "count_outbox"))
    assert row is not None
    assert dict(row) == {"changes": 1, "state": 2, "dead_letters": 3, "commands": 7, "spool": 1}


@pytest.mark.parametrize(
    ("name", "table", "sql", "more"),
    [
        ("changes", "payment_logs", LEDGER_ROW, (None, None)),
        ("dead_letters", "dead_letters", LETTER, (b"k", b"v")),
        ("commands", "commands", COMMAND, (None, None, MOMENT + 2 * HOUR)),
    ],
)
async def test_after_a_restore_what_was_published_stands_before_the_rest(
    owner: asyncpg.Connection[Any], name: str, table: str, sql: str, more: tuple[Any, ...]
) -> None:
    """Published is what the cursor had passed and what stood there when it moved; the rest is published anew."""
    ids = [
        await owner.fetchval(sql, xid, *more, at)
        for xid, at in ((5, MOMENT), (5, MOMENT), (5, MOMENT), (4, MOMENT + SECOND), (6, MOMENT))
    ]
    await owner.execute("update relay_cursors set relay_xid = 9, id = 9, updated_at = 'infinity'")
    await owner.execute(
        "update relay_cursors set relay_xid = 5, id = $2, updated_at = $3 where name = $1", name, ids[1], MOMENT
    )
    await owner.execute(statement("producers", f"rebase_{'letters' if name == 'dead_letters' else name}"))
    found = {row["id"]: row["relay_xid"] for row in await owner.fetch(f"select id, relay_xid from {table}")}
    assert found == dict(zip(ids, (1, 1, 2, 2, 2), strict=True))


async def test_after_a_restore_every_cursor_begins_where_it_has_to(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "update relay_cursors set relay_xid = 5, id = 7, system_identifier = 3, updated_at = $1", MOMENT
    )
    payments = [await owner.fetchval(PAYMENT, 1, None) for _ in range(3)]
    for payment, xid in zip(payments, (1, 2, 3), strict=True):
        await owner.execute("update payments set head_xid = $2 where id = $1", payment, xid)
    await owner.execute(SPOOLED, b"k", b"v")
    for step in ("rebase_cursors", "rebase_payments", "rebase_spool"):
        await owner.execute(statement("producers", step))
    passed = (1, 2**63 - 1, True)
    assert await cursors(owner) == {
        **dict.fromkeys(("changes", "dead_letters", "commands"), passed),
        "state": (0, 0, True),
    }
    here = await owner.fetchval("select system_identifier from pg_control_system()")
    assert {row[0] for row in await owner.fetch("select system_identifier from relay_cursors")} == {here}
    assert [row[0] for row in await owner.fetch("select head_xid from payments order by head_xid")] == [1, 2, 2]
    assert await owner.fetchval("select relay_xid from spool") == 2
    await owner.execute("update spool set relay_xid = 3")
    await owner.execute(statement("producers", "rebase_spool"))
    assert await owner.fetchval("select relay_xid from spool") == 2


async def add(owner: asyncpg.Connection[Any], table: str, **row: Any) -> Any:
    """Write a row; return its id, where the table has one."""
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    return await owner.fetchval(f"insert into {table} ({names}) values ({places}) returning *", *row.values())


async def sampled(owner: asyncpg.Connection[Any], rows_max: int) -> dict[tuple[str, str], tuple[int, float | None]]:
    found = await owner.fetch(statement("producers", "sample_waiting"), rows_max)
    counted = {(row["kind"], row["reason"]): (row["count"], row["seconds"]) for row in found}
    assert len(counted) == len(found)
    return counted


PARKED = {
    "source": "s",
    "event_type": "x",
    "detail": "",
    "facts": "[]",
    "topic": "t",
    "partition": 0,
    "timestamp_ms": 1,
    "header_names": [],
    "header_values": [],
    "parked_at": MOMENT,
    "deadline": MOMENT,
}
BURIED = {
    "topic": "t",
    "partition": 0,
    "timestamp_ms": 1,
    "header_names": [],
    "header_values": [],
    "message": "why",
    "relay_xid": 5,
    "created_at": MOMENT,
    "digest": b"d" * 32,
    "key": b"k",
    "value": b"v",
}


async def flag(owner: asyncpg.Connection[Any], since: dt.datetime | None, *flags: str, **changed: Any) -> None:
    """Make a payment that has had flags since then."""
    row = {"flagged_at": since, "flags": flags, "livemode": True, "merged_into": None} | changed
    one = await owner.fetchval(PAYMENT, 1, None)
    await owner.execute(
        "update payments set flagged_at = $2, flags = $3, livemode = $4, merged_into = $5 where id = $1",
        *(one, *row.values()),
    )


async def test_what_waits_is_counted_by_kind_and_reason_up_to_a_bound(owner: asyncpg.Connection[Any]) -> None:
    now, day = dt.datetime.now(dt.UTC), 24 * HOUR
    for place, reason in enumerate(("orphan", "orphan", "conflict")):
        await add(owner, "parked_events", **PARKED, reason=reason, event_id=f"e{place}", offset=place)
    letters = (
        *(("fatal", "a", "open"), ("fatal", "b", "open"), ("fatal", "a", "open"), ("fatal", "b", "open")),
        *(("orphan", "a", "open"), ("fatal", "a", "discarded"), ("orphan", "a", "redriven")),
    )
    for place, (reason, source, status) in enumerate(letters):
        await add(owner, "dead_letters", **BURIED, offset=place, reason=reason, source=source, status=status)
    for note in ("one", "another"):
        known = {"reason": "fatal", "source": "b", "note": note, "author": "alice"}
        await add(owner, "dead_letter_notes", **known, silent_until=now + HOUR)
    for state, ends in ((None, -HOUR), ("accepted", -HOUR), ("done", -HOUR), (None, HOUR), ("accepted", HOUR)):
        await owner.fetchval(COMMAND, 5, None, state, now + ends, now)
    await flag(owner, now - day, "underpaid")
    await flag(owner, now - 2 * day, "underpaid", "contradiction")
    await flag(owner, now - 3 * day, "contradiction")
    await flag(owner, now - 9 * day, "underpaid", livemode=False)
    await flag(owner, now - 9 * day, "underpaid", merged_into=await owner.fetchval(PAYMENT, 1, None))
    await flag(owner, None, "underpaid")
    found = await sampled(owner, 9)
    flagged = {reason: found.pop(("flagged", reason)) for reason in ("underpaid", "contradiction")}
    assert found == {
        ("parked", "orphan"): (2, None),
        ("parked", "conflict"): (1, None),
        ("open", "fatal"): (2, None),
        ("open", "orphan"): (1, None),
        ("noted", "fatal"): (2, None),
        ("unanswered", "refund"): (2, None),
    }
    assert {reason: (count, round((seconds or 0) / 86_400)) for reason, (count, seconds) in flagged.items()} == {
        "underpaid": (2, 2),
        "contradiction": (2, 3),
    }
    assert {key: count for key, (count, _) in (await sampled(owner, 1)).items()} == {
        ("parked", "orphan"): 1,
        ("open", "fatal"): 1,
        ("noted", "fatal"): 1,
        ("unanswered", "refund"): 1,
        ("flagged", "contradiction"): 1,
    }, "of the flagged the oldest"


async def test_whose_transaction_ids_the_cursors_hold_is_read_for_each_lane(owner: asyncpg.Connection[Any]) -> None:
    for xid in (7, 4):
        await owner.fetchval(LETTER, xid, b"k", b"v", MOMENT)
        await owner.fetchval(LEDGER_ROW, xid + 1, None, None, MOMENT)
        await owner.fetchval(COMMAND, xid + 2, None, None, MOMENT + HOUR, MOMENT)
    await owner.execute("update relay_cursors set relay_xid = 0")
    await owner.execute("update relay_cursors set system_identifier = 3, relay_xid = 6 where name = 'changes'")
    found = await owner.fetch(statement("producers", "read_cluster"))
    here = await owner.fetchval("select system_identifier from pg_control_system()")
    ahead = await owner.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    assert [tuple(row) for row in found] == [
        ("changes", 6, 3, here, ahead, 8),
        *((name, 0, None, here, ahead, xid) for name, xid in (("commands", 9), ("dead_letters", 7), ("state", 8))),
    ]


async def epochs(owner: asyncpg.Connection[Any]) -> list[tuple[int, int, str]]:
    found = await owner.fetch("select epoch, timeline, because from epochs order by epoch")
    return [tuple(row) for row in found]


TIMELINE = "select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"


async def test_another_timeline_begins_one_epoch_whoever_finds_it(
    owner: asyncpg.Connection[Any], database: Database
) -> None:
    sql, now = statement("producers", "begin_epoch"), await owner.fetchval(TIMELINE)
    second, ahead = await asyncpg.connect(database.owner_dsn), 2**40
    try:
        await owner.execute("delete from epochs")
        await owner.execute(
            "insert into epochs (epoch, timeline, because) values (5, $2 + 1, 'a'), ($1, $2, 'b')", ahead, now
        )
        assert await owner.fetchval(sql, *FENCE) is None, "the newest is of this timeline"
        await owner.execute("update epochs set timeline = $1 + 1", now)
        for lost in LOST:
            assert await owner.fetchval(sql, *lost) is None, lost
        async with owner.transaction():
            assert await owner.fetchval(sql, *FENCE) == ahead + 1, "above all before, whatever the clock says"
            asked = asyncio.ensure_future(second.fetchval(sql, *FENCE))
            pid = second.get_server_pid()

            async def waits() -> bool:
                return bool(
                    await owner.fetchval("select wait_event_type = 'Lock' from pg_stat_activity where pid = $1", pid)
                )

            await until(waits, "the second waits for the first")
        assert await asked is None
    finally:
        await second.close()
    await owner.execute(statement("producers", "rebase_epoch"))
    assert (await epochs(owner))[-2:] == [
        (ahead + 1, now, "another timeline of Postgres"),
        (ahead + 2, now, "restored from a dump"),
    ]


async def test_what_a_new_epoch_and_a_new_cluster_change_is_that_alone(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("insert into epochs (epoch, timeline, because) values (9999999999, 1, 'a later one')")
    restart, stamp = statement("producers", "restart_states"), statement("producers", "stamp_cursors")
    await owner.execute("update relay_cursors set relay_xid = 5, id = 7, epoch = 1, updated_at = $1", MOMENT)
    before = await cursors(owner)
    for lost in LOST:
        assert await owner.fetchval(restart, *lost) is None
        await owner.execute(stamp, 77, *lost)
    assert await owner.fetchval("select count(*) from relay_cursors where system_identifier is not null") == 0
    assert await owner.fetch(restart, *FENCE) == [(9999999999,)]
    assert await cursors(owner) == before | {"state": (0, 0, True)}
    await owner.execute("update relay_cursors set relay_xid = 5, id = 7")
    assert await owner.fetch(restart, *FENCE) == [], "once an epoch"
    await owner.execute("update relay_cursors set epoch = null where name = 'state'")
    assert await owner.fetch(restart, *FENCE) == [(9999999999,)], "also where none was noted"
    await owner.execute("update relay_cursors set system_identifier = 3 where name = 'changes'")
    await owner.execute(stamp, 77, *FENCE)
    found = await owner.fetch("select name, system_identifier from relay_cursors")
    assert dict(found) == {"changes": 3, "state": 77, "dead_letters": 77, "commands": 77}


REDRIVE = {
    "requested_by": "alice",
    "filter": "{}",
    "rate_per_second": 1.0,
    "policy": "keep_going",
    "forced": False,
    "failure_ratio_max": 0.5,
    "failures_min": 1,
    "matched": 99,
    "selected": 99,
}


async def letter(owner: asyncpg.Connection[Any], **changed: Any) -> int:
    place = await owner.fetchval("select count(*) from dead_letters")
    return int(await add(owner, "dead_letters", **BURIED | {"offset": place, "reason": "unexpected"} | changed))


async def sent(owner: asyncpg.Connection[Any], redrive: int, letter_id: int, would: str = "apply", **row: Any) -> None:
    await add(owner, "redrive_messages", redrive_id=redrive, dead_letter_id=letter_id, would=would, **row)


@pytest.mark.parametrize(("name", "status"), [("read_redrive_next", "queued"), ("read_redrive_doubtful", "publishing")])
async def test_letters_of_a_redrive_are_taken_in_order_up_to_its_bounds(
    owner: asyncpg.Connection[Any], name: str, status: str
) -> None:
    mine, other = [await add(owner, "redrives", **REDRIVE) for _ in range(2)]
    values = ((b"k", b"v"), (None, None), (b"k", b"long"), (b"k", b"v"))
    ids = [await letter(owner, key=key, value=value) for key, value in values]
    row = {"status": status, "claimed_at": MOMENT if status == "publishing" else None}
    for letter_id in reversed(ids):
        await sent(owner, mine, letter_id, **row)
        await owner.execute("update dead_letters set message = 'moved' where id = $1", letter_id)
    await sent(owner, other, await letter(owner), **row)
    another = {"status": "skipped", "detail": "why"}
    await sent(owner, mine, await letter(owner), **another)
    size = await owner.fetchval(
        "select octet_length(key) + octet_length(value) + pg_column_size(header_names) + pg_column_size(header_values) "
        "from dead_letters where id = $1",
        ids[0],
    )
    sql, more = statement("producers", name), (3,) if name == "read_redrive_next" else ()

    async def read(rows: int = 10, size_max: int = 1 << 20) -> list[int]:
        return [row["id"] for row in await owner.fetch(sql, mine, rows, size_max, *more)]

    assert await read() == ids
    assert await read(2) == ids[:2]
    bare = 2 * size - 2
    for bound, count in {size: 1, size + 1: 2, bare: 2, bare + 1: 3, bare + size + 3: 3, bare + size + 4: 4}.items():
        assert await read(size_max=bound) == ids[:count], bound
    if more:
        found = await owner.fetch(sql, mine, 10, 1 << 20, 3)
        assert [(row["value"], row["value_left_out"]) for row in found] == [
            *((b"v", False), (None, False), (None, True), (b"v", False)),
        ]
        assert [row["value"] for row in await owner.fetch(sql, mine, 10, 1 << 20, 4)][2] == b"long"


async def test_letters_that_came_back_against_the_prediction_are_counted(owner: asyncpg.Connection[Any]) -> None:
    """An orphan that waited in vain, or a letter of which it was foreseen, is none of them."""
    mine, other = [await add(owner, "redrives", **REDRIVE, started_at=MOMENT) for _ in range(2)]
    came = {"status": "published", "claimed_at": MOMENT, "published_at": MOMENT}
    cases = (
        *((mine, "apply", "orphan", 1), (mine, "apply", "fatal", 1), (mine, "noop", "conflict", 1)),
        *((mine, "illegal", "fatal", 0), (mine, "orphan", "orphan", 0), (mine, "orphan", "conflict", 0)),
        *((mine, "orphan", "fatal", 1), (other, "apply", "fatal", 0)),
    )
    for place, (redrive, would, reason, _) in enumerate(cases):
        named = {"source": "s", "event_id": f"e{place}", "digest": bytes([place]) * 32}
        await sent(owner, redrive, await letter(owner, **named), would, **came)
        await letter(owner, **named, redrive_count=1, reason=reason)
    sql, count = statement("producers", "count_redrive_failures"), sum(case[3] for case in cases)
    assert (await owner.fetchrow(sql, mine))["failed"] == count
    assert await owner.fetchval("select failed from redrives where id = $1", other) == 0
    await owner.execute("update redrives set failed = 9")
    assert (await owner.fetchrow(sql, mine))["failed"] == 9, "what retention removed meanwhile stays counted"


async def test_what_is_kept_goes_once_its_time_is_over_and_no_moment_sooner(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("update relay_cursors set relay_xid = 9")
    async with owner.transaction():
        now = await owner.fetchval("select now()")
        for age in (HOUR, HOUR + SECOND):
            await owner.fetchval(COMMAND, 5, None, None, now + HOUR, now - age)
            row = {"client": "shop", "idempotency_key": uuid.uuid4(), "fingerprint": b"f" * 32, "command": "cancel"}
            row |= {"payment_id": uuid.uuid4(), "event_id": "e", "record_key": "k", "answer": b""}
            made = {"created_at": now - 9 * 24 * HOUR, "expires_at": now + HOUR - age}
            await add(owner, "intent_claims", **row, **made)
        assert await owner.execute(statement("producers", "delete_commands"), 9, 3600.0) == "DELETE 1"
        assert await owner.execute(statement("producers", "delete_idempotency_records"), 9) == "DELETE 1"
        assert await owner.fetchval("select created_at from commands") == now - HOUR
        assert await owner.fetchval("select expires_at from intent_claims") == now
