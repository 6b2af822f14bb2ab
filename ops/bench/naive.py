"""The naive contender, fairly tuned: what one would write by hand.

One record at a time, one Postgres transaction an event, offsets committed every 100 records; the same tables, the same
decoding and fold, the same ledger row with its hash. An ordinary event costs four round trips, the fewest that its
transaction can do with: begin, lock and read the payment, one statement that inserts the event and writes all, commit.
Statements are prepared once and kept; connections go back to no pool, which would reset them; references are bound
only when they may be new. Events that wait, and those that may wake them, go through the product's own batch of one;
which references are waited for is kept in memory, in the contender's favour.
"""

from __future__ import annotations

import time
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from consumer import rows
from consumer.decode import Event, decoded
from consumer.fetched import record_of
from consumer.plan import Known
from consumer.planner import Planner
from consumer.resolve import RefKey, joining_of, keys_of
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from consumer.plan import Item, Plan
    from consumer.transaction import BatchWriter
    from runtime.clock import Clock
    from runtime.postgres import Connection

COMMIT_RECORDS: Final = 100
FETCH_WAIT_MS: Final = 200
values_of: Final = attrgetter(
    "payment_id", "source", "event_id", "event_type", "outcome", "from_status", "to_status", "amount", "version",
    "facts", "topic", "partition", "offset", "occurred_at", "recorded_at", "relay_xid", "hash",
)  # fmt: skip
"""From a ledger row to the first arguments of this contender's statements."""
MEMBER_COLUMNS: Final = ("provider", "account", "livemode", "kind", "ref")
"""What names a reference that a payment stands under."""
NAMED_AGAIN: Final = "charge."
"""Kinds of events that bring a payment new references, beside the one that opens it."""


class Handler:
    """Processes one record in one transaction; FastStream's contenders call the same."""

    def __init__(self, connections: list[Connection], writer: BatchWriter, clock: Clock) -> None:
        self._free = connections
        self._writer = writer
        self._clock = clock
        self._waited_for: set[RefKey] = set()
        self.processed = 0
        self.began_at = 0.0

    async def process(self, message: ConsumerRecord) -> None:
        """Process one record on a connection that is free; there is one for each that calls."""
        self.began_at = self.began_at or time.monotonic()
        item = decoded(record_of(message))
        keys = set(keys_of(item[1])) if isinstance(item[1], Event) else set()
        connection = self._free.pop()
        try:
            done = not keys & self._waited_for and await _process(connection, item, self._clock)
        finally:
            self._free.append(connection)
        if not done:
            plan = await self._writer.process([item])
            self._waited_for.update(key for parking in plan.parkings for key in keys_of(parking.event))
        self.processed += 1


async def consume(consumer: AIOKafkaConsumer, handler: Handler, wanted: Callable[[], bool]) -> None:
    """Process records one by one for as long as they are wanted."""
    since_commit = 0
    while wanted():
        fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=COMMIT_RECORDS)
        for messages in fetched.values():
            for message in messages:
                await handler.process(message)
                since_commit += 1
        if since_commit >= COMMIT_RECORDS or not fetched:
            await _commit(consumer, since_commit)
            since_commit = 0
    await _commit(consumer, since_commit)


async def _commit(consumer: AIOKafkaConsumer, records: int) -> None:
    if records:
        await consumer.commit()


async def _process(connection: Connection, item: Item, clock: Clock) -> bool:
    """Process an ordinary event in one transaction; False for what needs more than that."""
    event = item[1]
    if not isinstance(event, Event):
        return False
    keys = joining_of(event)
    async with connection.transaction():
        known = Known()
        found = await connection.fetch(_sql("lock_payment"), *rows.ref_columns(keys))
        for row in found:
            known.payments[row["id"]] = rows.payment_of(row)
            known.refs.update(dict.fromkeys(keys, row["id"]))
        plan = Planner(known, now=clock.now(), xid=0, facts_max=1000).plan([item])
        if len(found) > 1 or plan.parkings or plan.letters or plan.merges:
            return False
        await _write(connection, plan, keys if not found or event.kind.startswith(NAMED_AGAIN) else ())
    return True


def _write(connection: Connection, plan: Plan, refs: list[RefKey] | tuple[RefKey, ...]) -> Awaitable[object]:
    """Insert the event and write its payment in one statement; xids are the transaction's own."""
    row = values_of(plan.rows[0])
    if not plan.changed:
        return connection.execute(_sql("insert_event"), *row)
    ((payment_id, payment),) = plan.changed.items()
    payment_values = [column[0] for column in rows.payment_columns([payment])]
    name = "insert_and_open" if payment_id in plan.opened else "insert_and_move"
    members = [(one[0], one[1], one[3], one[4], one[5]) for one, _ in plan.members]
    return connection.execute(
        _sql(name), *row, *payment_values, *rows.ref_columns(refs), *rows.columns(members, len(MEMBER_COLUMNS))
    )


def _sql(name: str) -> str:
    return statement("ops.bench", name)
