"""Rebase: give a restored database's rows ids that this cluster knows: `ratchet migrate rebase`.

`ratchet up` and `migrate up` do it by themselves where they find it needed, also while roles run: a relay that finds
the same is halted and publishes nothing, its term is ended here, and those that write wait for the tables. In one
transaction, as the schema's owner: rows published already get relay_xid 1, rows not yet published get 2 (transaction
ids of a cluster begin at 3, so both are final and every new row comes after them), the cursors stand between the two
(that of `payments.state` before both: the topic is filled anew), and the payments' newest relay_xid is lowered, so that
new rows take their own transaction's id. Within relay_xid 2 the order is that of ids, which is the order of versions of
a payment. A new epoch begins.

A row counts as published if it is not above the old cursor and was recorded before that cursor last moved: rows written
between the restore and this step look old by their id, and only their time tells them apart. What is taken for
unpublished though it was is published again; nothing is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from producers.relay.cluster import find_mismatch
from runtime.postgres import EVERY_SESSION
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from runtime.postgres import Connection

DEADLOCKS_MAX: Final = 4
"""How often a transaction that was ended for another one's sake is begun anew."""
STEPS: Final = (
    "end_relay_term",  # first: a relay asks for its term, then for the tables
    "lock_for_rebase",
    "rebase_changes",
    "rebase_letters",
    "rebase_commands",
    "rebase_spool",
    "rebase_payments",
    "rebase_cursors",
    "rebase_epoch",
)
RELAY_LEADS: Final = "select exists (select from leases where name = 'relay' and expires_at > clock_timestamp())"
CONNECT_TIMEOUT_SECONDS: Final = 10.0

_log = structlog.get_logger()


async def rebase(owner_dsn: str) -> dict[str, int]:
    """Rebase a restored database; return how many rows are to be published, by lane.

    Raises RatchetError where a relay is at work, with ids that are this cluster's, and what the driver raises.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=EVERY_SESSION)
    try:
        async with connection.transaction():
            if await _mismatch(connection) is None and await connection.fetchval(RELAY_LEADS):
                raise RatchetError("a relay is at work, and the ids in the database fit; stop all roles, then rebase")
            return await _rebase(connection)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def rebase_if_restored(owner_dsn: str) -> dict[str, int] | None:
    """Rebase where the rows hold another cluster's ids, so that a restore from a dump needs no hand; else None.

    A relay that runs may be in the way with a row of its own: then it is tried again. Raises what the driver raises.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=EVERY_SESSION)
    try:
        tries_left = DEADLOCKS_MAX
        while True:
            try:
                return await _rebase_once(connection)
            except asyncpg.DeadlockDetectedError:
                if not tries_left:
                    raise
                _log.warning("rebase_deadlocked", tries_left=tries_left)
                tries_left -= 1
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _rebase_once(connection: Connection) -> dict[str, int] | None:
    async with connection.transaction():
        mismatch = await _mismatch(connection)
        if mismatch is None:
            return None
        _log.warning("database_restored", found=mismatch, detail="its rows are given ids of this cluster")
        return await _rebase(connection)


async def _mismatch(connection: Connection) -> str | None:
    return find_mismatch(await connection.fetch(statement("producers", "read_cluster")))


async def _rebase(connection: Connection) -> dict[str, int]:
    """Run the steps in one transaction."""
    for step in STEPS:
        await connection.execute(statement("producers", step))
    row = await connection.fetchrow(statement("producers", "count_outbox"))
    return {name: int(count) for name, count in (row or {}).items()}
