"""Removes the oldest rows of the ledger and leaves an anchor, so that what stays can still be proved.

The ledger is the dedupe key too: what is removed can be delivered again, and then finds its facts in the payment
(nothing moves) but makes a new row. So rows are kept longer than topics, dead letters and redrives reach back:
`DAYS_MIN` at least. Only the schema's owner may remove rows; the application's role can't.

Rows go oldest first in the relay's order, which is each chain's order too, up to the first that is to stay: so what is
removed is always the beginning of a chain, however the clocks of those who wrote the rows differ. The anchor keeps
hash, version and place of the last row removed, and what the removed rows had reported; it never moves back. Only what
can be proved is removed. With a key (`RATCHET_AUDIT__SEAL_KEY`) the anchor is signed: then `audit verify --seal` can
tell what retention removed from what somebody else removed. Where the ledger is archived (`RATCHET_AUDIT__ARCHIVE`)
only rows go that are in the archive, in a file whose digest is the one that was signed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from consumer.facts_json import dump_joined, load_joined, load_reported
from consumer.fold import newer
from ops.audit import is_as_written
from ops.database import fetch
from ops.seal import SealError, anchor_mac, anchor_without_payment_mac
from runtime.lease import PostgresLeases, guard, holder_name
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from ops.archive import Archive
    from runtime.lease import Lease
    from runtime.postgres import Connection
    from schemas.payment import Facts

DAYS_MIN: Final = 120
"""Four times what the topics keep: no redelivery and no redrive reaches back further."""
ROWS_A_STEP: Final = 5000
SIGNED: Final = ("payment_id", "hash", "version", "relay_xid", "ledger_id", "rows_removed")
COLUMNS: Final = (*SIGNED, "facts")
"""The arguments of move_anchors.sql, in order, before the signature."""
LEASE_NAME: Final = "retention"
LEASE_SECONDS: Final = 60.0
"""How long one step may take before another retention may take over."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How anchors are signed: with `key`, where there is one.

    An unsigned anchor may be a retention's without the key, or somebody's who wants to hide a removal: with the key it
    is taken over only where people want it (`adopt_unsigned`).
    """

    key: bytes | None = None
    adopt_unsigned: bool = False

    def check(self, anchor: Mapping[str, Any], expected: Callable[[bytes], bytes], whose: str) -> None:
        """Raise SealError where an anchor is not one that this retention may move."""
        mac = anchor["mac"]
        if self.key is None:
            if mac is not None:
                raise SealError("the anchors that are there are signed: set RATCHET_AUDIT__SEAL_KEY")
        elif mac is None and anchor["rows_removed"] and not self.adopt_unsigned:
            raise SealError(
                f"the anchor of {whose} is unsigned: rows were removed without the key; if that was a retention of "
                "yours, say --adopt-unsigned once"
            )
        elif mac is not None and mac != expected(self.key):
            raise SealError(f"the anchor of {whose} is not what retention signed, or by another key")


UNSIGNED: Final = Signing()


@dataclass(slots=True)
class Anchor:
    """Where one payment's chain will begin; `rows_removed` counts what is gone, `reported` what that had reported."""

    payment_id: UUID
    hash: bytes = b""
    version: int = 0
    relay_xid: int = 0
    ledger_id: int = 0
    rows_removed: int = 0
    reported: Facts = field(default_factory=dict)

    def take(self, row: Mapping[str, Any]) -> None:
        """Move behind a row; raises RatchetError where the row is not what was written."""
        if not is_as_written(row, self.hash):
            raise RatchetError(
                f"ledger row {row['id']} of payment {self.payment_id} is not what was written; nothing is removed: "
                "see `ratchet audit verify`"
            )
        self.hash, self.version = row["hash"], row["version"] or self.version
        self.relay_xid, self.ledger_id = row["relay_xid"], row["id"]
        self.rows_removed += 1
        self.reported |= newer(self.reported, load_reported(row["facts"]))

    def columns(self, key: bytes | None) -> tuple[Any, ...]:
        """Return the arguments of move_anchors.sql, signed where there is a key."""
        row = {"facts": dump_joined(self.reported)} | {name: getattr(self, name) for name in SIGNED}
        return (*(row[name] for name in COLUMNS), anchor_mac(key, row) if key else None)


def anchors_of(rows: Iterable[Mapping[str, Any]], before: Mapping[UUID, Anchor]) -> list[Anchor]:
    """Return each payment's anchor after these rows, which come in the order of their chains, are gone."""
    anchors: dict[UUID, Anchor] = {}
    for row in rows:
        payment_id = row["payment_id"]
        if payment_id is not None:
            anchors.setdefault(payment_id, before.get(payment_id) or Anchor(payment_id)).take(row)
    return sorted(anchors.values(), key=lambda anchor: anchor.payment_id)


