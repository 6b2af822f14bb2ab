"""One suite for the clients of all languages: how they key, what they write, and which rule their readers keep."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from client_builds import ROOT, Client
from client_runs import effects, ended, published, readers_database, running, table
from consumer_harness import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PARTITIONS = 7
"""No power of two: where it is one, two ways to drop a hash's sign agree."""
HASHES = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
"""murmur2 as Kafka's own tests have it (org.apache.kafka.common.utils.UtilsTest)."""
EVENT = {"payment_id": "b-é", "id": "cap-1", "amount": 1000, "currency": "EUR"}


@asynccontextmanager
async def topics(bootstrap: str, *names: str) -> AsyncIterator[None]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        yield
    finally:
        await admin.delete_topics(list(names))
        await admin.close()


async def everything(bootstrap: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends, found = await consumer.end_offsets(places), []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def test_keys_values_and_headers_are_the_same_whoever_publishes(
    stack: Endpoints, topic_prefix: str, client: Client
) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "evt-é", "ce_source": "billing", "ce_type": "payment.captured"}
    lines = [
        json.dumps({"topic": f"{topic_prefix}events", "key": key, "headers": headers, "value": EVENT}) for key in HASHES
    ]
    async with topics(stack.kafka, f"{topic_prefix}events"):
        stands = await published(client, lines, "--bootstrap", stack.kafka, "--prefix", topic_prefix)
        records = await everything(stack.kafka, f"{topic_prefix}events")
    assert {record.key.decode(): record.partition for record in records} == {
        key: (value & 0x7FFFFFFF) % PARTITIONS for key, value in HASHES.items()
    }
    assert [json.loads(record.value) for record in records] == [EVENT] * len(HASHES)
    assert [{name: text.decode() for name, text in record.headers} for record in records] == [headers] * len(HASHES)
    assert {one["partition"] for one in stands} == {record.partition for record in records}


def payment(number: int, version: int, *, epoch: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "payment_id": str(uuid.UUID(int=number)), "version": version, "epoch": epoch, "source": "stripe",
        "event_id": f"evt_{number}_{version}", "event_type": "x", "outcome": "applied", "from_status": None,
        "to_status": "captured", "event_amount": None, "occurred_at": None, "recorded_at": "2026-01-01T00:00:00+00:00",
        "provider": "stripe", "account": "", "merchant_account": "", "livemode": True, "provider_ref": f"pi_{number}",
        "reference": "Straße", "client": None, "status": "captured", "refund_status": "none", "dispute_status": "none",
        "currency": "EUR", "amount": 100_000_000_000_000, "authorized": 0, "captured": version, "refunded": 0,
        "disputed": 0, "flags": [], "intent_id": None, "merged_into": None, "metadata": {"cart": [7, {"é": None}]},
        "created_at": "2026-01-01T00:00:00+00:00",
    } | more  # fmt: skip


