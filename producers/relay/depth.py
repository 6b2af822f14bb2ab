"""How much the relay has still to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.postgres import Connection


async def outbox_depth(connection: Connection) -> dict[str, int]:
    """Count what is not published yet: `changes` and `state` (ledger rows with a version), and rows of the others.

    The others are `dead_letters`, `commands` and `spool`.

    At rest all are zero. Reads what the backlog holds, so it costs little when there is little.
    """
    row = await connection.fetchrow(statement("producers", "count_outbox"))
    return {name: int(count) for name, count in (row or {}).items()}
