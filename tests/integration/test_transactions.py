"""Publishers that use Kafka's transactions: what is committed takes effect once, what is aborted never."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.errors import NoOffsetForPartitionError
from consumer_harness import Event, intent, until, webhook
from consumer_processes import PARTITIONS, ConsumerProcesses, administration, consumer_processes
from pydantic import SecretStr

from consumer.role import make_consumer
from ops import doctor
from ops.status import gather
from runtime.settings import KafkaSettings, OpsSettings, PostgresSettings, Settings
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

CODECS = (None, "gzip", "snappy", "lz4", "zstd", None)
"""One a producer: six of them."""
ROUNDS = 3
LARGE_BYTES = 1024 * 1024


class Record(NamedTuple):
    """Where an event goes."""

    topic: str
    partition: int
    event: Event


@pytest.fixture
async def harness(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


@asynccontextmanager
async def transactional(kafka: str, codec: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        transactional_id=f"test-{uuid.uuid4().hex}",
        compression_type=codec,
        max_batch_size=LARGE_BYTES,
        linger_ms=5,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def one_of_each_partition(name: str) -> list[Record]:
    """Return an event for every partition of both topics."""
    webhooks = [Record(WEBHOOKS.name, n, webhook("payment.created", f"{name}-{n}")) for n in range(PARTITIONS)]
    intents = [
        Record(INTENTS.name, n, intent(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}-{n}"), reference=f"{name}-{n}"))
        for n in range(PARTITIONS)
    ]
    return webhooks + intents


async def publish(producer: AIOKafkaProducer, found: Sequence[Record]) -> None:
    sent = [
        await producer.send(
            one.topic, one.event.value, key=one.event.key, headers=list(one.event.headers), partition=one.partition
        )
        for one in found
    ]
    await asyncio.gather(*sent)


async def transact(producer: AIOKafkaProducer, found: Sequence[Record], *, commit: bool) -> None:
    await producer.begin_transaction()
    await publish(producer, found)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


def ids(found: Sequence[Record]) -> set[str]:
    return {one.event.event_id for one in found}


async def test_six_producers_that_commit_abort_and_mix_with_plain_records_behind(harness: ConsumerProcesses) -> None:
    committed: list[Record] = []
    aborted: list[Record] = []
    child = harness.spawn()

    async def produce(number: int, codec: str | None) -> None:
        async with transactional(harness.kafka, codec) as producer:
            for turn in range(ROUNDS):
                for commit in (True, False) if number % 2 else (False, True):
                    found = one_of_each_partition(f"p{number}-{turn}-{commit}")
                    await transact(producer, found, commit=commit)
                    (committed if commit else aborted).extend(found)
                plain = one_of_each_partition(f"plain-{number}-{turn}")
                await publish(harness.producer, plain)  # type: ignore[arg-type]
                committed.extend(plain)

    await asyncio.gather(*(produce(number, codec) for number, codec in enumerate(CODECS)))
    tables = await harness.until_written(len(committed))
    await harness.until_no_lag()
    events = [row["event_id"] for row in tables.ledger]
    assert len(events) == len(set(events)), "once each"
    assert set(events) == ids(committed)
    assert not set(events) & ids(aborted)
    assert tables.letters == tables.parked == []
    assert child.running
    assert len(child.lines("partitions_assigned")) == 1


async def test_a_consumer_starts_on_a_marker_and_on_aborted_records(harness: ConsumerProcesses) -> None:
    """Where it stopped last is in the middle of a transaction, or before one that has nothing but its end."""
    async with transactional(harness.kafka) as producer:
        first, lost, last = (one_of_each_partition(name) for name in ("first", "lost", "last"))
        await transact(producer, first, commit=True)
        child = harness.spawn()
        await harness.until_written(len(first))
        await child.terminate()
        await transact(producer, lost, commit=False)
        child = harness.spawn()
        await transact(producer, last, commit=True)
        tables = await harness.until_written(len(first) + len(last))
    assert {row["event_id"] for row in tables.ledger} == ids(first) | ids(last)
    assert child.running


async def test_what_is_behind_an_open_transaction_waits_and_is_then_applied_once(harness: ConsumerProcesses) -> None:
    child = harness.spawn()
    async with transactional(harness.kafka) as producer:
        held = [Record(INTENTS.name, 1, intent(uuid.uuid4(), reference=f"held-{n}")) for n in range(3)]
        await producer.begin_transaction()
        await publish(producer, held)
        behind = [Record(INTENTS.name, 1, intent(uuid.uuid4(), reference=f"behind-{n}")) for n in range(3)]
        beside = one_of_each_partition("beside")
        beside = [one for one in beside if (one.topic, one.partition) != (INTENTS.name, 1)]
        await publish(harness.producer, behind)  # type: ignore[arg-type]
        await publish(harness.producer, beside)  # type: ignore[arg-type]
        tables = await harness.until_written(len(beside))
        assert {row["event_id"] for row in tables.ledger} == ids(beside), "the other partitions go on"
        await until(lambda: named(harness), "status and doctor name it")
        await producer.commit_transaction()
    tables = await harness.until_written(len(beside) + 6)
    assert sorted(row["event_id"] for row in tables.ledger) == sorted(ids(beside) | ids(behind) | ids(held))
    assert child.running


async def named(harness: ConsumerProcesses) -> bool:
    """Tell whether status and doctor name the open transaction and how many offsets wait."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap=harness.kafka),
        postgres=PostgresSettings(dsn=SecretStr(harness.database.dsn)),
        ops=OpsSettings(transaction_notice_seconds=1.0),
    )
    reported = f"an open transaction holds {INTENTS.name}/1 since "
    status = await gather(settings)
    checks = [one for one in await doctor.kafka(settings) if one.check == "partitions"]
    found = [*status.problems, *(one.found for one in checks if not one.ok)]
    assert status.lag[INTENTS.name] >= 6, "lag is to the high watermark"
    return len(found) == 2 and all(one.startswith(reported) and "6 offsets wait" in one for one in found)


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_large_batches_in_a_transaction(harness: ConsumerProcesses, codec: str | None) -> None:
    """Records of 400 kB, in batches as large as a producer may send, and one batch of many small ones."""
    big = [Record(WEBHOOKS.name, 0, large(f"big-{codec}-{n}", 400_000)) for n in range(10)]
    small = [Record(WEBHOOKS.name, 0, webhook("payment.created", f"small-{codec}-{n}")) for n in range(1000)]
    child = harness.spawn()
    async with transactional(harness.kafka, codec) as producer:
        await transact(producer, small[:500], commit=False)
        await transact(producer, [*big[:5], *small], commit=True)
        await transact(producer, big[5:], commit=True)
    tables = await harness.until_written(len(big) + len(small))
    assert sorted(row["event_id"] for row in tables.ledger) == sorted(ids(big) | ids(small))
    assert tables.letters == []
    assert child.running


