"""The consumer as a process: its parts put together, and their watch."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from consumer.caught_up import CatchUpReader
from consumer.decode import endpoints_of
from consumer.hand import HandWatch
from consumer.instance import InstanceLock
from consumer.loop import ConsumerLoop
from consumer.marks import Marks, QuarantineRule
from consumer.outages import Outages
from consumer.positions import Positions, StoredOffsets
from consumer.processing import Processor
from consumer.quarantine import Quarantine
from consumer.retries import explain
from consumer.standstill import PartitionWatch
from consumer.sweeper import Sweeper
from consumer.transaction import BatchWriter
from runtime.clock import SystemClock
from runtime.ends import PurposefulEnds
from runtime.kafka import ensure_topics, ping
from runtime.kafka_ends import EndsReader
from runtime.kafka_records import bound_fetches, tolerate_odd_headers
from runtime.kafka_security import client_arguments
from runtime.lease import Leader, holder_name
from runtime.lease_redis import open_leases
from runtime.opening import close_pool, open_when_there
from runtime.postgres import classify, open_pool
from runtime.postgres_looks import commits_wait, keep_looking
from runtime.refusals import PASSING
from runtime.settings.scopes import scopes_of
from runtime.topic_binding import bound
from schemas.errors import RatchetError, SchemaMismatchError, SharedSessionsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from runtime.health import Probe
    from runtime.opening import Part
    from runtime.postgres import Pool
    from runtime.settings import Settings

log = structlog.get_logger()

LAG_INTERVAL_SECONDS = 2.0
LAG_TIMEOUT_SECONDS = 5.0
STACK_FRAMES = 3
"""Frames of each task that are shown when the role is stuck."""
EXTRA_CONNECTIONS = 3
"""Connections beside the workers': the sweeper's, the marks' and the instance lock's. Looks take what is free."""

PLANNER = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""Every statement of a batch looks rows up by key: plans made on empty or un-analyzed tables must not stay bad."""


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Run the consumer until `stop` is set. Waits for brokers that are away at the start."""
    async with AsyncExitStack() as stack:
        pool = await _patiently(lambda: _open_pool(settings), settings, stop, probe)
        if pool is None:
            return
        stack.push_async_callback(close_pool, pool, settings.consumer.drain_seconds)
        lock = _instance_lock(pool, settings)
        if lock is not None:
            if await _patiently(lock.take, settings, stop, probe) is None:
                return
            stack.push_async_callback(lock.give_back)
        consumer = await _patiently(lambda: _open_consumer(settings), settings, stop, probe)
        if consumer is None:
            return
        stack.push_async_callback(leave, consumer, settings.consumer.drain_seconds)
        processor = make_processor(pool, settings)
        positions = Positions(StoredOffsets(pool), settings.consumer.commit_timeout_seconds)
        loop = ConsumerLoop(consumer, processor, settings.consumer, positions)
        consumer.subscribe(settings.kafka.topics.consumed_names, listener=loop)
        _show(probe, loop, processor, settings)
        watches = [
            _watch_lag(loop, probe, processor, settings),
            _keep_sweeping(pool, settings, stop),
            keep_looking(pool, probe.facts),
            processor.quarantine.hand.keep(lambda: processor.outages.since is not None),
        ]
        if lock is not None:
            watches.append(lock.keep())
        await _run(loop, stop, watches)


async def _run(loop: ConsumerLoop, stop: asyncio.Event, watches: list[Coroutine[None, None, None]]) -> None:
    """Run the loop and its watches; the first one to fail ends all, and a failure of our own is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(watch) for watch in watches]
            try:
                await loop.run(stop)
            finally:
                for watcher in watchers:
                    watcher.cancel()
    except* RatchetError as failures:
        raise failures.exceptions[0] from None


def _instance_lock(pool: Pool, settings: Settings) -> InstanceLock | None:
    limits = settings.consumer
    if limits.instance_id is None:
        return None
    return InstanceLock(pool, limits.instance_id, limits.session_timeout_seconds)


