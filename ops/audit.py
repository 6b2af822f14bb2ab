"""Walks the ledger and proves it: hash chains, versions without a hole, and rows that follow from their facts.

Reads in bounded steps, each in a snapshot of its own, so that it can run beside live traffic. A row that was changed,
removed or put in breaks its payment's chain; a row removed at the end shows in the payment's head; a payment whose
columns do not follow from its ledger shows when its facts are folded again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from consumer.facts_json import dump_said, load_joined, load_said
from consumer.fold import facts_of, newer
from consumer.ledger import COLUMNS, LedgerRow
from ops.database import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runtime.postgres import Connection
    from schemas.payment import Facts

PAYMENTS_A_STEP: Final = 500
ROWS_A_STEP: Final = 5000
UNREADABLE: Final = (msgspec.MsgspecError, KeyError)
"""What facts that nobody here has written raise when they are read: evidence, and no reason to stop."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """One finding: the ledger row (or None), its payment (or None), and what is wrong, in words."""

    id: int | None
    payment_id: UUID | None
    why: str


@dataclass(slots=True)
class Audit:
    """What a walk found. `broken` is bounded by `broken_max`; `ok` speaks of all of it."""

    broken_max: int
    rows: int = 0
    ok: bool = True
    broken: list[Broken] = field(default_factory=list)

    def note(self, findings: Iterable[Broken]) -> None:
        """Take findings in."""
        for finding in findings:
            self.ok = False
            if len(self.broken) < self.broken_max:
                self.broken.append(finding)


def expected_hash(row: Mapping[str, Any], before: bytes) -> bytes:
    """Return the hash that a row of the table must have."""
    columns = {name: row[name] for name in COLUMNS} | {"facts": dump_said(load_said(row["facts"])), "hash": b""}
    return LedgerRow(**columns).seal(before)


def is_as_written(row: Mapping[str, Any], before: bytes) -> bool:
    """Tell whether a row's hash is its content's; what can't be read was not written by us."""
    try:
        return bool(expected_hash(row, before) == row["hash"])
    except UNREADABLE:
        return False


def check_chain(head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Broken]:
    """Check one payment's rows, in order; the first broken row speaks for those after it.

    Where retention removed its oldest rows, the chain begins at the anchor that it left.
    """
    before, version = head["anchor_hash"] or b"", head["anchor_version"] or 0
    for row in rows:
        if not is_as_written(row, before):
            return [Broken(row["id"], head["id"], "its content, or a row before it, is not what was written")]
        if row["version"] is not None and row["version"] != version + 1:
            return [Broken(row["id"], head["id"], f"version {row['version']} follows version {version}")]
        before, version = row["hash"], row["version"] or version
    if before != head["head_hash"]:
        return [Broken(None, head["id"], "rows are missing at the end of its chain")]
    if version != head["version"]:
        return [Broken(None, head["id"], f"the payment is at version {head['version']}, its ledger at {version}")]
    return []


def check_fold(head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[Broken]:
    """Fold a payment again from its own ledger: every fact that it says must be in the payment."""
    folded: Facts = {}
    for row in rows:
        folded |= newer(folded, load_said(row["facts"]))
    try:
        held = load_joined(head["facts"])
    except UNREADABLE:
        return [Broken(None, head["id"], "the payment's facts cannot be read")]
    missing = newer(held, facts_of(folded))
    if missing:
        names = ", ".join(f"{kind.value} {key}" for kind, key in list(missing)[:3])
        return [Broken(None, head["id"], f"the payment does not hold what its ledger says: {names}")]
    return []


async def walk(connection: Connection, broken_max: int) -> Audit:
    """Check the whole ledger."""
    audit = Audit(broken_max)
    after: UUID = UUID(int=0)
    while heads := await _step(connection, audit, after):
        after = heads[-1]["id"]
    await _walk_loose(connection, audit)
    return audit


async def _step(connection: Connection, audit: Audit, after: UUID) -> list[Row]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads = await fetch(connection, "read_chain_heads", after, PAYMENTS_A_STEP)
        rows = await fetch(connection, "read_chains", [head["id"] for head in heads])
    chains: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        chains[row["payment_id"]].append(row)
    audit.rows += len(rows)
    for head in heads:
        audit.note(check_chain(head, chains[head["id"]]) or check_fold(head, chains[head["id"]]))
    return heads


async def _walk_loose(connection: Connection, audit: Audit) -> None:
    """Check the rows that stand alone, and find those whose payment is gone."""
    place = (0, 0)
    while rows := await fetch(connection, "read_rows_without_payment", *place, ROWS_A_STEP):
        place = rows[-1]["relay_xid"], rows[-1]["id"]
        audit.rows += len(rows)
        for row in rows:
            if row["payment_id"] is not None:
                audit.note([Broken(row["id"], row["payment_id"], "its payment is not there")])
            elif not is_as_written(row, b""):
                audit.note([Broken(row["id"], None, "its content is not what was written")])
