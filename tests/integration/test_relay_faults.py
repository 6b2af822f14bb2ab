from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from relay_rows import LEDGER, add_payment, change, ledger_row, reading, relaying, settings_for, spool
from waiting import until

from producers.relay import destination, outbox_depth
from runtime.kafka import ensure_topics
from runtime.settings import KafkaSettings

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from aiokafka import AIOKafkaProducer, ConsumerRecord
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

LEASE_SECONDS = 2.0
RELAY = """
import asyncio, signal
from producers.relay import serve
from runtime.health import Probe
from runtime.settings import load

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(load(), stop, Probe("relay"))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
async def topics(stack: Endpoints) -> None:
    await ensure_topics(KafkaSettings(bootstrap=stack.kafka))


@pytest.fixture
async def connection(database: Database):
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def relay_process(stack: Endpoints, dsn: str):
    """Run a relay as a process of its own, killed at the end if it still runs."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")},
        "RATCHET_KAFKA__BOOTSTRAP": stack.kafka,
        "RATCHET_POSTGRES__DSN": dsn,
        "RATCHET_RELAY__LEASE_SECONDS": str(LEASE_SECONDS),
        "RATCHET_RELAY__BATCH_RECORDS_MAX": "200",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RELAY,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def published_up_to(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("select id from relay_cursors where name = 'changes'")


async def add_history(connection: asyncpg.Connection, payments: list[uuid.UUID], versions: range) -> None:
    """Write one version of each payment after another, 500 rows a transaction."""
    rows = [(payment_id, version) for version in versions for payment_id in payments]
    for start in range(0, len(rows), 500):
        async with connection.transaction():
            xid = await connection.fetchval("select pg_current_xact_id()::text::bigint")
            block = [ledger_row(payment_id, version, xid) for payment_id, version in rows[start : start + 500]]
            await connection.copy_records_to_table("payment_logs", records=block, columns=LEDGER)


def first_occurrences(records: Sequence[ConsumerRecord]) -> dict[str, list[int]]:
    """Return each payment's versions in the order in which they first appear on their partition."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        version = json.loads(record.value)["version"]
        if version not in seen[record.key.decode()]:
            seen[record.key.decode()].append(version)
    return seen


@pytest.mark.slow
async def test_kill_in_mid_batch_loses_nothing_and_keeps_order(
    stack: Endpoints, database: Database, connection: asyncpg.Connection
):
    payments = [await add_payment(connection) for _ in range(250)]
    keys = {str(payment_id).encode() for payment_id in payments}
    await add_history(connection, payments, range(1, 21))
    kills = 0
    async with reading(stack, "payments.changes") as reader:
        for round_number in range(3):
            async with relay_process(stack, database.dsn) as process:
                begun_at = await published_up_to(connection)
                await until(lambda start=begun_at: has_moved(connection, start), within_seconds=30)
                await add_history(connection, payments, range(21 + round_number * 5, 26 + round_number * 5))
                assert any((await outbox_depth(connection)).values()), "the relay was killed with nothing under way"
                process.send_signal(signal.SIGKILL)
                await process.wait()
                kills += 1
        async with relay_process(stack, database.dsn) as process:
            await until(lambda: is_drained(connection), within_seconds=60)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
        wanted = list(range(1, 36))

        def complete(records: Sequence[ConsumerRecord]) -> bool:
            found = first_occurrences(record for record in records if record.key in keys)
            return len(found) == len(payments) and all(len(versions) == len(wanted) for versions in found.values())

        await reader.until(complete, 60)
        mine = [record for record in reader.records if record.key in keys]
    assert kills == 3
    assert all(versions == wanted for versions in first_occurrences(mine).values())
    assert len(mine) >= len(payments) * len(wanted)


async def has_moved(connection: asyncpg.Connection, start: int) -> bool:
    return await published_up_to(connection) > start


async def is_drained(connection: asyncpg.Connection) -> bool:
    return not any((await outbox_depth(connection)).values())


async def holder(connection: asyncpg.Connection) -> tuple[str, int] | None:
    row = await connection.fetchrow(
        "select holder, token from leases where name = 'relay' and expires_at > clock_timestamp()"
    )
    return None if row is None else (row["holder"], row["token"])


async def test_successor_takes_over_within_the_lease_after_a_kill_and_at_once_after_a_stop(
    stack: Endpoints, database: Database, connection: asyncpg.Connection
):
    async with relay_process(stack, database.dsn) as first:
        await until(lambda: holder(connection), within_seconds=30)
        held = await holder(connection)
        async with relaying(settings_for(stack, database.dsn, lease_seconds=LEASE_SECONDS)) as probe:
            await until(lambda: probe.state == "running")
            assert not probe.facts["leading"]
            first.kill()
            killed_at = time.monotonic()
            await until(lambda: probe.facts["leading"])
            assert time.monotonic() - killed_at <= LEASE_SECONDS + 0.5
            taken = await holder(connection)
            assert held is not None
            assert taken is not None
            assert taken[1] == held[1] + 1
    assert await holder(connection) is None, "a clean stop gives the lease back"


async def test_kafka_that_fails_after_taking_a_batch_gets_it_again(
    stack: Endpoints, database: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
):
    payment_id = await add_payment(connection)
    publish, failures = destination._publish, iter(range(3))

    async def publish_and_fail(producer: AIOKafkaProducer, delivery: Any) -> None:
        await publish(producer, delivery)
        if delivery.records[0].topic == "payments.changes" and next(failures, None) is not None:
            raise KafkaConnectionError("away")

    monkeypatch.setattr(destination, "_publish", publish_and_fail)
    async with (
        reading(stack, "payments.changes") as reader,
        relaying(settings_for(stack, database.dsn, backoff_initial_seconds=0.2)) as probe,
    ):
        async with connection.transaction():
            await change(connection, payment_id)
        await until(lambda: probe.unready() is not None)
        assert "KafkaConnectionError" in str(probe.unready())
        assert probe.stuck() is None
        key = str(payment_id).encode()
        await reader.until(lambda records: sum(record.key == key for record in records) == 4)
        await until(lambda: is_drained(connection))
        await until(lambda: probe.unready() is None)


async def test_brokers_away_at_the_start_are_waited_for_until_the_stop(database: Database, stack: Endpoints):
    settings = settings_for(stack, database.dsn)
    nowhere = settings.model_copy(update={"kafka": KafkaSettings(bootstrap="127.0.0.1:1")})
    async with relaying(nowhere) as probe:
        await until(lambda: probe.unready() is not None)
        assert str(probe.unready()).startswith("starting: UnavailableError")
        assert probe.state == "starting"


async def test_lane_that_fails_does_not_stop_the_others(
    stack: Endpoints, database: Database, connection: asyncpg.Connection
):
    async with relaying(settings_for(stack, database.dsn)) as probe:
        await until(lambda: probe.facts.get("leading"))
        await connection.execute("alter table payments rename to hidden")
        # The lane of states reads payments too, and may be the first to fail.
        await until(lambda: str(probe.unready()).startswith("changes: UndefinedTableError"))
        await spool(connection, "payments.webhooks", b"k", b"v")
        await until(lambda: probe.facts["published"]["spool"] == 1)
        await connection.execute("alter table hidden rename to payments")
        await until(lambda: probe.unready() is None)


async def test_postgres_connections_cut_are_opened_again(
    stack: Endpoints, database: Database, connection: asyncpg.Connection
):
    payment_id = await add_payment(connection)
    async with relaying(settings_for(stack, database.dsn)) as probe:
        await until(lambda: probe.facts.get("leading"))
        superuser = await asyncpg.connect(f"{stack.superuser_dsn}")
        cut = await superuser.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where application_name = 'ratchet relay' and datname = $1",
            database.dsn.rsplit("/", 1)[1],
        )
        await superuser.close()
        assert cut
        async with reading(stack, "payments.changes") as reader:
            async with connection.transaction():
                await change(connection, payment_id)
            await reader.until(lambda records: any(record.key == str(payment_id).encode() for record in records))
        await until(lambda: probe.unready() is None)
