"""The API's own connections to Postgres: opened at the first use, every unit of work one transaction with a bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from runtime.postgres import PASSING_ERRORS, TWIN_ERRORS, LazyPool, open_pool
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Result = TypeVar("Result")
PLANNER: Final = {"enable_seqscan": "off", "jit": "off"}
"""Every statement looks rows up by key: plans made on empty or un-analyzed tables must not stay bad."""


class Transactions:
    """Runs work in transactions; the door opens while Postgres is away."""

    def __init__(self, settings: Settings, *, role: str = "ingress intents", connections: int | None = None) -> None:
        self._bounds = settings.intents
        size = connections or settings.intents.connections_max
        self._pool = LazyPool(lambda: _open_pool(settings, role, size))

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Return what the work returns once it is committed.

        Raises UnavailableError where that is not known, the work's own exceptions after a rollback, and twins' errors
        (`runtime.postgres.TWIN_ERRORS`) as they are.
        """
        try:
            async with asyncio.timeout(self._bounds.timeout_seconds):
                pool = await self._pool.get()
                async with pool.acquire() as connection:
                    return await self._transact(connection, work)
        except TimeoutError:
            raise UnavailableError(f"Postgres: no answer in {self._bounds.timeout_seconds:g} s") from None
        except PASSING_ERRORS as error:
            raise UnavailableError(f"Postgres: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()

    async def _transact(
        self,
        connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record],
        work: Callable[[Connection], Awaitable[Result]],
    ) -> Result:
        try:
            async with connection.transaction():
                return await work(connection)
        except TWIN_ERRORS:
            raise
        except BaseException:
            connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
            raise


async def _open_pool(settings: Settings, role: str, connections: int) -> Pool:
    wait_ms = str(int(settings.intents.twin_wait_seconds * 1000))
    return await open_pool(
        settings.postgres,
        role=role,
        connections=connections,
        parameters={"lock_timeout": wait_ms, **PLANNER},
    )
