"""Removes the oldest rows of the ledger and leaves an anchor, so that what stays can still be proved.

The ledger is the idempotency claim too: what is removed can be delivered again, and then finds its facts in the payment
(nothing moves) but makes a new row. So rows are kept longer than topics, dead letters and redrives reach back:
`DAYS_MIN` at least. Only the schema's owner may remove rows; the application's role can't.

Rows go oldest first in the relay's order, which is each chain's order too, so what is removed is always the beginning
of a chain. The anchor keeps the hash and the version of the last row removed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.database import fetch
from runtime.lease import PostgresLeases, guard, holder_name
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from runtime.lease import Lease
    from runtime.postgres import Connection

DAYS_MIN: Final = 120
"""Four times what the topics keep: no redelivery and no redrive reaches back further."""
ROWS_A_STEP: Final = 5000
LEASE_NAME: Final = "retention"
LEASE_SECONDS: Final = 60.0
"""How long one step may take before another retention may take over."""


@dataclass(slots=True)
class Anchor:
    """Where one payment's chain will begin."""

    payment_id: UUID
    hash: bytes
    version: int | None
    rows: int = 0


def anchors_of(rows: Sequence[dict[str, Any]]) -> list[Anchor]:
    """Return each payment's anchor after these rows, which come in the order of their chains, are gone."""
    anchors: dict[UUID, Anchor] = {}
    for row in rows:
        if row["payment_id"] is None:
            continue
        anchor = anchors.setdefault(row["payment_id"], Anchor(row["payment_id"], row["hash"], None))
        anchor.hash = row["hash"]
        anchor.version = row["version"] or anchor.version
        anchor.rows += 1
    return sorted(anchors.values(), key=lambda anchor: anchor.payment_id)


async def remove_step(connection: Connection, before: dt.datetime, lease: Lease) -> int:
    """Remove up to ROWS_A_STEP rows recorded before that time, in one transaction; return how many.

    Raises LeaseLostError when another retention took over: its anchors are further on than ours.
    """
    async with connection.transaction():
        await guard(connection, lease)
        rows = await fetch(connection, "list_old_rows", before, ROWS_A_STEP)
        if not rows:
            return 0
        anchors = anchors_of(rows)
        await fetch(connection, "lock_chains", [anchor.payment_id for anchor in anchors])
        columns = [
            [anchor.payment_id for anchor in anchors],
            [anchor.hash for anchor in anchors],
            [anchor.version for anchor in anchors],
            [anchor.rows for anchor in anchors],
        ]
        await connection.execute(statement("ops", "move_anchors"), *columns)
        keys = [row["relay_xid"] for row in rows], [row["id"] for row in rows]
        await connection.execute(statement("ops", "remove_rows"), *keys)
    return len(rows)


async def remove_old(connection: Connection, days: int, now: dt.datetime) -> int:
    """Remove every row older than that many days; return how many. Raises RatchetError while another one is at it."""
    before = now - dt.timedelta(days=days)
    removed, leases = 0, PostgresLeases(connection)
    lease = await leases.acquire(LEASE_NAME, holder_name(), LEASE_SECONDS)
    if lease is None:
        raise RatchetError(f"another retention is at work; look again when it ended, in {LEASE_SECONDS:.0f} s at most")
    try:
        while step := await remove_step(connection, before, lease):
            removed += step
            await leases.renew(lease, LEASE_SECONDS)
    finally:
        await leases.release(lease)
    return removed
