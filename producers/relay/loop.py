"""The loop of one lane: read, publish, finish, again; after a failure wait and begin anew from what is marked.

`turn` is one pass without any waiting; `run` is the loop that decides when the next one comes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from producers.relay.cluster import RelayHaltedError, check_cluster
from producers.relay.destination import Destination, PartlyPublishedError
from producers.relay.lanes import SpoolLane
from runtime import metrics, telemetry
from runtime.lease import wait_for_event
from runtime.postgres import OUTAGE_ERRORS
from runtime.retry import pause_seconds
from schemas.errors import LeaseLostError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.relay.destination import RecordRefusal
    from producers.relay.lanes import Batch, Lane
    from producers.relay.records import RelayedRecord
    from runtime.lease import Lease
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

_log = structlog.get_logger()


@dataclass(slots=True)
class LaneHealth:
    """What a lane tells of itself. `ended_at` is when the last turn ended, well or not (monotonic seconds)."""

    ended_at: float = field(default_factory=time.monotonic)
    failure: str | None = None
    halted: bool = False
    failures_in_row: int = 0
    records: int = 0

    def succeeded(self, records: int) -> None:
        """Note a turn that ended well."""
        self.ended_at = time.monotonic()
        self.failure, self.halted, self.failures_in_row = None, False, 0
        self.records += records

    def failed(self, reason: str, *, halted: bool) -> None:
        """Note a turn that did not."""
        self.ended_at = time.monotonic()
        self.failure, self.halted = reason, halted
        self.failures_in_row += 1

    def rest(self) -> None:
        """Forget what failed: another relay may lead from now on, and this one has nothing to be unready for."""
        self.failure, self.halted, self.failures_in_row = None, False, 0


class LaneLoop:
    """One lane at work under one lease."""

    def __init__(self, lane: Lane, pool: Pool, settings: Settings, health: LaneHealth) -> None:
        self._lane = lane
        self._pool = pool
        self._settings = settings
        self._health = health
        self._destination = Destination(settings.kafka, lane.compression)
        self._following: Batch | None = None

    async def run(self, lease: Lease, ending: asyncio.Event) -> None:
        """Carry until `ending`; an outage is waited out, LeaseLostError is raised."""
        try:
            while not ending.is_set():
                try:
                    await self._session(lease, ending)
                except LeaseLostError:
                    raise
                except Exception as error:  # noqa: BLE001 - one lane's trouble must not stop the others
                    await self._recover(error, ending)
        finally:
            await self._destination.close()

    async def _session(self, lease: Lease, ending: asyncio.Event) -> None:
        """Turn on one connection until `ending` or a failure, looking after the cluster's identity now and then."""
        bound = self._settings.postgres.connect_timeout_seconds
        async with self._pool.acquire(timeout=bound) as connection:
            self._following = None
            checked_at = -float("inf")
            while not ending.is_set():
                if time.monotonic() - checked_at >= self._settings.relay.cluster_check_seconds:
                    await check_cluster(connection, lease)
                    checked_at = time.monotonic()
                if not await self.turn(connection, lease):
                    await wait_for_event(ending, self._settings.relay.poll_interval_seconds)

    async def turn(self, connection: Connection, lease: Lease) -> bool:
        """Carry one batch; tell whether the next turn should follow at once."""
        started = time.monotonic()
        batch, self._following = self._following or await self._lane.read(connection), None
        if batch is None:
            self._health.succeeded(0)
            return False
        read = time.monotonic()
        try:
            following, refused = await self._publish_and_read_on(connection, batch)
        except PartlyPublishedError as error:
            await self._finish_part(connection, batch, lease, error.acknowledged)
            raise
        published = time.monotonic()
        await self._lane.finish(connection, batch, lease, refused)
        finished = time.monotonic()
        self._health.succeeded(len(batch.records) - len(refused))
        metrics.RELAY_REFUSED.labels(self._lane.name).inc(len(refused))
        _log.info(
            "relay_batch",
            lane=self._lane.name,
            rows=batch.rows,
            records=len(batch.records),
            refused=len(refused),
            read_seconds=round(read - started, 4),
            publish_seconds=round(published - read, 4),
            settle_seconds=round(finished - published, 4),
            more=batch.more,
            fencing_token=lease.token,
        )
        self._following = following
        return batch.more

    async def _finish_part(
        self, connection: Connection, batch: Batch, lease: Lease, acknowledged: frozenset[int]
    ) -> None:
        """Mark what some partitions took before another failed, where the lane can: it need not go a second time."""
        if not batch.divisible:
            return
        await self._lane.finish(connection, batch.part(acknowledged), lease, {})
        if isinstance(self._lane, SpoolLane):
            self._lane.leave(id_ for place, id_ in enumerate(batch.mark) if place not in acknowledged)
        self._health.records += len(acknowledged)

    async def _publish_and_read_on(
        self, connection: Connection, batch: Batch
    ) -> tuple[Batch | None, dict[int, Exception]]:
        """Publish the batch and meanwhile read the next one, if there may be one; return it and what was refused."""
        reading = asyncio.ensure_future(self._lane.read(connection, batch)) if batch.more else None
        try:
            refused = await self._publish_all(batch.records) if batch.records else {}
        finally:
            if reading is not None:
                await asyncio.gather(reading, return_exceptions=True)
        return None if reading is None else reading.result(), refused

    async def _publish_all(self, records: Sequence[RelayedRecord]) -> dict[int, Exception]:
        """Publish, what Kafka refuses again in smaller forms; return what it takes in none, and why."""
        waiting, refused = dict(enumerate(records)), {}
        while waiting:
            places, smaller = list(waiting), {}
            for place, error in await self._publish(list(waiting.values())):
                index = places[place]
                if (form := self._lane.reduced(waiting[index], error)) is None:
                    refused[index] = error
                else:
                    smaller[index] = form
            waiting = smaller
        return refused

    async def _publish(self, records: Sequence[RelayedRecord]) -> list[RecordRefusal]:
        """Publish, timed and traced."""
        began, topics = time.perf_counter(), {record.topic for record in records}
        with telemetry.publishing(",".join(sorted(topics)), len(records), (record.headers for record in records)):
            refusals = await self._destination.publish(records)
        metrics.RELAY_PUBLISH_SECONDS.labels(self._lane.name).observe(time.perf_counter() - began)
        metrics.RELAY_RECORDS.labels(self._lane.name).inc(len(records) - len(refusals))
        return refusals

    async def _recover(self, error: Exception, ending: asyncio.Event) -> None:
        """Say what failed and wait; what is not marked is read again."""
        halted = isinstance(error, RelayHaltedError)
        foreseen = isinstance(error, (UnavailableError, *OUTAGE_ERRORS))
        reason = f"{self._lane.name}: {type(error).__name__}: {error}"
        self._health.failed(reason, halted=halted)
        metrics.RELAY_FAILURES.labels(self._lane.name).inc()
        relay = self._settings.relay
        pause = pause_seconds(self._health.failures_in_row, relay.backoff_initial_seconds, relay.backoff_max_seconds)
        write = _log.warning if foreseen else _log.error
        write(
            "relay_halted" if halted else "relay_failed",
            lane=self._lane.name,
            error=reason,
            failures_in_row=self._health.failures_in_row,
            exc_info=not (foreseen or halted),
        )
        await wait_for_event(ending, pause)
