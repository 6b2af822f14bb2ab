"""Rows for the relay's tests, and a reader of its topics."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from producers.relay import serve
from runtime.health import Probe
from runtime.settings import KafkaSettings, PostgresSettings, RelaySettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import asyncpg
    from aiokafka import ConsumerRecord

    from runtime.stack import Endpoints

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
LEDGER = [
    "payment_id",
    "source",
    "event_id",
    "event_type",
    "outcome",
    "from_status",
    "to_status",
    "amount",
    "version",
    "facts",
    "topic",
    "partition",
    "offset",
    "occurred_at",
    "recorded_at",
    "relay_xid",
    "hash",
]


def settings_for(stack: Endpoints, dsn: str, **relay: object) -> Settings:
    chosen = {"poll_interval_seconds": 0.02, "lease_seconds": 2.0, "backoff_max_seconds": 0.3} | relay
    return Settings(
        kafka=KafkaSettings(bootstrap=stack.kafka),
        postgres=PostgresSettings(dsn=SecretStr(dsn)),
        relay=RelaySettings(**chosen),
    )


async def add_payment(connection: asyncpg.Connection, currency: str | None = "EUR") -> uuid.UUID:
    payment_id = uuid.uuid4()
    await connection.execute(
        """insert into payments (id, provider, account, status, refund_status, dispute_status, currency, amount,
            authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
        values ($1, 'stripe', '', 'created', 'none', 'none', $2, 0, 0, 0, 0, 0, 0, '{}', '', 0, $3, $3)""",
        payment_id,
        currency,
        NOW,
    )
    return payment_id


async def add_command(connection: asyncpg.Connection, payment_id: uuid.UUID) -> None:
    """Write a command that waits for its executor, as the consumer does."""
    await connection.execute(
        """insert into commands (payment_id, command_id, client, command, attempt_id, provider, account,
            merchant_account, livemode, provider_ref, currency, amount, asked_at, expires_at, relay_xid)
        values ($1, $2, 'shop', 'refund', $1, 'stripe', '', '', true, 'pi_1', 'EUR', 100, $3, now() + interval '1 hour',
            pg_current_xact_id()::text::bigint)""",
        payment_id,
        uuid.uuid4().hex,
        NOW,
    )


async def change(connection: asyncpg.Connection, payment_id: uuid.UUID, *, versions: int = 1) -> None:
    """Write ledger rows as the consumer does: lock the payment, take max(own xid, head_xid), raise the version."""
    payment = await connection.fetchrow(
        "select version, head_xid, pg_current_xact_id()::text::bigint as xid from payments where id = $1 for update",
        payment_id,
    )
    relay_xid = max(payment["xid"], payment["head_xid"])
    numbers = range(payment["version"] + 1, payment["version"] + versions + 1)
    rows = [ledger_row(payment_id, version, relay_xid) for version in numbers]
    await connection.copy_records_to_table("payment_logs", records=rows, columns=LEDGER)
    await connection.execute(
        "update payments set version = $2, head_xid = $3 where id = $1", payment_id, numbers[-1], relay_xid
    )


def ledger_row(payment_id: uuid.UUID | None, version: int | None, relay_xid: int) -> tuple[object, ...]:
    outcome = "noop" if version is None else "applied"
    event = (payment_id, "stripe", uuid.uuid4().hex, "charge.captured", outcome, "authorized", "captured", 700)
    return (*event, version, "[]", "payments.webhooks", 1, 7, NOW, NOW, relay_xid, b"\0" * 32)


async def add_letter(connection: asyncpg.Connection, **columns: object) -> int:
    values: dict[str, object] = {
        "topic": "payments.webhooks",
        "partition": 1,
        "offset": int.from_bytes(uuid.uuid4().bytes[:6], "big"),
        "digest": uuid.uuid4().bytes * 2,
        "timestamp_ms": 1_767_323_045_678,
        "key": b"key",
        "value": b"value",
        "header_names": [],
        "header_values": [],
        "reason": "undecodable",
        "message": "no JSON",
        "delivery_count": 3,
        "redrive_count": 1,
        "created_at": NOW,
        **columns,
    }
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return await connection.fetchval(
        f"insert into dead_letters ({names}, relay_xid) values ({places}, pg_current_xact_id()::text::bigint)"
        " returning id",
        *values.values(),
    )


async def spool(connection: asyncpg.Connection, topic: str, key: bytes | None, value: bytes) -> None:
    await connection.execute(
        "insert into spool (topic, key, value, header_names, header_values) values ($1, $2, $3, $4, $5)",
        topic,
        key,
        value,
        [b"ce_id", b"null"],
        [b"1", None],
    )


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[Probe]:
    """Run a relay in this process; whatever it raises fails the test."""
    stop, probe = asyncio.Event(), Probe("relay")
    task = asyncio.ensure_future(serve(settings, stop, probe))
    try:
        yield probe
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


class Reader:
    """Reads a topic from where it ended when the reader was made."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.records: list[ConsumerRecord] = []

    async def from_the_beginning(self) -> None:
        await self._consumer.seek_to_beginning()

    async def until(self, enough: Callable[[list[ConsumerRecord]], bool], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not enough(self.records):
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    self.records.extend(records)


@asynccontextmanager
async def reading(stack: Endpoints, topic: str, partitions: int = 4) -> AsyncIterator[Reader]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.kafka, enable_auto_commit=False, max_partition_fetch_bytes=8 * 1024 * 1024
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)
        yield Reader(consumer)
    finally:
        await consumer.stop()
