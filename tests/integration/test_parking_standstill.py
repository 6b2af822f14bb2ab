"""An outage never dead-letters, also by the clock: deadlines run only while what is waited for could have come."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from consumer_harness import BatchHarness, Event, batch_harness, records, until, webhook
from consumer_processes import ConsumerProcesses, consumer_processes

from consumer.caught_up import Reading
from consumer.parking_clock import tick
from consumer.sweeper import sweep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration
START = 1_790_000_000.0
DEADLINE = 60.0
SHORT = {"deadline_seconds": 4, "standstill_seconds_min": 1, "sweep_interval_seconds": 0.2}


def refund(payment: str) -> Event:
    return webhook("refund.succeeded", payment, child=f"{payment}-r", amount=100)


def capture(payment: str) -> Event:
    return webhook("payment.captured", payment, child=f"{payment}-c")


class Clock:
    seconds = START

    def now(self) -> float:
        return self.seconds


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn, parking={"deadline_seconds": DEADLINE, "lengthen_records_max": 10}) as made:
        made.clock = Clock()
        yield made


async def turn(harness: BatchHarness, reading: Reading) -> int:
    """Do what the sweeper does in one turn."""
    before = await tick(harness.pool, harness.clock.now(), reading, harness.settings.parking)
    return 0 if before is None else await sweep(harness.pool, harness.clock, records_max=100, before=before)


async def test_a_standstill_is_added_to_each_deadline_as_far_as_it_was_waited_through(harness: BatchHarness) -> None:
    await turn(harness, Reading(START))
    await harness.process(records([refund(f"p{number}") for number in range(25)]))
    harness.clock.seconds = START + 3600
    assert await turn(harness, Reading(None, "Kafka does not answer")) == 0
    (shown,) = await harness.fetch("select moved_at, waits_for from parking_clock")
    assert (shown["moved_at"].timestamp(), shown["waits_for"]) == (START, "Kafka does not answer")
    await harness.process(records([refund("late")], first=25))
    harness.clock.seconds = START + 7200
    assert [await turn(harness, Reading(START + 7200)) for _ in range(5)] == [0, 0, 0, 0, 0]
    parked = (await harness.tables()).parked
    added = {(row["deadline"] - row["parked_at"]).total_seconds() - DEADLINE for row in parked[:25]}
    assert (added, parked[25]["deadline"] - parked[25]["parked_at"]) == (
        {7200.0},
        dt.timedelta(seconds=3600 + DEADLINE),
    )
    harness.clock.seconds = START + 7200 + DEADLINE + 1
    await turn(harness, Reading(harness.clock.seconds))
    assert (await harness.tables()).letters == []


async def test_steady_load_buries_at_the_deadline(harness: BatchHarness) -> None:
    await turn(harness, Reading(START))
    await harness.process(records([refund("p")]))
    buried = 0
    for second in range(5, 80, 5):
        harness.clock.seconds = START + second
        buried += await turn(harness, Reading(START + second - 2))
        assert buried == (second - 2 > DEADLINE)


async def test_the_oldest_record_in_the_spool_holds_the_clock(harness: BatchHarness, database: Database) -> None:
    await turn(harness, Reading(START))
    await harness.process(records([refund("p")]))
    for created_at in (START, START + 900):
        await harness.fetch(
            "insert into spool (topic, value, header_names, header_values, created_at)"
            " values ('payments.webhooks', 'x', '{}', '{}', to_timestamp($1))", created_at,
        )  # fmt: skip
    harness.clock.seconds = START + 1000
    assert await turn(harness, Reading(START + 1000)) == 0
    (shown,) = await harness.fetch("select waits_for from parking_clock")
    assert "spool" in shown["waits_for"]


@pytest.fixture
async def running(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def outlive_the_deadline(running: ConsumerProcesses) -> None:
    """Wait until the deadline of all that is parked has passed by twice."""

    async def passed() -> bool:
        query = "select bool_and(clock_timestamp() > parked_at + make_interval(secs => $1)) from parked_events"
        return bool(await running.pool.fetchval(query, 2.0 * SHORT["deadline_seconds"]))

    await until(passed, "the deadline passes")
    assert await running.count("dead_letters") == 0


async def until_refunded(running: ConsumerProcesses) -> None:
    async def applied() -> bool:
        return bool(await running.pool.fetchval("select coalesce(sum(refunded), 0) from payments") == 100)

    await until(applied, "the refund is applied")
    tables = await running.tables()
    assert tables.letters == tables.parked == []


async def parked(running: ConsumerProcesses, count: int = 1) -> None:
    async def there() -> bool:
        return await running.count("parked_events") == count

    await until(there, "the refund is parked")


@pytest.mark.slow
async def test_no_parked_event_is_buried_while_records_older_than_its_deadline_are_unread(
    running: ConsumerProcesses,
) -> None:
    """Consumers stopped for longer than the deadline; the capture waits in the topic behind a backlog."""
    child = running.spawn(parking=SHORT)
    await running.publish([refund("p")], partition=0)
    await parked(running)
    assert await child.terminate() == 0
    await running.publish([*(webhook("payment.created", f"b{n}") for n in range(500)), capture("p")], partition=0)
    await outlive_the_deadline(running)
    running.spawn(parking=SHORT, limits={"batch_records_max": 10, "batches_in_flight_max": 1})
    await until_refunded(running)


@pytest.mark.slow
async def test_no_parked_event_is_buried_behind_an_open_transaction(running: ConsumerProcesses) -> None:
    running.spawn(parking=SHORT)
    producer = AIOKafkaProducer(bootstrap_servers=running.kafka, transactional_id=f"test-{uuid.uuid4().hex}")
    await producer.start()
    await producer.begin_transaction()
    held = capture("p")
    await producer.send_and_wait("payments.webhooks", held.value, key=held.key, headers=list(held.headers), partition=0)
    await running.publish([refund("p")], partition=1)
    await parked(running)
    await outlive_the_deadline(running)

    async def reported() -> bool:
        return "payments.webhooks/0" in await running.pool.fetchval("select waits_for from parking_clock")

    await until(reported, "what the clock waits for is shown")
    await producer.commit_transaction()
    await producer.stop()
    await until_refunded(running)


@pytest.mark.slow
async def test_no_parked_event_is_buried_while_a_partition_is_halted(running: ConsumerProcesses) -> None:
    child = running.spawn(parking=SHORT, limits={"unexpected_run_max": 2}, trip="trip-")
    await running.publish([refund("p")], partition=1)
    await parked(running)
    await running.publish([*(webhook("payment.created", f"trip-{n}") for n in range(5)), capture("p")], partition=0)

    async def halted() -> bool:
        return child.health().get("state") == "halted"

    await until(halted, "the partition is halted")

    async def passed() -> bool:
        query = "select bool_and(clock_timestamp() > deadline + interval '4 seconds') from parked_events"
        return bool(await running.pool.fetchval(query))

    await until(passed, "the deadline passes")
    assert await running.count("parked_events") == 1
    assert await child.terminate() == 0
    running.spawn(parking=SHORT)

    async def applied() -> bool:
        return bool(await running.pool.fetchval("select coalesce(sum(refunded), 0) from payments") == 100)

    await until(applied, "the refund is applied")
    assert "orphan" not in {row["reason"] for row in (await running.tables()).letters}


async def test_an_event_whose_payment_never_comes_is_buried_though(running: ConsumerProcesses) -> None:
    running.spawn(parking=SHORT)
    await running.publish([refund("p")], partition=0)

    async def buried() -> bool:
        return [row["reason"] for row in (await running.tables()).letters] == ["orphan"]

    await until(buried, "it is a dead letter")
