"""A reader's own tables, made of payments.state and payments.changes alone, against the table `payments`."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from consumer_harness import intent, until, webhook
from test_ledger_under_kills import RATCHET, environment, kill_and_await, posted, running
from test_restored_copy import answers, publish
from waiting import wait_until

from runtime.stack import read_state
from schemas.topics import CHANGES, INTENTS, STATE, WEBHOOKS

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

COLUMNS: Final = (
    "provider", "account", "merchant_account", "livemode", "provider_ref", "reference", "client", "status",
    "refund_status", "dispute_status", "currency", "amount", "authorized", "captured", "refunded", "disputed", "flags",
    "intent_id", "merged_into", "metadata", "version", "created_at",
)  # fmt: skip
Model = dict[str, dict[str, Any]]


async def read_model(bootstrap: str, *topics: str) -> Model:
    """Read topics one after another, each to its end, and keep the highest (epoch, version) of each payment."""
    kept: Model = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        for topic in topics:
            places = [TopicPartition(topic, number) for number in range(4)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            async with asyncio.timeout(60):
                while any([await consumer.position(place) < ends[place] for place in places]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            take(kept, record)
    finally:
        await consumer.stop()
    return kept


def take(kept: Model, record: Any) -> None:
    """Do what a reader does with a record; it knows nothing but the exported schemas."""
    assert record.value is not None, "no tombstones"
    reported, headers = json.loads(record.value), dict(record.headers)
    assert (reported["payment_id"], reported["status"]) == (record.key.decode(), headers["ce_status"].decode())
    assert (reported["provider"], reported["livemode"]) == (
        headers["ce_provider"].decode(),
        headers["ce_livemode"] == b"true",
    )
    held = kept.get(reported["payment_id"])
    if held is None or (reported["epoch"], reported["version"]) > (held["epoch"], held["version"]):
        kept[reported["payment_id"]] = reported


async def table(endpoints: Endpoints) -> Model:
    """Read the table, its values as JSON has them."""
    connection = await asyncpg.connect(endpoints.dsn)
    try:
        rows = await connection.fetch(f"select row_to_json(payments) as payment from payments where {MOVED}")
    finally:
        await connection.close()
    payments = [json.loads(row["payment"]) for row in rows]
    return {one["id"]: one for one in payments}


MOVED: Final = "version > 0"


def plain(payment: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that are compared; Postgres and we write the same moment in two ways."""
    shown = {name: payment[name] for name in COLUMNS}
    return shown | {"created_at": dt.datetime.fromisoformat(shown["created_at"])}


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [f"{name}: {found[name]!r}, not {wanted[name]!r}" for name in COLUMNS if found[name] != wanted[name]]


async def agree(endpoints: Endpoints) -> Model:
    """Compare three readers with the table: of both topics, of the states alone, of the changes alone."""
    wanted = {name: plain(payment) for name, payment in (await table(endpoints)).items()}
    for topics in ((STATE.name, CHANGES.name), (STATE.name,), (CHANGES.name,)):
        model = await read_model(endpoints.kafka, *topics)
        assert model.keys() == wanted.keys(), topics
        assert [reported for name in wanted for reported in differences(wanted[name], plain(model[name]))] == [], topics
    return wanted


def asked(home: Path, *words: str) -> dict[str, Any]:
    """Run a command with --json; return its document."""
    reported = subprocess.run([*RATCHET, *words, "--json"], env=environment(home), capture_output=True, check=False)
    document: dict[str, Any] = json.loads(reported.stdout)
    return document


def at_rest(home: Path) -> bool:
    found = asked(home, "status")
    waiting = {**found["lag"], **{name: found["counts"].get(name, 1) for name in ("outbox", "spool")}}
    print(waiting)  # noqa: T201 - what it waited for, where it waits in vain
    return not any(waiting.values())


async def test_a_read_model_without_a_database_is_the_table_after_kills_and_after_a_redrive(tmp_path: Path) -> None:
    with running(tmp_path, "--once", "--json", RATCHET_SAMPLE__LIVES="400") as process:
        wait_until(lambda: posted(tmp_path) > 50)
        for role in ("relay", "consumer", "relay"):
            kill_and_await(process, tmp_path, role)
        assert json.loads(process.communicate(timeout=240)[0])["balanced"]
    late, promised = f"late-{uuid.uuid4()}", uuid.uuid4()
    with running(tmp_path, "--no-sample", RATCHET_PARKING__DEADLINE_SECONDS="1"):

        async def is_up() -> Endpoints | None:
            state = read_state(tmp_path)
            return state.endpoints if state is not None and await answers(state.endpoints) else None

        endpoints = await until(is_up, "up runs", 90.0)
        model = await agree(endpoints)
        assert len(model) > 100
        assert {one["merged_into"] is None for one in model.values()} >= {True}
        await publish(endpoints, WEBHOOKS.name, [webhook("refund.succeeded", late, child="r", amount=300)])
        orphans = ("dlq", "list", "--reason", "orphan", "--payment", late)
        await until(lambda: asyncio.to_thread(lambda: asked(tmp_path, *orphans)["total"]), "the orphan is dead", 60.0)
        noted = intent(promised, amount=700, provider_ref=late, metadata={"cart": [7, "é"], "note": None})
        await publish(endpoints, WEBHOOKS.name, [webhook("payment.captured", late, child="c", amount=700)])
        await publish(endpoints, INTENTS.name, [noted])
        applied = (*orphans, "--status", "applied")
        await until(lambda: asyncio.to_thread(lambda: asked(tmp_path, *applied)["total"]), "it is applied", 60.0)
        await publish(endpoints, WEBHOOKS.name, [webhook("payment.teleported", late, child="t", amount=700)])
        unknown = ("--reason", "unknown_kind", "--payment", late)
        await until(lambda: asyncio.to_thread(lambda: asked(tmp_path, "dlq", "list", *unknown)["total"]), "dead", 60.0)
        await until(lambda: asyncio.to_thread(at_rest, tmp_path), "all is processed", 60.0)
        await agree(endpoints)
        redriven = await asyncio.to_thread(asked, tmp_path, "dlq", "redrive", *unknown, "--yes")
        assert redriven["published"] == 1
        await until(lambda: asyncio.to_thread(at_rest, tmp_path), "the redriven record is processed", 60.0)
        model = await agree(endpoints)
    assert (model[str(promised)]["refunded"], model[str(promised)]["captured"]) == (300, 700)
    assert model[str(promised)]["metadata"] == {"cart": [7, "é"], "note": None}
    assert [one["merged_into"] for one in model.values() if one["provider_ref"] == late].count(str(promised)) == 1
