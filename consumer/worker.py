"""The consumer's loop: fetch, settle in lanes, commit offsets lazily; drain when partitions or the process go.

Offsets follow commits, never the other way round. A replay is harmless, so offsets are committed now and then; what is
not committed is settled again and found in the books.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from consumer.offsets import Offsets, Place, Span
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiokafka import ConsumerRecord

    from consumer.lane import Lanes
    from runtime.settings import ConsumerSettings

log = structlog.get_logger()

PAUSED_POLL_SECONDS = 0.2
"""How long one poll takes while everything is paused; polling keeps the group membership alive."""


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]
    """Drives one group member. `run` returns after a clean drain; it raises what it can't go on with."""

    def __init__(self, consumer: AIOKafkaConsumer, lanes: Lanes, settings: ConsumerSettings) -> None:
        self._consumer = consumer
        self._lanes = lanes
        self._settings = settings
        self._offsets = Offsets()
        self._tasks: set[asyncio.Task[None]] = set()
        self._commit_task: asyncio.Task[None] | None = None
        self._committed_at = 0.0
        self._generation = 0
        self.progress_at = time.monotonic()
        self.lag = 0
        self.records_settled = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then drain."""
        while not stop.is_set():
            self._raise_failure()
            if self._lanes.outage_since is not None:
                await self._poll_paused()
                continue
            batches = await self._fetch()
            generation = self._generation
            for records in batches:
                if await self._free_lane(stop) and generation == self._generation:
                    self._launch(records)
            self._commit_when_due()
        await self._drain()
        await self._end()

    async def _end(self) -> None:
        """Give up what is not done in time: it is settled again at the next start; note that the end was clean."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._note_clean_end()

    async def _note_clean_end(self) -> None:
        try:
            await asyncio.wait_for(self._lanes.end_cleanly(), self._settings.backoff_max_seconds)
        except Exception as error:  # noqa: BLE001 - an end that is not noted costs one careful start at most
            log.warning("clean_end_not_noted", error=type(error).__name__)

    async def _fetch(self) -> list[list[Record]]:
        fetched = await self._consumer.getmany(
            timeout_ms=int(self._settings.fetch_wait_seconds * 1000), max_records=self._settings.batch_records_max
        )
        records = [record_of(message) for messages in fetched.values() for message in messages]
        return list(split(records, self._settings.batch_bytes_max))

    async def _free_lane(self, stop: asyncio.Event) -> bool:
        """Wait until a lane is free, in an outage polling meanwhile, paused; False where a stop came first."""
        while not stop.is_set() and len(self._tasks) >= self._settings.batches_in_flight_max:
            self._raise_failure()
            if self._lanes.outage_since is not None:
                await self._poll_paused()
            else:
                await asyncio.wait(
                    self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=self._settings.backoff_initial_seconds
                )
        return not stop.is_set()

    async def _poll_paused(self) -> None:
        """Poll without taking records: the partitions stay ours while nothing can be settled.

        A rebalance meanwhile may bring partitions that are not paused: what comes from them is fetched again.
        """
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(PAUSED_POLL_SECONDS * 1000))
            for partition, messages in fetched.items():
                self._consumer.seek(partition, messages[0].offset)
        finally:
            self._resume(assigned)
        await asyncio.sleep(0)

    def _resume(self, partitions: set[TopicPartition]) -> None:
        halted = {TopicPartition(*place) for place in self._lanes.halted}
        self._consumer.resume(*(partitions & self._consumer.assignment()) - halted)

    def _launch(self, records: list[Record]) -> None:
        """Start settling a batch; its spans keep offsets from being committed past it."""
        last: dict[Place, int] = {}
        for record in records:
            last[record.topic, record.partition] = record.offset + 1
        spans = [self._offsets.begin(place, offset) for place, offset in last.items()]
        task = asyncio.create_task(self._settle(records, spans))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    def _raise_failure(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _settle(self, records: list[Record], spans: list[Span]) -> None:
        await self._lanes.settle(records)
        halted = self._lanes.halted
        self._offsets.settle(span for span in spans if span.place not in halted)
        if halted:
            self._consumer.pause(*{TopicPartition(*place) for place in halted} & self._consumer.assignment())
        self.progress_at = time.monotonic()
        self.records_settled += len(records)

    def _commit_when_due(self) -> None:
        """Commit in the background, one commit at a time: a commit waits for the broker, settling does not."""
        if time.monotonic() - self._committed_at < self._settings.commit_interval_seconds:
            return
        if self._commit_task is None or self._commit_task.done():
            self._committed_at = time.monotonic()
            self._commit_task = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        positions = self._offsets.take_ready()
        if not positions:
            return
        try:
            offsets = {TopicPartition(*place): offset for place, offset in positions.items()}
            await asyncio.wait_for(self._consumer.commit(offsets), self._settings.commit_timeout_seconds)
        except IllegalStateError:
            log.info("offsets_not_ours", partitions=len(positions))
        except (KafkaError, TimeoutError) as error:
            self._offsets.give_back(positions)
            log.warning("offsets_not_committed", error=type(error).__name__)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Settle what was taken and commit it before the partitions go; what does not finish is settled again."""
        self._generation += 1
        if revoked:
            await self._drain()
            if not self._tasks:
                await self._note_clean_end()
        self._offsets.forget()
        self._lanes.forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Note the new assignment; a halted partition stays paused."""
        self.progress_at = time.monotonic()
        self._consumer.pause(*{TopicPartition(*place) for place in self._lanes.halted} & set(assigned))
        log.info("partitions_assigned", partitions=len(assigned))

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.drain_seconds)
        if self._commit_task is not None:
            await asyncio.wait([self._commit_task], timeout=self._settings.drain_seconds)
        await self._commit()

    async def measure_lag(self) -> None:
        """Ask the broker how far the end is from what is settled; no lag is progress too."""
        assigned = self._consumer.assignment()
        ends = await self._consumer.end_offsets(list(assigned))
        lag = 0
        for partition, end in ends.items():
            if (partition.topic, partition.partition) not in self._lanes.halted:
                lag += end - await self._consumer.position(partition)
        self.lag = lag
        if not lag and not self._tasks:
            self.progress_at = time.monotonic()


def record_of(message: ConsumerRecord) -> Record:
    """Take a record from the client's type, byte for byte."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        headers=tuple(message.headers),
    )


def split(records: Sequence[Record], bytes_max: int) -> Iterator[list[Record]]:
    """Cut records into batches of at most `bytes_max` of values; a larger record stands alone."""
    batch: list[Record] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if batch and size + length > bytes_max:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch
