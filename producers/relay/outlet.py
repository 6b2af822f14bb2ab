"""The outlet: publishes a batch of records and returns when Kafka has acknowledged every one of them.

Records go out as ready-made Kafka batches, one a partition at a time: about a quarter of the work of a send a record,
and a batch that fails can't be overtaken by the next one of its partition. After any failure the producer is dropped
with what it still holds; the next batch opens another one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from producers.relay.partitions import partition_of
from runtime.kafka import close_producer, open_producer, unavailable_after
from schemas.topics import DEAD_LETTER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaProducer

    from producers.relay.records import Outgoing
    from runtime.settings import KafkaSettings


class Outlet:
    """One lane's way to Kafka; opens its producer when the first batch comes."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Publish the records, those of a partition in order; return when all are acknowledged.

        Raises UnavailableError when Kafka does not take all of them in `publish_timeout_seconds`; then any part of them
        may have been published.
        """
        producer = self._producer or await open_producer(self._settings, DEAD_LETTER_BYTES_MAX)
        self._producer = None
        try:
            async with unavailable_after(self._settings.publish_timeout_seconds, f"publishing {len(records)} records"):
                await _publish(producer, records)
        except BaseException:
            await close_producer(producer, self._settings.close_timeout_seconds)
            raise
        self._producer = producer

    async def close(self) -> None:
        """Close the producer, if there is one; nothing is under way between two batches."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await close_producer(producer, self._settings.close_timeout_seconds)


async def _publish(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
    """Send each partition's records as a row of batches, the partitions beside each other."""
    counts = {topic: len(await producer.partitions_for(topic)) for topic in {record.topic for record in records}}
    places: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
    for record in records:
        count = counts[record.topic]
        partition = partition_of(record.key, count) if record.key is not None else record.spread % count
        places[record.topic, partition].append(record)
    outcomes = await asyncio.gather(
        *(_publish_partition(producer, topic, partition, rows) for (topic, partition), rows in places.items()),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _publish_partition(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Outgoing]
) -> None:
    """Send one partition's records, a batch at a time, each after the acknowledgement of the one before."""
    position = 0
    while position < len(records):
        batch = producer.create_batch()
        while position < len(records):
            record = records[position]
            appended = batch.append(
                timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
            )
            if appended is None:
                break
            position += 1
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
