"""What an archive holds and when it counts, file by file: its runs, what retention gets of it, and what is named."""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from paper_ledger import DAY, NOON, SCHEMA, PaperLedger, PaperRows, read_rows, use_paper

from ops import archive as archive_module
from ops import archive_run, audit
from ops.archive import FILES_KEPT, PREFIX, Archive, ArchiveError, Manifest
from ops.archive_check import ArchiveCheck
from ops.archive_run import ArchivedRows, Archiving, archive_old
from ops.audit import Audit, AuditInputs, walk
from ops.retention import DAYS_MIN, Signing, remove_old
from ops.seal import SealReader, SealWriter

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ops.archive import ChainPart

pytestmark = pytest.mark.unit

KEY = b"a key that nobody who owns the schema has"
OLD = NOON - 500 * DAY
ROWS = ((1, 10), (2, 10), (None, 10), (1, 12), (3, 12), (2, 11), (None, 11), (1, 13), (3, 13), (None, 13))
"""Payment and transaction of each ledger row, by its id from 1 on: who began last has not always the last ids."""
ORDER = [1, 2, 3, 6, 7, 4, 5, 8, 9, 10]
"""Their ids in the relay's order."""
REMOVED = "retention removed {} rows of no payment since archiving began"


class Kept:
    """A ledger with an archive beside it."""

    def __init__(self, folder: Path) -> None:
        self.ledger: Any = PaperLedger()
        self.folder = folder / "archive"
        self.folder.mkdir()
        self.seals = 0

    def archive(self) -> Archive:
        return Archive.opened(self.folder, KEY)

    async def seal(self) -> Path:
        self.seals += 1
        path = self.folder.parent / f"{self.seals}.seal"
        writer = SealWriter(path, KEY, NOON)
        found = await walk(self.ledger, 10, AuditInputs(KEY, writer=writer))
        assert found.broken == []
        writer.finish()
        return path

    async def run(self, seal: Path | None = None, *, rows_max: int = 3, before: dt.datetime = NOON) -> ArchivedRows:
        how = Archiving(before, rows_max, KEY, seal or await self.seal())
        return await archive_old(self.ledger, self.archive(), how)

    async def retain(self, now: dt.datetime = NOON) -> int:
        return await remove_old(self.ledger, DAYS_MIN, now, Signing(KEY), self.archive())

    async def retain_all_but(self, ids: Sequence[int], archive: Archive | None = None) -> int:
        """Have retention take the rows before these, which are not old yet while it looks."""
        for number in ids:
            self.ledger.row(number)["recorded_at"] += 400 * DAY
        removed = await remove_old(self.ledger, DAYS_MIN, NOON, Signing(KEY), archive)
        for number in ids:
            self.ledger.row(number)["recorded_at"] -= 400 * DAY
        return removed

    async def whys(self, seal: Path | None = None) -> list[tuple[int | None, str]]:
        """Return what `ratchet audit verify --archive` names: the row and why."""
        with ExitStack() as stack:
            checked = stack.enter_context(closing(ArchiveCheck.of(self.folder, KEY, seal)))
            reader = stack.enter_context(closing(SealReader(seal, KEY))) if seal else None
            held = checked if checked.holds else None
            found = await walk(self.ledger, 100, AuditInputs(KEY, reader, archive=held))
            both = Audit(100)
            both.note([*checked.broken, *found.broken])
            return [(one.id, one.why) for one in both.broken]

    def rows_of(self, manifest: Manifest) -> list[dict[str, Any]]:
        return [row for rows in read_rows(self.folder / manifest.file) for row in rows]

    def sign(self, manifest: Manifest, parts: Sequence[ChainPart], key: bytes = KEY) -> None:
        """Write a manifest anew, as somebody could who has the key."""
        body = "".join(f"{line}\n" for line in (manifest.line(), *(part.line() for part in parts))).encode()
        end = f"{PREFIX}{hmac.digest(key, body, 'sha256').hex()}\n".encode()
        (self.folder / manifest.name).write_bytes(body + end)

    def rewrite(self, number: int, change: Callable[[list[dict[str, Any]]], object], **stated: Any) -> None:
        """Change the rows of a file and what its manifest says, with the key; of the last file, or the next differs."""
        archive = self.archive()
        manifest, rows = archive.files[number], self.rows_of(archive.files[number])
        change(rows)
        writer = PaperRows(self.folder / manifest.file)
        writer.write(rows)
        writer.close()
        digest = hashlib.sha256((self.folder / manifest.file).read_bytes()).hexdigest()
        self.sign(replace(manifest, sha256=digest, **stated), list(archive.parts(manifest)))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    use_paper(monkeypatch)

    made = Kept(tmp_path)
    for payment, relay_xid in ROWS:
        made.ledger.add(payment, relay_xid, at=OLD)
    return made


