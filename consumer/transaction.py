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

from consumer import rows
from consumer.copies import richer_id
from consumer.decode import Event, decode, endpoints_of
from consumer.ledger import COLUMNS, values_of
from consumer.plan import Known, OrphanLetter, ParkedEvent, Plan
from consumer.recalled import news_of, objects_named, recall_notes
from consumer.resolve import RefKey, claimed_of, keys_of
from consumer.settlement import Settlement
from consumer.waking import Waker
from runtime.phases import BatchPhases
from runtime.postgres_arrays import plain_array
from runtime.settings.scopes import scopes_of
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumer.plan import Item
    from consumer.verdict import Dead
    from runtime.clock import Clock
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

BEGINNINGS_MAX = 8
"""How often a batch begins anew because what it needs grew; then it is tried again as after a conflict."""


def _sql(name: str) -> str:
    return statement("consumer", name)


@dataclass(slots=True)
class Needs:
    """What a batch locks.

    `keys` are the names and references that its events carry, `promised` the references that its intents claim;
    `more_keys` and `payments` are what else it turned out to take. `parked` are parked events to wake, or to bury where
    `dead` is given; `orphans` are dead letters to apply.
    """

    keys: frozenset[RefKey]
    promised: frozenset[RefKey] = frozenset()
    more_keys: set[RefKey] = field(default_factory=set)
    payments: set[UUID] = field(default_factory=set)
    parked: Sequence[int] = ()
    dead: Dead | None = None
    orphans: Sequence[OrphanLetter] = ()


class _GrewError(Exception):
    """A batch needs more than it has locked: its transaction begins anew."""

    def __init__(self, keys: Iterable[RefKey] = (), payments: Iterable[UUID] = ()) -> None:
        self.keys, self.payments = set(keys), set(payments)
        super().__init__(f"{len(self.keys)} names and {len(self.payments)} payments are missing")


