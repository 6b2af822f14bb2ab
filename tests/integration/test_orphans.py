"""An orphan whose payment comes after its deadline is applied after all, once, and its dead letter says so."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import BatchHarness, Event, batch_harness, broken_chains, records, until, until_waiting, webhook
from consumer_processes import ConsumerProcesses, consumer_processes
from filled_database import by_heap, undone

from consumer import planner
from consumer.decode import decoded
from consumer.rows import key_of, ref_arrays
from consumer.sweeper import sweep, wake_all
from consumer.transaction import BatchWriter
from consumer.verdict import decide
from ops import redrives
from ops.redrives import LetterFilter, RedriveRequest
from runtime.sql import statement
from schemas.record import Attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from conftest import Database

    from consumer.plan import Plan
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 60.0
SHORT = {"deadline_seconds": 2, "standstill_seconds_min": 1, "sweep_interval_seconds": 0.2}
TRIPS = 666
"""The amount of the event over which the fold trips."""


class Clock:
    """A clock that the test moves."""

    seconds = 1_790_000_000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
async def harness(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BatchHarness]:
    """Give a writer over one amount of which the fold trips."""

    def tripping(payment: Any, meaning: Any, **limits: Any) -> Any:
        if meaning.amount == TRIPS:
            raise ZeroDivisionError
        return decide(payment, meaning, **limits)

    monkeypatch.setattr(planner, "decide", tripping)
    async with batch_harness(database.dsn, parking={"deadline_seconds": DEADLINE_SECONDS}) as opened:
        opened.clock = Clock()
        yield opened


def refund(payment: str, child: str = "r", amount: int = 100) -> Event:
    return webhook("refund.succeeded", payment, child=child, amount=amount)


def capture(payment: str) -> Event:
    return webhook("payment.captured", payment, child=f"{payment}-c")


async def bury(harness: BatchHarness, *events: Event) -> None:
    """Let these events wait in vain."""
    await harness.process(records(events))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    assert await sweep(harness.pool, harness.clock, records_max=1000) == len(events)


async def statuses(harness: BatchHarness) -> list[tuple[str, str, str]]:
    return [(row["event_id"], row["reason"], row["status"]) for row in (await harness.tables()).letters]


async def left_waiting(harness: BatchHarness) -> tuple[int, int]:
    """Return how many marks and how many names of orphans are left."""
    marks, names = "select count(*) from wake_marks", "select count(*) from orphan_refs"
    return int(await harness.pool.fetchval(marks)), int(await harness.pool.fetchval(names))


async def test_the_letter_of_an_orphan_is_applied_when_its_payment_comes(harness: BatchHarness) -> None:
    await bury(harness, refund("p"), refund("q"))
    (before, _) = (await harness.tables()).letters
    (plan,) = await harness.process(records([capture("p")], first=9))
    tables = await harness.tables()
    assert await statuses(harness) == [
        ("p:refund.succeeded:r", "orphan", "applied"),
        ("q:refund.succeeded:r", "orphan", "open"),
    ]
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 100)]
    assert [(row["event_id"], row["offset"]) for row in tables.ledger] == [
        ("p:payment.captured:p-c", 9),
        ("p:refund.succeeded:r", before["offset"]),
    ]
    assert tables.letters[0] == before | {"status": "applied"}, "the letter keeps its bytes"
    assert (len(plan.applied), await left_waiting(harness), broken_chains(tables)) == (1, (0, 1), [])


async def test_an_orphan_is_applied_by_one_of_two_concurrent_batches_only(harness: BatchHarness) -> None:
    await bury(harness, *(refund("p", f"r{number}", 1) for number in range(50)))
    writer = PutOffWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([capture("p")], first=99)])
    plans = await asyncio.gather(
        *(harness.process(records([capture("p")], first=100 + n)) for n in range(3)),
        *(wake_all(harness.writer.waker, asyncio.Event()) for _ in range(3)),
    )
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 50)]
    assert (len(tables.ledger), {status for *_, status in await statuses(harness)}) == (51, {"applied"})
    assert sum(count for count in plans if isinstance(count, int)) == 50
    assert (await left_waiting(harness), broken_chains(tables)) == ((0, 0), [])


class PutOffWriter(BatchWriter):
    """A writer that is killed, or whose database goes away, whenever it would apply a letter."""

    async def apply_letters(self, letter_ids: Sequence[int]) -> Plan:
        raise ConnectionRefusedError


async def test_the_sweeper_applies_what_a_kill_between_left(harness: BatchHarness) -> None:
    await bury(harness, refund("p"))
    writer = PutOffWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([capture("p")], first=9)])
    assert (await statuses(harness), await left_waiting(harness)) == (
        [("p:refund.succeeded:r", "orphan", "open")],
        (1, 1),
    )
    assert await wake_all(harness.writer.waker, asyncio.Event()) == 1
    assert (await statuses(harness), await left_waiting(harness)) == (
        [("p:refund.succeeded:r", "orphan", "applied")],
        (0, 0),
    )
    assert [row["refunded"] for row in (await harness.tables()).payments] == [100]


async def test_one_that_can_not_be_applied_stays_a_letter_and_its_neighbours_are_applied(harness: BatchHarness) -> None:
    await bury(harness, refund("p", "r1"), refund("p", "bad", TRIPS), refund("p", "r2"))
    await harness.process(records([capture("p")], first=9))
    assert await statuses(harness) == [
        ("p:refund.succeeded:r1", "orphan", "applied"),
        ("p:refund.succeeded:bad", "orphan", "open"),
        ("p:refund.succeeded:r2", "orphan", "applied"),
    ]
    assert [row["refunded"] for row in (await harness.tables()).payments] == [200]
    assert (await left_waiting(harness))[0] == 0, "it is tried again when another of its names is bound, not for ever"


async def test_a_name_that_is_bound_anew_wakes_its_orphans_from_the_first(harness: BatchHarness) -> None:
    """Waking had come past them when the name got another payment: what could not be applied may be now."""
    await bury(harness, refund("p", "r1"), refund("p", "r2"))
    writer = PutOffWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([capture("p")], first=9)])
    name = key_of(await harness.pool.fetchrow("select * from wake_marks"))
    last = await harness.pool.fetchval("select max(id) from dead_letters")
    await harness.pool.execute("update wake_marks set after_id = $1, after_letter_id = $1", last)
    await harness.pool.execute(statement("consumer", "mark_bound"), *ref_arrays([name]))
    assert await wake_all(harness.writer.waker, asyncio.Event()) == 2
    assert [row["refunded"] for row in (await harness.tables()).payments] == [200]


async def test_more_orphans_than_a_part_takes_are_all_applied(database: Database) -> None:
    async with batch_harness(
        database.dsn, batch_records_max=10, parking={"deadline_seconds": DEADLINE_SECONDS}
    ) as harness:
        harness.clock = Clock()
        for first in (0, 10):
            await harness.process(records([refund("p", f"r{n}", 1) for n in range(first, first + 10)], first=first))
        harness.clock.seconds += DEADLINE_SECONDS + 1
        assert await sweep(harness.pool, harness.clock, records_max=1000) == 20
        await harness.process(records([refund("p", f"w{n}", 1) for n in range(5)], first=50))
        await harness.process(records([capture("p")], first=99))
        tables = await harness.tables()
        assert [row["refunded"] for row in tables.payments] == [25]
        assert ({row["status"] for row in tables.letters}, tables.parked) == ({"applied"}, [])


async def test_an_orphan_that_was_delivered_again_meanwhile_is_applied_once(harness: BatchHarness) -> None:
    """It waits a second time; the one that waits is processed, and the letter has its effect by that."""
    await bury(harness, refund("p"))
    await harness.process(records([refund("p")], first=5))
    assert len((await harness.tables()).parked) == 1
    await harness.process(records([capture("p")], first=9))
    tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], len(tables.ledger), tables.parked) == ([100], 2, [])
    assert await statuses(harness) == [("p:refund.succeeded:r", "orphan", "applied")]


def razorpay(event_id: str, event: str, name: str, **entity: Any) -> Event:
    """Return an event whose id nobody signed."""
    entity |= {"entity": name, "amount": 1000, "currency": "INR", "created_at": 1_790_000_000}
    value = json.dumps({"entity": "event", "event": event, "payload": {name: {"entity": entity}}}).encode()
    headers = Attributes("razorpay", event_id, event, 1_790_000_000.0).to_headers()
    return Event(event_id, b"pay_1", value, headers)


async def test_a_body_that_was_a_letter_first_is_known_under_every_id_once_it_is_processed(
    harness: BatchHarness,
) -> None:
    """The letter is given up; its body comes again, and then as often as anybody likes."""

    def given_back(event_id: str) -> Event:
        return razorpay(event_id, "refund.processed", "refund", id="rfnd_1", payment_id="pay_1", status="processed")

    await bury(harness, given_back("evt_1"))
    await harness.pool.execute("update dead_letters set status = 'discarded'")
    taken = razorpay("evt_0", "payment.captured", "payment", id="pay_1", status="captured", captured=True)
    for place, event in enumerate((taken, given_back("evt_2"), given_back("evt_3"), given_back("evt_4")), 5):
        await harness.process(records([event], first=place))
    assert [row["event_id"] for row in (await harness.tables()).ledger] == ["evt_0", "evt_2"]


async def test_a_letter_whose_event_says_other_facts_in_the_ledger_stays_open(harness: BatchHarness) -> None:
    await bury(harness, refund("p"))
    writer = PutOffWriter(harness.pool, harness.settings, harness.clock)
    other = webhook("refund.succeeded", "p", child="r", amount=70, event_id="p:refund.succeeded:r")
    await writer.process([decoded(one) for one in records([capture("p"), other], first=9)])
    await wake_all(harness.writer.waker, asyncio.Event())
    assert [row["refunded"] for row in (await harness.tables()).payments] == [70]
    assert await statuses(harness) == [("p:refund.succeeded:r", "orphan", "open")]


@pytest.mark.parametrize("status", ["redriven", "discarded"])
async def test_a_letter_that_people_dealt_with_is_left_alone(harness: BatchHarness, status: str) -> None:
    await bury(harness, refund("p"))
    await harness.pool.execute("update dead_letters set status = $1", status)
    await harness.process(records([capture("p")], first=9))
    tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], [row["status"] for row in tables.letters]) == ([0], [status])


async def test_one_that_is_discarded_while_it_is_applied_is_one_or_the_other(harness: BatchHarness) -> None:
    """Whoever holds the letter first wins; the other one finds it closed."""
    await bury(harness, refund("p"))
    async with harness.pool.acquire() as person, harness.pool.acquire() as observer:
        giving_up = person.transaction()
        await giving_up.start()
        await person.execute("update dead_letters set status = 'discarded'")
        applying = asyncio.create_task(harness.process(records([capture("p")], first=9)))
        await until_waiting(observer)
        await giving_up.commit()
        await applying
    tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], [row["status"] for row in tables.letters]) == (
        [0],
        ["discarded"],
    )


async def test_letters_are_locked_in_the_order_of_their_ids(harness: BatchHarness) -> None:
    """However they lie: a redrive locks them so too, and each would wait for the other."""
    await bury(harness, refund("pay-1"), refund("pay-2"))
    first, second = [row["id"] for row in await harness.fetch("select id from dead_letters order by id")]
    async with harness.pool.acquire() as connection, undone(connection):
        await by_heap(connection)
        await connection.execute("update dead_letters set status = status where id = $1", first)  # it lies last now
        found = await connection.fetch(statement("consumer", "lock_letters"), [second, first])
        assert [row["id"] for row in found] == [first, second]


async def test_a_redrive_of_an_applied_letter_refuses_and_says_why(harness: BatchHarness) -> None:
    await bury(harness, refund("p"), refund("q"))
    await harness.process(records([capture("p")], first=9))
    applied, waiting = (row["id"] for row in (await harness.tables()).letters)
    async with harness.pool.acquire() as connection:
        asked = LetterFilter(ids=(applied, waiting, 99))
        seen = await redrives.preview(connection, harness.settings, RedriveRequest(asked, "ann"))
        assert [one.id for one in seen.messages] == [waiting]
        assert [(one.id, one.why) for one in seen.left_out] == [
            (applied, "it was applied already, when its payment came after all"),
            (99, "there is no such dead letter"),
        ]
        started = await redrives.start(
            connection, harness.settings, RedriveRequest(LetterFilter(ids=(applied,)), "ann")
        )
        assert started.redrive_id is None
        given_up = await redrives.discard(connection, LetterFilter(ids=(applied,)), who="ann", because="tidy")
        assert (given_up.ids, [one.id for one in given_up.left_out]) == ((), [applied])
    assert [status for *_, status in await statuses(harness)] == ["applied", "open"]


@pytest.fixture
async def running(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def test_an_orphan_that_the_clock_buried_is_applied_by_the_consumer(running: ConsumerProcesses) -> None:
    child = running.spawn(parking=SHORT)
    await running.publish([refund("p")], partition=0)

    async def buried() -> bool:
        return [row["status"] for row in (await running.tables()).letters] == ["open"]

    await until(buried, "the refund is a dead letter")
    await running.publish([capture("p")], partition=1)

    async def applied() -> bool:
        return [row["status"] for row in (await running.tables()).letters] == ["applied"]

    await until(applied, "the dead letter is applied")
    tables = await running.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 100)]
    assert len(tables.ledger) == 2
    # By the batch that brought the payment, or by the sweeper, where that one looks between its commit and its waking.
    reported = [line for line in child.lines("batch_settled") if line.get("letters_applied")]
    swept = child.lines("parked_woken")
    assert sum(line["letters_applied"] for line in reported) + sum(line["events"] for line in swept) == 1, json.dumps(
        reported
    )


NAME = ("standard_webhooks", "", "", True, "payment", "p")
NEAR = [
    ("stripe", *NAME[1:]),
    (NAME[0], "acct", *NAME[2:]),
    (*NAME[:2], "merchant", *NAME[3:]),
    (*NAME[:3], False, *NAME[4:]),
    (*NAME[:4], "refund", NAME[5]),
    (*NAME[:5], "q"),
]
"""Names that differ from it in one of their six parts."""
PARKED_WAITS = "insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)"
ORPHAN_WAITS = "insert into orphan_refs (provider, account, merchant_account, livemode, kind, ref, letter_id)"


async def two_of_each(harness: BatchHarness) -> tuple[list[int], list[int]]:
    """Make two parked events and two open dead letters of orphans that wait on no name; return their ids."""
    await bury(harness, refund("a"), refund("b"))
    await harness.process(records([refund("c"), refund("d")], first=5))
    await harness.pool.execute("delete from parked_refs")
    await harness.pool.execute("delete from orphan_refs")
    await harness.pool.executemany(
        "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref) "
        "values ($1, $2, $3, $4, $5, $6)",
        [NAME, *NEAR],
    )
    parked, letters = await harness.tables(), await harness.fetch("select id from dead_letters order by id")
    return [row["id"] for row in parked.parked], [row["id"] for row in letters]


async def wait_on(harness: BatchHarness, table: str, names: Sequence[tuple[object, ...]], one: int) -> None:
    await harness.pool.executemany(f"{table} values ($1, $2, $3, $4, $5, $6, $7)", [(*name, one) for name in names])


async def test_a_name_is_marked_where_somebody_waits_on_the_whole_of_it(harness: BatchHarness) -> None:
    ((parked, _), (letter, _)) = await two_of_each(harness)
    await wait_on(harness, PARKED_WAITS, NEAR, parked)
    await wait_on(harness, ORPHAN_WAITS, NEAR, letter)
    sql = statement("consumer", "mark_bound")
    assert await harness.fetch(sql, *ref_arrays([NAME])) == []
    await wait_on(harness, ORPHAN_WAITS, [NAME], letter)
    (first,) = await harness.fetch(sql, *ref_arrays([NAME]))
    await harness.pool.execute("update wake_marks set after_id = 5, after_letter_id = 6, marked_at = 'epoch'")
    await harness.pool.execute("delete from orphan_refs where ref = 'p'")
    await wait_on(harness, PARKED_WAITS, [NAME], parked)
    (again,) = await harness.fetch(sql, *ref_arrays([NAME]))
    assert again["id"] > first["id"], "one who wakes by the former mark may not remove this one"
    (mark,) = await harness.fetch("select *, marked_at > now() - interval '1 hour' as new from wake_marks")
    assert (mark["id"], mark["after_id"], mark["after_letter_id"], mark["new"]) == (again["id"], 0, 0, True)


async def test_who_waits_on_a_marked_name_is_found_part_by_part(harness: BatchHarness) -> None:
    (parked, letters) = await two_of_each(harness)
    for one, other in zip(parked, letters, strict=True):
        await wait_on(harness, PARKED_WAITS, NEAR, one)
        await wait_on(harness, ORPHAN_WAITS, NEAR, other)
    sql = statement("consumer", "find_marked")

    async def found(marks: list[int] | None, rows: int) -> list[tuple[int, int | None, int | None]]:
        rows_found = await harness.fetch(sql, marks, rows)
        return [(row["mark_id"], row["parked_id"], row["letter_id"]) for row in rows_found]

    await wait_on(
        harness,
        "insert into wake_marks (provider, account, merchant_account, livemode, kind, ref, after_id)",
        [NAME],
        0,
    )
    mark = await harness.pool.fetchval("select id from wake_marks")
    (alone,) = await harness.fetch(sql, None, 10)
    assert tuple(alone.values()) == (mark, None, None, 0), "nobody waits on it any more"
    for one, other in zip(reversed(parked), reversed(letters), strict=True):
        await wait_on(harness, PARKED_WAITS, [NAME], one)
        await wait_on(harness, ORPHAN_WAITS, [NAME], other)
    everybody = [(mark, parked[0], None), (mark, parked[1], None), (mark, None, letters[0]), (mark, None, letters[1])]
    assert await found(None, 10) == everybody
    assert await found([mark], 3) == everybody[:3]
    assert await found([mark], 1) == everybody[:1]
    assert await found([mark + 1], 10) == []
    await harness.pool.execute("update wake_marks set after_id = $1, after_letter_id = $2", parked[0], letters[0])
    assert await found([mark], 10) == [everybody[1], everybody[3]]
    await wait_on(
        harness,
        "insert into wake_marks (provider, account, merchant_account, livemode, kind, ref, after_id)",
        [NEAR[5]],
        0,
    )
    assert await found(None, 1) == [everybody[1]], "the oldest mark first"
    assert len(await found(None, 10)) == 2 + 4


async def test_what_one_who_waits_takes_in_memory_is_counted(harness: BatchHarness) -> None:
    ((parked, _), (letter, closed)) = await two_of_each(harness)
    await wait_on(harness, PARKED_WAITS, [NAME], parked)
    await wait_on(harness, ORPHAN_WAITS, [NAME], letter)
    await wait_on(harness, ORPHAN_WAITS, [NAME], closed)
    await harness.fetch(statement("consumer", "mark_bound"), *ref_arrays([NAME]))
    await harness.pool.execute("update dead_letters set status = 'discarded' where id = $1", closed)
    (size,) = {
        await harness.pool.fetchval(
            "select octet_length(key) + octet_length(value) + octet_length(array_send(header_names)) "
            f"+ octet_length(array_send(header_values)) from {table} where id = $1",
            one,
        )
        for table, one in (("parked_events", parked), ("dead_letters", letter))
    }
    found = await harness.fetch(statement("consumer", "find_marked"), None, 10)
    assert [row["bytes"] for row in found] == [size, size, 0], "one that was closed meanwhile is not read"
