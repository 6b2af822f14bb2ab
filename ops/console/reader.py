"""The console's look-ups in Postgres: few connections that cannot write, each statement bounded in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from runtime.postgres import OUTAGE_ERRORS, LazyPool, open_pool
from runtime.sql import statement
from schemas.errors import RatchetError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Found = TypeVar("Found")

OWN: Final = "ops.console"
"""Where a statement's file stands, unless a caller names another package."""


class Reader:
    """Reads for pages; opened at the first look-up, so that the console starts while Postgres is away."""

    def __init__(self, settings: Settings) -> None:
        console = settings.console
        self._statement_seconds = console.statement_timeout_seconds
        self._seconds = console.statement_timeout_seconds + console.connect_timeout_seconds
        self._pool = LazyPool(lambda: _open(settings))

    async def fetch(self, name: str, *arguments: Any, package: str = OWN) -> list[dict[str, Any]]:
        """Run the statement `sql/<name>.sql` of the package; return its rows. Raises what `run` raises."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(statement(package, name), *arguments)]

        return await self.run(work)

    async def run(self, work: Callable[[Connection], Awaitable[Found]]) -> Found:
        """Return what the work reads on one connection.

        Raises UnavailableError where Postgres is away or too slow, or the schema is not there.
        """
        try:
            async with asyncio.timeout(self._seconds):
                pool = await self._pool.get()
                async with pool.acquire() as connection:
                    return await _undisturbed(connection, work)
        except asyncpg.QueryCanceledError as error:
            raise UnavailableError(f"Postgres needs more than {self._statement_seconds:g} s for this") from error
        except asyncpg.UndefinedTableError as error:
            raise UnavailableError("the schema is not there; run `ratchet migrate up`") from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise RatchetError("the role may not read this; run `ratchet migrate up` for the grants") from error
        except TimeoutError as error:
            raise UnavailableError(f"Postgres does not answer within {self._seconds:g} s") from error
        except OUTAGE_ERRORS as error:
            raise UnavailableError(f"Postgres does not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()


async def _undisturbed(
    connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], work: Callable[[Connection], Awaitable[Found]]
) -> Found:
    try:
        return await work(connection)
    except (TimeoutError, asyncio.CancelledError, OSError):
        connection.terminate()  # a hung server must not hold up the release
        raise


async def _open(settings: Settings) -> Pool:
    console = settings.console
    patience = {"connect_timeout_seconds": console.connect_timeout_seconds}
    return await open_pool(
        settings.postgres.model_copy(update=patience),
        role="console",
        connections=console.pool_connections_max,
        parameters={
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(console.statement_timeout_seconds * 1000)),
            "jit": "off",
        },
    )
