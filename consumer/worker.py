"""The consumer's loop: fetch, settle in lanes, commit offsets lazily; drain when partitions or the process go.

Offsets follow commits, never the other way round. A replay is harmless, so offsets are committed now and then; what is
not committed is settled again and found in the books.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumer.fetched import record_of, share_out, split
from consumer.offsets import Offsets, Place, Span
from consumer.partition_reports import report_restart, show_lag
from runtime import metrics
from runtime.kafka import authorization_kind, not_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord

    from consumer.lane import Lanes
    from consumer.positions import Positions
    from runtime.kafka_ends import Ends
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()

PAUSED_POLL_SECONDS = 0.2
"""How long one poll takes while everything is paused; polling keeps the group membership alive."""
POLLS_APART_SECONDS_MAX = 20.0
"""How long records that go one by one may keep the client from being polled; it leaves the group after 300 s."""


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]
    """Drives one group member. `run` returns after a clean drain; it raises what it can't go on with."""

    def __init__(
        self, consumer: AIOKafkaConsumer, lanes: Lanes, settings: ConsumerSettings, positions: Positions
    ) -> None:
        self._consumer = consumer
        self._lanes = lanes
        self._checked = positions
        self._settings = settings
        self._lane_count = settings.batches_in_flight_max
        self._fetch_max = settings.batch_records_max * self._lane_count
        self._shared_min = min(settings.share_records_min, self._fetch_max)
        self._offsets = Offsets()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._commit_task: asyncio.Task[None] | None = None
        self._committed_at = 0.0
        self._polled_at = time.monotonic()
        self._generation = 0
        self._all_begun = True
        self.progress_at = time.monotonic()
        self.lag = 0
        self.records_settled = 0

    @property
    def batches_open(self) -> int:
        """How many batches are being settled."""
        return len(self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then drain."""
        while not stop.is_set():
            self._raise_failure()
            if self._lanes.outage_since is not None:
                await self._poll_paused()
                continue
            if self._checked.unchecked:
                await self._check_positions()
                continue
            fetched = await self._fetch()
            generation = self._generation
            for records in fetched:
                if generation == self._generation:
                    await self._hand_out(records, stop)
            self._all_begun = generation == self._generation and not stop.is_set()
            self._commit_when_due()
        self._lanes.leave_word()
        await self._drain()
        await self._end()

    async def _check_positions(self) -> None:
        """Find out where new partitions go on; nothing of them is taken before that is known."""
        self.progress_at = time.monotonic()
        partitions = self._checked.unchecked
        if await self._checked.check(self._consumer):
            self._resume(set(partitions))
        else:
            await self._poll_paused()

    async def _end(self) -> None:
        """Give up what is not done in time: it is settled again at the next start; note that we end on purpose."""
        clean = not self._tasks
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if await self._let_go(clean=clean):
            self._lanes.take_word_back()

    async def _let_go(self, *, clean: bool) -> bool:
        """Note that nothing of ours is in hand; return whether that could be noted."""
        try:
            await asyncio.wait_for(self._lanes.let_go(clean=clean), self._settings.backoff_max_seconds)
        except Exception as error:  # noqa: BLE001 - what is not noted now is noted at the next start
            log.warning("end_not_noted", error=type(error).__name__)
            return False
        return True

    async def _fetch(self) -> list[list[Record]]:
        fetched = await self._poll(self._settings.fetch_wait_seconds, self._fetch_max)
        self._all_begun = not fetched
        records = [record_of(message) for messages in fetched.values() for message in messages]
        return list(split(records, self._settings.batch_bytes_max))

    async def _poll(self, seconds: float, records_max: int | None = None) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Take what comes in that time; raise AccessRefusedError where we may not read."""
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

    async def _restart(self, partition: TopicPartition, wanted: int | None) -> None:
        """Go on at the partition's first record where what we `wanted` is not there, and say what that skips.

        None is a partition of which the group has committed nothing.
        """
        try:
            begin = (await self._consumer.beginning_offsets([partition]))[partition]
            self._consumer.seek(partition, begin)
        except KafkaError as error:
            log.warning("beginning_unknown", topic=partition.topic, partition=partition.partition, error=repr(error))
            return
        self._offsets.restart((partition.topic, partition.partition), begin)
        report_restart(partition, wanted, begin)

    def read_anew(self, topic: str) -> None:
        """Read a topic from its beginning: it was deleted and made anew, and our positions are of the old one.

        What was taken of the old one is still settled.
        """
        for partition in self._consumer.assignment():
            if partition.topic == topic:
                self._consumer.seek(partition, 0)
                self._offsets.restart((topic, partition.partition), 0)
        metrics.TOPICS_MADE_ANEW.labels(topic).inc()
        log.error("topic_made_anew", topic=topic, detail="it is read from its beginning")

    async def _hand_out(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Give lanes what was fetched; what is not handed out before a stop or a revoke is fetched again."""
        if not self._lanes.calm(records):
            await self._settle_alone(records, stop)
        elif len(records) < self._shared_min:
            await self._settle_whole(records, stop)
        else:
            await self._settle_shared(records, stop)

    async def _settle_shared(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Give every lane its share as soon as it is free, and go on fetching."""
        generation = self._generation
        shares = share_out(records, self._lane_count)
        spans = self._begin(shares.values())
        for lane, share in shares.items():
            if not await self._until(partial(self._lane_is_free, lane), stop) or generation != self._generation:
                return
            self._launch(lane, share, spans)

    async def _settle_whole(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Settle records as one batch on any lane that is free; while none is, fetch nothing.

        A fetch that waits for records is answered at the first one, and the client sends no other before that one is
        taken: sent beside busy lanes it brings little, and splits what is fetched together when one is free.
        """
        generation = self._generation
        if not await self._until(self._some_lane_is_free, stop) or generation != self._generation:
            return
        lane = next(filter(self._lane_is_free, range(self._lane_count)))
        self._launch(lane, records, self._begin([records]))
        if not self._some_lane_is_free():
            await self._without_fetching(self._some_lane_is_free, stop)

    async def _settle_alone(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Settle what is new or wants caution with nothing beside it, in portions with offsets of their own."""
        generation = self._generation
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        portions = self._lanes.portions(records)
        try:
            if await self._until(self._all_lanes_are_free, stop) and generation == self._generation:
                self._run_on(0, self._lanes.begin(records))
            while await self._until(self._all_lanes_are_free, stop) and generation == self._generation:
                self._commit_when_due(0.0)
                if (portion := next(portions, None)) is None:
                    return
                self._launch(0, portion, self._begin([portion]))
                if time.monotonic() - self._polled_at > POLLS_APART_SECONDS_MAX:
                    await self._poll_paused()
        finally:
            self._resume(assigned)

    async def _without_fetching(self, ready: Callable[[], bool], stop: asyncio.Event) -> None:
        """Wait for lanes, and let the client fetch nothing meanwhile."""
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        try:
            await self._until(ready, stop)
        finally:
            self._resume(assigned)

    def _lane_is_free(self, lane: int) -> bool:
        return lane not in self._tasks

    def _some_lane_is_free(self) -> bool:
        return len(self._tasks) < self._lane_count

    def _all_lanes_are_free(self) -> bool:
        return not self._tasks

    def _begin(self, shares: Iterable[Sequence[Record]]) -> dict[Place, Span]:
        """Keep offsets from being committed past the records before all shares of them are durable."""
        last: dict[Place, int] = {}
        count: dict[Place, int] = {}
        for share in shares:
            ends = {(record.topic, record.partition): record.offset + 1 for record in share}
            for place, end in ends.items():
                last[place] = max(end, last.get(place, 0))
                count[place] = count.get(place, 0) + 1
        return {place: self._offsets.begin(place, end, count[place]) for place, end in last.items()}

    async def _until(self, ready: Callable[[], bool], stop: asyncio.Event) -> bool:
        """Wait for lanes, in an outage polling meanwhile, paused; False where a stop came first."""
        while not stop.is_set() and not ready():
            self._raise_failure()
            self._commit_when_due()
            if self._lanes.outage_since is not None:
                await self._poll_paused()
            else:
                await asyncio.wait(
                    self._tasks.values(),
                    return_when=asyncio.FIRST_COMPLETED,
                    timeout=self._settings.backoff_initial_seconds,
                )
        return not stop.is_set()

    async def _poll_paused(self) -> None:
        """Poll without taking records: the partitions stay ours while nothing can be settled.

        A rebalance meanwhile may bring partitions that are not paused: what comes from them is fetched again.
        """
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        try:
            fetched = await self._poll(PAUSED_POLL_SECONDS)
            for partition, messages in fetched.items():
                self._consumer.seek(partition, messages[0].offset)
        finally:
            self._resume(assigned)
        await asyncio.sleep(0)

    def _resume(self, partitions: set[TopicPartition]) -> None:
        halted = {TopicPartition(*place) for place in self._lanes.halted}
        self._consumer.resume(*(partitions & self._consumer.assignment()) - halted - self._checked.unchecked)

    def _launch(self, lane: int, share: Sequence[Record], spans: Mapping[Place, Span]) -> None:
        """Start settling a lane's share."""
        places = {(record.topic, record.partition) for record in share}
        self._run_on(lane, self._settle(share, [spans[place] for place in places]))

    def _run_on(self, lane: int, work: Coroutine[None, None, None]) -> None:
        self._tasks[lane] = task = asyncio.create_task(work)
        task.add_done_callback(partial(self._done, lane))

    def _done(self, lane: int, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            del self._tasks[lane]

    def _raise_failure(self) -> None:
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _settle(self, records: Sequence[Record], spans: Sequence[Span]) -> None:
        await self._lanes.settle(records)
        halted = self._lanes.halted
        self._offsets.settle(span for span in spans if span.place not in halted)
        if halted:
            self._consumer.pause(*{TopicPartition(*place) for place in halted} & self._consumer.assignment())
        self.progress_at = time.monotonic()
        self.records_settled += len(records)

    def _commit_when_due(self, interval_seconds: float | None = None) -> None:
        """Commit in the background, one commit at a time: a commit waits for the broker, settling does not."""
        due = self._settings.commit_interval_seconds if interval_seconds is None else interval_seconds
        if time.monotonic() - self._committed_at < due:
            return
        self._note_reached()
        if self._commit_task is None or self._commit_task.done():
            self._committed_at = time.monotonic()
            self._commit_task = asyncio.create_task(self._commit())

    def _note_reached(self) -> None:
        """Note how far each partition was read: where all that was fetched was begun, also what is no record counts."""
        if self._all_begun:
            for place, position in self.positions().items():
                self._offsets.reach((place.topic, place.partition), position)

    def positions(self) -> dict[TopicPartition, int]:
        """Return the offset to be fetched next, of the partitions of ours of which it is known now."""
        known = {place: known_position(self._consumer, place) for place in self._consumer.assignment()}
        return {place: position for place, position in known.items() if position is not None}

    async def _commit(self) -> None:
        positions = self._offsets.take_ready()
        if not positions:
            return
        if not await self._checked.note(positions):
            self._offsets.give_back(positions)
            return
        try:
            offsets = {TopicPartition(*place): offset for place, offset in positions.items()}
            await asyncio.wait_for(self._consumer.commit(offsets), self._settings.commit_timeout_seconds)
        except IllegalStateError:
            ours = self._consumer.assignment()
            kept = {place: offset for place, offset in positions.items() if TopicPartition(*place) in ours}
            self._offsets.give_back(kept)
            log.info("offsets_not_ours", partitions=len(positions) - len(kept))
        except (KafkaError, TimeoutError) as error:
            self._offsets.give_back(positions)
            log.warning("offsets_not_committed", error=type(error).__name__)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Settle what was taken and commit it before the partitions go; what does not finish is settled again."""
        self._generation += 1
        show_lag({})
        metrics.PARTITIONS_ASSIGNED.set(0)
        if revoked:
            await self._drain()
            await self._let_go(clean=True)  # also where a batch is in work still: this process lives
        self._offsets.forget()
        self._lanes.forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Note the new assignment: nothing of it is fetched before it is known where it goes on."""
        self.progress_at = time.monotonic()
        metrics.REBALANCES.inc()
        metrics.PARTITIONS_ASSIGNED.set(len(assigned))
        self._checked.assigned(assigned)
        self._consumer.pause(*assigned)
        log.info("partitions_assigned", partitions=len(assigned))

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=self._settings.drain_seconds)
        if self._commit_task is not None:
            await asyncio.wait([self._commit_task], timeout=self._settings.drain_seconds)
        self._note_reached()
        await self._commit()

    def note_ends(self, ends: Mapping[TopicPartition, Ends]) -> None:
        """Compare how far was read with where our partitions end; nothing left to read is progress too.

        `lag` is what could be read now: nothing of a halted partition, nothing behind an open transaction.
        """
        self.lag = sum(
            max(0, ends[place].stable - position)
            for place, position in self.positions().items()
            if place in ends and (place.topic, place.partition) not in self._lanes.halted
        )
        if not self.lag and not self._tasks:
            self.progress_at = time.monotonic()

    @property
    def halted(self) -> Collection[Place]:
        """Partitions that take no more records until a restart."""
        return self._lanes.halted

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Partitions that are ours."""
        return frozenset(self._consumer.assignment())

    def rejoin(self, missing: Collection[TopicPartition]) -> bool:
        """Join the group anew, so that its leader shares `missing` partitions out; False where we don't know them yet.

        A static member that came back may be the leader and not know it: brokers tell it from JoinGroup 9 on, which
        the client does not speak (KAFKA-13435). When the leader joins anew, the broker lets it share out again.
        """
        if not all(one.partition in (self._consumer.partitions_for_topic(one.topic) or ()) for one in missing):
            return False
        self._consumer._coordinator.request_rejoin()  # noqa: SLF001 - subscribing anew would drop what is in hand
        return True


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
