"""Which dead letters a filter takes, and which rows a removal takes: each beside rows that differ in one thing."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration

MOMENT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LETTER = {
    "reason": "conflict",
    "source": "stripe/acct",
    "payment_ref": "pi_1",
    "event_id": "evt_1",
    "created_at": MOMENT,
    "status": "open",
    "message": "Why It failed",
    "event_type": "charge.captured",
    "redrive_count": 0,
    "relay_xid": 7,
    "digest": b"d" * 32,
}
OTHERS: list[dict[str, Any]] = [
    {"reason": "orphan"},
    {"source": "paypal/acct"},
    {"payment_ref": "pi_2", "event_id": "evt_2"},
    {"created_at": MOMENT - DAY},
    {"created_at": MOMENT + DAY},
    {"status": "discarded"},
    {"message": "another"},
    {"event_type": "charge.refunded"},
    {"source": None, "payment_ref": None, "event_id": None, "event_type": None},
]
"""Letters that differ from the first in one thing that a filter can ask for; the last names nothing."""


async def add(connection: asyncpg.Connection[Any], **changed: Any) -> int:
    """Make a dead letter at a place of its own; return its id."""
    row = LETTER | changed
    names = ", ".join(row)
    values = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    return int(
        await connection.fetchval(
            f"""insert into dead_letters ({names}, topic, partition, "offset", timestamp_ms, key, value, header_names,
                header_values)
            select {values}, 'payments.webhooks', 0, (select count(*) from dead_letters), 1, 'key'::bytea,
                'value'::bytea, '{{a}}'::bytea[], '{{b}}'::bytea[]
            returning id""",
            *row.values(),
        )
    )


def asked(**given: Any) -> list[Any]:
    """Return the nine arguments of a filter that asks for some things."""
    names = ("reason", "provider", "named", "since", "until", "ids", "status", "message", "event_type")
    return [given.get(name) for name in names]


ALL = set(range(len(OTHERS) + 1))
FILTERS: list[tuple[dict[str, Any], set[int]]] = [
    ({}, ALL),
    ({"reason": "conflict"}, ALL - {1}),
    ({"provider": "stripe"}, ALL - {2, 9}),
    ({"named": "pi_1"}, ALL - {3, 9}),
    ({"named": "evt_1"}, ALL - {3, 9}),
    ({"since": MOMENT}, ALL - {4}),
    ({"until": MOMENT}, {4}),
    ({"until": MOMENT + DAY}, ALL - {5}),
    ({"status": "open"}, ALL - {6}),
    ({"message": "wHY iT"}, ALL - {7}),
    ({"event_type": "charge.captured"}, ALL - {8, 9}),
    (
        {
            "reason": "conflict",
            "provider": "stripe",
            "named": "pi_1",
            "since": MOMENT,
            "until": MOMENT + DAY,
            "status": "open",
            "message": "failed",
            "event_type": "charge.captured",
        },
        {0},
    ),
]


async def test_a_filter_takes_what_fits_in_all_that_it_asks_for(owner: asyncpg.Connection[Any]) -> None:
    ids = [await add(owner), *[await add(owner, **other) for other in OTHERS]]
    closed = {6}
    for given, places in [*FILTERS, ({"ids": ids[1:3]}, {1, 2})]:
        wanted, filtered = [ids[place] for place in sorted(places)], asked(**given)
        assert await owner.fetchval(statement("ops", "count_letters"), *filtered) == len(places), given
        listed = await owner.fetch(statement("ops", "list_letters"), *filtered, 100, None)
        assert [row["id"] for row in listed] == wanted[::-1], given
        grouped = await owner.fetch(statement("ops", "group_letters"), *filtered, 100)
        assert (sum(row["letters"] for row in grouped), max(row["sample_id"] for row in grouped)) == (
            len(places),
            wanted[-1],
        ), given
        chosen = await owner.fetch(statement("ops", "choose_letters"), *filtered, 100)
        assert [row["id"] for row in chosen] == [ids[place] for place in sorted(places - closed)], given


async def test_pages_groups_and_choices_are_bounded(owner: asyncpg.Connection[Any]) -> None:
    ids = [await add(owner, created_at=MOMENT + day * DAY, message=f"{day}") for day in range(3)]
    ids += [await add(owner, reason="orphan"), await add(owner, reason="fatal")]
    first = await owner.fetch(statement("ops", "list_letters"), *asked(), 2, None)
    following = await owner.fetch(statement("ops", "list_letters"), *asked(), 2, first[-1]["id"])
    assert [row["id"] for row in [*first, *following]] == ids[:0:-1]
    chosen = await owner.fetch(statement("ops", "choose_letters"), *asked(), 2)
    size = await owner.fetchval(
        "select octet_length(key) + octet_length(value) + pg_column_size(header_names) + pg_column_size(header_values) "
        "from dead_letters where id = $1",
        ids[0],
    )
    assert [(row["id"], row["total"], row["bytes"]) for row in chosen] == [(one, 5, size) for one in ids[:2]]
    await owner.execute("update dead_letters set key = null, value = null")
    (bare,) = await owner.fetch(statement("ops", "choose_letters"), *asked(), 1)
    assert bare["bytes"] == size - len(b"keyvalue")
    grouped = await owner.fetch(statement("ops", "group_letters"), *asked(), 2)
    assert [(row["reason"], row["letters"], row["message"]) for row in grouped] == [
        ("conflict", 3, "2"),
        ("fatal", 1, LETTER["message"]),
    ]
    assert (grouped[0]["oldest"], grouped[0]["newest"], grouped[0]["sample_id"]) == (MOMENT, MOMENT + 2 * DAY, ids[2])


async def test_only_open_letters_that_were_asked_for_are_discarded(owner: asyncpg.Connection[Any]) -> None:
    one, closed, other = await add(owner), await add(owner, status="applied"), await add(owner)
    given_up = await owner.fetch(statement("ops", "discard_letters"), [one, closed], "alice", "why")
    assert [row["id"] for row in given_up] == [one]
    assert await states(owner) == {one: "discarded", closed: "applied", other: "open"}
    missing = await owner.fetch(statement("ops", "find_closed_letters"), [closed, one, other, 10**6])
    assert [tuple(row) for row in missing] == [(one, "discarded"), (closed, "applied"), (10**6, None)]


async def states(owner: asyncpg.Connection[Any]) -> dict[int, str]:
    return {row["id"]: row["status"] for row in await owner.fetch("select id, status from dead_letters")}


async def test_a_letter_that_was_read_back_is_redriven_where_a_later_one_came_back(
    owner: asyncpg.Connection[Any],
) -> None:
    """After a rebuild only letters that were read back (transaction 1) and are open are looked at."""

    async def pair(old: dict[str, Any], again: dict[str, Any]) -> int:
        digest = hashlib.sha256(repr((old, again)).encode()).digest()
        returned = {"redrive_count": 2, "relay_xid": 9, "status": "applied", "digest": digest}
        letter = await add(owner, **{"redrive_count": 1, "relay_xid": 1, "digest": digest} | old)
        await add(owner, **returned | again)
        return letter

    noted = [await pair({}, {}), await pair({"source": None, "event_id": None}, {"source": None, "event_id": None})]
    noted.append(await pair({"redrive_count": 0}, {"redrive_count": 1}))
    left = [
        await pair({"relay_xid": 2}, {}),
        await pair({"status": "discarded"}, {}),
        await pair({}, {"digest": b"e" * 32}),
        await pair({}, {"redrive_count": 1}),
        await pair({"redrive_count": 0}, {"redrive_count": 0}),
        await pair({}, {"source": "paypal"}),
        await pair({}, {"source": None}),
        await pair({}, {"event_id": "evt_2"}),
    ]
    before = await states(owner)
    await owner.execute(statement("ops", "note_returned_letters"))
    after = await states(owner)
    assert {one: after[one] for one in noted} == dict.fromkeys(noted, "redriven")
    assert {one: after[one] for one in left} == {one: before[one] for one in left}


LEDGER_ROW = """
insert into payment_logs (source, event_id, event_type, outcome, facts, topic, partition, "offset", recorded_at,
    relay_xid, hash)
