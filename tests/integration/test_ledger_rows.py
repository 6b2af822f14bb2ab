"""What the audit, the archive and retention read and move of the ledger, each row beside others that differ."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from plain_rows import DAY, MOMENT, add, lying
from waiting import until

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg
    from conftest import Database

pytestmark = pytest.mark.integration

FIRST, SECOND, THIRD, FOURTH = (uuid.UUID(int=number) for number in (1, 2, 3, 4))


async def fetch(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[asyncpg.Record]:
    return await connection.fetch(statement("ops", name), *arguments)


async def anchor(heap: asyncpg.Connection[Any], payment_id: uuid.UUID, **columns: Any) -> None:
    row = {"hash": b"h" * 32, "version": 1, "rows_removed": 1, "relay_xid": 5, "ledger_id": 10, "facts": "{}"}
    await add(heap, "ledger_anchors", returning=None, payment_id=payment_id, **row | columns)


async def test_heads_come_in_their_order_each_with_the_anchor_of_its_own(heap: asyncpg.Connection[Any]) -> None:
    for payment_id in (THIRD, FIRST, FOURTH, SECOND):
        await add(heap, "payments", id=payment_id)
    await anchor(heap, SECOND, ledger_id=22)
    await anchor(heap, FOURTH, ledger_id=44)
    heads = await fetch(heap, "read_chain_heads", FIRST, 2)
    assert [(row["id"], row["anchor_id"]) for row in heads] == [(SECOND, 22), (THIRD, None)]
    heads = await fetch(heap, "read_heads", [THIRD, SECOND])
    assert {row["id"]: row["anchor_id"] for row in heads} == {SECOND: 22, THIRD: None}
    assert [row["payment_id"] for row in await fetch(heap, "read_anchors", [SECOND, THIRD])] == [SECOND]


async def test_a_chain_is_read_from_its_first_row_to_its_last(heap: asyncpg.Connection[Any]) -> None:
    for payment_id, row_id in ((SECOND, 4), (FIRST, 3), (SECOND, 2), (THIRD, 6), (FIRST, 1), (None, 5)):
        await add(heap, "payment_logs", payment_id=payment_id, id=row_id)
    found = await fetch(heap, "read_chains", [FIRST, SECOND])
    assert len(found) == 4
    chains = [[row["id"] for row in found if row["payment_id"] == one] for one in (FIRST, SECOND)]
    assert chains == [[1, 3], [2, 4]]


async def test_rows_of_payments_that_are_gone_are_found_in_steps(heap: asyncpg.Connection[Any]) -> None:
    await add(heap, "payments", id=SECOND)
    for payment_id, row_id in ((THIRD, 6), (SECOND, 4), (FIRST, 3), (FIRST, 2), (FOURTH, 7), (FIRST, 1), (THIRD, 5)):
        await add(heap, "payment_logs", payment_id=payment_id, id=row_id)
    for after, last, rows, wanted in (
        ((FIRST, 1), THIRD, 9, [2, 3, 5, 6]),
        ((FIRST, 1), THIRD, 3, [2, 3, 5]),
        ((FIRST, 3), FOURTH, 9, [5, 6, 7]),
    ):
        found = await fetch(heap, "find_rows_of_gone_payments", *after, last, rows)
        assert [row["id"] for row in found] == wanted, (after, last, rows)


async def test_a_sealed_row_is_known_also_after_a_rebase(heap: asyncpg.Connection[Any]) -> None:
    for row_id, xid, payment_id in (
        (1, 5, None),
        (2, 1, None),
        (3, 2, None),
        (4, 5, FIRST),
        (5, 9, None),
        (6, 5, None),
    ):
        await add(heap, "payment_logs", id=row_id, relay_xid=xid, payment_id=payment_id)
    found = await fetch(heap, "find_sealed_rows", [5, 7, 7, 5, 8], [1, 2, 3, 4, 5])
    assert sorted(row["id"] for row in found) == [1, 2, 3]


async def test_the_newest_archived_row_is_known_also_after_a_rebase(heap: asyncpg.Connection[Any]) -> None:
    for row_id, xid in ((1, 5), (2, 1), (3, 2), (4, 9)):
        await add(heap, "payment_logs", id=row_id, relay_xid=xid, hash=bytes([row_id]) * 32)
    for row_id, hashed, places in (
        (1, 1, [(5, 1)]),
        (2, 2, [(1, 2)]),
        (3, 3, [(2, 3)]),
        (4, 4, []),
        (1, 2, []),
        (2, 1, []),
    ):
        found = await fetch(heap, "find_archived_row", 5, row_id, bytes([hashed]) * 32)
        assert [tuple(row) for row in found] == places, (row_id, hashed)


async def test_an_anchor_moves_on_as_a_whole_and_never_back(heap: asyncpg.Connection[Any]) -> None:
    async def move(
        ledger_id: int, version: int, removed: int = 4
    ) -> tuple[int, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        new = (b"n" * 32, version, 7, ledger_id, removed, '{"a": 1}', b"m" * 32)
        moved = await heap.fetchval(statement("ops", "move_anchors"), [FIRST], *([one] for one in new))
        kept = await heap.fetch(
            "select hash, version, relay_xid, ledger_id, rows_removed, facts, mac from ledger_anchors"
        )
        return moved, list(map(tuple, kept)), [new]

    await add(heap, "payments", id=FIRST)
    await anchor(heap, FIRST, version=3, updated_at=MOMENT)
    for ledger_id, version in ((10, 4), (9, 4), (11, 2)):
        moved, kept, _ = await move(ledger_id, version)
        assert (moved, kept) == (0, [(b"h" * 32, 3, 5, 10, 1, "{}", None)]), (ledger_id, version)
    moved, kept, new = await move(11, 3)
    assert (moved, kept) == (1, new), "rows without a version leave the version"
    moved, kept, new = await move(12, 4, 5)
    assert (moved, kept) == (1, new)
    assert await heap.fetchval("select updated_at > $1 from ledger_anchors", MOMENT)


async def test_the_anchor_of_rows_without_a_payment_keeps_the_highest_id(heap: asyncpg.Connection[Any]) -> None:
    await heap.execute("update anchor_without_payment set updated_at = $1", MOMENT)
    for ledger_id, removed, mac in ((10, 3, b"m" * 32), (7, 5, b"n" * 32)):
        await heap.execute(statement("ops", "move_anchor_without_payment"), ledger_id, removed, mac)
        (found,) = await fetch(heap, "read_anchor_without_payment")
        assert tuple(found) == (10, removed, mac)
    assert await heap.fetchval("select updated_at > $1 from anchor_without_payment", MOMENT)


async def test_attempts_that_report_the_same_are_counted_each(heap: asyncpg.Connection[Any]) -> None:
    """Two captures of the same facts under one intent are twice the money."""
    for payment_id in (FIRST, SECOND):
        await add(heap, "payments", id=payment_id)
    merged = await add(heap, "payments", merged_into=FIRST, facts='{"m": 1}')
    for _ in range(2):
        await add(heap, "payments", intent_id=FIRST, facts='{"a": 1}')
    await add(heap, "payments", intent_id=FIRST, merged_into=merged, facts='{"gone": 1}')
    await add(heap, "payments", intent_id=SECOND, facts='{"other": 1}')
    await add(heap, "payments", merged_into=SECOND, facts='{"other": 1}')
    found = await fetch(heap, "read_families", [FIRST])
    assert sorted(map(tuple, found), key=str) == sorted(
        [(FIRST, None, '{"m": 1}'), (None, FIRST, '{"a": 1}'), (None, FIRST, '{"a": 1}')], key=str
    )


async def test_rows_without_a_payment_come_in_relay_order(heap: asyncpg.Connection[Any]) -> None:
    for row_id, xid, payment_id in (
        (3, 6, None),
        (2, 6, None),
        (4, 5, None),
        (1, 5, None),
        (5, 6, FIRST),
        (6, 7, None),
    ):
        await add(heap, "payment_logs", id=row_id, relay_xid=xid, payment_id=payment_id)
    for after, rows, wanted in (((5, 1), 9, [4, 2, 3, 6]), ((5, 4), 2, [2, 3])):
        found = await fetch(heap, "read_rows_without_payment", *after, rows)
        assert [row["id"] for row in found] == wanted, (after, rows)


async def test_the_oldest_rows_go_up_to_what_both_readers_of_the_ledger_have_passed(
    heap: asyncpg.Connection[Any],
) -> None:
    for row_id, xid in ((3, 6), (2, 5), (1, 6), (4, 5), (5, 6), (6, 7)):
        await add(heap, "payment_logs", id=row_id, relay_xid=xid)
    for changes, state, rows, wanted in (
        ((6, 3), (6, 5), 9, [2, 4, 1, 3]),
        ((6, 5), (6, 3), 9, [2, 4, 1, 3]),
        ((6, 3), (5, 4), 9, [2, 4]),
        ((5, 4), (6, 1), 9, [2, 4]),
        ((6, 3), (6, 3), 3, [2, 4, 1]),
    ):
        cursor = "update relay_cursors set relay_xid = $2, id = $3 where name = $1"
        for name, place in (("changes", changes), ("state", state), ("commands", (5, 1)), ("dead_letters", (9, 9))):
            await heap.execute(cursor, name, *place)
        found = await fetch(heap, "list_old_rows", rows)
        assert [row["id"] for row in found] == wanted, (changes, state)
        found = await fetch(heap, "list_rows_to_archive", 5, 2, rows)
        assert [row["id"] for row in found] == (wanted[1:] if rows == 9 else [4, 1, 3]), (changes, state)


async def act(heap: asyncpg.Connection[Any], who: str, action: str, age: int) -> None:
    await heap.execute(statement("ops", "note_action"), who, "terminal", action, "target", "why")
    moment = MOMENT - age * DAY
    await heap.execute(
        "update operator_actions set acted_at = $1 where id = (select max(id) from operator_actions)", moment
    )


async def test_actions_are_walked_in_the_order_of_their_chain(heap: asyncpg.Connection[Any]) -> None:
    for _ in range(5):
        await act(heap, "alice", "x", 0)
    await heap.execute("update operator_actions set because = because where id = 3")  # now it lies behind the others
    for after, last, rows, wanted in ((1, 4, 9, [2, 3, 4]), (0, 5, 3, [1, 2, 3])):
        found = await fetch(heap, "read_actions", after, last, rows)
        assert [row["id"] for row in found] == wanted, (after, last, rows)


async def test_actions_are_found_by_all_that_is_asked(heap: asyncpg.Connection[Any]) -> None:
    for who, action, age in (
        *(("alice", "redrive.stop", 1), ("bob", "redrive.stop", 1), ("alice", "redrive", 1)),
        *(("alice", "redriven", 1), ("alice", "redrive.stop", 2), ("alice", "redrive.stop", 0)),
    ):
        await act(heap, who, action, age)
    everything = {1, 2, 3, 4, 5, 6}
    for asked, wanted in (
        ({}, everything),
        ({0: "alice"}, everything - {2}),
        ({1: "redrive"}, everything - {4}),
        ({1: "redrive.stop"}, everything - {3, 4}),
        ({2: MOMENT - DAY}, everything - {5}),
        ({3: MOMENT}, everything - {6}),
        ({4: 5}, everything - {5, 6}),
        ({0: "alice", 1: "redrive", 2: MOMENT - DAY, 3: MOMENT, 4: 6}, {1, 3}),
    ):
        found = await fetch(heap, "list_actions", *(asked.get(place) for place in range(5)), 9)
        assert [row["id"] for row in found] == sorted(wanted, reverse=True), asked
    assert [row["id"] for row in await fetch(heap, "list_actions", *[None] * 5, 2)] == [6, 5]


async def test_only_the_chains_that_are_cut_are_held(database: Database) -> None:
    async with lying(database.owner_dsn) as heap, lying(database.owner_dsn) as other:
        for payment_id in (SECOND, FIRST, THIRD):
            await add(heap, "payments", id=payment_id)
        async with heap.transaction():
            assert [row["id"] for row in await fetch(heap, "lock_chains", [SECOND, FIRST])] == [FIRST, SECOND]
            free = await other.fetch("select id from payments for no key update skip locked")
            assert [row["id"] for row in free] == [THIRD]


async def test_messages_go_the_oldest_first_once_they_have_come_to_their_end(heap: asyncpg.Connection[Any]) -> None:
    payment = await add(heap, "payments")
    for number, status, age in (
        *((3, "failed", 3), (2, "sent", 2), (1, "delivered", 1), (4, "undelivered", 0)),
        *((5, "queued", 3), (6, "sending", 3)),
    ):
        columns = {"child": f"{number}", "created_at": MOMENT - age * DAY}
        await add(heap, "sms_transactions", id=number, payment_id=payment, status=status, **columns)
    left = []
    for rows in (1, 9):
        await heap.execute(statement("ops", "remove_messages"), MOMENT, rows)
        left.append([row[0] for row in await heap.fetch("select id from sms_transactions order by id")])
    assert left == [[2, 3, 4, 5, 6], [4, 5, 6]]


async def test_the_lock_of_archiving_is_one_sessions_until_it_gives_it_back_or_ends(database: Database) -> None:
    async with lying(database.owner_dsn) as one, lying(database.owner_dsn) as other:

        async def ask(session: asyncpg.Connection[Any], name: str) -> bool:
            ((answer,),) = await fetch(session, name, 4711)
            return bool(answer)

        assert await ask(one, "try_archive_lock")
        assert not await ask(other, "try_archive_lock"), "it answers at once"
        assert await ask(one, "end_archive_lock")
        assert await ask(other, "try_archive_lock")
        assert not await ask(one, "try_archive_lock")
        await other.close()
        await until(lambda: ask(one, "try_archive_lock"), "the end of a session gives its lock back")
