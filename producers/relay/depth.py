"""How much the relay has still to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.postgres import Connection


async def outbox_depth(connection: Connection) -> dict[str, int]:
    """Count the rows that are not published yet: of `changes` and `state` those of the ledger that have a version.

    The others are `dead_letters`, `commands` and `spool`. At rest all are zero. It reads what the
    backlog holds, so it costs little when there is little.
    """
    row = await connection.fetchrow(statement("producers", "count_outbox"))
    return {name: int(count) for name, count in (row or {}).items()}
