"""The lanes of changes, states, commands, dead letters and the spool: what each reads, how it marks what is published.

The sixth lane, of redrives, stands in `redrive`.

A lane is two effects around a pure step: `read` takes the next final rows in order, `finish` marks them as published.
What happens between is the same for all and stands in `loop`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from producers.relay.records import (
    burial_of,
    change_of,
    command_of,
    letter_of,
    refusal_of,
    smaller_letter,
    spooled_of,
    state_of,
)
from runtime.sql import statement
from schemas.dead_letter import ERRORS_PREFIX
from schemas.errors import LeaseLostError, RatchetError, UnavailableError
from schemas.topics import DEAD_LETTER_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from producers.relay.records import RelayedRecord, Row
    from runtime.lease import Lease
    from runtime.postgres import Connection
    from runtime.settings import RelaySettings
    from schemas.topics import Topics

NAMING: Final = ("ce_id", f"{ERRORS_PREFIX}topic", f"{ERRORS_PREFIX}partition", f"{ERRORS_PREFIX}offset")
"""Headers by which a log line names a record."""
LEFT_SECONDS: Final = 5.0
"""How long rows of the spool are read past whose partition did not answer."""
LEFT_ROWS_MAX: Final = 20_000
"""How many rows are read past at the most; where more wait for a partition, the others wait with them."""
BURIAL_COLUMNS: Final = 6
"""What delete_spool.sql gets of a dead letter: id, message, source, event id, kind, payment."""

Position = tuple[int, int]
"""(relay_xid, id) of the last row published."""


Refused = Mapping[int, Exception]
"""What Kafka takes in no form: places in the records of a batch, and why."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows in order and the records they make; `more` tells that there may be more right behind them.

    One is `divisible` where `mark` has an entry a record, so that some of its records can be finished and others not.
    """

    rows: int
    records: Sequence[RelayedRecord]
    mark: Any
    more: bool
    divisible: bool = False

    def part(self, places: Collection[int]) -> Batch:
        """Return the records at these places as a batch of their own; of a divisible one only."""
        taken = sorted(places)
        records = [self.records[place] for place in taken]
        return Batch(len(taken), records, [self.mark[place] for place in taken], self.more, divisible=True)


class Lane(Protocol):
    """One kind of rows on its way to Kafka; `compression` is the codec of its records, where one is worth it."""

    name: str
    compression: str | None

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Return the next rows to publish, or None where there are none.

        `behind` is a batch that is being published: then return what comes after it, or None where only its
        end tells.
        """
        ...

    def reduced(self, record: RelayedRecord, error: Exception) -> RelayedRecord | None:
        """Return what to publish in place of a record that Kafka refuses, or None where there is nothing."""
        ...

    async def finish(self, connection: Connection, batch: Batch, lease: Lease, refused: Refused) -> None:
        """Mark the batch as published, and say what was not; raise LeaseLostError when another relay is at work."""
        ...


@dataclass(frozen=True, slots=True)
class CursorMove:
    """From where to where a batch moves its lane's cursor."""

    start: Position
    end: Position


