"""Who waits, who is woken and what becomes a dead letter, row by row: each beside rows that differ in one thing."""

from __future__ import annotations

import datetime as dt
import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest
from filled_database import by_heap, filled_database, undone
from written_rows import insert

from consumer import rows
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    Name = dict[str, Any]
    Session = asyncpg.Connection[Any]

pytestmark = pytest.mark.integration

NAME = {"provider": "p", "account": "a", "merchant_account": "m", "livemode": True, "kind": "payment", "ref": "r"}
OTHER = {"provider": "q", "account": "b", "merchant_account": "n", "livemode": False, "kind": "charge", "ref": "s"}
NEAR = [NAME | {part: value} for part, value in OTHER.items()]
"""The names that differ from NAME in one thing."""
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
EVENT = {
    "source": "p",
    "event_type": "k",
    "topic": "t",
    "partition": 0,
    "timestamp_ms": 0,
    "header_names": [],
    "header_values": [],
}


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[Session]:
    """Give a superuser's connection to a database with names; what a test does is undone."""
    async with filled_database(stack, template_database, "") as connection:
        for name in (NAME, OTHER, *NEAR):
            await insert(connection, "payment_refs", **name)
        yield connection


@pytest.fixture
async def some(filled: Session) -> AsyncIterator[Session]:
    """Give the connection within a transaction that is undone."""
    async with undone(filled):
        yield filled


def names(*wanted: Name) -> list[str]:
    return rows.ref_arrays([rows.key_of(one) for one in wanted])


async def park(connection: Session, number: int, *waits_on: Name, **changed: Any) -> int:
    """Park an event that waits on names."""
    of_row = {"id": number, "event_id": f"e-{number}", "offset": number, "reason": "orphan", "detail": ""}
    more = {"facts": "[]", "parked_at": NOW, "deadline": NOW + HOUR}
    await insert(connection, "parked_events", **EVENT | of_row | more | changed)
    for one in waits_on:
        await insert(connection, "parked_refs", **one, parked_id=number)
    return number


async def bury(connection: Session, number: int, *waits_on: Name, **changed: Any) -> int:
    """Make a dead letter that waits on names."""
    of_row = {"id": number, "event_id": f"e-{number}", "offset": number, "reason": "orphan", "message": "why"}
    more = {"relay_xid": 1, "created_at": NOW, "digest": hashlib.sha256(b"%d" % number).digest()}
    await insert(connection, "dead_letters", **EVENT | of_row | more | changed)
    for one in waits_on:
        await insert(connection, "orphan_refs", **one, letter_id=number)
    return number


async def log(connection: Session, source: str, event_id: str) -> None:
    of_row = {"source": source, "event_id": event_id, "event_type": "k", "outcome": "noop", "facts": "[]", "topic": "t"}
    more = {"partition": 0, "offset": 0, "recorded_at": NOW, "relay_xid": 1, "hash": b"x" * 32}
    await insert(connection, "payment_logs", **of_row | more)


async def mark(connection: Session, number: int, name: Name = NAME, **changed: Any) -> int:
    await insert(connection, "wake_marks", **name, id=number, **changed)
    return number


async def ids(connection: Session, name: str, *arguments: Any) -> list[Any]:
    """Return the first column of what a statement returns."""
    return [row[0] for row in await connection.fetch(statement("consumer", name), *arguments)]


async def of_table(connection: Session, columns: str, table: str) -> list[Any]:
    """Return columns of a table in order; of one column its values."""
    found = sorted(tuple(row) for row in await connection.fetch(f"select {columns} from {table}"))
    return [row[0] if len(row) == 1 else row for row in found]


async def test_a_name_is_marked_when_somebody_waits_on_this_very_name(some: Session) -> None:
    """A mark too few leaves an event parked whose payment is there; one too many wakes for nothing."""
    await park(some, 1, *NEAR)
    await bury(some, 1, *NEAR)
    assert await ids(some, "mark_bound", *names(NAME)) == []
    await park(some, 2, NAME)
    (first,) = await ids(some, "mark_bound", *names(NAME))
    await some.execute("delete from parked_events")
    await some.execute("update wake_marks set after_id = 5, after_letter_id = 6, marked_at = $1", NOW)
    await bury(some, 2, NAME)
    (second,) = await ids(some, "mark_bound", *names(NAME))
    assert second > first, "the mark that is being worked off is not the one that is taken away"
    stands = await of_table(some, "id, after_id, after_letter_id, marked_at = now()", "wake_marks")
    assert stands == [(second, 0, 0, True)]


