"""Postgres: the pool of a role, and what kind of failure an error is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from runtime import metrics
from runtime.own_sessions import check_own_sessions
from runtime.postgres_hosts import Hosts
from runtime.postgres_session import Session, give_back
from runtime.postgres_silence import Silence
from runtime.refusals import Failure, failure_of
from runtime.schema_version import check_schema
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.settings import PostgresSettings

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]


CONFLICT_ERRORS = (
    asyncpg.UniqueViolationError,
    asyncpg.ExclusionViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)


READ_WRITE: Final = SessionAttribute("read-write")


def refusals(*failures: Failure) -> tuple[type[Exception], ...]:
    """Return the driver's classes of all refusals that mean one of these.

    A class that stands for several codes belongs to them only where all of these mean the same: an `except` takes a
    class with all below it.
    """
    known = {
        kind: failure_of(kind.sqlstate)
        for kind in vars(asyncpg.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, asyncpg.PostgresError) and kind.sqlstate is not None
    }
    return tuple(
        kind
        for kind, failure in known.items()
        if failure in failures and all(other in failures for below, other in known.items() if issubclass(below, kind))
    )


OUTAGE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised on a session whose end has come and was not noticed yet
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.ConfigFileError,
    asyncpg.SnapshotTooOldError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Postgres is away or too busy."""
PASSING_ERRORS: Final[tuple[type[Exception], ...]] = (*OUTAGE_ERRORS, *refusals(Failure.SETUP, Failure.SESSION))
"""Whatever has nothing to do with what was sent: it passes by itself, or when somebody mends the set-up."""
OTHER_SCHEMA: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
"""The schema is not that of this version: not there yet, older (a migration may be under way), or newer."""
EVERY_SESSION: Final = {"synchronous_commit": "on", "timezone": "UTC"}
"""What holds in every session of ours, whatever role, database and server say: what is committed is on disk, a day has
24 hours, and times that Postgres writes into JSON are in UTC."""


def classify(error: BaseException) -> Failure:
    """Tell what kind of failure an error of a transaction is; what Postgres refuses, by its SQLSTATE."""
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate is not None:
        return failure_of(error.sqlstate)
    return Failure.OUTAGE if isinstance(error, OUTAGE_ERRORS) else Failure.UNEXPECTED


async def open_pool(  # noqa: PLR0913 - named bounds, most of them left as they are
    settings: PostgresSettings,
    *,
    role: str,
    connections: int | None = None,
    parameters: Mapping[str, str] | None = None,
    writing: bool = True,
    any_schema: bool = False,
    session: type[Session] = Session,
) -> Pool:
    """Open a role's pool with its named bounds; raises what the first connection raises.

    Raises SchemaMismatchError where the database's schema is not the one that this version works with; `any_schema` is
    for what would rather try than wait: the spool of verified webhooks. Raises SharedSessionsError where a pooler lends
    our sessions to others between transactions.

    `parameters` are further settings of its Postgres sessions. A pool for `writing` takes no session of a server that
    is read-only; a DSN with a `target_session_attrs` of its own says itself which it takes.
    """
    if settings.dsn is None:
        raise SettingsError("RATCHET_POSTGRES__DSN is not set; start the embedded stack with `ratchet stack up`")
    dsn, silence = settings.dsn.get_secret_value(), Silence()
    pool = await asyncpg.create_pool(
        dsn,
        connect=silence.watched(Hosts(dsn).connect),
        init_size=1,
        min_size=0,  # else the pool opens lost sessions by itself: holding their places, with a traceback a failure
        max_size=connections or settings.pool_connections_max,
        timeout=settings.connect_timeout_seconds,
        command_timeout=settings.statement_timeout_seconds + settings.connect_timeout_seconds,
        max_inactive_connection_lifetime=0,
        connection_class=session,
        reset=give_back,
        target_session_attrs=READ_WRITE if writing and "target_session_attrs" not in dsn else None,
        server_settings={**_session_parameters(settings, role), **(parameters or {})},
    )
    if not any_schema:
        try:
            await check_own_sessions(pool)
            await check_schema(pool)
        except BaseException:
            pool.terminate()
            raise
    metrics.POOL_CONNECTIONS.watch(pool)
    silence.start(pool)
    return pool


def _session_parameters(settings: PostgresSettings, role: str) -> dict[str, str]:
    """Return what each session of a role is opened with; Postgres reads a time-out without a unit as milliseconds."""
    seconds = {
        "statement_timeout": settings.statement_timeout_seconds,
        "lock_timeout": settings.lock_timeout_seconds,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout_seconds,
    }
    bounds = {name: str(int(value * 1000)) for name, value in seconds.items()}
    return {"application_name": f"ratchet {role}", **bounds, **EVERY_SESSION}


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
