"""What leads on and on is followed to its end: payments merged into one that was merged too, and references."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import BatchHarness, batch_harness, intent, intent_records, records, webhook
from msgspec.structs import replace
from relay_rows import add_command, add_payment

from consumer.decode import Event, decode
from runtime.sql import statement
from schemas.facts import Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Database

    from consumer.plan import Item

pytestmark = pytest.mark.integration

PAYMENTS = 12
"""More than a batch begins anew for."""


def linking(payments: Iterable[str], event_id: str, offset: int) -> Item:
    """Return an event that names several payments, as a provider's that tells so late that they are one."""
    names = tuple(Ref(RefKind.PAYMENT, one) for one in payments)
    [record] = records([webhook("refund.pending", "x", child="r1", event_id=event_id, amount=1)], first=offset)
    event = decode(record)
    assert isinstance(event, Event)
    return record, replace(event, meaning=replace(event.meaning, refs=names))


async def one_payment_of_many(consumer: BatchHarness) -> list[uuid.UUID]:
    """Open payments and merge each into the one before, the last first: the way from the last is the longest."""
    names = [f"pay-{number:02}" for number in range(PAYMENTS)]
    for offset, name in enumerate(names):
        await consumer.process(records([webhook("payment.captured", name, child=f"c-{name}")], first=offset))
    for place in range(PAYMENTS - 1, 0, -1):
        item = linking(names[place - 1 : place + 1], f"link-{place}", 100 - place)
        await consumer.processor().write([item])
    rows = await consumer.fetch("select id, merged_into from payments order by created_at, id")
    ids = [row["id"] for row in rows]
    assert [row["merged_into"] for row in rows] == [None, *ids[:-1]]
    return ids


async def test_a_batch_follows_a_payment_through_all_that_it_turned_out_to_be(database: Database) -> None:
    async with batch_harness(database.dsn) as consumer:
        first, *_ = await one_payment_of_many(consumer)
        last = webhook("refund.succeeded", f"pay-{PAYMENTS - 1:02}", child="r2", amount=70)
        plans = await consumer.process(records([last], first=200))
        assert [(row.payment_id, row.outcome.value) for plan in plans for row in plan.rows] == [(first, "applied")]
        row = await consumer.pool.fetchrow("select captured, refunded from payments where id = $1", first)
        assert tuple(row) == (1000 * PAYMENTS, 70)
        assert await consumer.pool.fetchval("select count(*) from dead_letters") == 0


async def test_a_batch_follows_references_through_all_payments_that_stand_under_two(database: Database) -> None:
    """Each payment names its order and the next one; the batch that promises the first needs what all of them hold."""
    async with batch_harness(database.dsn) as consumer:
        for place in range(PAYMENTS):
            [record] = records([webhook("payment.captured", f"p-{place:02}", child=f"c-{place}")], first=place)
            event = decode(record)
            assert isinstance(event, Event)
            orders = (Ref(RefKind.REFERENCE, f"order-{number}") for number in (place, place + 1))
            named = replace(event.meaning, refs=(*event.meaning.refs, *orders))
            await consumer.processor().write([(record, replace(event, meaning=named))])
        for place in range(PAYMENTS, -1, -1):
            promise = intent(uuid.uuid4(), reference=f"order-{place}")
            [plan] = await consumer.process(intent_records([promise], first=PAYMENTS - place))
            assert {row.outcome.value for row in plan.rows} == {"applied"}
        assert await consumer.pool.fetchval("select count(*) from dead_letters") == 0


@pytest.mark.parametrize("hops", [0, 1, 3])
async def test_statements_that_ask_for_what_was_merged_follow_it_to_its_end(database: Database, hops: int) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        way = [await add_payment(connection) for _ in range(hops + 1)]
        for one, into in pairwise(way):
            await connection.execute("update payments set merged_into = $2 where id = $1", one, into)
        first, last = way[0], way[-1]
        await connection.execute("update payments set captured = 700 where id = $1", last)
        await add_command(connection, first)
        await connection.execute(
            "insert into sms_transactions (payment_id, to_number, template, status)"
            " values ($1, '+254700000000', 'captured', 'queued')",
            first,
        )
        await connection.execute(
            "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)"
            " values ('stripe', '', '', true, 'payment', 'pi_1', $1)",
            first,
        )
        asked = await connection.fetch(statement("producers", "read_asked"), first, 3600.0, 3600.0)
        commands = await connection.fetch(statement("consumer", "read_commands"), [first], 3600.0)
        [message] = await connection.fetch(statement("consumer.dispatcher", "claim_sms"), 60.0)
        [end] = await connection.fetch(statement("ops", "read_ends"), ["stripe"], ["pi_1"], [""], ["payment"])
    finally:
        await connection.close()
    assert [row["attempt_id"] for row in (*asked, *commands)] == [last, last]
    assert (message["payment_id"], message["captured"]) == (first, 700)
    assert (end["id"], end["captured"]) == (last, 700)
