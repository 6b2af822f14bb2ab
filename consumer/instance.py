"""One process a group instance id: a session-level advisory lock in Postgres sees to it.

A consumer with an instance id is a static member of its group (KIP-345): when it dies suddenly and comes back, it gets
its partitions at once instead of a session time-out later. But two processes of one id would take the place from each
other without end: the Kafka client rejoins where the broker fences it. So whoever holds the lock is the member. The
lock ends with its connection, so at once with its process; where a whole host is lost, with the connection's keepalive.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import structlog

from runtime.postgres import OUTAGE_ERRORS
from runtime.sql import statement
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    import asyncpg

    from runtime.postgres import Connection, Pool

ASK_SECONDS: Final = 0.1
"""How often one that waits for the lock asks for it."""
LOOK_SECONDS: Final = 2.0
"""How often the holder makes sure that its connection, and so its lock, still stands."""

_log = structlog.get_logger()


class InstanceLock:
    """Holds an instance id for this process. `patience_seconds` is how long it waits for a predecessor to be gone."""

    def __init__(self, pool: Pool, instance_id: str, patience_seconds: float) -> None:
        self._pool = pool
        self._instance_id = instance_id
        self._patience_seconds = patience_seconds
        self._connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | None = None

    async def take(self) -> bool:
        """Take the id; raise SettingsError where another process keeps it, UnavailableError where nobody can tell."""
        try:
            self._connection = connection = await self._pool.acquire(timeout=self._patience_seconds)
            await self._lock(connection)
        except OUTAGE_ERRORS as error:
            await self.give_back()
            raise UnavailableError(f"Postgres is away: {type(error).__name__}") from error
        except BaseException:
            await self.give_back()
            raise
        return True

    async def _lock(self, connection: Connection) -> None:
        until = time.monotonic() + self._patience_seconds
        while not await connection.fetchval(statement("consumer", "lock_instance"), self._instance_id):
            if time.monotonic() > until:
                raise SettingsError(
                    f"RATCHET_CONSUMER__INSTANCE_ID={self._instance_id} is in use by another consumer; "
                    "give each consumer an id of its own, or none"
                )
            await asyncio.sleep(ASK_SECONDS)

    async def keep(self) -> None:
        """Watch over the lock for good, and take it anew after an outage; raises what `take` raises, but no outage."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self._connection is None:
                    await self.take()
                else:
                    await self._connection.fetchval("select 1", timeout=self._patience_seconds)
            except (UnavailableError, *OUTAGE_ERRORS) as error:
                _log.warning("instance_lock_lost", instance=self._instance_id, error=type(error).__name__)
                await self.give_back()

    async def give_back(self) -> None:
        """Let go of the id by ending the session, which may be gone already; a connection that hangs is dropped."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*OUTAGE_ERRORS):
                await connection.close(timeout=self._patience_seconds)
            with contextlib.suppress(*OUTAGE_ERRORS):
                await self._pool.release(connection, timeout=self._patience_seconds)
