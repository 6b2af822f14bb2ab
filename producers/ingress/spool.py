"""The spool: accepted records wait in Postgres while Kafka is away; the relay brings them there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from runtime.postgres import LazyPool, open_pool
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from producers.ingress.records import Outgoing
    from runtime.postgres import Connection
    from runtime.settings import Settings

    Work = Callable[[Connection], Awaitable[object]]


class Spool:
    """Opens its pool at the first use, so the door opens while Postgres is away."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_seconds = settings.ingress.spool_timeout_seconds
        connections = settings.ingress.spool_connections_max
        self._pool = LazyPool(lambda: open_pool(settings.postgres, role="ingress", connections=connections))

    async def store(self, records: Sequence[Outgoing]) -> None:
        """Insert all records in one transaction; raise UnavailableError when that is not known to be committed."""
        rows = [
            (
                record.topic,
                record.key,
                record.value,
                [name.encode() for name, _ in record.headers],
                [value for _, value in record.headers],
            )
            for record in records
        ]
        await self._run(lambda connection: connection.executemany(statement("producers", "insert_spool"), rows))

    async def check(self) -> None:
        """Return if the spool can be reached, else raise UnavailableError."""
        await self._run(lambda connection: connection.execute("select from spool limit 0"))

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()

    async def _run(self, work: Work) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                pool = await self._pool.get()
                connection = await pool.acquire()
                try:
                    await work(connection)
                except BaseException:
                    connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
                    raise
                finally:
                    await pool.release(connection)
        except TimeoutError:
            raise UnavailableError(f"Postgres: the spool took no record in {self._timeout_seconds:g} s") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise UnavailableError(f"Postgres: the spool failed with {type(error).__name__}") from error
