"""One batch on a real Postgres: what is processed, what becomes a dead letter, and that neighbours never suffer."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import (
    SOURCE,
    BatchHarness,
    Event,
    batch_harness,
    broken_chains,
    digest,
    intent,
    intent_records,
    lives,
    records,
    shown,
    webhook,
    wrong_payments,
)

from consumer import rows
from consumer.decode import decoded
from consumer.poison import PoisonRun
from consumer.verdict import Dead
from schemas.dead_letter import Reason
from schemas.record import Attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from conftest import Database

    from consumer.plan import Item, Plan

pytestmark = pytest.mark.integration
BATCH = 500


@pytest.fixture
async def harness(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


def five_hundred() -> list[Any]:
    """Return 100 whole lives, 500 events, in an order of their own."""
    events = [event for life in lives(BATCH // 5) for event in life.events()]
    random.Random(20).shuffle(events)
    return events


async def test_a_batch_of_whole_lives_comes_to_plain_arithmetic(harness: BatchHarness) -> None:
    plans = await harness.process(records(five_hundred()))
    tables = await harness.tables()
    assert len(plans) == 1
    assert len(tables.dedupe_keys) == BATCH
    assert tables.parked == tables.letters == []
    assert wrong_payments(tables, lives(BATCH // 5)) == []
    assert broken_chains(tables) == []


async def test_ledger_rows_tell_what_happened_and_where_it_stood(harness: BatchHarness) -> None:
    events = [
        webhook("payment.authorized", "p", amount=1000, event_id="e1"),
        webhook("payment.authorized", "p", amount=1000, event_id="e2"),
        webhook("payment.captured", "p", amount=1000, child="c", event_id="e3"),
        webhook("payment.created", "p", amount=1000, event_id="e4"),
        webhook("payment.canceled", "p", amount=1000, event_id="e5"),
        webhook("customer.updated", "p", amount=None, event_id="e6"),
    ]
    await harness.process(records(events, partition=3, first=40))
    tables = await harness.tables()
    payment = tables.payments[0]
    columns = ("event_id", "event_type", "outcome", "from_status", "to_status", "amount", "version", "offset")
    assert [tuple(row[name] for name in columns) for row in tables.ledger] == [
        ("e1", "payment.authorized", "applied", None, "authorized", 1000, 1, 40),
        ("e2", "payment.authorized", "noop", "authorized", "authorized", 1000, None, 41),
        ("e3", "payment.captured", "applied", "authorized", "captured", 1000, 2, 42),
        ("e4", "payment.created", "late", "captured", "captured", 1000, None, 43),
        ("e5", "payment.canceled", "conflict", "captured", "captured", 1000, 3, 44),
        ("e6", "customer.updated", "noop", None, None, None, None, 45),
    ]
    assert {(row["topic"], row["partition"], row["source"]) for row in tables.ledger} == {
        ("payments.webhooks", 3, SOURCE)
    }
    assert [row["payment_id"] for row in tables.ledger] == [payment["id"]] * 5 + [None]
    assert (payment["version"], payment["status"], payment["captured"]) == (3, "captured", 1000)
    assert payment["flags"] == ["contradiction"], "a cancellation after the capture is flagged, and that is a change"
    assert broken_chains(tables) == []


async def test_a_changed_ledger_row_breaks_the_chain(harness: BatchHarness, database: Database) -> None:
    await harness.process(records(lives(1)[0].events()))
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("update payment_logs set amount = amount + 1 where version = 2")
    await owner.close()
    assert len(broken_chains(await harness.tables())) > 1


async def test_an_undecodable_record_among_500_is_a_letter_and_499_process(harness: BatchHarness) -> None:
    events = five_hundred()
    poison = webhook("payment.captured", "poison", event_id="poison")
    events[217] = poison._replace(value=b'{"type": "payment.captured", "data": \xff')
    plans = await harness.process(records(events))
    tables = await harness.tables()
    assert len(plans) == 1, "a verdict needs no bisection"
    assert len(tables.dedupe_keys) + len(tables.parked) == BATCH - 1
    assert [(row["reason"], row["event_id"], row["offset"]) for row in tables.letters] == [
        ("undecodable", "poison", 217)
    ]


@pytest.mark.parametrize("where", [0, 250, 499])
async def test_a_record_that_postgres_refuses_is_found_by_bisection(
    harness: BatchHarness, database: Database, where: int
) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("alter table payments add constraint no_thirteen check (amount <> 13)")
    await owner.close()
    events = five_hundred()
    events[where] = webhook("payment.created", "unlucky", amount=13, event_id="unlucky")
    plans = await harness.process(records(events))
    tables = await harness.tables()
    assert len(plans) > 2, "halves were processed on their own"
    assert len(tables.dedupe_keys) + len(tables.parked) == BATCH - 1
    assert "unlucky" not in tables.by_ref
    assert [
        shown(row, {"reason": 0, "event_id": 0, "offset": 0, "status": 0, "message": 0}) for row in tables.letters
    ] == [
        {
            "reason": "data_rejected",
            "event_id": "unlucky",
            "offset": where,
            "status": "open",
            "message": "CheckViolationError 23514 payments.no_thirteen",
        }
    ]
    assert broken_chains(tables) == []


async def test_a_figure_that_no_column_holds_is_data_and_no_outage(harness: BatchHarness, monkeypatch: Any) -> None:
    """A sum beyond a bigint: trying again won't help."""
    real = rows.payment_columns

    def beyond(payments: Any) -> list[list[Any]]:
        columns = real(payments)
        columns[12] = [
            2**63 if ref == "unlucky" else figure for ref, figure in zip(columns[3], columns[12], strict=True)
        ]
        return columns

    monkeypatch.setattr(rows, "payment_columns", beyond)
    events = five_hundred()
    events[123] = webhook("payment.created", "unlucky", event_id="unlucky")
    await harness.process(records(events))
    tables = await harness.tables()
    assert len(tables.dedupe_keys) + len(tables.parked) == BATCH - 1
    assert [(row["reason"], row["event_id"]) for row in tables.letters] == [("data_rejected", "unlucky")]


