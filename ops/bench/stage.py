"""What contenders run on: topics that are loaded before, databases made anew, rows compared with plain arithmetic."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr

from consumer.decode import decoded
from consumer.transaction import BatchWriter
from ops.bench.workload import NO_ORDERS
from runtime.clock import SystemClock
from runtime.kafka import close_producer, open_producer
from runtime.migrations import migrate_up
from runtime.postgres import open_pool
from runtime.settings import KafkaSettings, load
from runtime.settings.brokers import PostgresSettings
from runtime.sql import statement
from schemas.errors import RatchetError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.bench.workload import Orders, Workload
    from producers.ingress.publishing.records import Outgoing
    from runtime.stack import Endpoints

PARTITIONS: Final = 4
LINGER_SECONDS: Final = 0.02
CLOSE_SECONDS: Final = 60.0
IN_FLIGHT_MAX: Final = 20_000
"""Records of a preload that wait for their acknowledgement at once."""


@dataclass(frozen=True, slots=True)
class Database:
    """One contender's database, and the environment that points a process to it."""

    name: str
    dsn: str
    owner_dsn: str
    superuser_dsn: str
    environment: dict[str, str]


def of_database(dsn: str, name: str) -> str:
    """Return the DSN of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def make_topic(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> None:
    """Create a topic that takes what the product's topics take."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        configuration = {"max.message.bytes": str(RECORD_BYTES_MAX)}
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configuration)])
    finally:
        await admin.close()


async def preload(bootstrap: str, topic: str, records: Iterable[Outgoing]) -> None:
    """Publish all records, in order, and return when each is acknowledged."""
    producer = await open_producer(KafkaSettings(bootstrap=bootstrap, linger_seconds=LINGER_SECONDS), RECORD_BYTES_MAX)
    waiting: list[asyncio.Future[object]] = []
    try:
        for record in records:
            headers = list(record.headers)
            waiting.append(await producer.send(topic, record.value, record.key, headers=headers))
            if len(waiting) >= IN_FLIGHT_MAX:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    finally:
        await close_producer(producer, CLOSE_SECONDS)


async def make_database(endpoints: Endpoints, name: str) -> Database:
    """Make a migrated database."""
    admin = await asyncpg.connect(endpoints.superuser_dsn)
    owner = urlsplit(endpoints.owner_dsn).username
    await admin.execute(f'create database "{name}" owner "{owner}"')
    await admin.close()
    owner_dsn, dsn = of_database(endpoints.owner_dsn, name), of_database(endpoints.dsn, name)
    await migrate_up(owner_dsn, urlsplit(endpoints.dsn).username or "")
    environment = endpoints.environment() | {"RATCHET_POSTGRES__DSN": dsn, "RATCHET_POSTGRES__OWNER_DSN": owner_dsn}
    return Database(name, dsn, owner_dsn, of_database(endpoints.superuser_dsn, name), environment)


async def place_orders(database: Database, orders: Orders) -> None:
    """Process the orders by the product's own writer."""
    if not orders.records:
        return
    settings = load().model_copy(update={"postgres": PostgresSettings(dsn=SecretStr(database.dsn))})
    pool = await open_pool(settings.postgres, role="bench", connections=1)
    try:
        writer, size = BatchWriter(pool, settings, SystemClock()), settings.consumer.batch_records_max
        for begin in range(0, len(orders.records), size):
            await writer.process([decoded(record) for record in orders.records[begin : begin + size]])
    finally:
        await pool.close()


async def checkpoint(database: Database) -> None:
    """Have Postgres write its dirty pages out, so that no contender pays for the one before."""
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("checkpoint")
    await connection.close()


async def drop_database(endpoints: Endpoints, name: str) -> None:
    """Drop a database, whoever is still connected."""
    admin = await asyncpg.connect(endpoints.superuser_dsn)
    await admin.execute(f'drop database if exists "{name}" with (force)')
    await admin.close()


async def count_rows(dsn: str) -> tuple[int, int, int]:
    """Return how many events are in the ledger, how many dead letters and parked events there are."""
    connection = await asyncpg.connect(dsn)
    counts = await connection.fetchrow(statement("ops.bench", "count_rows"))
    await connection.close()
    assert counts is not None
    return counts[0], counts[1], counts[2]


async def check_ledger(
    dsn: str, workload: Workload, before: tuple[int, int, int] = (0, 0, 0), orders: Orders = NO_ORDERS
) -> None:
    """Compare the rows with plain arithmetic; a wrong row voids a figure.

    `before` is what `count_rows` found before the workload; other payments than the workload's may stand beside them.
    """
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(statement("ops.bench", "read_payments"), list(workload.ends))
    captured = await connection.fetchval(statement("ops.bench", "sum_orders"))
    await connection.close()
    if captured != orders.captured:
        raise RatchetError(f"the orders show {captured} captured, their payments come to {orders.captured}")
    found = {row["provider_ref"]: (row["status"], row["authorized"], row["captured"], row["refunded"]) for row in rows}
    expected = {ref: (end.status, end.authorized, end.captured, end.refunded) for ref, end in workload.ends.items()}
    wrong = [ref for ref in expected if found.get(ref) != expected[ref]]
    if wrong or len(rows) != len(expected):
        shown = [(ref, found.get(ref), expected[ref]) for ref in wrong[:3]]
        raise RatchetError(f"{len(wrong)} of {len(expected)} payments are wrong ({len(rows)} found): {shown}")
    counts = tuple(now - then for now, then in zip(await count_rows(dsn), before, strict=True))
    expected_counts = (workload.events + len(orders.records), workload.poison, 0)
    if counts != expected_counts:
        raise RatchetError(f"tables {counts}, expected {expected_counts}")
