"""Whose transaction ids are these? A database restored from a dump is seen, reported, and mended by `rebase`.

Transaction ids count within one Postgres cluster. After a restore into another one the restored rows and cursors hold
ids of the old cluster: rows written since then look long published (their ids are below the cursor), or not final for
years (ids above all that the new cluster has issued). Either would stall the relay without a word, so it compares the
cluster's system identifier with the one the cursors were made under, and every id with the next one to be issued, and
halts when they do not fit.

A restore of files (base backup, snapshot, standby) keeps identifier and ids: nothing to do but to begin a new epoch,
which another timeline tells (and the consumer finds where Kafka's offsets are ahead). After pg_upgrade, which gives a
new identifier and keeps the ids: `update relay_cursors set system_identifier = null`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.relay.records import Row
    from runtime.lease import Lease
    from runtime.postgres import Connection

REMEDY = "run `ratchet migrate rebase` with RATCHET_POSTGRES__OWNER_DSN set, or `migrate up`; the relay goes on then"

_log = structlog.get_logger()


class RelayHaltedError(RatchetError):
    """The relay can't go on without losing rows; the message says why and what to do."""


def find_mismatch(rows: Sequence[Row]) -> str | None:
    """Say why the ids in the database are not this cluster's, or None when they fit; `rows` of read_cluster.sql."""
    for row in rows:
        if row["known"] not in (None, row["current"]):
            return f"cursor {row['name']!r} was made in another database cluster: this one was restored from a dump"
        newest = max(row["relay_xid"], row["highest_xid"] or 0)
        if newest >= row["next_xid"]:
            return (
                f"{row['name']} hold transaction id {newest}, and this cluster has only reached {row['next_xid']}: "
                "it was restored from a dump"
            )
    return None


async def check_cluster(connection: Connection, lease: Lease) -> None:
    """Raise RelayHaltedError when the database holds another cluster's ids; stamp cursors that bear no identifier.

    A replica that was promoted begins a new epoch, and in a new epoch `payments.state` is filled anew: it may hold
    versions that this database never gave.
    """
    rows = await connection.fetch(statement("producers", "read_cluster"))
    if mismatch := find_mismatch(rows):
        raise RelayHaltedError(f"{mismatch}. Nothing is published, so nothing is skipped; {REMEDY}")
    if (epoch := await connection.fetchval(statement("producers", "begin_epoch"), *lease.fence)) is not None:
        _log.warning("epoch_begun", epoch=epoch, detail="Postgres is on another timeline: versions count anew")
    if (epoch := await connection.fetchval(statement("producers", "restart_states"), *lease.fence)) is not None:
        _log.info("states_restarted", epoch=epoch, detail="the topic of states is filled from the ledger's beginning")
    if any(row["known"] is None for row in rows):
        await connection.execute(statement("producers", "stamp_cursors"), rows[0]["current"], *lease.fence)
