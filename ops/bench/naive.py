"""The naive contender, fairly tuned: what one would write by hand.

One record at a time, one Postgres transaction an event, offsets committed every 100 records; the same tables, the same
decoding and fold, the same ledger row with its hash. Statements are prepared once and kept; names are bound only when
they are new. Events that wait, and those that may wake them, go through the product's own batch of one; which names
are waited for is kept in memory, in the contender's favour.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from consumer import rows
from consumer.decode import Event
from consumer.lane import understand
from consumer.ledger import values_of
from consumer.resolve import RefKey, keys_of
from consumer.settlement import Known, Settlement
from consumer.worker import record_of
from runtime.sql import statement

if TYPE_CHECKING:
    from uuid import UUID

    from aiokafka import AIOKafkaConsumer

    from consumer.batch import BatchWriter, Item
    from runtime.clock import Clock
    from runtime.postgres import Connection, Pool
    from schemas.payment import Payment

COMMIT_RECORDS: Final = 100


async def consume(consumer: AIOKafkaConsumer, pool: Pool, writer: BatchWriter, clock: Clock, records: int) -> None:
    """Settle that many records, one by one."""
    waited_for: set[RefKey] = set()
    async with pool.acquire() as connection:
        for number in range(1, records + 1):
            item = understand(record_of(await consumer.getone()))
            keys = set(keys_of(item[1])) if isinstance(item[1], Event) else set()
            if keys & waited_for or not await _settle(connection, item, clock):
                plan = await writer.settle([item])
                waited_for.update(key for parking in plan.parkings for key in keys_of(parking.event))
            if number % COMMIT_RECORDS == 0 or number == records:
                await consumer.commit()


async def _settle(connection: Connection, item: Item, clock: Clock) -> bool:
    """Settle an ordinary event in one transaction; False for what needs more than that."""
    event = item[1]
    if not isinstance(event, Event):
        return False
    now = clock.now()
    async with connection.transaction():
        known = Known()
        keys = keys_of(event)
        found = await connection.fetch(_sql("lock_payment"), *rows.ref_columns(keys))
        xid = found[0]["xid"] if found else await connection.fetchval("select pg_current_xact_id()::text::bigint")
        for row in found:
            known.payments[row["id"]] = rows.payment_of(row)
            known.names.update(dict.fromkeys(keys, row["id"]))
        plan = Settlement(known, now=now, xid=xid, facts_max=1000).settle([item])
        if len(found) > 1 or plan.parkings or plan.letters or plan.merges:
            return False
        if await connection.fetchval(_sql("claim_event"), *values_of(plan.rows[0])) is None:
            return True
        await _write(connection, plan.opened, plan.changed, dt.datetime.fromtimestamp(now, dt.UTC))
        payment = next(iter(plan.changed.values()), None)
        if payment and (not found or event.kind.startswith("charge.")):
            bound = [(*key, payment.id) for key in sorted(keys)]
            await connection.execute(_sql("bind_names"), *rows.columns(bound, 5))
    return True


def _sql(name: str) -> str:
    return statement("ops.bench", name)


async def _write(
    connection: Connection, opened: dict[UUID, Payment], changed: dict[UUID, Payment], now: dt.datetime
) -> None:
    for payment_id, payment in changed.items():
        name = "insert_payments" if payment_id in opened else "update_payments"
        await connection.execute(statement("consumer", name), *rows.payment_columns([payment]), now)