async def waiting(connection: Session, marks: Any, limit: int) -> list[tuple[Any, ...]]:
    """Return who waits: mark, parked event, letter."""
    found = await connection.fetch(statement("consumer", "find_marked"), marks, limit)
    return [(row["mark_id"], row["parked_id"], row["letter_id"]) for row in found]


async def sorted_by_themselves(connection: Session) -> None:
    """Have rows joined in an order that is not the one they are wanted in."""
    await by_heap(connection)
    await connection.execute("set local enable_nestloop = off")
    await connection.execute("set local enable_hashjoin = off")


async def test_who_waits_on_a_mark_waits_on_its_very_name(some: Session) -> None:
    await mark(some, 1)
    await park(some, 1, *NEAR)
    await bury(some, 1, *NEAR)
    assert await waiting(some, None, 9) == [(1, None, None)]
    await park(some, 2, NAME)
    await bury(some, 3, NAME)
    assert await waiting(some, None, 9) == [(1, 2, None), (1, None, 3)]


async def test_who_waits_is_given_part_by_part_and_in_order(some: Session) -> None:
    """`move_mark` notes the last that was woken: one that comes after it out of order is never woken."""
    await sorted_by_themselves(some)
    for number, name in ((3, NEAR[1]), (2, NEAR[0]), (1, NAME)):
        await mark(some, number, name)
    for number, name in ((9, NEAR[0]), (8, NAME), (7, NAME), (6, NAME)):
        await park(some, number, name)
    for number, name in ((5, NEAR[1]), (4, NEAR[1]), (3, NEAR[1]), (2, NAME), (1, NAME)):
        await bury(some, number, name)
    whole = [
        *((1, 6, None), (1, 7, None), (1, 8, None), (1, None, 1), (1, None, 2)),
        *((2, 9, None), (3, None, 3), (3, None, 4), (3, None, 5)),
    ]
    assert await waiting(some, None, 20) == whole
    assert await waiting(some, [1, 3], 20) == [one for one in whole if one[0] != 2]
    for limit in (1, 2, 4):
        assert await waiting(some, None, limit) == whole[:limit]
        assert await waiting(some, [3], limit) == whole[6:][:limit]
    await some.execute("update wake_marks set after_id = 7, after_letter_id = 1 where id = 1")
    assert await waiting(some, [1], 20) == [(1, 8, None), (1, None, 2)]


def sent(*values: bytes | None) -> int:
    """Return how many bytes an array of byte strings is in Postgres' binary format."""
    return 12 + (8 + sum(4 + len(value or b"") for value in values) if values else 0)


SIZED = (
    {"key": b"kk", "value": b"v" * 30, "header_names": [b"name"], "header_values": [b"header's"]},
    {"key": None, "value": b"v" * 500, "header_names": [b"n", b"m"], "header_values": [None, b"1"]},
    {"key": b"k" * 70, "value": None, "header_names": [], "header_values": []},
    {"key": None, "value": None, "header_names": [], "header_values": []},
)


def size(record: dict[str, Any]) -> int:
    taken = len(record["key"] or b"") + len(record["value"] or b"")
    return taken + sent(*record["header_names"]) + sent(*record["header_values"])


async def test_what_waits_counts_with_all_its_bytes(some: Session) -> None:
    """Bytes that are not counted are read all at once, and the process dies of it."""
    await mark(some, 1)
    for number, record in enumerate(SIZED, start=1):
        await park(some, number, NAME, **record)
        await bury(some, 10 + number, NAME, **record)
    await bury(some, 20, NAME, **SIZED[0], status="discarded")
    await mark(some, 2, OTHER)
    found = await some.fetch(statement("consumer", "find_marked"), None, 20)
    sizes = [size(one) for one in SIZED]
    assert [row["bytes"] for row in found] == [*sizes, *sizes, 0, 0]


async def test_a_mark_moves_forward_alone_and_goes_alone(some: Session) -> None:
    for number, name in ((1, NAME), (2, OTHER)):
        await mark(some, number, name, after_id=5, after_letter_id=5)
    for after, after_letter, stands in [(7, 3, (7, 5)), (6, 9, (7, 9))]:
        await some.execute(statement("consumer", "move_mark"), 1, after, after_letter)
        assert await of_table(some, "id, after_id, after_letter_id", "wake_marks") == [(1, *stands), (2, 5, 5)]
    await some.execute(statement("consumer", "delete_marks"), [1, 3])
    assert await of_table(some, "id", "wake_marks") == [2]


async def test_parked_events_are_found_in_order_and_known_by_the_ledger(some: Session) -> None:
    await by_heap(some)
    for number in (3, 2, 1):
        await park(some, number)
    await log(some, "q", "e-1")
    await log(some, "p", "e-2")
    found = await some.fetch(statement("consumer", "find_parked"), [3, 2, 1, 9])
    assert [(row["id"], row["processed"]) for row in found] == [(1, False), (2, True), (3, False)]
    assert await ids(some, "find_parked", [2]) == [2]
    assert await ids(some, "delete_parked", [2, 9]) == [2]
    assert await of_table(some, "id", "parked_events") == [1, 3]


