"""Which events recall brought first, and which of them came by webhook; and which span of a list is read next."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

import providers
from consumer.decode import Event, decode
from consumer.dispatcher.recall import next_span
from consumer.ledger import LedgerEntry
from consumer.plan import Known, Plan
from consumer.recalled import news_of, objects_named, recall_notes
from providers.core.recall import EVENT_ID_PREFIX
from schemas.facts import Meaning, Ref, RefKind
from schemas.payment import Outcome
from schemas.record import RECALL_HEADER, Attributes, Record
from schemas.topics import INTENTS, WEBHOOKS

BODY = b'{"id":"%s","type":"customer.updated","data":{"object":{"id":"cus_1"}}}'
RECALLED = ((RECALL_HEADER, b"events"),)


def item(event_id: str, *, recalled: bool = False, body: bytes | None = None, topic: str = WEBHOOKS.name) -> Any:
    headers = Attributes("stripe", event_id, "customer.updated", 1.79e9).to_headers() + (RECALLED if recalled else ())
    record = Record(topic, 0, 0, 0, b"k", BODY % event_id.encode() if body is None else body, headers)
    return record, decode(record)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([item("e", recalled=True)], ["first"]),
        ([item("e")], ["webhook"]),
        ([item("e", recalled=True), item("e")], ["first", "webhook"]),
        ([item("e"), item("e", recalled=True)], ["webhook", "known"]),
        ([item("e", recalled=True, body=b"no JSON")], ["first"]),
        ([item("e", body=b"no JSON")], ["webhook"]),
        ([item("in the ledger", recalled=True)], ["known"]),
    ],
)
def test_what_is_noted(items: list[Any], expected: list[str]) -> None:
    known = Known(reported={("stripe", "in the ledger"): "[]"})
    assert [what for _, _, what in recall_notes(items, known, WEBHOOKS.name)] == expected


def test_what_is_no_webhook_is_not_noted() -> None:
    nameless = Record(WEBHOOKS.name, 0, 0, 0, None, b"", ())
    hint = Record(WEBHOOKS.name, 0, 0, 0, None, b"id=tr_1", (("ce_id", b"1"), ("ce_source", b"mollie")))
    intent = item("e", topic=INTENTS.name)
    items = [(nameless, decode(nameless)), (hint, decode(hint)), intent]
    assert recall_notes(items, Known(), WEBHOOKS.name) == []


def test_what_an_api_answered_came_by_no_webhook() -> None:
    """Noted as one, an event that recall has to bring passes for one that came."""
    record, event = item("refetch:1")
    assert isinstance(event, Event)
    answer = structs.replace(event, kind="refetch.charge")
    assert recall_notes([(record, answer)], Known(), WEBHOOKS.name) == []


def booked(event_id: str, outcome: Outcome) -> LedgerEntry:
    return LedgerEntry(
        None, "stripe", event_id, "k", outcome, None, None, None, None, "[]", "", 0, 0, None, NOW, relay_xid=1
    )


def test_a_state_of_an_object_that_brought_nothing_new_had_come_by_webhook() -> None:
    """Else each look at a list counts all that webhooks had brought as missed."""
    outcomes = {f"{EVENT_ID_PREFIX}{one}": one for one in Outcome} | {"evt_1": Outcome.NOOP, "evt_2": Outcome.LATE}
    notes = [("stripe", event_id, "first") for event_id in (*outcomes, f"{EVENT_ID_PREFIX}waits")]
    plan = Plan(rows=[booked(event_id, outcome) for event_id, outcome in outcomes.items()])
    new = {event_id for _, event_id, _ in news_of(notes, plan)}
    states = {f"{EVENT_ID_PREFIX}{one}" for one in ("applied", "conflict", "waits")}
    assert new == states | {"evt_1", "evt_2"}
    others = [("adyen", f"{EVENT_ID_PREFIX}noop", "first")]
    assert news_of(others, plan) == others, "another source's event of the same id"


@pytest.mark.parametrize(
    ("changes", "named"), [({}, True), ({"recalled": True}, False), ({"kind": "refetch.x"}, False)]
)
def test_only_webhooks_name_the_objects_that_a_list_shows(changes: dict[str, Any], named: bool) -> None:  # noqa: FBT001
    """What recall or an answer names has been seen there already: it would be noted as come by webhook."""
    record, event = item("e")
    assert isinstance(event, Event)
    one = structs.replace(
        event,
        provider=OBJECTS,
        source=OBJECTS,
        meaning=Meaning(refs=(Ref(RefKind.PAYMENT, "b"), Ref(RefKind.REFUND, "a"))),
        **changes,
    )
    found = [(OBJECTS, "a"), (OBJECTS, "b")] if named else []
    assert objects_named([(record, one), (record, one)]) == found
    assert objects_named([(record, structs.replace(one, provider="stripe"))]) == [], "its list is of events"


NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
OBJECTS = next(
    name
    for name in sorted(providers.names())
    if (found := providers.find(name)) is not None
    and found.refetch is not None
    and found.recall is not None
    and any(one.objects for one in found.recall.lists)
)
EVENTS = providers.find("stripe").recall.lists[0]  # type: ignore[union-attr]


def cursor(**more: Any) -> Any:
    began, read = NOW - dt.timedelta(days=9), NOW - dt.timedelta(hours=1)
    return {"now": NOW, "began_at": began, "read_until": read, "since": None, "until": None, "page": None} | more


def back(hours: float) -> float:
    return (NOW - dt.timedelta(hours=hours)).timestamp()


def test_a_span_begins_before_the_last_one_ended() -> None:
    span = next_span(cursor(), EVENTS, 120.0)
    assert span is not None
    assert (span.since, span.until, span.page) == (back(1) - EVENTS.late_seconds, back(0) - 120, None)


def test_a_span_begins_neither_before_the_secret_was_configured_nor_out_of_reach() -> None:
    new = next_span(cursor(began_at=NOW - dt.timedelta(hours=1)), EVENTS, 120.0)
    old = next_span(cursor(began_at=NOW - dt.timedelta(days=99), read_until=NOW - dt.timedelta(days=99)), EVENTS, 120.0)
    assert new is not None
    assert old is not None
    assert (new.since, old.since) == (back(1), back(30 * 24))
    assert next_span(cursor(began_at=NOW, read_until=NOW), EVENTS, 120.0) is None


def test_a_span_under_way_goes_on() -> None:
    since, until = NOW - dt.timedelta(hours=3), NOW - dt.timedelta(hours=2)
    span = next_span(cursor(since=since, until=until, page="evt_5"), replace(EVENTS, late_seconds=1.0), 120.0)
    assert span is not None
    assert (span.since, span.until, span.page) == (back(3), back(2), "evt_5")
