from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from ops import retention
from ops.archive import Archive
from ops.seal import (
    Sealed,
    SealedRow,
    SealError,
    SealReader,
    SealWriter,
    anchor_mac,
    anchor_without_payment_mac,
    key_of,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

KEY = b"k" * 32
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LINES = [Sealed(UUID(int=number), number * 7, number, bytes([number]) * 32) for number in (1, 2, 5)]
ROWS = [SealedRow(9, number, bytes([number]) * 32) for number in (4, 3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = SealWriter(tmp_path / "a.seal", KEY, NOW)
    for one in LINES:
        writer.add(one)
    writer.begin_rows(3)
    for row in ROWS:
        writer.add_row(row)
    writer.finish()
    assert (writer.payments, writer.rows) == (len(LINES), len(ROWS))
    return tmp_path / "a.seal"


class Anchors:
    """A database with the anchor of the rows of no payment, as retention moves it."""

    def __init__(self, ledger_id: int, rows_removed: int) -> None:
        self.anchor: dict[str, Any] = {"ledger_id": ledger_id, "rows_removed": rows_removed}
        self.anchor["mac"] = anchor_without_payment_mac(KEY, ledger_id, rows_removed)

    async def fetch(self, _sql: str, *_: Any) -> list[dict[str, Any]]:
        return [self.anchor]

    async def execute(self, _sql: str, ledger_id: int, rows_removed: int, mac: bytes) -> None:
        """Move it as move_anchor_without_payment.sql does: never back."""
        self.anchor = {"ledger_id": max(self.anchor["ledger_id"], ledger_id), "rows_removed": rows_removed, "mac": mac}


@pytest.mark.parametrize(
    ("before", "ids", "after"),
    [(0, [4, 9], 9), (0, [9, 4], 9), (12, [9, 4], 12), (7, [8, 3], 8), (12, [13, 3], 13)],
)
async def test_the_anchor_of_rows_of_no_payment_stands_at_the_highest_id_that_went(
    monkeypatch: pytest.MonkeyPatch, before: int, ids: list[int], after: int
):
    """They go in the relay's order: who began last may have the smaller id, and every id up to the anchor's is gone."""
    monkeypatch.setattr(retention, "is_as_written", lambda *_: True)
    database = Anchors(before, 5)
    rows = [{"id": 99, "payment_id": UUID(int=1)}, *({"id": one, "payment_id": None} for one in ids)]
    await retention._anchor_rows_without_payment(database, rows, retention.Signing(KEY))  # type: ignore[arg-type]
    mac = anchor_without_payment_mac(KEY, after, 7)
    assert database.anchor == {"ledger_id": after, "rows_removed": 7, "mac": mac}


def test_what_was_sealed_is_read_up_to_each_payment(path: Path):
    reader = SealReader(path, KEY)
    assert reader.sealed_at == NOW
    assert list(reader.up_to(UUID(int=1))) == LINES[:1]
    assert list(reader.up_to(UUID(int=1))) == []
    assert list(reader.up_to(UUID(int=4))) == LINES[1:2]
    assert list(reader.up_to(None)) == LINES[2:]
    assert (reader.holds_rows, reader.rows_removed, list(reader.rows())) == (True, 3, ROWS)
    reader.close()


@pytest.mark.parametrize("payments", [0, 1, 3])
def test_how_many_rows_had_gone_before_is_read_however_many_payments_there_are(tmp_path: Path, payments: int):
    """Else what retention took before the seal excuses as many sealed rows that somebody took after it."""
    writer = SealWriter(tmp_path / "b.seal", KEY, NOW)
    for one in LINES[:payments]:
        writer.add(one)
    writer.begin_rows(7)
    for row in ROWS:
        writer.add_row(row)
    writer.finish()
    reader = SealReader(tmp_path / "b.seal", KEY)
    assert (list(reader.up_to(None)), list(reader.rows()), reader.rows_removed) == (LINES[:payments], ROWS, 7)
    reader.close()


@pytest.mark.parametrize("place", range(7))
def test_every_changed_line_breaks_the_seal(path: Path, place: int):
    lines = path.read_text().splitlines(keepends=True)
    for other in (lines[place].replace("0", "1", 1), "", lines[place] * 2):
        changed = [*lines[:place], other, *lines[place + 1 :]]
        if changed != lines:
            path.write_text("".join(changed))
            with pytest.raises(SealError, match=r"not what was sealed|no seal"):
                SealReader(path, KEY)


def test_another_key_no_seal_and_no_file_are_reported(path: Path, tmp_path: Path):
    with pytest.raises(SealError, match="another key"):
        SealReader(path, b"x" * 32)
    with pytest.raises(SealError, match="cannot be read"):
        SealReader(tmp_path / "nowhere", KEY)
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(SealError, match="no seal"):
        SealReader(tmp_path / "text", KEY)
    (tmp_path / "kind").write_text('{"format": "ratchet-seal/9", "sealed_at": "2026-01-01T00:00:00+00:00"}\n')
    with pytest.raises(SealError, match="another kind"):
        SealReader(tmp_path / "kind", KEY)
    with pytest.raises(SealError, match="RATCHET_AUDIT__SEAL_KEY"):
        key_of(None)


def test_a_seal_is_never_written_over_and_leaves_nothing_half_done(path: Path, tmp_path: Path):
    with pytest.raises(SealError, match="never written over"):
        SealWriter(path, KEY, NOW)
    with pytest.raises(SealError, match="cannot be written"):
        SealWriter(tmp_path / "no" / "folder", KEY, NOW)
    writer = SealWriter(tmp_path / "b.seal", KEY, NOW)
    writer.add(LINES[0])
    writer.give_up()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.seal"]


def test_a_seal_is_whole_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The power may fail after any step: what has the name of a seal is one."""
    synced: list[tuple[int, int, bool]] = []
    path = tmp_path / "b.seal"

    def note(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    writer = SealWriter(path, KEY, NOW)
    writer.add(LINES[0])
    writer.finish()
    seal, folder = path.stat(), tmp_path.stat()
    assert synced == [(seal.st_ino, seal.st_size, False), (folder.st_ino, folder.st_size, True)]
    SealReader(path, KEY).close()


def test_an_anchor_is_signed_with_all_that_it_says():
    anchor = {
        "payment_id": UUID(int=1), "hash": b"h" * 32, "version": 3, "relay_xid": 4, "ledger_id": 5, "rows_removed": 6,
        "facts": "{}",
    }  # fmt: skip
    others = [
        anchor | {name: value}
        for name, value in {
            "payment_id": UUID(int=2),
            "hash": b"i" * 32,
            "version": 4,
            "relay_xid": 5,
            "ledger_id": 6,
            "rows_removed": 7,
            "facts": '{"a": 1}',
        }.items()
    ]
    signed = [anchor_mac(KEY, anchor), anchor_mac(b"x" * 32, anchor), *(anchor_mac(KEY, other) for other in others)]
    assert len(set(signed)) == len(signed)


def test_retention_gets_the_archived_rows_up_to_the_first_that_is_not() -> None:
    """After a restore rows stand in another order: one that is not archived may stand before others that are."""

    class OfTwo(Archive):
        def __init__(self) -> None:
            self.asked: list[int] = []

        def hash_of(self, ledger_id: int) -> bytes | None:
            self.asked.append(ledger_id)
            return None if ledger_id == 2 else bytes([ledger_id])

    archive = OfTwo()
    rows = [{"id": number, "hash": bytes([number])} for number in (1, 2, 3)]
    assert archive.held(rows) == rows[:1]
    assert archive.asked == [1, 2]
