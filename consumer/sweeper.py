"""Wakes the parked events whose payment came, where nobody else did; buries those whose deadline has passed.

Both in bounded batches, under a lease.

The lease keeps consumers from doing the same work; what makes it right are the locks on references.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import structlog

from consumer import rows
from consumer.parking_clock import tick
from consumer.plan import Letter
from consumer.tally import count_buried, count_woken
from runtime import metrics
from runtime.lease import guard, wait_for_event
from runtime.postgres import classify
from runtime.sql import statement
from schemas.dead_letter import Reason
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    import asyncio

    from consumer.parking_clock import Look
    from consumer.resolve import RefKey
    from consumer.waking import Waker
    from runtime.clock import Clock
    from runtime.lease import Lease
    from runtime.postgres import Pool
    from runtime.settings import ParkingSettings

SWEEP_BYTES_MAX: Final = 16 * 1024 * 1024

log = structlog.get_logger()


async def sweep(  # noqa: PLR0913 - named bounds
    pool: Pool,
    clock: Clock,
    *,
    records_max: int,
    bytes_max: int = SWEEP_BYTES_MAX,
    lease: Lease | None = None,
    before: dt.datetime | None = None,
) -> int:
    """Turn up to `records_max` parked events into dead letters whose deadlines passed `before` that; return how many.

    With fewer it stops where they have `bytes_max`, for all of them are in memory at once.
    `before` is the watermark of `consumer.parking_clock`. Their references are locked first, in the same order as a
    batch does, so an event is either woken or buried. The letter of an orphan goes on waiting for them. Raises
    LeaseLostError, and buries nothing, where `lease` does not stand any more.
    """
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    passed = now if before is None else min(now, before)
    async with pool.acquire() as connection, connection.transaction():
        if lease is not None:
            await guard(connection, lease)
        found = await connection.fetch(statement("consumer", "find_expired"), passed, records_max, bytes_max)
        if not found:
            return 0
        refs: dict[int, list[RefKey]] = {row["id"]: [] for row in found}
        for row in found:
            if row["ref"] is not None:
                refs[row["id"]].append(rows.key_of(row))
        keys = {key for theirs in refs.values() for key in theirs}
        xid = await connection.fetchval(statement("consumer", "lock_refs_only"), *rows.ref_arrays(sorted(keys)))
        taken = await connection.fetch(statement("consumer", "take_expired"), sorted(refs), passed)
        letters = [Letter(rows.record_of(row), Reason(row["reason"]), row["detail"]) for row in taken]
        arguments = [rows.letter_arguments(letter, xid, now) for letter in letters]
        await connection.executemany(statement("consumer", "bury_record"), arguments)
        waits = [
            rows.orphan_arguments(letter, refs[row["id"]])
            for row, letter in zip(taken, letters, strict=True)
            if letter.reason is Reason.ORPHAN
        ]
        await connection.executemany(statement("consumer", "keep_orphan_refs"), waits)
    count_buried(letters)
    return len(letters)


async def wake_all(waker: Waker, ending: asyncio.Event) -> int:
    """Wake who waits on marked references, which a crash or an outage left so; return how many wait no more."""
    woken = 0
    while not ending.is_set() and (plan := await waker.turn()) is not None:
        count_woken(plan)
        woken += len(plan.woken) + len(plan.applied)
    return woken


class Sweeper:
    """Wakes and buries for as long as it holds the lease."""

    def __init__(self, pool: Pool, clock: Clock, waker: Waker, look: Look, parking: ParkingSettings) -> None:
        self._look = look
        self._pool = pool
        self._clock = clock
        self._waker = waker
        self._parking = parking

    async def keep(self, lease: Lease, ending: asyncio.Event) -> None:
        """Sweep until `ending` is set or the lease is lost; whatever else goes wrong is tried again."""
        try:
            await self._keep(lease, ending)
        finally:
            metrics.PARKING_STANDSTILL_SECONDS.set(0)  # who sweeps now tells it

    async def _keep(self, lease: Lease, ending: asyncio.Event) -> None:
        while not ending.is_set():
            try:
                buried = await self.turn(lease, ending)
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001 - the next turn tries again, and a batch does not wait for it
                log.warning("sweep_failed", error=type(error).__name__, failure=classify(error))
                buried = 0
            if not buried:
                await wait_for_event(ending, self._parking.sweep_interval_seconds)

    async def turn(self, lease: Lease | None, ending: asyncio.Event) -> int:
        """Wake all whose payment came, then bury one part of those past their deadline; return how many."""
        if woken := await wake_all(self._waker, ending):
            log.info("parked_woken", events=woken)
        reading = await self._look(self._clock.now())
        before = await tick(self._pool, self._clock.now(), reading, self._parking, lease)
        if before is None:
            return 0
        buried = await sweep(
            self._pool,
            self._clock,
            records_max=self._parking.sweep_records_max,
            bytes_max=self._parking.sweep_bytes_max,
            lease=lease,
            before=before,
        )
        if buried:
            log.info("parked_expired", dead_letters=buried)
        return buried
