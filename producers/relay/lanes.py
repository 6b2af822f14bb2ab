"""The lanes of changes, dead letters and the spool: what each reads, and how it marks what is published.

The fourth lane, of redrives, stands in `redrive`.

A lane is two effects around a pure step: `read` takes the next settled rows in order, `settle` marks them as published.
What happens between is the same for all and stands in `loop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from producers.relay.records import change_of, letter_of, spooled_of
from runtime.sql import statement
from schemas.errors import LeaseLostError, RatchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producers.relay.records import Outgoing, Row
    from runtime.lease import Lease
    from runtime.postgres import Connection
    from runtime.settings import RelaySettings

Position = tuple[int, int]
"""(relay_xid, id) of the last row published."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows in order and the records they make; `more` tells that there may be more right behind them."""

    rows: int
    records: Sequence[Outgoing]
    mark: Any
    more: bool


class Lane(Protocol):
    """One kind of rows on its way to Kafka."""

    name: str

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Return the next rows to publish, or None where there are none.

        `behind` is a batch that is being published: then return what comes after it, or None where only its settling
        tells.
        """
        ...

    async def settle(self, connection: Connection, batch: Batch, lease: Lease) -> None:
        """Mark the batch as published; raise LeaseLostError when another relay is at work."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """From where to where a batch moves its lane's cursor."""

    start: Position
    end: Position


def cut(rows: Sequence[Row], records: Sequence[Outgoing | None], bytes_max: int) -> tuple[int, list[Outgoing]]:
    """Return how many leading rows fit the bound (one always does), and the records of those."""
    taken: list[Outgoing] = []
    size = 0
    for count, (_, record) in enumerate(zip(rows, records, strict=True)):
        if record is None:
            continue
        size += record.size()
        if taken and size > bytes_max:
            return count, taken
        taken.append(record)
    return len(rows), taken


class CursorLane:
    """Rows of a table that is never cleared, published in order of (relay_xid, id) up to a cursor of its own.

    A read of `full_rows` or more may have been cut short by a bound of `fetch`.
    """

    def __init__(
        self,
        name: str,
        settings: RelaySettings,
        fetch: Callable[[Connection, Position, RelaySettings], Any],
        record_of: Callable[[Row], Outgoing | None],
        full_rows: int,
    ) -> None:
        self.name = name
        self._settings = settings
        self._fetch = fetch
        self._record_of = record_of
        self._full_rows = full_rows

    async def _read_cursor(self, connection: Connection) -> Position:
        """Return how far the lane has published."""
        cursor = await connection.fetchrow(statement("producers", "read_cursor"), self.name)
        if cursor is None:
            raise RatchetError(f"relay_cursors has no row {self.name!r}; insert it, or restore the table")
        return cursor["relay_xid"], cursor["id"]

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Read from the cursor on, or from the end of `behind`; see `Lane`."""
        start = await self._read_cursor(connection) if behind is None else behind.mark.end
        rows = await self._fetch(connection, start, self._settings)
        if not rows:
            return None
        count, records = cut(rows, [self._record_of(row) for row in rows], self._settings.batch_bytes_max)
        last = rows[count - 1]
        more = count < len(rows) or len(rows) >= self._full_rows
        return Batch(count, records, Span(start, (last["relay_xid"], last["id"])), more)

    async def settle(self, connection: Connection, batch: Batch, lease: Lease) -> None:
        """Move the cursor from where the batch began to its last row; see `Lane`."""
        span: Span = batch.mark
        moved = await connection.fetchval(
            statement("producers", "move_cursor"), self.name, *span.start, *span.end, lease.name, lease.token
        )
        if moved is None:
            raise LeaseLostError(f"cursor {self.name!r} was not moved: another relay holds the lease or has moved it")


class SpoolLane:
    """Records that wait for Kafka, published in order of id and then deleted."""

    name = "spool"

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Read from the oldest on, never ahead: a row may settle late that belongs before one read by now."""
        if behind is not None:
            return None
        limit = self._settings.batch_records_max
        rows = await connection.fetch(statement("producers", "read_spool"), limit, self._settings.batch_bytes_max)
        if not rows:
            return None
        records = [spooled_of(row) for row in rows]
        return Batch(len(rows), records, [row["id"] for row in rows], more=True)

    async def settle(self, connection: Connection, batch: Batch, lease: Lease) -> None:
        """Delete the batch's rows; see `Lane`."""
        sql = statement("producers", "delete_spool")
        if not await connection.fetchval(sql, batch.mark, lease.name, lease.token):
            raise LeaseLostError("spooled rows were not deleted: another relay holds the lease")


async def _fetch_changes(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read ledger rows; the ledger bounds a row's size, so rows bound the bytes."""
    return await connection.fetch(statement("producers", "read_changes"), *start, settings.batch_records_max)


async def _fetch_letters(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read dead letters, bounded in bytes by Postgres: a thousand of them may be two gigabytes."""
    sql = statement("producers", "read_letters")
    return await connection.fetch(sql, *start, settings.batch_records_max, settings.batch_bytes_max)


def open_lanes(settings: RelaySettings) -> tuple[Lane, ...]:
    """Return the lanes of changes, dead letters and the spool."""
    return (
        CursorLane("changes", settings, _fetch_changes, change_of, settings.batch_records_max),
        CursorLane("dead_letters", settings, _fetch_letters, letter_of, 1),
        SpoolLane(settings),
    )
