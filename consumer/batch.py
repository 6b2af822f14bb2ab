"""One batch is one transaction: names locked, then payments, then read, settled in memory, written, committed.

The order is what makes it right. Names are locked before anything is read, so an event that parks and one that brings
its payment never miss each other; payments are locked in id order after the names, so batches don't deadlock; only
then is it read what is in the books already. The ledger's unique key is the backstop.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import structlog

from consumer import rows
from consumer.decode import Event, decode
from consumer.ledger import COLUMNS, values_of
from consumer.plan import Known, ParkedEvent, Plan
from consumer.resolve import RefKey, keys_of
from consumer.settlement import Settlement
from consumer.verdict import Dead
from runtime.phases import BatchPhases
from runtime.postgres import Failure, classify
from runtime.postgres_arrays import plain_array
from runtime.sql import statement
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.clock import Clock
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings
    from schemas.record import Record

Item = tuple["Record", Event | Dead]
"""A record and what it was understood to be."""

LOCKS_MAX = 3
"""How often names are asked to be locked: what the first time misses may be bound anew until the second has it."""

log = structlog.get_logger()


def _sql(name: str) -> str:
    return statement("consumer", name)


def _understood(record: Record) -> Event | Dead | None:
    """Decode a parked record; None where today's interpretation trips over it, so that it stays parked."""
    try:
        return decode(record)
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


class BatchWriter:
    """Settles batches in Postgres. Raises what the driver raises; then nothing of the batch is written."""

    def __init__(self, pool: Pool, settings: Settings, clock: Clock) -> None:
        self._pool = pool
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
        keys = {key for _, item in items if isinstance(item, Event) for key in keys_of(item)}
        parked = _ParkedRead(self._woken_max)
        try:
            plan = await self._transact(items, keys, parked)
        except Exception as error:
            if not parked.taken or classify(error) not in (Failure.DATA, Failure.UNEXPECTED):
                raise
            log.warning("waking_failed", parked=parked.taken, error=type(error).__name__)
            return await self._transact(items, keys, _ParkedRead(0))
        fresh = plan.bindings.keys() - keys
        if parked.full or fresh:
            await self._wake_rest(keys | fresh, plan)
        return plan

    async def _wake_rest(self, keys: set[RefKey], plan: Plan) -> None:
        """Read all that waits on these names, part by part, until a whole pass wakes nothing; add to what was written.

        A crash in between loses nothing: the offsets of the batch are not committed yet, so it comes again.
        """
        woken = -1
        while len(plan.woken) != woken:
            woken, parked = len(plan.woken), _ParkedRead(self._woken_max, full=True)
            while parked.full:
                parked = _ParkedRead(self._woken_max, after_id=parked.last_id)
                more = await self._transact([], keys, parked)
                plan.rows += more.rows
                plan.woken += more.woken
                plan.letters += more.letters

    async def _transact(self, items: Sequence[Item], keys: set[RefKey], parked: _ParkedRead) -> Plan:
        phases = BatchPhases()
        async with self._pool.acquire() as connection:
            phases.mark("acquire")
            async with connection.transaction():
                events = [item for _, item in items if isinstance(item, Event)]
                known, xid = await self._read(connection, events, keys, parked, phases)
                now = self._clock.now()
                plan = Settlement(known, now=now, xid=xid, facts_max=self._facts_max).settle(items)
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
        keys: set[RefKey],
        parked: _ParkedRead,
        phases: BatchPhases,
    ) -> tuple[Known, int]:
        """Lock all that the events speak of, then read what is known of it; also return the transaction's id."""
        known, names = Known(), sorted(keys)
        arrays = rows.ref_arrays(names)
        xid = await self._lock(connection, known, names, arrays)
        phases.mark("lock")
        some_wait = not events
        if events:
            claims = {(event.source, event.event_id) for event in events}
            for source, event_id, facts in await connection.fetch(_sql("find_claims"), *rows.claim_arrays(claims)):
                if source is None:
                    some_wait = True
                else:
                    known.claims[source, event_id] = facts
        bodies = {(event.source, event.digest) for event in events if event.digest is not None}
        if bodies:
            found = await connection.fetch(_sql("find_bodies"), *rows.columns(sorted(bodies), 2))
            known.bodies = {(row["source"], row["digest"]) for row in found}
        if names and parked.limit and some_wait:
            await self._read_parked(connection, known, keys, arrays, parked)
        phases.mark("read")
        return known, xid

    async def _lock(self, connection: Connection, known: Known, names: Sequence[RefKey], arrays: Sequence[str]) -> int:
        """Lock names, which are sorted and of which `arrays` are the arguments, then the payments that have them.

        Returns the transaction's id.
        """
        known.names.update(dict.fromkeys(names))
        for _ in range(LOCKS_MAX):
            locked, *held = await connection.fetch(_sql("lock_refs"), *arrays)
            payment_ids = locked["payment_ids"] or ()
            for row in held:
                if row["id"] not in known.payments:
                    known.payments[row["id"]] = rows.payment_of(row)
            if locked["names"] == len(names) and known.payments.keys() >= set(payment_ids):
                break
        else:
            raise asyncpg.SerializationError("names went on to be bound while they were being locked")
        for place, payment_id in zip(locked["places"] or (), payment_ids, strict=True):
            known.names[names[place - 1]] = payment_id
        xid: int = locked["xid"]
        return xid

    async def _read_parked(
        self, connection: Connection, known: Known, keys: set[RefKey], arrays: Sequence[str], parked: _ParkedRead
    ) -> None:
        """Read which parked events may be true now, and lock the names that only they carry."""
        found = await connection.fetch(
            _sql("find_parked"), *arrays, plain_array(known.payments), parked.limit, parked.after_id
        )
        parked.note([row["id"] for row in found])
        theirs: set[RefKey] = set()
        for row in found:
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], Reason(row["reason"]), row["settled"])
            if (item := _understood(one.record)) is not None:
                known.parked.append(one)
                theirs.update(keys_of(item) if isinstance(item, Event) else ())
        theirs -= keys
        if theirs:
            names = sorted(theirs)
            await self._lock(connection, known, names, rows.ref_arrays(names))

    async def _write(self, connection: Connection, plan: Plan, now: dt.datetime, xid: int) -> None:
        if plan.changed:
            payments = rows.payment_arrays(plan.changed.values(), plan.opened)
            await connection.execute(_sql("write_payments"), *payments, now, *rows.binding_arrays(plan.bindings))
        if plan.merges:
            await connection.execute(_sql("move_refs"), *rows.columns(plan.merges, 2))
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

    async def _write_messages(self, connection: Connection, plan: Plan) -> None:
        wanted = [one for one in plan.messages if self._sms.wants(one.client, one.template)]
        if wanted and self._sms.twilio.configured:
            await connection.execute(_sql("queue_messages"), *rows.message_columns(wanted))
        if plan.receipts:
            await connection.execute(_sql("lock_receipts"), sorted({one.message_id for one in plan.receipts}))
            await connection.execute(_sql("note_receipts"), *rows.receipt_columns(plan.receipts))
