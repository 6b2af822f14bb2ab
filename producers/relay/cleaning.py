"""Deletes what was kept long enough: idempotency records, and commands, which the relay alone knows published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runtime.lease import guard, wait_for_event
from runtime.sql import statement
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    import asyncio

    from runtime.lease import Lease
    from runtime.postgres import Connection, Pool
    from runtime.settings import IntentsSettings

_log = structlog.get_logger()


async def keep_clean(pool: Pool, bounds: IntentsSettings, lease: Lease, ending: asyncio.Event) -> None:
    """Delete old idempotency records and commands now and then until `ending`, a bounded batch at a time.

    What fails is tried again later, LeaseLostError is raised.
    """
    while not ending.is_set():
        more = False
        try:
            async with pool.acquire(timeout=bounds.clean_interval_seconds) as connection:
                records = await clean_idempotency_records(connection, lease, bounds)
                commands = await clean_commands(connection, lease, bounds)
            more = bounds.clean_rows_max in (records, commands)
            if records or commands:
                _log.info("intent_claims_cleaned", rows=records + commands, more=more, fencing_token=lease.token)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 - a record that stays a while longer must not stop the relay
            _log.warning("intent_claims_not_cleaned", error=f"{type(error).__name__}: {error}")
        if not more:
            await wait_for_event(ending, bounds.clean_interval_seconds)


async def clean_idempotency_records(connection: Connection, lease: Lease, bounds: IntentsSettings) -> int:
    """Delete up to `clean_rows_max` expired idempotency records; return how many.

    Raises LeaseLostError, and deletes nothing, where the lease is another's.
    """
    return await _delete(connection, lease, "delete_idempotency_records", bounds.clean_rows_max)


async def clean_commands(connection: Connection, lease: Lease, bounds: IntentsSettings) -> int:
    """Delete up to `clean_rows_max` published commands that are older than `commands_kept_seconds`; return how many.

    Raises LeaseLostError, and deletes nothing, where the lease is another's.
    """
    return await _delete(connection, lease, "delete_commands", bounds.clean_rows_max, bounds.commands_kept_seconds)


async def _delete(connection: Connection, lease: Lease, name: str, *bounds: float) -> int:
    async with connection.transaction():
        await guard(connection, lease)
        done = await connection.execute(statement("producers", name), *bounds)
    return int(done.rpartition(" ")[2])
