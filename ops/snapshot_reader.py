"""The reader of a dry run: what a batch would read, of one snapshot, without locks.

It is asked again and again within one transaction and returns the same object, grown: what was changed in memory
meanwhile stands above what is read later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer import rows
from consumer.decode import Event, decoded, endpoints_of
from consumer.plan import Known, ParkedEvent
from consumer.reads import read_bodies, read_groups, read_reported, read_under
from consumer.resolve import keys_of
from consumer.verdict import Dead
from ops.database import fetch
from runtime.settings.scopes import scopes_of
from runtime.sql import statement
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from consumer.ledger_reader import Needs
    from consumer.resolve import RefKey
    from runtime.postgres import Connection
    from runtime.settings import Settings


class SnapshotReader:
    """Reads on a connection whose transaction reads one snapshot."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._group_max = settings.consumer.payments_per_promise_max
        self._parked_bounds = settings.redrive.parked_read_max, settings.redrive.preview_bytes_max
        self._endpoints = endpoints_of(scopes_of(settings), settings.kafka.topics)
        self._known = Known()

    async def read(self, needs: Needs) -> Known:
        """Return what is known by now, with what is needed; `parked` are those that wait on the references needed."""
        known, keys = self._known, needs.keys
        await self._read_refs(keys)
        unread = {(event.source, event.event_id) for event in needs.events} - known.reported.keys()
        if unread:
            await read_reported(self._connection, known, unread)
        await read_bodies(self._connection, known, needs.events)
        if needs.gathered:
            await read_under(self._connection, known, needs.gathered)
            await self._read_payments({payment_id for key in needs.gathered for payment_id in known.under.get(key, ())})
        await self._read_groups(needs.promised)
        known.parked = []
        if needs.waiting and keys:
            await self._read_parked(keys)
        return known

    async def _read_refs(self, keys: AbstractSet[RefKey]) -> None:
        known = self._known
        unread = keys - known.refs.keys()
        if not unread:
            return
        for row in await fetch(self._connection, "foresee_refs", *rows.ref_columns(unread)):
            known.refs[rows.key_of(row)] = row["payment_id"]
        for key in unread:
            known.refs.setdefault(key, None)
        await self._read_payments({bound for key in unread if (bound := known.refs[key]) is not None})

    async def _read_payments(self, wanted: set[UUID]) -> None:
        """Read payments that are not known yet, and those that they turned out to be or whose attempts they are."""
        known = self._known
        while wanted := wanted - known.payments.keys():
            found = await self._connection.fetch(statement("ops", "foresee_payments"), sorted(wanted))
            known.payments |= {row["id"]: rows.payment_of(row) for row in found}
            further = [payment_id for row in found for payment_id in (row["merged_into"], row["intent_id"])]
            wanted = {payment_id for payment_id in further if payment_id is not None}

    async def _read_groups(self, promised: AbstractSet[RefKey]) -> None:
        """Read who stands under the references of what is known, and under those that are promised."""
        known = self._known
        while True:
            read = Known(payments=known.payments)
            await read_groups(self._connection, read, promised, self._group_max)
            read.groups = {key: {} for key in promised} | read.groups
            for key, group in read.groups.items():
                known.groups[key] = group | known.groups.get(key, {})
            members = {payment_id for group in read.groups.values() for payment_id in group}
            if members <= known.payments.keys():
                return
            await self._read_payments(members)

    async def _read_parked(self, keys: AbstractSet[RefKey]) -> None:
        """Read the parked events that may be true now; one that can't be decoded today stays parked."""
        known = self._known
        payments = sorted({bound for key in keys if (bound := known.refs[key]) is not None})
        found = await self._connection.fetch(
            statement("ops", "foresee_parked"), *rows.ref_columns(keys), payments, *self._parked_bounds
        )
        theirs: set[RefKey] = set()
        for row in found:
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], row["processed"])
            _, item = decoded(one.record, self._endpoints)
            if isinstance(item, Dead) and item.reason is Reason.UNEXPECTED:
                continue
            known.parked.append(one)
            theirs.update(keys_of(item) if isinstance(item, Event) else ())
        await self._read_refs(theirs)
