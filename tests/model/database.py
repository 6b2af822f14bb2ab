"""The rows of a database as values: kept, put back, and compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TABLES = (
    *(
        "body_claims",
        "commands",
        "consumer_offsets",
        "dead_letters",
        "epochs",
        "intent_claims",
        "leases",
        "orphan_refs",
    ),
    *("parked_events", "parked_refs", "parking_clock", "payment_logs", "payment_refs", "payments", "refetches"),
    *("reference_payments", "relay_cursors", "sms_transactions", "spool", "wake_marks"),
)
"""What the worlds read and write."""
LEFT_OUT = {
    *("created_at", "updated_at", "began_at", "marked_at", "recorded_at", "parked_at", "flagged_at", "expires_at"),
    *("hash", "head_hash", "facts_hash"),
}
"""Columns that follow from others, or only say when."""
XIDS = {"relay_xid", "head_xid", "xid"}


@dataclass(frozen=True)
class Rows:
    """All rows of all tables, and where their sequences stand."""

    tables: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]]
    sequences: dict[str, int]


class Observer:
    """A superuser's connection: sees all sessions, and puts rows back without triggers and foreign keys."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._columns: dict[str, tuple[str, ...]] = {}
        self._sequences: tuple[str, ...] = ()
        self._snapshot_sql = ""

    async def prepare(self) -> None:
        await self._connection.execute("set session_replication_role = replica")
        # Of the model's own resets alone; the sessions of processes commit as the product's do.
        await self._connection.execute("set synchronous_commit = off")
        found = await self._connection.fetch(
            """select table_name, array_agg(column_name::text order by ordinal_position) as columns
            from information_schema.columns
            where table_schema = 'public' and is_generated = 'NEVER' and table_name = any($1::text[]) group by 1""",
            list(TABLES),
        )
        self._columns = {row["table_name"]: tuple(row["columns"]) for row in found}
        assert self._columns.keys() == set(TABLES)
        sequences = await self._connection.fetch("select sequencename from pg_sequences where schemaname = 'public'")
        owned = {row["sequencename"] for row in sequences}
        self._sequences = tuple(sorted(name for name in owned if name.removesuffix("_id_seq") in TABLES))
        parts = [f"select '{name}' as name, to_jsonb(t)::text as row from {name} t" for name in TABLES]
        self._snapshot_sql = " union all ".join(parts)

    async def keep(self) -> Rows:
        """Read everything."""
        tables = {}
        for name, columns in self._columns.items():
            quoted = ", ".join(f'"{column}"' for column in columns)
            tables[name] = columns, [tuple(row) for row in await self._connection.fetch(f"select {quoted} from {name}")]
        sequences = {
            name: await self._connection.fetchval(f"select case when is_called then last_value else 0 end from {name}")
            for name in self._sequences
        }
        return Rows(tables, sequences)

    async def put_back(self, rows: Rows, but: tuple[str, ...] = ()) -> None:
        """Make everything what it was, but for some tables."""
        async with self._connection.transaction():
            await self._connection.execute(";".join(f"delete from {name}" for name in TABLES if name not in but))
            for name, (columns, found) in rows.tables.items():
                if found and name not in but:
                    await self._connection.copy_records_to_table(name, columns=columns, records=found)
            moves = ", ".join(
                f"setval('{name}', {max(value, 1)}, {'true' if value else 'false'})"
                for name, value in rows.sequences.items()
            )
            await self._connection.execute(f"select {moves}")

    async def look(self) -> tuple[Any, ...]:
        """Return what is committed, as a value; ids of transactions are marked."""
        found = []
        for row in await self._connection.fetch(self._snapshot_sql):
            content = json.loads(row["row"])
            kept = tuple(
                (name, ("xid", value) if name in XIDS and value else json.dumps(value))
                for name, value in sorted(content.items())
                if name not in LEFT_OUT
            )
            found.append((row["name"], kept))
        return tuple(sorted(found, key=repr))

    async def blockers(self, pids: list[int]) -> dict[int, list[int]]:
        """Return which of these sessions wait for a lock, and whose."""
        found = await self._connection.fetch(
            "select pid, pg_blocking_pids(pid) as by from unnest($1::integer[]) as pid", pids
        )
        return {row["pid"]: row["by"] for row in found if row["by"]}

    async def vacuum(self) -> None:
        await self._connection.execute(f"vacuum {', '.join(TABLES)}")

    async def run(self, sql: str, *arguments: Any) -> Any:
        return await self._connection.fetch(sql, *arguments)
