"""`payments.events` on the real brokers: a service publishes, and the ledger holds each fact once."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import Event, broken_chains
from consumer_processes import ConsumerProcesses, consumer_processes

from schemas.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(stack: Any, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as found:
        yield found


def reported(kind: str, event_id: str, *, source: str = "billing", value: bytes | None = None, **fields: Any) -> Event:
    """Make one event as a service's Kafka client publishes it: the headers that CloudEvents asks for, and no other."""
    body = value or json.dumps(fields).encode()
    headers = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": source, "ce_type": kind}
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return Event(event_id, str(fields.get("payment_id", "")).encode() or None, body, pairs)


def life(payment: str) -> list[Event]:
    money = {"payment_id": payment, "currency": "EUR"}
    return [
        reported("payment.created", f"{payment}-1", **money, amount=1000, reference=f"ORD-{payment}"),
        reported("payment.authorized", f"{payment}-2", **money, amount=1000),
        reported("payment.captured", f"{payment}-3", **money, amount=400, id=f"{payment}-c1"),
        reported("payment.captured", f"{payment}-4", **money, amount=600, id=f"{payment}-c2"),
        reported("payment.refunded", f"{payment}-5", **money, amount=250, id=f"{payment}-r1"),
    ]


async def test_what_services_tell_is_in_the_ledger_once_under_their_names(harness: ConsumerProcesses) -> None:
    """Each event twice, in any order, over all partitions, the consumer killed in the middle."""
    lives = [life(f"b-{number}") for number in range(60)]
    events = [one for events in lives for one in events] * 2
    random.Random(3).shuffle(events)
    half = len(events) // 2
    first = harness.spawn(limits={"batch_records_max": 40}, sources=["billing"])
    await harness.publish(events[:half], EVENTS.name)
    await harness.until_written(40)
    first.kill()
    await harness.publish(events[half:], EVENTS.name)
    harness.spawn(sources=["billing"])
    tables = await harness.until_applied(300)
    await harness.until_no_lag()
    tables = await harness.tables()
    assert (tables.letters, tables.parked, broken_chains(tables)) == ([], [], [])
    assert len(tables.dedupe_keys) == len(set(tables.dedupe_keys)) == 300
    assert {(row["provider"], row["status"], row["captured"], row["refunded"]) for row in tables.payments} == {
        ("billing", "captured", 1000, 250)
    }
    assert len(tables.payments) == 60
    assert {row["source"] for row in tables.ledger} == {"events/billing"}


async def test_wrong_records_are_dead_letters_that_say_what_to_mend_and_their_neighbours_stand(
    harness: ConsumerProcesses,
) -> None:
    harness.spawn(sources=["billing"])
    money = {"payment_id": "b-1", "currency": "EUR", "amount": 100}
    wrong = [
        reported("payment.captured", "1", **money, source="stripe", id="c"),
        reported("payment.captured", "2", **money),
        reported("payment.capture", "3", **money, id="c"),
        reported("payment.captured", "4", value=b"\x00\x00\x00\x00\x07" + json.dumps({**money, "id": "c"}).encode()),
        reported("payment.captured", "5", **money, id="c")._replace(headers=()),
    ]
    await harness.publish([*life("b-2")[:2], *wrong, *life("b-2")[2:]], EVENTS.name, partition=0)
    tables = await harness.until_written(10)
    found = {row["offset"]: row["message"] for row in tables.letters}
    expected = [
        "ce_source stripe is none of RATCHET_SOURCES (billing)",
        "payment.captured: id: Field required",
        "there is no type payment.capture; did you mean payment.captured?",
        "Confluent's wire format",
        "no usable header ce_id, ce_source, ce_type",
    ]
    for text, (_, message) in zip(expected, sorted(found.items()), strict=True):
        assert text in message
    assert [(row["provider_ref"], row["captured"]) for row in tables.payments] == [("b-2", 1000)]


async def test_a_source_with_a_provider_s_name_refuses_to_start(harness: ConsumerProcesses) -> None:
    child = harness.spawn(sources=["stripe"])
    assert await asyncio.to_thread(child.process.wait, 30) != 0
    assert "RATCHET_SOURCES: stripe is the name of a provider" in child.log.read_text()
