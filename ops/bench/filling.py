"""A database with a ledger of many rows, filled in minutes: rows first, without indexes; then the indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from runtime.sql import statement

if TYPE_CHECKING:
    from ops.bench.stage import Database

ROWS_PER_PAYMENT: Final = 4
TABLES: Final = ("payments", "payment_refs", "payment_logs", "reference_payments")
FILLS: Final = ("fill_payments", "fill_refs", "fill_ledger", "fill_members")
SESSION: Final = {"maintenance_work_mem": "512MB", "statement_timeout": "0"}
"""Of the session that fills; nothing that is measured runs in it."""


async def fill(database: Database, ledger_rows: int) -> None:
    """Fill an empty database with that many rows of the ledger, their payments and names; vacuum and analyze."""
    connection = await asyncpg.connect(database.superuser_dsn, server_settings=SESSION)
    try:
        again = await _strip(connection)
        for name in FILLS:
            await connection.execute(statement("ops.bench", name), ledger_rows // ROWS_PER_PAYMENT)
        for text in reversed(again):
            await connection.execute(text)
        await connection.execute(f"vacuum (analyze) {', '.join(TABLES)}")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _strip(connection: asyncpg.Connection) -> list[str]:
    """Drop constraints and indexes; return what makes them again, in the order in which they went."""
    again: list[str] = []
    for name in ("find_constraints", "find_indexes"):
        for row in await connection.fetch(statement("ops.bench", name), TABLES):
            await connection.execute(row["gone"])
            again.append(row["back"])
    return again
