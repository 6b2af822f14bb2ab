"""What Flutterwave's kinds come to as facts, of version 4 and of version 3."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import (
    body_of,
    changed,
    check_every_order,
    event,
    facts,
    genuine,
    interpreted,
    made,
    meaning,
    refs,
    refused,
)

import providers
from schemas.errors import SignatureRejected
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, REFERENCE = "chg_e1f3a2b193", "order_2026_09_21_001"
TERMS = ("terms", KEY, "asked", "2500000")


def test_real_bodies() -> None:
    found = meaning("flutterwave", "event_v4_charge_completed")
    assert facts(found) == {
        TERMS,
        ("capture", KEY, "succeeded", "2500000"),
    }
    assert refs(found) == [("payment", REFERENCE), ("payment", KEY), ("reference", "ORD-1"), ("reference", REFERENCE)]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "NGN", 2500000, REFERENCE)
    assert facts(meaning("flutterwave", "event_v4_charge_failed")) == {TERMS, ("attempt", KEY, "failed")}
    refund = meaning("flutterwave", "event_v4_refund")
    assert facts(refund) == {("refund", "rfd_a81c", "succeeded", "1000000")}
    assert refs(refund) == [("payment", KEY), ("payment", REFERENCE), ("refund", "rfd_a81c")]
    assert not refund.opens


def test_version_3_is_a_hint_of_the_same_meaning() -> None:
    found = meaning("flutterwave", "event_v3_charge_completed")
    assert ("capture", "285959875", "succeeded", "10000") in facts(found)
    assert refs(found)[0] == ("payment", "Links-616626414629")
    assert event("flutterwave", "event_v3_charge_completed").trust == "hint"


@pytest.mark.parametrize(
    ("status", "fact"), [("pending", ("attempt", KEY, "processing")), ("voided", ("end", KEY, "canceled"))]
)
def test_other_charges(status: str, fact: tuple[str, ...]) -> None:
    body = changed(body_of("flutterwave", "event_v4_charge_completed"), "data.status", status)
    assert facts(interpreted("flutterwave", "charge.completed", body)) == {TERMS, fact}


@pytest.mark.parametrize(("status", "state"), [("new", "pending"), ("failed", "failed")])
def test_other_refunds(status: str, state: str) -> None:
    body = changed(body_of("flutterwave", "event_v4_refund"), "data.status", status)
    assert facts(interpreted("flutterwave", "refund.completed", body)) == {("refund", "rfd_a81c", state, "1000000")}


def test_a_refund_that_tells_no_currency_has_a_sum_that_nobody_can_read() -> None:
    body = changed(body_of("flutterwave", "event_v4_refund"), "data.currency", None)
    assert facts(interpreted("flutterwave", "refund.completed", body)) == {("refund", "rfd_a81c", "succeeded")}


def chargeback(status: str, **more: Any) -> dict[str, Any]:
    """Return a chargeback in the shape of version 4's API (v4-api-reference/chargebacks/get-chargeback-by-id)."""
    times = {"created_datetime": "2026-09-21T10:00:00Z", "updated_datetime": "2026-09-21T10:00:00Z"}
    data = {"id": 1390, "charge_id": KEY, "amount": 12500.5, "stage": "new", "status": status, "type": "local"}
    return {"webhook_id": "wbk_9", "type": "chargeback.created", "data": {**data, **times, **more}}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("new", "open"),
        ("pending", "open"),
        ("initiated", "open"),
        ("declined", "under_review"),
        ("accepted", "lost"),
        ("partially-accepted", "lost"),
        ("lost", "lost"),
        ("won", "won"),
        ("reversed", "won"),
    ],
)
def test_a_chargeback_stands_where_its_status_says(status: str, state: str) -> None:
    found = interpreted("flutterwave", "chargeback.created", chargeback(status))
    assert facts(found) == {("dispute", "1390", state)}, "its amount has no currency"
    assert refs(found) == [("payment", KEY), ("dispute", "1390")]
    assert (found.amount, found.currency, found.opens) == (None, None, False)


def test_a_chargeback_that_tells_its_currency_took_its_sum_where_it_is_lost() -> None:
    found = interpreted("flutterwave", "chargeback.created", chargeback("lost", currency="NGN"))
    assert facts(found) == {("dispute", "1390", "lost"), ("dispute_out", "1390", "withdrawn", "1250050")}
    found = interpreted("flutterwave", "chargeback.created", chargeback("declined", currency="NGN"))
    assert facts(found) == {("dispute", "1390", "under_review")}


