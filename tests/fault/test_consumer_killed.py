"""Processes that end without a word: killed in mid-batch, or by the very record that they touch."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import SOURCE, broken_chains, lives, until, webhook, wrong_payments

if TYPE_CHECKING:
    from consumer_processes import ConsumerProcesses

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KILLS = 4
DEATHS_MAX = 6

IN_TRANSACTION = """select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'ratchet consumer' and backend_xid is not null"""


async def until_in_mid_batch(harness: ConsumerProcesses, more_than: int) -> None:
    """Wait until the consumer has processed something new and has a transaction open."""

    async def in_mid_batch() -> bool:
        return await harness.written() > more_than and bool(await harness.pool.fetchval(IN_TRANSACTION))

    await until(in_mid_batch, "the consumer is in mid-batch")


async def test_kill_9_in_mid_batch_again_and_again_processes_everything_exactly_once(
    harness: ConsumerProcesses,
) -> None:
    expected = lives(600)
    events = [event for life in expected for event in life.events()]
    random.Random(3).shuffle(events)
    doubled = events + events[::5]
    await harness.publish(doubled)
    for _ in range(KILLS):
        child = harness.spawn(limits={"batch_records_max": 50})
        await until_in_mid_batch(harness, await harness.written())
        child.kill()
        await harness.bury_the_dead()
    assert await harness.written() < len(events), "it was killed under load"
    harness.spawn()

    async def all_processed() -> bool:
        return await harness.count("payment_logs") == len(events)

    await until(all_processed, "every event is in the ledger")
    await harness.until_no_lag()
    tables = await harness.tables()
    assert tables.dedupe_keys == sorted((SOURCE, event.event_id) for event in events)
    assert wrong_payments(tables, expected) == []
    assert broken_chains(tables) == []
    assert tables.parked == tables.letters == []


async def keep_alive(harness: ConsumerProcesses, enough: Any, **spawning: Any) -> int:
    """Start the consumer again whenever it ends, until `enough` says so; return how often it ended."""
    deaths = 0
    child = harness.spawn(**spawning)
    while not await enough():
        if not child.running:
            deaths += 1
            assert deaths <= DEATHS_MAX, "the deaths are bounded"
            await harness.bury_the_dead()
            child = harness.spawn(**spawning)
        await asyncio.sleep(0.02)
    return deaths


async def test_a_record_that_kills_the_process_becomes_a_letter_and_its_neighbours_process(
    harness: ConsumerProcesses,
) -> None:
    expected = lives(20)
    events = [event for life in expected for event in life.events()]
    fatal = webhook("payment.created", "magic-killer", event_id="fatal", reference="magic")
    mixed = [*events[:40], fatal, *events[40:]]
    await harness.publish(mixed, partition=0)

    async def enough() -> bool:
        return await harness.written() >= len(mixed) and not await harness.count("parked_events")

    deaths = await keep_alive(harness, enough, fatal="magic-killer")
    await harness.until_no_lag()
    tables = await harness.tables()
    assert 2 <= deaths <= 4
    assert [(row["reason"], row["event_id"]) for row in tables.letters] == [("fatal", "fatal")]
    (letter,) = tables.letters
    assert (letter["key"], letter["value"]) == (fatal.key, fatal.value)
    assert letter["header_values"] == [value for _, value in fatal.headers]
    assert wrong_payments(tables, expected) == []
    assert await harness.children[-1].terminate() == 0
    assert await harness.count("consumer_marks") == 0


async def test_kills_that_no_record_is_to_blame_for_make_no_letter(harness: ConsumerProcesses) -> None:
    """An operator, or a full memory, ends the process again and again before an offset is committed."""
    expected = lives(100)
    events = [event for life in expected for event in life.events()]
    await harness.publish(events, partition=0)
    limits = {"batch_records_max": 20, "commit_interval_seconds": 600}
    for _ in range(KILLS + 1):
        child = harness.spawn(limits=limits)
        await until_in_mid_batch(harness, await harness.written())
        child.kill()
        await harness.bury_the_dead()
    harness.spawn()
    tables = await harness.until_applied(len(events))
    await harness.until_no_lag()
    assert [(row["reason"], row["event_id"], row["offset"]) for row in tables.letters] == []
    assert wrong_payments(tables, expected) == []