def large(payment: str, length: int) -> Event:
    event = webhook("payment.created", payment)
    return event._replace(value=event.value[:-1] + b" " * length + b"}")


async def test_offsets_with_gaps_of_deleted_records(harness: ConsumerProcesses) -> None:
    """Records deleted behind a running consumer, and markers around them, are no end and no repetition."""
    child = harness.spawn()
    place = TopicPartition(WEBHOOKS.name, 2)
    async with transactional(harness.kafka) as producer:
        first = [Record(WEBHOOKS.name, 2, webhook("payment.created", f"gap-{n}")) for n in range(5)]
        await transact(producer, first, commit=True)
        await harness.until_written(5)
        await transact(producer, [Record(WEBHOOKS.name, 2, webhook("payment.created", "never"))], commit=False)
        async with administration(harness.kafka) as client:
            await client.delete_records({place: RecordsToDelete(before_offset=harness.start[place] + 6)})
        last = [Record(WEBHOOKS.name, 2, webhook("payment.created", f"after-{n}")) for n in range(5)]
        await transact(producer, last, commit=True)
    tables = await harness.until_written(10)
    assert sorted(row["event_id"] for row in tables.ledger) == sorted(ids(first) | ids(last))
    assert child.running


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_offsets_with_gaps_of_compaction(stack: Endpoints, unique: Callable[[str], str]) -> None:
    """A batch whose last records were compacted away, or all of them, ends where it ended before."""
    topic = unique("compacted")
    place = TopicPartition(topic, 0)
    configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "500"}
    async with administration(stack.kafka) as client:
        await client.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    expected: dict[bytes, bytes] = {}
    async with transactional(stack.kafka) as producer:
        for turn in range(6):
            expected |= (found := {b"k%d" % (turn * 7 + n): b"%d" % turn for n in range(20)})
            await producer.begin_transaction()
            for key, value in found.items():
                await producer.send(topic, value, key=key, partition=0)
            await producer.commit_transaction()
            await asyncio.sleep(0.6)  # the next append begins another segment; only those before it are compacted
    settings = Settings(kafka=KafkaSettings(bootstrap=stack.kafka), home=Path("/nonexistent"))

    async def read() -> tuple[list[tuple[bytes, bytes]], bool]:
        consumer = make_consumer(settings, unique(f"reader-{uuid.uuid4().hex}"))
        consumer.subscribe([topic])
        await consumer.start()
        try:
            found: list[tuple[bytes, bytes]] = []
            end = -1
            while end < 0 or await consumer.position(place) < end:
                try:
                    fetched = await consumer.getmany(timeout_ms=500)
                except NoOffsetForPartitionError:  # the client resets nothing by itself
                    await consumer.seek_to_beginning(place)
                    continue
                for messages in fetched.values():
                    found += [(message.key, message.value) for message in messages]
                end = (await consumer.end_offsets([place]))[place] if consumer.assignment() else -1
        finally:
            await consumer.stop()
        return found, len(found) < 6 * 20

    async def compacted() -> list[tuple[bytes, bytes]]:
        found, fewer = await read()
        return found if fewer else []

    found = await until(compacted, "the broker has compacted", 120)
    assert dict(found) == expected
    assert len(found) < 6 * 20