def history() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return changes, some twice and some of a later epoch or with what is not known yet, and states."""
    changes = [payment(number, version) for number in range(1, 41) for version in range(1, 6)]
    changes += [change for change in changes if random.Random(change["event_id"]).random() < 0.2]
    changes += [payment(41, version, epoch=epoch) for epoch, last in ((1, 9), (2, 3)) for version in range(1, last + 1)]
    changes += [payment(42, 1, added={"later": [1]}, status="held_by_bank", flags=["odd"], dispute_status="appealed")]
    states = [payment(number, 5) for number in range(1, 42, 2)] + [payment(43, 7, merged_into=str(uuid.UUID(int=1)))]
    return changes, states


async def send(bootstrap: str, topic: str, values: Iterable[Any]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            key = value["payment_id"].encode() if isinstance(value, dict) else b"k"
            await producer.send(topic, json.dumps(value, ensure_ascii=False).encode(), key=key)
        await producer.flush()
    finally:
        await producer.stop()


def newest(values: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = {}
    for value in values:
        held = kept.get(value["payment_id"])
        if held is None or (value["epoch"], value["version"]) > (held["epoch"], held["version"]):
            kept[value["payment_id"]] = value
    return kept


def reads(stack: Endpoints, prefix: str, dsn: str, *more: str) -> tuple[str, ...]:
    return ("read", "--bootstrap", stack.kafka, "--prefix", prefix, "--group", f"{prefix}reader", "--dsn", dsn, *more)


async def test_a_reader_keeps_the_newest_and_its_effects_happen_once_whenever_it_is_killed(
    stack: Endpoints, topic_prefix: str, client: Client
) -> None:
    changes, states = history()
    names = (f"{topic_prefix}changes", f"{topic_prefix}state")
    async with topics(stack.kafka, *names), readers_database(stack) as dsn:
        words = reads(stack, topic_prefix, dsn, "--effects", "--topics", "changes")
        first = changes[: len(changes) // 2]
        async with running(client, *words) as reader:
            await send(stack.kafka, names[0], first)
            await until(lambda: _holds(dsn, first), "the first half is there", 90.0)
            await send(stack.kafka, names[0], changes[len(first) :])
            reader.send_signal(signal.SIGKILL)
            await reader.wait()
        async with running(client, *words) as reader:
            await until(lambda: _holds(dsn, changes), "all is there", 90.0)
            assert await ended(reader) == (client.ended_status, "")
        assert await effects(dsn) == sorted(
            {(value["payment_id"], value["epoch"], value["version"]) for value in changes}
        ), "each version once, and none left out"
        await send(stack.kafka, names[1], states)
        async with running(client, *reads(stack, topic_prefix, dsn, "--effects")) as reader:
            await until(lambda: _holds(dsn, [*changes, *states]), "states too", 90.0)
            assert await ended(reader) == (client.ended_status, "")
        assert len(await effects(dsn)) == len(set(await effects(dsn)))


async def _holds(dsn: str, values: list[dict[str, Any]]) -> bool:
    return await table(dsn) == newest(values)


async def test_what_is_no_record_of_a_payment_ends_a_reader_and_is_named(
    stack: Endpoints, topic_prefix: str, client: Client
) -> None:
    names = (f"{topic_prefix}changes", f"{topic_prefix}state")
    async with topics(stack.kafka, *names), readers_database(stack) as dsn:
        await send(stack.kafka, names[0], [["no payment"]])
        async with running(client, *reads(stack, topic_prefix, dsn)) as reader:
            _, found = await asyncio.wait_for(reader.communicate(), 60)
        assert reader.returncode not in (0, None)
        assert f"{names[0]}, partition" in found.decode()
        assert "no record of a payment" in found.decode()


PAGE = (ROOT / "docs" / "read.md").read_text()


def test_the_page_on_reading_shows_a_change_as_it_is() -> None:
    (shown,) = (json.loads(one) for one in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    schema = json.loads((ROOT / "schemas" / "exported" / "json-schema" / "change.json").read_text())
    assert list(jsonschema_rs.validator_for(schema).iter_errors(shown)) == []
    assert set(shown) == set(schema["$defs"]["Change"]["properties"])


async def test_the_page_s_command_keeps_the_table(stack: Endpoints, topic_prefix: str) -> None:
    (command,) = re.findall(r"```sh\n(PYTHONPATH=.*?)\n```", PAGE)
    changes, _ = history()
    async with topics(stack.kafka, f"{topic_prefix}changes", f"{topic_prefix}state"), readers_database(stack) as dsn:
        await send(stack.kafka, f"{topic_prefix}changes", changes)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"KAFKA": stack.kafka, "READER_DSN": dsn, "PATH": path, "ROOT": str(ROOT), "PREFIX": topic_prefix}
        shell = Client("sh", ("/bin/sh", "-c", f'cd "$ROOT"; exec env {command} --prefix "$PREFIX"'), variables)
        async with running(shell):
            await until(lambda: _holds(dsn, changes), "the table is kept", 90.0)
