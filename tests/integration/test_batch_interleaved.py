"""Two transactions at once, forced step by step: one is held before its commit until the other waits for it."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import (
    CLIENT,
    BatchHarness,
    Event,
    Tables,
    batch_harness,
    broken_chains,
    intent,
    intent_records,
    lives,
    outage_of,
    records,
    shown,
    until_waiting,
    webhook,
    wrong_payments,
)
from consumer_processes import at_database

from consumer import transaction
from consumer.decode import decoded
from consumer.transaction import BatchWriter
from runtime.postgres import Failure, classify
from schemas.record import Attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from conftest import Database

    from consumer.plan import Item, Plan
    from runtime.stack import Endpoints
    from schemas.record import Record

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


@pytest.fixture
async def observer(stack: Endpoints, database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Give a superuser's connection to the test's database: it sees all sessions and can hold locks."""
    connection = await asyncpg.connect(at_database(stack.superuser_dsn, database.dsn.rpartition("/")[2]))
    await connection.execute("set deadlock_timeout = '60s'")
    yield connection
    await connection.close()


class HeldWriter(BatchWriter):
    """A writer that stops when all is written and nothing is committed."""

    def __init__(self, harness: BatchHarness) -> None:
        super().__init__(harness.pool, harness.settings, harness.clock)
        self.written, self.release = asyncio.Event(), asyncio.Event()

    async def _write(self, *arguments: Any) -> None:
        await super()._write(*arguments)
        self.written.set()
        await self.release.wait()


async def overlapped(
    harness: BatchHarness, observer: asyncpg.Connection[Any], first: Sequence[Record], second: Sequence[Record]
) -> Tables:
    """Process `first`, hold it before its commit until `second` waits for its locks, let both end."""
    held = HeldWriter(harness)
    one = asyncio.create_task(harness.processor(held.process).write([decoded(record) for record in first]))
    await held.written.wait()
    two = asyncio.create_task(harness.process(second))
    await until_waiting(observer)
    assert not one.done()
    held.release.set()
    await asyncio.gather(one, two)
    return await harness.tables()


def stripe(kind: str, thing: dict[str, Any]) -> Event:
    """Make one of Stripe's events as the ingress publishes it."""
    body = {"id": f"evt_{kind}", "object": "event", "type": kind, "created": 1_790_000_000, "data": {"object": thing}}
    attributes = Attributes(source="stripe", event_id=f"evt_{kind}", kind=kind, received_at=1_790_000_000.0)
    return Event(f"evt_{kind}", b"key", json.dumps(body).encode(), attributes.to_headers())


CAPTURED = webhook("payment.captured", "pay", child="c", reference="ORD")
REFUND = webhook("refund.succeeded", "pay", child="r", amount=400)


@pytest.mark.parametrize("order", [(REFUND, CAPTURED), (CAPTURED, REFUND)], ids=["park first", "open first"])
async def test_an_event_parked_while_its_payment_is_opened_is_woken(
    harness: BatchHarness, observer: asyncpg.Connection[Any], order: tuple[Any, Any]
) -> None:
    first, second = order
    tables = await overlapped(harness, observer, records([first]), records([second], partition=1))
    assert tables.parked == tables.letters == []
    assert [(row["captured"], row["refunded"], row["version"]) for row in tables.payments] == [(1000, 400, 2)]
    assert broken_chains(tables) == []


async def test_names_made_meanwhile_are_asked_for_again(
    harness: BatchHarness, observer: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that waited for another's new name does not see it; the transaction begins anew."""
    monkeypatch.setattr(transaction, "BEGINNINGS_MAX", 1)
    held = HeldWriter(harness)
    one = asyncio.create_task(held.process([decoded(record) for record in records([CAPTURED])]))
    await held.written.wait()
    two = asyncio.create_task(harness.writer.process([decoded(record) for record in records([REFUND], partition=1)]))
    await until_waiting(observer)
    held.release.set()
    await one
    with pytest.raises(asyncpg.SerializationError) as caught:
        await two
    assert classify(caught.value) is Failure.CONFLICT
    await harness.process(records([REFUND], partition=1))
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 400)]


@pytest.mark.parametrize("intent_first", [True, False])
async def test_intent_and_webhook_open_one_payment_at_once(
    harness: BatchHarness, observer: asyncpg.Connection[Any], *, intent_first: bool
) -> None:
    promised = uuid.uuid4()
    wish = intent_records([intent(promised, reference="ORD", amount=2500)])
    news = records([webhook("payment.authorized", "pay", amount=2500, reference="ORD")])
    first, second = (wish, news) if intent_first else (news, wish)
    tables = await overlapped(harness, observer, first, second)
    orders = [row for row in tables.payments if row["intent_id"] is None]
    assert [(row["id"], row["client"], row["reference"], row["provider_ref"], row["status"]) for row in orders] == [
        (promised, CLIENT, "ORD", "pay", "authorized")
    ]
    assert {row["intent_id"] for row in tables.payments} == {None, promised}
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