async def test_500_records_with_one_of_each_poison_process_the_rest(harness: BatchHarness) -> None:
    events = five_hundred()
    events[3] = events[3]._replace(value=None, key=None)
    events[77] = webhook("payment.teleported", "poison-kind", event_id="unknown")
    events[300] = events[300]._replace(headers=())
    events[499] = webhook("payment.captured", "poison-amount", amount=-5, event_id="negative")
    await harness.process(records(events))
    tables = await harness.tables()
    assert len(tables.dedupe_keys) + len(tables.parked) == BATCH - 4
    assert {row["offset"]: row["reason"] for row in tables.letters} == {
        3: "undecodable",
        77: "unknown_kind",
        300: "undecodable",
        499: "undecodable",
    }


async def test_letters_keep_every_byte(harness: BatchHarness) -> None:
    raw = [
        (None, None, ()),
        (b"", b"", (("", b""),)),
        (b"\xff\x00k", b"\x00\xfe{", (("ce_id", b"\xff\xfe"), ("ce_source", SOURCE.encode()), ("x\udcff", b"\x00"))),
        (b"k", b"v", (("ce_id", b"one"), ("ce_id", b"two"), ("ce_source", b"nobody"), ("ratchet-redrive-count", b"3"))),
    ]
    made = [
        webhook("payment.created", "p")._replace(key=key, value=value, headers=headers) for key, value, headers in raw
    ]
    await harness.process(records(made, first=7))
    letters = (await harness.tables()).letters
    assert [(row["key"], row["value"]) for row in letters] == [(key, value) for key, value, _ in raw]
    for row, (key, value, headers) in zip(letters, raw, strict=True):
        names = [name.encode(errors="surrogateescape") for name, _ in headers]
        assert (row["header_names"], row["header_values"]) == (names, [value for _, value in headers])
        assert row["digest"] == digest(key, value)
        assert row["timestamp_ms"] == 1_790_000_000_000 + row["offset"]
        assert (row["topic"], row["partition"], row["reason"]) == ("payments.webhooks", 0, "undecodable")
    assert [row["offset"] for row in letters] == [7, 8, 9, 10]
    assert [(row["event_id"], row["source"], row["redrive_count"]) for row in letters] == [
        (None, None, 0),
        (None, None, 0),
        (None, SOURCE, 0),
        ("two", "nobody", 3),
    ]


