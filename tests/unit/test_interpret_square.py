"""What Square's kinds come to as facts."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY = "hYy9pRFVxpDsO1FB05SunFWUe9JZY"
TERMS = ("terms", KEY, "asked", "12590")
RESERVED = ("authorization", KEY, "authorized", "12590")
PAYMENT = "data.object.payment"


def test_real_bodies() -> None:
    assert facts(meaning("square", "event_payment_approved")) == {TERMS, RESERVED}
    found = meaning("square", "event_payment_completed")
    assert facts(found) == {TERMS, RESERVED, ("capture", KEY, "succeeded", "12590")}
    assert refs(found) == [("payment", KEY), ("reference", "ORD-7Q2M")]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "USD", 12590, KEY)
    refunded = meaning("square", "event_refund_completed")
    assert facts(refunded) == {("refund", f"{KEY}_TB1", "succeeded", "4000")}
    assert refs(refunded) == [("payment", KEY), ("refund", f"{KEY}_TB1")]
    disputed = meaning("square", "event_dispute_created")
    assert facts(disputed) == {("dispute", "ORSEVtZAJxb37RA1EiGw", "open")}
    assert not refunded.opens
    assert not disputed.opens
    assert meaning("square", "official_test_notification") == Meaning()


def payment(**changes: Any) -> dict[str, Any]:
    body = body_of("square", "event_payment_completed")
    for name, value in changes.items():
        body = changed(body, f"{PAYMENT}.{name}", value)
    return body


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("PENDING", ("attempt", KEY, "processing")),
        ("CANCELED", ("end", KEY, "canceled")),
        ("FAILED", ("attempt", KEY, "failed")),
    ],
)
def test_other_statuses(status: str, fact: tuple[str, ...]) -> None:
    assert facts(interpreted("square", "payment.updated", payment(status=status))) == {TERMS, fact}


def test_a_tip_is_money_also_where_less_was_approved() -> None:
    tipped = payment(total_money={"amount": 13000, "currency": "USD"}, approved_money=None)
    assert ("capture", KEY, "succeeded", "13000") in facts(interpreted("square", "payment.updated", tipped))
    part = payment(approved_money={"amount": 500, "currency": "USD"})
    assert ("capture", KEY, "succeeded", "12590") in facts(interpreted("square", "payment.updated", part))
    bare = payment(total_money=None)
    assert ("capture", KEY, "succeeded", "12590") in facts(interpreted("square", "payment.updated", bare))


@pytest.mark.parametrize(("status", "state"), [("PENDING", "pending"), ("REJECTED", "failed"), ("FAILED", "failed")])
def test_refunds(status: str, state: str) -> None:
    body = changed(body_of("square", "event_refund_completed"), "data.object.refund.status", status)
    assert facts(interpreted("square", "refund.updated", body)) == {("refund", f"{KEY}_TB1", state, "4000")}


def test_a_refund_of_no_payment_of_ours() -> None:
    body = changed(body_of("square", "event_refund_completed"), "data.object.refund.unlinked", True)
    assert interpreted("square", "refund.updated", body) == Meaning()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("INQUIRY_EVIDENCE_REQUIRED", "inquiry"),
        ("INQUIRY_CLOSED", "prevented"),
        ("PROCESSING", "under_review"),
        ("WON", "won"),
        ("LOST", "lost"),
        ("ACCEPTED", "lost"),
    ],
)
def test_disputes(state: str, expected: str) -> None:
    body = changed(body_of("square", "event_dispute_created"), "data.object.dispute.state", state)
    funds = {"won": {"reinstated"}, "lost": {"withdrawn"}}.get(expected, set())
    assert {one[2] for one in facts(interpreted("square", "dispute.created", body))} == {expected, *funds}


DISPUTED = body_of("square", "event_dispute_created")["data"]["object"]["dispute"]["amount_money"]["amount"]


@pytest.mark.parametrize(
    ("states", "shown", "disputed"),
    [
        (["EVIDENCE_REQUIRED", "ACCEPTED"], "lost", DISPUTED),
        (["EVIDENCE_REQUIRED", "PROCESSING", "LOST"], "lost", DISPUTED),
        (["PROCESSING", "LOST", "WON"], "won", 0),
        (["WON", "EVIDENCE_REQUIRED"], "open", 0),
        (["WON", "LOST"], "lost", DISPUTED),
        (["INQUIRY_EVIDENCE_REQUIRED", "INQUIRY_CLOSED", "EVIDENCE_REQUIRED"], "open", 0),
    ],
)
def test_the_newest_version_of_a_dispute_stands(states: list[str], shown: str, disputed: int) -> None:
    """api.json: `version` of a Dispute; AcceptDispute debits the seller's account."""
    created = body_of("square", "event_dispute_created")
    records = [
        made(
            "square",
            "dispute.state.updated",
            changed(
                changed(changed(created, "type", "dispute.state.updated"), "data.object.dispute.state", state),
                "data.object.dispute.version",
                place + 1,
            ),
            f"e{place}",
        )
        for place, state in enumerate(states)
    ]
    key = created["data"]["object"]["dispute"]["disputed_payment"]["payment_id"]
    taken = payment(id=key, total_money={"amount": 20000, "currency": "USD"})
    records.append(made("square", "payment.updated", changed(taken, "type", "payment.updated"), "p"))
    check_every_order(records, dispute_status=shown, disputed=disputed)


