"""Parked events: what waits, what wakes it, and that one wake-up never costs a neighbour."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from consumer_harness import (
    BatchHarness,
    batch_harness,
    broken_chains,
    command,
    intent,
    intent_records,
    records,
    webhook,
)

import providers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    from schemas.facts import Meaning

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


def refund(payment: str, child: str, amount: int = 100, reference: str | None = None) -> object:
    return webhook("refund.succeeded", payment, child=child, amount=amount, reference=reference)


async def test_a_parked_event_keeps_every_byte_and_its_deadline(database: Database) -> None:
    event = webhook("refund.succeeded", "p", child="r", reference="ORD")
    odd = (*event.headers, ("note", b"\xff\x00"), ("x\udcff", b""))
    async with batch_harness(database.dsn, parking={"deadline_seconds": 60}) as harness:
        await harness.process(records([event._replace(key=None, headers=odd)], partition=2, first=9))  # type: ignore[arg-type]
        tables = await harness.tables()
        refs = await harness.fetch("select kind, ref from parked_refs order by kind")
    (row,) = tables.parked
    assert tables.ledger == tables.payments == tables.letters == []
    assert (row["key"], row["value"], row["topic"], row["partition"], row["offset"]) == (
        None, event.value, "payments.webhooks", 2, 9,
    )  # fmt: skip
    assert row["header_names"] == [name.encode(errors="surrogateescape") for name, _ in odd]
    assert row["header_values"] == [value for _, value in odd]
    assert row["deadline"] - row["parked_at"] == dt.timedelta(seconds=60)
    assert (row["reason"], row["event_id"]) == ("orphan", event.event_id)
    assert refs == [{"kind": "payment", "ref": "p"}], "a reference joins nothing, so nothing waits for it"


async def test_what_an_event_waits_for_wakes_it(harness: BatchHarness) -> None:
    await harness.process(records([refund("p", "r")]))
    await harness.process(records([webhook("payment.captured", "p", child="c")], first=1))
    tables = await harness.tables()
    assert tables.parked == tables.letters == []
    assert len({row["relay_xid"] for row in tables.ledger}) == 2, "one transaction brought, the next woke"
    assert tables.payments[0]["refunded"] == 100
    assert [row["offset"] for row in tables.ledger] == [1, 0], "a woken event's row says where it once came from"
    assert broken_chains(tables) == []


async def test_an_intent_brings_what_an_adyen_style_event_waits_for(harness: BatchHarness) -> None:
    promised = uuid.uuid4()
    await harness.process(records([refund("p", "r"), webhook("payment.captured", "p", child="c", event_id="c")]))
    await harness.process(intent_records([intent(promised, provider_ref="p")]))
    tables = await harness.tables()
    live = [row for row in tables.payments if row["merged_into"] is None]
    assert [(row["id"], row["captured"], row["refunded"]) for row in live] == [(promised, 1000, 100)]
    assert tables.parked == []


async def test_commands_that_come_before_their_create_wait_for_it_and_follow_it_in_order(harness: BatchHarness) -> None:
    promised = uuid.uuid4()
    await harness.process(intent_records([command(promised, "capture"), command(promised, "refund", amount=5)]))
    tables = await harness.tables()
    assert (tables.ledger, [row["event_type"] for row in tables.parked]) == ([], ["intent.capture", "intent.refund"])
    await harness.process(intent_records([intent(promised)], first=2))
    tables = await harness.tables()
    assert tables.parked == tables.letters == []
    assert [(row["event_type"], row["outcome"], row["payment_id"]) for row in tables.ledger] == [
        ("intent.create", "applied", promised),
        ("intent.capture", "noop", promised),
        ("intent.refund", "noop", promised),
    ]
    assert broken_chains(tables) == []


async def test_a_parked_event_comes_again_and_is_parked_once(harness: BatchHarness) -> None:
    for first in range(3):
        await harness.process(records([refund("p", "r")], first=first))
    second = webhook("refund.succeeded", "p", child="r", amount=999)
    await harness.process(records([second], first=3))
    tables = await harness.tables()
    assert len(tables.parked) == 1
    assert [row["reason"] for row in tables.letters] == ["conflict"]


async def test_more_waiting_events_than_a_batch_holds_are_all_woken(database: Database) -> None:
    """What one read of the parked can't hold must not wait for an event that never comes."""
    async with batch_harness(database.dsn, batch_records_max=10) as harness:
        for start in range(0, 40, 10):
            children = [refund("p", f"r{number}", 10) for number in range(start, start + 10)]
            await harness.process(records(children, first=start))
        assert len((await harness.tables()).parked) == 40
        await harness.process(records([webhook("payment.captured", "p", child="c")], first=40))
        tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 400)]
    assert tables.parked == []


async def test_a_parked_event_that_can_no_longer_be_understood_costs_no_neighbour(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later deploy's interpreter trips over a parked event: the event that woke it is still processed."""
    real = providers.interpret

    def tripping(name: str, kind: str, body: bytes, *event_id: str) -> Meaning:
        if kind.startswith("refund."):
            raise ZeroDivisionError
        return real(name, kind, body, *event_id)

    await harness.process(records([refund("p", "r")]))
    monkeypatch.setattr(providers, "interpret", tripping)
    await harness.process(records([webhook("payment.captured", "p", child="c")], first=1))
    tables = await harness.tables()
    assert [row["captured"] for row in tables.payments] == [1000]
    assert "payment.captured" not in {row["event_type"] for row in tables.letters}
    assert len(tables.parked) + len(tables.letters) == 1, "the refund is not lost"
