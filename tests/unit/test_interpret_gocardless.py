"""What GoCardless's kinds come to as facts: they tell neither amount nor currency."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from events import intent
from memory_tables import MemoryTables
from vector_events import body_of, changed, facts, genuine, interpreted, meaning, refs, refused

import providers
from consumer.fold import newer, project
from providers.core.refetch import Credentials, Fetched
from schemas.facts import Meaning

pytestmark = pytest.mark.unit


def failed(key: str) -> set[tuple[str, ...]]:
    return {("attempt", key, "failed"), ("capture", key, "pending"), ("reversal", key, "failed")}


def test_real_bodies() -> None:
    confirmed = meaning("gocardless", "event_many", 0)
    taken = {("capture", "PM0001", "succeeded")}
    assert facts(confirmed) == taken
    assert refs(confirmed) == [("payment", "PM0001")]
    assert (confirmed.opens, confirmed.currency, confirmed.amount) == (False, None, None)
    assert facts(meaning("gocardless", "event_paid_out")) == taken
    assert facts(meaning("gocardless", "event_many", 1)) == failed("PM0002")
    assert facts(meaning("gocardless", "event_many", 2)) == {
        ("dispute", "PM0003", "open"),
        ("dispute_out", "PM0003", "withdrawn"),
    }
    settled = meaning("gocardless", "event_many", 3)
    assert facts(settled) == {("refund", "RF0001", "succeeded")}
    assert refs(settled) == [("refund", "RF0001")]


@pytest.mark.parametrize("place", [0, 1])
def test_kinds_about_no_payment(place: int) -> None:
    assert meaning("gocardless", "official_two_events", place) == Meaning()


def event(kind: str, **more: Any) -> dict[str, Any]:
    resource, action = kind.split(".")
    return {**body_of("gocardless", "event_paid_out"), "resource_type": resource, "action": action, **more}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("created", {("attempt", "PM0001", "created")}),
        ("submitted", {("attempt", "PM0001", "processing")}),
        ("resubmission_requested", {("attempt", "PM0001", "processing")}),
        ("cancelled", {("end", "PM0001", "canceled")}),
        ("customer_approval_denied", {("attempt", "PM0001", "failed")}),
        ("late_failure_settled", failed("PM0001")),
        ("chargeback_settled", {("dispute", "PM0001", "lost"), ("dispute_out", "PM0001", "withdrawn")}),
        ("chargeback_cancelled", {("dispute", "PM0001", "won"), ("dispute_in", "PM0001", "reinstated")}),
        ("customer_approval_granted", set()),
    ],
)
def test_payments(action: str, expected: set[tuple[str, ...]]) -> None:
    assert facts(interpreted("gocardless", f"payments.{action}", event(f"payments.{action}"))) == expected


@pytest.mark.parametrize(
    ("action", "state"),
    [("created", "pending"), ("paid", "succeeded"), ("failed", "failed"), ("funds_returned", "reversed")],
)
def test_refunds(action: str, state: str) -> None:
    links = {"refund": "RF1", "payment": "PM1"}
    found = interpreted("gocardless", f"refunds.{action}", event(f"refunds.{action}", links=links))
    assert facts(found) == {("refund", "RF1", state)}
    assert refs(found) == [("payment", "PM1"), ("refund", "RF1")]


def test_the_payments_own_metadata_names_the_reference() -> None:
    body = event("payments.confirmed", resource_metadata={"order_id": "ORD-1"}, metadata={"order_id": "other"})
    assert refs(interpreted("gocardless", "payments.confirmed", body)) == [
        ("payment", "PM0001"),
        ("reference", "ORD-1"),
    ]


@pytest.mark.parametrize("kind", ["payments.teleported", "refunds.new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("gocardless", kind, event(kind)) == "unknown_kind"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"events": 7}', event("payments.failed")])
def test_a_body_that_is_not_of_its_kind(body: Any) -> None:
    assert refused("gocardless", "payments.confirmed", body) == "undecodable"
    assert refused("gocardless", "", body) == "undecodable"


@pytest.mark.parametrize("links", [None, {}, {"payment": 7.5}, {"refund": "RF1"}])
def test_a_payment_that_is_not_named(links: Any) -> None:
    body = changed(body_of("gocardless", "event_paid_out"), "links", links)
    assert refused("gocardless", "payments.paid_out", body) == "undecodable"


def test_every_order_around_an_intent() -> None:
    """No event opens the payment, none tells an amount: what was asked for was collected, whole."""
    asked = intent(provider="gocardless", provider_ref="PM0001", capture="manual")
    life = [asked, genuine("gocardless", "event_many", 0), genuine("gocardless", "event_paid_out")]
    for order in permutations(life):
        tables = MemoryTables()
        for one in order:
            tables.process([one])
        assert (tables.only["status"], tables.only["captured"], tables.only["amount"]) == ("captured", 1000, 1000)
        assert not tables.parked
        assert not tables.letters


# --- read at the API ---------------------------------------------------------------------------------------------

PROVIDER = providers.find("gocardless")
assert PROVIDER is not None
assert PROVIDER.refetch is not None
REFETCH = PROVIDER.refetch
CREDENTIALS = Credentials("http://api", "token")


def read(name: str, **thing: Any) -> Meaning:
    body = json.dumps({name: thing}).encode()
    answer = REFETCH.answer(thing["id"], 200, body)
    assert isinstance(answer, Fetched)
    return providers.interpret("gocardless", answer.kind, body)


def test_payments_and_refunds_are_asked_about_and_nothing_else() -> None:
    asked = REFETCH.request("PM1", CREDENTIALS, 0.0)
    assert asked is not None
    assert (asked.method, asked.url) == ("GET", "http://api/payments/PM1")
    assert asked.headers["GoCardless-Version"] == "2015-07-06"
    refund = REFETCH.request("RF1", CREDENTIALS, 0.0)
    assert refund is not None
    assert refund.url == "http://api/refunds/RF1"
    assert all(REFETCH.request(ref, CREDENTIALS, 0.0) is None for ref in ("MD1", "PM", "PM1/../x", "PM1\n", ""))
    body = b'{"payments": {"id": "PM1"}}'
    assert REFETCH.answer("PM1", 200, body) == Fetched("payments", "PM1")
    assert all(REFETCH.answer(*one) is None for one in (("PM2", 200, body), ("PM1", 404, body), ("RF1", 200, body)))


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ("pending_submission", ("created", 0, 0)),
        ("submitted", ("processing", 0, 0)),
        ("paid_out", ("captured", 900, 0)),
        ("failed", ("failed", 0, 0)),
        ("cancelled", ("canceled", 0, 0)),
        ("charged_back", ("captured", 900, 900)),
    ],
)
def test_a_payment_as_the_api_shows_it(status: str, row: tuple[str, int, int]) -> None:
    found = read("payments", id="PM1", amount=900, currency="GBP", status=status, links={"subscription": "SB1"})
    assert refs(found) == [("payment", "PM1"), ("shared", "SB1")]
    assert (found.opens, found.currency, found.amount) == (True, "GBP", 900)
    projection = project(newer({}, found.facts))
    assert (projection.status, projection.captured, projection.disputed) == row


def test_what_was_refunded_in_all_and_one_refund() -> None:
    found = read("payments", id="PM1", amount=900, currency="GBP", status="paid_out", amount_refunded=300)
    assert ("refund_total", "PM1", "succeeded", "300") in facts(found)
    one = read("refunds", id="RF1", amount=300, currency="GBP", status="bounced", links={"payment": "PM1"})
    assert facts(one) == {("refund", "RF1", "failed", "300")}
    assert refs(one) == [("payment", "PM1"), ("refund", "RF1")]
    assert read("refunds", id="RF1", amount=300, currency="GBP", status="paid", links={"mandate": "MD1"}) == Meaning()


def test_a_subscription_made_a_payment() -> None:
    body = event("subscriptions.payment_created", links={"subscription": "SB1", "payment": "PM1"})
    found = interpreted("gocardless", "subscriptions.payment_created", body)
    assert refs(found) == [("payment", "PM1"), ("shared", "SB1")]
    bare = event("subscriptions.payment_created", links={"subscription": "SB1"})
    assert interpreted("gocardless", "subscriptions.payment_created", bare) == Meaning()


@pytest.mark.parametrize(("action", "days"), [("confirmed", 60), ("paid_out", 60), ("submitted", 0), ("failed", 0)])
def test_a_debit_may_be_taken_back_once_any_event_says_that_it_was_collected(action: str, days: int) -> None:
    kind = f"payments.{action}"
    assert interpreted("gocardless", kind, event(kind)).undoable_days == days
