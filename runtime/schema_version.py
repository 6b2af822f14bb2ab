"""Whether the database's schema is the one that this version works with: asked once, when a role opens its pool.

A role whose schema does not fit waits and logs what to do. It goes on by itself once that is done, so a role may be
started before the migrations.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import asyncpg

from runtime.sql import statement
from schemas.errors import SchemaMismatchError

if TYPE_CHECKING:
    from runtime.postgres import Pool


def newest_known() -> int:
    """Return the number of the newest migration that this version brings."""
    numbers = [file.name[:4] for file in resources.files("migrations").iterdir() if file.name.endswith(".sql")]
    return max(int(number) for number in numbers if number.isdigit())


def mismatch(applied: int | None, known: int) -> str | None:
    """Say what does not fit and what to do, or None; `applied` of None is a database without a schema. Pure."""
    if applied == known:
        return None
    if applied is None:
        return "the database has no schema yet: run `ratchet migrate up`"
    if applied < known:
        return (
            f"the database's schema is at {applied:04d}, and this version works with {known:04d}: "
            "run `ratchet migrate up`; this role goes on by itself then"
        )
    return (
        f"the database's schema is at {applied:04d}, newer than {known:04d}, with which this version works: this role "
        "waits; start the release that brought it, or go back with that release's "
        f"`ratchet migrate down --steps {applied - known}`"
    )


async def check_schema(pool: Pool) -> None:
    """Raise SchemaMismatchError where the schema does not fit or may not be looked at; else what the driver raises."""
    try:
        applied = None
        if await pool.fetchval("select to_regclass('schema_migrations')") is not None:
            applied = await pool.fetchval(statement("runtime", "read_schema_version"))
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaMismatchError(f"{error}: run `ratchet migrate up`, which sets what each role may do") from error
    if (why := mismatch(applied, newest_known())) is not None:
        raise SchemaMismatchError(why)