values ($1, $2, 'x', 'noop', '[]', 'payments.webhooks', 0, 0, now(), $3, sha256(convert_to($2, 'UTF8')))
returning id
"""
PARKED = """
insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
    timestamp_ms, header_names, header_values, parked_at, deadline)
values ($1, $2, 'x', 'orphan', 'why', '[]', 'payments.webhooks', 0, 0, 1, '{}', '{}', now(), now())
"""


async def test_an_orphan_that_was_read_back_is_applied_where_its_event_is_in_the_ledger(
    owner: asyncpg.Connection[Any],
) -> None:
    for source, event in (("stripe", "evt_1"), ("stripe", "evt_2"), ("paypal", "evt_3")):
        await owner.fetchval(LEDGER_ROW, source, event, 5)
    orphan = {"relay_xid": 1, "reason": "orphan", "source": "stripe"}
    applied = await add(owner, **orphan)
    left = [
        await add(owner, **orphan | {"relay_xid": 2}),
        await add(owner, **orphan | {"reason": "conflict"}),
        await add(owner, **orphan | {"event_id": "evt_3"}),
        await add(owner, **orphan | {"source": "paypal"}),
        await add(owner, **orphan | {"status": "discarded"}),
    ]
    before = await states(owner)
    await owner.execute(statement("ops", "note_applied_letters"))
    assert await states(owner) == before | {applied: "applied"}
    assert len(left) == 5


async def test_a_body_goes_where_its_event_is_nowhere(owner: asyncpg.Connection[Any]) -> None:
    await owner.fetchval(LEDGER_ROW, "razorpay", "in the ledger", 5)
    await owner.execute(PARKED, "razorpay", "parked")
    bodies = [("razorpay", "in the ledger"), ("razorpay", "parked"), ("other", "in the ledger"), ("other", "parked")]
    bodies += [("razorpay", "gone"), ("other", "gone")]
    await owner.executemany(
        "insert into body_claims (source, digest, event_id) values ($1, sha256(convert_to($1 || $2, 'UTF8')), $2)",
        bodies,
    )
    sql = statement("ops", "remove_body_claims")
    assert await owner.execute(sql, MOMENT, 1) == "DELETE 1"
    assert await owner.execute(sql, MOMENT, 10) == "DELETE 3"
    left = await owner.fetch("select source, event_id from body_claims order by event_id")
    assert [tuple(row) for row in left] == bodies[:2]


REFETCH = (
    "insert into refetches (provider, account, ref, reason, status, updated_at) "
    "values ('mollie', '', $1, 'hint', $2, $3) returning id"
)


async def test_removals_take_the_oldest_that_nobody_holds_and_nothing_of_the_moment_itself(
    owner: asyncpg.Connection[Any], database: Database
) -> None:
    rows = [("a", "done", -2), ("b", "failed", -1), ("c", "done", 0), ("d", "queued", -3), ("e", "done", -3)]
    ids = {name: await owner.fetchval(REFETCH, name, status, MOMENT + day * DAY) for name, status, day in rows}
    letters = [await add(owner, status="applied", created_at=MOMENT + day * DAY) for day in (-2, -1, 0, -3)]
    refetches, letters_sql = statement("ops", "remove_refetches"), statement("ops", "remove_letters")
    await owner.execute("update refetches set known = known where ref = 'b'")  # now it stands behind younger ones
    await owner.execute("update dead_letters set message = message where id = $1", letters[1])
    other = await asyncpg.connect(database.owner_dsn)
    try:
        async with other.transaction():
            await other.execute("select from refetches where id = $1 for update", ids["a"])
            await other.execute("select from dead_letters where id = $1 for update", letters[0])
            await owner.execute("set lock_timeout = '2s'")
            assert await owner.execute(refetches, MOMENT, 1) == "DELETE 1"
            assert [row["id"] for row in await owner.fetch(letters_sql, MOMENT, 1)] == [letters[1]]
    finally:
        await other.close()
    kept = {row["ref"] for row in await owner.fetch("select ref from refetches")}
    assert kept == {"a", "c", "d", "e"}
    assert [row["id"] for row in await owner.fetch(letters_sql, MOMENT, 1)] == [letters[0]]
    assert [row["id"] for row in await owner.fetch(letters_sql, MOMENT, 9)] == [letters[3]]
    assert await owner.execute(refetches, MOMENT, 9) == "DELETE 2"
    assert {row["ref"] for row in await owner.fetch("select ref from refetches")} == {"c", "d"}


async def test_ledger_rows_are_removed_by_both_parts_of_their_key(owner: asyncpg.Connection[Any]) -> None:
    one, other, third = [await owner.fetchval(LEDGER_ROW, "stripe", f"evt_{xid}", xid) for xid in (5, 6, 7)]
    await owner.execute(statement("ops", "remove_rows"), [5, 7, 6], [one, other, third])
    left = await owner.fetch("select id from payment_logs order by id")
    assert [row["id"] for row in left] == [other, third], "a pair of two rows' parts is no row"


async def test_what_one_cursor_has_not_passed_is_neither_removed_nor_archived(owner: asyncpg.Connection[Any]) -> None:
    ids = [await owner.fetchval(LEDGER_ROW, "stripe", f"evt_{number}", xid) for number, xid in enumerate((9, 5, 5, 7))]
    places = [(5, ids[1]), (5, ids[2]), (7, ids[3]), (9, ids[0])]
    cursors = "update relay_cursors set relay_xid = $2, id = $3 where name = any($1)"
    await owner.execute(cursors, ["changes", "state", "dead_letters", "commands"], 0, 0)
    await owner.execute(cursors, ["changes", "state"], *places[2])
    for behind in (["changes"], ["state"], []):
        await owner.execute(cursors, ["changes", "state"], *places[2])
        await owner.execute(cursors, behind, *places[1])
        published = places[: 2 if behind else 3]
        old = await owner.fetch(statement("ops", "list_old_rows"), 10)
        assert [(row["relay_xid"], row["id"]) for row in old] == published
        archived = await owner.fetch(statement("ops", "list_rows_to_archive"), *places[0], 10)
        assert [(row["relay_xid"], row["id"]) for row in archived] == published[1:]
    assert [row["id"] for row in await owner.fetch(statement("ops", "list_old_rows"), 2)] == ids[1:3]
    assert [row["id"] for row in await owner.fetch(statement("ops", "list_rows_to_archive"), 0, 0, 2)] == ids[1:3]


REDRIVE = """
insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced, matched,
    failed, selected, status, updated_at, stop_requested_by, started_at, ended_at, published, skipped)
