"""Deleting claims whose answers have been kept long enough: a bounded batch at a time, by whoever holds a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.lease import guard
from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.lease import Lease
    from runtime.postgres import Connection


async def clean_claims(connection: Connection, lease: Lease, rows_max: int) -> int:
    """Delete up to `rows_max` expired claims; return how many, so that the caller knows whether more may be there.

    Raises LeaseLostError, and deletes nothing, where the lease is another's.
    """
    async with connection.transaction():
        await guard(connection, lease)
        done = await connection.execute(statement("producers", "delete_claims"), rows_max)
    return int(done.rpartition(" ")[2])