async def test_bad_records_of_one_event_id_are_a_letter_each_and_a_redelivery_is_none(harness: BatchHarness) -> None:
    one, other = (
        webhook("payment.captured", "p", event_id="e")._replace(value=value) for value in (b'{"a', b'{"another')
    )
    for first, batch in enumerate(([one], [other], [one, other])):
        await harness.process(records(batch, first=10 * first))
    letters = (await harness.tables()).letters
    assert [(row["event_id"], row["value"]) for row in letters] == [("e", one.value), ("e", other.value)]


async def test_a_header_without_a_value_is_no_end_of_the_world(harness: BatchHarness) -> None:
    """Kafka's header values may be null; aiokafka gives None for them."""
    bare = webhook("payment.created", "bare", event_id="bare")
    headers: Any = (
        *((name, value) for name, value in bare.headers if name != "ce_id"),
        ("ce_id", None),
        ("note", None),
    )
    await harness.process(records([bare._replace(headers=headers), webhook("payment.created", "good")]))
    tables = await harness.tables()
    assert [row["event_id"] for row in tables.ledger] == ["good:payment.created:"]
    assert [(row["reason"], row["header_values"][-2:]) for row in tables.letters] == [("undecodable", [None, None])]


async def test_the_same_event_from_20_connections_at_once_is_one_row(database: Database) -> None:
    async with batch_harness(database.dsn, connections=20) as harness:
        await asyncio.gather(*(harness.pool.execute("select pg_sleep(0)") for _ in range(20)))
        event = webhook("payment.captured", "p", child="c")
        batches = [records([event], partition=number) for number in range(20)]
        plans = await asyncio.gather(*(harness.process(batch) for batch in batches))
        tables = await harness.tables()
    assert len(tables.ledger) == len(tables.payments) == 1
    assert sum(plan.duplicates for processed in plans for plan in processed) == 19
    assert tables.payments[0]["captured"] == 1000
    assert tables.letters == tables.parked == []


@pytest.mark.parametrize("kind", ["refund.succeeded", "customer.updated"])
async def test_an_event_that_opens_nothing_comes_20_times_at_once(database: Database, kind: str) -> None:
    async with batch_harness(database.dsn, connections=20) as harness:
        event = webhook(kind, "p", child="r")
        await asyncio.gather(*(harness.process(records([event], partition=number)) for number in range(20)))
        tables = await harness.tables()
    assert len(tables.ledger) + len(tables.parked) == 1
    assert tables.letters == []


async def test_the_same_event_twice_in_a_batch_and_again_later_is_one_row(harness: BatchHarness) -> None:
    event = webhook("payment.created", "p")
    first = await harness.process(records([event, event]))
    second = await harness.process(records([event], first=2))
    assert [plan.duplicates for plan in (*first, *second)] == [1, 1]
    assert len((await harness.tables()).ledger) == 1


async def test_a_copy_with_other_facts_is_a_conflict_letter_and_the_first_stands(harness: BatchHarness) -> None:
    first = webhook("payment.authorized", "p", amount=1000, event_id="e")
    second = webhook("payment.authorized", "p", amount=2000, event_id="e")
    await harness.process(records([first, second]))
    await harness.process(records([second], first=2))
    tables = await harness.tables()
    assert tables.payments[0]["authorized"] == 1000
    assert len(tables.ledger) == 1
    assert [row["reason"] for row in tables.letters] == ["conflict"], "the same bytes again are the same letter"


async def test_other_bytes_of_the_same_facts_are_no_conflict(harness: BatchHarness) -> None:
    event = webhook("payment.created", "p")
    spaced = event._replace(value=event.value.replace(b",", b" ,\n"))
    await harness.process(records([event]))
    plans = await harness.process(records([spaced], first=1))
    assert [plan.duplicates for plan in plans] == [1]
    assert (await harness.tables()).letters == []


def stripe(event_id: str, kind: str, **more: Any) -> Event:
    """Make an event of Stripe as the ingress publishes it."""
    headers = Attributes("stripe", event_id, kind, 1.79e9).to_headers()
    return Event(event_id, b"ch_1", json.dumps({"type": kind, **more}).encode(), headers)


