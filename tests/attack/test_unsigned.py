"""Ten thousand unsigned forms with made-up ids: what they cost the ledger, Kafka and the provider's API."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import until
from ingress_process import OURS, Attacked, ingress, role
from outside import outside

from runtime.kafka import ensure_topics
from runtime.kafka_ends import EndsReader, partitions_in
from runtime.settings import IngressSettings, KafkaSettings, RefetchSettings
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

FORMS = 10_000
SENDERS = 8
CALLS_A_MINUTE = 30
TABLES = ("payments", "payment_refs", "payment_logs", "parked_events", "dead_letters", "spool")


async def send_forms(attacked: Attacked, numbers: range, statuses: Counter[int]) -> None:
    """Send forms one after the other on one connection."""
    reader, writer = await asyncio.open_connection(*attacked.address)
    for number in numbers:
        body = f"id=tr_{number:07}".encode()
        writer.write(
            b"POST /webhooks/mollie HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        statuses[int(head[9:12])] += 1
    writer.close()


async def records_in(bootstrap: str) -> int:
    """Return how many records the topic of webhooks has ever held."""
    settings = KafkaSettings(bootstrap=bootstrap)
    await ensure_topics(settings)
    async with EndsReader(settings, 10) as reader:
        ends = await reader.ends(partitions_in(await reader.topics([WEBHOOKS.name])))
    return sum(one.high for one in ends.values())


async def test_ten_thousand_unsigned_forms(
    stack: Any, database: Any, tmp_path: Path, record_figure: Callable[..., None]
) -> None:
    statuses: Counter[int] = Counter()
    connection = await asyncpg.connect(database.dsn)
    async with outside() as world:
        settings = {
            "KAFKA__BOOTSTRAP": stack.kafka,
            "POSTGRES__DSN": database.dsn,
            "LIMITS__UNSIGNED_REQUESTS_MAX": "100000000",  # as from thousands of addresses
            "PROVIDERS__MOLLIE__SECRETS": json.dumps(["0123456789abcdef01234567"]),
            "PROVIDERS__MOLLIE__API_KEY": "test_mollie",
            "PROVIDERS__MOLLIE__API_BASE_URL": world.url,
            "REFETCH__UNKNOWN_PER_MINUTE_MAX": str(CALLS_A_MINUTE),
            "LOG__LEVEL": "warning",
        }
        with ingress(tmp_path / "ingress", **settings) as attacked:
            before = await records_in(stack.kafka)
            began = time.monotonic()
            with role([*OURS, "dispatcher"], tmp_path / "dispatcher", settings):
                await asyncio.gather(
                    *(send_forms(attacked, range(start, FORMS, SENDERS), statuses) for start in range(SENDERS))
                )

                async def asked() -> bool:
                    return bool(world.calls)

                await until(asked, "the first of them is asked for", 60)
                calls, seconds = len(world.calls), time.monotonic() - began
            records = await records_in(stack.kafka) - before
            log_bytes = attacked.log.stat().st_size
    rows = {table: await connection.fetchval(f"select count(*) from {table}") for table in TABLES}
    refetches = await connection.fetch("select status, count(*) as rows from refetches group by status")
    await connection.close()
    queued = sum(row["rows"] for row in refetches if row["status"] == "queued")
    asked_about = sum(row["rows"] for row in refetches if row["status"] != "queued")
    record_figure(
        taken=statuses[202], refused=statuses[429], ledger_rows=rows["payment_logs"], kafka_records=records,
        queued=queued, asked_about=asked_about, calls=calls, seconds=seconds, log_bytes=log_bytes,
    )  # fmt: skip
    assert set(statuses) == {202, 429}
    assert set(rows.values()) == {0}, rows
    assert records == 0
    # Each connection counts what wait before it adds one, so the last ones may pass the bound together.
    assert queued < RefetchSettings().unknown_waiting_max + IngressSettings().hint_connections_max
    assert asked_about <= calls
    assert calls <= CALLS_A_MINUTE * (1 + seconds / 60)
