"""Partitions are added, topics made anew, records deleted: each is noticed, and nothing is skipped in silence."""

from __future__ import annotations

import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from consumer_harness import until, webhook
from consumer_processes import PARTITIONS, ConsumerProcesses, administration

from runtime.kafka import ensure_topics
from runtime.settings import KafkaSettings
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from consumer_harness import Event
    from consumer_processes import Child

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

NOTICED_SECONDS = 30.0
"""The contract's bound for a role that lives and is stuck while there is lag."""
MORE = 2 * PARTITIONS


@asynccontextmanager
async def topic_to_change(kafka: str) -> AsyncIterator[None]:
    """Leave the topic behind as other tests expect it."""
    try:
        yield
    finally:
        await make_anew(kafka)


async def make_anew(kafka: str) -> None:
    async with administration(kafka) as client:

        async def gone() -> bool:
            await client.delete_topics([WEBHOOKS.name])
            return WEBHOOKS.name not in await client.list_topics()

        await until(gone, "the topic is deleted")
    await until(lambda: made(kafka), "the topic is there again")


async def made(kafka: str) -> bool:
    await ensure_topics(KafkaSettings(bootstrap=kafka))
    async with administration(kafka) as client:
        return WEBHOOKS.name in await client.list_topics()


async def add_partitions(kafka: str) -> None:
    async with administration(kafka) as client:
        await client.create_partitions({WEBHOOKS.name: NewPartitions(MORE)})

        async def there() -> bool:
            (topic,) = await client.describe_topics([WEBHOOKS.name])
            return len(topic["partitions"]) == MORE

        await until(there, "the partitions are there")


def events(name: str, count: int) -> list[Event]:
    return [webhook("payment.created", f"{name}-{number}") for number in range(count)]


async def publish_to_all(harness: ConsumerProcesses, found: Iterable[Event], partitions: int) -> None:
    producer = harness.producer
    await producer.client.force_metadata_update()
    for number, event in enumerate(found):
        await harness.publish([event], partition=number % partitions)


@pytest.mark.parametrize("instance_id", [None, "slot-7"], ids=["dynamic", "static"])
async def test_partitions_added_after_a_restart_are_read(harness: ConsumerProcesses, instance_id: str | None) -> None:
    """A static member that came back is not informed that it leads the group, and only a leader looks for new ones."""
    limits: dict[str, Any] = {} if instance_id is None else {"instance_id": instance_id}
    async with topic_to_change(harness.kafka):
        child = harness.spawn(limits=limits)
        await publish_to_all(harness, events("before", 4), PARTITIONS)
        await harness.until_written(4)
        child.kill()
        child = harness.spawn(limits=limits)
        await publish_to_all(harness, events("between", 4), PARTITIONS)
        await harness.until_written(8)
        await add_partitions(harness.kafka)
        await publish_to_all(harness, events("after", 2 * MORE), MORE)
        tables = await harness.until_written(8 + 2 * MORE, NOTICED_SECONDS)
        assert len({row["event_id"] for row in tables.ledger}) == len(tables.ledger)
        assert child.running
        await child.terminate()


async def test_a_topic_made_anew_is_read_from_its_beginning(harness: ConsumerProcesses) -> None:
    async with topic_to_change(harness.kafka):
        child = harness.spawn()
        await publish_to_all(harness, events("old", 8), PARTITIONS)
        await harness.until_written(8)
        await until(lambda: looked(child), "the consumer knows the topic")
        await make_anew(harness.kafka)
        await publish_to_all(harness, events("new", 40), PARTITIONS)
        tables = await harness.until_written(48, NOTICED_SECONDS)
        assert {row["event_id"] for row in tables.ledger} >= {one.event_id for one in events("new", 40)}
        assert child.running
        await until(lambda: logged(child, "topic_made_anew"), "it is logged")
        await child.terminate()


async def logged(child: Child, name: str) -> list[dict[str, Any]]:
    return child.lines(name)


async def looked(child: Child) -> bool:
    return "standstills" in child.health().get("facts", {})


async def test_records_that_were_deleted_before_they_were_read_are_named(harness: ConsumerProcesses) -> None:
    place = TopicPartition(WEBHOOKS.name, 1)
    child = harness.spawn()
    await harness.publish(events("first", 2), partition=1)
    await harness.until_written(2)
    await harness.until_no_lag()
    await child.terminate()
    await harness.publish(events("lost", 20), partition=1)
    async with administration(harness.kafka) as client:
        await client.delete_records({place: RecordsToDelete(before_offset=harness.start[place] + 17)})
    child = harness.spawn()
    await harness.until_written(2 + 5)
    (reported,) = child.lines("records_skipped")
    start = harness.start[place]
    assert (
        reported["topic"],
        reported["partition"],
        reported["from_offset"],
        reported["to_offset"],
        reported["count"],
    ) == (
        *place,
        start + 2,
        start + 17,
        15,
    )
    assert reported["level"] == "error"
    await harness.until_no_lag()


async def test_an_open_transaction_is_reported_by_the_consumer_since_when_and_how_many_wait(
    harness: ConsumerProcesses,
) -> None:
    child = harness.spawn()
    await harness.publish(events("one", 1), partition=0)
    await harness.until_written(1)
    producer = AIOKafkaProducer(bootstrap_servers=harness.kafka, transactional_id=uuid.uuid4().hex)
    await producer.start()
    try:
        await producer.begin_transaction()
        began = time.time()
        await producer.send_and_wait(WEBHOOKS.name, b"open", partition=2)
        await harness.publish(events("behind", 5), partition=2)

        async def standstill() -> list[dict[str, Any]]:
            found = child.health().get("facts", {}).get("standstills", [])
            return found if found and found[0]["waiting"] == 6 else []

        (reported,) = await until(standstill, "the partition stands still", 15)
        assert (reported["topic"], reported["partition"], reported["cause"]) == (WEBHOOKS.name, 2, "open_transaction")
        assert abs(reported["since"] - began) < 2
        assert child.health()["stuck"] is None, "a restart mends nothing here"
        await producer.abort_transaction()
    finally:
        await producer.stop()
    await harness.until_written(6)
    await harness.until_no_lag()

    async def over() -> bool:
        return child.health().get("facts", {}).get("standstills") == []

    await until(over, "the consumer shows that it goes on", 15)
