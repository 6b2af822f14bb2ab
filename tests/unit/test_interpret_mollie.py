"""What Mollie's kinds come to as facts."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, REFUND = "tr_uWILe4je6K", "re_lLsxYMdsfK"
TERMS = ("terms", KEY, "asked", "74326")
RESERVED = ("authorization", KEY, "authorized", "74326")
ENTITY = "_embedded.entity"


def test_real_bodies() -> None:
    found = meaning("mollie", "event_payment_authorized")
    assert facts(found) == {TERMS, RESERVED}
    assert refs(found) == [("payment", KEY), ("reference", "ORD-HNU8TTZ2NM")]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "USD", 74326, KEY)
    assert facts(meaning("mollie", "event_payment_paid")) == {
        TERMS,
        RESERVED,
        ("capture", KEY, "succeeded", "74326"),
    }
    failed = {(kind, "tr_RjtQ7S3g4B", "failed") for kind in ("attempt", "void")}
    assert facts(meaning("mollie", "event_payment_failed")) == {("terms", "tr_RjtQ7S3g4B", "asked", "73512"), *failed}
    expired = ("end", "tr_qHWthUWMJZ", "expired")
    assert facts(meaning("mollie", "event_payment_expired")) == {("terms", "tr_qHWthUWMJZ", "asked", "228176"), expired}
    pending = meaning("mollie", "event_refund_pending")
    assert facts(pending) == {("refund", REFUND, "pending", "74326")}
    assert refs(pending) == [("payment", KEY), ("refund", REFUND)]
    assert not pending.opens
    assert facts(meaning("mollie", "event_refund_refunded")) == {("refund", REFUND, "succeeded", "74326")}
    assert facts(meaning("mollie", "event_refund_failed")) == {("refund", "re_NZeEqF4DOO", "failed", "163123")}


@pytest.mark.parametrize("case", ["legacy_payment", "legacy_order", "legacy_made_up_id"])
def test_the_old_kind_names_a_payment_and_says_nothing(case: str) -> None:
    found = meaning("mollie", case)
    assert found.facts == ()
    assert [kind for kind, _ in refs(found)] == ["payment"]


@pytest.mark.parametrize("body", [b"", b"{}", b"id=", b"id=tr_1&id=tr_2", b"id=../x", b"a=1&" * 2000])
def test_what_is_no_old_webhook(body: bytes) -> None:
    assert refused("mollie", "", body) == "undecodable"


def test_the_simple_form_lacks_the_entity_and_has_the_payment_read_at_the_api() -> None:
    """Signed, and of a payment that it names: a dead letter would leave its money unknown."""
    simple = body_of("mollie", "event_simple_payload")
    assert interpreted("mollie", "payment.paid", simple) == Meaning(ask=simple["entityId"])
    assert interpreted("mollie", "payment.paid", simple | {"_embedded": None}) == Meaning(ask=simple["entityId"])
    refund = simple | {"type": "refund.refunded", "entityId": "re_1", "_links": {}}
    assert refused("mollie", "refund.refunded", refund) == "undecodable", "it does not name its payment"
    assert refused("mollie", "payment.paid", simple | {"entityId": None}) == "undecodable"
    assert refused("mollie", "payment.paid", simple | {"_embedded": {"entity": []}}) == "undecodable"


@pytest.mark.parametrize("kind", ["refund.failed", "chargeback.received", "capture.succeeded"])
def test_what_the_simple_form_links_under_a_payment_has_that_read_at_the_api(kind: str) -> None:
    href = "https://api.mollie.com/v2/payments/tr_7UhSN1zuXS/refunds/re_1"
    simple = {"resource": "event", "id": "event_1", "type": kind, "entityId": "re_1"}
    simple |= {"_links": {"entity": {"href": href, "type": "application/hal+json"}}}
    assert interpreted("mollie", kind, simple) == Meaning(ask="tr_7UhSN1zuXS")
    assert interpreted("mollie", kind, simple | {"_embedded": None}) == Meaning(ask="tr_7UhSN1zuXS")


def test_a_capture_has_its_payment_read_at_the_api() -> None:
    """A later part of a payment that is paid already may have no other event."""
    capture = {"resource": "capture", "id": "cpt_1", "status": "succeeded", "paymentId": "tr_1"}
    event = {"resource": "event", "id": "event_1", "type": "capture.succeeded", "entityId": "cpt_1"}
    assert interpreted("mollie", "capture.succeeded", event | {"_embedded": {"entity": capture}}) == Meaning(ask="tr_1")
    for odd in ({}, {"_embedded": {"entity": {"paymentId": 3.5}}}, {"_links": {"entity": {"href": "/v2/captures/1"}}}):
        assert interpreted("mollie", "capture.succeeded", event | odd) == Meaning()


def test_a_partial_capture_is_what_was_captured() -> None:
    part = {"value": "43.26", "currency": "USD"}
    body = changed(body_of("mollie", "event_payment_paid"), f"{ENTITY}.amountCaptured", part)
    found = facts(interpreted("mollie", "payment.paid", body))
    assert {RESERVED, ("capture", KEY, "succeeded", "4326")} <= found
    body = changed(body, f"{ENTITY}.amountCaptured", None)
    assert ("capture", KEY, "succeeded", "74326") in facts(interpreted("mollie", "payment.paid", body))


@pytest.mark.parametrize(
    ("kind", "fact"),
    [("payment.pending", ("attempt", KEY, "processing")), ("payment.canceled", ("end", KEY, "canceled"))],
)
def test_other_payments(kind: str, fact: tuple[str, ...]) -> None:
    body = changed(body_of("mollie", "event_payment_paid"), "type", kind)
    assert facts(interpreted("mollie", kind, body)) == {TERMS, fact}


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("refund.queued", ["pending"]),
        ("refund.processing", ["pending"]),
        ("refund.canceled", ["canceled"]),
        ("chargeback.received", ["open", "withdrawn"]),
        ("chargeback.reversed", ["won", "reinstated"]),
    ],
)
def test_other_children(kind: str, states: list[str]) -> None:
    body = changed(body_of("mollie", "event_refund_pending"), "type", kind)
    assert [one.state for one in interpreted("mollie", kind, body).facts] == states


@pytest.mark.parametrize("kind", ["payment.teleported", "refund.new", "capture.new", "chargeback.new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("mollie", kind, {"type": kind}) == "unknown_kind"


@pytest.mark.parametrize("kind", ["payment-link.paid", "sales-invoice.paid", "profile.blocked", "capture.succeeded"])
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("mollie", kind, {"type": kind}) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_payment_paid", "entityId", "tr_another"),
        ("event_payment_paid", "type", "payment.failed"),
        ("event_payment_paid", f"{ENTITY}.amount", {"value": "743.261", "currency": "USD"}),
        ("event_payment_paid", f"{ENTITY}.amount", "743.26"),
        ("event_payment_paid", f"{ENTITY}.amountCaptured", {"value": None, "currency": "USD"}),
        ("event_refund_pending", f"{ENTITY}.paymentId", None),
    ],
    ids=range(6),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = body_of("mollie", case)["type"]
    assert refused("mollie", kind, changed(body_of("mollie", case), path, value)) == "undecodable"


@pytest.mark.parametrize("state", ["expired", "canceled"])
def test_a_try_that_ended_does_not_end_its_order(state: str) -> None:
    """Another try may follow; what this one had reserved is released. A payment without an order is ended for good."""
    body = changed(body_of("mollie", "event_payment_expired"), "type", f"payment.{state}")
    own = "tr_qHWthUWMJZ"
    assert ("end", own, state) in facts(interpreted("mollie", f"payment.{state}", body))
    found = interpreted("mollie", f"payment.{state}", changed(body, f"{ENTITY}.orderId", "ord_1"))
    assert facts(found) == {("terms", own, "asked", "228176"), ("attempt", own, state), ("void", own, state)}
    assert found.provider_ref == "ord_1"


def test_every_order_of_a_life() -> None:
    check_every_order(
        [
            made(
                "mollie",
                "payment.pending",
                changed(body_of("mollie", "event_payment_paid"), "type", "payment.pending"),
                "e",
            ),
            genuine("mollie", "event_payment_authorized"),
            genuine("mollie", "event_payment_paid"),
            genuine("mollie", "event_refund_pending"),
            genuine("mollie", "event_refund_refunded"),
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="full",
        amount=74326,
        authorized=74326,
        captured=74326,
        refunded=74326,
    )


@pytest.mark.parametrize(("mode", "livemode"), [("live", True), ("test", False), ("other", None), (None, None)])
def test_the_mode_is_signed(mode: object, livemode: Any) -> None:
    body = changed(body_of("mollie", "event_payment_paid"), f"{ENTITY}.mode", mode)
    assert interpreted("mollie", "payment.paid", body).livemode is livemode


def test_a_reference_that_can_be_none_is_left_out() -> None:
    """Free text that somebody typed never loses a genuine payment."""
    body = changed(body_of("mollie", "event_payment_paid"), f"{ENTITY}.metadata", {"order_id": "\x00"})
    found = interpreted("mollie", "payment.paid", body)
    assert facts(found) == facts(meaning("mollie", "event_payment_paid"))
    assert refs(found) == [("payment", KEY)]
