"""Buries parked events whose deadline has passed, in bounded batches."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from consumer import rows
from consumer.settlement import Letter
from runtime.sql import statement
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from runtime.clock import Clock
    from runtime.postgres import Pool


async def sweep(pool: Pool, clock: Clock, *, records_max: int) -> int:
    """Turn up to `records_max` expired parked events into dead letters; return how many.

    Their names are locked first, in the same order as a batch does, so an event is either woken or buried.
    """
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetch(statement("consumer", "find_expired"), now, records_max)
        if not found:
            return 0
        keys = {(row["provider"], row["account"], row["kind"], row["ref"]) for row in found if row["ref"] is not None}
        await connection.fetch(statement("consumer", "lock_refs"), *rows.ref_columns(keys))
        ids = sorted({row["id"] for row in found})
        taken = await connection.fetch(statement("consumer", "take_expired"), ids, now)
        xid = await connection.fetchval("select pg_current_xact_id()::text::bigint")
        letters = [Letter(rows.record_of(row), Reason(row["reason"]), row["detail"]) for row in taken]
        arguments = [rows.letter_arguments(letter, xid, now) for letter in letters]
        await connection.executemany(statement("consumer", "bury_record"), arguments)
    return len(letters)