async def test_a_name_on_which_many_wait_is_named_once(some: Session) -> None:
    await park(some, 1, NAME, OTHER)
    await park(some, 2, NAME)
    await park(some, 3, NEAR[0])
    found = await some.fetch(statement("consumer", "find_waited_refs"), [1, 2])
    assert sorted(map(rows.key_of, found)) == sorted([rows.key_of(NAME), rows.key_of(OTHER)])


async def expired(
    connection: Session, now: dt.datetime, *, events: int = 99, octets: int = 9999
) -> list[tuple[Any, ...]]:
    found = await connection.fetch(statement("consumer", "find_expired"), now, events, octets)
    return sorted((row["id"], row["ref"]) for row in found)


async def test_events_expire_in_the_order_of_their_deadlines_with_their_names(some: Session) -> None:
    """One that is passed over waits for ever; one that is taken too early loses its payment."""
    await by_heap(some)
    for number, minutes in ((1, 40), (2, 30), (3, 20), (4, 10)):
        await park(some, number, *[[], [NAME], [OTHER, NEAR[0]], []][number - 1], deadline=NOW + minutes * HOUR / 60)
    one, two, three, four = (1, None), (2, "r"), (3, "s"), (4, None)
    later = NOW + HOUR
    assert await expired(some, later) == sorted([one, two, (3, "r"), three, four])
    assert await expired(some, NOW + 30 * HOUR / 60) == sorted([(3, "r"), three, four])
    assert await expired(some, later, events=1) == [four]
    assert await expired(some, later, events=2) == sorted([four, (3, "r"), three])


async def test_events_expire_until_their_bytes_pass_the_bound(some: Session) -> None:
    await by_heap(some)
    for order in ((4, 1), (1, 2), (2, 3), (3, 4)):  # number, and its place by deadline
        number, place = order
        await park(some, number, deadline=NOW + place * HOUR, **SIZED[number - 1])
    await check_bounds(some, [4, 1, 2, 3])
    await some.execute("update parked_events set deadline = $1", NOW)
    await some.execute("update parked_events set detail = 'anew' where id = 1")  # its row comes last by now
    await check_bounds(some, [1, 2, 3, 4])


async def check_bounds(connection: Session, order: Sequence[int]) -> None:
    """Ask for events by a bound that the first ones just reach, and by one more."""
    for count, before in enumerate(accumulate(size(SIZED[number - 1]) for number in order), start=1):
        for octets, more in ((before, 0), (before + 1, 1)):
            found = await expired(connection, NOW + 9 * HOUR, octets=octets)
            assert found == sorted((number, None) for number in order[: count + more]), (count, octets)


async def test_a_standstill_is_added_to_the_deadlines_of_those_who_waited(some: Session) -> None:
    """One that is not lengthened is buried although its payment may still be on its way."""
    await by_heap(some)
    began, ended = NOW, NOW + 2 * HOUR
    parked = {6: NOW - HOUR, 5: NOW + HOUR, 4: NOW + 3 * HOUR, 3: NOW - HOUR, 2: NOW - HOUR, 1: NOW - HOUR}
    for number, at in parked.items():
        await park(some, number, parked_at=at, deadline=NOW + 9 * HOUR)

    async def lengthened(after: int, count: int) -> tuple[Any, ...]:
        (done,) = await some.fetch(statement("consumer", "lengthen_deadlines"), after, began, ended, count)
        found = await of_table(some, "id, deadline", "parked_events")
        return done["events"], done["last_id"], [(deadline - NOW) / HOUR - 9 for _, deadline in found]

    assert await lengthened(1, 2) == (2, 3, [0, 2, 2, 0, 0, 0])
    assert await lengthened(3, 9) == (3, 6, [0, 2, 2, 0, 1, 2])
    assert await lengthened(6, 9) == (0, None, [0, 2, 2, 0, 1, 2])


async def test_the_parking_clock_stands_as_it_was_moved(some: Session) -> None:
    await by_heap(some)
    moved = (NOW, NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR, 7, "why")
    await some.execute(statement("consumer", "move_parking_clock"), *moved)
    stands = await of_table(some, "watermark, moved_at, began_at, ended_at, after_id, waits_for", "parking_clock")
    assert stands == [moved]
    for number in (2, 1):
        await insert(some, "spool", **SPOOLED, id=number, created_at=NOW + number * HOUR)
    (row,) = await some.fetch(statement("consumer", "read_parking_clock"))
    assert tuple(row) == (*moved[:-1], NOW + HOUR)


