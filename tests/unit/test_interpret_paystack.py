"""What Paystack's kinds come to as facts."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY = "ord-2scjwvfzgm_aa263d90"
DISPUTED = "ord-dz2yp22jp7_155405b2"


def test_real_bodies() -> None:
    found = meaning("paystack", "event_charge_success")
    assert facts(found) == {
        ("terms", KEY, "asked", "205492"),
        ("capture", KEY, "succeeded", "205492"),
    }
    assert refs(found) == [("payment", KEY), ("reference", "ORD-2SCJWVFZGM"), ("reference", KEY)]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "NGN", 205492, KEY)
    processed = meaning("paystack", "event_refund_processed")
    assert facts(processed) == {("refund", "TRF_2nnnbhl8ywj4134", "succeeded", "205492")}
    assert refs(processed) == [("payment", KEY), ("refund", "TRF_2nnnbhl8ywj4134")]
    failed = meaning("paystack", "event_refund_failed")
    assert facts(failed) == {("refund", "TRF_83h9btbbru5z1xf", "failed", "8260")}
    assert facts(meaning("paystack", "event_charge_dispute_create")) == {("dispute", "4283367", "open")}
    resolved = meaning("paystack", "event_charge_dispute_resolve")
    assert facts(resolved) == {("dispute", "4283367", "won")}
    assert refs(resolved) == [("payment", DISPUTED), ("dispute", "4283367")]
    assert facts(meaning("paystack", "refund_amount_as_text")) == {
        ("refund", "TRF_au0ouix3gt6p0zw", "succeeded", "177953")
    }


def test_a_pending_refund_without_an_id_is_not_counted() -> None:
    found = meaning("paystack", "event_refund_pending")
    assert found.facts == ()
    assert refs(found) == [("payment", KEY)]
    with_id = changed(body_of("paystack", "event_refund_processed"), "event", "refund.processing")
    assert facts(interpreted("paystack", "refund.processing", with_id)) == {
        ("refund", "TRF_2nnnbhl8ywj4134", "pending", "205492")
    }


def test_a_failed_charge_never_undoes_the_next_try() -> None:
    body = changed(body_of("paystack", "event_charge_success"), "data.status", "failed")
    failed = {**body, "event": "charge.failed"}
    assert ("attempt", KEY, "failed") in facts(interpreted("paystack", "charge.failed", failed))
    records = [made("paystack", "charge.failed", failed, "e1"), genuine("paystack", "event_charge_success")]
    check_every_order(records, status="captured", captured=205492)


def hold(kind: str, **more: Any) -> dict[str, Any]:
    data = {"id": 3099, "domain": "live", "reference": "pre_1", "amount": 1000, "currency": "ZAR", "metadata": None}
    return {"event": kind, "data": {**data, **more}}


RESERVED = hold("preauthorization.reserve.success", status="authorized", captured_amount=None)
TAKEN = hold("preauthorization.capture.success", captured_amount="600", transaction={"reference": "pre_1"})


def test_a_preauthorization_is_reserved_taken_and_released() -> None:
    reserved = interpreted("paystack", "preauthorization.reserve.success", RESERVED)
    assert facts(reserved) == {("terms", "pre_1", "asked", "1000"), ("authorization", "pre_1", "authorized", "1000")}
    assert (reserved.opens, reserved.livemode, reserved.currency) == (True, True, "ZAR")
    assert ("capture", "pre_1", "succeeded", "600") in facts(interpreted("paystack", TAKEN["event"], TAKEN))
    whole = hold(TAKEN["event"], captured_amount=None)
    assert ("capture", "pre_1", "succeeded", "1000") in facts(interpreted("paystack", whole["event"], whole))
    out = hold("preauthorization.release.success", expiry_date="2026-11-19T23:28:52.000Z")
    assert ("void", "pre_1", "canceled") in facts(interpreted("paystack", out["event"], out))
    over = hold(out["event"], expired_at="2026-11-19T23:30:00.000Z", expiry_date="2026-11-19T23:28:52.000Z")
    assert ("void", "pre_1", "expired") in facts(interpreted("paystack", over["event"], over))


@pytest.mark.parametrize("part", [{"captured_amount": "odd"}, {"captured_amount": None, "amount": None}], ids=str)
def test_a_hold_s_capture_of_nobody_knows_how_much_is_refused(part: dict[str, Any]) -> None:
    assert refused("paystack", TAKEN["event"], hold(TAKEN["event"], **part)) == "undecodable"


def test_a_hold_s_capture_is_one_capture_in_every_order() -> None:
    charge = {"event": "charge.success", "data": {**TAKEN["data"], "amount": 600, "status": "success"}}
    reported_by = [RESERVED, TAKEN, charge]
    records = [made("paystack", body["event"], body, f"e{number}") for number, body in enumerate(reported_by)]
    check_every_order(records, captured=600, authorized=1000, currency="ZAR")


def test_what_was_not_done_leaves_the_hold() -> None:
    for what in ("capture", "release"):
        assert (
            interpreted("paystack", f"preauthorization.{what}.failed", hold(f"preauthorization.{what}.failed"))
            == Meaning()
        )
    assert refused("paystack", "preauthorization.new", hold("preauthorization.new")) == "unknown_kind"


@pytest.mark.parametrize(("resolution", "state"), [("merchant-accepted", "lost"), ("auto-accepted", "lost")])
def test_disputes(resolution: str, state: str) -> None:
    body = changed(body_of("paystack", "event_charge_dispute_resolve"), "data.resolution", resolution)
    taken = ("dispute_out", "4283367", "withdrawn", "540")
    assert facts(interpreted("paystack", "charge.dispute.resolve", body)) == {("dispute", "4283367", state), taken}
    body = changed(body, "data.refund_amount", None)
    assert taken[:3] in facts(interpreted("paystack", "charge.dispute.resolve", body))


def test_a_reminder_of_a_dispute() -> None:
    body = changed(body_of("paystack", "event_charge_dispute_create"), "event", "charge.dispute.remind")
    assert facts(interpreted("paystack", "charge.dispute.remind", body)) == {("dispute", "4283367", "open")}
    body = changed(body, "data.status", "awaiting-bank-feedback")
    assert facts(interpreted("paystack", "charge.dispute.remind", body)) == {("dispute", "4283367", "under_review")}


@pytest.mark.parametrize(("domain", "livemode"), [("live", True), ("test", False), (None, None), (7, None)])
def test_the_mode_is_signed(domain: object, livemode: Any) -> None:
    body = changed(body_of("paystack", "event_charge_success"), "data.domain", domain)
    assert interpreted("paystack", "charge.success", body).livemode is livemode


@pytest.mark.parametrize(
    ("currency", "reported_as", "amount"), [("XOF", 500000, 5000), ("RWF", "100", 1), ("KES", 150, 150)]
)
def test_amounts_are_hundredths_of_every_currency(currency: str, reported_as: object, amount: int) -> None:
    body = changed(
        changed(body_of("paystack", "event_charge_success"), "data.currency", currency), "data.amount", reported_as
    )
    assert interpreted("paystack", "charge.success", body).amount == amount


def test_a_refund_without_a_reference_is_named_by_its_id() -> None:
    body = changed(body_of("paystack", "event_refund_processed"), "data.refund_reference", None)
    body = changed(body, "data.id", "16000001")
    assert facts(interpreted("paystack", "refund.processed", body)) == {("refund", "16000001", "succeeded", "205492")}


@pytest.mark.parametrize("kind", ["charge.teleported", "refund.new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("paystack", kind, {"event": kind}) == "unknown_kind"


@pytest.mark.parametrize("kind", ["transfer.success", "subscription.create", "invoice.update"])
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("paystack", kind, {"event": kind}) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_charge_success", "data.reference", None),
        ("event_charge_success", "data.amount", "2054.92"),
        ("event_charge_success", "data.amount", None),
        ("event_charge_success", "data.currency", None),
        ("event_charge_success", "data.status", "abandoned"),
        ("event_charge_success", "data", []),
        ("event_refund_processed", "data.refund_reference", None),
        ("event_refund_processed", "data.transaction_reference", None),
        ("event_charge_dispute_resolve", "data.resolution", None),
        ("event_charge_dispute_resolve", "data.transaction", None),
    ],
    ids=range(10),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = body_of("paystack", case)["event"]
    assert refused("paystack", kind, changed(body_of("paystack", case), path, value)) == "undecodable"


def test_every_order_of_a_life() -> None:
    dispute = body_of("paystack", "event_charge_dispute_create")
    resolve = body_of("paystack", "event_charge_dispute_resolve")
    about_it = [changed(one, "data.transaction.reference", KEY) for one in (dispute, resolve)]
    check_every_order(
        [
            genuine("paystack", "event_charge_success"),
            genuine("paystack", "event_refund_pending"),
            genuine("paystack", "event_refund_processed"),
            made("paystack", "charge.dispute.create", about_it[0], "e1"),
            made("paystack", "charge.dispute.resolve", about_it[1], "e2"),
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="full",
        dispute_status="won",
        amount=205492,
        authorized=205492,
        captured=205492,
        refunded=205492,
    )
