"""The destination: publishes a batch of records and returns when Kafka has acknowledged, or refused, every one.

Records go out as ready-made Kafka batches, one a partition at a time: about a quarter of the work of a send a record,
and a batch that fails can't be overtaken by the next one of its partition. After any failure the producer is dropped
with what it still holds; the next batch opens another one.

A batch that Kafka refuses for what its records are (too large, an impossible time) is divided until the one bad record
stands alone, so that it holds up nobody behind it; the others go, in their order. From the first refusal to the end of
that call the producer is one without sequence numbers: a refused batch would leave a gap in them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime.kafka import RECORD_REFUSALS, close_producer, open_producer, unavailable_after
from runtime.kafka_partitions import partition_of
from schemas.errors import UnavailableError
from schemas.topics import DEAD_LETTER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder

    from producers.relay.records import RelayedRecord
    from runtime.settings import KafkaSettings


AWAY_SECONDS: Final = 2.0
"""How long a partition that did not answer is left alone, where others did: what waits for it comes so much later."""


class PartlyPublishedError(UnavailableError):
    """Some partitions took their records and others did not; `acknowledged` are the places of those taken."""

    def __init__(self, message: str, acknowledged: frozenset[int]) -> None:
        self.acknowledged = acknowledged
        super().__init__(message)


class RecordRefusal(NamedTuple):
    """A record that Kafka does not take, as its place among those that were to be published, and the reason."""

    place: int
    error: Exception


@dataclass(slots=True)
class _Way:
    """What is still to be sent to one partition, in order; a Kafka batch never reaches over two pieces."""

    topic: str
    partition: int
    pieces: deque[Sequence[int]]


@dataclass(slots=True)
class _Delivery:
    """One call's records and what became of them; `isolated` means that every refusal is followed up at once."""

    records: Sequence[RelayedRecord]
    ways: list[_Way] = field(default_factory=list)
    refusals: list[RecordRefusal] = field(default_factory=list)
    isolated: bool = False
    seconds: float | None = None
    acknowledged: set[int] = field(default_factory=set)

    @property
    def refused(self) -> bool:
        """Tell whether anything was refused so far."""
        return bool(self.refusals) or any(way.pieces for way in self.ways)


class Destination:
    """One lane's way to Kafka; opens its producer when the first batch comes."""

    def __init__(self, settings: KafkaSettings, compression: str | None = None) -> None:
        self._settings = settings
        self._compression = compression
        self._producer: AIOKafkaProducer | None = None
        self._away: dict[tuple[str, int], float] = {}

    async def publish(self, records: Sequence[RelayedRecord]) -> list[RecordRefusal]:
        """Publish the records, those of a partition in order; return those that Kafka refuses for what they are.

        All others are acknowledged. Raises UnavailableError when Kafka does not take them in
        `publish_timeout_seconds`; then any part of them may have been published. PartlyPublishedError says which were:
        a partition whose leader is out of reach holds up no other, and is left alone for `AWAY_SECONDS`. Then it
        does not tell what was refused beside it.
        """
        delivery = _Delivery(records)
        seconds = self._settings.publish_timeout_seconds
        producer = self._producer or await self._open()
        self._producer = None
        try:
            async with unavailable_after(seconds, f"publishing {len(records)} records"):
                delivery.ways = await _ways_of(producer, records)
                left = self._leave_alone(delivery)
                await _publish(producer, delivery)
        except BaseException as error:
            await close_producer(producer, self._settings.close_timeout_seconds)
            if isinstance(error, UnavailableError) and delivery.acknowledged:
                self._note_away(delivery)
                raise PartlyPublishedError(str(error), frozenset(delivery.acknowledged)) from error
            raise
        if delivery.refused:
            await close_producer(producer, self._settings.close_timeout_seconds)
            delivery.isolated, delivery.seconds = True, seconds
            plain = await self._open(idempotent=False)
            try:
                await _publish(plain, delivery)
            finally:
                await close_producer(plain, self._settings.close_timeout_seconds)
        else:
            self._producer = producer
        if left:  # What was refused beside them is tried, and refused, again.
            silent = ", ".join(f"{topic}/{partition}" for topic, partition in left)
            raise PartlyPublishedError(f"Kafka: {silent} did not answer", frozenset(delivery.acknowledged))
        return sorted(delivery.refusals, key=lambda refusal: refusal.place)

    def _leave_alone(self, delivery: _Delivery) -> list[tuple[str, int]]:
        """Take the ways out that did not answer a short while ago, unless there are no others; return them."""
        now = time.monotonic()
        self._away = {place: until for place, until in self._away.items() if until > now}
        left = [way for way in delivery.ways if (way.topic, way.partition) in self._away]
        if not left or len(left) == len(delivery.ways):
            return []
        delivery.ways = [way for way in delivery.ways if way not in left]
        return [(way.topic, way.partition) for way in left]

    def _note_away(self, delivery: _Delivery) -> None:
        """Note the partitions that took nothing, or not all."""
        until = time.monotonic() + AWAY_SECONDS
        self._away |= {(way.topic, way.partition): until for way in delivery.ways if way.pieces}

    async def _open(self, *, idempotent: bool = True) -> AIOKafkaProducer:
        return await open_producer(
            self._settings, DEAD_LETTER_BYTES_MAX, idempotent=idempotent, compression=self._compression
        )

    async def close(self) -> None:
        """Close the producer, if there is one; nothing is under way between two batches."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await close_producer(producer, self._settings.close_timeout_seconds)


async def _publish(producer: AIOKafkaProducer, delivery: _Delivery) -> None:
    """Send each partition's records as a row of batches, the partitions beside each other."""
    outcomes = await asyncio.gather(
        *(_publish_partition(producer, delivery, way) for way in delivery.ways), return_exceptions=True
    )
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _ways_of(producer: AIOKafkaProducer, records: Sequence[RelayedRecord]) -> list[_Way]:
    """Return which records go to which partition, in order."""
    counts = {topic: len(await producer.partitions_for(topic)) for topic in {record.topic for record in records}}
    places: dict[tuple[str, int], list[int]] = {}
    for index, record in enumerate(records):
        count = counts[record.topic]
        partition = partition_of(record.key, count) if record.key is not None else record.spread % count
        places.setdefault((record.topic, partition), []).append(index)
    return [_Way(topic, partition, deque([indexes])) for (topic, partition), indexes in places.items()]