def refunded(*, listed: bool, count: int) -> Event:
    """Return one event of Stripe as two versions of its API write it: the older one lists the refunds."""
    charge: dict[str, Any] = {"id": "ch_1", "amount": 1000, "amount_refunded": 300, "captured": True, "currency": "eur"}
    if listed:
        one = {"id": "re_1", "status": "succeeded", "amount": 300, "balance_transaction": "txn_1"}
        charge["refunds"] = {"data": [one]}
    return stripe("evt_1", "charge.refunded", pending_webhooks=count, data={"object": charge})


async def test_what_a_richer_copy_of_an_event_adds_is_joined_once(harness: BatchHarness) -> None:
    taken = {"id": "ch_1", "amount": 1000, "captured": True, "currency": "eur", "status": "succeeded"}
    paid = stripe("evt_0", "charge.succeeded", data={"object": taken})
    await harness.process(records([paid, refunded(listed=False, count=2)]))
    outcomes = []
    for place, listed in enumerate((True, True, False), start=2):
        plans = await harness.process(records([refunded(listed=listed, count=place)], first=place))
        outcomes.append((sum(len(plan.rows) for plan in plans), sum(plan.duplicates for plan in plans)))
    tables = await harness.tables()
    assert outcomes == [(1, 0), (0, 1), (0, 1)], "the copy that says more is a row, each that says no more is none"
    assert sum("#" in event_id for _, event_id in tables.dedupe_keys) == 1
    assert (tables.payments[0]["refunded"], tables.letters) == (300, [])
    assert "refund:re_1" in tables.payments[0]["facts"]


async def test_a_batch_cut_off_at_its_commit_is_processed_again_without_a_trace(harness: BatchHarness) -> None:
    """The commit went through, its answer did not: the batch comes again."""
    events = [*five_hundred()[:50], webhook("payment.teleported", "x")]
    batch = records(events)
    await harness.process(batch)
    before = await harness.tables()
    plans = await harness.process(batch)
    assert await harness.tables() == before
    assert sum(plan.duplicates for plan in plans) == 50


async def test_an_error_nobody_foresaw_is_that_records_own_letter(harness: BatchHarness) -> None:
    async def process(items: Sequence[Item]) -> Plan:
        if any(record.offset == 9 and not hasattr(item, "reason") for record, item in items):
            raise ZeroDivisionError
        return await harness.writer.process(items)

    batch = records(five_hundred()[:20])
    await harness.processor(process).write([decoded(record) for record in batch])
    tables = await harness.tables()
    assert len(tables.dedupe_keys) + len(tables.parked) == 19
    assert [(row["reason"], row["offset"]) for row in tables.letters] == [("unexpected", 9)]


async def flagged_at(harness: BatchHarness) -> Any:
    return await harness.pool.fetchval("select flagged_at from payments")


async def test_a_flag_is_dated_from_when_it_was_raised_until_it_goes(harness: BatchHarness) -> None:
    await harness.process(records([webhook("payment.captured", "p", amount=1000, child="c", event_id="e1")]))
    assert await flagged_at(harness) is None
    await harness.process(records([webhook("refund.succeeded", "p", amount=1500, child="r", event_id="e2")]))
    raised = await flagged_at(harness)
    assert raised == await harness.pool.fetchval("select updated_at from payments")
    await harness.process(records([webhook("refund.succeeded", "p", amount=100, child="s", event_id="e3")]))
    assert await flagged_at(harness) == raised, "it stands since"
    assert await harness.pool.fetchval("select updated_at from payments") > raised
    await harness.process(records([webhook("payment.captured", "p", amount=1000, child="d", event_id="e4")]))
    assert (await flagged_at(harness), await harness.pool.fetchval("select flags from payments")) == (None, [])


async def test_a_payment_that_opens_with_a_flag_is_dated(harness: BatchHarness) -> None:
    await harness.process(
        records(
            [
                webhook("payment.captured", "p", amount=1000, child="c", event_id="e1"),
                webhook("refund.succeeded", "p", amount=1500, child="r", event_id="e2"),
            ]
        )
    )
    assert await flagged_at(harness) is not None