class BatchWriter:
    """Settles batches in Postgres. Raises what the driver raises; then nothing of the batch is written."""

    def __init__(self, pool: Pool, settings: Settings, clock: Clock) -> None:
        self._pool = pool
        self._endpoints = endpoints_of(scopes_of(settings), settings.kafka.topics)
        self._clock = clock
        self._facts_max = settings.consumer.facts_per_payment_max
        self._group_max = settings.consumer.payments_per_promise_max
        self._sms = settings.sms
        self._command_seconds = settings.intents.command_expires_seconds
        self._command_grace_seconds = settings.intents.command_grace_seconds
        self._patience = dt.timedelta(seconds=settings.parking.deadline_seconds)
        self.waker = Waker(pool, self, settings.consumer)

    async def settle(self, items: Sequence[Item]) -> Plan:
        """Settle the batch in one transaction; return what was written once it is committed.

        Transactions that follow wake who waits on names that it bound.
        """
        events = [item for _, item in items if isinstance(item, Event)]
        keys = frozenset([key for event in events for key in keys_of(event)])
        promised = frozenset(key for event in events if (key := claimed_of(event)) is not None)
        plan = await self._begin(items, Needs(keys, promised))
        if plan.marks:
            await self.waker.follow(plan)
        return plan

    async def settle_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        """Settle parked events whose payments are known, in one transaction; bury them where `dead` is given."""
        found = await self._pool.fetch(_sql("find_waited_names"), parked_ids)
        return await self._begin([], Needs(frozenset(rows.key_of(row) for row in found), parked=parked_ids, dead=dead))

    async def apply_letters(self, letter_ids: Sequence[int]) -> Plan:
        """Settle the events of orphans' dead letters in one transaction; one that can't be settled stays a letter."""
        found = await self._pool.fetch(_sql("find_orphans"), letter_ids)
        decoded = [(row["id"], decode(rows.record_of(row), self._endpoints)) for row in found]
        orphans = [OrphanLetter(letter_id, item) for letter_id, item in decoded if isinstance(item, Event)]
        if not orphans:
            return Plan()
        keys = frozenset(key for letter in orphans for key in keys_of(letter.event))
        return await self._begin([], Needs(keys, orphans=orphans))

    async def _begin(self, items: Sequence[Item], needs: Needs) -> Plan:
        """Settle in one transaction; begin anew, with more to lock, where it turns out to need more."""
        for _ in range(BEGINNINGS_MAX):
            try:
                return await self._transact(items, needs)
            except _GrewError as grew:
                needs.more_keys |= grew.keys
                needs.payments |= grew.payments
        raise asyncpg.SerializationError("what the batch needs went on to grow while it was being locked")

    async def _transact(self, items: Sequence[Item], needs: Needs) -> Plan:
        phases = BatchPhases()
        async with self._pool.acquire() as connection:
            phases.mark("acquire")
            async with connection.transaction():
                events = [item for _, item in items if isinstance(item, Event)]
                events += [letter.event for letter in needs.orphans]
                known, xid = await self._read(connection, events, needs, phases)
                now = self._clock.now()
                webhooks = self._endpoints.topics.webhooks.name
                notes = recall_notes(items, known, webhooks) if known.recalls else []
                settlement = Settlement(
                    known,
                    now=now,
                    xid=xid,
                    facts_max=self._facts_max,
                    group_max=self._group_max,
                    endpoints=self._endpoints,
                    command_seconds=self._command_seconds,
                )
                plan = settlement.settle(items)
                phases.mark("fold")
                await self._write(connection, plan, dt.datetime.fromtimestamp(now, dt.UTC), xid)
                if known.some_wait and plan.bindings:
                    plan.marks = await self._mark(connection, plan)
                if notes:
                    await connection.execute(_sql("note_recalled"), *rows.text_columns(news_of(notes, plan), 3))
                if notes and (named := objects_named(items)):
                    await connection.execute(_sql("note_object_webhooks"), *rows.text_columns(named, 2))
                phases.mark("write")
            phases.mark("commit")
        phases.observe()
        return plan

    async def _read(
        self,
        connection: Connection,
        events: Sequence[Event],
        needs: Needs,
        phases: BatchPhases,
    ) -> tuple[Known, int]:
        """Lock all that the events speak of, then read what is known of it; also return the transaction's id."""
        known, names = Known(), sorted(needs.keys | needs.more_keys)
        xid = await self._lock(connection, known, names, needs)
        phases.mark("lock")
        await self._read_claims(connection, known, events, needs.promised)
        bodies = {(event.source, event.digest) for event in events if event.digest is not None}
        if bodies:
            found = await connection.fetch(_sql("find_bodies"), *rows.columns(sorted(bodies), 2))
            known.bodies = {(row["source"], row["digest"]) for row in found}
        commands = any(event.meaning.commands for event in events)
        if needs.parked:
            commands |= await self._read_parked(connection, known, needs)
        if commands:
            found = await connection.fetch(_sql("read_commands"), list(known.payments), self._command_grace_seconds)
            rows.note_commands(known, found)
        if needs.orphans:
            held = await connection.fetch(_sql("lock_letters"), [letter.id for letter in needs.orphans])
            still = {row["id"] for row in held}
            known.orphans = [letter for letter in needs.orphans if letter.id in still]
        phases.mark("read")
        return known, xid

    async def _lock(self, connection: Connection, known: Known, names: Sequence[RefKey], needs: Needs) -> int:
        """Lock names, which are sorted, and all that they need; return the transaction's id."""
        promised = plain_array([key in needs.promised for key in names])
        locked, *held = await connection.fetch(
            _sql("lock_refs"), *rows.ref_arrays(names), promised, plain_array(sorted(needs.payments)), self._group_max
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
    ) -> None:
        """Read which events are in the ledger, whether any event waits, and the groups of the payments held."""
        claims = {(event.source, event.event_id) for event in events}
        found = await connection.fetch(
            _sql("find_claims"),
            *rows.claim_arrays(claims),
            plain_array(known.payments),
            *rows.group_arrays(promised),
            self._group_max,
        )
        for row in found:
            if row["source"] is not None:
                rows.note_claim(known, row)
            elif row["payment_id"] is None:
                known.recalls |= row["provider"] is not None
                known.some_wait |= row["provider"] is None
            else:
                rows.note_member(known.groups, row)
        await self._read_copies(connection, known, events)
        known.groups |= {key: {} for key in promised - known.groups.keys()}
        members = {payment_id for group in known.groups.values() for payment_id in group}
        if known.groups and (known.groups.keys() - known.names.keys() or members - known.payments.keys()):
            raise _GrewError(known.groups.keys() - known.names.keys(), members - known.payments.keys())

    @staticmethod
    async def _read_copies(connection: Connection, known: Known, events: Sequence[Event]) -> None:
        """Read which copies of events that say more than the first are in the ledger; hardly ever there are any."""
        copies = {(event.source, own) for event in events if (own := richer_id(event, known)) is not None}
        if not copies:
            return
        none = plain_array(()), *rows.group_arrays(()), 0
        for row in await connection.fetch(_sql("find_claims"), *rows.claim_arrays(copies), *none):
            if row["source"] is not None:
                rows.note_claim(known, row)

    async def _read_parked(self, connection: Connection, known: Known, needs: Needs) -> bool:
        """Read the parked events that are still there; tell whether any is a command, or an answer to one.

        The transaction begins anew where they carry further names.
        """
        theirs: set[RefKey] = set()
        commands = False
        for row in await connection.fetch(_sql("find_parked"), needs.parked):
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], row["settled"], needs.dead)
            known.parked.append(one)
            item = needs.dead or decode(one.record, self._endpoints)
            theirs.update(keys_of(item) if isinstance(item, Event) else ())
            commands |= isinstance(item, Event) and item.meaning.commands
        if theirs - known.names.keys():
            raise _GrewError(theirs)
        return commands

    async def _write(self, connection: Connection, plan: Plan, now: dt.datetime, xid: int) -> None:
        if plan.changed:
            payments = rows.payment_arrays(plan.changed.values(), plan.opened)
            await connection.execute(_sql("write_payments"), *payments, now, *rows.binding_arrays(plan.bindings))
        await self._write_standing(connection, plan)
        if plan.woken:
            await connection.execute(_sql("delete_parked"), plan.woken)
        if plan.applied:
            await connection.execute(_sql("apply_letters"), plan.applied)
        if plan.bodies:
            await connection.execute(_sql("claim_bodies"), *rows.columns(plan.bodies, 3))
        await self._write_messages(connection, plan)
        await self._write_notes(connection, plan)
        if plan.parkings:
            arguments = [rows.parking_arguments(parking, now, now + self._patience) for parking in plan.parkings]
            await connection.executemany(_sql("park_event"), arguments)
        if plan.letters:
            arguments = [rows.letter_arguments(letter, xid, now) for letter in plan.letters]
            await connection.executemany(_sql("bury_record"), arguments)
        if plan.rows:
            records = [values_of(row) for row in plan.rows]
            await connection.copy_records_to_table("payment_logs", records=records, columns=COLUMNS)

    async def _mark(self, connection: Connection, plan: Plan) -> list[int]:
        """Mark the names that were bound now and on which events wait; return the marks' ids."""
        found = await connection.fetch(_sql("mark_bound"), *rows.ref_arrays(sorted(plan.bindings)))
        return [row["id"] for row in found]

    async def _write_standing(self, connection: Connection, plan: Plan) -> None:
        if plan.standing:
            await connection.execute(_sql("note_standing"), *rows.standing_arrays(plan.standing))
        if plan.merges:
            await connection.execute(_sql("copy_standing"), *rows.columns(plan.merges, 2))
        if plan.metadata:
            await connection.execute(_sql("note_metadata"), *rows.columns(sorted(plan.metadata.items()), 2))

    async def _write_notes(self, connection: Connection, plan: Plan) -> None:
        """Write what others act on: payments to ask about, debits to watch, commands and the answers to them."""
        if plan.refetches:
            await connection.execute(_sql("queue_refetches"), *rows.refetch_columns(plan.refetches))
        if plan.commands:
            await connection.executemany(_sql("insert_command"), [rows.command_arguments(one) for one in plan.commands])
        if plan.answers:
            await connection.execute(_sql("answer_commands"), *rows.answer_columns(plan.answers))
        if plan.debits:
            await connection.execute(_sql("note_debits"), *rows.columns(sorted(set(plan.debits)), 4))

    async def _write_messages(self, connection: Connection, plan: Plan) -> None:
        wanted = [one for one in plan.messages if self._sms.wants(one.client, one.template)]
        if wanted and self._sms.twilio.configured:
            await connection.execute(_sql("queue_messages"), *rows.message_columns(wanted))
        if plan.receipts:
            await connection.execute(_sql("lock_receipts"), sorted({one.message_id for one in plan.receipts}))
            await connection.execute(_sql("note_receipts"), *rows.receipt_columns(plan.receipts))
