"""The console's look-ups in Postgres: few connections that cannot write, each statement bounded in time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
from starlette.exceptions import HTTPException

from runtime.postgres import OTHER_SCHEMA, OUTAGE_ERRORS, LazyPool, open_pool
from runtime.sql import statement
from runtime.topic_binding import bound
from schemas.errors import RatchetError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Found = TypeVar("Found")

READING: Final = {"default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan"}
"""Searches have one statement for all filters: planned anew, it uses the index that those which are given need."""

OWN: Final = "ops.console"
"""Where a statement's file stands, unless a caller names another package."""


class Reader:
    """Reads for pages; opened at the first look-up, so that the console starts while Postgres is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        connections = settings.console.pool_connections_max
        self._pool = LazyPool(lambda: open_pool_for(settings, connections, READING))

    async def fetch(self, name: str, *arguments: Any, package: str = OWN) -> list[dict[str, Any]]:
        """Run the statement `sql/<name>.sql` of the package; return its rows. Raises what `run` raises."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(statement(package, name), *arguments)]

        return await self.run(work)

    async def run(self, work: Callable[[Connection], Awaitable[Found]]) -> Found:
        """Return what the work reads on one connection.

        Raises UnavailableError where Postgres is away or too slow, or the schema is another one.
        """
        return await run_on(self._settings, self._pool, work)

    async def find(self, work: Callable[[Connection], Awaitable[Found]]) -> Found:
        """Return the one thing that the work reads; raise 404 where it finds none, and what `run` raises."""
        try:
            return await self.run(work)
        except RatchetError as error:
            if error.transient:
                raise
            raise HTTPException(HTTPStatus.NOT_FOUND) from error

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()


async def run_on(settings: Settings, waiting: LazyPool, work: Callable[[Connection], Awaitable[Found]]) -> Found:
    """Return what the work does on one connection of the pool, within the console's bounds.

    Raises UnavailableError where Postgres is away or too slow, or the schema is another one.
    """
    statement_seconds = settings.console.statement_timeout_seconds
    seconds = statement_seconds + settings.console.connect_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            pool = await waiting.get()
            async with pool.acquire() as connection:
                return await _undisturbed(connection, work)
    except asyncpg.QueryCanceledError as error:
        raise UnavailableError(f"Postgres needs more than {statement_seconds:g} s for this") from error
    except OTHER_SCHEMA as error:
        raise UnavailableError("the schema is not that of this version; run `ratchet migrate up`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise RatchetError("the role may not do this; run `ratchet migrate up` for the grants") from error
    except TimeoutError as error:
        raise UnavailableError(f"Postgres does not answer within {seconds:g} s") from error
    except OUTAGE_ERRORS as error:
        raise UnavailableError(f"Postgres does not answer ({type(error).__name__})") from error


async def _undisturbed(
    connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], work: Callable[[Connection], Awaitable[Found]]
) -> Found:
    try:
        return await work(connection)
    except (TimeoutError, asyncio.CancelledError, OSError):
        connection.terminate()  # a hung server must not hold up the release
        raise


async def open_pool_for(settings: Settings, connections: int, parameters: Mapping[str, str]) -> Pool:
    """Open a pool of the console with its time-outs; raise SettingsError where the database is of other topics."""
    console = settings.console
    patience = {"connect_timeout_seconds": console.connect_timeout_seconds}
    pool = await open_pool(
        settings.postgres.model_copy(update=patience),
        role="console",
        connections=connections,
        parameters={
            "statement_timeout": str(int(console.statement_timeout_seconds * 1000)),
            "jit": "off",
            **parameters,
        },
        writing=False,
    )
    return await bound(pool, settings.kafka.topic_prefix, writing=False)
