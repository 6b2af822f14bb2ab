"""Archives the oldest ledger rows: `ratchet audit archive`.

A file is made in three steps; after any of them the power may fail: the rows go to a Parquet file, which is read again
from the disk and proved; it gets its name; its signed manifest says that it counts. Only a file with a manifest is
looked at by retention, so nothing is lost or removed too early, and a second run begins where the last manifest ends.

What is proved of a file before it counts: every row's hash, as it is read back; that each payment's rows are a part of
the payment's chain in the database, which itself holds from its anchor to its head; and that the seal names rows at or
behind them in that chain, and each row of no payment. Rows younger than the seal are not archived.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from ops.archive import ArchiveError, ChainPart, LedgerPlace, Manifest, digest_of
from ops.archive_parquet import ParquetRows, read_rows
from ops.audit import PAYMENTS_A_STEP, ROWS_A_STEP, check_anchor, check_chain, check_seal, is_as_written
from ops.database import fetch
from ops.seal import SealReader, sync
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from ops.archive import Archive
    from runtime.postgres import Connection

LOCK_KEY: Final = 0x5241_5443_4845_5401
"""The advisory lock of all runs of a database. It needs no right to write; it is given back with the session."""
BEGINNING: Final = LedgerPlace(0, 0)
OLD_SEAL: Final = "make a new seal, then archive again"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Archiving:
    """What to archive, and by what it is proved: rows recorded before `before`, `rows_max` of them a file."""

    before: dt.datetime
    rows_max: int
    key: bytes
    seal: Path


@dataclass(slots=True)
class ArchivedRows:
    """What a run has archived."""

    files: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Part:
    """The rows of one payment that a file holds, as they are gathered; what is chained on, `before`, comes later."""

    first: LedgerPlace
    rows: int = 0
    last: LedgerPlace = BEGINNING
    version: int = 0
    hash: bytes = b""
    before: bytes = b""

    def take(self, row: Row) -> None:
        """Go on to a row."""
        self.rows += 1
        self.last, self.version, self.hash = _place(row), row["version"] or self.version, row["hash"]


@dataclass(slots=True)
class Contents:
    """What a file holds: `alone` are the rows of no payment, their hashes by id."""

    parts: dict[UUID, Part] = field(default_factory=dict)
    alone: dict[int, bytes] = field(default_factory=dict)
    rows: int = 0
    first: LedgerPlace = BEGINNING
    last: LedgerPlace = BEGINNING
    last_hash: bytes = b""
    ids: tuple[int, int] = (2**63 - 1, 0)

    def take(self, row: Row) -> None:
        """Take a row in."""
        place = _place(row)
        self.first = self.first if self.rows else place
        self.rows, self.last, self.last_hash = self.rows + 1, place, row["hash"]
        self.ids = min(self.ids[0], place.id), max(self.ids[1], place.id)
        if row["payment_id"] is None:
            self.alone[place.id] = row["hash"]
        else:
            self.parts.setdefault(row["payment_id"], Part(place)).take(row)


def _place(row: Row) -> LedgerPlace:
    return LedgerPlace(row["relay_xid"], row["id"])


class _Run:
    """One run, under its lock."""

    def __init__(self, connection: Connection, archive: Archive, how: Archiving) -> None:
        self._connection = connection
        self._archive = archive
        self._how = how
        self._place = BEGINNING
        with closing(SealReader(how.seal, how.key)) as seal:
            if not seal.holds_rows:
                raise ArchiveError(f"{how.seal} is a seal of the first format, without rows of no payment: {OLD_SEAL}")
            self._sealed_at = seal.sealed_at

    async def go_on(self) -> ArchivedRows:
        """Archive file after file until no row is old enough."""
        done = ArchivedRows()
        self._place = await self._where_the_archive_ends()
        self._archive.remove_leftovers()
        while (made := await self._file()) is not None:
            done.files, done.rows, done.bytes = done.files + 1, done.rows + made.rows, done.bytes + made.size
        return done

    async def _where_the_archive_ends(self) -> LedgerPlace:
        """Return the relay place of the newest archived row; rows before it that are not archived come again.

        Raises ArchiveError where the ledger neither has that row nor removed it by retention: it is another's archive.
        """
        last = self._archive.last
        if last is None:
            return BEGINNING
        found = await fetch(self._connection, "find_archived_row", *last.last, bytes.fromhex(last.last_hash))
        if found:
            here = _place(found[0])
            return here if here == last.last else BEGINNING  # a rebase: rows stand in another order now
        payment_id = next((part.payment_id for part in self._archive.parts(last) if part.last == last.last), None)
        if payment_id is None:
            anchors = await fetch(self._connection, "read_anchor_without_payment")
        else:
            anchors = await fetch(self._connection, "read_anchors", [payment_id])
        if not any(anchor["ledger_id"] >= last.last.id for anchor in anchors):
            raise ArchiveError(
                f"the archive ends with ledger row {last.last.id}, which this ledger does not have and retention did "
                "not remove: it is the archive of another database, or this one was restored from an older backup"
            )
        return BEGINNING

    async def _next_rows(self, limit: int) -> list[Row]:
        """Return the next rows that are old enough and not archived yet; none where there are no more."""
        while True:
            step = await fetch(self._connection, "list_rows_to_archive", *self._place, min(limit, ROWS_A_STEP))
            old = list(takewhile(lambda row: row["recorded_at"] < self._how.before, step))
            if not old:
                return []
            self._place = _place(old[-1])
            if rows := [row for row in old if not self._is_archived(row)]:
                return rows

    def _is_archived(self, row: Row) -> bool:
        """Tell whether the archive has a row already; raises ArchiveError where it has another one of that id."""
        archived = self._archive.hash_of(row["id"]) if row["id"] <= self._archive.id_max else None
        if archived is not None and archived != row["hash"]:
            raise _wrong(f"ledger row {row['id']} is not the one that was archived")
        return archived is not None

    async def _file(self) -> Manifest | None:
        """Make one file, prove it, and have it count; None where no row is old enough."""
        rows = await self._next_rows(self._how.rows_max)
        if not rows:
            return None
        path = self._archive.new_file()
        partial = path.with_name(path.name + ".partial")
        contents = await self._write(partial, rows)
        sync(partial)
        await self._prove(contents)
        _read_back(partial, contents)
        digest, size = digest_of(partial), partial.stat().st_size
        partial.replace(path)
        sync(path.parent)
        manifest = await self._manifest(contents, path.name, digest, size)  # asks the session that has the lock
        self._archive.add(manifest, _sorted(contents))
        return manifest

    async def _write(self, path: Path, rows: list[Row]) -> Contents:
        """Write rows until the file is full or none is old enough."""
        contents, writer = Contents(), ParquetRows(path)
        try:
            while rows:
                writer.write(rows)
                for row in rows:
                    contents.take(row)
                wanted = self._how.rows_max - contents.rows
                rows = await self._next_rows(wanted) if wanted else []
        finally:
            writer.close()
        return contents

    async def _prove(self, contents: Contents) -> None:
        """Hold what the file has against chains and seal; raises ArchiveError where anything does not hold."""
        with closing(SealReader(self._how.seal, self._how.key)) as seal:
            ids = sorted(contents.parts)
            for start in range(0, len(ids), PAYMENTS_A_STEP):
                await self._prove_chains(contents, ids[start : start + PAYMENTS_A_STEP], seal)
            for _ in seal.up_to(None):
                pass  # payments of which the file has nothing
            unsealed = dict(contents.alone)
            for row in seal.rows():
                archived = unsealed.pop(row.id, row.hash)
                if archived != row.hash:
                    raise _wrong(f"ledger row {row.id} was sealed, and is another row now")
            if unsealed:
                raise ArchiveError(f"ledger row {min(unsealed)} is not in the seal {self._how.seal}: {OLD_SEAL}")

    async def _prove_chains(self, contents: Contents, ids: list[UUID], seal: SealReader) -> None:
        """Find what each part is chained on, in a chain that holds and that the seal knows."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            heads = {head["id"]: head for head in await fetch(self._connection, "read_heads", ids)}
            rows = await fetch(self._connection, "read_chains", ids)
        chains: dict[UUID, list[Row]] = defaultdict(list)
        for row in rows:
            chains[row["payment_id"]].append(row)
        for payment_id in ids:
            if (head := heads.get(payment_id)) is None:
                raise _wrong(f"payment {payment_id} has ledger rows, and is not there")
            chain, part = chains[payment_id], contents.parts[payment_id]
            wrong = check_chain(head, chain) or check_anchor(head, self._how.key)
            sealed = [one for one in seal.up_to(payment_id) if one.payment_id == payment_id]
            if not wrong and sealed:
                wrong = check_seal(head, chain, sealed[0])
            if wrong:
                raise _wrong(f"payment {payment_id}, ledger row {wrong[0].id}: {wrong[0].why}")
            if not sealed or sealed[0].ledger_id < part.last.id:
                raise ArchiveError(f"ledger row {part.last.id} is younger than the seal {self._how.seal}: {OLD_SEAL}")
            part.before = _before(chain, head["anchor_hash"] or b"", part)

    async def _manifest(self, contents: Contents, name: str, digest: str, size: int) -> Manifest:
        (anchor,) = await fetch(self._connection, "read_anchor_without_payment")
        return Manifest(
            number=len(self._archive.files) + 1,
            file=name,
            size=size,
            sha256=digest,
            rows=contents.rows,
            rows_without_payment=len(contents.alone),
            removed_before=anchor["rows_removed"],
            first=contents.first,
            last=contents.last,
            last_hash=contents.last_hash.hex(),
            id_min=contents.ids[0],
            id_max=contents.ids[1],
            schema=await self._connection.fetchval(statement("runtime", "read_schema_version")),
            archived_at=dt.datetime.now(dt.UTC),
            sealed_at=self._sealed_at,
            previous=self._archive.newest_digest,
        )


