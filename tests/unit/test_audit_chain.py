"""One payment's chain, as audit checks it: what shows although every hash that is there fits."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from consumer.ledger import COLUMNS, LedgerEntry, values_of
from ops import archive_run
from ops.archive import ArchiveError
from ops.archive_run import Archiving, Contents
from ops.audit import check_chain
from ops.retention import anchors_of
from ops.seal import Sealed, SealedRow, SealWriter
from schemas.payment import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 9, 21, 12, tzinfo=dt.UTC)
PAYMENT = UUID(int=1)
KEY = b"k" * 32
ALONE = b"a" * 32


def chain(*versions: int | None, without_place: int = 0) -> list[dict[str, Any]]:
    """Return rows whose hashes follow from each other, so many of them sealed as before the place was part of it."""
    rows, before = [], b""
    for number, version in enumerate(versions, 1):
        row = LedgerEntry(
            PAYMENT, "stripe", f"evt_{number}", "charge.captured", Outcome.APPLIED, None, Status.CAPTURED, 1000,
            version, "[]", "payments.webhooks", 0, number, NOON, NOON, 5,
        )  # fmt: skip
        before = row.seal_without_place(before) if number <= without_place else row.seal(before)
        rows.append({"id": number, **dict(zip(COLUMNS, values_of(row), strict=True))})
    return rows


def found(
    version: int, rows: Sequence[dict[str, Any]], whole: Sequence[dict[str, Any]]
) -> list[tuple[int | None, str]]:
    """Return what is wrong with rows of a payment that stands at a version and at the end of the whole chain."""
    head = {
        "id": PAYMENT, "version": version, "head_hash": whole[-1]["hash"], "anchor_hash": None, "anchor_version": None
    }  # fmt: skip
    return [(one.id, one.why) for one in check_chain(head, rows)]


def test_a_whole_chain_holds() -> None:
    rows = chain(1, None, 2)
    assert found(2, rows, rows) == []


def test_a_chain_that_began_before_the_place_was_sealed_holds() -> None:
    rows = chain(1, 2, 3, without_place=2)
    assert found(3, rows, rows) == []


@pytest.mark.parametrize("column", ["topic", "partition", "offset"])
def test_another_place_in_kafka_is_reported(column: str) -> None:
    rows = chain(1, 2)
    altered = [rows[0], rows[1] | {column: "payments.intents" if column == "topic" else 9}]
    assert found(2, altered, rows) == [(2, "its content, or a row before it, is not what was written")]


def test_a_version_that_was_left_out_is_reported() -> None:
    rows = chain(1, 3)
    assert found(3, rows, rows) == [(2, "version 3 follows version 1")]


def test_a_version_that_comes_twice_is_reported() -> None:
    rows = chain(1, 1)
    assert found(1, rows, rows) == [(2, "version 1 follows version 1")]


@pytest.mark.parametrize("last", [2, None])
def test_a_row_that_is_missing_at_the_end_is_reported_whether_it_counted_a_version_or_not(last: int | None) -> None:
    rows = chain(1, last)
    assert found(last or 1, rows[:1], rows) == [(None, "rows are missing at the end of its chain")]


def test_a_payment_ahead_of_its_ledger_is_reported() -> None:
    rows = chain(1)
    assert found(2, rows, rows) == [(None, "the payment is at version 2, its ledger at 1")]


class PaperConnection:
    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        yield


async def prove(monkeypatch: pytest.MonkeyPatch, path: Path, sealed: Sealed | None, *alone: SealedRow) -> Contents:
    """Prove a file of two rows of a payment that has three, and of one row of no payment, by a seal of these."""
    rows = chain(1, 2, 3)
    head = {"id": PAYMENT, "version": 3, "head_hash": rows[-1]["hash"]}
    head |= dict.fromkeys(("anchor_hash", "anchor_version", "anchor_id", "anchor_mac"))
    writer = SealWriter(path, KEY, NOON)
    if sealed is not None:
        writer.add(sealed)
    writer.begin_rows(0)
    for one in alone:
        writer.add_row(one)
    writer.finish()

    async def fetch(_: Any, name: str, *__: Any) -> list[dict[str, Any]]:
        return {"read_heads": [head], "read_chains": rows}[name]

    monkeypatch.setattr(archive_run, "fetch", fetch)
    contents = Contents(alone={9: ALONE})
    for row in rows[:2]:
        contents.take(row)
    run = archive_run._Run(PaperConnection(), None, Archiving(NOON, 10, KEY, path))  # type: ignore[arg-type]
    await run._prove(contents)
    return contents


@pytest.mark.parametrize("at", [2, 3])
async def test_what_is_archived_was_sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: int) -> None:
    sealed = Sealed(PAYMENT, at, at, chain(1, 2, 3)[at - 1]["hash"])
    contents = await prove(monkeypatch, tmp_path / "a.seal", sealed, SealedRow(5, 9, ALONE))
    assert contents.parts[PAYMENT].before == b""


@pytest.mark.parametrize(
    ("at", "digest", "alone", "why"),
    [
        (None, None, [SealedRow(5, 9, ALONE)], "younger than the seal"),
        (1, None, [SealedRow(5, 9, ALONE)], "younger than the seal"),
        (2, b"x" * 32, [SealedRow(5, 9, ALONE)], "it was sealed, and is gone or is another row now"),
        (3, None, [], "ledger row 9 is not in the seal"),
        (3, None, [SealedRow(5, 9, b"x" * 32)], "ledger row 9 was sealed, and is another row now"),
    ],
)
async def test_what_was_not_sealed_or_is_another_row_now_is_not_archived(  # noqa: PLR0917 - a seal and why
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: int | None,
    digest: bytes | None,
    alone: list[SealedRow],
    why: str,
) -> None:
    sealed = None if at is None else Sealed(PAYMENT, at, at, digest or chain(1, 2, 3)[at - 1]["hash"])
    with pytest.raises(ArchiveError, match=why):
        await prove(monkeypatch, tmp_path / "a.seal", sealed, *alone)


def test_an_anchor_keeps_the_version_past_a_row_that_changed_nothing() -> None:
    rows = chain(1, 2, None)
    assert [(one.version, one.rows_removed) for one in anchors_of(rows, {})] == [(2, 3)]