select 'alice', '{}', 1, 'keep_going', 0.5, 1, false, 9, 0, case when n.status = 'done' then 2 else 9 end, n.status,
    n.at, n.stopped_by, case when begun then n.at end,
    case when n.status in ('done', 'stopped', 'failed') then n.at end,
    begun::int, begun::int
from (select $1::text as status, $2::timestamptz as at, $3::text as stopped_by, $1 <> 'queued' or $4 as begun) as n
returning id
"""
MESSAGE = """
insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at, published_at, detail)
values ($1, $2, 'apply', $3::text, case when $3 in ('publishing', 'published') then now() end,
    case when $3 = 'published' then now() end, case when $3 = 'skipped' then 'why' end)
"""


async def redrive(owner: asyncpg.Connection[Any], status: str = "running", stopped_by: str | None = None) -> int:
    """Make a redrive; one that waits has begun before, and was resumed, where somebody is named who stopped it."""
    return int(await owner.fetchval(REDRIVE, status, MOMENT, stopped_by, stopped_by is not None))


async def sent(owner: asyncpg.Connection[Any], redrive_id: int, status: str, letter: str = "redriven") -> int:
    letter_id = await add(owner, status=letter)
    await owner.execute(MESSAGE, redrive_id, letter_id, status)
    return letter_id


async def message_states(owner: asyncpg.Connection[Any]) -> dict[tuple[int, int], str]:
    found = await owner.fetch("select * from redrive_messages")
    return {(row["redrive_id"], row["dead_letter_id"]): row["status"] for row in found}


async def counted(owner: asyncpg.Connection[Any]) -> dict[int, tuple[int, int, bool]]:
    found = await owner.fetch("select *, updated_at > $1 as now from redrives", MOMENT)
    return {row["id"]: (row["published"], row["skipped"], row["now"]) for row in found}


@pytest.mark.parametrize(
    ("name", "of", "to", "counts"),
    [
        ("finish_redrive_messages", "publishing", ("published", "redriven"), (2, 1, True)),
        ("return_redrive_messages", "publishing", ("skipped", "open"), (1, 2, True)),
        ("skip_redrive_messages", "queued", ("skipped", "redriven"), (1, 2, True)),
        ("requeue_redrive_messages", "publishing", ("queued", "open"), (1, 1, False)),
        ("claim_redrive_messages", "queued", ("publishing", "redriven"), (1, 1, False)),
    ],
)
async def test_a_redrive_moves_its_own_letters_from_one_state_to_the_next(
    owner: asyncpg.Connection[Any], name: str, of: str, to: tuple[str, str], counts: tuple[int, int, bool]
) -> None:
    mine, others = await redrive(owner), await redrive(owner)
    before = "open" if name == "claim_redrive_messages" else "redriven"
    moved = await sent(owner, mine, of, before)
    states_of_messages = [one for one in ("queued", "publishing", "published", "skipped") if one != of]
    left = [await sent(owner, mine, one, before) for one in states_of_messages] if before != "open" else []
    left += [await sent(owner, others, of, before)]
    all_of_it = name == "requeue_redrive_messages"
    left += [] if all_of_it else [await sent(owner, mine, of, before)]
    asked_for = [moved, *left[:-1]] if not all_of_it else []
    if before == "open":  # the caller asks for letters of its own alone, which another may have as well
        asked_for = [moved]
        await owner.execute(MESSAGE, others, moved, of)
    arguments: list[Any] = [] if all_of_it else [asked_for]
    if name in {"return_redrive_messages", "skip_redrive_messages"}:
        arguments.append(["because" * 100] * len(asked_for))
    messages_before, letters_before = await message_states(owner), await states(owner)
    await owner.execute(statement("producers", name), mine, *arguments)
    assert await message_states(owner) == messages_before | {(mine, moved): to[0]}
    assert await states(owner) == letters_before | {moved: to[1]}
    assert await counted(owner) == {mine: counts, others: (1, 1, False)}
    row = await owner.fetchrow(
        "select * from redrive_messages where dead_letter_id = $1 and redrive_id = $2", moved, mine
    )
    assert row is not None
    assert row["detail"] == (("because" * 100)[:500] if to[0] == "skipped" else None)


async def test_a_letter_that_is_open_no_more_is_not_taken_by_a_redrive(owner: asyncpg.Connection[Any]) -> None:
    mine = await redrive(owner)
    closed = await sent(owner, mine, "queued", "discarded")
    await owner.execute(statement("producers", "claim_redrive_messages"), mine, [closed])
    assert (await message_states(owner), await states(owner)) == ({(mine, closed): "queued"}, {closed: "discarded"})
    for name, arguments in (("return_redrive_messages", ([closed], ["why"])), ("requeue_redrive_messages", ())):
        await owner.execute("update redrive_messages set status = 'publishing', claimed_at = now(), detail = null")
        await owner.execute(statement("producers", name), mine, *arguments)
        assert await states(owner) == {closed: "discarded"}, "what somebody decided meanwhile stands"


async def test_a_redrive_begins_stops_goes_on_and_ends_in_its_states(owner: asyncpg.Connection[Any]) -> None:
    all_states = ("queued", "running", "done", "stopped", "failed")
    for name, arguments, moved in (
        ("start_redrive", (), {"queued": "running"}),
        ("end_redrive", ("failed", "why"), {"queued": "failed", "running": "failed"}),
        ("stop_redrive", ("bob",), {"queued": "queued", "running": "running"}),
        ("resume_redrive", ("bob",), {"stopped": "queued", "failed": "queued"}),
    ):
        module = "ops" if name in {"stop_redrive", "resume_redrive"} else "producers"
        for status in all_states:
            one, neighbour = await redrive(owner, status), await redrive(owner, status)
            await owner.execute(statement(module, name), one, *arguments)
            rows = {row["id"]: row for row in await owner.fetch("select * from redrives")}
            assert rows[one]["status"] == moved.get(status, status), (name, status)
            assert (rows[one]["updated_at"] > MOMENT) == (status in moved), (name, status)
            assert (rows[neighbour]["status"], rows[neighbour]["updated_at"]) == (status, MOMENT)
            assert rows[neighbour]["stop_requested_by"] is None
            if status in moved:
                assert rows[one]["stop_requested_by"] == ("bob" if name == "stop_redrive" else None)
                started = rows[one]["started_at"]
                assert (started is None) == (status == "queued" and name == "stop_redrive"), (name, status)
                assert started is None or (started > MOMENT) == (status == "queued")
                assert (rows[one]["ended_at"] is not None) == (name == "end_redrive")
                assert rows[one]["published_before"] == (1 if name == "resume_redrive" else 0), (name, status)
            await owner.execute("delete from redrives")
    one = await redrive(owner, "running", "carol")
    await owner.execute(statement("ops", "stop_redrive"), one, "bob")
    assert await owner.fetchval("select stop_requested_by from redrives") == "carol", "who asked first is kept"
    await owner.execute(statement("ops", "resume_redrive"), one, "bob")
    row = await owner.fetchrow("select status, stop_requested_by, stop_reason from redrives")
    assert row == ("queued", None, "resumed by bob")


async def test_the_redrive_under_way_goes_before_those_that_wait(owner: asyncpg.Connection[Any]) -> None:
    await redrive(owner, "done")
    waiting = [await redrive(owner, "queued") for _ in range(2)]
    sql = statement("producers", "read_redrive")
    assert (await owner.fetchrow(sql))["id"] == waiting[0]
    running = await redrive(owner, "running")
    assert [row["id"] for row in await owner.fetch(sql)] == [running]