def test_a_later_stage_of_a_chargeback_beats_an_outcome() -> None:
    first = interpreted("flutterwave", "chargeback.created", chargeback("won", updated_datetime="2026-09-25T10:00:00Z"))
    again = interpreted(
        "flutterwave", "chargeback.created", chargeback("initiated", stage="second", updated_datetime=None)
    )
    odd = interpreted("flutterwave", "chargeback.created", chargeback("lost", stage=["odd"], updated_datetime=7))
    versions = [found.facts[0].version for found in (odd, first, again)]
    assert versions == sorted(versions)
    assert versions[0] == 0


def test_within_a_stage_the_later_of_two_outcomes_of_a_chargeback_stands() -> None:
    """Whichever is ranked higher: one that was lost is reversed, and one that was won is lost after all."""
    for states in (("lost", "reversed"), ("won", "lost")):
        hours = [f"2026-09-21T{10 + number}:00:00Z" for number in range(2)]
        bodies = [chargeback(state, updated_datetime=at) for state, at in zip(states, hours, strict=True)]
        first, later = [interpreted("flutterwave", "chargeback.created", body).facts[0] for body in bodies]
        assert later.version - first.version == 3600 * 1_000_000


@pytest.mark.parametrize(("path", "value"), [("data.id", None), ("data.charge_id", None), ("data.status", "odd")])
def test_a_chargeback_of_another_shape_is_undecodable(path: str, value: Any) -> None:
    assert refused("flutterwave", "chargeback.created", changed(chargeback("new"), path, value)) == "undecodable"


def test_the_key_that_signs_opens_nothing_where_a_secret_is_shown() -> None:
    body = b'{"event": "charge.completed", "data": {"id": 1, "tx_ref": "t", "status": "successful"}}'

    def verify(shown: str) -> list[Any]:
        config = {"shown_secrets": ["shown on each request"]}
        headers = {"verif-hash": shown}
        return providers.verify(
            "flutterwave", headers=headers, body=body, url="", secrets=["it signs"], now=0, config=config
        )

    assert [one.trust for one in verify("shown on each request")] == ["hint"]
    with pytest.raises(SignatureRejected, match="bad_signature"):
        verify("it signs")


@pytest.mark.parametrize("kind", ["charge.teleported", "chargeback.lost", "refund.new", "order.authorization"])
def test_unknown_kind(kind: str) -> None:
    assert refused("flutterwave", kind, {"type": kind}) == "unknown_kind"


@pytest.mark.parametrize("body", [{"type": "transfer.disburse"}, {"event": "transfer.disburse", "type": "charge.x"}])
def test_kinds_that_say_nothing(body: dict[str, str]) -> None:
    assert interpreted("flutterwave", "transfer.disburse", body) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_v4_charge_completed", "data.status", "successfully"),
        ("event_v4_charge_completed", "data.id", None),
        ("event_v4_charge_completed", "data.reference", None),
        ("event_v4_charge_completed", "data.amount", 25.001),
        ("event_v4_charge_completed", "data.currency", "naira"),
        ("event_v4_charge_completed", "data", None),
        ("event_v4_charge_completed", "event", "refund.completed"),
        ("event_v4_refund", "data.amount_refunded", None),
        ("event_v4_refund", "data.charge_id", None),
        ("event_v3_charge_completed", "data.tx_ref", None),
    ],
    ids=range(10),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = event("flutterwave", case).kind or ""
    assert refused("flutterwave", kind, changed(body_of("flutterwave", case), path, value)) == "undecodable"


def test_every_order_of_a_life() -> None:
    pending = changed(body_of("flutterwave", "event_v4_refund"), "data.status", "pending")
    check_every_order(
        [
            genuine("flutterwave", "event_v4_charge_failed"),
            genuine("flutterwave", "event_v4_charge_completed"),
            made("flutterwave", "refund.completed", pending, "e1"),
            genuine("flutterwave", "event_v4_refund"),
        ],
        provider_ref=REFERENCE,
        status="captured",
        refund_status="partial",
        amount=2500000,
        authorized=2500000,
        captured=2500000,
        refunded=1000000,
    )
