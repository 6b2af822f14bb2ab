"""How far partitions were processed, as Postgres keeps it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from consumer_harness import until
from consumer_processes import administration
from pydantic import SecretStr

from consumer.positions import Positions, StoredOffsets
from runtime.lease import PostgresLeases
from runtime.postgres import open_pool
from runtime.settings import PostgresSettings
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

W0, W1, I0 = ("payments.webhooks", 0), ("payments.webhooks", 1), ("payments.intents", 0)


async def test_the_last_word_counts_and_an_epoch_is_never_given_twice(database: Database):
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="consumer", connections=2)
    try:
        own = StoredOffsets(pool)
        assert await own.read([W0, I0]) == {}
        await own.note({W1: 5, W0: 9, I0: 2**40})
        await own.note({W0: 3})
        assert await own.read([W0, W1, ("payments.webhooks", 2)]) == {W0: 3, W1: 5}, "a topic made anew begins lower"
        for _ in range(3):
            await own.begin_epoch("restored")
        epochs = [row["epoch"] for row in await pool.fetch("select epoch from epochs order by began_at, epoch")]
        assert epochs == sorted(set(epochs))
        assert len(epochs) == 4
    finally:
        await pool.close()


@pytest.mark.parametrize("begin", ["consumer", "relay", "rebase"])
@pytest.mark.parametrize("ahead_seconds", [-1_000_000, 1_000_000], ids=["a copy of long ago", "a clock that went back"])
async def test_an_epoch_is_above_the_last_and_above_those_of_other_copies(
    database: Database, begin: str, ahead_seconds: int
):
    """Copies of one database know the same epochs; only the time tells those apart that each begins by itself."""
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        now = "extract(epoch from clock_timestamp())::bigint"
        last = await owner.fetchval(
            f"update epochs set epoch = {now} + $1, timeline = timeline + 1 returning epoch", ahead_seconds
        )
        began = await owner.fetchval(f"select {now}")
        if begin == "consumer":
            await owner.execute(statement("consumer", "begin_epoch"), "restored")
        elif begin == "rebase":
            await owner.execute(statement("producers", "rebase_epoch"))
        else:
            lease = await PostgresLeases(owner).acquire("relay", "test", 60)
            assert lease is not None
            await owner.execute(statement("producers", "begin_epoch"), *lease.fence)
        newest = await owner.fetchval("select max(epoch) from epochs")
    finally:
        await owner.close()
    assert newest > last
    assert newest >= began
    assert newest <= max(last, began) + 60


async def test_a_postgres_that_is_away_takes_no_offset(database: Database):
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="consumer", connections=1)
    positions = Positions(StoredOffsets(pool), 0.2)
    assert await positions.note({W0: 1})
    async with pool.acquire():
        assert not await positions.note({W0: 2}), "no answer in time"
    pool.terminate()
    assert not await positions.note({W0: 3})


@asynccontextmanager
async def member(stack: Endpoints, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    """Give the only member of the topic's group, and its partition."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=stack.kafka,
        group_id=topic,
        enable_auto_commit=False,
        auto_offset_reset="none",
    )
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)

        async def is_ours() -> bool:
            return consumer.assignment() == {place}

        await until(is_ours, "the partition is assigned")
        yield consumer, place
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("is_copy", "goes_on_at", "epochs"), [(True, 0, 2), (False, 3, 1)], ids=["copy", "new database"]
)
async def test_a_copy_that_is_older_than_a_partitions_first_offset_reads_it_from_its_beginning(
    database: Database, stack: Endpoints, unique: Callable[[str], str], *, is_copy: bool, goes_on_at: int, epochs: int
):
    """A new database beside an old group goes on where the group stands: all that is before may be years."""
    topic = unique("copy")
    async with administration(stack.kafka) as client:
        await client.create_topics([NewTopic(topic, 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    try:
        for number in range(5):
            await producer.send_and_wait(topic, b"%d" % number, partition=0)
    finally:
        await producer.stop()
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="consumer", connections=2)
    positions = Positions(StoredOffsets(pool), 10.0)
    try:
        async with member(stack, topic) as (consumer, place):
            positions.assigned([place])
            assert await positions.check(consumer)
            assert await positions.note({(topic, 0): 3})
            await consumer.commit({place: (3, positions.identity)})
        owner = await asyncpg.connect(database.owner_dsn)
        await owner.execute("delete from consumer_offsets")
        if not is_copy:
            await owner.execute("update epochs set began_at = began_at + interval '1 second'")
        await owner.close()
        async with member(stack, topic) as (consumer, place):
            positions.assigned([place])
            assert await positions.check(consumer)
            assert await consumer.position(place) == goes_on_at
        assert await pool.fetchval("select count(*) from epochs") == epochs
    finally:
        await pool.close()
