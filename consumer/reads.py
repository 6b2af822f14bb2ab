"""The reads that a batch and a dry run share: claims, copies, groups, bodies. They lock nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer import rows
from consumer.copies import richer_id
from runtime.postgres_arrays import plain_array
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from consumer.decode import Event
    from consumer.plan import ClaimKey, Known
    from consumer.resolve import RefKey
    from runtime.postgres import Connection


def _sql(name: str) -> str:
    return statement("consumer", name)


async def read_claims(  # noqa: PLR0913 - what one statement reads
    connection: Connection,
    known: Known,
    claims: Collection[ClaimKey],
    *,
    payments: Iterable[UUID] = (),
    promised: Iterable[RefKey] = (),
    group_max: int = 0,
) -> None:
    """Read which events are in the ledger or parked, whether any waits, and the groups of payments and of promises."""
    found = await connection.fetch(
        _sql("find_claims"),
        *rows.claim_arrays(claims),
        plain_array(payments),
        *rows.group_arrays(promised),
        group_max,
    )
    for row in found:
        if row["source"] is not None:
            rows.note_claim(known, row)
        elif row["payment_id"] is None:
            known.recalls |= row["provider"] is not None
            known.some_wait |= row["provider"] is None
        else:
            rows.note_member(known.groups, row)


async def read_copies(connection: Connection, known: Known, events: Sequence[Event]) -> None:
    """Read which copies of events that say more than the first are in the ledger; hardly ever there are any."""
    copies = {(event.source, own) for event in events if (own := richer_id(event, known)) is not None}
    if copies - known.claims.keys():
        await read_claims(connection, known, copies)


async def read_bodies(connection: Connection, known: Known, events: Sequence[Event]) -> None:
    """Read which bodies of senders with unsigned event ids were taken already."""
    bodies = {(event.source, event.digest) for event in events if event.digest is not None} - known.bodies
    if bodies:
        found = await connection.fetch(_sql("find_bodies"), *rows.columns(sorted(bodies), 2))
        known.bodies |= {(row["source"], row["digest"]) for row in found}
