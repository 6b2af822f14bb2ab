"""What Checkout.com's kinds come to as facts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

import providers
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, ACTION, REFUND = (
    "pay_vti5layihapu5bhbn5tjtk6eem",
    "act_uqlj3642dyyuroivzdwfg2fysq",
    "act_wn4emh2jhu5efoz5ghl3bui4zq",
)
TERMS = ("terms", KEY, "asked", "12590")
RESERVED = ("authorization", KEY, "authorized", "12590")
DISPUTE = "dsp_bc94ebda8d275i461229"


def test_real_bodies() -> None:
    found = meaning("checkout", "event_payment_approved")
    assert facts(found) == {TERMS, RESERVED}
    assert refs(found) == [("payment", KEY), ("reference", "ORD-5023-4E89")]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "EUR", 12590, KEY)
    assert facts(meaning("checkout", "event_payment_captured")) == {
        RESERVED,
        ("capture", ACTION, "succeeded", "8000"),
    }
    assert facts(meaning("checkout", "event_payment_declined")) == {TERMS, ("attempt", KEY, "failed")}
    refunded = meaning("checkout", "event_payment_refunded")
    assert facts(refunded) == {("refund", REFUND, "succeeded", "4000")}
    assert not refunded.opens
    disputed = meaning("checkout", "event_dispute")
    assert facts(disputed) == {("dispute", DISPUTE, "open"), ("dispute_out", DISPUTE, "withdrawn", "8000")}
    assert refs(disputed) == [("payment", KEY), ("dispute", DISPUTE)]


def event(kind: str, case: str = "event_payment_captured", **changes: Any) -> dict[str, Any]:
    body = changed(body_of("checkout", case), "type", kind)
    for name, value in changes.items():
        body = changed(body, f"data.{name}", value)
    return body


@pytest.mark.parametrize(
    ("kind", "fact"),
    [
        ("payment_pending", ("attempt", KEY, "processing")),
        ("payment_canceled", ("end", KEY, "canceled")),
        ("payment_expired", ("end", KEY, "expired")),
        ("payment_voided", ("void", KEY, "canceled")),
        ("payment_authorization_incremented", ("authorization", KEY, "authorized", "12590")),
        ("payment_refund_declined", ("refund", ACTION, "failed", "8000")),
    ],
)
def test_other_payments(kind: str, fact: tuple[str, ...]) -> None:
    assert facts(interpreted("checkout", kind, event(kind))) - {("terms", KEY, "asked", "8000")} == {fact}


def test_a_capture_that_was_declined_took_nothing() -> None:
    found = facts(interpreted("checkout", "payment_capture_declined", event("payment_capture_declined")))
    assert found == {("capture", ACTION, "pending", "8000"), ("reversal", ACTION, "failed", "8000")}


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("dispute_received", ["open"]),
        ("dispute_evidence_submitted", ["under_review", "withdrawn"]),
        ("dispute_won", ["won", "withdrawn", "reinstated"]),
        ("dispute_canceled", ["won", "withdrawn", "reinstated"]),
        ("dispute_accepted", ["lost", "withdrawn"]),
        ("dispute_lost", ["lost", "withdrawn"]),
        ("dispute_expired", ["lost", "withdrawn"]),
        ("dispute_resolved", ["prevented"]),
        ("dispute_arbitration_lost", ["lost", "withdrawn", "withdrawn"]),
        ("dispute_arbitration_won", ["won", "withdrawn", "reinstated"]),
    ],
)
def test_disputes(kind: str, states: list[str]) -> None:
    assert [one.state for one in interpreted("checkout", kind, event(kind, "event_dispute")).facts] == states


@pytest.mark.parametrize(
    ("kinds", "state", "disputed"),
    [
        (["dispute_lost"], "lost", 8000),
        (["dispute_won", "dispute_arbitration_lost"], "lost", 8000),
        (["dispute_evidence_required", "dispute_lost", "dispute_arbitration_won"], "won", 0),
        (["dispute_received", "dispute_resolved"], "prevented", 0),
    ],
)
def test_every_order_of_a_dispute_whose_kinds_come_in_part(kinds: list[str], state: str, disputed: int) -> None:
    """An endpoint gets the kinds that it subscribes to, and each says what had become of the money by then."""
    records = [made("checkout", kind, event(kind, "event_dispute"), f"e{place}") for place, kind in enumerate(kinds)]
    captured = made("checkout", "payment_captured", event("payment_captured", balances=None), "c")
    check_every_order([captured, *records], captured=8000, dispute_status=state, disputed=disputed)


def test_a_payment_that_its_bank_returned_is_money_no_more() -> None:
    """Methods such as ACH can fail after they had succeeded ("Payment returned", 2022-04-29)."""
    returned = event("payment_returned", action_id="act_returned", balances=None)
    assert facts(interpreted("checkout", "payment_returned", returned)) == {("reversal", KEY, "done", "8000")}
    captured = event("payment_captured", balances=None)
    records = [made("checkout", body["type"], body, body["type"]) for body in (captured, returned)]
    check_every_order(records, status="failed", captured=0)
    body = event("payment_returned", destination={"type": "bank_account"}, source={"type": "currency_account"})
    assert interpreted("checkout", "payment_returned", body) == Meaning()


def test_chilean_pesos_are_written_with_two_decimals() -> None:
    balances = {"total_authorized": 10000}
    found = interpreted("checkout", "payment_captured", event("payment_captured", currency="CLP", balances=balances))
    assert {("authorization", KEY, "authorized", "100"), ("capture", ACTION, "succeeded", "80")} <= facts(found)
    body = event("payment_captured", currency="CLP", amount=8001, balances={})
    assert refused("checkout", "payment_captured", body) == "undecodable"


def test_a_capture_without_balances_tells_of_no_authorization() -> None:
    found = interpreted("checkout", "payment_captured", event("payment_captured", balances=None))
    assert facts(found) == {("capture", ACTION, "succeeded", "8000")}


@pytest.mark.parametrize("kind", ["payment_teleported", "dispute_new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("checkout", kind, {"type": kind}) == "unknown_kind"


@pytest.mark.parametrize(
    "kind",
    [
        "payment_refund_pending",
        "payment_capture_pending",
        "payment_instrument_created",
        "payment_paid",
        "card_verified",
    ],
)
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("checkout", kind, {"type": kind}) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_payment_captured", "data.action_id", None),
        ("event_payment_captured", "data.amount", "8000"),
        ("event_payment_captured", "data.currency", None),
        ("event_payment_approved", "data.id", None),
        ("event_payment_approved", "data", None),
        ("event_payment_refunded", "data.action_id", ""),
        ("event_dispute", "data.payment_id", None),
        ("event_dispute", "type", "dispute_won"),
    ],
    ids=range(8),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = body_of("checkout", case)["type"]
    assert refused("checkout", kind, changed(body_of("checkout", case), path, value)) == "undecodable"


def test_an_increment_without_the_balance() -> None:
    body = event("payment_authorization_incremented", balances={})
    assert refused("checkout", "payment_authorization_incremented", body) == "undecodable"


def test_every_order_of_a_life() -> None:
    rest = event("payment_captured", action_id="act_2", amount=4590, balances=None)
    check_every_order(
        [
            genuine("checkout", "event_payment_approved"),
            genuine("checkout", "event_payment_captured"),
            made("checkout", "payment_captured", rest, "e1"),
            genuine("checkout", "event_payment_refunded"),
            genuine("checkout", "event_dispute"),
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="partial",
        dispute_status="open",
        amount=12590,
        authorized=12590,
        captured=12590,
        refunded=4000,
        disputed=8000,
    )
    declined = [genuine("checkout", "event_payment_declined"), genuine("checkout", "event_payment_captured")]
    check_every_order(declined, status="partially_captured", captured=8000)


def test_a_payout_says_nothing_and_a_payment_with_a_destination_does() -> None:
    card, own = {"type": "card", "id": "src_1"}, {"type": "currency_account", "id": "ca_1"}
    for source in (own, None):
        payout = event("payment_approved", "event_payment_approved", destination=card, source=source)
        assert interpreted("checkout", "payment_approved", payout) == Meaning()
    paid = event("payment_approved", "event_payment_approved", destination={"id": "acc_1"}, source=card)
    assert interpreted("checkout", "payment_approved", paid).facts


def test_the_merchant_is_the_entity_and_a_reference_that_is_too_long_is_left_out() -> None:
    found = interpreted(
        "checkout", "payment_approved", event("payment_approved", entity_id="ent_1", reference="x" * 300)
    )
    assert (found.merchant_account, refs(found)) == ("ent_1", [("payment", KEY)])


@pytest.mark.parametrize("name", ["created_on", "timestamp"])
def test_the_time_of_an_event_stands_in_either_field(name: str) -> None:
    """Genuine bodies have `created_on`, with seven digits behind the second, and some kinds `timestamp`."""
    data = {"id": "pay_1", "action_id": "act_1", "amount": 2, "currency": "GBP"}
    body = {"id": "evt_1", "type": "payment_approved", name: "2022-11-14T12:18:54.3211949Z", "data": data}
    found = providers.interpret("checkout", "payment_approved", json.dumps(body).encode())
    assert found.occurred_at == pytest.approx(1_668_428_334.321194, abs=1e-5)


def test_a_dispute_that_names_its_entity_meets_a_payment_that_names_none() -> None:
    """As in Checkout.com's own examples (docs/workflows/webhook-event-types)."""
    paid = event("payment_captured", entity_id=None)
    lost = event("dispute_lost", "event_dispute", entity_id="ent_1")
    given_back = event("payment_refunded", "event_payment_refunded", entity_id=None)
    steps = [("payment_captured", paid), ("dispute_lost", lost), ("payment_refunded", given_back)]
    records = [made("checkout", kind, body, f"e{place}") for place, (kind, body) in enumerate(steps)]
    check_every_order(records, dispute_status="lost", disputed=8000)
