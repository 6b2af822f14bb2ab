"""Postgres: the pool of a role, and what kind of failure an error is."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import asyncpg

from runtime import metrics
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.settings import PostgresSettings

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]


class Failure(StrEnum):
    """What kind of failure an error of a transaction is, and so what to do about it."""

    OUTAGE = "outage"
    """Postgres is away or too busy: wait and try again; nothing is wrong with the data."""
    TWIN = "twin"
    """Another transaction did the same or was in the way: read again and fold again."""
    DATA = "data"
    """Postgres refuses what the batch holds: find the record."""
    UNEXPECTED = "unexpected"
    """Nobody foresaw it."""


TWIN_ERRORS = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
OUTAGE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # said on a session whose end has come and was not noticed yet
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
DATA_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


def classify(error: BaseException) -> Failure:
    """Tell what kind of failure an error of a transaction is.

    Order matters: a unique violation is an integrity violation too.
    """
    if isinstance(error, TWIN_ERRORS):
        return Failure.TWIN
    if isinstance(error, DATA_ERRORS):
        return Failure.DATA
    if isinstance(error, OUTAGE_ERRORS):
        return Failure.OUTAGE
    return Failure.UNEXPECTED


async def open_pool(
    settings: PostgresSettings,
    *,
    role: str,
    connections: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Pool:
    """Open a role's pool with its named bounds; raises what the first connection raises.

    `parameters` are further settings of its Postgres sessions.
    """
    if settings.dsn is None:
        raise SettingsError("RATCHET_POSTGRES__DSN is not set; start the embedded stack with `ratchet stack up`")
    size = connections or settings.pool_connections_max

    def milliseconds(seconds: float) -> str:
        return str(int(seconds * 1000))

    pool = await asyncpg.create_pool(
        settings.dsn.get_secret_value(),
        min_size=1,
        max_size=size,
        timeout=settings.connect_timeout_seconds,
        command_timeout=settings.statement_timeout_seconds + settings.connect_timeout_seconds,
        max_inactive_connection_lifetime=0,
        reset=_nothing_to_reset,
        server_settings={
            "application_name": f"ratchet {role}",
            "statement_timeout": milliseconds(settings.statement_timeout_seconds),
            "lock_timeout": milliseconds(settings.lock_timeout_seconds),
            "idle_in_transaction_session_timeout": milliseconds(settings.idle_in_transaction_timeout_seconds),
            **(parameters or {}),
        },
    )
    metrics.POOL_CONNECTIONS.watch(pool)
    return pool


async def _nothing_to_reset(_: asyncpg.Connection[asyncpg.Record]) -> None:
    """Save the round trip that resets a session: whoever sets something in one for longer takes it back.

    A connection that comes back inside a transaction is rolled back by the driver all the same.
    """


class LazyPool:
    """A pool that is opened at its first use, once for all who wait, so a role starts while Postgres is away."""

    def __init__(self, open_one: Callable[[], Awaitable[Pool]]) -> None:
        self._open_one = open_one
        self._pool: Pool | None = None
        self._opening: asyncio.Task[Pool] | None = None

    async def get(self) -> Pool:
        """Return the pool; whoever gives up waiting leaves the attempt to the others."""
        if self._pool is not None:
            return self._pool
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._pool is not None:
            self._pool.terminate()

    async def _open(self) -> Pool:
        return await self._open_one()

    def _opened(self, task: asyncio.Task[Pool]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._pool = task.result()
