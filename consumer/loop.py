"""The consumer's loop: fetch, process in workers, commit offsets lazily; drain when partitions or the process go.

What speaks to Kafka stands in `poller`, which workers are busy in `pool`; here it is decided what goes to which worker
when, and what a rebalance or a stop waits for.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from consumer.fetched import share_out
from consumer.partition_reports import show_lag
from consumer.poller import Poller
from consumer.pool import WorkerPool
from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from consumer.offsets import OffsetRange, Place
    from consumer.positions import Positions
    from consumer.processing import Processor
    from runtime.kafka_ends import Ends
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()

POLLS_APART_SECONDS_MAX = 20.0
"""How long records that go one by one may keep the client from being polled; it leaves the group after 300 s."""


class ConsumerLoop(ConsumerRebalanceListener):  # type: ignore[misc]
    """Drives one group member. `run` returns after a clean drain; it raises what it can't go on with."""

    def __init__(
        self, consumer: AIOKafkaConsumer, processor: Processor, settings: ConsumerSettings, positions: Positions
    ) -> None:
        self._processor = processor
        self._quarantine = processor.quarantine
        self._outages = processor.outages
        self._checked = positions
        self._settings = settings
        self._poller = Poller(consumer, positions, settings, processor.halted)
        self._pool = WorkerPool(settings.batches_in_flight_max)
        self._shared_min = min(settings.share_records_min, settings.batch_records_max * self._pool.count)
        self._generation = 0
        self.progress_at = time.monotonic()
        self.lag = 0
        self.unknown = 0
        self.records_processed = 0

    @property
    def batches_open(self) -> int:
        """How many batches are being processed."""
        return len(self._pool.tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then drain."""
        while not stop.is_set():
            self._pool.raise_failure()
            if self._outages.since is not None:
                await self._poller.poll_paused()
                continue
            if self._checked.unchecked:
                await self._poller.check_positions()
                if self.waits_for_postgres:
                    self.progress_at = time.monotonic()
                continue
            fetched = await self._poller.fetch()
            generation = self._generation
            for records in fetched:
                if generation == self._generation:
                    await self._hand_out(records, stop)
            self._poller.all_begun = generation == self._generation and not stop.is_set()
            self._poller.commit_when_due()
        self._quarantine.marks.leave_word()
        await self._drain()
        await self._end()

    async def _end(self) -> None:
        """Give up what is not done in time: it is processed again at the next start; note that we end on purpose."""
        clean = self._pool.all_are_free()
        await self._pool.give_up()
        if await self._let_go(clean=clean):
            self._quarantine.marks.take_word_back()

    async def _let_go(self, *, clean: bool) -> bool:
        """Note that nothing of ours is in hand; return whether that could be noted."""
        try:
            async with asyncio.timeout(self._settings.commit_timeout_seconds):
                await self._quarantine.marks.let_go(clean=clean)
        except Exception as error:  # noqa: BLE001 - what is not noted now is noted at the next start
            log.warning("end_not_noted", error=type(error).__name__)
            return False
        return True

    async def _hand_out(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Give workers what was fetched; what is not handed out before a stop or a revoke is fetched again."""
        if not self._quarantine.normal(records):
            await self._process_exclusively(records, stop)
        elif len(records) < self._shared_min:
            await self._process_whole(records, stop)
        else:
            await self._process_shared(records, stop)

    async def _process_shared(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Give every worker its share as soon as it is free, and go on fetching."""
        generation = self._generation
        shares = share_out(records, self._pool.count)
        spans = self._begin(shares.values())
        for worker, share in shares.items():
            if not await self._until(partial(self._pool.is_free, worker), stop) or generation != self._generation:
                return
            self._launch(worker, share, spans)

    async def _process_whole(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Process records as one batch on any worker that is free; while none is, fetch nothing.

        A fetch that waits for records is answered at the first one, and the client sends no other before that one is
        taken: sent beside busy workers it brings little, and splits what is fetched together when one is free.
        """
        generation = self._generation
        if not await self._until(self._pool.some_is_free, stop) or generation != self._generation:
            return
        self._launch(self._pool.first_free(), records, self._begin([records]))
        if not self._pool.some_is_free():
            with self._poller.paused():
                await self._until(self._pool.some_is_free, stop)

    async def _process_exclusively(self, records: Sequence[Record], stop: asyncio.Event) -> None:
        """Process what is new or in quarantine with nothing beside it, in portions with offsets of their own."""
        generation = self._generation
        with self._poller.paused():
            portions = self._quarantine.portions(records)
            if await self._until(self._pool.all_are_free, stop) and generation == self._generation:
                self._pool.run_on(0, self._quarantine.begin(records))
            while await self._until(self._pool.all_are_free, stop) and generation == self._generation:
                self._poller.commit_when_due(0.0)
                if (portion := next(portions, None)) is None:
                    return
                self._launch(0, portion, self._begin([portion]))
                if self._poller.quiet_seconds > POLLS_APART_SECONDS_MAX:
                    await self._poller.poll_paused()

    def _begin(self, shares: Iterable[Sequence[Record]]) -> dict[Place, OffsetRange]:
        """Keep offsets from being committed past the records before all shares of them are durable."""
        last: dict[Place, int] = {}
        count: dict[Place, int] = {}
        for share in shares:
            ends = {(record.topic, record.partition): record.offset + 1 for record in share}
            for place, end in ends.items():
                last[place] = max(end, last.get(place, 0))
                count[place] = count.get(place, 0) + 1
        return {place: self._poller.offsets.begin(place, end, count[place]) for place, end in last.items()}

    async def _until(self, ready: Callable[[], bool], stop: asyncio.Event) -> bool:
        """Wait for workers, in an outage polling meanwhile, paused; False where a stop came first."""
        while not stop.is_set() and not ready():
            self._pool.raise_failure()
            self._poller.commit_when_due()
            if self._outages.since is not None:
                await self._poller.poll_paused()
            else:
                await self._pool.wait_for_one(self._settings.backoff_initial_seconds)
        return not stop.is_set()

    def _launch(self, worker: int, share: Sequence[Record], spans: Mapping[Place, OffsetRange]) -> None:
        """Start processing a worker's share."""
        places = {(record.topic, record.partition) for record in share}
        self._pool.run_on(worker, self._process(share, [spans[place] for place in places]))

    async def _process(self, records: Sequence[Record], spans: Sequence[OffsetRange]) -> None:
        await self._processor.process(records)
        halted = self._processor.halted
        self._poller.offsets.mark_processed(span for span in spans if span.place not in halted)
        if halted:
            self._poller.pause([TopicPartition(*place) for place in halted])
        self.progress_at = time.monotonic()
        self.records_processed += len(records)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Process what was taken and commit it before the partitions go; what does not finish is processed again."""
        self._generation += 1
        show_lag({})
        metrics.PARTITIONS_ASSIGNED.set(0)
        if revoked:
            await self._drain()
            await self._let_go(clean=True)  # also where a batch is in work still: this process lives
        self._poller.offsets.forget()
        self._quarantine.forget()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Note the new assignment: nothing of it is fetched before it is known where it goes on."""
        self.progress_at = time.monotonic()
        metrics.REBALANCES.inc()
        metrics.PARTITIONS_ASSIGNED.set(len(assigned))
        self._checked.assigned(assigned)
        self._poller.pause(assigned)
        log.info("partitions_assigned", partitions=len(assigned))

    async def _drain(self) -> None:
        await self._pool.drain(self._settings.drain_seconds)
        await self._poller.commit_all()

    def note_ends(self, ends: Mapping[TopicPartition, Ends]) -> None:
        """Compare how far was read with where our partitions end; nothing left to read is progress too.

        `lag` is what could be read now: nothing of a halted partition, nothing behind an open transaction. Where a
        partition goes on is `unknown` between an assignment and the first fetch; for longer, its client reads nothing.
        """
        positions, halted = self.positions(), self._processor.halted
        ours = [place for place in self.assigned & ends.keys() if (place.topic, place.partition) not in halted]
        self.lag = sum(max(0, ends[place].stable - positions[place]) for place in ours if place in positions)
        self.unknown = sum(place not in positions and ends[place].stable > ends[place].begin for place in ours)
        if not self.lag and not self.unknown and not self._pool.tasks:
            self.progress_at = time.monotonic()

    @property
    def waits_for_postgres(self) -> bool:
        """Whether nothing is taken because Postgres does not tell where partitions go on."""
        return bool(self._checked.unchecked) and self._checked.postgres_away

    @property
    def halted(self) -> Collection[Place]:
        """Partitions that take no more records until a restart."""
        return self._processor.halted

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Partitions that are ours."""
        return self._poller.assigned

    def positions(self) -> dict[TopicPartition, int]:
        """Return the offset to be fetched next, of the partitions of ours of which it is known now."""
        return self._poller.positions()

    def read_anew(self, topic: str) -> None:
        """Read a topic that was made anew from its beginning."""
        self._poller.read_anew(topic)

    def rejoin(self, missing: Collection[TopicPartition]) -> bool:
        """Join the group anew, so that `missing` partitions are shared out; False where we don't know them yet."""
        return self._poller.rejoin(missing)
