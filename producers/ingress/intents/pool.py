"""The API's own connections to Postgres: opened at the first use, every unit of work one transaction with a bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from runtime.postgres import OUTAGE_ERRORS, TWIN_ERRORS, open_pool
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

    def __init__(self, settings: Settings) -> None:
        self._postgres = settings.postgres
        self._bounds = settings.intents
        self._pool: Pool | None = None
        self._opening: asyncio.Task[Pool] | None = None

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Return what the work returns once it is committed.

        Raises UnavailableError where that is not known, the work's own exceptions after a rollback, and twins' errors
        (`runtime.postgres.TWIN_ERRORS`) as they are.
        """
        try:
            async with asyncio.timeout(self._bounds.timeout_seconds):
                pool = self._pool or await self._open()
                async with pool.acquire() as connection:
                    return await self._transact(connection, work)
        except TimeoutError:
            raise UnavailableError(f"Postgres: no answer in {self._bounds.timeout_seconds:g} s") from None
        except OUTAGE_ERRORS as error:
            raise UnavailableError(f"Postgres: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._pool is not None:
            self._pool.terminate()

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

    async def _open(self) -> Pool:
        """Open the pool once for all who wait; whoever gives up leaves the attempt to the others."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_pool())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    async def _open_pool(self) -> Pool:
        wait_ms = str(int(self._bounds.twin_wait_seconds * 1000))
        return await open_pool(
            self._postgres,
            role="ingress intents",
            connections=self._bounds.connections_max,
            parameters={"lock_timeout": wait_ms, **PLANNER},
        )

    def _opened(self, task: asyncio.Task[Pool]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._pool = task.result()
