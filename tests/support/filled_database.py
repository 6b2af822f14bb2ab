"""A database with rows in its tables, in which whatever a test does is undone."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


async def insert(connection: asyncpg.Connection[Any], table: str, **row: Any) -> None:
    """Write one row, its own id where it has one."""
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    names = ", ".join(f'"{name}"' for name in row)
    await connection.execute(f"insert into {table} ({names}) overriding system value values ({places})", *row.values())


async def by_heap(connection: asyncpg.Connection[Any]) -> None:
    """Have rows read as they were written until the transaction ends: an order that no index gives by itself."""
    for way in ("indexscan", "indexonlyscan", "bitmapscan"):
        await connection.execute(f"set local enable_{way} = off")
    await connection.execute("set local enable_seqscan = on")


@asynccontextmanager
async def undone(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Undo what is done while this lasts."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()
