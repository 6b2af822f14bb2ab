"""Parked events: what waits, what wakes it, and that one wake-up never costs a neighbour."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from settling import Bench, bench, broken_chains, command, intent, intent_records, records, webhook

import providers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    from schemas.facts import Meaning

pytestmark = pytest.mark.integration


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Bench]:
    async with bench(database.dsn) as open_bench:
        yield open_bench


def refund(payment: str, child: str, amount: int = 100, reference: str | None = None) -> object:
    return webhook("refund.succeeded", payment, child=child, amount=amount, reference=reference)


async def test_a_parked_event_keeps_every_byte_and_its_deadline(database: Database) -> None:
    event = webhook("refund.succeeded", "p", child="r", reference="ORD")
    odd = (*event.headers, ("note", b"\xff\x00"), ("x\udcff", b""))
    async with bench(database.dsn, parking={"deadline_seconds": 60}) as desk:
        await desk.settle(records([event._replace(key=None, headers=odd)], partition=2, first=9))  # type: ignore[arg-type]
        books = await desk.books()
        refs = await desk.fetch("select kind, ref from parked_refs order by kind")
    (row,) = books.parked
    assert books.ledger == books.payments == books.letters == []
    assert (row["key"], row["value"], row["topic"], row["partition"], row["offset"]) == (
        None, event.value, "payments.webhooks", 2, 9,
    )  # fmt: skip
    assert row["header_names"] == [name.encode(errors="surrogateescape") for name, _ in odd]
    assert row["header_values"] == [value for _, value in odd]
    assert row["deadline"] - row["parked_at"] == dt.timedelta(seconds=60)
    assert (row["reason"], row["event_id"]) == ("orphan", event.event_id)
    assert refs == [{"kind": "payment", "ref": "p"}], "a reference joins nothing, so nothing waits for it"


async def test_what_an_event_waits_for_wakes_it(desk: Bench) -> None:
    await desk.settle(records([refund("p", "r")]))
    await desk.settle(records([webhook("payment.captured", "p", child="c")], first=1))
    books = await desk.books()
    assert books.parked == books.letters == []
    assert len({row["relay_xid"] for row in books.ledger}) == 2, "one transaction brought, the next woke"
    assert books.payments[0]["refunded"] == 100
    assert [row["offset"] for row in books.ledger] == [1, 0], "a woken event's row says where it once came from"
    assert broken_chains(books) == []


async def test_an_intent_brings_what_an_adyen_style_event_waits_for(desk: Bench) -> None:
    promised = uuid.uuid4()
    await desk.settle(records([refund("p", "r"), webhook("payment.captured", "p", child="c", event_id="c")]))
    await desk.settle(intent_records([intent(promised, provider_ref="p")]))
    books = await desk.books()
    live = [row for row in books.payments if row["merged_into"] is None]
    assert [(row["id"], row["captured"], row["refunded"]) for row in live] == [(promised, 1000, 100)]
    assert books.parked == []


async def test_commands_that_come_before_their_create_wait_for_it_and_follow_it_in_order(desk: Bench) -> None:
    promised = uuid.uuid4()
    await desk.settle(intent_records([command(promised, "capture"), command(promised, "refund", amount=5)]))
    books = await desk.books()
    assert (books.ledger, [row["event_type"] for row in books.parked]) == ([], ["intent.capture", "intent.refund"])
    await desk.settle(intent_records([intent(promised)], first=2))
    books = await desk.books()
    assert books.parked == books.letters == []
    assert [(row["event_type"], row["outcome"], row["payment_id"]) for row in books.ledger] == [
        ("intent.create", "applied", promised),
        ("intent.capture", "noop", promised),
        ("intent.refund", "noop", promised),
    ]
    assert broken_chains(books) == []


async def test_a_parked_event_comes_again_and_is_parked_once(desk: Bench) -> None:
    for first in range(3):
        await desk.settle(records([refund("p", "r")], first=first))
    twin = webhook("refund.succeeded", "p", child="r", amount=999)
    await desk.settle(records([twin], first=3))
    books = await desk.books()
    assert len(books.parked) == 1
    assert [row["reason"] for row in books.letters] == ["conflict"]


async def test_more_waiting_events_than_a_batch_holds_are_all_woken(database: Database) -> None:
    """What one read of the parked can't hold must not wait for an event that never comes."""
    async with bench(database.dsn, batch_records_max=10) as desk:
        for start in range(0, 40, 10):
            children = [refund("p", f"r{number}", 10) for number in range(start, start + 10)]
            await desk.settle(records(children, first=start))
        assert len((await desk.books()).parked) == 40
        await desk.settle(records([webhook("payment.captured", "p", child="c")], first=40))
        books = await desk.books()
    assert [(row["captured"], row["refunded"]) for row in books.payments] == [(1000, 400)]
    assert books.parked == []


async def test_a_parked_event_that_can_no_longer_be_understood_costs_no_neighbour(
    desk: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later deploy's interpreter trips over a parked event: the event that woke it still settles."""
    real = providers.interpret

    def tripping(name: str, kind: str, body: bytes, *event_id: str) -> Meaning:
        if kind.startswith("refund."):
            raise ZeroDivisionError
        return real(name, kind, body, *event_id)

    await desk.settle(records([refund("p", "r")]))
    monkeypatch.setattr(providers, "interpret", tripping)
    await desk.settle(records([webhook("payment.captured", "p", child="c")], first=1))
    books = await desk.books()
    assert [row["captured"] for row in books.payments] == [1000]
    assert "payment.captured" not in {row["event_type"] for row in books.letters}
    assert len(books.parked) + len(books.letters) == 1, "the refund is not lost"
