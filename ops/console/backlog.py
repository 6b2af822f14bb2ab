"""What waits in Kafka: the lag a topic, and since when its oldest record waits; over two lasting connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runtime.kafka_records import tolerate_odd_headers
from runtime.kafka_security import client_arguments
from runtime.kafka_topic_ids import IdsSeen
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    from runtime.settings import Settings

FETCH_BYTES_MAX: Final = 64 * 1024
"""Asked for to read one record's time; the broker gives the first batch whole, however large."""
ENDS_KEPT: Final = 200
"""Looks a partition whose end is remembered: so far back the age of a record is known without reading it."""


@dataclass(slots=True)
class EndsSeen:
    """Where a partition ended at each look (unix seconds, offset): when a record came in, without reading it."""

    looks: list[tuple[float, int]] = field(default_factory=list)

    def note(self, at: float, end: int) -> None:
        """Remember an end; an end that lies before the last one is another topic's of the same name."""
        if self.looks and end < self.looks[-1][1]:
            self.looks.clear()
        if not self.looks or end > self.looks[-1][1]:
            self.looks.append((at, end))
            del self.looks[:-ENDS_KEPT]

    def came(self, offset: int) -> float | None:
        """Return when a look first saw the record, or None where it was there before the first look."""
        if not self.looks or offset < self.looks[0][1]:
            return None
        return next((at for at, end in self.looks if end > offset), None)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: records a topic, and since when the oldest of them does (unix seconds), None where none does."""

    lag: Mapping[str, int]
    since: float | None


class BacklogReader:
    """Reads the backlog again and again; after a failure it connects anew."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._reached = client_arguments(settings.kafka)
        self._seconds = settings.console.look_timeout_seconds
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._ids = IdsSeen()
        self._ends: dict[TopicPartition, EndsSeen] = {}
        self._read: dict[TopicPartition, tuple[int, float]] = {}

    async def read(self) -> Backlog:
        """Return the backlog; raise UnavailableError where Kafka does not answer in time."""
        from runtime.kafka import opening

        try:
            async with opening(self._kafka, self._seconds, "looking at the backlog"):
                return await self._look()
        except (UnavailableError, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Let the connections go."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        for client in (admin and admin.close, consumer and consumer.stop):
            if client is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(self._seconds):
                        await client()

    async def _clients(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        from aiokafka import AIOKafkaConsumer
        from aiokafka.admin import AIOKafkaAdminClient

        if self._admin is None or self._consumer is None:
            milliseconds = int(self._seconds * 1000)
            tolerate_odd_headers()
            self._admin = AIOKafkaAdminClient(**self._reached, request_timeout_ms=milliseconds)
            self._consumer = AIOKafkaConsumer(
                **self._reached,
                request_timeout_ms=milliseconds,
                enable_auto_commit=False,
                max_partition_fetch_bytes=FETCH_BYTES_MAX,
                max_poll_records=1,
            )
            await self._admin.start()
            await self._consumer.start()
        return self._admin, self._consumer

    async def _look(self) -> Backlog:
        from runtime.kafka_ends import partitions_in
        from runtime.kafka_topic_ids import topics_of

        admin, consumer = await self._clients()
        topics = self._kafka.topics
        found = await topics_of(admin, topics.consumed_names)
        for anew in self._ids.note(found):
            self._forget(anew)
        partitions = partitions_in(found)
        committed = await admin.list_consumer_group_offsets(topics.group)
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        now, waiting = time.time(), {}
        for partition in partitions:
            self._ends.setdefault(partition, EndsSeen()).note(now, ends[partition])
            done = committed[partition].offset if partition in committed else 0
            waiting[partition] = max(done, begins[partition])
        behind = {place: max(0, ends[place] - offset) for place, offset in waiting.items()}
        lag = {name: sum(behind[one] for one in partitions if one.topic == name) for name in topics.consumed_names}
        came = [await self._came(consumer, place, waiting[place]) for place, count in behind.items() if count]
        return Backlog(lag, min(came, default=None))

    def _forget(self, topic: str) -> None:
        """Forget what was seen of a topic that is another one by now."""
        for seen in (self._ends, self._read):
            for place in [place for place in seen if place.topic == topic]:
                del seen[place]

    async def _came(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> float:
        """Return when the record came in; one that was there before us is read once, for its own time."""
        known = self._ends[place].came(offset)
        if known is not None:
            return known
        read = self._read.get(place)
        if read is None or read[0] != offset:
            consumer.assign([place])
            consumer.seek(place, offset)
            record = await consumer.getone(place)
            read = self._read[place] = offset, record.timestamp / 1000
            consumer.assign([])
        return min(read[1], time.time())