async def test_every_old_row_is_archived_once_in_the_relays_order_and_retention_takes_just_those(kept: Kept) -> None:
    seal = await kept.seal()
    assert await kept.run(seal) == ArchivedRows(4, 10, sum(one.size for one in kept.archive().files))
    files = kept.archive().files
    assert [row["id"] for one in files for row in kept.rows_of(one)] == ORDER
    assert [(one.number, one.rows, one.rows_without_payment, one.schema) for one in files] == [
        (1, 3, 1, SCHEMA), (2, 3, 1, SCHEMA), (3, 3, 0, SCHEMA), (4, 1, 1, SCHEMA),
    ]  # fmt: skip
    assert [(one.id_min, one.id_max) for one in files] == [(1, 3), (4, 7), (5, 9), (10, 10)]
    assert {one.removed_before for one in files} == {0}
    assert await kept.whys(seal) == []
    young = kept.ledger.add(2, 14)
    assert await kept.retain() == 10
    assert kept.ledger.ids() == [young["id"]]
    assert await kept.whys(seal) == []
    assert await kept.whys(await kept.seal()) == []


async def test_a_run_goes_on_where_the_archive_ends_and_leaves_its_files_alone(kept: Kept) -> None:
    assert (await kept.run()).rows == 10
    kept.ledger.asked.clear()
    assert await kept.run() == ArchivedRows()
    assert kept.ledger.asked.count("list_rows_to_archive") == 1, "it reads nothing again of what it has"
    for name in ("00000005-aaaaaaaa.parquet", "00000005-b.parquet.partial", "00000005.manifest.cc.partial"):
        (kept.folder / f"ledger-{name}").write_bytes(b"half")
    assert await kept.retain() == 10
    later = [kept.ledger.add(payment, 20, at=OLD) for payment in (1, None, 2, 3)]
    assert (await kept.run()).rows == len(later)
    files = kept.archive().files
    assert [(one.number, one.rows, one.removed_before) for one in files[4:]] == [(5, 3, 3), (6, 1, 3)]
    names = {name for one in files for name in (one.name, one.file)}
    assert {path.name for path in kept.folder.iterdir()} == names
    assert await kept.whys(await kept.seal()) == []
    assert await kept.retain() == len(later)
    assert await kept.whys(await kept.seal()) == []


async def test_a_chain_goes_on_from_file_to_file(kept: Kept) -> None:
    kept.ledger.add(1, 14, at=OLD, counts=False)
    await kept.run()
    archive = kept.archive()
    mine = [part for one in archive.files for part in archive.parts(one) if part.payment_id.int == 1]
    rows = {row["id"]: row for row in kept.ledger.rows}
    assert [(part.first, part.last, part.version) for part in mine] == [
        ((10, 1), (10, 1), 1), ((12, 4), (12, 4), 2), ((13, 8), (13, 8), 3), ((14, 11), (14, 11), 0)
    ]  # fmt: skip
    assert [part.before for part in mine] == [b"", *(rows[number]["hash"] for number in (1, 4, 8))]
    assert [part.hash for part in mine] == [rows[number]["hash"] for number in (1, 4, 8, 11)]


