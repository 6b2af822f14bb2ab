"""Checks that an archive and the database are one history: `ratchet audit verify --archive`.

First the archive by itself: every file by its digest, every row by its hash, every payment's rows as one chain through
all files. Then, while the audit walks the ledger, that each chain goes on in the database where the archive ends, or
that the archive's rows are in it still; that retention removed nothing which is not archived; and that what a seal
names is in either. What is looked up by id stands in a temporary SQLite file, so memory does not grow with the archive.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ops.archive import Archive, ArchiveError, LedgerPlace
from ops.archive_parquet import ParquetError, read_rows
from ops.audit import Broken, is_as_written
from ops.seal import SealReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from ops.archive import ChainPart, Manifest
    from ops.seal import Sealed, SealedRow

TABLES: Final = """
create table ends (payment blob primary key, first_id integer, last_id integer, hash blob, met integer default 0);
create table sealed (id integer primary key, hash blob, found integer default 0);
create table alone (id integer primary key, hash blob, met integer default 0);
"""
NOT_WRITTEN: Final = "its content, or a row before it, is not what was written"


class ArchiveCheck:
    """What the archive says of each payment and row, to be asked while the ledger is walked.

    `broken` are the findings of the archive by itself. Close it: it holds a file.
    """

    def __init__(self, archive: Archive, seal: SealReader | None) -> None:
        self._archive = archive
        self._file = tempfile.NamedTemporaryFile(prefix="ratchet-archive-", suffix=".db")  # noqa: SIM115 - see close
        self._store = sqlite3.connect(self._file.name, isolation_level=None)
        self._store.executescript("pragma journal_mode = off; pragma synchronous = off; begin;" + TABLES)
        self.rows = 0
        self.broken: list[Broken] = []
        if seal is not None:
            self._take_seal(seal)

    @classmethod
    def of(cls, folder: Path, key: bytes, seal: Path | None) -> Self:
        """Read and check an archive; raises ArchiveError where it is empty, SealError where a seal does not hold."""
        archive = Archive(folder, key)
        if not archive.files and not archive.problems:
            raise ArchiveError(f"the archive {folder} is empty: it proves nothing")
        if seal is None:
            check = cls(archive, None)
        else:
            with closing(SealReader(seal, key)) as reader:
                check = cls(archive, reader)
        check.check_files()
        return check

    def close(self) -> None:
        """Remove what was kept for looking up."""
        self._store.close()
        self._file.close()

    @property
    def files(self) -> int:
        """How many files the archive has."""
        return len(self._archive.files)

    @property
    def holds(self) -> bool:
        """Tell whether the manifests hold: only then can the ledger be held against them."""
        return not self._archive.problems

    def _take_seal(self, seal: SealReader) -> None:
        insert = "insert or ignore into sealed (id, hash) values (?, ?)"
        self._store.executemany(insert, ((one.ledger_id, one.hash) for one in seal.up_to(None)))
        self._store.executemany(insert, ((one.id, one.hash) for one in seal.rows()))

    def check_files(self) -> None:
        """Check every manifest and file; what is wrong is in `broken`."""
        self.broken += [Broken(None, None, f"the archive: {one}") for one in self._archive.problems]
        if self.holds:
            for manifest in self._archive.files:
                self.broken += self._check_file(manifest)

    def _check_file(self, manifest: Manifest) -> Iterator[Broken]:
        parts = {part.payment_id: part for part in self._archive.parts(manifest)}
        yield from self._check_follows(manifest, parts)
        wrong = self._archive.wrong_file(manifest)
        if wrong is None:
            try:
                yield from self._check_rows(manifest, parts)
            except ParquetError as error:
                wrong = str(error)
        if wrong is not None:
            yield Broken(None, None, f"the archive: {wrong}")

    def _check_follows(self, manifest: Manifest, parts: Mapping[UUID, ChainPart]) -> Iterator[Broken]:
        """Check that each part is chained on what the files before have of its payment, and note its end."""
        for payment_id, part in parts.items():
            end = self._end(payment_id)
            if end is not None and end[2] != part.before:
                yield Broken(
                    part.first.id, payment_id, f"the archive: its rows in {manifest.file} do not follow those before"
                )
            first = part.first.id if end is None else end[0]
            self._store.execute(
                "insert into ends (payment, first_id, last_id, hash) values (?1, ?2, ?3, ?4)"
                " on conflict (payment) do update set last_id = ?3, hash = ?4",
                (payment_id.bytes, first, part.last.id, part.hash),
            )

    def _check_rows(self, manifest: Manifest, parts: Mapping[UUID, ChainPart]) -> Iterator[Broken]:
        """Check every row by its hash; the first wrong row of a payment speaks for those after it."""
        ends = {payment_id: part.before for payment_id, part in parts.items()}
        wrong: set[UUID | None] = set()
        alone = 0
        for rows in read_rows(self._archive.folder / manifest.file):
            self.rows += len(rows)
            for row in rows:
                payment_id = row["payment_id"]
                alone += payment_id is None
                if payment_id is not None and payment_id not in ends:
                    yield _row(row, manifest, "its manifest does not have its payment")
                elif not is_as_written(row, b"" if payment_id is None else ends[payment_id]):
                    if payment_id is None or payment_id not in wrong:
                        yield _row(row, manifest, NOT_WRITTEN)
                    wrong.add(payment_id)
                if payment_id in ends:
                    ends[payment_id] = row["hash"]
            self._note(rows)
        for payment_id, part in parts.items():
            if ends[payment_id] != part.hash and payment_id not in wrong:
                yield Broken(part.last.id, payment_id, f"the archive: {manifest.file} does not have it")
        if alone != manifest.rows_without_payment:
            yield Broken(None, None, f"the archive: {manifest.file} has {alone} rows of no payment, not "
                         f"{manifest.rows_without_payment}")  # fmt: skip

    def _note(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._store.executemany(
            "update sealed set found = 1 where id = ? and hash = ?", ((row["id"], row["hash"]) for row in rows)
        )
        self._store.executemany(
            "insert or ignore into alone (id, hash) values (?, ?)",
            ((row["id"], row["hash"]) for row in rows if row["payment_id"] is None),
        )

    def _end(self, payment_id: UUID) -> tuple[int, int, bytes] | None:
        query = "select first_id, last_id, hash from ends where payment = ?"
        return self._store.execute(query, (payment_id.bytes,)).fetchone()  # type: ignore[no-any-return]

    def _is_before(self, place: LedgerPlace) -> bool:
        """Tell whether a place is before all that the archive has: retention was at work before archiving began."""
        return place < self._archive.files[0].first

    def check_payment(self, head: Mapping[str, Any], chain: Sequence[Mapping[str, Any]]) -> list[Broken]:
        """Hold a payment's chain in the database, which is checked by then, against what is archived of it."""
        end, removed_up_to = self._end(head["id"]), head["anchor_id"] or 0
        if end is None:
            if not removed_up_to or self._is_before(LedgerPlace(head["anchor_xid"], removed_up_to)):
                return []
            why = "it and what was before it were removed, and are not in the archive"
            return [Broken(removed_up_to, head["id"], why)]
        self._store.execute("update ends set met = 1 where payment = ?", (head["id"].bytes,))
        _, last_id, digest = end
        if last_id < removed_up_to:
            return [Broken(removed_up_to, head["id"], f"rows after {last_id} were removed, and are not in the archive")]
        there = head["anchor_hash"] if last_id == removed_up_to else None
        for row in chain:
            if row["id"] == last_id:
                there = row["hash"]
        if there == digest:
            return []
        return [Broken(last_id, head["id"], "it is archived, and the ledger does not go on from it")]

    def check_gone(self) -> Iterator[Broken]:
        """Name what is archived of payments that the walk did not meet; to be asked at its end."""
        query = "select payment, last_id from ends where met = 0 order by payment"
        for payment, last_id in self._store.execute(query):
            yield Broken(last_id, UUID(bytes=payment), "its payment was archived, and is not there")

    def has_sealed(self, sealed: Sealed | SealedRow) -> bool:
        """Tell whether a sealed row is in the archive."""
        ledger_id = sealed[1]
        found = self._store.execute("select hash from sealed where id = ? and found = 1", (ledger_id,)).fetchone()
        return found is not None and found[0] == sealed.hash

    def should_have(self, payment_id: UUID, ledger_id: int) -> bool:
        """Tell whether a row that retention removed must be in the archive: it is none of before archiving began."""
        end = self._end(payment_id)
        return end is not None and end[0] <= ledger_id

    def check_alone(self, row: Mapping[str, Any]) -> list[Broken]:
        """Hold a row of no payment in the database against the archive."""
        found = self._store.execute("select hash from alone where id = ?", (row["id"],)).fetchone()
        if found is None:
            return []
        self._store.execute("update alone set met = 1 where id = ?", (row["id"],))
        return [] if found[0] == row["hash"] else [Broken(row["id"], None, "it was archived, and is another row now")]

    def check_removed_alone(self, rows_removed: int) -> list[Broken]:
        """Hold how many rows of no payment retention removed against how many archived ones are gone."""
        (gone,) = self._store.execute("select count(*) from alone where met = 0").fetchone()
        since = rows_removed - self._archive.files[0].removed_before
        if gone == since:
            return []
        removed = f"retention removed {since} rows of no payment since archiving began"
        return [Broken(None, None, f"{removed}; {gone} that are archived are gone from the ledger")]

    def is_before_archive(self, sealed: SealedRow) -> bool:
        """Tell whether a row of no payment stood before all that is archived."""
        return self._is_before(LedgerPlace(sealed.relay_xid, sealed.id))


def _row(row: Mapping[str, Any], manifest: Manifest, why: str) -> Broken:
    return Broken(row["id"], row["payment_id"], f"the archive, {manifest.file}: {why}")
