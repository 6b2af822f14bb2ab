"""A ledger in memory that answers the statements of audit, archive and retention, and a Parquet of pickled rows.

Real Postgres and pyarrow are in tests/integration/test_archive.py, which needs the extra `archive`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from consumer.ledger import COLUMNS, LedgerEntry, values_of
from ops import archive, archive_check, archive_run, retention
from ops.archive_parquet import ParquetError
from ops.operators import hash_action
from runtime.lease import Lease
from runtime.sql import statement
from schemas.payment import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    import pytest

NOON = dt.datetime(2026, 9, 21, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SCHEMA = 7
STATEMENTS = (
    "read_heads", "read_chains", "read_chain_heads", "read_families", "find_rows_of_gone_payments",
    "read_rows_without_payment", "find_sealed_rows", "read_anchor_without_payment", "read_anchors", "read_action_head",
    "read_actions", "list_rows_to_archive", "find_archived_row", "try_archive_lock", "end_archive_lock",
    "list_old_rows", "lock_chains", "move_anchors", "remove_rows", "move_anchor_without_payment", "note_action",
)  # fmt: skip
ANCHOR = ("hash", "version", "relay_xid", "ledger_id", "rows_removed", "facts", "mac")
HEAD = {"hash": "hash", "version": "version", "relay_xid": "xid", "ledger_id": "id", "facts": "facts"} | {
    "rows_removed": "rows",
    "mac": "mac",
}

Row = dict[str, Any]


class PaperLeases:
    """Gives the lease of a retention to whoever asks, and notes what is done with it."""

    done: ClassVar[list[str]] = []

    def __init__(self, _connection: object) -> None:
        self.done.clear()

    async def acquire(self, *_: object) -> Lease:
        """Give the lease."""
        self.done.append("acquired")
        return Lease("retention", "me", 1)

    async def renew(self, *_: object) -> None:
        """Keep it."""
        self.done.append("renewed")

    async def release(self, _lease: Lease) -> None:
        """Give it back."""
        self.done.append("released")


async def guard(*_: object) -> None:
    """Find that the lease is still ours."""


def place(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a row stands in the relay's order."""
    return row["relay_xid"], row["id"]