def make_processor(pool: Pool, settings: Settings) -> Processor:
    """Put together what processes batches."""
    limits = settings.consumer
    rule = QuarantineRule(limits.unclean_ends_max, 2 * limits.batch_records_max * limits.batches_in_flight_max)
    marks = Marks(pool, settings.role.token or uuid4(), rule, PurposefulEnds(settings.home, "consumer"))
    patience = settings.postgres.statement_timeout_seconds + settings.postgres.connect_timeout_seconds
    hand = HandWatch(limits.hang_seconds_max, patience)
    outages = Outages(limits, hand.activity)
    return Processor(
        BatchWriter(pool, settings, SystemClock()).process,
        Quarantine(marks, hand, outages),
        outages,
        limits,
        endpoints=endpoints_of(scopes_of(settings), settings.kafka.topics),
        renew=pool.expire_connections,
    )


async def _open_pool(settings: Settings) -> Pool:
    try:
        pool = await open_pool(
            settings.postgres,
            role="consumer",
            connections=settings.consumer.batches_in_flight_max + EXTRA_CONNECTIONS,
            parameters=PLANNER,
        )
        return await bound(pool, settings.kafka.topic_prefix)
    except Exception as error:
        if classify(error) in PASSING:
            raise UnavailableError(f"Postgres is away: {explain(error)}") from error
        raise


def make_consumer(settings: Settings, group: str | None = None) -> AIOKafkaConsumer:
    """Make the client of one member of the group, or of another one; it is not started yet."""
    tolerate_odd_headers()
    limits = settings.consumer
    bound_fetches(limits.partition_fetch_bytes_max)
    session_ms = int(limits.session_timeout_seconds * 1000)
    return AIOKafkaConsumer(
        **client_arguments(settings.kafka),
        group_id=group or settings.kafka.group,
        group_instance_id=limits.instance_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        metadata_max_age_ms=int(limits.metadata_age_seconds_max * 1000),
        isolation_level="read_committed",
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms + int(limits.drain_seconds * 2000),
        request_timeout_ms=int(settings.kafka.request_timeout_seconds * 1000) + session_ms,
        max_partition_fetch_bytes=limits.partition_fetch_bytes_max,
        fetch_max_bytes=limits.batch_bytes_max,
        fetch_max_wait_ms=int(limits.fetch_wait_seconds * 1000),
    )


async def _open_consumer(settings: Settings) -> AIOKafkaConsumer:
    await ensure_topics(settings.kafka, settings.kafka.topics.consumed)
    consumer = make_consumer(settings)
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise UnavailableError(f"Kafka is away: {type(error).__name__}") from error
    return consumer


async def leave(consumer: AIOKafkaConsumer, within_seconds: float) -> None:
    """Let the member leave the group; a broken client may wait for ever, and the group notices by itself."""
    try:
        async with asyncio.timeout(within_seconds):
            await consumer.stop()
    except (TimeoutError, KafkaError) as error:
        log.warning("group_not_left", error=type(error).__name__)


async def _patiently(
    open_part: Callable[[], Awaitable[Part]], settings: Settings, stop: asyncio.Event, probe: Probe
) -> Part | None:
    """Open a part of the role, however long its broker is away; None where the role is stopped first.

    The probe says meanwhile what is waited for: a broker, or the schema of this version.
    """
    waiting: str | None = None
    probe.unready = lambda: waiting

    def note(error: Exception | None, _: int) -> None:
        nonlocal waiting
        waiting = None if error is None else f"starting: {error}"
        if error is not None:
            log.warning(_waiting_event(error), detail=str(error))

    return await open_when_there(
        open_part,
        stop,
        note,
        initial_seconds=settings.consumer.backoff_initial_seconds,
        max_seconds=settings.consumer.backoff_max_seconds,
    )


