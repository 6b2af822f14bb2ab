"""How much of its disk Postgres uses.

Postgres tells nobody but a superuser what is left on its disk, so the disk's size comes from the settings. What lies
in tablespaces, or is WAL, counts whatever disk it is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.postgres import Connection

GIGABYTE: Final = 1e9


@dataclass(frozen=True, slots=True)
class PostgresDisk:
    """A disk of Postgres: its size, and what databases and WAL use of it."""

    total_bytes: int
    databases_bytes: int
    wal_bytes: int

    @property
    def free_bytes(self) -> int:
        """Return what is left; below zero where the disk is larger than the settings say."""
        return self.total_bytes - self.databases_bytes - self.wal_bytes

    def __str__(self) -> str:
        """Say in a sentence what is left, and what uses the rest."""
        free, total, databases, wal = (
            size / GIGABYTE for size in (self.free_bytes, self.total_bytes, self.databases_bytes, self.wal_bytes)
        )
        return f"{free:.1f} GB free of {total:.1f}: databases use {databases:.1f}, WAL {wal:.1f}"


async def disk_use(connection: Connection, total_bytes: int) -> PostgresDisk:
    """Measure the databases that we may connect to, and the WAL.

    Without the right to list the WAL's files, it counts as large as it may grow: max_wal_size, or what a replication
    slot keeps where that is more.
    """
    (row,) = await connection.fetch(statement("runtime", "read_disk_use"))
    wal_bytes = row["wal_bytes_max"]
    if row["may_list_wal"]:
        wal_bytes = await connection.fetchval(statement("runtime", "read_wal_bytes"))
    return PostgresDisk(total_bytes, row["databases_bytes"], wal_bytes)