def test_a_dispute_stands_above_an_inquiry_whatever_the_numbers_of_their_versions() -> None:
    created = changed(body_of("square", "event_dispute_created"), "type", "dispute.state.updated")
    found = []
    for state, number in (("INQUIRY_CLOSED", 9), ("EVIDENCE_REQUIRED", 1)):
        body = changed(changed(created, "data.object.dispute.state", state), "data.object.dispute.version", number)
        found.append(interpreted("square", "dispute.state.updated", body).facts[0].version)
    assert found == sorted(set(found))


@pytest.mark.parametrize("version", [None, "7", True, -1, 2**70])
def test_an_odd_version_of_a_dispute_spoils_nothing(version: Any) -> None:
    body = changed(body_of("square", "event_dispute_created"), "data.object.dispute.version", version)
    assert facts(interpreted("square", "dispute.created", body)) == {("dispute", "ORSEVtZAJxb37RA1EiGw", "open")}


def test_the_older_name_of_a_dispute_id() -> None:
    body = changed(body_of("square", "event_dispute_created"), "data.object.dispute.id", None)
    body = changed(body, "data.object.dispute.dispute_id", "dis_1")
    assert facts(interpreted("square", "dispute.created", body)) == {("dispute", "dis_1", "open")}


@pytest.mark.parametrize("time", ["yesterday", 7, None, "2026-09-21T14:18:20", "0001-01-01T00:00:00+23:59"])
def test_an_unreadable_time_is_no_time(time: Any) -> None:
    body = changed(body_of("square", "event_payment_completed"), "created_at", time)
    assert interpreted("square", "payment.updated", body).occurred_at is None


@pytest.mark.parametrize("kind", ["payment.teleported", "refund.new", "dispute.new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("square", kind, {"type": kind}) == "unknown_kind"


@pytest.mark.parametrize("kind", ["dispute.evidence.created", "customer.created", "oauth.authorization.revoked"])
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("square", kind, {"type": kind}) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_payment_completed", f"{PAYMENT}.status", "LOST"),
        ("event_payment_completed", f"{PAYMENT}.status", ["COMPLETED"]),
        ("event_payment_completed", f"{PAYMENT}.id", None),
        ("event_payment_completed", f"{PAYMENT}.total_money", {"amount": "12590", "currency": "USD"}),
        ("event_payment_completed", f"{PAYMENT}.total_money", {"amount": 12590}),
        ("event_payment_completed", PAYMENT, None),
        ("event_refund_completed", "data.object.refund.payment_id", None),
        ("event_refund_completed", "data.object.refund.status", "APPROVED"),
        ("event_dispute_created", "data.object.dispute.disputed_payment", None),
        ("event_dispute_created", "type", "dispute.state.updated"),
    ],
    ids=range(10),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = body_of("square", case)["type"]
    assert refused("square", kind, changed(body_of("square", case), path, value)) == "undecodable"


def test_every_order_of_a_life() -> None:
    pending = changed(body_of("square", "event_refund_completed"), "data.object.refund.status", "PENDING")
    check_every_order(
        [
            made("square", "payment.created", {**payment(status="PENDING"), "type": "payment.created"}, "e1"),
            genuine("square", "event_payment_approved"),
            genuine("square", "event_payment_completed"),
            made("square", "refund.created", {**pending, "type": "refund.created"}, "e2"),
            genuine("square", "event_refund_completed"),
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="partial",
        amount=12590,
        authorized=12590,
        captured=12590,
        refunded=4000,
    )


def test_the_latest_figure_stands_and_a_long_reference_is_left_out() -> None:
    first = payment(status="APPROVED", updated_at="2026-09-21T14:00:00Z")
    lower = {"amount": 9000, "currency": "USD"}
    later = payment(status="APPROVED", updated_at="2026-09-21T15:00:00Z", total_money=lower)
    records = [made("square", "payment.updated", one, f"e{place}") for place, one in enumerate((first, later))]
    check_every_order(records, status="authorized", amount=9000, authorized=9000)
    assert refs(interpreted("square", "payment.updated", payment(reference_id="x" * 300))) == [("payment", KEY)]


def test_a_total_that_was_lowered_after_it_was_taken_counts_lowered() -> None:
    first = payment(updated_at="2026-09-21T14:00:00Z")
    later = payment(updated_at="2026-09-21T15:00:00Z", total_money={"amount": 12000, "currency": "USD"})
    records = [made("square", "payment.updated", body, event_id) for body, event_id in ((first, "e1"), (later, "e2"))]
    check_every_order(records, status="captured", amount=12000, captured=12000)
