"""Rows that a test writes itself, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncpg


async def insert(connection: asyncpg.Connection[Any], table: str, **row: Any) -> asyncpg.Record:
    """Insert a row, its own id too where it has one, and return it as it stands; what is left out has its default."""
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    columns = ", ".join(f'"{name}"' for name in row)
    written = await connection.fetchrow(
        f"insert into {table} ({columns}) overriding system value values ({places}) returning *", *row.values()
    )
    assert written is not None
    return written
