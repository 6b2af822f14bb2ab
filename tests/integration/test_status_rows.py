"""What `status`, `payment` and the sample count and find: each row beside others that differ in one thing."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from plain_rows import DAY, HOUR, MOMENT, add

from runtime.sql import statement

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.integration

FIRST, SECOND, THIRD, FOURTH = (uuid.UUID(int=number) for number in (1, 2, 3, 4))
CURSORS = ("changes", "state", "dead_letters", "commands")


async def fetch(connection: asyncpg.Connection[Any], name: str, *arguments: Any) -> list[asyncpg.Record]:
    return await connection.fetch(statement("ops", name), *arguments)


async def fill_the_outbox(heap: asyncpg.Connection[Any]) -> None:
    """Write ledger rows, letters and commands, and what is spooled: so many of each that no two sums are the same."""
    payment = await add(heap, "payments", id=FIRST)
    for number in range(1, 9):
        await add(heap, "payment_logs", id=number, relay_xid=5 + number % 2, payment_id=payment, version=number)
    for number in range(11, 14):
        await add(heap, "payment_logs", id=number, relay_xid=9, payment_id=payment)
    for number in range(1, 21):
        await add(heap, "dead_letters", id=number, relay_xid=5 + number % 2, status="open" if number % 4 else "applied")
    for number in range(1, 51):
        await add(heap, "commands", id=number, relay_xid=5 + number % 2)
    for _ in range(2):
        await add(heap, "spool")


async def move_cursors(heap: asyncpg.Connection[Any], **places: tuple[int, int]) -> None:
    for name, place in places.items():
        await heap.execute("update relay_cursors set relay_xid = $2, id = $3 where name = $1", name, *place)


async def test_the_outbox_is_what_the_slowest_of_the_readers_of_each_table_has_not_published(
    heap: asyncpg.Connection[Any],
) -> None:
    await fill_the_outbox(heap)
    for cursors, wanted in (
        ({}, 8 + 20 + 50),
        ({"changes": (5, 8), "state": (5, 8)}, 4 + 20 + 50),
        ({"changes": (6, 7), "state": (5, 4)}, 6 + 20 + 50),
        ({"changes": (5, 4), "state": (5, 6)}, 6 + 20 + 50),
        ({"changes": (5, 6), "state": (6, 1)}, 5 + 20 + 50),
        ({"changes": (6, 7), "state": (6, 5), "dead_letters": (6, 17)}, 1 + 1 + 50),
        ({"changes": (6, 7), "state": (6, 7), "commands": (5, 50)}, 20 + 25),
        (dict.fromkeys(CURSORS, (6, 99)), 0),
    ):
        await move_cursors(heap, **dict.fromkeys(CURSORS, (0, 0)) | cursors)
        (counts,) = await fetch(heap, "read_counts")
        (queues,) = await heap.fetch(statement("ops.console", "read_queues"), 99)
        assert (counts["outbox"], queues["outbox"]) == (wanted, wanted), cursors
    await move_cursors(heap, **dict.fromkeys(CURSORS, (0, 0)))
    (bounded,) = await heap.fetch(statement("ops.console", "read_queues"), 3)
    assert (bounded["outbox"], bounded["spool"]) == (9, 2)
    assert (counts["payments"], counts["ledger"], counts["spool"], counts["dead_letters_open"]) == (1, 11, 2, 15)


async def test_a_flag_counts_where_live_money_stands(heap: asyncpg.Connection[Any]) -> None:
    flagged = {"flags": ["paid_again"], "flagged_at": MOMENT}
    early = {"flagged_at": MOMENT - DAY}
    for columns in (flagged, {"flags": ["paid_again"], "flagged_at": MOMENT + DAY}, {}, {}):
        await add(heap, "payments", **columns)
    await add(heap, "payments", livemode=False, **flagged | early)
    other = await add(heap, "payments")
    for _ in range(5):
        await add(heap, "payments", merged_into=other, **flagged | early)
    for letter, notes in ((1, 2), (2, 1)):
        await add(heap, "dead_letters", id=letter, event_type=f"{letter}")
        for _ in range(notes):
            note = {"reason": "conflict", "source": "stripe", "event_type": f"{letter}", "note": "why"}
            until = MOMENT + 4000 * DAY
            await add(heap, "dead_letter_notes", **note, author="alice", made_at=MOMENT, silent_until=until)
    await add(heap, "parked_events")
    spooled = [await add(heap, "spool", id=number, created_at=MOMENT + number * DAY) for number in (8, 7, 9)]
    for number in (2, 3):
        await add(heap, "parked_events", deadline=MOMENT + number * DAY)
    (counts,) = await fetch(heap, "read_counts")
    names = ("payments", "flagged", "parked", "dead_letters_open", "dead_letters_noted")
    assert [counts[name] for name in names] == [11, 2, 3, 2, 2]
    names = ("flagged", "flagged_since", "parked", "parked_until", "spool", "spool_since")
    since = MOMENT, MOMENT + DAY, MOMENT + min(spooled) * DAY
    for rows, many in ((9, (2, 3, 3)), (1, (1, 1, 1))):
        (queues,) = await heap.fetch(statement("ops.console", "read_queues"), rows)
        shown = [queues[name] for name in names]
        assert (tuple(shown[::2]), tuple(shown[1::2])) == (many, since)


async def test_what_keeps_commits_is_read_and_nothing_else(heap: asyncpg.Connection[Any]) -> None:
    found = await fetch(heap, "read_durability")
    assert dict(map(tuple, found)) == dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "on")


async def test_a_standstill_shows_once_it_is_long_enough(heap: asyncpg.Connection[Any]) -> None:
    await add(heap, "parked_events")
    clock = "update parking_clock set moved_at = clock_timestamp() - $1::interval, waits_for = 'Kafka'"
    await heap.execute(clock, 2 * HOUR)
    assert await fetch(heap, "read_parking_clock", 3 * HOUR) == []
    (found,) = await fetch(heap, "read_parking_clock", HOUR)
    assert (found["waits_for"], found["parked"]) == ("Kafka", 1)
    assert 7200 <= found["seconds"] < 7260


async def test_a_payment_is_found_by_each_name_of_its_own_and_where_it_went(heap: asyncpg.Connection[Any]) -> None:
    for payment_id, client, age in ((SECOND, None, 0), (FIRST, None, 0), (THIRD, "shop", 9), (FOURTH, None, 1)):
        await add(heap, "payments", id=payment_id, client=client, created_at=MOMENT - age * DAY)
    way = await add(heap, "payments", merged_into=FOURTH)
    merged = await add(heap, "payments", merged_into=way)
    await add(heap, "payment_refs", ref="pi_1", payment_id=FIRST, returning=None)
    await add(heap, "payment_refs", ref="pi_free", payment_id=None, returning=None)
    await add(heap, "payment_refs", ref="pi_merged", payment_id=merged, returning=None)
    for payment_id in (SECOND, THIRD, FOURTH, FIRST):
        await add(heap, "reference_payments", ref="ORDER-1", payment_id=payment_id, returning=None)
    await add(heap, "reference_payments", ref="ORDER-2", payment_id=SECOND, returning=None)
    for asked, rows, wanted in (
        (str(SECOND).upper(), 9, [SECOND]),
        ("pi_1", 9, [FIRST]),
        ("pi_free", 9, []),
        ("pi_merged", 9, [FOURTH]),
        (str(merged), 9, [FOURTH]),
        ("ORDER-2", 9, [SECOND]),
        ("ORDER-1", 9, [THIRD, FOURTH, FIRST, SECOND]),
        ("ORDER-1", 2, [THIRD, FOURTH]),
        ("nothing", 9, []),
    ):
        found = await fetch(heap, "find_payments", asked, rows)
        assert [row["id"] for row in found] == wanted, asked


async def test_payments_are_chosen_by_all_that_is_asked_the_newest_first(heap: asyncpg.Connection[Any]) -> None:
    usual = {"status": "captured", "provider": "stripe", "account": "acct", "livemode": True, "dispute_status": "open"}
    usual |= {"currency": "EUR", "amount": 500, "client": "shop", "reference": "ORDER-1", "created_at": MOMENT}
    others: tuple[dict[str, Any], ...] = (
        {"status": "failed"},
        {"provider": "paypal"},
        {"account": "other"},
        {"livemode": False},
        {"created_at": MOMENT - DAY},
        {"created_at": MOMENT + DAY},
        {"dispute_status": "won"},
        {"currency": "USD"},
        {"amount": 501},
        {"client": "other"},
        {"reference": "ORDER-2"},
        {"client": None, "reference": None, "currency": None, "dispute_status": "none"},
        {},
    )
    order = list(range(len(others)))
    for number in order[::2] + order[1::2]:
        await add(heap, "payments", id=uuid.UUID(int=number), **usual | others[number])
    await add(heap, "payments", id=uuid.UUID(int=99), merged_into=uuid.UUID(int=12), **usual)
    newest = [5, *sorted({*order} - {4, 5}, reverse=True), 4]
    arguments: dict[int, tuple[Any, set[int]]] = {
        0: ("captured", {0}),
        1: ("stripe", {1}),
        2: ("acct", {2}),
        3: (True, {3}),
        4: (MOMENT, {4}),
        5: (MOMENT + DAY, {5}),
        6: (["open", "lost"], {6, 11}),
        7: ("EUR", {7, 11}),
        8: (500, {8}),
        9: ("shop", {9, 11}),
        10: ("ORDER-1", {10, 11}),
    }

    async def chosen(asked: dict[int, Any], rows: int = 99) -> list[int]:
        found = await fetch(heap, "list_payments", *(asked.get(place) for place in range(13)), rows)
        return [row["id"].int for row in found]

    assert await chosen({}) == newest
    assert await chosen({}, 4) == newest[:4]
    assert await chosen({11: MOMENT, 12: uuid.UUID(int=8)}) == newest[newest.index(8) + 1 :]
    for place, (value, left_out) in arguments.items():
        assert await chosen({place: value}) == [one for one in newest if one not in left_out], place
    assert await chosen({place: value for place, (value, _) in arguments.items()}) == [12]


async def test_the_attempts_of_an_intent_are_its_own_in_their_order(heap: asyncpg.Connection[Any]) -> None:
    for payment_id in (FIRST, SECOND):
        await add(heap, "payments", id=payment_id)
    for number, columns in (
        *((14, {}), (13, {}), (12, {"created_at": MOMENT + DAY}), (15, {"created_at": MOMENT - DAY})),
        *((16, {"intent_id": SECOND}), (17, {"merged_into": SECOND})),
    ):
        await add(heap, "payments", id=uuid.UUID(int=number), **{"intent_id": FIRST} | columns)
    for rows, wanted in ((9, [15, 13, 14, 12]), (2, [15, 13])):
        assert [row["id"].int for row in await fetch(heap, "read_attempts", FIRST, rows)] == wanted


async def test_the_history_of_a_payment_has_that_of_all_that_became_it(heap: asyncpg.Connection[Any]) -> None:
    for payment_id, into in ((FIRST, None), (SECOND, FIRST), (THIRD, SECOND), (FOURTH, None)):
        await add(heap, "payments", id=payment_id, merged_into=into)
    for row_id, xid, payment_id in (
        *((4, 6, FIRST), (3, 7, SECOND), (2, 6, THIRD), (1, 9, FIRST), (6, 6, FOURTH), (5, 6, None)),
    ):
        await add(heap, "payment_logs", id=row_id, relay_xid=xid, payment_id=payment_id)
    for rows, wanted in ((9, [2, 4, 3, 1]), (2, [2, 4])):
        assert [row["id"] for row in await fetch(heap, "read_timeline", FIRST, rows)] == wanted


async def test_an_end_is_read_by_the_name_the_merchant_and_the_kind_that_were_asked(
    heap: asyncpg.Connection[Any],
) -> None:
    """Its versions are counted once each, and those of no other payment."""
    await add(heap, "payments", id=FIRST, merchant_account="shop")
    await add(heap, "payments", id=SECOND, merged_into=FIRST)
    await add(heap, "payments", id=THIRD)
    await add(heap, "payments", id=FOURTH)
    name = {"ref": "pi_1", "merchant_account": "shop", "payment_id": SECOND}
    for columns in (
        name,
        name | {"provider": "paypal", "payment_id": THIRD},
        name | {"account": "acct", "payment_id": THIRD},
        name | {"kind": "charge", "payment_id": THIRD},
        name | {"merchant_account": "other", "payment_id": THIRD},
        name | {"ref": "pi_2", "payment_id": THIRD},
        {"kind": "reference", "ref": "ORDER-1", "payment_id": FOURTH},
        {"kind": "reference", "ref": "ORDER-1", "payment_id": THIRD, "merchant_account": "shop"},
    ):
        await add(heap, "payment_refs", returning=None, **columns)
    for payment_id, versions in ((FIRST, (2, 4, 4, None)), (THIRD, (9,)), (FOURTH, (None,))):
        for version in versions:
            await add(heap, "payment_logs", payment_id=payment_id, version=version)
    asked = [["stripe"] * 2, ["pi_1", "ORDER-1"], ["shop"] * 2, ["payment", "reference"]]
    found = await fetch(heap, "read_ends", *asked)
    ends = [(row["ref"], row["id"], row["rows"], row["lowest"], row["highest"]) for row in found]
    assert sorted(ends, key=str) == [("ORDER-1", FOURTH, 0, 0, 0), ("pi_1", FIRST, 2, 2, 4)]
