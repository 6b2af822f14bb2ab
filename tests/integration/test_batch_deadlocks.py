"""Batches never deadlock with each other: all that one needs is locked in one sorted set, and nothing later."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import batch_harness, broken_chains, intent, intent_records, records, until, webhook
from consumer_processes import consumer_processes, new_database

from schemas.topics import INTENTS

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Database
    from consumer_harness import BatchHarness, Event

    from runtime.stack import Endpoints
    from schemas.record import Record

pytestmark = pytest.mark.integration

WRITERS = 6
ORDERS = 12
"""So few that batches meet all the time."""


def mixed_events(dice: random.Random, round_: int) -> tuple[list[Event], list[Event]]:
    """Make events and intents of a few orders: attempts under shared references, early refunds, many names."""
    events: list[Event] = []
    intents: list[Event] = []
    for number in range(dice.randrange(4, 24)):
        order = dice.randrange(ORDERS)
        reference, payment = f"ORD-{round_}-{order}", f"pay-{round_}-{order}-{dice.randrange(3)}"
        match dice.randrange(6):
            case 0:
                named = {"provider_ref": payment} if dice.random() < 0.2 else {"reference": reference}
                intents.append(intent(uuid.uuid5(uuid.NAMESPACE_URL, f"{reference}{named}"), amount=1000, **named))
            case 1:
                events.append(webhook("refund.succeeded", payment, amount=10, child=f"{payment}-r{dice.randrange(4)}"))
            case 2:
                events.append(webhook("payment.captured", payment, amount=400, child=f"{payment}-c{dice.randrange(2)}"))
            case 3:
                events.append(webhook("payment.failed", payment, amount=None, child=f"{payment}-t{number % 3}"))
            case _:
                kind = dice.choice(["payment.created", "payment.authorized"])
                events.append(webhook(kind, payment, reference=reference if dice.random() < 0.7 else None))
    return events, intents


def mixed_batch(dice: random.Random, round_: int) -> list[Record]:
    """Make a batch of them."""
    events, intents = mixed_events(dice, round_)
    return [*records(events, partition=dice.randrange(4)), *intent_records(intents)]


async def deadlocks(connection: asyncpg.Connection) -> int:
    """Return how many deadlocks the database has seen; a session reports its own when it ends or idles."""
    return int(await connection.fetchval("select deadlocks from pg_stat_database where datname = current_database()"))


async def _write(harness: BatchHarness, seed: int, until: float) -> int:
    dice, batches = random.Random(seed), 0
    while time.monotonic() < until:
        await harness.process(mixed_batch(dice, int(until - time.monotonic()) // 2))
        batches += 1
    return batches


async def _load(database: Database, seconds: float) -> None:
    async with batch_harness(database.dsn, connections=WRITERS) as harness:
        until = time.monotonic() + seconds
        batches = await asyncio.gather(*(_write(harness, seed, until) for seed in range(WRITERS)))
        tables = await harness.tables()
    observer = await asyncpg.connect(database.owner_dsn)
    try:
        assert await deadlocks(observer) == 0
    finally:
        await observer.close()
    assert min(batches) > 0
    assert tables.payments
    assert not broken_chains(tables)


async def test_writers_that_share_names_and_groups_never_deadlock(stack: Endpoints) -> None:
    async with new_database(stack) as database:
        await _load(database, 4.0)


@pytest.mark.slow
async def test_a_minute_of_mixed_load_has_no_deadlock(stack: Endpoints) -> None:
    async with new_database(stack) as database:
        await _load(database, 60.0)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_minute_of_mixed_load_on_three_consumers_has_no_deadlock(stack: Endpoints, tmp_path: Path) -> None:
    """Three processes of one group, each with its workers; events of one order reach all of them."""
    async with new_database(stack) as database, consumer_processes(stack.kafka, database, tmp_path) as given:
        consumers = [given.spawn() for _ in range(3)]

        async def are_there() -> bool:
            return len(await given.members()) == len(consumers)

        async def is_read() -> bool:
            return await given.lag() == 0

        await until(are_there, "three consumers are in the group", 90.0)
        dice, ends, published = random.Random(9), time.monotonic() + 60.0, 0
        while time.monotonic() < ends:
            events, intents = mixed_events(dice, int(ends - time.monotonic()) // 2)
            await given.publish(events)
            await given.publish(intents, topic=INTENTS.name)
            published += len(events) + len(intents)
            await asyncio.sleep(0.05)  # some 200 events a second, so that batches meet and none is as large as can be
        await until(is_read, "everything is read", 180.0)
        busy = [len(consumer.lines("batch_settled")) for consumer in consumers]
        assert [await consumer.terminate() for consumer in consumers] == [0, 0, 0]
        tables = await given.tables()
        observer = await asyncpg.connect(database.owner_dsn)
        found = await deadlocks(observer)
        await observer.close()
    print(f"{published} events in {busy} batches, {len(tables.ledger)} ledger rows, {found} deadlocks")  # noqa: T201
    assert found == 0
    assert min(busy) > 20, "each had a part"
    assert tables.letters == [] or {row["reason"] for row in tables.letters} == {"conflict"}
    assert not broken_chains(tables)