async def test_a_row_is_found_in_its_own_file_also_where_the_ids_of_two_overlap(kept: Kept) -> None:
    await kept.run()
    for row in kept.ledger.rows:
        assert kept.archive().hash_of(row["id"]) == row["hash"]
    assert kept.archive().hash_of(11) is None


async def test_a_row_that_changed_nothing_leaves_a_part_at_the_version_before(kept: Kept) -> None:
    kept.ledger.add(1, 14, at=OLD, counts=False)
    await kept.run(rows_max=100)
    archive = kept.archive()
    assert [part.version for part in archive.parts(archive.files[0])] == [3, 2, 2]


@pytest.mark.parametrize("step", [1, 2, 100])
async def test_a_file_is_full_whatever_a_step_reads(kept: Kept, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_run, "ROWS_A_STEP", step)
    await kept.run()
    assert [one.rows for one in kept.archive().files] == [3, 3, 3, 1]


async def test_what_stands_behind_a_young_row_waits_for_it(kept: Kept) -> None:
    """Else it is archived, and the young row never: retention stands still before it for good."""
    kept.ledger.add(None, 14, at=NOON + DAY)
    kept.ledger.add(None, 15, at=OLD)
    assert (await kept.run()).rows == 10
    assert await kept.retain(NOON + 500 * DAY) == 10
    assert (await kept.run(before=NOON + 2 * DAY)).rows == 2


def restored(ledger: PaperLedger) -> None:
    """Give all rows one transaction, as a rebase after a restore does."""
    for row in ledger.rows:
        row["relay_xid"] = 1


@pytest.mark.parametrize("rows_max", [1, 2, 100])
async def test_after_a_restore_what_is_archived_is_not_archived_again_and_the_rest_is(
    kept: Kept, rows_max: int
) -> None:
    """The rows stand in another order then: one that was younger may stand before all that is archived."""
    ledger = kept.ledger = PaperLedger()
    for relay_xid, at in ((20, NOON), (10, OLD), (10, OLD), (5, OLD)):
        ledger.add(None, relay_xid, at=at)
    assert (await kept.run(rows_max=rows_max)).rows == 3
    assert kept.archive().id_max == 4
    restored(ledger)
    assert (await kept.run(rows_max=rows_max, before=NOON + DAY)).rows == 1
    assert await kept.run(rows_max=rows_max, before=NOON + DAY) == ArchivedRows()
    assert await kept.retain(NOON + 500 * DAY) == 4
    assert await kept.whys(await kept.seal()) == []


async def test_an_archive_that_this_ledger_did_not_make_is_not_gone_on_with(kept: Kept) -> None:
    await kept.run()
    ledger = kept.ledger = PaperLedger()
    for number in range(12):
        ledger.add(None, 30 + number, at=OLD)
    for ledger_id in (0, 9):
        ledger.alone = {"ledger_id": ledger_id, "rows_removed": 1, "mac": None}
        with pytest.raises(ArchiveError, match="the archive of another database"):
            await kept.run(kept.folder.parent / "1.seal")
    assert len(kept.archive().files) == 4


async def test_one_run_at_a_time_and_the_lock_is_given_back_whatever_comes(kept: Kept) -> None:
    kept.ledger.locked = True
    with pytest.raises(ArchiveError, match="another run"):
        await kept.run()
    assert kept.ledger.locked, "the other's lock stays"
    kept.ledger.locked = False
    seal = await kept.seal()
    kept.ledger.row(1)["event_type"] = "other"
    with pytest.raises(ArchiveError, match="audit verify"):
        await kept.run(seal)
    assert not kept.ledger.locked
    kept.ledger.row(1)["event_type"] = "customer.updated"
    assert (await kept.run(seal)).rows == 10
    assert not kept.ledger.locked


def rewritten(ledger: PaperLedger) -> None:
    """Rewrite a chain to its head, so that every hash fits."""
    ledger.row(1)["event_type"] = "other"
    before = b""
    for row in ledger.rows:
        if row["payment_id"] is not None and row["payment_id"].int == 1:
            before = row["hash"] = audit._unsealed(row).seal(before)
            ledger.payments[row["payment_id"]]["head_hash"] = before


