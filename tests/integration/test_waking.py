"""Who waits is woken: by marks that outlive a crash, in transactions of their own, and at nobody's cost."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import BatchHarness, Event, batch_harness, broken_chains, intent, intent_records, records, webhook
from msgspec.structs import replace
from structlog.testing import capture_logs

from consumer import locking_reader, planner, transaction
from consumer.caught_up import Reading
from consumer.decode import Event as Decoded
from consumer.decode import decode, decoded
from consumer.poison import PoisonRun
from consumer.sweeper import Sweeper, sweep, wake_all
from consumer.transaction import BatchWriter
from consumer.verdict import decide
from consumer.waking import TURNS_MAX
from runtime.refusals import PASSING
from schemas.facts import Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from conftest import Database

    from consumer.plan import Plan
    from consumer.verdict import Dead
    from schemas.record import Record

pytestmark = pytest.mark.integration
TRIPS = 666
"""The amount of the event over which the fold trips."""


@pytest.fixture
async def harness(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BatchHarness]:
    """Give a writer for which `a+b` names the payments a and b, and over one amount of which the fold trips."""

    def naming(record: Record, endpoints: Any) -> Any:
        item = decode(record, endpoints)
        if not isinstance(item, Decoded) or not item.meaning.provider_ref or "+" not in item.meaning.provider_ref:
            return item
        names = item.meaning.provider_ref.split("+")
        refs = tuple(Ref(RefKind.PAYMENT, name) for name in names)
        return replace(item, meaning=replace(item.meaning, refs=refs, provider_ref=names[0]))

    def tripping(payment: Any, meaning: Any, **limits: Any) -> Any:
        if meaning.amount == TRIPS:
            raise ZeroDivisionError
        return decide(payment, meaning, **limits)

    monkeypatch.setattr(transaction, "decode", naming)
    monkeypatch.setattr(locking_reader, "decode", naming)
    monkeypatch.setattr(planner, "decode", naming)
    monkeypatch.setattr("consumer.decode.decode", naming)
    monkeypatch.setattr(planner, "decide", tripping)
    async with batch_harness(database.dsn) as opened:
        yield opened


def refund(payment: str, child: str, amount: int = 100) -> Event:
    return webhook("refund.succeeded", payment, child=child, amount=amount)


CAPTURE = webhook("payment.captured", "p", child="c")


async def process_one_by_one(harness: BatchHarness, *events: Event) -> list[Plan]:
    plans = []
    with capture_logs() as lines:
        for first, event in enumerate(events):
            plans += await harness.process(records([event], first=first))
    return plans + await what_an_outage_put_off(harness, lines)


async def what_an_outage_put_off(harness: BatchHarness, lines: list[Any]) -> list[Plan]:
    """Do what the sweeper does where a server under load let a batch wait for too long; nothing else is left to it."""
    put_off = [line for line in lines if line["event"] == "waking_put_off"]
    assert all(line["failure"] in PASSING or line["error"] == "UnavailableError" for line in put_off)
    plans = []
    while put_off and await marks(harness):
        with contextlib.suppress(TimeoutError, OSError):
            plans += [plan for plan in [await harness.writer.waker.turn()] if plan is not None]
    return plans


async def marks(harness: BatchHarness) -> int:
    return int(await harness.pool.fetchval("select count(*) from wake_marks"))


async def all_processed(now: float) -> Reading:
    """Stand for a Kafka of which everything is processed."""
    return Reading(now)


async def test_what_waits_on_a_survivor_reached_through_a_woken_event_is_woken(harness: BatchHarness) -> None:
    """The second refund names the payment and, so only it tells, what the first one waits for."""
    await process_one_by_one(harness, refund("q", "r1", 20), refund("p+q", "r2", 30), CAPTURE)
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 50)]
    assert (tables.parked, tables.letters, await marks(harness)) == ([], [], 0)
    assert broken_chains(tables) == []


async def test_what_only_a_woken_event_tells_puts_its_payment_under_the_order(harness: BatchHarness) -> None:
    """It waited on the payment alone; its reference, on which nothing waits, is locked and worked out all the same."""
    await harness.process(intent_records([intent(uuid.uuid4(), reference="ORD", amount=1000)]))
    await process_one_by_one(harness, webhook("refund.succeeded", "p", child="r", amount=100, reference="ORD"), CAPTURE)
    tables = await harness.tables()
    (order,) = [row for row in tables.payments if row["client"] is not None]
    assert (order["captured"], order["refunded"]) == (1000, 100)
    assert tables.parked == tables.letters == []


async def test_a_name_that_a_merge_did_not_tell_of_leads_to_the_survivor(harness: BatchHarness) -> None:
    """Of the one that gave way only the names of the event that showed it are bound anew; others are followed."""
    await process_one_by_one(
        harness,
        webhook("payment.captured", "a", child="c"),
        webhook("payment.captured", "b+d", child="c"),
        webhook("payment.authorized", "a+b", child="x"),
        refund("d", "r", 30),
    )
    tables = await harness.tables()
    alive = [row for row in tables.payments if row["merged_into"] is None]
    assert [(row["captured"], row["refunded"]) for row in alive] == [(1000, 30)]
    assert tables.parked == tables.letters == []
    assert broken_chains(tables) == []


async def test_a_bad_parked_event_is_a_letter_and_its_neighbours_wake(harness: BatchHarness) -> None:
    waiting = [refund("p", "r1"), refund("p", "bad", TRIPS), refund("p", "r2"), refund("p", "r3")]
    plans = await process_one_by_one(harness, *waiting, CAPTURE)
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 300)]
    assert [(row["event_id"], row["reason"], row["value"]) for row in tables.letters] == [
        ("p:refund.succeeded:bad", "unexpected", waiting[1].value)
    ]
    assert (tables.parked, await marks(harness)) == ([], 0)
    assert [letter.reason for plan in plans for letter in plan.letters] == ["unexpected"], "counted and logged"
    assert sum(len(plan.woken) for plan in plans) == 4


async def test_a_failing_wake_up_makes_no_letter_of_what_is_processed(harness: BatchHarness) -> None:
    """The bad one is reached through a woken event; no run of bad records may halt the partition for it either."""
    processor = harness.processor()
    processor._poison = PoisonRun(0)
    waiting = records([refund("q", "bad", TRIPS), refund("p+q", "r2", 30)])
    with capture_logs() as lines:
        await processor.write([decoded(record) for record in waiting])
        await processor.write([decoded(record) for record in records([CAPTURE], first=2)])
    await what_an_outage_put_off(harness, lines)
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 30)]
    assert [row["event_id"] for row in tables.letters] == ["q:refund.succeeded:bad"]
    assert not {row["event_id"] for row in tables.letters} & {row["event_id"] for row in tables.ledger}


class FailingWriter(BatchWriter):
    """A writer whose database is away whenever it would wake somebody."""

    async def process_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        raise ConnectionRefusedError


@pytest.mark.parametrize("late", [False, True], ids=["in time", "past the deadline"])
async def test_the_sweeper_wakes_whom_a_crash_or_an_outage_left(harness: BatchHarness, *, late: bool) -> None:
    await process_one_by_one(harness, refund("p", "r1"), refund("p", "bad", TRIPS))
    writer = FailingWriter(harness.pool, harness.settings, harness.clock)
    (plan,) = await harness.processor(writer.process).write([decoded(one) for one in records([CAPTURE], first=2)])
    tables = await harness.tables()
    assert (len(plan.rows), len(tables.ledger), len(tables.parked), tables.letters) == (1, 1, 2, [])
    assert await marks(harness) == 1, "what is to be woken is known after a crash"
    if late:
        await harness.pool.execute(
            "update parked_events set parked_at = now() - '9 days'::interval, deadline = parked_at"
        )
    sweeper = Sweeper(harness.pool, harness.clock, harness.writer.waker, all_processed, harness.settings.parking)
    assert await sweeper.turn(None, asyncio.Event()) == 0
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 100)]
    assert [row["reason"] for row in tables.letters] == ["unexpected"]
    assert (tables.parked, await marks(harness)) == ([], 0)
    assert broken_chains(tables) == []


async def test_what_is_about_to_be_woken_is_not_buried(harness: BatchHarness) -> None:
    """Two at once: one that woke lost its lease after it had read that nothing is marked."""
    await process_one_by_one(harness, refund("p", "r1"))
    await harness.pool.execute("update parked_events set parked_at = now() - '99 days'::interval, deadline = parked_at")
    writer = FailingWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([CAPTURE], first=2)])
    assert await sweep(harness.pool, harness.clock, records_max=10) == 0
    assert await wake_all(harness.writer.waker, asyncio.Event()) == 1
    tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], tables.letters) == ([100], [])


async def test_an_outage_while_waking_is_waited_for_and_marks_stay(harness: BatchHarness) -> None:
    await process_one_by_one(harness, refund("p", "r1"), CAPTURE)
    await process_one_by_one(harness, refund("q", "r2"))
    writer = FailingWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([webhook("payment.captured", "q", child="c")], first=9)])
    with pytest.raises(ConnectionRefusedError):
        await wake_all(writer.waker, asyncio.Event())
    assert (await marks(harness), (await harness.tables()).letters) == (1, [])


class RefusedWriter(BatchWriter):
    """A writer of which Postgres takes no parked event, not even as a dead letter."""

    async def process_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        raise asyncpg.DataError


async def test_one_that_can_not_even_be_buried_waits_on_and_holds_up_nobody(harness: BatchHarness) -> None:
    await process_one_by_one(harness, refund("p", "r1"), refund("p", "r2"))
    writer = RefusedWriter(harness.pool, harness.settings, harness.clock)
    (plan,) = await harness.processor(writer.process).write([decoded(one) for one in records([CAPTURE], first=2)])
    tables = await harness.tables()
    assert (len(plan.rows), plan.letters, len(tables.parked), tables.letters, await marks(harness)) == (1, [], 2, [], 0)


async def test_what_a_batch_has_no_turns_for_the_sweeper_wakes(database: Database) -> None:
    waiting = 10 * TURNS_MAX + 5
    async with batch_harness(database.dsn, batch_records_max=10) as harness:
        await harness.process(records([refund("p", f"r{number}", 1) for number in range(waiting)]))
        await harness.process(records([CAPTURE], first=waiting))
        assert (len((await harness.tables()).parked), await marks(harness)) == (5, 1)
        assert await wake_all(harness.writer.waker, asyncio.Event()) == 5
        tables = await harness.tables()
        assert ([row["refunded"] for row in tables.payments], tables.parked, await marks(harness)) == ([waiting], [], 0)


async def test_two_who_wake_the_same_at_once_process_it_once(harness: BatchHarness) -> None:
    await harness.process(records([refund("p", f"r{number}", 1) for number in range(50)]))
    writer = FailingWriter(harness.pool, harness.settings, harness.clock)
    await writer.process([decoded(one) for one in records([CAPTURE], first=50)])
    await asyncio.gather(*(wake_all(harness.writer.waker, asyncio.Event()) for _ in range(3)))
    tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], len(tables.ledger), tables.parked) == ([50], 51, [])
    assert broken_chains(tables) == []


async def test_a_copy_processed_under_other_names_buries_the_parked_one(harness: BatchHarness) -> None:
    """Two transactions at once, of which one parks and one processes an event id: neither sees the other."""
    copied = webhook("refund.succeeded", "other", child="r", amount=5, event_id="same")
    waits = webhook("refund.succeeded", "p", child="r", amount=5, event_id="same")
    await process_one_by_one(harness, waits, refund("p", "r2"))
    await harness.pool.execute("update parked_events set event_id = 'hidden' where event_id = 'same'")
    await harness.process(records([webhook("payment.captured", "other", child="c"), copied], first=10))
    await harness.pool.execute("update parked_events set event_id = 'same' where event_id = 'hidden'")
    (plan,) = await harness.process(records([CAPTURE], first=20))
    tables = await harness.tables()
    assert sorted((row["provider_ref"], row["captured"], row["refunded"]) for row in tables.payments) == [
        ("other", 1000, 5),
        ("p", 1000, 100),
    ]
    assert [(row["event_id"], row["reason"]) for row in tables.letters] == [("same", "conflict")]
    assert (tables.parked, len(plan.letters)) == ([], 1)


@pytest.mark.slow
async def test_one_more_waiting_event_costs_the_same_with_1_and_with_10_000_waiting(harness: BatchHarness) -> None:
    """Both are measured in turn, so that what else the machine does slows both down."""

    async def cost(payment: str, number: int) -> float:
        """Return the milliseconds that one more event takes which waits for this payment."""
        began = time.perf_counter()
        await harness.process(records([refund(payment, f"r{number}", 1)], first=number))
        return (time.perf_counter() - began) * 1000

    for first in range(1000, 11_000, 2000):
        await harness.process(
            records([refund("p", f"r{number}", 1) for number in range(first, first + 2000)], first=first)
        )
    costs = [(await cost("q", number), await cost("p", number + 1000)) for number in range(20_000, 20_021)]
    few, many = (min(times) for times in zip(*costs, strict=True))
    assert many < 3 * few, f"{few:.1f} ms with few waiting, {many:.1f} ms with 10,000"


class WeighedWriter(BatchWriter):
    """A writer that notes how many bytes of values each transaction that wakes takes at once."""

    def __init__(self, harness: BatchHarness) -> None:
        super().__init__(harness.pool, harness.settings, harness.clock)
        self.sizes: list[int] = []

    async def _weigh(self, table: str, ids: Sequence[int]) -> None:
        query = f"select sum(octet_length(value)) from {table} where id = any($1::bigint[])"
        self.sizes.append(int(await self._pool.fetchval(query, ids)))

    async def process_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        await self._weigh("parked_events", parked_ids)
        return await super().process_parked(parked_ids, dead)

    async def apply_letters(self, letter_ids: Sequence[int]) -> Plan:
        await self._weigh("dead_letters", letter_ids)
        return await super().apply_letters(letter_ids)


@pytest.mark.parametrize("late", [False, True], ids=["parked events", "dead letters of orphans"])
async def test_what_is_woken_at_once_is_bounded_in_bytes(database: Database, *, late: bool) -> None:
    """Blanks, which Postgres keeps in a hundredth of their size: the bound is on what they come to in memory."""
    blanks, bound, waiting = 20_000, 100_000, 40
    async with batch_harness(database.dsn, batch_bytes_max=bound) as harness:
        events = [refund("p", f"r{number}", 1) for number in range(waiting)]
        large = events[7]._replace(value=events[7].value + b" " * 3 * bound)
        padded = [one._replace(value=one.value + b" " * blanks) for one in events]
        await harness.process(records([*padded[:7], large, *padded[8:]]))
        if late:
            expire = "update parked_events set parked_at = now() - '9 days'::interval, deadline = parked_at"
            await harness.pool.execute(expire)
            while await sweep(harness.pool, harness.clock, records_max=100):
                pass
        writer = WeighedWriter(harness)
        await harness.processor(writer.process).write([decoded(one) for one in records([CAPTURE], first=99)])
        tables = await harness.tables()
    assert ([row["refunded"] for row in tables.payments], tables.parked) == ([waiting], [])
    assert {row["status"] for row in tables.letters} <= {"applied"}
    assert [size for size in writer.sizes if size > bound] == [len(large.value)], "one always fits"
    assert len(writer.sizes) < waiting / 3, "and several that fit go together"


async def test_of_what_was_buried_while_waking_no_bytes_are_held(harness: BatchHarness) -> None:
    await process_one_by_one(harness, refund("p", "bad", TRIPS), refund("p", "bad too", TRIPS))
    with capture_logs() as lines:
        (plan,) = await harness.process(records([CAPTURE], first=9))
    for more in await what_an_outage_put_off(harness, lines):
        plan.letters += more.letters
    assert [(one.reason, one.record.offset, one.record.value) for one in plan.letters] == [
        ("unexpected", 0, None),
        ("unexpected", 1, None),
    ]
