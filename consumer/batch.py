"""One batch is one transaction: names locked, then payments, then read, settled in memory, written, committed.

The order is what makes it right. Names are locked before anything is read, so an event that parks and one that brings
its payment never miss each other. All that a batch needs is locked in one sorted set, names before payments, and
nothing later: where something turns out to be missing, the transaction begins anew with more. So batches don't
deadlock. Only then is it read what is in the ledger already. The ledger's unique key is the backstop.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import structlog

from consumer import rows
from consumer.decode import Event, decode, endpoints_of
from consumer.ledger import COLUMNS, values_of
from consumer.plan import Known, ParkedEvent, Plan
from consumer.resolve import RefKey, claimed_of, keys_of
from consumer.settlement import Settlement
from consumer.verdict import Dead
from runtime.phases import BatchPhases
from runtime.postgres import classify
from runtime.postgres_arrays import plain_array
from runtime.refusals import Failure
from runtime.settings.scopes import scopes_of
from runtime.sql import statement
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumer.decode import Endpoints
    from runtime.clock import Clock
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings
    from schemas.record import Record

Item = tuple["Record", Event | Dead]
"""A record and what it was understood to be."""

BEGINNINGS_MAX = 8
"""How often a batch begins anew because what it needs grew; then it is tried again as after a conflict."""

log = structlog.get_logger()


def _sql(name: str) -> str:
    return statement("consumer", name)


def _understood(record: Record, endpoints: Endpoints) -> Event | Dead | None:
    """Decode a parked record; None where today's interpretation trips over it, so that it stays parked."""
    try:
        return decode(record, endpoints)
    except Exception:  # noqa: BLE001 - whoever wakes it must not suffer
        return None


@dataclass(slots=True)
class _ParkedRead:
    """One bounded read of parked events, in the order of their ids: its bounds, and what it came to."""

    limit: int
    after_id: int = 0
    last_id: int = 0
    taken: int = 0
    full: bool = False

    def note(self, ids: Sequence[int]) -> None:
        """Note what was read."""
        self.taken, self.full = len(ids), len(ids) == self.limit
        self.last_id = ids[-1] if ids else self.after_id


@dataclass(slots=True)
class Needs:
    """What a batch locks.

    `keys` are the names and references that its events carry, `promised` the references that its intents claim;
    `more_keys` and `payments` are what else it turned out to take.
    """

    keys: frozenset[RefKey]
    promised: frozenset[RefKey] = frozenset()
    more_keys: set[RefKey] = field(default_factory=set)
    payments: set[UUID] = field(default_factory=set)


class _GrewError(Exception):
    """A batch needs more than it has locked: its transaction begins anew."""

    def __init__(self, keys: Iterable[RefKey] = (), payments: Iterable[UUID] = ()) -> None:
        self.keys, self.payments = set(keys), set(payments)
        super().__init__(f"{len(self.keys)} names and {len(self.payments)} payments are missing")


