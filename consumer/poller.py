"""The poller: the group member's side of Kafka. What is fetched, where partitions stand, and what is committed.

Offsets follow commits of Postgres, never the other way round. A replay is harmless, so offsets are committed now and
then; what is not committed is processed again and found in the ledger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumer.fetched import record_of, split
from consumer.offsets import Offsets
from consumer.partition_reports import report_restart
from runtime import metrics
from runtime.kafka import authorization_kind, not_allowed
from runtime.kafka_tasks import ended_task
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from consumer.offsets import Place
    from consumer.positions import Positions
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()

PAUSED_POLL_SECONDS = 0.2
"""How long one poll takes while everything is paused; polling keeps the group membership alive."""


class Poller:
    """Polls, pauses, seeks and commits for one group member.

    `halted` holds the partitions that take no more records until a restart, as the workers note them; `offsets` is what
    may be committed.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, positions: Positions, settings: ConsumerSettings, halted: Collection[Place]
    ) -> None:
        self._consumer = consumer
        self._checked = positions
        self._settings = settings
        self._halted = halted
        self._fetch_max = settings.batch_records_max * settings.batches_in_flight_max
        self._committed_at = 0.0
        self._polled_at = time.monotonic()
        self.offsets = Offsets()
        self.commit_task: asyncio.Task[None] | None = None
        self.all_begun = True
        """Whether all that was fetched was begun."""

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Partitions that are ours."""
        return frozenset(self._consumer.assignment())

    @property
    def quiet_seconds(self) -> float:
        """How long the client was not polled."""
        return time.monotonic() - self._polled_at

    def positions(self) -> dict[TopicPartition, int]:
        """Return the offset to be fetched next, of the partitions of ours of which it is known now."""
        known = {place: known_position(self._consumer, place) for place in self._consumer.assignment()}
        return {place: position for place, position in known.items() if position is not None}

    async def fetch(self) -> list[list[Record]]:
        """Take what is there, cut into batches."""
        fetched = await self._poll(self._settings.fetch_wait_seconds, self._fetch_max)
        self.all_begun = not fetched
        records = [record_of(message) for messages in fetched.values() for message in messages]
        return list(split(records, self._settings.batch_bytes_max))

    async def _poll(self, seconds: float, records_max: int | None = None) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Take what comes in that time; raise AccessRefusedError where we may not read.

        Raises UnavailableError where the client reads no more: only a new one does.
        """
        if (ended := ended_task(self._consumer)) is not None:
            raise UnavailableError(f"Kafka: {ended}; the consumer ends, and must be started again")
        self._polled_at = time.monotonic()
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=int(seconds * 1000), max_records=records_max
            )
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                await self._restart(partition, offset)
            return {}
        except NoOffsetForPartitionError as error:
            await self._restart(error.args[0], None)
            return {}
        except KafkaError as error:
            if (kind := authorization_kind(error)) is None:
                raise
            raise not_allowed("reading the topics in the group", kind) from error
        return found

    async def poll_paused(self) -> None:
        """Poll without taking records: the partitions stay ours while nothing can be processed.

        A rebalance meanwhile may bring partitions that are not paused: what comes from them is fetched again.
        """
        with self.paused():
            fetched = await self._poll(PAUSED_POLL_SECONDS)
            for partition, messages in fetched.items():
                self._consumer.seek(partition, messages[0].offset)
        await asyncio.sleep(0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the client fetch nothing meanwhile."""
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        try:
            yield
        finally:
            self.resume(assigned)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch nothing of those of them that are ours."""
        self._consumer.pause(*set(partitions) & self._consumer.assignment())

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch of them again, but for what is not ours, halted, or of which it is not known where it goes on."""
        halted = {TopicPartition(*place) for place in self._halted}
        self._consumer.resume(*(set(partitions) & self._consumer.assignment()) - halted - self._checked.unchecked)

    async def check_positions(self) -> None:
        """Find out where new partitions go on; nothing of them is taken before that is known."""
        partitions = set(self._checked.unchecked)
        if await self._checked.check(self._consumer):
            self.resume(partitions)
        else:
            await self.poll_paused()

    async def _restart(self, partition: TopicPartition, wanted: int | None) -> None:
        """Go on at the partition's first record where what we `wanted` is not there, and say what that skips.

        `wanted` is None where the group has committed nothing of the partition.
        """
        try:
            begin = (await self._consumer.beginning_offsets([partition]))[partition]
            self._consumer.seek(partition, begin)
        except KafkaError as error:
            log.warning("beginning_unknown", topic=partition.topic, partition=partition.partition, error=repr(error))
            return
        self.offsets.restart((partition.topic, partition.partition), begin)
        report_restart(partition, wanted, begin)

    def read_anew(self, topic: str) -> None:
        """Read a topic from its beginning: it was deleted and made anew, and our positions are of the old one.

        What was taken of the old one is still processed.
        """
        for partition in self._consumer.assignment():
            if partition.topic == topic:
                self._consumer.seek(partition, 0)
                self.offsets.restart((topic, partition.partition), 0)
        metrics.TOPICS_MADE_ANEW.labels(topic).inc()
        log.error("topic_made_anew", topic=topic, detail="it is read from its beginning")

    def rejoin(self, missing: Collection[TopicPartition]) -> bool:
        """Join the group anew, so that its leader shares `missing` partitions out; False where we don't know them yet.

        A static member that came back may be the leader and not know it: brokers tell it from JoinGroup 9 on, which
        the client does not speak (KAFKA-13435). When the leader joins anew, the broker lets it share out again.
        """
        if not all(one.partition in (self._consumer.partitions_for_topic(one.topic) or ()) for one in missing):
            return False
        self._consumer._coordinator.request_rejoin()  # noqa: SLF001 - subscribing anew would drop what is in hand
        return True

    def commit_when_due(self, interval_seconds: float | None = None) -> None:
        """Commit in the background, one commit at a time: a commit waits for the broker, processing does not.

        Raises what the last one can't go on with.
        """
        if self.commit_task is not None and self.commit_task.done():
            self.commit_task.result()
        due = self._settings.commit_interval_seconds if interval_seconds is None else interval_seconds
        if time.monotonic() - self._committed_at < due:
            return
        self._note_reached()
        if self.commit_task is None or self.commit_task.done():
            self._committed_at = time.monotonic()
            self.commit_task = asyncio.create_task(self._commit())

    async def commit_all(self) -> None:
        """Commit what is processed by now, after a commit that is under way."""
        if self.commit_task is not None:
            await asyncio.wait([self.commit_task], timeout=self._settings.drain_seconds)
        self._note_reached()
        await self._commit()

    def _note_reached(self) -> None:
        """Note how far each partition was read: where all that was fetched was begun, also what is no record counts.

        Nothing counts of a partition that is not checked yet: its position is Kafka's word, and it would become ours.
        """
        if self.all_begun:
            for place, position in self.positions().items():
                if place not in self._checked.unchecked:
                    self.offsets.reach((place.topic, place.partition), position)

    async def _commit(self) -> None:
        positions = self.offsets.take_ready()
        if not positions:
            return
        if not await self._checked.note(positions):
            self.offsets.give_back(positions)
            return
        try:
            by = self._checked.identity
            offsets = {TopicPartition(*place): (offset, by) for place, offset in positions.items()}
            async with asyncio.timeout(self._settings.commit_timeout_seconds):
                await self._consumer.commit(offsets)
        except IllegalStateError:
            ours = self._consumer.assignment()
            kept = {place: offset for place, offset in positions.items() if TopicPartition(*place) in ours}
            self.offsets.give_back(kept)
            log.info("offsets_not_ours", partitions=len(positions) - len(kept))
        except (KafkaError, TimeoutError) as error:
            self.offsets.give_back(positions)
            log.warning("offsets_not_committed", error=type(error).__name__)


def known_position(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    """Return the partition's position if the client knows it now, without waiting for it."""
    asking = consumer.position(place)
    try:
        asking.send(None)
    except StopIteration as answer:
        return int(answer.value)
    except KafkaError:
        return None
    asking.close()
    return None
