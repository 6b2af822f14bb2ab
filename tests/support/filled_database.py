"""A database with rows in its tables, in which whatever a test does is undone."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AS_THEY_LIE = dict.fromkeys(("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"), "off")
"""Settings of a session that reads tables as they lie: an order that an index gives by itself is no statement's."""


@asynccontextmanager
async def filled_database(stack: Any, template: str, rows: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give a superuser's connection to a database of its own that has what the statements of `rows` write."""
    from tests.conftest import run_as_superuser, with_database

    name = f"filled_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(stack, f"create database {name} template {template}")
    connection = await asyncpg.connect(with_database(stack.superuser_dsn, name))
    if rows:
        await connection.execute(rows)
    yield connection
    await connection.close()
    await run_as_superuser(stack, f"drop database {name} with (force)")


async def by_heap(connection: asyncpg.Connection[Any]) -> None:
    """Have rows read as they were written until the transaction ends: an order that no index gives by itself."""
    for name, value in AS_THEY_LIE.items():
        await connection.execute(f"set local {name} = {value}")


@asynccontextmanager
async def undone(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Undo what is done while this lasts."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()
