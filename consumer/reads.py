"""The reads that a batch and a dry run share: reported facts, copies, groups, bodies. They lock nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer import rows
from consumer.copies import richer_id
from runtime.postgres_arrays import plain_array
from runtime.sql import statement
from schemas.facts import RefKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from consumer.decode import Event
    from consumer.plan import DedupeKey, Known
    from consumer.resolve import RefKey
    from runtime.postgres import Connection


def _sql(name: str) -> str:
    return statement("consumer", name)


async def read_reported(
    connection: Connection, known: Known, keys: Collection[DedupeKey], snapshot: str | None = None
) -> bool:
    """Read which events are in the ledger or parked; tell whether the group of a payment that is held grew.

    `snapshot` is the one in which groups were looked up; None where they were not, which counts as grown where anybody
    has promised anything.
    """
    grew = False
    for row in await connection.fetch(_sql("find_reported"), *rows.dedupe_arrays(keys), snapshot):
        tells = row["tells"]
        if tells is None:
            rows.note_reported(known, row)
        known.some_wait |= tells == "waits"
        known.recalls |= tells == "recalls"
        grew |= tells == "promises" or (tells == "grew" and row["payment_id"] in known.payments)
    return grew


async def read_groups(connection: Connection, known: Known, promised: Iterable[RefKey], group_max: int) -> None:
    """Read anew who stands under the references of the payments held, and under those that are promised."""
    arguments = plain_array(known.payments), *rows.group_arrays(promised), group_max
    known.groups = rows.groups_from(await connection.fetchval(_sql("find_groups"), *arguments))


async def read_under(connection: Connection, known: Known, orders: Collection[RefKey]) -> None:
    """Read which payments stand under orders that turned out to be one payment each."""
    for row in await connection.fetch(_sql("find_under"), *rows.group_arrays(orders)):
        key = (row["provider"], row["account"], "", row["livemode"], RefKind.SHARED, row["ref"])
        known.under.setdefault(key, []).append(row["payment_id"])


async def read_copies(connection: Connection, known: Known, events: Sequence[Event]) -> None:
    """Read which copies of events that say more than the first are in the ledger; hardly ever there are any."""
    copies = {(event.source, own) for event in events if (own := richer_id(event, known)) is not None}
    if copies - known.reported.keys():
        await read_reported(connection, known, copies)


async def read_bodies(connection: Connection, known: Known, events: Sequence[Event]) -> None:
    """Read which bodies of senders with unsigned event ids were taken already."""
    bodies = {(event.source, event.digest) for event in events if event.digest is not None} - known.bodies
    if bodies:
        found = await connection.fetch(_sql("find_bodies"), *rows.columns(sorted(bodies), 2))
        known.bodies |= {(row["source"], row["digest"]) for row in found}