async def test_what_a_payment_stood_under_leads_to_the_one_that_it_turned_out_to_be(harness: BatchHarness) -> None:
    promised = uuid.uuid4()
    await harness.process(records([webhook("payment.authorized", "pay", amount=2500, reference="ORD")]))
    await harness.process(intent_records([intent(promised, provider_ref="pay", amount=2500)]))
    known = "select payment_id from reference_payments where kind = 'reference' and ref = 'ORD'"
    assert promised in [row["payment_id"] for row in await harness.pool.fetch(known)]


async def test_an_attempt_that_one_order_gives_up_is_taken_by_the_other_under_which_it_stands(
    harness: BatchHarness,
) -> None:
    """The event names one order; the other one is found by a payment that its batch holds only as a member."""
    one, other = uuid.UUID(int=1, version=4), uuid.UUID(int=2, version=4)
    await harness.process(intent_records([intent(one, reference="ORD-1"), intent(other, reference="ORD-2")]))
    await harness.process(records([webhook("payment.captured", "late", child="b", reference="ORD-1")]))
    await harness.process(records([webhook("payment.authorized", "late", reference="ORD-2")], first=1))
    await harness.process(records([webhook("payment.captured", "early", child="a", reference="ORD-1")], first=2))
    tables = await harness.tables()
    assert {row["provider_ref"]: row["intent_id"] for row in tables.payments if row["client"] is None} == {
        "early": one,
        "late": other,
    }
    assert [row["captured"] for row in tables.payments] == [1000] * 4
    assert broken_chains(tables) == []


@pytest.mark.parametrize("first", ["promise", "payments"])
async def test_the_group_of_a_promise_is_bounded_and_further_payments_are_found_under_it(
    database: Database, first: str
) -> None:
    """A reference that a thousand payments share must not have each of their events lock all of them."""
    promise = intent_records([intent(uuid.UUID("01890000-0000-7000-8000-000000000001"), reference="ORD", amount=5000)])
    names = [f"pay-{number}" for number in range(6)]
    captures = [webhook("payment.captured", name, child=name, amount=100, reference="ORD") for name in names]
    async with batch_harness(database.dsn, payments_per_promise_max=3) as harness:
        batches = [promise] if first == "promise" else []
        batches += [records([capture], first=number) for number, capture in enumerate(captures)]
        for batch in [*batches, *([] if first == "promise" else [promise])]:
            await harness.process(batch)
        await harness.process(
            records([webhook("refund.succeeded", name, child=name, amount=10) for name in names], first=90)
        )
        tables = await harness.tables()
        adopted = [row for row in tables.payments if row["intent_id"] is not None]
        (order,) = [row for row in tables.payments if row["client"] is not None]
        assert (len(adopted), order["captured"], order["refunded"]) == (3, 300, 30)
        assert sum(row["captured"] for row in tables.payments if row["client"] is None) == 600
        assert sorted(row["refunded"] for row in tables.payments) == [10] * 6 + [30]
        found = await harness.fetch("select distinct payment_id from reference_payments where ref = 'ORD'")
        assert (len(found), broken_chains(tables)) == (7, [])


async def test_beside_duplicates_a_run_of_bad_records_halts_its_partition_and_each_counts_once(
    harness: BatchHarness,
) -> None:
    """What parks between them is no success of their partition, whatever came a second time in another one."""
    event = webhook("payment.created", "known", event_id="known")
    known, again = records([event, event], partition=1)
    processor = harness.processor()
    processor._poison = PoisonRun(2)
    await processor.write([decoded(known)])
    waiting = records([webhook("refund.succeeded", f"w{number}", child="r", amount=5) for number in range(8)])
    bad = Dead(Reason.UNEXPECTED, "nobody foresaw it")
    run = [(record, bad) if record.offset % 2 == 0 else decoded(record) for record in waiting]
    plans = await processor.write([decoded(again), *run])
    assert processor.halted.keys() == {(known.topic, 0)}
    assert "at offset 4;" in processor.halted[known.topic, 0]
    assert sum(plan.duplicates for plan in plans) == 1
    behind = records([webhook("payment.created", "behind", event_id="behind")], partition=1, first=2)
    assert await processor.process([*behind, waiting[4]]) is False, "the halted partition's offsets are not committed"
    tables = await harness.tables()
    assert [row["offset"] for row in tables.letters] == [0, 2]
    assert [row["offset"] for row in tables.parked] == [1, 3]
    assert [key for _, key in tables.dedupe_keys] == ["behind", "known"]
