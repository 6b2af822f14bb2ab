"""Deleting claims whose answers have been kept long enough: a bounded batch at a time, by whoever holds a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runtime.lease import guard, wait_for_event
from runtime.sql import statement
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from runtime.lease import Lease
    from runtime.postgres import Connection, Pool
    from runtime.settings import IntentsSettings

    Clean = Callable[[Connection, Lease, IntentsSettings], Awaitable[int]]
    """Deletes one batch of what is old; returns how many rows."""

_log = structlog.get_logger()


async def keep_clean(pool: Pool, bounds: IntentsSettings, lease: Lease, ending: asyncio.Event, *others: Clean) -> None:
    """Clean claims, and what `others` clean, now and then until `ending`.

    What fails is tried again later, LeaseLostError is raised.
    """
    while not ending.is_set():
        more = False
        try:
            async with pool.acquire(timeout=bounds.clean_interval_seconds) as connection:
                deleted = await clean_claims(connection, lease, bounds.clean_rows_max)
                more_deleted = [await clean(connection, lease, bounds) for clean in others]
            more = bounds.clean_rows_max in (deleted, *more_deleted)
            if deleted or any(more_deleted):
                rows = deleted + sum(more_deleted)
                _log.info("intent_claims_cleaned", rows=rows, more=more, fencing_token=lease.token)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 - a claim that stays a while longer must not stop the relay
            _log.warning("intent_claims_not_cleaned", error=f"{type(error).__name__}: {error}")
        if not more:
            await wait_for_event(ending, bounds.clean_interval_seconds)


async def clean_claims(connection: Connection, lease: Lease, rows_max: int) -> int:
    """Delete up to `rows_max` expired claims; return how many, so that the caller knows whether more may be there.

    Raises LeaseLostError, and deletes nothing, where the lease is another's.
    """
    async with connection.transaction():
        await guard(connection, lease)
        done = await connection.execute(statement("producers", "delete_claims"), rows_max)
    return int(done.rpartition(" ")[2])
