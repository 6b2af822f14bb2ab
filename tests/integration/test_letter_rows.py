"""Dead letters, notes on them and redrives as people read and write them, each row beside others that differ."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until_waiting
from plain_rows import DAY, MOMENT, add, lying

from ops import redrives
from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def ids(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[int]:
    return [row["id"] for row in await connection.fetch(statement("ops", name), *arguments)]


async def test_copies_of_a_letter_are_those_that_came_back_and_still_hold_its_bytes(
    heap: asyncpg.Connection[Any],
) -> None:
    other = await add(heap, "dead_letters", digest=b"e" * 32)
    for letter_id, came_back, redacted_at in (
        (13, 2, None),
        (12, 1, None),
        (11, 0, None),
        (14, 0, None),
        (15, 1, MOMENT),
    ):
        await add(heap, "dead_letters", id=letter_id, redrive_count=came_back, redacted_at=redacted_at)
    await add(heap, "dead_letters", id=16, redrive_count=1, digest=b"e" * 32)
    assert await ids(heap, "find_copies", 11) == [12, 13]
    assert await ids(heap, "find_copies", 12) == [13], "a letter is no copy of itself"
    assert await ids(heap, "find_copies", other) == [16]


async def test_a_letter_is_read_by_its_number_and_several_in_their_order(heap: asyncpg.Connection[Any]) -> None:
    for letter_id in (3, 2, 1, 4):
        await add(heap, "dead_letters", id=letter_id)
    assert await ids(heap, "read_letter", 2) == [2]
    assert await ids(heap, "read_letter_records", [4, 3, 1]) == [1, 3, 4]


async def test_an_event_stands_in_the_letters_once_while_one_of_them_decides(heap: asyncpg.Connection[Any]) -> None:
    for event, status in (
        *(("both", "open"), ("both", "discarded"), ("again", "redriven"), ("done", "applied")),
        *(("given up", "discarded"), ("not asked", "open")),
    ):
        await add(heap, "dead_letters", event_id=event, status=status)
    await add(heap, "dead_letters", event_id="of another", source="paypal")
    events = ["both", "again", "done", "given up", "of another"]
    found = await heap.fetch(statement("ops", "find_letters"), ["stripe"] * len(events), events)
    assert sorted(tuple(row) for row in found) == [("stripe", "both"), ("stripe", "given up")]


async def test_a_place_is_known_once_by_its_letter_or_by_the_note_that_it_was_erased(
    heap: asyncpg.Connection[Any],
) -> None:
    for table, offsets in (("dead_letters", (1, 2)), ("erased_letters", (2, 3))):
        for offset in offsets:
            await add(heap, table, offset=offset, returning=None)
    places = [["payments.webhooks"] * 4, [0] * 4, [1, 2, 3, 4], [b"d" * 32] * 4]
    found = await heap.fetch(statement("ops", "find_places"), *places)
    assert sorted(row["offset"] for row in found) == [1, 2, 3]


async def test_a_note_speaks_of_open_letters_of_one_kind_or_of_a_redrive(heap: asyncpg.Connection[Any]) -> None:
    await add(heap, "dead_letters")
    await add(heap, "dead_letters", reason="orphan", status="discarded")
    redrive = await add(heap, "redrives")
    about, until = ("conflict", "stripe", "charge.captured"), MOMENT + 4000 * DAY
    for subject, written in (
        ((*about, None), True),
        (("orphan", *about[1:], None), False),
        (("fatal", *about[1:], None), False),
        (("conflict", "paypal", "charge.captured", None), False),
        (("conflict", "stripe", "charge.refunded", None), False),
        (("conflict", None, None, None), False),
        ((None, None, None, redrive), True),
        ((None, None, None, redrive + 1), False),
    ):
        found = await heap.fetch(statement("ops", "add_letter_note"), *subject, "why", "alice", until)
        assert len(found) == written, subject
    kept = await heap.fetch("select reason, source, event_type, redrive_id from dead_letter_notes order by id")
    assert [tuple(row) for row in kept] == [(*about, None), (None, None, None, redrive)]


async def make_note(heap: asyncpg.Connection[Any], **columns: Any) -> int:
    row = {"note": "why", "author": "alice", "made_at": MOMENT, "silent_until": MOMENT + 4000 * DAY}
    row |= {} if "redrive_id" in columns else {"reason": "conflict"}
    return int(await add(heap, "dead_letter_notes", **row | columns))


async def test_a_note_is_ended_once_by_whom_it_names(heap: asyncpg.Connection[Any]) -> None:
    one, other = await make_note(heap), await make_note(heap)
    ended = await make_note(heap, ended_by="carol", ended_at=MOMENT)
    over = await make_note(heap, silent_until=MOMENT + DAY)
    sql = statement("ops", "end_letter_note")
    assert [len(await heap.fetch(sql, note, "bob")) for note in (one, ended, over)] == [1, 0, 0]
    kept = await heap.fetch("select id, ended_by, ended_at > $1 as now from dead_letter_notes", MOMENT)
    assert {row["id"]: (row["ended_by"], row["now"]) for row in kept} == {
        one: ("bob", True),
        other: (None, None),
        ended: ("carol", False),
        over: (None, None),
    }


async def test_the_notes_that_stand_come_the_newest_first_with_their_letters(heap: asyncpg.Connection[Any]) -> None:
    redrive, another = await add(heap, "redrives"), await add(heap, "redrives")
    for source in (None, None, "stripe"):
        await add(heap, "dead_letters", source=source, event_type=None)
    await make_note(heap, id=12)
    await make_note(heap, id=11, redrive_id=redrive)
    await make_note(heap, id=13, redrive_id=another)
    await make_note(heap, id=14, ended_by="carol", ended_at=MOMENT)
    await make_note(heap, id=15, silent_until=MOMENT + DAY)
    sql = statement("ops", "list_letter_notes")
    found = await heap.fetch(sql, None, 9)
    assert [(row["id"], row["letters"]) for row in found] == [(13, 0), (12, 2), (11, 0)]
    assert await ids(heap, "list_letter_notes", None, 2) == [13, 12]
    assert await ids(heap, "list_letter_notes", redrive, 9) == [11]


async def test_a_redrive_is_listed_with_what_came_back_of_it_alone(heap: asyncpg.Connection[Any]) -> None:
    began = {"started_at": MOMENT}
    await add(heap, "redrives", id=2, status="running", stop_requested_by="bob", **began)
    await add(heap, "redrives", id=1, status="running", **began)
    await add(heap, "redrives", id=3, status="stopped", stop_requested_by="bob", ended_at=MOMENT, **began)
    sent = {"redrive_id": 2, "status": "published", "claimed_at": MOMENT, "published_at": MOMENT, "returning": None}
    for letter_id in (12, 11):
        await add(heap, "dead_letters", id=letter_id, event_id=f"evt_{letter_id}", status="redriven")
        await add(heap, "redrive_messages", dead_letter_id=letter_id, **sent)
    await add(heap, "redrive_messages", redrive_id=1, dead_letter_id=11, returning=None)
    await add(heap, "dead_letters", id=21, event_id="evt_12", redrive_count=1)
    sql = statement("ops", "read_redrives")
    found = await heap.fetch(sql, None, 9)
    assert [(row["id"], row["returned"], row["stopping"]) for row in found] == [
        (3, 0, False),
        (2, 1, True),
        (1, 0, False),
    ]
    assert (await ids(heap, "read_redrives", None, 2), await ids(heap, "read_redrives", 2, 9)) == ([3, 2], [2])
    messages = await heap.fetch(statement("ops", "read_redrive_messages"), 2)
    assert [(row["id"], row["returned_id"]) for row in messages] == [(11, None), (12, 21)]


async def test_a_stop_that_has_not_come_yet_is_taken_back(heap: asyncpg.Connection[Any]) -> None:
    """Also of a redrive that waits: nobody would know why it ends, and it was let go on again."""
    counts = {"published": 3, "failed": 2, "started_at": MOMENT, "stop_requested_by": "bob"}
    over = {"ended_at": MOMENT}
    for number, (status, columns, resumed) in enumerate(
        (
            ("queued", counts, True),
            ("running", counts, True),
            ("failed", counts | over, True),
            ("done", {**over, "published": 9, "started_at": MOMENT, "stop_requested_by": "bob"}, False),
            ("queued", {}, False),
        ),
        start=1,
    ):
        await add(heap, "redrives", id=number, status=status, **columns)
        before = await heap.fetchrow("select * from redrives where id = $1", number)
        done = await heap.execute(statement("ops", "resume_redrive"), number, "alice" * 200)
        after = await heap.fetchrow("select * from redrives where id = $1", number)
        assert (before is not None, after is not None, done) == (True, True, f"UPDATE {resumed:d}")
        if resumed:
            assert (after["status"], after["stop_requested_by"], after["ended_at"]) == ("queued", None, None)
            assert (after["published_before"], after["failed_before"]) == (3, 2), "what came back by now is forgiven"
            assert after["stop_reason"] == f"resumed by {'alice' * 200}"[:500]
        else:
            assert dict(after) == dict(before)
    redrive = await add(heap, "redrives", id=9)
    await redrives.stop(heap, redrive, "bob")
    assert not (await redrives.resume(heap, redrive, "alice")).stopping


async def test_notes_of_what_was_erased_go_the_oldest_first(heap: asyncpg.Connection[Any]) -> None:
    for offset, age in ((1, 1), (2, 3), (3, 2), (4, 0)):
        await add(heap, "erased_letters", offset=offset, erased_at=MOMENT - age * DAY, returning=None)
    left = []
    for rows in (1, 9):
        await heap.execute(statement("ops", "forget_erased"), MOMENT, rows)
        left.append([row[0] for row in await heap.fetch('select "offset" from erased_letters order by 1')])
    assert left == [[1, 3, 4], [4]], "what is of the moment itself is kept"


async def test_how_far_the_topic_was_read_is_written_in_one_order(database: Database) -> None:
    sql, locked = statement("ops", "note_positions"), "select from dlq_positions where partition = $1 for update nowait"
    async with (
        lying(database.owner_dsn) as asker,
        lying(database.owner_dsn) as holder,
        lying(database.owner_dsn) as observer,
    ):
        await asker.execute(sql, [0, 1], [5, 5], None)
        await asker.execute("update dlq_positions set updated_at = $1", MOMENT)
        async with holder.transaction():
            await holder.execute(locked, 1)
            begun = asyncio.create_task(asker.execute(sql, [1, 0], [8, 7], None))
            await until_waiting(observer)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await observer.execute(locked, 0)
        await begun
        found = await asker.fetch(
            "select partition, next_offset, updated_at > $1 from dlq_positions order by 1", MOMENT
        )
    assert sorted(map(tuple, found)) == [(0, 7, True), (1, 8, True)]


async def test_which_topic_was_read_stays_known_where_brokers_tell_no_ids(heap: asyncpg.Connection[Any]) -> None:
    first, second, noted = uuid.UUID(int=1), uuid.UUID(int=2), []
    for topic_id in (None, first, None, second):
        await heap.execute(statement("ops", "note_positions"), [0, 1], [5, 6], topic_id)
        noted.append({tuple(row) for row in await heap.fetch(statement("ops", "read_positions"))})
    assert noted == [{(0, 5, one), (1, 6, one)} for one in (None, first, first, second)]


async def test_a_letter_that_is_there_is_not_taken_in_again(heap: asyncpg.Connection[Any]) -> None:
    arguments = ("payments.webhooks", 0, 1, b"d" * 32, 1, None, None, [], [], "stripe", "evt", "kind", "pi_1", "orphan")
    for _ in range(2):
        await heap.execute(statement("ops", "take_in_letter"), *arguments, "why", 0, 1, MOMENT, 1)
    assert await heap.fetchval("select count(*) from dead_letters") == 1


async def test_a_removal_takes_what_hangs_on_its_letters_and_no_more(heap: asyncpg.Connection[Any]) -> None:
    ended = await add(heap, "redrives", status="stopped", started_at=MOMENT, ended_at=MOMENT)
    running = await add(heap, "redrives", status="running", started_at=MOMENT)
    for letter_id, age, orders in ((1, 1, [ended]), (2, 1, [running]), (3, 1, [ended, running]), (4, -1, [ended])):
        closed = {"status": "discarded", "created_at": MOMENT - age * DAY, "offset": letter_id}
        await add(heap, "dead_letters", id=letter_id, **closed)
        await add(heap, "discards", dead_letter_id=letter_id, returning=None)
        for redrive in orders:
            await add(heap, "redrive_messages", redrive_id=redrive, dead_letter_id=letter_id, returning=None)
    await add(heap, "erased_letters", offset=1, returning=None)
    assert await ids(heap, "remove_letters", MOMENT, 9) == [1]
    assert [row[0] for row in await heap.fetch("select id from dead_letters order by id")] == [2, 3, 4]
    assert [row[0] for row in await heap.fetch("select dead_letter_id from discards order by 1")] == [2, 3, 4]
    left = await heap.fetch("select dead_letter_id, redrive_id from redrive_messages order by 1, 2")
    assert [tuple(row) for row in left] == [(2, running), (3, ended), (3, running), (4, ended)]


async def test_letters_are_chosen_the_oldest_first_and_shown_the_newest_first(heap: asyncpg.Connection[Any]) -> None:
    for letter_id, reason in ((2, "orphan"), (4, "fatal"), (1, "fatal"), (3, "conflict")):
        await add(heap, "dead_letters", id=letter_id, reason=reason, message=f"{letter_id}")
    anything = [None] * 9
    assert await ids(heap, "choose_letters", *anything, 9) == [1, 2, 3, 4]
    assert await ids(heap, "choose_letters", *anything, 2) == [1, 2]
    assert await ids(heap, "list_letters", *anything, 9, None) == [4, 3, 2, 1]
    assert await ids(heap, "list_letters", *anything, 9, 3) == [2, 1]
    for rows, wanted in ((9, [(4, 2, "4"), (3, 1, "3"), (2, 1, "2")]), (2, [(4, 2, "4"), (3, 1, "3")])):
        groups = await heap.fetch(statement("ops", "group_letters"), *anything, rows)
        assert [(row["sample_id"], row["letters"], row["message"]) for row in groups] == wanted


async def test_letters_are_given_up_in_their_order(heap: asyncpg.Connection[Any]) -> None:
    for letter_id in (2, 1):
        await add(heap, "dead_letters", id=letter_id)
    assert await ids(heap, "discard_letters", [2, 1], "alice", "why") == [1, 2]
    closed = await heap.fetch(statement("ops", "find_closed_letters"), [9, 2, 8, 1])
    assert [row["id"] for row in closed] == [1, 2, 8, 9]


NAMES = [["stripe"], [""], [""], [True], ["payment"], ["named"]]


async def test_what_waits_is_foreseen_by_names_and_by_the_names_of_payments(heap: asyncpg.Connection[Any]) -> None:
    payment, other = await add(heap, "payments"), await add(heap, "payments")
    for ref, bound in (("named", None), ("of the payment", payment), ("of another", other), ("free", None)):
        await add(heap, "payment_refs", ref=ref, payment_id=bound, returning=None)
    waiting: dict[int, tuple[list[str], dict[str, Any]]] = {
        4: (["named"], {}),
        2: (["of the payment"], {"key": None, "value": None, "event_id": "in the ledger"}),
        1: (["named", "of the payment"], {"event_id": "of another source", "source": "paypal"}),
        3: (["named"], {"event_id": "new"}),
        5: (["of another"], {}),
        6: (["free"], {}),
    }
    for parked_id, (refs, columns) in waiting.items():
        await add(heap, "parked_events", id=parked_id, **columns)
        for ref in refs:
            await add(heap, "parked_refs", ref=ref, parked_id=parked_id, returning=None)
    for event in ("in the ledger", "of another source"):
        await add(heap, "payment_logs", event_id=event)
    found = await heap.fetch(statement("ops", "foresee_parked"), *NAMES, [payment], 9, 10**9)
    assert [(row["id"], row["processed"]) for row in found] == [(1, False), (2, True), (3, False), (4, False)]
    headers = await heap.fetchval("select 2 * octet_length(array_send(array['a']::bytea[]))")
    whole = headers + len(b"key") + len(b"value")
    for rows, size, wanted in (
        (3, 10**9, [1, 2, 3]),
        (9, whole, [1]),
        (9, whole + 1, [1, 2]),
        (9, whole + headers, [1, 2]),
        (9, whole + headers + 1, [1, 2, 3]),
    ):
        assert await ids(heap, "foresee_parked", *NAMES, [payment], rows, size) == wanted, (rows, size)
    assert await ids(heap, "foresee_payments", [other]) == [other]
