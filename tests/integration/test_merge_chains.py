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
from consumer.locking_reader import LockingReader
from runtime.sql import statement
from schemas.facts import Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Database

    from consumer.ledger_reader import Needs
    from consumer.plan import Item, Known
    from schemas.record import Record

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


def naming(payment: str, references: Iterable[str], offset: int) -> Item:
    """Return a capture of a payment that stands under several references."""
    [record] = records([webhook("payment.captured", payment, child=f"c-{payment}")], first=offset)
    event = decode(record)
    assert isinstance(event, Event)
    names = (*event.meaning.refs, *(Ref(RefKind.REFERENCE, one) for one in references))
    return record, replace(event, meaning=replace(event.meaning, refs=names))


async def payments_under_two_orders(consumer: BatchHarness) -> None:
    """Open payments each of which names its order and the next one: what stands under any leads on to all others."""
    for place in range(PAYMENTS):
        await consumer.processor().write(
            [naming(f"p-{place:02}", (f"order-{place:02}", f"order-{place + 1:02}"), offset=place)]
        )


def promising(order: int) -> list[Record]:
    return intent_records([intent(uuid.uuid4(), reference=f"order-{order:02}")], first=order)


async def test_a_batch_follows_references_through_all_payments_that_stand_under_two(database: Database) -> None:
    """The batch that promises the first needs what all of them hold."""
    async with batch_harness(database.dsn) as consumer:
        await payments_under_two_orders(consumer)
        for place in range(PAYMENTS, -1, -1):
            [plan] = await consumer.process(promising(place))
            assert {row.outcome.value for row in plan.rows} == {"applied"}
        assert await consumer.pool.fetchval("select count(*) from dead_letters") == 0


@pytest.fixture
def beginnings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give how many payments were known to be needed at each beginning of a batch."""
    found: list[int] = []
    read = LockingReader.read

    async def counted(self: LockingReader, needs: Needs) -> Known:
        found.append(len(needs.payments))
        return await read(self, needs)

    monkeypatch.setattr(LockingReader, "read", counted)
    return found


@pytest.mark.parametrize(
    "orders", [range(PAYMENTS + 1), range(PAYMENTS, -1, -1)], ids=["from the first", "from the last"]
)
async def test_a_batch_begins_anew_once_however_many_references_lead_on(
    database: Database, beginnings: list[int], orders: range
) -> None:
    async with batch_harness(database.dsn) as consumer:
        await payments_under_two_orders(consumer)
        for place in orders:
            beginnings.clear()
            await consumer.process(promising(place))
            assert len(beginnings) <= 2, f"order {place}"
        for place, payment in enumerate(("p-00", f"p-{PAYMENTS // 2:02}", f"p-{PAYMENTS - 1:02}")):
            beginnings.clear()
            refund = webhook("refund.succeeded", payment, child=f"r-{payment}", amount=1)
            [plan] = await consumer.process(records([refund], first=300 + place))
            assert [row.outcome.value for row in plan.rows if row.source != "ratchet"] == ["applied"]
            assert len(beginnings) <= 2, payment


UNDER = """insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
    select provider, account, livemode, $1, $2, id from payments where id = $3"""


@pytest.mark.parametrize("order", [None, "O1"], ids=["by its own name", "by the order under which it stands"])
async def test_a_batch_begins_anew_once_where_payments_and_references_lead_on_in_turn(
    database: Database, beginnings: list[int], order: str | None
) -> None:
    """What a payment turned out to be stands under a reference of its own, and that leads on to many others."""
    async with batch_harness(database.dsn) as consumer:
        first, *_, last = await one_payment_of_many(consumer)
        await payments_under_two_orders(consumer)
        await consumer.pool.execute(UNDER, "reference", "order-00", first)
        await consumer.pool.execute(UNDER, "shared", "O1", last)
        for place in range(PAYMENTS + 1):
            await consumer.process(promising(place))
        beginnings.clear()
        name = "pay-x" if order else f"pay-{PAYMENTS - 1:02}"
        [record] = records([webhook("refund.succeeded", name, child="r2", amount=70)], first=400)
        event = decode(record)
        assert isinstance(event, Event)
        meaning = replace(event.meaning, order=order, sole=order is not None)
        [plan] = await consumer.processor().write([(record, replace(event, meaning=meaning))])
        assert [row.outcome.value for row in plan.rows if row.source != "ratchet"] == ["applied"]
        assert len(beginnings) == 2


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
