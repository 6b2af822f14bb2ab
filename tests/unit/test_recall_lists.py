"""Providers' lists: what is asked for, and what a page becomes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import providers
from providers.core.recall import Asked, instant, raw_member, reaching, state_id, unix_seconds
from providers.core.refetch import Credentials
from providers.stripe.signature import notification_of

RECALLING = sorted(name for name in providers.names() if (found := providers.find(name)) and found.recall)
CREDENTIALS = Credentials("https://api.example", "key", "secret", "merchant", token="token")
FIRST = Asked(1_790_000_000.4, 1_790_003_600.2, None, 50)


def recall_of(name: str) -> Any:
    found = providers.find(name)
    assert found is not None
    assert found.recall is not None
    return found.recall


def stripe_event(key: str, kind: str = "payment_intent.succeeded") -> dict[str, Any]:
    thing = {"id": "pi_1", "object": "payment_intent", "amount": 1}
    return {"id": key, "object": "event", "type": kind, "created": 1_790_000_100, "data": {"object": thing}}


def paypal_event(key: str, kind: str = "PAYMENT.CAPTURE.COMPLETED", **resource: Any) -> dict[str, Any]:
    return {"id": key, "event_type": kind, "create_time": "2026-09-21T14:15:00.123Z", "resource": resource}


@pytest.mark.parametrize("name", RECALLING)
def test_a_list_is_asked_at_its_own_host_whatever_names_the_next_page(name: str) -> None:
    recall = recall_of(name)
    assert reaching(recall) > recall.retried_seconds, "what is lost can still be read"
    for listing in recall.lists:
        for page in (None, "x=1", "evt_1"):
            request = listing.request(_with(page), CREDENTIALS)
            assert (request.method, request.url.startswith("https://api.example/")) == ("GET", True)
            assert "key" in request.headers["Authorization"] or "token" in request.headers["Authorization"]


def _with(page: str | None) -> Asked:
    return Asked(FIRST.since, FIRST.until, page, FIRST.items_max)


@pytest.mark.parametrize("name", RECALLING)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"data":1}', b'{"events":{}}', b"\xff", b'{"error":{}}', b"<html>"]
)
def test_what_is_no_page_is_none(name: str, body: bytes) -> None:
    assert [listing.read(FIRST, body) for listing in recall_of(name).lists] == [None] * len(recall_of(name).lists)


def test_stripe_asks_for_whole_seconds_around_the_span() -> None:
    (listing,) = recall_of("stripe").lists
    query = parse_qs(urlsplit(listing.request(_with("evt_9"), CREDENTIALS).url).query)
    assert query == {
        "created[gte]": ["1790000000"],
        "created[lt]": ["1790003601"],
        "limit": ["50"],
        "starting_after": ["evt_9"],
    }


def test_stripes_page_holds_its_events_byte_for_byte_and_leaves_out_what_says_nothing() -> None:
    (listing,) = recall_of("stripe").lists
    events = [
        stripe_event("evt_1"),
        stripe_event("evt_2", "customer.updated"),
        stripe_event("evt_3", "charge.new_kind"),
    ]
    texts = [json.dumps(event, indent=3) for event in events]
    body = '{ "object": "list", "has_more": true, "data": [' + " , ".join(texts) + "]}"
    page = listing.read(FIRST, body.encode())
    assert [one.notification.body.decode() for one in page.items] == [texts[0], texts[2]]
    assert (page.items[0].notification.event_id, page.items[0].notification.payment_ref) == ("evt_1", "pi_1")
    assert {one.occurred_at for one in page.items} == {1_790_000_100.0}
    assert page.following == "evt_3"
    assert page.items[0].notification == notification_of(texts[0].encode()), "as its webhook"


@pytest.mark.parametrize(("more", "data"), [(False, [stripe_event("evt_1")]), (True, [])])
def test_stripes_last_page_names_none(more: bool, data: list[Any]) -> None:  # noqa: FBT001 - one of two answers
    (listing,) = recall_of("stripe").lists
    assert (
        listing.read(FIRST, json.dumps({"object": "list", "has_more": more, "data": data}).encode()).following is None
    )


def test_paypals_page_takes_the_query_of_the_next_link_alone() -> None:
    (listing,) = recall_of("paypal").lists
    links = [
        {"rel": "self", "href": "https://evil.example/x?a=1"},
        {"rel": "next", "href": "https://evil.example/y?b=2"},
    ]
    page = listing.read(FIRST, json.dumps({"events": [paypal_event("WH-1", id="C1")], "links": links}).encode())
    assert page.following == "b=2"
    request = listing.request(_with(page.following), CREDENTIALS)
    assert request.url == "https://api.example/v1/notifications/webhooks-events?b=2"
    assert [(one.notification.event_id, one.occurred_at) for one in page.items] == [("WH-1", 1_790_000_100.123)]


def test_paypals_dispute_of_several_transactions_makes_the_events_that_its_webhook_makes() -> None:
    (listing,) = recall_of("paypal").lists
    transactions = [{"seller_transaction_id": "T1"}, {"seller_transaction_id": "T2"}]
    event = paypal_event("WH-2", "CUSTOMER.DISPUTE.CREATED", dispute_id="PP-1", disputed_transactions=transactions)
    page = listing.read(FIRST, json.dumps({"events": [event]}).encode())
    assert [one.notification.payment_ref for one in page.items] == ["T1", "T2"]
    assert len({one.notification.event_id for one in page.items}) == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5.0), (True, None), ("2026-09-21T14:15:00Z", 1_790_000_100.0), ("2026-09-21T14:15:00", 1_790_000_100.0),
        ("soon", None), (None, None),
    ],
)  # fmt: skip
def test_times_are_read(value: object, expected: float | None) -> None:
    assert unix_seconds(value) == expected
    assert instant(1_790_000_100.9) == "2026-09-21T14:15:00Z"


def test_a_state_is_known_by_what_it_says_not_by_the_order_of_its_fields() -> None:
    assert state_id("pay_1", {"a": 1, "b": 2}) == state_id("pay_1", {"b": 2, "a": 1})
    assert state_id("pay_1", {"a": 1}) != state_id("pay_1", {"a": 2})
    assert state_id("pay_1", {}).startswith("recall:pay_1:")


def test_a_broken_character_costs_no_item() -> None:
    assert raw_member(b'{"data":[{"name":"\xff"},{"a":1}]}', "data") is not None
