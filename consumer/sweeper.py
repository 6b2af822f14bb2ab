"""Buries parked events whose deadline has passed, in bounded batches, under a lease.

The lease keeps consumers from doing the same work; what makes it right are the locks on names.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import structlog

from consumer import rows
from consumer.plan import Letter
from consumer.tally import count_buried
from runtime.lease import guard, wait_for_event
from runtime.postgres import classify
from runtime.sql import statement
from schemas.dead_letter import Reason
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    import asyncio

    from runtime.clock import Clock
    from runtime.lease import Lease
    from runtime.postgres import Pool
    from runtime.settings import ParkingSettings

log = structlog.get_logger()


async def sweep(pool: Pool, clock: Clock, *, records_max: int, lease: Lease | None = None) -> int:
    """Turn up to `records_max` expired parked events into dead letters; return how many.

    Their names are locked first, in the same order as a batch does, so an event is either woken or buried. Raises
    LeaseLostError, and buries nothing, where `lease` does not stand any more.
    """
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    async with pool.acquire() as connection, connection.transaction():
        if lease is not None:
            await guard(connection, lease)
        found = await connection.fetch(statement("consumer", "find_expired"), now, records_max)
        if not found:
            return 0
        keys = {rows.key_of(row) for row in found if row["ref"] is not None}
        xid = await connection.fetchval(statement("consumer", "lock_names"), *rows.ref_arrays(sorted(keys)))
        ids = sorted({row["id"] for row in found})
        taken = await connection.fetch(statement("consumer", "take_expired"), ids, now)
        letters = [Letter(rows.record_of(row), Reason(row["reason"]), row["detail"]) for row in taken]
        arguments = [rows.letter_arguments(letter, xid, now) for letter in letters]
        await connection.executemany(statement("consumer", "bury_record"), arguments)
    count_buried(letters)
    return len(letters)


async def keep_sweeping(
    pool: Pool, clock: Clock, parking: ParkingSettings, lease: Lease, ending: asyncio.Event
) -> None:
    """Sweep until `ending` is set or the lease is lost; whatever else goes wrong is tried again."""
    while not ending.is_set():
        try:
            buried = await sweep(pool, clock, records_max=parking.sweep_records_max, lease=lease)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 - the next turn tries again, and a batch does not wait for it
            log.warning("sweep_failed", error=type(error).__name__, failure=classify(error))
            buried = 0
        if buried:
            log.info("parked_expired", dead_letters=buried)
        if buried < parking.sweep_records_max:
            await wait_for_event(ending, parking.sweep_interval_seconds)
