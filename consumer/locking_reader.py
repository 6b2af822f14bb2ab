"""The reader of a batch: all that it needs is locked in one sorted set, references before payments; then it is read.

References are locked before anything is read, so an event that parks and one that brings its payment never miss each
other. Nothing is locked later: where something turns out to be missing, the transaction begins anew with more. So
batches don't deadlock. Only then is it read what is in the ledger already.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from asyncpg.pgproto import pgproto

from consumer import rows
from consumer.decode import Event, decode
from consumer.ledger_reader import GrewError
from consumer.plan import Known, ParkedEvent
from consumer.reads import read_bodies, read_copies, read_groups, read_reported, read_under
from consumer.resolve import keys_of
from runtime.postgres_arrays import plain_array
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from consumer.decode import DecodingTerms
    from consumer.ledger_reader import Needs
    from consumer.resolve import RefKey
    from runtime.phases import BatchPhases
    from runtime.postgres import Connection


def _sql(name: str) -> str:
    return statement("consumer", name)


class LockingReader:
    """Reads within one transaction, on its connection; `grace_seconds` is how long an expired command is waited for."""

    def __init__(
        self,
        connection: Connection,
        phases: BatchPhases,
        endpoints: DecodingTerms,
        *,
        group_max: int,
        grace_seconds: float,
    ) -> None:
        self._connection = connection
        self._phases = phases
        self._endpoints = endpoints
        self._group_max = group_max
        self._grace_seconds = grace_seconds

    async def read(self, needs: Needs) -> Known:
        """Lock all that is needed, then read what is known of it."""
        connection, known = self._connection, Known()
        snapshot = await self._lock(known, sorted(needs.keys | needs.more_keys), needs)
        if needs.gathered:
            await self._read_under(known, needs.gathered)
        self._phases.mark("lock")
        events = [*needs.events, *(letter.event for letter in needs.orphans)]
        await self._read_reported(known, events, needs.promised, snapshot)
        await read_bodies(connection, known, events)
        commands = any(event.meaning.commands for event in events)
        if needs.parked:
            commands |= await self._read_parked(known, needs)
        if commands:
            found = await connection.fetch(_sql("read_commands"), list(known.payments), self._grace_seconds)
            rows.note_commands(known, found)
        if needs.orphans:
            held = await connection.fetch(_sql("lock_letters"), [letter.id for letter in needs.orphans])
            still = {row["id"] for row in held}
            known.orphans = [letter for letter in needs.orphans if letter.id in still]
        self._phases.mark("read")
        return known

    async def _lock(self, known: Known, refs: Sequence[RefKey], needs: Needs) -> str | None:
        """Lock references, which are sorted, and all that they need; read the groups of the payments that are held.

        Return the snapshot in which the groups were looked up, None where that was not done for each payment.
        """
        promised = plain_array([key in needs.promised for key in refs])
        locked, *held = await self._connection.fetch(
            _sql("lock_refs"), *rows.ref_arrays(refs), promised, plain_array(sorted(needs.payments)), self._group_max
        )
        known.xid = locked["xid"]
        known.refs = dict.fromkeys(refs)
        for place, payment_id in zip(locked["places"] or (), locked["payment_ids"] or (), strict=True):
            known.refs[refs[place - 1]] = payment_id
        for *key, payment_id in json.loads(locked["others"] or "[]"):
            known.refs[tuple(key)] = pgproto.UUID(payment_id) if payment_id else None
        known.payments = {row["id"]: rows.payment_of(row) for row in held}
        known.groups = rows.groups_from(locked["members"])
        if locked["refs"] != len(refs):
            raise GrewError(refs)
        wanted = {payment_id for payment_id in known.refs.values() if payment_id is not None}
        wanted.update(one.merged_into for one in known.payments.values() if one.merged_into is not None)
        wanted.update(one.intent_id for one in known.payments.values() if one.intent_id is not None)
        missing, beyond = wanted - known.payments.keys(), rows.references_from(locked["beyond"])
        if missing or beyond:
            raise await self._grew(beyond, missing)
        return locked["snapshot"] if known.payments.keys() <= set(locked["looked_up"] or ()) else None

    async def _grew(self, references: Collection[RefKey], payments: Collection[UUID]) -> GrewError:
        """Return what is missing with all that it leads to: each beginning alone would lock one more of a chain."""
        arguments = plain_array(sorted(payments)), *rows.group_arrays(references), self._group_max
        (found,) = await self._connection.fetch(_sql("follow_chains"), *arguments)
        return GrewError(rows.references_from(found["refs"]), found["payments"] or ())

    async def _read_reported(
        self, known: Known, events: Sequence[Event], promised: frozenset[RefKey], snapshot: str | None
    ) -> None:
        """Read which events are in the ledger, whether any event waits, and groups that may not be what they were.

        Groups were looked up before their locks were held (`snapshot`). Those that the batch promises come from
        nobody's promise, so nothing tells whether they grew.
        """
        keys = {(event.source, event.event_id) for event in events}
        grew = await read_reported(self._connection, known, keys, snapshot)
        if grew or promised:
            await read_groups(self._connection, known, promised, self._group_max)
        await read_copies(self._connection, known, events)
        known.groups |= {key: {} for key in promised - known.groups.keys()}
        members = {payment_id for group in known.groups.values() for payment_id in group}
        references, payments = known.groups.keys() - known.refs.keys(), members - known.payments.keys()
        if references or payments:
            raise await self._grew(references, payments)

    async def _read_under(self, known: Known, orders: Collection[RefKey]) -> None:
        """Read who stands under orders; each of them locks the order's reference first, so nobody comes meanwhile."""
        await read_under(self._connection, known, orders)
        missing = {one for held in known.under.values() for one in held} - known.payments.keys()
        if missing:
            raise await self._grew((), missing)

    async def _read_parked(self, known: Known, needs: Needs) -> bool:
        """Read the parked events that are still there; tell whether any is a command, or an answer to one.

        The transaction begins anew where they carry further references.
        """
        theirs: set[RefKey] = set()
        commands = False
        for row in await self._connection.fetch(_sql("find_parked"), needs.parked):
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], row["processed"], needs.dead)
            known.parked.append(one)
            item = needs.dead or decode(one.record, self._endpoints)
            theirs.update(keys_of(item) if isinstance(item, Event) else ())
            commands |= isinstance(item, Event) and item.meaning.commands
        if theirs - known.refs.keys():
            raise GrewError(theirs)
        return commands
