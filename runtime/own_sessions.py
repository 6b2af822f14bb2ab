"""Whether a session is our own from its first statement to its last, as advisory locks and prepared statements need it.

A pooler in transaction mode lends a process of Postgres for one transaction. The lock of a consumer's instance id would
then be held by whoever has the process next, and a statement that one role prepared could be run by another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.errors import SharedSessionsError

if TYPE_CHECKING:
    from runtime.postgres import Connection, Pool

PROCESS: Final = "select pg_backend_pid()"
SHARED: Final = (
    "a pooler in transaction mode (or statement mode) stands between us and Postgres: two sessions of ours share one "
    "of its processes. A consumer's instance id is an advisory lock, and statements are prepared, both of them a "
    "session's own: set pool_mode = session in the pooler, or point RATCHET_POSTGRES__DSN at Postgres itself"
)
"""Why, and what to do."""


async def shared(first: Connection, second: Connection) -> bool:
    """Tell whether two sessions share a process of Postgres.

    While the second one has a transaction open, the first one must still have the process that it had before.
    """
    before = await first.fetchval(PROCESS)
    async with second.transaction():
        if await second.fetchval(PROCESS) == before:
            return True
        return bool(await first.fetchval(PROCESS) != before)


async def check_own_sessions(pool: Pool) -> None:
    """Raise SharedSessionsError where the pool's sessions are not its own; of a single one that is not known."""
    if pool.get_max_size() > 1:
        async with pool.acquire() as first, pool.acquire() as second:
            if await shared(first, second):
                raise SharedSessionsError(SHARED)