class PaperLedger:
    """Stands for a connection: rows that say nothing of money, payments at their initial state, anchors, a lock.

    All is published. `asked` are the statements that were run, in their order; a statement yields to others first.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._last_id = 0
        self.payments: dict[UUID, Row] = {}
        self.anchors: dict[UUID, Row] = {}
        self.alone: Row = {"ledger_id": 0, "rows_removed": 0, "mac": None}
        self.actions: list[Row] = []
        self.action_head: Row | None = None
        self.locked = False
        self.asked: list[str] = []
        self._names = {statement("ops", name): name for name in STATEMENTS}

    def add(self, payment: int | None, relay_xid: int, *, at: dt.datetime = NOON, counts: bool = True) -> Row:
        """Write a ledger row, chained; `counts` tells whether it makes a version of its payment."""
        payment_id = None if payment is None else UUID(int=payment)
        head = None if payment_id is None else self.payments.setdefault(payment_id, self._payment(payment_id))
        number = self._last_id = self._last_id + 1
        version = head["version"] + 1 if head is not None and counts else None
        entry = LedgerEntry(
            payment_id, "stripe", f"evt_{number}", "customer.updated", Outcome.NOOP, None, None, None, version, "[]",
            "payments.webhooks", 0, number, None, at, relay_xid,
        )  # fmt: skip
        entry.seal(b"" if head is None else head["head_hash"])
        if head is not None:
            head |= {"head_hash": entry.hash, "version": version or head["version"]}
        self.rows.append({"id": number, **dict(zip(COLUMNS, values_of(entry), strict=True))})
        return self.rows[-1]

    def act(self, *names: str) -> None:
        """Write down what somebody did, chained."""
        for name in names:
            self._note_action("ada", "terminal", name, "dead letter 7", "")

    @staticmethod
    def _payment(payment_id: UUID) -> Row:
        return {
            "id": payment_id, "merged_into": None, "client": None, "version": 0, "facts": "{}", "head_hash": b"",
            "status": "created", "refund_status": "none", "dispute_status": "none", "flags": [],
            **dict.fromkeys(("amount", "authorized", "captured", "refunded", "disputed"), 0),
        }  # fmt: skip

    def ids(self) -> list[int]:
        """Return the ids of the rows that are there."""
        return sorted(row["id"] for row in self.rows)

    def row(self, ledger_id: int) -> Row:
        """Return one row, to be changed by hand."""
        return next(row for row in self.rows if row["id"] == ledger_id)

    def take_out(self, *ledger_ids: int) -> None:
        """Remove rows, as somebody does who leaves no anchor."""
        self.rows = [row for row in self.rows if row["id"] not in ledger_ids]

    async def fetch(self, sql: str, *arguments: Any) -> list[Row]:
        """Answer a statement."""
        await asyncio.sleep(0)
        name = self._names[sql]
        self.asked.append(name)
        return [dict(row) for row in getattr(self, f"_{name}")(*arguments)]

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """Answer a statement of one figure; one of the runtime asks for the schema's version."""
        if sql == statement("runtime", "read_schema_version"):
            return SCHEMA
        (row,) = await self.fetch(sql, *arguments)
        return row["figure"]

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Run a statement that answers nothing."""
        await self.fetch(sql, *arguments)

    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncIterator[None]:
        """Give a transaction; what fails in it is taken back."""
        held = list(self.rows), dict(self.anchors), dict(self.alone)
        try:
            yield
        except BaseException:
            self.rows, self.anchors, self.alone = held
            raise

    def _head(self, payment_id: UUID) -> Row:
        anchor = self.anchors.get(payment_id, dict.fromkeys(ANCHOR))
        return self.payments[payment_id] | {f"anchor_{HEAD[name]}": anchor[name] for name in ANCHOR}

    def _read_heads(self, ids: list[UUID]) -> list[Row]:
        return [self._head(one) for one in sorted(ids) if one in self.payments]

    def _read_chain_heads(self, after: UUID, most: int) -> list[Row]:
        return [self._head(one) for one in sorted(self.payments) if one > after][:most]

    def _read_chains(self, ids: list[UUID]) -> list[Row]:
        return sorted((row for row in self.rows if row["payment_id"] in ids), key=lambda row: row["id"])

    def _read_families(self, _ids: list[UUID]) -> list[Row]:
        return []

    def _find_rows_of_gone_payments(self, after: UUID, ledger_id: int, last: UUID, most: int) -> list[Row]:
        gone = [row for row in self.rows if row["payment_id"] and row["payment_id"] not in self.payments]
        keys = sorted((row["payment_id"], row["id"]) for row in gone)
        found = [key for key in keys if key > (after, ledger_id) and key[0] <= last]
        return [{"payment_id": one[0], "id": one[1]} for one in found[:most]]

    def _read_rows_without_payment(self, relay_xid: int, ledger_id: int, most: int) -> list[Row]:
        alone = [row for row in self.rows if row["payment_id"] is None and place(row) > (relay_xid, ledger_id)]
        return sorted(alone, key=place)[:most]

    def _find_sealed_rows(self, xids: list[int], ids: list[int]) -> list[Row]:
        asked = dict(zip(ids, xids, strict=True))
        alone = [row for row in self.rows if row["payment_id"] is None and row["id"] in asked]
        return [row for row in alone if row["relay_xid"] in (asked[row["id"]], 1, 2)]

    def _read_anchor_without_payment(self) -> list[Row]:
        return [self.alone]

    def _read_anchors(self, ids: list[UUID]) -> list[Row]:
        return [{"payment_id": one} | self.anchors[one] for one in ids if one in self.anchors]

    def _read_action_head(self) -> list[Row]:
        return [] if self.action_head is None else [self.action_head]

    def _note_action(self, who: str, origin: str, action: str, target: str, because: str) -> list[Row]:
        row: Row = {"id": len(self.actions) + 1, "acted_at": NOON, "who": who, "origin": origin, "action": action}
        row |= {"target": target, "because": because, "db_role": "app"}
        row["hash"] = hash_action(self.actions[-1]["hash"] if self.actions else b"", row)
        self.actions.append(row)
        self.action_head = {"last_id": row["id"], "hash": row["hash"]}
        return []

    def _read_actions(self, after: int, last: int, most: int) -> list[Row]:
        return [row for row in self.actions if after < row["id"] <= last][:most]

    def _list_rows_to_archive(self, relay_xid: int, ledger_id: int, most: int) -> list[Row]:
        return sorted((row for row in self.rows if place(row) > (relay_xid, ledger_id)), key=place)[:most]

    def _list_old_rows(self, most: int) -> list[Row]:
        return sorted(self.rows, key=place)[:most]

    def _find_archived_row(self, relay_xid: int, ledger_id: int, digest: bytes) -> list[Row]:
        wanted = {(xid, ledger_id, digest) for xid in (relay_xid, 1, 2)}
        return [row for row in self.rows if (*place(row), row["hash"]) in wanted]

    def _try_archive_lock(self, _key: int) -> list[Row]:
        had, self.locked = self.locked, True
        return [{"locked": not had}]

    def _end_archive_lock(self, _key: int) -> list[Row]:
        self.locked = False
        return [{"unlocked": True}]

    def _lock_chains(self, ids: list[UUID]) -> list[Row]:
        return [{"id": one} for one in ids]

    def _move_anchors(self, *columns: Sequence[Any]) -> list[Row]:
        ids, *others = columns
        names = ("hash", "version", "relay_xid", "ledger_id", "rows_removed", "facts", "mac")
        moved = 0
        for payment_id, *values in zip(ids, *others, strict=True):
            anchor = dict(zip(names, values, strict=True))
            if payment_id not in self.anchors or self.anchors[payment_id]["ledger_id"] < anchor["ledger_id"]:
                self.anchors[payment_id] = anchor
                moved += 1
        return [{"figure": moved}]

    def _move_anchor_without_payment(self, ledger_id: int, rows_removed: int, mac: bytes | None) -> list[Row]:
        highest = max(self.alone["ledger_id"], ledger_id)
        self.alone = {"ledger_id": highest, "rows_removed": rows_removed, "mac": mac}
        return []

    def _remove_rows(self, xids: list[int], ids: list[int]) -> list[Row]:
        gone = set(zip(xids, ids, strict=True))
        self.rows = [row for row in self.rows if place(row) not in gone]
        return []


class PaperRows:
    """Writes rows to a file as `ParquetRows` does."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, as one step of reading."""
        pickle.dump([dict(row) for row in rows], self._file)

    def close(self) -> None:
        """Write the file's end."""
        self._file.close()


def read_rows(path: Path) -> Iterator[list[Row]]:
    """Read what `PaperRows` wrote; raises ParquetError for anything else."""
    with path.open("rb") as file:
        while file.peek(1):
            try:
                yield pickle.load(file)
            except (pickle.UnpicklingError, EOFError) as error:
                raise ParquetError(f"{path.name} cannot be read: {error}") from error


def read_hashes(path: Path) -> dict[int, bytes]:
    """Read the hash of each row of a file, by its id."""
    return {row["id"]: row["hash"] for rows in read_rows(path) for row in rows}


def use_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the archive write and read its files without pyarrow, and retention get its lease without a database."""
    monkeypatch.setattr(retention, "PostgresLeases", PaperLeases)
    monkeypatch.setattr(retention, "guard", guard)
    monkeypatch.setattr(archive, "read_hashes", read_hashes)
    monkeypatch.setattr(archive_run, "ParquetRows", PaperRows)
    monkeypatch.setattr(archive_run, "read_rows", read_rows)
    monkeypatch.setattr(archive_check, "read_rows", read_rows)
