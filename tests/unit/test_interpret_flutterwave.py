"""What Flutterwave's kinds come to as facts, of version 4 and of version 3."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, event, facts, genuine, made, meaning, refs, refused, told

import providers
from schemas.errors import SignatureRejected
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, REFERENCE = "chg_e1f3a2b193", "order_2026_09_21_001"
TERMS = ("terms", KEY, "asked", "2500000")


def test_real_bodies() -> None:
    said = meaning("flutterwave", "event_v4_charge_completed")
    assert facts(said) == {
        TERMS,
        ("capture", KEY, "succeeded", "2500000"),
    }
    assert refs(said) == [("payment", REFERENCE), ("payment", KEY), ("reference", "ORD-1"), ("reference", REFERENCE)]
    assert (said.opens, said.currency, said.amount, said.provider_ref) == (True, "NGN", 2500000, REFERENCE)
    assert facts(meaning("flutterwave", "event_v4_charge_failed")) == {TERMS, ("attempt", KEY, "failed")}
    refund = meaning("flutterwave", "event_v4_refund")
    assert facts(refund) == {("refund", "rfd_a81c", "succeeded", "1000000")}
    assert refs(refund) == [("payment", KEY), ("payment", REFERENCE), ("refund", "rfd_a81c")]
    assert not refund.opens


def test_version_3_is_a_hint_of_the_same_meaning() -> None:
    said = meaning("flutterwave", "event_v3_charge_completed")
    assert ("capture", "285959875", "succeeded", "10000") in facts(said)
    assert refs(said)[0] == ("payment", "Links-616626414629")
    assert event("flutterwave", "event_v3_charge_completed").trust == "hint"


@pytest.mark.parametrize(
    ("status", "fact"), [("pending", ("attempt", KEY, "processing")), ("voided", ("end", KEY, "canceled"))]
)
def test_other_charges(status: str, fact: tuple[str, ...]) -> None:
    body = changed(body_of("flutterwave", "event_v4_charge_completed"), "data.status", status)
    assert facts(told("flutterwave", "charge.completed", body)) == {TERMS, fact}


@pytest.mark.parametrize(("status", "state"), [("new", "pending"), ("failed", "failed")])
def test_other_refunds(status: str, state: str) -> None:
    body = changed(body_of("flutterwave", "event_v4_refund"), "data.status", status)
    assert facts(told("flutterwave", "refund.completed", body)) == {("refund", "rfd_a81c", state, "1000000")}


def test_a_refund_that_tells_no_currency_has_a_sum_that_nobody_can_read() -> None:
    body = changed(body_of("flutterwave", "event_v4_refund"), "data.currency", None)
    assert facts(told("flutterwave", "refund.completed", body)) == {("refund", "rfd_a81c", "succeeded")}


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


@pytest.mark.parametrize("kind", ["charge.teleported", "chargeback.created", "refund.new", "order.authorization"])
def test_unknown_kind(kind: str) -> None:
    assert refused("flutterwave", kind, {"type": kind}) == "unknown_kind"


@pytest.mark.parametrize("body", [{"type": "transfer.disburse"}, {"event": "transfer.disburse", "type": "charge.x"}])
def test_kinds_that_say_nothing(body: dict[str, str]) -> None:
    assert told("flutterwave", "transfer.disburse", body) == Meaning()


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