@pytest.mark.parametrize("attempt_first", [True, False])
async def test_an_order_and_its_attempt_move_at_once(
    harness: BatchHarness, observer: asyncpg.Connection[Any], *, attempt_first: bool
) -> None:
    """The attempt's event names the provider's id alone, the other one the reference: both want the whole group."""
    promised = uuid.uuid4()
    await harness.process(intent_records([intent(promised, reference="ORD", amount=2500)]))
    await harness.process(records([webhook("payment.authorized", "pay", amount=2000, reference="ORD")]))
    paid = records([webhook("payment.captured", "pay", amount=2000, child="c")], partition=1)
    gift = records([webhook("payment.captured", "gift", amount=500, child="g", reference="ORD")], partition=2)
    first, second = (paid, gift) if attempt_first else (gift, paid)
    tables = await overlapped(harness, observer, first, second)
    order = {"id": promised, "status": "captured", "captured": 2500, "intent_id": None}
    assert [shown(row, order) for row in tables.payments if row["id"] == promised] == [order]
    assert [row["intent_id"] for row in tables.payments if row["id"] != promised] == [promised, promised]
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


async def test_a_reference_is_promised_while_a_payment_under_it_moves(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    """The payment's event names no reference; another order is promised already, so groups are looked up at once."""
    promised, other = uuid.uuid4(), uuid.uuid4()
    await harness.process(intent_records([intent(other, reference="OTHER", amount=900)]))
    await harness.process(records([webhook("payment.authorized", "pay", amount=2500, reference="ORD")]))
    wish = intent_records([intent(promised, reference="ORD", amount=2500)], first=1)
    paid = records([webhook("payment.captured", "pay", amount=2500, child="c")], partition=1)
    tables = await overlapped(harness, observer, wish, paid)
    order = {"id": promised, "status": "captured", "captured": 2500}
    assert [shown(row, order) for row in tables.payments if row["id"] == promised] == [order]
    assert [row["intent_id"] for row in tables.payments if row["id"] not in (promised, other)] == [promised]
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


async def test_a_known_name_is_bound_to_a_payment_while_its_event_waits(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    """The event's only name has no payment when groups are looked up; once locked, one that stands under an order."""
    promised = uuid.uuid4()
    await harness.process(intent_records([intent(promised, provider="stripe", reference="ORD", amount=1000)]))
    money = {"amount": 2000, "currency": "eur"}
    opened = {"id": "pi_1", "object": "payment_intent", "metadata": {"reference": "ORD"}, **money}
    await harness.process(records([stripe("payment_intent.created", opened)]))
    await harness.pool.execute(
        """insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)
        values ('stripe', '', '', true, 'charge', 'ch_1')"""
    )
    charge = {"id": "ch_1", "object": "charge", **money}
    failed = records([stripe("charge.failed", {**charge, "payment_intent": "pi_1"})], first=1)
    paid = stripe("charge.succeeded", {**charge, "captured": True, "amount_captured": 2000})
    tables = await overlapped(harness, observer, failed, records([paid], partition=1))
    assert sorted((row["captured"], row["intent_id"], row["flags"]) for row in tables.payments) == [
        (0, None, ["paid_again"]),
        (2000, None, ["paid_again"]),
    ]
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


async def test_a_payment_comes_under_a_reference_while_it_is_promised(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    """The reference is known already, so the intent's transaction waits for its lock and does not begin anew."""
    promised = uuid.uuid4()
    await harness.process(records([webhook("payment.created", "try-1", amount=2500, reference="ORD")]))
    news = records([webhook("payment.captured", "try-2", amount=2500, child="c", reference="ORD")], first=1)
    tables = await overlapped(harness, observer, news, intent_records([intent(promised, reference="ORD", amount=2500)]))
    assert [row["captured"] for row in tables.payments if row["id"] == promised] == [2500]
    assert [row["intent_id"] for row in tables.payments if row["id"] != promised] == [promised, promised]
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


@pytest.mark.parametrize("proof_first", [True, False])
async def test_an_intent_takes_a_payment_while_that_still_gets_events(
    harness: BatchHarness, observer: asyncpg.Connection[Any], *, proof_first: bool
) -> None:
    """The payment gives way to the intent's row while another batch moves it, and its names are followed."""
    promised = uuid.uuid4()
    await harness.process(records([webhook("payment.authorized", "pay", amount=2500)]))
    proof = intent_records([intent(promised, provider_ref="pay", amount=2500)])
    more = records([webhook("payment.captured", "pay", amount=2500, child="c")], partition=1, first=1)
    first, second = (proof, more) if proof_first else (more, proof)
    tables = await overlapped(harness, observer, first, second)
    survivor = {"id": promised, "status": "captured", "authorized": 2500, "captured": 2500, "provider_ref": "pay"}
    assert [shown(row, survivor) for row in tables.payments if row["merged_into"] is None] == [survivor]
    assert [row["merged_into"] for row in tables.payments if row["id"] != promised] == [promised]
    await harness.process(records([webhook("refund.succeeded", "pay", amount=100, child="r")], first=2))
    tables = await harness.tables()
    assert [row["refunded"] for row in tables.payments if row["id"] == promised] == [100]
    assert tables.letters == tables.parked == []
    assert broken_chains(tables) == []


async def test_two_consumers_fed_overlapping_halves_at_once_give_the_same_rows_as_one(database: Database) -> None:
    expected = lives(30)
    events = [event for life in expected for event in life.events()]
    chance = random.Random(5)
    async with batch_harness(database.dsn, connections=4) as harness:

        async def consume(partition: int, share: list[Any]) -> None:
            chance.shuffle(share)
            for start in range(0, len(share), 25):
                await harness.process(records(share[start : start + 25], partition=partition, first=start))

        two_thirds = len(events) * 2 // 3
        halves = [events[:two_thirds], events[-two_thirds:], events[::2], events[1::2]]
        await asyncio.gather(*(consume(partition, list(half)) for partition, half in enumerate(halves)))
        tables = await harness.tables()
    assert wrong_payments(tables, expected) == []
    assert len(tables.ledger) == len(set(tables.dedupe_keys)) == len(events)
    assert tables.parked == tables.letters == []
    assert broken_chains(tables) == []


async def test_a_deadlock_is_processed_again(harness: BatchHarness, observer: asyncpg.Connection[Any]) -> None:
    """Somebody locks our names in the other order; Postgres ends our transaction, and we come again."""
    await harness.process(records([webhook("payment.created", "a"), webhook("payment.created", "b")]))
    errors: list[str] = []

    async def process(items: Sequence[Item]) -> Plan:
        try:
            return await harness.writer.process(items)
        except Exception as error:
            errors.append(f"{type(error).__name__} {classify(error)}")
            raise

    lock = "select 1 from payment_refs where ref = $1 for update"
    transaction = observer.transaction()
    await transaction.start()
    await observer.execute(lock, "b")
    both = records([webhook("payment.authorized", "a"), webhook("payment.authorized", "b")], first=2)
    ours = asyncio.create_task(harness.processor(process).write([decoded(record) for record in both]))
    witness = await asyncpg.connect(harness.settings.postgres.dsn.get_secret_value())  # type: ignore[union-attr]
    await until_waiting(witness)
    await observer.execute(lock, "a")
    await transaction.commit()
    await ours
    await witness.close()
    tables = await harness.tables()
    assert errors == ["DeadlockDetectedError conflict"]
    assert {row["status"] for row in tables.payments} == {"authorized"}
    assert (len(tables.ledger), tables.letters) == (4, [])


async def test_a_lock_that_stays_taken_is_an_outage_and_never_a_letter(
    database: Database, observer: asyncpg.Connection[Any]
) -> None:
    async with batch_harness(database.dsn, twin_retries_max=2) as harness:
        await harness.process(records([webhook("payment.created", "a")]))
        await harness.pool.expire_connections()
        async with observer.transaction():
            await observer.execute("lock table payments in access exclusive mode")
            impatient = harness.settings.postgres.model_copy(update={"lock_timeout_seconds": 0.1})
            from runtime.postgres import open_pool

            pool = await open_pool(impatient, role="consumer", connections=1)
            items = [decoded(record) for record in records([webhook("payment.authorized", "a")], first=1)]
            processor = harness.processor(BatchWriter(pool, harness.settings, harness.clock).process)
            assert "stay in the way" in await outage_of(processor, items)
            await pool.close()
        await harness.process(records([webhook("payment.authorized", "a")], first=1))
        tables = await harness.tables()
    assert (len(tables.ledger), tables.letters) == (2, [])


async def test_two_promises_of_one_reference_made_at_once_are_one(
    harness: BatchHarness, observer: asyncpg.Connection[Any]
) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    tables = await overlapped(
        harness,
        observer,
        intent_records([intent(first, reference="ORD")]),
        intent_records([intent(second, reference="ORD", client="mall")], first=1),
    )
    assert [row["id"] for row in tables.payments] == [first]
    assert [(row["event_id"], row["reason"]) for row in tables.letters] == [(f"{second}:create", "conflict")]
