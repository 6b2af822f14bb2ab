"""How far the consumer is behind: end offsets less committed ones, by topic and partition."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from schemas.topics import CONSUMED, CONSUMER_GROUP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from runtime.settings import KafkaSettings, Settings

NAMES: Final = tuple(topic.name for topic in CONSUMED)
PartitionLag = dict[tuple[str, int], int]


@contextlib.asynccontextmanager
async def _clients(
    settings: KafkaSettings, seconds: float
) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from runtime.kafka_security import client_arguments

    reached, milliseconds = client_arguments(settings), int(seconds * 1000)
    admin = AIOKafkaAdminClient(**reached, request_timeout_ms=milliseconds)
    consumer = AIOKafkaConsumer(**reached, request_timeout_ms=milliseconds, enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    finally:
        with contextlib.suppress(Exception):
            await admin.close()
        with contextlib.suppress(Exception):
            await consumer.stop()


async def read_lag(settings: Settings) -> PartitionLag:
    """Return the lag a partition; raise UnavailableError where Kafka does not answer in time."""
    from runtime.kafka import opening, partitions_of

    seconds = settings.ops.lookup_timeout_seconds
    reaching, clients = opening(settings.kafka, seconds, "reading the lag"), _clients(settings.kafka, seconds)
    async with reaching, clients as (admin, consumer):
        committed = await admin.list_consumer_group_offsets(CONSUMER_GROUP)
        partitions = await partitions_of(admin, NAMES)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
    done = {partition: found.offset for partition, found in committed.items() if found.offset >= 0}
    return {
        (partition.topic, partition.partition): max(0, ends[partition] - max(done.get(partition, 0), begins[partition]))
        for partition in partitions
    }


def by_topic(lag: PartitionLag) -> dict[str, int]:
    """Return the lag a topic; a topic without partitions has none."""
    return {name: sum(behind for (topic, _), behind in lag.items() if topic == name) for name in NAMES}