async def _publish_partition(producer: AIOKafkaProducer, delivery: _Delivery, way: _Way) -> None:
    """Send one partition's records, a batch at a time, each after the answer to the one before.

    A refusal ends it unless the delivery is isolated: what is left, divided, is for a producer without numbers.
    """
    while way.pieces:
        piece = way.pieces[0]
        batch, taken = _fill(producer, [delivery.records[index] for index in piece])
        async with unavailable_after(delivery.seconds, f"publishing {taken} records to {way.topic}"):
            refused = await _send(producer, batch, way)
        if refused is None:
            delivery.acknowledged.update(piece[:taken])
            _replace_first(way, [piece[taken:]])
        else:
            divided = _divide(piece[:taken], [delivery.records[index].size() for index in piece[:taken]])
            if not divided:
                delivery.refusals.append(RecordRefusal(piece[0], refused))
            _replace_first(way, [*divided, piece[taken:]])
            if not delivery.isolated:
                return


async def _send(producer: AIOKafkaProducer, batch: BatchBuilder, way: _Way) -> Exception | None:
    """Send one Kafka batch and wait for the answer; return why it is refused for what its records are, or None."""
    try:
        await (await producer.send_batch(batch, way.topic, partition=way.partition))
    except RECORD_REFUSALS as error:
        return error
    return None


def _fill(producer: AIOKafkaProducer, records: Sequence[RelayedRecord]) -> tuple[BatchBuilder, int]:
    """Return a Kafka batch and how many of the records it took; one always fits."""
    batch, taken = producer.create_batch(), 0
    for record in records:
        appended = batch.append(
            timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=list(record.headers)
        )
        if appended is None:
            break
        taken += 1
    batch.close()
    return batch, taken


def _divide(indexes: Sequence[int], sizes: Sequence[int]) -> list[Sequence[int]]:
    """Return the parts that a refused batch is tried in again, in order; none where it is one record. Pure.

    A record that is larger than all others together stands alone at once, otherwise the batch is halved.
    """
    if len(indexes) == 1:
        return []
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    if sizes[largest] * 2 > sum(sizes):
        return [indexes[:largest], indexes[largest : largest + 1], indexes[largest + 1 :]]
    middle = len(indexes) // 2
    return [indexes[:middle], indexes[middle:]]


def _replace_first(way: _Way, pieces: Sequence[Sequence[int]]) -> None:
    """Put these in the place of the way's first piece; empty ones are left out."""
    way.pieces.popleft()
    way.pieces.extendleft(reversed([piece for piece in pieces if piece]))