def cut(
    rows: Sequence[Row], records: Sequence[RelayedRecord | None], bytes_max: int
) -> tuple[int, list[RelayedRecord]]:
    """Return how many leading rows fit the bound (one always does), and the records of those."""
    taken: list[RelayedRecord] = []
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

    A read of `full_rows` or more may have been cut short by a bound of `fetch`. What Kafka takes in no form is passed
    by, logged and counted: the row has it. Where it takes none of many in a row (`refused_in_row_max`), something is
    wrong with the topic, and the lane waits.
    """

    compression: str | None = None

    def __init__(
        self,
        name: str,
        settings: RelaySettings,
        fetch: Callable[[Connection, Position, RelaySettings], Any],
        record_of: Callable[[Row], RelayedRecord | None],
        full_rows: int,
    ) -> None:
        self.name = name
        self._settings = settings
        self._fetch = fetch
        self._record_of = record_of
        self._full_rows = full_rows
        self._refused_in_row = 0

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
        return Batch(count, records, CursorMove(start, (last["relay_xid"], last["id"])), more)

    def reduced(self, record: RelayedRecord, error: Exception) -> RelayedRecord | None:  # noqa: ARG002 - see `Lane`
        """Return None: a change or command has no part that a reader could do without; see `Lane`."""
        return None

    async def finish(self, connection: Connection, batch: Batch, lease: Lease, refused: Refused) -> None:
        """Move the cursor from where the batch began to its last row; see `Lane`."""
        in_row = self._pass_by(batch, refused)
        span: CursorMove = batch.mark
        moved = await connection.fetchval(
            statement("producers", "move_cursor"), self.name, *span.start, *span.end, *lease.fence
        )
        if moved is None:
            raise LeaseLostError(f"cursor {self.name!r} was not moved: another relay holds the lease or has moved it")
        self._refused_in_row = in_row

    def _pass_by(self, batch: Batch, refused: Refused) -> int:
        """Log what is passed by and return how many in a row are; raise UnavailableError where Kafka takes nothing."""
        some_went = len(refused) < len(batch.records)
        in_row = (0 if some_went else self._refused_in_row) + len(refused)
        if refused and not some_went and in_row > self._settings.refused_in_row_max:
            (index, error), *_ = refused.items()
            raise UnavailableError(f"the last {in_row} records were refused: {refusal_of(batch.records[index], error)}")
        for index, error in refused.items():
            record = batch.records[index]
            names = {name: (value or b"").decode(errors="replace") for name, value in record.headers if name in NAMING}
            _log.error("relay_record_refused", lane=self.name, error=refusal_of(record, error), **names)
        return in_row


class LettersLane(CursorLane):
    """Dead letters; of one that is too large for the topic less and less is published.

    They are few, large and mostly text. Topics bound compressed sizes, and a record that a codec made small on its way
    in has to fit on its way out. Every client reads gzip.
    """

    compression: str | None = "gzip"

    def reduced(self, record: RelayedRecord, error: Exception) -> RelayedRecord | None:
        """Leave out a part; see `Lane`."""
        return smaller_letter(record, error)


class SpoolLane:
    """Records that wait for Kafka, published in order of id and then deleted; those it refuses become dead letters."""

    name = "spool"
    compression: str | None = None

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._left: dict[int, float] = {}

    def leave(self, ids: Iterable[int]) -> None:
        """Read past these rows for a while: their partition did not answer, and others wait behind them."""
        now = time.monotonic()
        self._left = {id_: until for id_, until in self._left.items() if until > now}
        room = LEFT_ROWS_MAX - len(self._left)
        self._left |= dict.fromkeys(list(ids)[:room], now + LEFT_SECONDS)

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Read from the oldest on, never ahead: which rows are to be read only their deletion tells."""
        if behind is not None:
            return None
        now = time.monotonic()
        left = [id_ for id_, until in self._left.items() if until > now]
        bounds = (self._settings.batch_records_max, self._settings.batch_bytes_max)
        rows = await connection.fetch(statement("producers", "read_spool"), *bounds, left)
        if not rows:
            return None
        records = [spooled_of(row) for row in rows]
        return Batch(len(rows), records, [row["id"] for row in rows], more=True, divisible=True)

    def reduced(self, record: RelayedRecord, error: Exception) -> RelayedRecord | None:  # noqa: ARG002 - see `Lane`
        """Return None: an event goes as it came or not at all; see `Lane`."""
        return None

    async def finish(self, connection: Connection, batch: Batch, lease: Lease, refused: Refused) -> None:
        """Delete the batch's rows, and make dead letters of those that were refused; see `Lane`."""
        sql = statement("producers", "delete_spool")
        buried = [(batch.mark[index], *burial_of(batch.records[index], error)) for index, error in refused.items()]
        columns = [list(column) for column in zip(*buried, strict=True)] or [[]] * BURIAL_COLUMNS
        if not await connection.fetchval(sql, batch.mark, *lease.fence, *columns):
            raise LeaseLostError("spooled rows were not deleted: another relay holds the lease")


async def _fetch_changes(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read ledger rows; the ledger bounds a row's size, so rows bound the bytes, beside those of metadata."""
    bounds = (settings.batch_records_max, settings.batch_bytes_max)
    return await connection.fetch(statement("producers", "read_changes"), *start, *bounds)


async def _fetch_states(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read ledger rows with the payments whose newest they are, bounded as changes are."""
    bounds = (settings.batch_records_max, settings.batch_bytes_max)
    return await connection.fetch(statement("producers", "read_states"), *start, *bounds)


async def _fetch_commands(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read commands, bounded in bytes of what their clients noted."""
    bounds = (settings.batch_records_max, settings.batch_bytes_max)
    return await connection.fetch(statement("producers", "read_commands"), *start, *bounds)


async def _fetch_letters(connection: Connection, start: Position, settings: RelaySettings) -> Any:
    """Read dead letters, bounded in bytes by Postgres: a thousand of them may be two gigabytes."""
    sql, rows_max = statement("producers", "read_letters"), settings.batch_records_max
    return await connection.fetch(sql, *start, rows_max, settings.batch_bytes_max, DEAD_LETTER_BYTES_MAX)


def open_lanes(settings: RelaySettings, topics: Topics) -> tuple[Lane, ...]:
    """Return the lanes of changes, states, commands, dead letters and the spool."""
    return (
        CursorLane("changes", settings, _fetch_changes, partial(change_of, topics=topics), settings.batch_records_max),
        CursorLane("state", settings, _fetch_states, partial(state_of, topics=topics), settings.batch_records_max),
        CursorLane("commands", settings, _fetch_commands, partial(command_of, topics=topics), 1),
        LettersLane("dead_letters", settings, _fetch_letters, partial(letter_of, topics=topics), 1),
        SpoolLane(settings),
    )