def _waiting_event(error: Exception) -> str:
    """Return the log event that says for what the start waits: Postgres may answer and be unfit."""
    if isinstance(error, SchemaMismatchError):
        return "schema_differs_at_start"
    return "sessions_shared_at_start" if isinstance(error, SharedSessionsError) else "broker_away_at_start"


def _show(probe: Probe, loop: ConsumerLoop, processor: Processor, settings: Settings) -> None:
    """Let the probe tell what holds the loop up: an outage is waited for, a stall wants a restart.

    A commit that waits for a standby is neither at first, and no restart ends it.
    While one record is in hand, alone, the process watches over itself, and ends before anybody else finds it stuck.
    """
    hand = processor.quarantine.hand

    def stuck() -> str | None:
        quiet = time.monotonic() - max(loop.progress_at, processor.outages.activity.at)
        patience = settings.consumer.stall_seconds + hand.acts_after_seconds * hand.held
        if processor.outages.since is None and quiet > patience and commits_wait(probe.facts) is None:
            seen = f"lag {loop.lag}, {loop.unknown} partitions without a position, {loop.batches_open} batches open"
            return f"{seen} and nothing attempted for {quiet:.0f} s"
        return None

    def unready() -> str | None:
        if processor.outages.since is not None:
            return f"Postgres can't be used: {processor.outages.why}"
        if loop.waits_for_postgres:
            return "Postgres does not tell where partitions go on"
        return commits_wait(probe.facts)

    probe.stuck, probe.unready, probe.state = stuck, unready, "running"


async def _watch_lag(loop: ConsumerLoop, probe: Probe, processor: Processor, settings: Settings) -> None:
    """Look at the partitions for as long as the role runs, through connections that are made anew after a failure."""
    watch = PartitionWatch(loop, settings.kafka.topics)
    while True:
        try:
            async with EndsReader(settings.kafka, LAG_TIMEOUT_SECONDS) as reader:
                while True:
                    async with asyncio.timeout(LAG_TIMEOUT_SECONDS):
                        await watch.look(reader)
                    _show_partitions(loop, watch, processor, probe)
                    await asyncio.sleep(LAG_INTERVAL_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("lag_unknown", error=type(error).__name__)
            await _excuse(loop, settings)
            _show_stall(probe)
            await asyncio.sleep(LAG_INTERVAL_SECONDS)


def _show_partitions(loop: ConsumerLoop, watch: PartitionWatch, processor: Processor, probe: Probe) -> None:
    _show_stall(probe)
    if processor.halted:
        probe.state = "halted"
    probe.facts["lag"] = loop.lag
    probe.facts["standstills"] = [asdict(one) for one in watch.standstills]


def _show_stall(probe: Probe) -> None:
    if probe.stuck():
        log.error("stalled", detail=probe.stuck(), tasks=where_tasks_wait())


async def _excuse(loop: ConsumerLoop, settings: Settings) -> None:
    """Count an outage of Kafka as no stall: a restart would not end it. A client that alone is broken is one."""
    try:
        await ping(settings.kafka)
    except UnavailableError:
        loop.progress_at = time.monotonic()


def where_tasks_wait() -> list[str]:
    """Tell where every task of the loop stands, by file and line: what to look at when nothing moves."""
    places = []
    for task in asyncio.all_tasks():
        frames = task.get_stack(limit=STACK_FRAMES)
        places.append(" < ".join(f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in reversed(frames)))
    return places


async def _keep_sweeping(pool: Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Wake and bury parked events for as long as the role runs, where no other consumer does."""
    clock = SystemClock()
    async with open_leases(pool, settings.redis) as leases, CatchUpReader(settings) as reader:
        sweeper = Sweeper(pool, clock, BatchWriter(pool, settings, clock).waker, reader.look, settings.parking)
        await Leader(leases, "sweeper", holder_name(), settings.parking.lease_seconds).run(stop, sweeper.keep)