class BatchWriter:
    """Settles batches in Postgres. Raises what the driver raises; then nothing of the batch is written."""

    def __init__(self, pool: Pool, settings: Settings, clock: Clock) -> None:
        self._pool = pool
        self._endpoints = endpoints_of(scopes_of(settings))
        self._clock = clock
        self._facts_max = settings.consumer.facts_per_payment_max
        self._sms = settings.sms
        self._woken_max = settings.consumer.batch_records_max
        self._patience = dt.timedelta(seconds=settings.parking.deadline_seconds)

    async def settle(self, items: Sequence[Item]) -> Plan:
        """Settle the batch in one transaction; return what was written once it is committed.

        Where more parked events wait on its names than one read takes, or on names that a woken one brought,
        transactions that follow wake the rest. A batch that fails on data while it wakes others is settled without
        them: the bad record may be a parked one, which must not cost its neighbours anything.
        """
        events = [item for _, item in items if isinstance(item, Event)]
        keys = frozenset([key for event in events for key in keys_of(event)])
        promised = frozenset(key for event in events if (key := claimed_of(event)) is not None)
        parked = _ParkedRead(self._woken_max)
        try:
            plan = await self._begin(items, Needs(keys, promised), parked)
        except Exception as error:
            if not parked.taken or classify(error) not in (Failure.DATA, Failure.UNEXPECTED):
                raise
            log.warning("waking_failed", parked=parked.taken, error=type(error).__name__)
            return await self._begin(items, Needs(keys, promised), _ParkedRead(0))
        fresh = plan.bindings.keys() - keys
        if parked.full or fresh:
            await self._wake_rest(keys | fresh, plan)
        return plan

    async def _wake_rest(self, keys: frozenset[RefKey], plan: Plan) -> None:
        """Read all that waits on these names, part by part, until a whole pass wakes nothing; add to what was written.

        A crash in between loses nothing: the offsets of the batch are not committed yet, so it comes again.
        """
        woken = -1
        while len(plan.woken) != woken:
            woken, parked = len(plan.woken), _ParkedRead(self._woken_max, full=True)
            while parked.full:
                parked = _ParkedRead(self._woken_max, after_id=parked.last_id)
                more = await self._begin([], Needs(keys), parked)
                plan.rows += more.rows
                plan.woken += more.woken
                plan.letters += more.letters

    async def _begin(self, items: Sequence[Item], needs: Needs, parked: _ParkedRead) -> Plan:
        """Settle in one transaction; begin anew, with more to lock, where it turns out to need more."""
        for _ in range(BEGINNINGS_MAX):
            try:
                return await self._transact(items, needs, parked)
            except _GrewError as grew:
                needs.more_keys |= grew.keys
                needs.payments |= grew.payments
        raise asyncpg.SerializationError("what the batch needs went on to grow while it was being locked")

    async def _transact(self, items: Sequence[Item], needs: Needs, parked: _ParkedRead) -> Plan:
        phases = BatchPhases()
        async with self._pool.acquire() as connection:
            phases.mark("acquire")
            async with connection.transaction():
                events = [item for _, item in items if isinstance(item, Event)]
                known, xid = await self._read(connection, events, needs, parked, phases)
                now = self._clock.now()
                settlement = Settlement(known, now=now, xid=xid, facts_max=self._facts_max, endpoints=self._endpoints)
                plan = settlement.settle(items)
                phases.mark("fold")
                await self._write(connection, plan, dt.datetime.fromtimestamp(now, dt.UTC), xid)
                phases.mark("write")
            phases.mark("commit")
        phases.observe()
        return plan

    async def _read(
        self,
        connection: Connection,
        events: Sequence[Event],
        needs: Needs,
        parked: _ParkedRead,
        phases: BatchPhases,
    ) -> tuple[Known, int]:
        """Lock all that the events speak of, then read what is known of it; also return the transaction's id."""
        known, names = Known(), sorted(needs.keys | needs.more_keys)
        xid = await self._lock(connection, known, names, needs)
        phases.mark("lock")
        some_wait = await self._read_claims(connection, known, events, needs.promised)
        bodies = {(event.source, event.digest) for event in events if event.digest is not None}
        if bodies:
            found = await connection.fetch(_sql("find_bodies"), *rows.columns(sorted(bodies), 2))
            known.bodies = {(row["source"], row["digest"]) for row in found}
        if names and parked.limit and some_wait:
            await self._read_parked(connection, known, needs.keys, parked)
        phases.mark("read")
        return known, xid

    async def _lock(self, connection: Connection, known: Known, names: Sequence[RefKey], needs: Needs) -> int:
        """Lock names, which are sorted, and all that they need; return the transaction's id."""
        promised = plain_array([key in needs.promised for key in names])
        locked, *held = await connection.fetch(
            _sql("lock_refs"), *rows.ref_arrays(names), promised, plain_array(sorted(needs.payments))
        )
        known.names = dict.fromkeys(names)
        for place, payment_id in zip(locked["places"] or (), locked["payment_ids"] or (), strict=True):
            known.names[names[place - 1]] = payment_id
        for *key, payment_id in json.loads(locked["others"] or "[]"):
            known.names[tuple(key)] = UUID(payment_id) if payment_id else None
        known.payments = {row["id"]: rows.payment_of(row) for row in held}
        if locked["names"] != len(names):
            raise _GrewError(names)
        wanted = {payment_id for payment_id in known.names.values() if payment_id is not None}
        wanted.update(one.merged_into for one in known.payments.values() if one.merged_into is not None)
        wanted.update(one.intent_id for one in known.payments.values() if one.intent_id is not None)
        if missing := wanted - known.payments.keys():
            raise _GrewError(payments=missing)
        xid: int = locked["xid"]
        return xid

    async def _read_claims(
        self, connection: Connection, known: Known, events: Sequence[Event], promised: frozenset[RefKey]
    ) -> bool:
        """Read which events are in the ledger, and the groups of the payments held; tell whether any event waits."""
        claims = {(event.source, event.event_id) for event in events}
        found = await connection.fetch(
            _sql("find_claims"), *rows.claim_arrays(claims), plain_array(known.payments), *rows.group_arrays(promised)
        )
        some_wait = False
        for row in found:
            if row["source"] is not None:
                known.claims[row["source"], row["event_id"]] = row["facts"]
            elif row["payment_id"] is None:
                some_wait = True
            else:
                rows.note_member(known.groups, row)
        known.groups |= {key: {} for key in promised - known.groups.keys()}
        members = {payment_id for group in known.groups.values() for payment_id in group}
        if known.groups and (known.groups.keys() - known.names.keys() or members - known.payments.keys()):
            raise _GrewError(known.groups.keys() - known.names.keys(), members - known.payments.keys())
        return some_wait

    async def _read_parked(
        self, connection: Connection, known: Known, keys: frozenset[RefKey], parked: _ParkedRead
    ) -> None:
        """Read which parked events may be true now; the transaction begins anew where they carry further names."""
        reached = sorted({payment_id for key in keys if (payment_id := known.names[key]) is not None})
        found = await connection.fetch(
            _sql("find_parked"),
            *rows.ref_arrays(sorted(keys)),
            plain_array(reached),
            parked.limit,
            parked.after_id,
        )
        parked.note([row["id"] for row in found])
        theirs: set[RefKey] = set()
        for row in found:
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], Reason(row["reason"]), row["settled"])
            if (item := _understood(one.record, self._endpoints)) is not None:
                known.parked.append(one)
                theirs.update(keys_of(item) if isinstance(item, Event) else ())
        if theirs - known.names.keys():
            raise _GrewError(theirs)

    async def _write(self, connection: Connection, plan: Plan, now: dt.datetime, xid: int) -> None:
        if plan.changed:
            payments = rows.payment_arrays(plan.changed.values(), plan.opened)
            await connection.execute(_sql("write_payments"), *payments, now, *rows.binding_arrays(plan.bindings))
        await self._write_standing(connection, plan)
        if plan.woken:
            await connection.execute(_sql("delete_parked"), plan.woken)
        if plan.still:
            arguments = [(parked_id, waits.reason, waits.detail) for parked_id, waits in plan.still]
            await connection.executemany(_sql("note_still_parked"), arguments)
        if plan.bodies:
            await connection.execute(_sql("claim_bodies"), *rows.columns(plan.bodies, 3))
        await self._write_messages(connection, plan)
        if plan.refetches:
            await connection.execute(_sql("queue_refetches"), *rows.refetch_columns(plan.refetches))
        if plan.parkings:
            arguments = [rows.parking_arguments(parking, now, now + self._patience) for parking in plan.parkings]
            await connection.executemany(_sql("park_event"), arguments)
        if plan.letters:
            arguments = [rows.letter_arguments(letter, xid, now) for letter in plan.letters]
            await connection.executemany(_sql("bury_record"), arguments)
        if plan.rows:
            records = [values_of(row) for row in plan.rows]
            await connection.copy_records_to_table("payment_logs", records=records, columns=COLUMNS)

    async def _write_standing(self, connection: Connection, plan: Plan) -> None:
        if plan.standing:
            await connection.execute(_sql("note_standing"), *rows.standing_arrays(plan.standing))
        if plan.merges:
            await connection.execute(_sql("copy_standing"), *rows.columns(plan.merges, 2))
        if plan.metadata:
            await connection.execute(_sql("note_metadata"), *rows.columns(sorted(plan.metadata.items()), 2))

    async def _write_messages(self, connection: Connection, plan: Plan) -> None:
        wanted = [one for one in plan.messages if self._sms.wants(one.client, one.template)]
        if wanted and self._sms.twilio.configured:
            await connection.execute(_sql("queue_messages"), *rows.message_columns(wanted))
        if plan.receipts:
            await connection.execute(_sql("lock_receipts"), sorted({one.message_id for one in plan.receipts}))
            await connection.execute(_sql("note_receipts"), *rows.receipt_columns(plan.receipts))
