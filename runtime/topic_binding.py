"""Whether a database belongs to the topics that a process is configured with.

Rows name topics, and the relay's cursors say what was published to them. A process with another prefix would write
where nobody reads, and skip what was never published there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from runtime.sql import statement
from schemas.errors import SchemaMismatchError, SettingsError

if TYPE_CHECKING:
    from runtime.postgres import Connection, Pool


def mismatch(bound: str | None, prefix: str) -> str | None:
    """Say what is wrong and what to do, or None; `bound` of None is a database that belongs to no prefix yet. Pure."""
    if bound in (None, prefix):
        return None
    return (
        f"RATCHET_KAFKA__TOPIC_PREFIX is {prefix!r}, and this database belongs to the topics of {bound!r}: set it to "
        "that in every process, or move the database (RUNBOOK: Another prefix of topics)"
    )


async def bound(pool: Pool, prefix: str, *, writing: bool = True) -> Pool:
    """Return the pool once its database belongs to the prefix; close it and raise as `bind` does where it can't be.

    One that is not for `writing` notes nothing.
    """
    try:
        await (bind if writing else need_bound)(pool, prefix)
    except BaseException:
        pool.terminate()
        raise
    return pool


async def bind(database: Pool | Connection, prefix: str) -> None:
    """Note the prefix where none is noted; raise SettingsError where it is another, else what the driver raises."""
    try:
        if await database.fetchval(statement("runtime", "read_topic_prefix")) is None:
            await database.execute(statement("runtime", "note_topic_prefix"), prefix)
        await need_bound(database, prefix)
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaMismatchError(f"{error}: run `ratchet migrate up`, which sets what each role may do") from error


async def need_bound(database: Pool | Connection, prefix: str) -> None:
    """Raise SettingsError where the database belongs to another prefix, else what the driver raises."""
    if (why := mismatch(await database.fetchval(statement("runtime", "read_topic_prefix")), prefix)) is not None:
        raise SettingsError(why)