def _wrong(what: str) -> ArchiveError:
    return ArchiveError(f"{what}; nothing more is archived: see `ratchet audit verify`")


def _before(chain: Sequence[Row], anchored: bytes, part: Part) -> bytes:
    """Return the hash on which a part is chained; raises ArchiveError where the chain does not have its rows."""
    first = next((at for at, row in enumerate(chain) if row["id"] == part.first.id), None)
    if first is None or len(chain) < first + part.rows or chain[first + part.rows - 1]["hash"] != part.hash:
        raise _wrong(f"ledger rows {part.first.id} to {part.last.id} changed while they were archived")
    return chain[first - 1]["hash"] if first else anchored


def _sorted(contents: Contents) -> Iterator[ChainPart]:
    for payment_id in sorted(contents.parts):
        part = contents.parts[payment_id]
        yield ChainPart(payment_id, part.rows, part.first, part.before, part.last, part.version, part.hash)


def _read_back(path: Path, contents: Contents) -> None:
    """Read a file as it is on the disk: every row has the hash of its content, and each chain ends as it should."""
    ends = {payment_id: part.before for payment_id, part in contents.parts.items()}
    count = 0
    for rows in read_rows(path):
        for row in rows:
            count += 1
            payment_id = row["payment_id"]
            if not is_as_written(row, b"" if payment_id is None else ends[payment_id]):
                raise _wrong(f"ledger row {row['id']}, as {path.name} has it, is not what was written")
            if payment_id is not None:
                ends[payment_id] = row["hash"]
            elif contents.alone.get(row["id"]) != row["hash"]:
                raise _wrong(f"{path.name} holds another ledger row {row['id']} than the table")
    if count != contents.rows or any(ends[one] != part.hash for one, part in contents.parts.items()):
        raise _wrong(f"{path.name} does not hold what was written to it")


async def archive_old(connection: Connection, archive: Archive, how: Archiving) -> ArchivedRows:
    """Archive the rows that are old enough, up to the first that is not; return what was done.

    Raises ArchiveError while another run is at it and where anything can't be proved, SealError for a seal that does
    not hold, ParquetError where the file can't be written.
    """
    if not (await fetch(connection, "try_archive_lock", LOCK_KEY))[0]["locked"]:
        raise ArchiveError("another run is at work; look again when it has ended")
    try:
        return await _Run(connection, archive, how).go_on()
    finally:
        await fetch(connection, "end_archive_lock", LOCK_KEY)