def unhinged(ledger: PaperLedger) -> None:
    """Have a payment's head be another one's: its chain lacks rows at the end."""
    ledger.payments[ledger.row(2)["payment_id"]]["head_hash"] = b"x" * 32


def ownerless(ledger: PaperLedger) -> None:
    del ledger.payments[ledger.row(1)["payment_id"]]


def removed(ledger: PaperLedger) -> None:
    ledger.take_out(4)


@pytest.mark.parametrize("change", [rewritten, unhinged, ownerless, removed], ids=lambda one: one.__name__)
async def test_a_ledger_that_cannot_be_proved_is_not_archived(
    kept: Kept, change: Callable[[PaperLedger], None]
) -> None:
    seal = await kept.seal()
    change(kept.ledger)
    with pytest.raises(ArchiveError, match="nothing more is archived"):
        await kept.run(seal, rows_max=100)
    assert kept.archive().files == []


async def test_a_chain_on_an_anchor_that_retention_did_not_sign_is_not_archived(kept: Kept) -> None:
    assert await kept.retain_all_but(ORDER[6:]) == 6
    seal = await kept.seal()
    kept.ledger.anchors[kept.ledger.row(8)["payment_id"]]["rows_removed"] += 1
    with pytest.raises(ArchiveError, match="its anchor is not what retention signed"):
        await kept.run(seal)


async def test_a_row_that_changed_while_it_was_archived_is_not_archived(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal, take = await kept.seal(), archive_run.Contents.take

    def changed(self: archive_run.Contents, row: Any) -> None:
        take(self, row | {"hash": b"x" * 32} if row["id"] == 8 else row)

    monkeypatch.setattr(archive_run.Contents, "take", changed)
    with pytest.raises(ArchiveError, match="changed while they were archived"):
        await kept.run(seal, rows_max=100)
    assert kept.archive().files == []


SPOILT: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "content": lambda rows: rows[0].update(event_type="other"),
    "one fewer": lambda rows: rows.pop(),
    "one of a payment fewer": lambda rows: rows.pop(8),
    "one more": lambda rows: rows.append(rows[-1]),
    "another row of no payment, with a hash that fits": lambda rows: rows[2].update(refitted(rows[2])),
}