SPOOLED = {"topic": "t", "key": b"k", "value": b"v", "header_names": [], "header_values": []}
DIGEST = hashlib.sha256(b"1").digest()
LETTER = ("t", 0, 1, DIGEST, 0, None, b"v", [], [], "p", "e-1", "k", None, "orphan", "", 0, 1, NOW)


async def test_the_same_bytes_of_an_event_are_one_open_letter(some: Session) -> None:
    """A letter that is taken for another one is lost: nobody can redrive it."""

    async def buried(**changed: Any) -> bool:
        """Bury a record that comes again elsewhere, beside a letter that differs; tell whether it is one more."""
        letter = {"source": "p", "event_id": "e-1", "digest": DIGEST, "status": "open"} | changed
        async with undone(some):
            await bury(some, 1001, **letter)
            await some.execute(statement("consumer", "bury_record"), *LETTER[:2], 2, *LETTER[3:])
            return await some.fetchval("select count(*) from dead_letters") == 2

    assert not await buried()
    for changed in ({"source": "q"}, {"event_id": "e-2"}, {"digest": b"x" * 32}):
        assert await buried(**changed), changed
    for status in ("redriven", "applied", "discarded"):
        assert await buried(status=status), status
    await bury(some, 1001, offset=1, status="applied", digest=DIGEST)
    await some.execute(statement("consumer", "bury_record"), *LETTER)
    assert await of_table(some, "id, status", "dead_letters") == [(1001, "applied")], "it is the same record again"


async def test_the_open_letter_of_an_event_waits_on_its_names(some: Session) -> None:
    await bury(some, 1, digest=DIGEST)
    await bury(some, 2, event_id="e-1", digest=DIGEST, status="discarded")
    await bury(some, 3, event_id="e-1", digest=DIGEST, source="q")
    await bury(some, 4, event_id="e-4", digest=DIGEST)
    await bury(some, 5, event_id="e-1")
    for _ in range(2):
        await some.execute(statement("consumer", "keep_orphan_refs"), "p", "e-1", DIGEST, *names(NAME, OTHER))
        assert await of_table(some, "letter_id, ref", "orphan_refs") == [(1, "r"), (1, "s")]


async def test_letters_are_applied_alone(some: Session) -> None:
    for number in (1, 2, 3):
        await bury(some, number, NAME)
    await some.execute(statement("consumer", "apply_letters"), [1, 3])
    assert await of_table(some, "id, status", "dead_letters") == [(1, "applied"), (2, "open"), (3, "applied")]
    assert await of_table(some, "letter_id", "orphan_refs") == [2]


async def test_open_letters_whose_bytes_are_there_are_woken(some: Session) -> None:
    """One that somebody discarded, or whose event waits again, has its effect by nobody's leave, or twice."""
    await by_heap(some)
    await bury(some, 4)
    await bury(some, 3, status="discarded")
    await bury(some, 2, redacted_at=NOW, value=None)
    await bury(some, 1)
    await bury(some, 5)
    for name in ("find_orphans", "lock_letters"):
        assert await ids(some, name, [4, 3, 2, 1]) == [1, 4], name
    await park(some, 1, source="q")
    await park(some, 9)
    await park(some, 7, event_id="e-4")
    assert await ids(some, "lock_letters", [4, 3, 2, 1, 5]) == [1, 5]


async def test_a_body_is_known_once_its_event_is_taken(some: Session) -> None:
    """A body that is taken for known loses its money; one that is not has its effect twice."""

    def digest(number: int) -> bytes:
        return hashlib.sha256(b"%d" % number).digest()

    for number in range(1, 5):
        await insert(some, "body_claims", source="p", digest=digest(number), event_id=f"e-{number}")

    async def known() -> list[int]:
        arguments = ["p"] * 5, [digest(number) for number in range(1, 6)]
        found = await some.fetch(statement("consumer", "find_bodies"), *arguments)
        return sorted(next(one for one in range(1, 6) if digest(one) == row["digest"]) for row in found)

    await log(some, "q", "e-1")
    await park(some, 2, source="q", event_id="e-2")
    assert await known() == []
    await log(some, "p", "e-5")
    await park(some, 6, event_id="e-6")
    assert await known() == []
    await log(some, "p", "e-3")
    assert await known() == [3]
    await park(some, 4)
    assert await known() == [3, 4]
    claim = ["p", "p"], [digest(1), digest(9)], ["e-3", "e-9"]
    await some.execute(statement("consumer", "insert_bodies"), *claim)
    assert await known() == [1, 3, 4]
