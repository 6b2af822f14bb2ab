"""Brokers that go away under load: nothing is lost or becomes a letter, and the consumer stays the same process."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest
from consumer_harness import Event, broken_chains, lives, until, wrong_payments

if TYPE_CHECKING:
    from conftest import Brokers
    from consumer_processes import Child, ConsumerProcesses

pytestmark = [pytest.mark.integration, pytest.mark.slow]
AWAY_SECONDS = 10.0
SLOW = {"batch_records_max": 20}
"""Small batches: the load lasts beyond the fault."""


def load_of(count: int) -> tuple[list[Event], list[Event]]:
    """Return the events of `count` lives in two shuffled halves: before the fault, and during it."""
    events = [event for life in lives(count) for event in life.events()]
    random.Random(4).shuffle(events)
    return events[: len(events) // 2], events[len(events) // 2 :]


async def assert_all_processed(harness: ConsumerProcesses, child: Child, count: int) -> None:
    async def all_processed() -> bool:
        return await harness.count("payment_logs") == count * 5

    await until(all_processed, "every event is in the ledger")
    await harness.until_no_lag()
    tables = await harness.tables()
    assert (wrong_payments(tables, lives(count)), broken_chains(tables)) == ([], [])
    assert tables.parked == tables.letters == []
    assert child.running, "the outage did not end the consumer"
    assert child.lines("role_failed") == child.lines("partition_halted") == []
    assert await child.terminate() == 0


async def test_postgres_is_shut_down_for_ten_seconds(harness: ConsumerProcesses, brokers: Brokers) -> None:
    before, during = load_of(300)
    child = harness.spawn(limits=SLOW)
    await harness.publish(before)
    await harness.until_written(40)
    since = time.monotonic()
    await brokers.shut_down("postgres")
    await harness.publish(during)

    async def tells() -> bool:
        return str(child.health().get("unready")).startswith("Postgres can't be used: ")

    await until(tells, "the consumer tells that Postgres is away")
    await asyncio.sleep(AWAY_SECONDS - (time.monotonic() - since))
    assert child.health()["stuck"] is None, "waiting for Postgres is no stall"
    assert await brokers.stack.revive() == ["postgres"]
    await assert_all_processed(harness, child, 300)
    assert child.lines("postgres_back")


async def test_postgres_is_frozen_for_ten_seconds(harness: ConsumerProcesses, brokers: Brokers) -> None:
    """Connections stay open and nothing answers."""
    before, during = load_of(300)
    child = harness.spawn(limits=SLOW)
    await harness.publish(before)
    await harness.until_written(40)
    frozen = brokers.freeze("postgres")
    try:
        await harness.publish(during)
        await asyncio.sleep(AWAY_SECONDS)
        assert child.health()["stuck"] is None
    finally:
        brokers.thaw(frozen)
    await assert_all_processed(harness, child, 300)


async def test_kafka_is_restarted(harness: ConsumerProcesses, brokers: Brokers) -> None:
    before, during = load_of(300)
    child = harness.spawn(limits=SLOW)
    await harness.publish(before)
    await harness.until_written(40)
    restarting = asyncio.create_task(brokers.stack.restart("kafka"))
    publishing = asyncio.create_task(harness.publish(during))
    await restarting
    await publishing
    await assert_all_processed(harness, child, 300)


async def test_a_stop_while_postgres_is_away_is_clean_and_bounded(harness: ConsumerProcesses, brokers: Brokers) -> None:
    before, _ = load_of(100)
    child = harness.spawn(limits={**SLOW, "drain_seconds": 1})
    await harness.publish(before)
    await harness.until_written(40)
    await brokers.shut_down("postgres")
    try:

        async def tells() -> bool:
            return bool(child.lines("postgres_away"))

        await until(tells, "the consumer tells that Postgres is away")
        assert await child.terminate() == 0
    finally:
        await brokers.stack.revive()
    harness.spawn()
    tables = await harness.until_written(len(before))
    await harness.until_no_lag()
    assert tables.letters == []
