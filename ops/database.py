"""One short connection to Postgres for a command of people: bounded, read as the application's role."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg

from runtime.postgres import EVERY_SESSION, OTHER_SCHEMA, OUTAGE_ERRORS
from runtime.postgres_hosts import Hosts
from runtime.sql import statement
from runtime.topic_binding import need_bound
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.postgres import Connection
    from runtime.settings import Settings


@contextlib.asynccontextmanager
async def connected(settings: Settings, *, as_it_is: bool = False) -> AsyncIterator[Connection]:
    """Connect; raise UnavailableError where Postgres does not answer, also where the schema is another one.

    A database that belongs to other topics than ours raises SettingsError. What is committed is on disk. A session that
    is to be `as_it_is` has what the role and the server have set, and may be of any topics.
    """
    if settings.postgres.dsn is None:
        raise SettingsError("RATCHET_POSTGRES__DSN is not set")
    seconds = settings.ops.lookup_timeout_seconds
    dsn = settings.postgres.dsn.get_secret_value()
    try:
        connection = await Hosts(dsn).connect(
            dsn,
            timeout=seconds,
            command_timeout=seconds,
            server_settings={
                "application_name": "ratchet ops",
                "statement_timeout": str(int(seconds * 1000)),
                **({} if as_it_is else EVERY_SESSION),
            },
        )
    except (*OUTAGE_ERRORS, asyncpg.PostgresError) as error:
        raise UnavailableError(f"Postgres does not let us in ({_reason(error)}); is it up? `ratchet doctor`") from error
    try:
        if not as_it_is:
            with contextlib.suppress(asyncpg.UndefinedTableError):  # of an older schema
                await need_bound(connection, settings.kafka.topic_prefix)
        yield connection
    except OTHER_SCHEMA as error:
        raise UnavailableError(f"the schema is not that of this version ({error}); run `ratchet migrate up`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise RatchetError(f"the role may not read this ({error}); run `ratchet migrate up` for the grants") from error
    except OUTAGE_ERRORS as error:
        raise UnavailableError(f"Postgres went away ({_reason(error)}); try again") from error
    finally:
        connection.terminate()


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def as_owner(settings: Settings, what: str) -> Settings:
    """Return the settings with the DSN of the schema's owner; raise SettingsError where it is not set."""
    if settings.postgres.owner_dsn is None:
        raise SettingsError(f"RATCHET_POSTGRES__OWNER_DSN is not set: only the schema's owner may remove {what}")
    owned = settings.postgres.model_copy(update={"dsn": settings.postgres.owner_dsn})
    return settings.model_copy(update={"postgres": owned})


async def fetch(connection: Connection, name: str, *arguments: Any) -> list[dict[str, Any]]:
    """Run the statement `ops/sql/<name>.sql`; return its rows."""
    return [dict(row) for row in await connection.fetch(statement("ops", name), *arguments)]