async def _anchors(connection: Connection, payment_ids: list[UUID], signing: Signing) -> dict[UUID, Anchor]:
    """Read where chains begin now; raises RatchetError where an anchor is not what a retention with this key left."""
    found = {}
    for row in await fetch(connection, "read_anchors", payment_ids):
        signing.check(row, partial(anchor_mac, anchor=row), f"payment {row['payment_id']}")
        reported = load_joined(row["facts"])
        found[row["payment_id"]] = Anchor(**{name: row[name] for name in SIGNED}, reported=reported)
    return found


async def _anchor_rows_without_payment(
    connection: Connection, rows: Iterable[Mapping[str, Any]], signing: Signing
) -> None:
    """Note how many rows of no payment go, and up to which; raises RatchetError where one is not what was written."""
    alone = [row for row in rows if row["payment_id"] is None]
    if not alone:
        return
    for row in alone:
        if not is_as_written(row, b""):
            raise RatchetError(
                f"ledger row {row['id']} is not what was written; nothing is removed: see `ratchet audit verify`"
            )
    (anchor,) = await fetch(connection, "read_anchor_without_payment")
    signing.check(anchor, partial(_mac_without_payment, anchor), "the rows of no payment")
    ledger_id = max(anchor["ledger_id"], *(row["id"] for row in alone))
    rows_removed = anchor["rows_removed"] + len(alone)
    mac = anchor_without_payment_mac(signing.key, ledger_id, rows_removed) if signing.key else None
    await connection.execute(statement("ops", "move_anchor_without_payment"), ledger_id, rows_removed, mac)


def _mac_without_payment(anchor: Mapping[str, Any], key: bytes) -> bytes:
    return anchor_without_payment_mac(key, anchor["ledger_id"], anchor["rows_removed"])


async def remove_step(
    connection: Connection,
    before: dt.datetime,
    lease: Lease,
    signing: Signing = UNSIGNED,
    archive: Archive | None = None,
) -> int:
    """Remove up to ROWS_A_STEP rows recorded before that time, in one transaction; return how many.

    With an archive, up to the first that it does not have. Raises LeaseLostError when another retention took over,
    RatchetError where a chain can't be proved as it is, ArchiveError where the archive is not what was written.
    """
    async with connection.transaction():
        await guard(connection, lease)
        oldest = await fetch(connection, "list_old_rows", ROWS_A_STEP)
        rows = list(takewhile(lambda row: row["recorded_at"] < before, oldest))
        if not rows:
            return 0
        if archive is not None and not (rows := archive.held(rows)):
            return 0
        payment_ids = sorted({row["payment_id"] for row in rows if row["payment_id"] is not None})
        await fetch(connection, "lock_chains", payment_ids)
        await _anchor_rows_without_payment(connection, rows, signing)
        anchors = anchors_of(rows, await _anchors(connection, payment_ids, signing))
        columns = [list(column) for column in zip(*(anchor.columns(signing.key) for anchor in anchors), strict=True)]
        if anchors and await connection.fetchval(statement("ops", "move_anchors"), *columns) != len(anchors):
            raise RatchetError("an anchor would move back; nothing is removed: look at `ratchet audit verify`")
        keys = [row["relay_xid"] for row in rows], [row["id"] for row in rows]
        await connection.execute(statement("ops", "remove_rows"), *keys)
    return len(rows)


async def is_waiting(connection: Connection, days: int, now: dt.datetime) -> bool:
    """Tell whether a row is published and older than that many days: after a retention, it is not archived."""
    oldest = await fetch(connection, "list_old_rows", 1)
    return bool(oldest) and bool(oldest[0]["recorded_at"] < now - dt.timedelta(days=days))


async def remove_old(
    connection: Connection,
    days: int,
    now: dt.datetime,
    signing: Signing = UNSIGNED,
    archive: Archive | None = None,
) -> int:
    """Remove the rows older than that many days, up to the first that is not, or is not archived; return how many.

    Raises RatchetError while another one is at it, or where a chain can't be proved as it is.
    """
    before = now - dt.timedelta(days=days)
    removed, leases = 0, PostgresLeases(connection)
    lease = await leases.acquire(LEASE_NAME, holder_name(), LEASE_SECONDS)
    if lease is None:
        raise RatchetError(f"another retention is at work; look again when it ended, in {LEASE_SECONDS:.0f} s at most")
    try:
        while step := await remove_step(connection, before, lease, signing, archive):
            removed += step
            await leases.renew(lease, LEASE_SECONDS)
    finally:
        await leases.release(lease)
    return removed
