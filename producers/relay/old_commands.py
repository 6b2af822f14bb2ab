"""Deleting commands that were kept long enough; the relay does it, for it alone knows which are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.lease import guard
from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.lease import Lease
    from runtime.postgres import Connection
    from runtime.settings import IntentsSettings


async def clean_commands(connection: Connection, lease: Lease, bounds: IntentsSettings) -> int:
    """Delete up to `clean_rows_max` published commands that are older than `commands_kept_seconds`; return how many.

    Raises LeaseLostError, and deletes nothing, where the lease is another's.
    """
    async with connection.transaction():
        await guard(connection, lease)
        done = await connection.execute(
            statement("producers", "delete_commands"), bounds.clean_rows_max, bounds.commands_kept_seconds
        )
    return int(done.rpartition(" ")[2])
