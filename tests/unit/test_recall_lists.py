"""Providers' lists: what is asked for, and what a page becomes."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import providers
from providers.core.catalogue import Catalogue, Decision, Kind
from providers.core.recall import Page, PageAsked, instant, raw_member, state_id, unix_seconds, worth_recalling
from providers.core.refetch import Credentials
from providers.stripe.signature import notification_of
from schemas.errors import UninterpretableError

RECALLING = sorted(name for name in providers.names() if (found := providers.find(name)) and found.recall)
CREDENTIALS = Credentials("https://api.example", "key", "secret", "merchant", token="token")
BASIC = base64.b64encode(b"key:secret").decode()
FIRST = PageAsked(1_790_000_000.4, 1_790_003_600.2, None, 50)


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
    assert min(one.reach_seconds for one in recall.lists) > recall.retried_seconds, "what is lost can still be read"
    for listing in recall.lists:
        for page in (None, "x=1", "evt_1"):
            request = listing.request(_with(page), CREDENTIALS)
            assert request.method in {"GET", "POST"}
            assert request.url.startswith("https://api.example/")
            assert any(one in request.headers["Authorization"] for one in ("key", "token", BASIC))


def _with(page: str | None) -> PageAsked:
    return PageAsked(FIRST.since, FIRST.until, page, FIRST.items_max)


@pytest.mark.parametrize("name", RECALLING)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"data":1}', b'{"events":{}}', b"\xff", b'{"errors":[{}]}', b"<html>"]
)
def test_what_is_no_page_is_none(name: str, body: bytes) -> None:
    empty = name == "square" and body in {b"{}", b'{"data":1}'}
    for listing in recall_of(name).lists:
        page = listing.read(FIRST, body)
        assert page == (Page(()) if empty else None), "Square leaves out what is empty"


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


@pytest.mark.parametrize(
    "link",
    [
        {},
        {"href": None},
        {"href": ""},
        {"href": "https://api-m.paypal.com/v1/notifications/webhooks-events"},
        {"href": "https://api-m.paypal.com/v1/notifications/webhooks-events?"},
        {"href": "https://api-m.paypal.com/v1/notifications/webhooks-events?page=\u00e9"},
        {"href": "https://api-m.paypal.com/x?page=a\x7fb"},
        {"href": "https://[::1/x?page=2"},
    ],
)
def test_paypals_page_whose_next_one_can_t_be_asked_for_is_none(link: dict[str, Any]) -> None:
    """It is neither the end of the list, nor is the first page the next one."""
    (listing,) = recall_of("paypal").lists
    body = {"events": [paypal_event("WH-1", id="C1")], "links": [{"rel": "self"}, {"rel": "next"} | link]}
    assert listing.read(FIRST, json.dumps(body).encode()) is None
    assert listing.read(FIRST, json.dumps(body | {"events": []}).encode()) == Page(()), "nothing, so the end"
    assert listing.read(FIRST, json.dumps(body | {"links": [{"rel": "self"}]}).encode()).following is None


def test_a_next_page_of_paypal_s_with_a_long_name_is_named_as_it_is() -> None:
    """Who asks says that it is too long; without it the rest of the list would be left out unsaid."""
    (listing,) = recall_of("paypal").lists
    links = [{"rel": "next", "href": f"https://api-m.paypal.com/x?{'a' * 2001}"}]
    page = listing.read(FIRST, json.dumps({"events": [paypal_event("WH-1", id="C1")], "links": links}).encode())
    assert page.following == "a" * 2001


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


def test_a_time_without_a_zone_is_one_of_no_machine_s_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert unix_seconds("2026-09-21T14:15:00") == 1_790_000_100.0
        assert instant(1_790_000_100.9) == "2026-09-21T14:15:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_state_is_known_by_what_it_says_not_by_the_order_of_its_fields() -> None:
    assert state_id("pay_1", {"a": 1, "b": 2}) == state_id("pay_1", {"b": 2, "a": 1})
    assert state_id("pay_1", {"a": 1}) != state_id("pay_1", {"a": 2})
    assert state_id("pay_1", {}).startswith("recall:pay_1:")


def test_two_states_of_an_object_have_one_id_never() -> None:
    """What has the id of another is taken for its repetition, so all of the digest stands in it."""
    assert re.fullmatch(r"recall:pay_1:[0-9a-f]{64}", state_id("pay_1", {"a": 1}))


@pytest.mark.parametrize("name", sorted(set(RECALLING) - {"mollie", "razorpay"}))
def test_what_is_refused_on_purpose_and_what_nobody_knows_is_listed_too(name: str) -> None:
    """Somebody has to look at it, whichever way it came; only what surely moves nothing is left out."""
    found = providers.find(name)
    assert found is not None
    assert found.catalogue is not None
    for kind, decided in found.catalogue.kinds.items():
        assert worth_recalling(found.catalogue, kind) == (decided.decision != "nothing"), kind
    refused = Catalogue("x", "x", "x", {"refused": Kind(Decision.REFUSED, "x"), "nothing": Kind(Decision.NOTHING, "x")})
    assert [worth_recalling(refused, kind) for kind in ("refused", "nothing", "of tomorrow", None)] == [
        True,
        False,
        True,
        True,
    ]


def test_a_broken_character_costs_no_item() -> None:
    assert raw_member(b'{"data":[{"name":"\xff"},{"a":1}]}', "data") is not None


def test_gocardless_pages_by_the_last_event_and_keeps_their_bytes() -> None:
    (listing,) = recall_of("gocardless").lists
    request = listing.request(_with("EV9"), CREDENTIALS)
    assert request.headers["GoCardless-Version"] == "2015-07-06"
    query = parse_qs(urlsplit(request.url).query)
    assert query == {
        "created_at[gte]": ["2026-09-21T14:13:20.400Z"], "created_at[lt]": ["2026-09-21T15:13:20.200Z"],
        "limit": ["50"], "after": ["EV9"],
    }  # fmt: skip
    event = {
        "id": "EV1", "created_at": "2026-09-21T14:15:00.000Z", "resource_type": "payments", "action": "confirmed",
        "links": {"payment": "PM1"},
    }  # fmt: skip
    body = {"events": [event, event | {"resource_type": "payments", "action": "customer_approval_granted"}]}
    page = listing.read(FIRST, json.dumps(body | {"meta": {"cursors": {"after": "EV1", "before": None}}}).encode())
    [one] = page.items
    assert (one.notification.event_id, one.notification.kind) == ("EV1", "payments.confirmed")
    assert (json.loads(one.notification.body), one.occurred_at, page.following) == (event, 1_790_000_100, "EV1")
    assert listing.read(FIRST, b'{"events":[],"meta":{"cursors":{"after":null}}}') == Page(())


def test_square_searches_whole_seconds_with_the_same_query_for_each_page() -> None:
    (listing,) = recall_of("square").lists
    first, second = (json.loads(listing.request(_with(page), CREDENTIALS).body) for page in (None, "next"))
    span = {"start_at": "2026-09-21T14:13:20Z", "end_at": "2026-09-21T15:13:21Z"}
    assert first["query"]["filter"]["created_at"] == span
    assert first["query"]["sort"] == {"field": "DEFAULT", "order": "ASC"}, "what is new comes at the end"
    assert second == first | {"cursor": "next"}
    event = {"event_id": "e1", "type": "payment.updated", "created_at": "2026-09-21T14:15:00Z",
             "data": {"object": {"payment": {"id": "p1"}}}}  # fmt: skip
    page = listing.read(FIRST, json.dumps({"events": [event], "cursor": "next"}).encode())
    assert [(one.notification.event_id, one.notification.payment_ref) for one in page.items] == [("e1", "p1")]
    assert page.following == "next"


def mollie_page(*payments: dict[str, Any], following: str | None = None) -> bytes:
    link = {"href": f"https://api.mollie.com/v2/payments?from={following}&limit=5"} if following else None
    return json.dumps({"_embedded": {"payments": payments}, "_links": {"next": link}}).encode()


def mollie_payment(created: str, **more: Any) -> dict[str, Any]:
    amount = {"value": "10.00", "currency": "EUR"}
    return {"id": "tr_1", "status": "open", "amount": amount, "mode": "live", "createdAt": created} | more


@pytest.mark.parametrize(
    "link",
    [{}, {"href": None}, {"href": "https://api.mollie.com/v2/payments?limit=5"}, {"href": "https://[x?from=tr_0"}],
)
def test_mollies_page_whose_next_one_can_t_be_asked_for_is_none(link: dict[str, Any]) -> None:
    (listing,) = recall_of("mollie").lists
    inside, before = mollie_payment("2026-09-21T14:15:00Z"), mollie_payment("2026-09-21T14:00:00Z")
    for payments, page in (([inside], None), ([before], Page(())), ([], Page(()))):
        body = {"_embedded": {"payments": payments}, "_links": {"next": link}}
        assert listing.read(FIRST, json.dumps(body).encode()) == page, "where the list has ended, no link is needed"


def test_a_payment_of_mollie_is_an_event_a_state() -> None:
    (listing,) = recall_of("mollie").lists
    opened, paid = mollie_payment("2026-09-21T14:15:00Z"), {"status": "paid", "paidAt": "2026-09-21T14:16:00Z"}
    states = [opened, opened | {"description": "changed"}, opened | paid]
    ids, times = [], []
    for state in states:
        [one] = listing.read(FIRST, mollie_page(state)).items
        ids.append(one.notification.event_id)
        times.append(one.occurred_at)
        assert (one.ref, one.notification.kind, one.notification.trust) == ("tr_1", "recall.payment", "verified")
    assert ids[0] == ids[1] != ids[2]
    assert times == [1_790_000_100, 1_790_000_100, 1_790_000_160]
    meaning = providers.interpret("mollie", "recall.payment", json.dumps(states[2]).encode())
    assert meaning == providers.interpret("mollie", "refetch.payment", json.dumps(states[2]).encode())
    with pytest.raises(UninterpretableError):
        providers.interpret("mollie", "recall.order", b"{}")


def test_each_part_that_mollie_captured_is_a_state() -> None:
    (listing,) = recall_of("mollie").lists
    parts = [{"amountCaptured": {"value": value, "currency": "EUR"}} for value in ("2.00", "5.00", "5.00")]
    held = mollie_payment("2026-09-21T14:15:00Z", status="authorized")
    ids = [listing.read(FIRST, mollie_page(held | part)).items[0].notification.event_id for part in ({}, *parts)]
    assert len(dict.fromkeys(ids)) == 3
    assert ids[2] == ids[3]


def test_mollies_list_is_read_back_to_the_beginning_of_the_span() -> None:
    (listing,) = recall_of("mollie").lists
    inside, later, before = (mollie_payment(f"2026-09-21T{at}Z") for at in ("14:15:00", "16:00:00", "14:00:00"))
    assert [len(listing.read(FIRST, mollie_page(one)).items) for one in (inside, later, before)] == [1, 0, 0]
    assert listing.read(FIRST, mollie_page(later, inside, following="tr_0")).following == "tr_0"
    assert listing.read(FIRST, mollie_page(inside, before, following="tr_0")).following is None
    assert listing.request(_with("tr_0"), CREDENTIALS).url == "https://api.example/v2/payments?limit=50&from=tr_0"


def razorpay_page(*payments: dict[str, Any]) -> bytes:
    return json.dumps({"entity": "collection", "count": len(payments), "items": payments}).encode()


def razorpay_payment(status: str = "captured", **more: Any) -> dict[str, Any]:
    return {
        "id": "pay_1", "entity": "payment", "amount": 1000, "currency": "INR", "status": status, "order_id": "order_1",
        "captured": status == "captured", "amount_refunded": 0, "created_at": 1_790_000_100, "notes": [],
    } | more  # fmt: skip


def test_razorpays_payments_are_asked_by_the_second_and_paged_by_how_many_came() -> None:
    (listing,) = recall_of("razorpay").lists
    query = parse_qs(urlsplit(listing.request(_with("100"), CREDENTIALS).url).query)
    assert query == {"from": ["1790000000"], "to": ["1790003601"], "count": ["50"], "skip": ["100"]}
    far = parse_qs(urlsplit(listing.request(_with("123400"), CREDENTIALS).url).query)
    assert far["skip"] == ["123400"], "a list has no last page but its end"
    few, full = [razorpay_payment()], [razorpay_payment(id=f"pay_{number}") for number in range(50)]
    assert listing.read(_with("100"), razorpay_page(*few)).following is None
    assert listing.read(_with("100"), razorpay_page(*full)).following == "150"
    assert listing.read(FIRST, razorpay_page(*full)).following == "50"
    assert listing.read(FIRST, b'{"entity":"payment","items":[]}') is None


def test_a_payment_of_razorpay_is_an_event_a_state_that_says_what_its_webhook_says() -> None:
    (listing,) = recall_of("razorpay").lists
    states = [razorpay_payment("authorized"), razorpay_payment(), razorpay_payment(notes={"x": "changed"})]
    found = [listing.read(FIRST, razorpay_page(state)).items[0] for state in states]
    ids = [one.notification.event_id for one in found]
    assert ids[0] != ids[1] == ids[2]
    assert [one.occurred_at for one in found] == [1_790_000_100, FIRST.until, FIRST.until]
    assert {(one.ref, one.notification.kind, one.notification.trust) for one in found} == {
        ("pay_1", "recall.payment", "verified")
    }
    for state, kind in ((states[0], "payment.authorized"), (states[1], "payment.captured")):
        event = {"event": kind, "payload": {"payment": {"entity": state}}}
        reported = providers.interpret("razorpay", kind, json.dumps(event).encode())
        assert providers.interpret("razorpay", "recall.payment", json.dumps(state).encode()) == reported


def test_a_hold_of_razorpay_that_was_given_back_is_no_money_that_was_taken() -> None:
    stated = razorpay_payment("refunded", captured=False, amount_refunded=1000)
    facts = providers.interpret("razorpay", "recall.payment", json.dumps(stated).encode()).facts
    assert [(fact.kind, fact.state) for fact in facts if fact.kind != "terms"] == [
        ("authorization", "authorized"),
        ("void", "canceled"),
    ]
    taken = providers.interpret("razorpay", "recall.payment", json.dumps(stated | {"captured": True}).encode()).facts
    assert [fact.kind for fact in taken if fact.kind != "terms"] == ["capture"]
    with pytest.raises(UninterpretableError):
        providers.interpret("razorpay", "recall.refund", json.dumps(stated).encode())


MOVED_NOTHING: dict[str, Any] = {
    "stripe": {"object": "list", "has_more": True, "data": [stripe_event("evt_1", "customer.updated")]},
    "paypal": {
        "events": [paypal_event("WH-1", "CHECKOUT.ORDER.SAVED")],
        "links": [{"rel": "next", "href": "https://api.paypal.com/x?evt_1"}],
    },
    "gocardless": {
        "events": [{"id": "evt_1", "resource_type": "payments", "action": "customer_approval_granted", "links": {}}],
        "meta": {"cursors": {"after": "evt_1"}},
    },
    "square": {"events": [{"event_id": "e1", "type": "customer.created"}], "cursor": "evt_1"},
    "mollie": {
        "_embedded": {"payments": [{"id": "tr_1", "createdAt": "2026-09-21T16:00:00Z"}]},
        "_links": {"next": {"href": "https://api.mollie.com/v2/payments?from=evt_1"}},
    },
}


@pytest.mark.parametrize("name", MOVED_NOTHING)
def test_a_page_of_nothing_that_is_taken_is_not_the_end_of_the_list(name: str) -> None:
    (listing,) = recall_of(name).lists
    assert listing.read(FIRST, json.dumps(MOVED_NOTHING[name]).encode()) == Page((), "evt_1")


@pytest.mark.parametrize(
    ("name", "most"),
    [("stripe", 100), ("paypal", 300), ("gocardless", 500), ("square", 100), ("mollie", 250), ("razorpay", 100)],
)
def test_no_page_is_asked_for_that_is_larger_than_the_api_makes(name: str, most: int) -> None:
    """It would refuse the request, or give fewer than were asked for."""
    (listing,) = recall_of(name).lists
    request = listing.request(PageAsked(FIRST.since, FIRST.until, None, 10_000), CREDENTIALS)
    asked = json.loads(request.body) if request.body else parse_qs(urlsplit(request.url).query)
    (size,) = {str(one) for key in ("limit", "count", "page_size") for one in _as_list(asked.get(key))}
    assert size == str(most)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def test_a_page_of_razorpay_is_full_with_what_it_makes_at_most() -> None:
    (listing,) = recall_of("razorpay").lists
    full = razorpay_page(*(razorpay_payment(id=f"pay_{number}") for number in range(100)))
    assert listing.read(PageAsked(FIRST.since, FIRST.until, None, 10_000), full).following == "100"
    assert listing.read(PageAsked(FIRST.since, FIRST.until, "100", 10_000), full).following == "200"


def test_a_span_of_mollies_list_holds_its_first_moment_and_not_its_last() -> None:
    (listing,) = recall_of("mollie").lists
    asked = PageAsked(1_790_000_100.0, 1_790_000_160.0, None, 50)
    for at, listed in (("14:14:59", 0), ("14:15:00", 1), ("14:15:59", 1), ("14:16:00", 0)):
        assert len(listing.read(asked, mollie_page(mollie_payment(f"2026-09-21T{at}Z"))).items) == listed, at
    on_the_edge = mollie_page(mollie_payment("2026-09-21T14:15:00Z"), following="tr_0")
    assert listing.read(asked, on_the_edge).following == "tr_0", "another may be of the same second"


def test_paypal_is_asked_for_whole_seconds_around_the_span() -> None:
    (listing,) = recall_of("paypal").lists
    query = parse_qs(urlsplit(listing.request(FIRST, CREDENTIALS).url).query)
    assert (query["start_time"], query["end_time"]) == (["2026-09-21T14:13:20Z"], ["2026-09-21T15:13:21Z"])


@pytest.mark.parametrize("name", RECALLING)
def test_a_list_reaches_as_far_back_as_its_provider_shows(name: str) -> None:
    days = {"stripe": 30, "paypal": 30, "gocardless": 90, "square": 28, "mollie": 90, "razorpay": 90}
    (listing,) = recall_of(name).lists
    assert days[name] - 1 < listing.reach_seconds / 86_400 <= days[name]


def test_mollies_and_razorpays_lists_say_that_a_payment_is_another_one_now() -> None:
    """An amount that was lowered, an order that it belongs to, a capture that nothing but a flag shows.

    What failed at Razorpay may be authorized later, when the bank answers.
    """
    changes: dict[str, Any] = {
        "mollie": ({"amount": {"value": "9.00", "currency": "EUR"}}, {"orderId": "ord_1"}),
        "razorpay": (
            {"amount": 900},
            {"order_id": "order_2"},
            {"currency": "USD"},
            *({"captured": False, "status": status} for status in ("captured", "authorized", "failed")),
        ),
    }
    for name, page, whole in (
        ("mollie", mollie_page, mollie_payment("2026-09-21T14:15:00Z")),
        ("razorpay", razorpay_page, razorpay_payment()),
    ):
        (listing,) = recall_of(name).lists
        states = [whole, *(whole | change for change in changes[name])]
        ids = {listing.read(FIRST, page(state)).items[0].notification.event_id for state in states}
        assert len(ids) == len(states), name


def test_what_the_lists_say_of_a_payment_counts_from_when_it_came_to_be_so() -> None:
    (mollie,), (razorpay,) = recall_of("mollie").lists, recall_of("razorpay").lists
    held = mollie_payment("2026-09-21T14:15:00Z", status="authorized", authorizedAt="2026-09-21T14:15:30Z")
    assert mollie.read(FIRST, mollie_page(held)).items[0].occurred_at == 1_790_000_130
    for status, at in (("failed", 1_790_000_100.0), ("refunded", FIRST.until)):
        assert razorpay.read(FIRST, razorpay_page(razorpay_payment(status))).items[0].occurred_at == at


@pytest.mark.parametrize("name", RECALLING)
def test_a_webhook_is_lost_when_its_provider_tries_no_longer(name: str) -> None:
    hours = {"stripe": 72, "paypal": 72, "gocardless": 72, "square": 24, "mollie": 26, "razorpay": 24}
    assert recall_of(name).retried_seconds == hours[name] * 3600
