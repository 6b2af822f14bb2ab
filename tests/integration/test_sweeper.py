"""The sweeper: past its deadline an event is buried, unless somebody wakes it; never both, and never unbounded."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import BatchHarness, batch_harness, records, until_waiting, webhook

from consumer.decode import decoded
from consumer.sweeper import sweep
from consumer.transaction import BatchWriter
from runtime.lease import Lease, PostgresLeases
from runtime.sql import statement
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 60.0


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn, parking={"deadline_seconds": DEADLINE_SECONDS}) as opened:
        opened.clock = Clock()
        yield opened


@pytest.fixture
async def observer(database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


def refund(payment: str, child: str = "r", amount: int = 100) -> Any:
    return webhook("refund.succeeded", payment, child=child, amount=amount)


async def test_events_past_their_deadline_become_letters_byte_for_byte(harness: BatchHarness) -> None:
    await harness.process(records([refund("p"), refund("q", "r2")]))
    parked = (await harness.tables()).parked
    harness.clock.seconds += DEADLINE_SECONDS
    assert await sweep(harness.pool, harness.clock, records_max=10) == 0, "exactly at the deadline it still waits"
    harness.clock.seconds += 1
    assert await sweep(harness.pool, harness.clock, records_max=10) == 2
    tables = await harness.tables()
    assert tables.parked == []
    assert [(row["event_id"], row["reason"], row["status"]) for row in tables.letters] == [
        ("p:refund.succeeded:r", "orphan", "open"),
        ("q:refund.succeeded:r2", "orphan", "open"),
    ]
    kept = ("topic", "partition", "offset", "timestamp_ms", "key", "value", "header_names", "header_values")
    assert [[row[name] for name in kept] for row in tables.letters] == [[row[name] for name in kept] for row in parked]
    assert await harness.fetch("select * from parked_refs") == []


async def test_a_deadline_that_the_watermark_has_not_passed_is_not_over(harness: BatchHarness) -> None:
    """By the clock it is over; records of before it are still unread, and one of them may bring the payment."""
    await harness.process(records([refund("p")]))
    (deadline,) = [row["deadline"] for row in (await harness.tables()).parked]
    harness.clock.seconds += 100 * DEADLINE_SECONDS
    moment = dt.timedelta(milliseconds=1)
    assert await sweep(harness.pool, harness.clock, records_max=10, before=deadline - moment) == 0
    assert len((await harness.tables()).parked) == 1
    assert await sweep(harness.pool, harness.clock, records_max=10, before=deadline + moment) == 1


async def test_one_sweep_is_bounded_and_the_next_goes_on(harness: BatchHarness) -> None:
    await harness.process(records([refund(f"p{number}") for number in range(25)]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    assert [await sweep(harness.pool, harness.clock, records_max=10) for _ in range(4)] == [10, 10, 5, 0]
    tables = await harness.tables()
    assert (len(tables.letters), len(tables.parked)) == (25, 0)


async def test_one_sweep_is_bounded_in_bytes_too(harness: BatchHarness) -> None:
    """Blanks, which Postgres keeps in a hundredth of their size: the bound is on what they come to in memory."""
    events = [refund(f"p{number}") for number in range(7)]
    await harness.process(records([one._replace(value=one.value + b" " * 50_000) for one in events]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    taken = [await sweep(harness.pool, harness.clock, records_max=10, bytes_max=120_000) for _ in range(4)]
    assert taken == [3, 3, 1, 0], "the event that passes the bound is the last one"


async def test_two_sweepers_at_once_bury_each_event_once(harness: BatchHarness) -> None:
    await harness.process(records([refund(f"p{number}") for number in range(20)]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    counts = await asyncio.gather(*(sweep(harness.pool, harness.clock, records_max=50) for _ in range(4)))
    assert sum(counts) == len((await harness.tables()).letters) == 20


async def test_a_sweeper_that_lost_its_lease_buries_nothing(harness: BatchHarness) -> None:
    await harness.process(records([refund("p")]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    leases = PostgresLeases(harness.pool)
    valid = await leases.acquire("sweeper", "successor", 60)
    assert valid is not None
    for lost in (Lease("sweeper", "successor", valid.token - 1), Lease("sweeper", "former", valid.token)):
        with pytest.raises(LeaseLostError):
            await sweep(harness.pool, harness.clock, records_max=10, lease=lost)
    tables = await harness.tables()
    assert (len(tables.parked), tables.letters) == (1, [])
    assert await sweep(harness.pool, harness.clock, records_max=10, lease=valid) == 1


async def test_an_event_whose_deadline_is_lengthened_while_its_names_are_waited_for_stays(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    """The deadline that counts is the one that stands when the names are the sweeper's."""
    await harness.process(records([refund("p"), refund("q", "r2")]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    async with harness.pool.acquire() as connection, connection.transaction():
        await connection.execute("select from payment_refs for no key update")
        sweeping = asyncio.create_task(sweep(harness.pool, harness.clock, records_max=10))
        await until_waiting(observer)
        await observer.execute(
            "update parked_events set deadline = deadline + interval '1 hour' where event_id like 'p:%'"
        )
    assert await sweeping == 1
    tables = await harness.tables()
    assert [row["event_id"] for row in tables.parked] == ["p:refund.succeeded:r"]
    assert [row["event_id"] for row in tables.letters] == ["q:refund.succeeded:r2"]


async def test_a_wake_up_that_holds_the_names_wins_over_the_sweeper(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    await harness.process(records([refund("p")]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    written, release = asyncio.Event(), asyncio.Event()

    class Held(BatchWriter):
        async def _write(self, *arguments: Any) -> None:
            await super()._write(*arguments)
            written.set()
            await release.wait()

    batch = [decoded(record) for record in records([webhook("payment.captured", "p", child="c")], first=1)]
    waking = asyncio.create_task(Held(harness.pool, harness.settings, harness.clock).process(batch))
    await written.wait()
    sweeping = asyncio.create_task(sweep(harness.pool, harness.clock, records_max=10))
    await until_waiting(observer)
    release.set()
    await waking
    assert await sweeping == 0
    tables = await harness.tables()
    assert (tables.letters, tables.parked, tables.payments[0]["refunded"]) == ([], [], 100)


async def test_a_sweeper_that_holds_the_names_wins_over_the_wake_up(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    """The sweeper is stopped on the payment's name; whoever comes after it finds the letter, and applies that."""
    await harness.process(records([refund("p")]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    gate = observer.transaction()
    await gate.start()
    await observer.execute("lock table dead_letters in share mode")
    witness = await asyncpg.connect(harness.settings.postgres.dsn.get_secret_value())  # type: ignore[union-attr]
    sweeping = asyncio.create_task(sweep(harness.pool, harness.clock, records_max=10))
    await until_waiting(witness)
    waking = asyncio.create_task(harness.process(records([webhook("payment.captured", "p", child="c")], first=1)))
    await until_waiting(witness, 2)
    await gate.commit()
    assert await sweeping == 1
    await waking
    await witness.close()
    tables = await harness.tables()
    assert [(row["reason"], row["status"]) for row in tables.letters] == [("orphan", "applied")]
    assert (tables.parked, tables.payments[0]["refunded"], len(tables.ledger)) == ([], 100, 2)


async def test_a_buried_event_that_comes_again_is_processed(harness: BatchHarness) -> None:
    await harness.process(records([refund("p")]))
    harness.clock.seconds += DEADLINE_SECONDS + 1
    await sweep(harness.pool, harness.clock, records_max=10)
    await harness.process(records([webhook("payment.captured", "p", child="c"), refund("p")], first=1))
    tables = await harness.tables()
    assert (tables.payments[0]["refunded"], len(tables.ledger), len(tables.letters)) == (100, 2, 1)


MOMENT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
SIZE = (
    "select octet_length(key) + octet_length(value) + octet_length(array_send(header_names)) "
    "+ octet_length(array_send(header_values)) from parked_events where id = $1"
)


async def overdue(harness: BatchHarness, *seconds: float) -> list[int]:
    """Park events that are so long overdue at the moment; return their ids."""
    await harness.process(records([refund(f"p{number}") for number in range(len(seconds))]))
    ids = [row["id"] for row in await harness.fetch("select id from parked_events order by id")]
    await harness.pool.executemany(
        "update parked_events set parked_at = '2026-01-01', deadline = $2 where id = $1",
        [(one, MOMENT - dt.timedelta(seconds=late)) for one, late in zip(ids, seconds, strict=True)],
    )
    return ids


async def test_the_longest_overdue_are_found_first(harness: BatchHarness) -> None:
    first, second, third, *_ = ids = await overdue(harness, 1, 3, 2, 0)
    sql, many = statement("consumer", "find_expired"), 1 << 30

    async def found(events: int, size: int) -> set[int]:
        return {row["id"] for row in await harness.fetch(sql, MOMENT, events, size)}

    assert await found(10, many) == {first, second, third}, "what is due at that very moment is not over"
    assert await found(2, many) == {second, third}
    assert await found(10, 1) == {second}
    size = await harness.pool.fetchval(SIZE, second)
    assert await found(10, size) == {second}, "the next one would begin where the bound is"
    assert await found(10, size + 1) == {second, third}
    await harness.pool.execute("update parked_events set deadline = $1", MOMENT - dt.timedelta(seconds=1))
    assert await found(10, 1) == {ids[0]}, "of one deadline the first that was parked"
    await harness.pool.execute("update parked_events set key = null, value = null where id = $1", first)
    await harness.pool.execute("delete from parked_refs where parked_id = $1", first)
    small = await harness.pool.fetchval(SIZE.replace("octet_length(key) + octet_length(value) +", ""), first)
    assert (await found(10, small), await found(10, small + 1)) == ({first}, {first, second})
    names = [row["ref"] for row in await harness.fetch(sql, MOMENT, 10, many) if row["id"] == first]
    assert names == [None], "one that waits on nothing is found as well"


async def test_what_was_put_off_or_is_about_to_be_woken_is_not_taken_out(harness: BatchHarness) -> None:
    """Between finding and taking somebody may lengthen a deadline, or bind a name."""
    due, woken, taken = await overdue(harness, 0, 5, 5)
    await harness.pool.execute(
        "insert into wake_marks (provider, account, merchant_account, livemode, kind, ref) "
        "select provider, account, merchant_account, livemode, kind, ref from parked_refs where parked_id = $1",
        woken,
    )
    sql = statement("consumer", "take_expired")
    assert await harness.fetch(sql, [], MOMENT) == []
    assert [row["id"] for row in await harness.fetch(sql, [due, woken, taken], MOMENT)] == [taken]
    assert {row["id"] for row in (await harness.tables()).parked} == {due, woken}
