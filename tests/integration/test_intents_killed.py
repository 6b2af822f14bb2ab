"""The ingress killed (SIGKILL) at every point of an intent's way; then the client tries again at another one."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer
from consumer_harness import batch_harness, records, settings_for, until, webhook
from running_intents import Api, IntentsProcess, Reply, open_api, record_of

from producers.relay.role import serve as relay
from runtime.health import Probe
from runtime.kafka import ensure_topics
from runtime.settings import KafkaSettings
from schemas.topics import INTENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumer_harness import BatchHarness

pytestmark = pytest.mark.integration

BEFORE = ("lock_name", "find_idempotency_record", "insert_idempotency_record", "insert_spool", "commit")
AFTER = ("committed", "answered")


def points(*names: str) -> list[Any]:
    """Each point at which the ingress dies; on either side of the commit at once, the others with what is slow."""
    quick = {"commit", "committed"}
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture
async def harness(database: Any) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


async def killed(ingress: IntentsProcess, path: str, body: Any, key: str) -> None:
    """Send a request to an ingress that dies at its point."""
    async with ingress:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await Api(ingress.url, http).post(path, body, key=key)
        assert ingress.process is not None
        assert await asyncio.to_thread(ingress.process.wait, 20) == -9


async def promised(harness: BatchHarness) -> list[str]:
    return [str(row["payment_id"]) for row in await harness.fetch("select payment_id from intent_claims")]


@pytest.mark.parametrize("point", points("find_taken", *BEFORE, *AFTER))
async def test_a_create_has_one_effect_wherever_the_ingress_dies(
    stack: Any, database: Any, harness: BatchHarness, point: str
) -> None:
    key, intent = str(uuid.uuid4()), {"amount": 5, "currency": "EUR", "provider": "stripe", "reference": "order-1"}
    await killed(IntentsProcess(stack.kafka, database.dsn, point), "/payment-intents", intent, key)
    before = await promised(harness)
    assert len(before) == (point in AFTER)
    async with open_api(stack.kafka, database.dsn) as api:
        replies = [await api.post(body=intent, key=key) for _ in range(2)]
    assert {(reply.status, reply.body) for reply in replies} == {(202, replies[0].body)}
    assert ("Idempotent-Replayed" in replies[0].headers) == (point in AFTER)
    assert await promised(harness) == (before or [replies[0].json["id"]]) == [replies[0].json["id"]]
    assert await harness.pool.fetchval("select count(*) from spool") == 1


@pytest.mark.parametrize("point", points("read_payment_view", "read_asked", *BEFORE, *AFTER))
async def test_a_refund_has_one_effect_wherever_the_ingress_dies(
    stack: Any, database: Any, harness: BatchHarness, point: str
) -> None:
    async with open_api(stack.kafka, database.dsn) as api:
        payment_id = (await api.create(provider_ref="pay-1")).json["id"]
        (row,) = await harness.fetch("select * from spool")
        await harness.process([record_of(row, 0)])
        await harness.process(records([webhook("payment.captured", "pay-1", amount=100)]))
        path, key = f"/payment-intents/{payment_id}/refunds", str(uuid.uuid4())
        await killed(IntentsProcess(stack.kafka, database.dsn, point), path, {"amount": 60}, key)
        assert await harness.pool.fetchval("select count(*) from spool") == 1 + (point in AFTER)
        replies: list[Reply] = [await api.post(path, {"amount": 60}, key=key) for _ in range(2)]
        assert {(reply.status, reply.body) for reply in replies} == {(202, replies[0].body)}
        assert (await api.post(path, {"amount": 60})).status == 409
    assert await harness.pool.fetchval("select count(*) from spool") == 2
    assert await harness.pool.fetchval("select count(*) from intent_claims where command = 'refund'") == 1


async def test_the_relay_publishes_an_intent_in_the_order_of_its_payment(
    stack: Any, database: Any, harness: BatchHarness
) -> None:
    async with open_api(stack.kafka, database.dsn) as api:
        await ensure_topics(KafkaSettings(bootstrap=stack.kafka))
        reply = await api.create(provider_ref=f"pay-{uuid.uuid4().hex}")
        payment_id = reply.json["id"]
        for what in ("capture", "refunds", "cancel"):
            await api.post(f"/payment-intents/{payment_id}/{what}")
        published = await _published(stack.kafka, database.dsn, harness, payment_id)
    assert [kind for kind, _, _ in published] == ["intent.create", "intent.capture"]
    assert len({key for _, key, _ in published}) == 1
    assert len({event_id for _, _, event_id in published}) == 2


async def test_the_relay_cleans_what_was_kept_long_enough(stack: Any, database: Any, harness: BatchHarness) -> None:
    async with open_api(stack.kafka, database.dsn) as api:
        await api.create(provider_ref="pay-1")
        kept = (await api.create(provider_ref="pay-2")).json["id"]
    await harness.process([record_of(row, row["id"]) for row in await harness.fetch("select * from spool order by id")])
    columns = "created_at = created_at - interval '3 days', expires_at = expires_at - interval '3 days'"
    await harness.pool.execute(f"update intent_claims set {columns} where payment_id <> $1", kept)
    async with relaying(stack.kafka, database.dsn):

        async def cleaned() -> bool:
            return await promised(harness) == [kept]

        await until(cleaned, "one record is left")


@asynccontextmanager
async def relaying(kafka: str, dsn: str) -> AsyncIterator[None]:
    """Run the relay."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay(settings_for(dsn, kafka=kafka), stop, Probe("relay")))
    try:
        yield
    finally:
        stop.set()
        await task


async def _published(kafka: str, dsn: str, harness: BatchHarness, payment_id: str) -> list[tuple[str, bytes, str]]:
    """Run the relay until the spool is empty; return kind, key and event id of the payment's records."""
    async with relaying(kafka, dsn):

        async def empty() -> bool:
            return await harness.pool.fetchval("select count(*) from spool") == 0

        await until(empty, "the spool is empty")
    consumer = AIOKafkaConsumer(INTENTS.name, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []

    async def enough() -> bool:
        batches = await consumer.getmany(timeout_ms=200)
        found.extend(
            record for batch in batches.values() for record in batch if payment_id.encode() in (record.value or b"")
        )
        return len(found) >= 2

    try:
        await until(enough, "two records of the payment")
    finally:
        await consumer.stop()
    reported = [dict(record.headers) for record in found]
    return [
        (answered["ce_type"].decode(), record.key, answered["ce_id"].decode())
        for record, answered in zip(found, reported, strict=True)
    ]
