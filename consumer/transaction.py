"""One batch is one transaction: read under locks, processed in memory, written, committed.

`consumer.locking_reader` says what is locked when, and why batches don't deadlock. The ledger's unique key is the
backstop.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import asyncpg

from consumer import rows
from consumer.decode import Event, decode, endpoints_of
from consumer.ledger import COLUMNS, values_of
from consumer.ledger_reader import Needs, needs_of
from consumer.locking_reader import LockingReader
from consumer.plan import OrphanLetter, Plan
from consumer.planner import Planner
from consumer.recalled import news_of, objects_named, recall_notes
from consumer.resolve import keys_of
from consumer.waking import Waker
from runtime.phases import BatchPhases
from runtime.settings.scopes import scopes_of
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.ledger_reader import LedgerReader
    from consumer.plan import Item, Known
    from consumer.recalled import Note
    from consumer.verdict import Dead
    from runtime.clock import Clock
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

BEGINNINGS_MAX = 8
"""How often a batch begins anew because what it needs grew; then it is tried again as after a conflict."""


def _sql(name: str) -> str:
    return statement("consumer", name)


class BatchWriter:
    """Processes batches in Postgres. Raises what the driver raises; then nothing of the batch is written."""

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

    async def process(self, items: Sequence[Item]) -> Plan:
        """Process the batch in one transaction; return what was written once it is committed.

        Transactions that follow wake who waits on references that it bound.
        """
        plan = await self._transact(items, needs_of(items))
        if plan.marks:
            await self.waker.follow(plan)
        return plan

    async def process_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        """Process parked events whose payments are known, in one transaction; bury them where `dead` is given."""
        found = await self._pool.fetch(_sql("find_waited_refs"), parked_ids)
        keys = frozenset(rows.key_of(row) for row in found)
        return await self._transact([], Needs(keys=keys, parked=parked_ids, dead=dead))

    async def apply_letters(self, letter_ids: Sequence[int]) -> Plan:
        """Process the events of orphans' dead letters in one transaction; what can't be processed stays a letter."""
        found = await self._pool.fetch(_sql("find_orphans"), letter_ids)
        decoded = [(row["id"], decode(rows.record_of(row), self._endpoints)) for row in found]
        orphans = [OrphanLetter(letter_id, item) for letter_id, item in decoded if isinstance(item, Event)]
        if not orphans:
            return Plan()
        keys = frozenset(key for letter in orphans for key in keys_of(letter.event))
        return await self._transact([], Needs(keys=keys, orphans=orphans))

    async def _transact(self, items: Sequence[Item], needs: Needs) -> Plan:
        """Process in one transaction; begin anew, with more to lock, where it turns out to need more."""
        for _ in range(BEGINNINGS_MAX):
            phases = BatchPhases()
            with needs.growing():
                async with self._pool.acquire() as connection:
                    phases.mark("acquire")
                    async with connection.transaction():
                        known = await self._reader(connection, phases).read(needs)
                        now = self._clock.now()
                        notes = self._notes_on(items, known)
                        plan = self._decide(items, known, now)
                        phases.mark("fold")
                        await self._write(connection, plan, dt.datetime.fromtimestamp(now, dt.UTC), known)
                        if notes:
                            await self._note_recalls(connection, items, news_of(notes, plan))
                        phases.mark("write")
                    phases.mark("commit")
                phases.observe()
                return plan
        raise asyncpg.SerializationError("what the batch needs went on to grow while it was being locked")

    def _reader(self, connection: Connection, phases: BatchPhases) -> LedgerReader:
        return LockingReader(
            connection,
            phases,
            self._endpoints,
            group_max=self._group_max,
            grace_seconds=self._command_grace_seconds,
        )

    def _decide(self, items: Sequence[Item], known: Known, now: float) -> Plan:
        return Planner(
            known,
            now=now,
            xid=known.xid,
            facts_max=self._facts_max,
            group_max=self._group_max,
            endpoints=self._endpoints,
            command_seconds=self._command_seconds,
        ).plan(items)

    async def _write(self, connection: Connection, plan: Plan, now: dt.datetime, known: Known) -> None:
        if plan.changed:
            payments = rows.payment_arrays(plan.changed.values(), plan.opened)
            await connection.execute(_sql("write_payments"), *payments, now, *rows.binding_arrays(plan.bindings))
        await self._write_members(connection, plan)
        if plan.woken:
            await connection.execute(_sql("delete_parked"), plan.woken)
        if plan.applied:
            await connection.execute(_sql("apply_letters"), plan.applied)
        if plan.bodies:
            await connection.execute(_sql("insert_bodies"), *rows.columns(plan.bodies, 3))
        await self._write_messages(connection, plan)
        await self._write_notes(connection, plan)
        if plan.parkings:
            arguments = [rows.parking_arguments(parking, now, now + self._patience) for parking in plan.parkings]
            await connection.executemany(_sql("park_event"), arguments)
        if plan.letters:
            arguments = [rows.letter_arguments(letter, known.xid, now) for letter in plan.letters]
            await connection.executemany(_sql("bury_record"), arguments)
        if plan.rows:
            records = [values_of(row) for row in plan.rows]
            await connection.copy_records_to_table("payment_logs", records=records, columns=COLUMNS)
        if known.some_wait and plan.bindings:
            plan.marks = await self._mark(connection, plan)

    def _notes_on(self, items: Sequence[Item], known: Known) -> list[Note]:
        """Return what to note, before the batch is processed, of events that providers' lists may show."""
        return recall_notes(items, known, self._endpoints.topics.webhooks.name) if known.recalls else []

    async def _note_recalls(self, connection: Connection, items: Sequence[Item], notes: list[Note]) -> None:
        """Note which events a list brought first, and which objects came by webhook."""
        await connection.execute(_sql("note_recalled"), *rows.text_columns(notes, 3))
        if named := objects_named(items):
            await connection.execute(_sql("note_object_webhooks"), *rows.text_columns(named, 2))

    async def _mark(self, connection: Connection, plan: Plan) -> list[int]:
        """Mark the references that were bound now and on which events wait; return the marks' ids."""
        found = await connection.fetch(_sql("mark_bound"), *rows.ref_arrays(sorted(plan.bindings)))
        return [row["id"] for row in found]

    async def _write_members(self, connection: Connection, plan: Plan) -> None:
        if plan.members:
            await connection.execute(_sql("note_members"), *rows.member_arrays(plan.members))
        if plan.merges:
            await connection.execute(_sql("copy_members"), *rows.columns(plan.merges, 2))
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
        if reports := plan.delivery_reports:
            await connection.execute(_sql("lock_reported_messages"), sorted({one.message_id for one in reports}))
            await connection.execute(_sql("note_delivery_reports"), *rows.report_columns(reports))