def refitted(row: dict[str, Any]) -> dict[str, Any]:
    other = row | {"event_type": "other"}
    return other | {"hash": audit._unsealed(other).seal(b"")}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_file_that_does_not_come_back_as_it_was_written_does_not_count(
    kept: Kept, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spoiling(PaperRows):
        def write(self, rows: Any) -> None:
            written = [dict(row) for row in rows]
            SPOILT[how](written)
            super().write(written)

    monkeypatch.setattr(archive_run, "ParquetRows", Spoiling)
    with pytest.raises(ArchiveError, match="nothing more is archived"):
        await kept.run(rows_max=100)
    assert kept.archive().files == []
    assert await kept.retain() == 0


async def test_a_seal_without_rows_of_no_payment_proves_no_archive(kept: Kept) -> None:
    seal = await kept.seal()
    body = "".join(
        line.replace("ratchet-seal/2", "ratchet-seal/1")
        for line in seal.read_text().splitlines(keepends=True)
        if not line.startswith(("row", PREFIX))
    ).encode()
    seal.write_bytes(body + f"{PREFIX}{hmac.digest(KEY, body, 'sha256').hex()}\n".encode())
    with pytest.raises(ArchiveError, match="a seal of the first format"):
        await kept.run(seal)
    assert not kept.ledger.locked


async def test_what_counts_is_on_the_disk_before_it_counts(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power may fail after any step: a manifest that names a file which is not whole would lose its rows."""
    synced: list[tuple[int, int, set[str]]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size, {path.name for path in kept.folder.iterdir()}))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await kept.run(rows_max=100)
    (manifest,) = kept.archive().files

    def was_synced(path: Path, *, before: str = "", after: str = "") -> bool:
        found = path.stat()
        whole = [
            names for inode, size, names in synced if inode == found.st_ino and (path.is_dir() or size == found.st_size)
        ]
        return any((not before or before not in names) and (not after or after in names) for names in whole)

    assert was_synced(kept.folder / manifest.file, before=manifest.file)
    assert was_synced(kept.folder / manifest.name, before=manifest.name)
    assert was_synced(kept.folder, after=manifest.file, before=manifest.name)
    assert was_synced(kept.folder, after=manifest.name)


async def test_a_manifest_is_never_written_over(kept: Kept) -> None:
    seal = await kept.seal()
    other = kept.archive()
    assert (await kept.run(seal)).rows == 10
    before = {path.name: path.read_bytes() for path in kept.folder.iterdir() if path.name.endswith("manifest")}
    with pytest.raises(ArchiveError, match="another run made it"):
        await archive_old(kept.ledger, other, Archiving(NOON, 2, KEY, seal))
    after = {path.name: path.read_bytes() for path in kept.folder.iterdir() if path.name.endswith("manifest")}
    assert before == after


async def test_an_archive_that_does_not_hold_is_not_opened(kept: Kept) -> None:
    await kept.run()
    files = kept.archive().files
    kept_bytes = {path.name: path.read_bytes() for path in kept.folder.iterdir()}
    parts = list(kept.archive().parts(files[3]))
    for change, why in (
        ((kept.folder / files[3].file).unlink, f"{files[3].file} is missing"),
        ((kept.folder / files[1].name).unlink, f"{files[1].name} is missing"),
        (lambda: kept.sign(replace(files[3], number=9), parts), "missing"),
        (lambda: kept.sign(replace(files[3], previous=files[2].previous), parts), "does not follow"),
        (lambda: kept.sign(files[3], parts, b"another"), "not what was signed"),
        (lambda: (kept.folder / files[3].name).write_text("hello\n"), "is no manifest"),
        (lambda: kept.sign(replace(files[3], rows=2), parts[:0]), None),
    ):
        change()
        if why is None:
            assert kept.archive().files[3].rows == 2, "with the key anything can be stated"
        else:
            with pytest.raises(ArchiveError, match=why):
                kept.archive()
        for path in kept.folder.iterdir():
            path.unlink()
        for name, data in kept_bytes.items():
            (kept.folder / name).write_bytes(data)


async def test_a_manifest_is_at_its_own_number_and_of_this_format(kept: Kept) -> None:
    await kept.run()
    manifest = kept.archive().files[3]
    parts = list(kept.archive().parts(manifest))
    path = kept.folder / manifest.name
    kept.sign(replace(manifest, number=9), parts)
    (kept.folder / "ledger-00000009.manifest").replace(path)
    with pytest.raises(ArchiveError, match="does not follow"):
        kept.archive()
    text = f"{manifest.line()}\n".replace("ratchet-archive/1", "ratchet-archive/2").encode()
    path.write_bytes(text + f"{PREFIX}{hmac.digest(KEY, text, 'sha256').hex()}\n".encode())
    with pytest.raises(ArchiveError, match="is no manifest"):
        kept.archive()


async def test_retention_takes_nothing_of_a_file_that_is_not_what_was_archived(kept: Kept) -> None:
    """Also of a later one: what was read before it is no proof of it."""
    await kept.run()
    file = kept.folder / kept.archive().files[2].file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ArchiveError, match="not what was archived"):
        await kept.retain()
    assert kept.ledger.ids() == list(range(1, 11))


async def test_retention_takes_nothing_that_was_archived_as_another_row(kept: Kept) -> None:
    await kept.run()
    kept.ledger.row(3).update(refitted(kept.ledger.row(3)))
    with pytest.raises(ArchiveError, match="is not the one that was archived"):
        await kept.retain()
    assert kept.ledger.ids() == list(range(1, 11))
    restored(kept.ledger)
    with pytest.raises(ArchiveError, match="is not the one that was archived"):
        await kept.run()


async def test_memory_holds_the_hashes_of_few_files_and_each_is_read_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.run(rows_max=1)
    archive, read = kept.archive(), list[str]()

    def hashes(path: Path) -> dict[int, bytes]:
        read.append(path.name)
        return {row["id"]: row["hash"] for rows in read_rows(path) for row in rows}

    monkeypatch.setattr(archive_module, "read_hashes", hashes)
    for at, ledger_id in enumerate(ORDER):
        for asked in (ledger_id, ORDER[max(0, at - 1)], ledger_id):
            assert archive.hash_of(asked) == kept.ledger.row(asked)["hash"]
        assert len(archive._kept) <= FILES_KEPT
    assert len(read) == len(set(read)) == 10


async def archived_and_half_retained(kept: Kept) -> Path:
    """Archive all, and let retention take the first six rows: of all payments some, of rows of no payment two."""
    seal = await kept.seal()
    await kept.run(seal)
    assert await kept.retain_all_but(ORDER[6:], kept.archive()) == 6
    assert await kept.whys(seal) == []
    return seal


async def test_what_retention_took_beyond_the_archive_is_named(kept: Kept) -> None:
    await kept.run()
    kept.ledger.add(1, 40, at=OLD)
    kept.ledger.add(None, 40, at=OLD)
    kept.ledger.add(4, 40, at=OLD)
    await remove_old(kept.ledger, DAYS_MIN, NOON, Signing(KEY))
    assert await kept.whys() == [
        (11, "rows after 8 were removed, and are not in the archive"),
        (13, "it and what was before it were removed, and are not in the archive"),
        (None, f"{REMOVED.format(4)}; 3 that are archived are gone from the ledger"),
    ]


async def test_rows_of_no_payment_that_somebody_took_or_changed_are_named(kept: Kept) -> None:
    seal = await archived_and_half_retained(kept)
    kept.ledger.take_out(10)
    assert await kept.whys() == [(None, f"{REMOVED.format(2)}; 3 that are archived are gone from the ledger")]
    kept.ledger.add(None, 13, at=OLD)
    kept.ledger.rows[-1] |= refitted(kept.ledger.rows[-1]) | {"id": 10}
    assert (10, "it was archived, and is another row now") in await kept.whys(seal)


async def test_a_payment_that_goes_on_from_another_history_or_is_gone_is_named(kept: Kept) -> None:
    await archived_and_half_retained(kept)
    head = kept.ledger.payments.pop(kept.ledger.row(5)["payment_id"])
    kept.ledger.take_out(5, 9)
    assert await kept.whys() == [(9, "its payment was archived, and is not there")]
    kept.ledger.payments[head["id"]] = PaperLedger._payment(head["id"])
    kept.ledger.add(3, 50)
    assert (9, "it is archived, and the ledger does not go on from it") in await kept.whys()


async def test_whichever_archived_payment_is_gone_is_named_and_no_other(kept: Kept) -> None:
    await kept.run()
    for number, last in ((1, 8), (2, 6), (3, 9)):
        payments, rows = dict(kept.ledger.payments), list(kept.ledger.rows)
        del kept.ledger.payments[UUID(int=number)]
        kept.ledger.rows = [row for row in rows if row["payment_id"] != UUID(int=number)]
        assert await kept.whys() == [(last, "its payment was archived, and is not there")]
        kept.ledger.payments, kept.ledger.rows = payments, rows


async def test_a_chain_that_was_rewritten_since_it_was_archived_is_named(kept: Kept) -> None:
    await kept.run()
    rewritten(kept.ledger)
    assert await kept.whys() == [(8, "it is archived, and the ledger does not go on from it")]


async def test_a_sealed_row_that_is_another_one_in_the_archive_is_named(kept: Kept) -> None:
    """Somebody rewrote a chain after the seal, and had it archived and removed: anchors fit, the seal does not."""
    kept.ledger.add(4, 9, at=OLD)
    seal = await kept.seal()
    (row,) = [row for row in kept.ledger.rows if row["payment_id"] == UUID(int=4)]
    row |= refitted(row)
    kept.ledger.payments[UUID(int=4)]["head_hash"] = row["hash"]
    await kept.run()
    assert await kept.retain() == 11
    assert await kept.whys() == []
    assert await kept.whys(seal) == [(11, "it was sealed, and is neither in the ledger nor in the archive")]


async def test_what_was_removed_between_two_runs_and_archived_by_none_is_named(kept: Kept) -> None:
    await kept.run()
    kept.ledger.add(4, 14, at=OLD)
    assert await remove_old(kept.ledger, DAYS_MIN, NOON, Signing(KEY)) == 11
    kept.ledger.add(1, 15, at=OLD)
    assert (await kept.run()).rows == 1
    assert await kept.whys() == [(11, "it and what was before it were removed, and are not in the archive")]


async def test_with_the_key_a_part_of_which_the_file_has_not_all_is_named(kept: Kept) -> None:
    await kept.run(rows_max=100)
    kept.rewrite(0, lambda rows: rows.pop(8))
    (manifest,) = kept.archive().files
    assert await kept.whys() == [(9, f"the archive: {manifest.file} does not have it")]


async def test_a_sealed_row_that_is_in_neither_is_named(kept: Kept) -> None:
    await kept.run(await kept.seal(), before=NOON)
    kept.ledger.add(1, 40, at=OLD)
    kept.ledger.add(None, 40, at=OLD)
    seal = await kept.seal()
    assert await kept.whys(seal) == []
    await remove_old(kept.ledger, DAYS_MIN, NOON, Signing(KEY))
    named = await kept.whys(seal)
    neither = "it was sealed, and is neither in the ledger nor in the archive"
    assert (11, neither) in named
    assert (12, neither) in named


async def test_a_seal_of_what_retention_took_before_archiving_began_is_held_by_its_anchors(kept: Kept) -> None:
    seal = await kept.seal()
    assert await kept.retain_all_but(ORDER[6:]) == 6
    assert (await kept.run()).rows == 4
    assert kept.archive().files[0].removed_before == 2
    assert await kept.whys(seal) == []
    assert await kept.retain() == 4
    assert await kept.whys(seal) == []


INVENTED: dict[str, tuple[Callable[[list[dict[str, Any]]], object], dict[str, Any], str]] = {
    "a row of no payment": (
        lambda rows: rows.append(refitted(rows[0] | {"id": 99, "event_id": "invented"})),
        {"rows": 2},
        "has 2 rows of no payment, not 1",
    ),
    "content": (lambda rows: rows[0].update(event_type="other"), {}, "is not what was written"),
    "a payment": (
        lambda rows: rows.append(rows[0] | {"id": 98, "payment_id": UUID(int=77)}),
        {"rows": 2},
        "its manifest does not have its payment",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", INVENTED)
async def test_with_the_key_what_is_invented_in_a_file_is_named_by_its_content(kept: Kept, what: str) -> None:
    await kept.run()
    change, stated, why = INVENTED[what]
    kept.rewrite(3, change, **stated)
    assert any(why in one for _, one in await kept.whys()), await kept.whys()


async def test_with_the_key_a_part_that_does_not_follow_the_files_before_is_named(kept: Kept) -> None:
    """A file that says itself on what it is chained proves nothing without those before it."""
    await kept.run(rows_max=7)
    archive = kept.archive()
    first, second = archive.parts(archive.files[1])
    assert (first.first.id, second.first.id) == (8, 9)
    kept.sign(archive.files[1], [first._replace(before=b"y" * 32), second])
    found = [one for one in await kept.whys() if "do not follow those before" in one[1]]
    assert [number for number, _ in found] == [8]


async def test_a_file_that_cannot_be_read_is_named(kept: Kept) -> None:
    await kept.run()
    manifest = kept.archive().files[3]
    path = kept.folder / manifest.file
    path.write_bytes(b"hello")
    kept.sign(replace(manifest, sha256=hashlib.sha256(b"hello").hexdigest()), list(kept.archive().parts(manifest)))
    assert any("cannot be read" in why for _, why in await kept.whys())
