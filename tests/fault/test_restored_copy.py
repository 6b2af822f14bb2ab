"""An older copy of Postgres under a Kafka that went on: everything is there again, under the same ids, by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from consumer_harness import intent, until, webhook

from runtime.stack import read_state
from schemas.topics import CHANGES, INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from consumer_harness import Event

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

PAYMENTS = 12
START_SECONDS = 90.0
SHOWN = "id, provider_ref, status, captured, refunded, version, intent_id, merged_into"


@contextlib.asynccontextmanager
async def up(home: Path) -> AsyncIterator[Endpoints]:
    """Run `ratchet up` on a home; it ends cleanly, brokers and all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")} | {
        "RATCHET_HOME": str(home),
        "RATCHET_INGRESS__BIND": "127.0.0.1:0",
        "RATCHET_CONSOLE__BIND": "127.0.0.1:0",
    }
    with (home / "up.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "ops.cli", "up", "--no-sample", env=environment, stdout=log, stderr=log
        )
    try:

        async def is_up() -> Any:
            assert process.returncode is None, (home / "up.log").read_text()[-3000:]
            state = read_state(home)
            return state if state is not None and await answers(state.endpoints) else None

        yield (await until(is_up, "up runs", START_SECONDS)).endpoints
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)


async def answers(endpoints: Endpoints) -> bool:
    try:
        _, writer = await asyncio.open_connection(*endpoints.kafka.split(":"))
        writer.close()
        connection = await asyncpg.connect(endpoints.dsn, timeout=2)
    except (OSError, asyncpg.PostgresError):
        return False
    try:
        return bool(await connection.fetchval("select to_regclass('epochs') is not null"))
    finally:
        await connection.close()


async def publish(endpoints: Endpoints, topic: str, events: Iterable[Event]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=endpoints.kafka)
    await producer.start()
    try:
        for event in events:
            await producer.send_and_wait(topic, event.value, key=event.key, headers=list(event.headers))
    finally:
        await producer.stop()


async def ledger(endpoints: Endpoints) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], int]:
    """Return the payments, the events of the ledger, and how many dead letters there are, all at one moment."""
    connection = await asyncpg.connect(endpoints.dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            payments = await connection.fetch(f"select {SHOWN} from payments order by id")
            events = await connection.fetch(
                "select source, event_id from payment_logs where source <> 'ratchet' order by source, event_id"
            )
            letters = await connection.fetchval("select count(*) from dead_letters")
    finally:
        await connection.close()
    return [tuple(row) for row in payments], [tuple(row) for row in events], letters


async def processed(endpoints: Endpoints, count: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], int]:
    async def is_there() -> Any:
        found = await ledger(endpoints)
        return found if len(found[1]) + found[2] >= count else None

    return await until(is_there, f"{count} events in the ledger", 60.0)


async def newest_changes(endpoints: Endpoints, wanted: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Read payments.changes as a reader that keeps the highest (epoch, version), until the versions are wanted's."""
    consumer = AIOKafkaConsumer(bootstrap_servers=endpoints.kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(CHANGES.name, number) for number in range(4)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        kept: dict[str, dict[str, Any]] = {}

        async def has_all() -> bool:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    change = json.loads(record.value)
                    held = kept.get(change["payment_id"])
                    if held is None or (change["epoch"], change["version"]) > (held["epoch"], held["version"]):
                        kept[change["payment_id"]] = change
            return {name: change["version"] for name, change in kept.items() if name in wanted} == wanted

        await until(has_all, "the newest changes are those of the ledger", 60.0)
    finally:
        await consumer.stop()
    return {name: change for name, change in kept.items() if name in wanted}


def unmerged(payments: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the payments that were not merged into another one.

    Whether the one that an intent names has a row of its own depends on which topic was read first; its money does not.
    """
    return [row for row in payments if row[7] is None]


async def test_a_copy_put_back_under_a_kafka_that_went_on(tmp_path: Path) -> None:
    early = [webhook("payment.created", f"early-{n}") for n in range(PAYMENTS)]
    late = [webhook("payment.captured", f"early-{n}", child="c", amount=1000) for n in range(PAYMENTS)]
    late += [webhook("payment.captured", f"late-{n}", child="c", amount=700) for n in range(PAYMENTS)]
    late += [webhook("refund.succeeded", f"late-{n}", child="r", amount=300) for n in range(PAYMENTS)]
    promised = intent(uuid.UUID("01890000-0000-7000-8000-000000000001"), amount=700, provider_ref="late-0")
    async with up(tmp_path) as endpoints:
        await publish(endpoints, WEBHOOKS.name, early)
        await processed(endpoints, len(early))
    subprocess.run(["cp", "-a", tmp_path / "postgres", tmp_path / "copy"], check=True)  # noqa: ASYNC221
    async with up(tmp_path) as endpoints:
        await publish(endpoints, WEBHOOKS.name, late)
        await publish(endpoints, INTENTS.name, [promised])
        before = await processed(endpoints, len(early) + len(late) + 1)
        await newest_changes(endpoints, {str(row[0]): row[5] for row in unmerged(before[0])})
    subprocess.run(["mv", tmp_path / "postgres", tmp_path / "lost"], check=True)  # noqa: ASYNC221
    subprocess.run(["cp", "-a", tmp_path / "copy", tmp_path / "postgres"], check=True)  # noqa: ASYNC221
    async with up(tmp_path) as endpoints:
        after = await processed(endpoints, len(early) + len(late) + 1)
        kept = await newest_changes(endpoints, {str(row[0]): row[5] for row in unmerged(after[0])})
    assert (after[1], after[2]) == (before[1], 0), "every event, and no dead letter"
    shown = [row[:5] for row in unmerged(after[0])]
    assert shown == [row[:5] for row in unmerged(before[0])], "the same payments under the same ids"
    opened = [{row[1]: row[0] for row in payments if row[7] is not None} for payments in (before[0], after[0])]
    assert all(opened[1].get(ref, payment_id) == payment_id for ref, payment_id in opened[0].items())
    assert {name: change["captured"] for name, change in kept.items()} == {str(row[0]): row[3] for row in shown}
    assert len({change["epoch"] for change in kept.values()}) == 1, "all of them moved since, in the new epoch"
