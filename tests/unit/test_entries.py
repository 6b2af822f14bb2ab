"""The ledger's rows, field by field, of an event and of a change that has none."""

from __future__ import annotations

import datetime as dt

import pytest
from events import placed, standard, understood
from memory_tables import payment
from msgspec.structs import replace

import providers
from consumer.entries import OWN_SOURCE, Entries
from consumer.facts_json import NO_FACTS
from consumer.ledger import LedgerEntry
from consumer.plan import Plan
from schemas.payment import Outcome, Projection, Status

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 11, 28, 8, tzinfo=dt.UTC)


def test_a_change_without_an_event_is_a_version_and_a_row_of_no_place_in_kafka() -> None:
    plan, one = Plan(), payment(version=3, head_xid=5)
    Entries(plan, NOW, 7).add_change(one, "payment.merged", Projection())
    row = LedgerEntry(
        payment_id=one.id,
        source=OWN_SOURCE,
        event_id=f"{one.id}:4",
        event_type="payment.merged",
        outcome=Outcome.APPLIED,
        from_status=Status.CREATED,
        to_status=Status.CREATED,
        amount=None,
        version=4,
        facts=NO_FACTS,
        topic="",
        partition=0,
        offset=0,
        occurred_at=None,
        recorded_at=NOW,
        relay_xid=7,
    )
    row.seal(b"")
    assert plan.rows == [row]
    assert (one.version, one.head_hash, one.head_xid, plan.changed) == (4, row.hash, 7, {one.id: one})


def test_a_row_is_chained_to_the_one_before_and_never_ordered_below_it() -> None:
    plan, one = Plan(), payment(head_hash=b"before", head_xid=9)
    (record,) = placed([standard("payment.captured")], partition=2, first=11)
    entries = Entries(plan, NOW, 7)
    row = entries.add_event(understood(record), one, Outcome.NOOP, before=Status.CREATED, version=None, facts=NO_FACTS)
    assert (row.topic, row.partition, row.offset, row.relay_xid) == (record.topic, 2, 11, 9)
    sealed = row.hash
    assert (row.seal(b"before"), one.head_hash, one.head_xid) == (sealed, sealed, 9)


def test_a_change_without_an_event_is_chained_to_the_row_before_and_never_ordered_below_it() -> None:
    """After a restore the cluster's transaction ids begin below those of the rows that are there."""
    plan, one = Plan(), payment(head_hash=b"before", head_xid=9)
    entries = Entries(plan, NOW, 7)
    entries.add_change(one, "attempt.adopted", Projection())
    entries.add_change(one, "attempt.released", Projection())
    first, second = plan.rows
    assert (first.relay_xid, second.relay_xid, one.head_xid) == (9, 9, 9)
    sealed = first.hash, second.hash
    assert (first.seal(b"before"), second.seal(sealed[0]), one.head_hash) == (*sealed, sealed[1])


def test_a_row_of_no_payment_is_chained_to_none() -> None:
    plan = Plan()
    row = Entries(plan, NOW, 7).add_event(
        understood(standard("payment.captured")), None, Outcome.NOOP, before=None, version=None, facts=NO_FACTS
    )
    assert (row.payment_id, row.to_status, row.relay_xid, plan.rows) == (None, None, 7, [row])
    assert row.hash == row.seal(b"")


def test_the_row_of_an_event_has_each_of_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meaning's version is that of the source's provider: by it a copy that is read anew is no conflict."""
    monkeypatch.setattr(providers, "meaning_version", {"standard_webhooks/acme": 7}.__getitem__)
    plan, one = Plan(), payment(projection=Projection(status=Status.CAPTURED, amount=1000))
    event = replace(
        understood(standard("payment.captured", amount=400)), source="standard_webhooks/acme", traceparent="trace"
    )
    entries = Entries(plan, NOW, 7)
    row = entries.add_event(event, one, Outcome.LATE, before=Status.AUTHORIZED, version=3, facts=NO_FACTS)
    assert (row.source, row.event_id, row.event_type) == ("standard_webhooks/acme", event.event_id, "payment.captured")
    assert (row.payment_id, row.outcome, row.version, row.amount) == (one.id, Outcome.LATE, 3, 400)
    assert (row.from_status, row.to_status) == (Status.AUTHORIZED, Status.CAPTURED)
    assert (row.occurred_at, row.recorded_at) == (dt.datetime(2026, 9, 21, 14, 18, 20, tzinfo=dt.UTC), NOW)
    assert (row.traceparent, row.meaning) == ("trace", 7)
    untimed = replace(event, meaning=replace(event.meaning, occurred_at=None))
    row = entries.add_event(untimed, one, Outcome.NOOP, before=None, version=None, facts=NO_FACTS)
    assert row.occurred_at is None, "nothing tells when it happened"


def test_a_change_without_an_event_tells_the_customer() -> None:
    """An order that its attempt paid is paid by no event of its own."""
    plan = Plan()
    paid = payment(phone="+4915112345678", projection=Projection(status=Status.CAPTURED, captured=5, amount=5))
    Entries(plan, NOW, 7).add_change(paid, "intent.attempts", Projection(status=Status.AUTHORIZED))
    (row,) = plan.rows
    assert (row.from_status, row.to_status) == (Status.AUTHORIZED, Status.CAPTURED)
    assert [message.template for message in plan.messages] == ["captured"]
