"""What Razorpay's kinds come to as facts."""

from __future__ import annotations

from typing import Any

import pytest
from vector_events import body_of, changed, check_every_order, facts, genuine, interpreted, made, meaning, refs, refused

from schemas.facts import FactKind, Meaning

pytestmark = pytest.mark.unit

KEY, ORDER, REFUND = "pay_HuPfEJOHDwELTn", "order_uXQwcqK7TPCjPe", "rfnd_gXC6A0oXXv4En5"
TERMS = ("terms", KEY, "asked", "138406")
RESERVED = ("authorization", KEY, "authorized", "138406")
CAPTURED = ("capture", KEY, "succeeded", "138406")
DISPUTE = "payload.dispute.entity"


OTHER = "pay_IxS8GOEEnn88Ne"


def test_real_bodies() -> None:
    found = meaning("razorpay", "event_payment_authorized")
    assert facts(found) == {TERMS, RESERVED}
    assert refs(found) == [("payment", KEY), ("payment", ORDER), ("reference", "ORD-T5SYXH293W")]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "INR", 138406, KEY)
    failed = meaning("razorpay", "event_payment_failed")
    assert facts(failed) == {
        ("terms", "pay_ZuRFyAm0cj7soV", "asked", "33159"),
        ("attempt", "pay_ZuRFyAm0cj7soV", "failed"),
    }
    taken = ("capture", KEY, "succeeded", "138406")
    assert facts(meaning("razorpay", "event_refund_created")) == {("refund", REFUND, "pending", "138406"), taken}
    processed = meaning("razorpay", "event_refund_processed")
    assert facts(processed) == {("refund", REFUND, "succeeded", "138406"), taken}
    assert refs(processed) == [("payment", KEY), ("refund", REFUND)]
    assert not processed.opens
    failed = facts(meaning("razorpay", "event_refund_failed"))
    assert failed == {("refund", "rfnd_ivFyGdie2S5pHZ", "failed", "4093"), ("capture", OTHER, "succeeded", "46746")}
    disputed = meaning("razorpay", "event_payment_dispute_created")
    opened = ("dispute", "disp_jb1kAE5ESiBcSc", "open")
    assert [fact for fact in facts(disputed) if fact[0] != "capture"] == [opened]
    assert refs(disputed) == [("payment", "pay_lC8By1UeRxFUx1"), ("dispute", "disp_jb1kAE5ESiBcSc")]


def test_one_fact_of_two_names() -> None:
    captured, paid = meaning("razorpay", "event_payment_captured"), meaning("razorpay", "event_order_paid")
    assert facts(captured) == {TERMS, CAPTURED}
    assert facts(paid) == {TERMS, CAPTURED, ("terms", ORDER, "asked", "138406")}
    assert refs(captured) == refs(paid)


def test_authorized_is_not_captured_whatever_the_snapshot_says() -> None:
    found = meaning("razorpay", "official_payment_authorized")
    assert {one[0] for one in facts(found)} == {"terms", "authorization"}


def test_a_refund_that_was_processed_at_once() -> None:
    body = changed(body_of("razorpay", "event_refund_created"), "payload.refund.entity.status", "processed")
    assert ("refund", REFUND, "succeeded", "138406") in facts(interpreted("razorpay", "refund.created", body))


@pytest.mark.parametrize(
    ("kind", "phase", "deducted", "states"),
    [
        ("created", "retrieval", 0, ["inquiry"]),
        ("created", "fraud", 0, ["inquiry"]),
        ("action_required", "chargeback", 0, ["open"]),
        ("under_review", "chargeback", 0, ["under_review"]),
        ("won", "chargeback", 0, ["won"]),
        ("lost", "chargeback", None, ["lost"]),
        ("lost", "chargeback", 3200, ["lost", "withdrawn"]),
        ("closed", "fraud", 0, ["prevented"]),
    ],
)
def test_disputes(kind: str, phase: str, deducted: int | None, states: list[str]) -> None:
    kind = f"payment.dispute.{kind}"
    body = changed(body_of("razorpay", "event_payment_dispute_created"), "event", kind)
    body = changed(changed(body, f"{DISPUTE}.phase", phase), f"{DISPUTE}.amount_deducted", deducted)
    disputed = interpreted("razorpay", kind, body)
    assert [one.state for one in disputed.facts if one.kind is not FactKind.CAPTURE] == states
    assert ("capture", "pay_lC8By1UeRxFUx1", "succeeded") in [one[:3] for one in facts(disputed)], "it shows it"


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ((("won", "chargeback", 100), ("lost", "chargeback", 200)), "lost"),
        ((("lost", "chargeback", 100), ("won", "chargeback", 200)), "won"),
        ((("won", "chargeback", 200), ("created", "pre_arbitration", 100)), "open"),
        ((("under_review", "chargeback", 100), ("action_required", "chargeback", 200)), "open"),
    ],
)
def test_the_later_event_of_the_later_phase_of_a_dispute_stands(
    events: tuple[tuple[str, str, int], ...], shown: str
) -> None:
    """`action_required` opens one anew, and one that was won comes back as pre-arbitration."""
    records = [made("razorpay", "payment.captured", body_of("razorpay", "event_payment_captured"), "c")]
    for place, (what, phase, at) in enumerate(events):
        kind = f"payment.dispute.{what}"
        body = changed(body_of("razorpay", "event_payment_dispute_created"), "event", kind)
        body = changed(changed(body, f"{DISPUTE}.phase", phase), "created_at", 1_790_000_000 + at)
        records.append(made("razorpay", kind, changed(body, f"{DISPUTE}.payment_id", KEY), f"d{place}"))
    check_every_order(records, dispute_status=shown)


@pytest.mark.parametrize("kind", ["payment.teleported", "order.new", "refund.new", "payment.dispute.new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("razorpay", kind, {"event": kind}) == "unknown_kind"


SILENT = ["payment.downtime.started", "order.notification.failed", "refund.arn_updated", "payment_link.created",
          "settlement.processed"]  # fmt: skip


@pytest.mark.parametrize("kind", SILENT)
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("razorpay", kind, {"event": kind}) == Meaning()


@pytest.mark.parametrize(
    ("case", "path", "value"),
    [
        ("event_payment_captured", "payload.payment.entity.id", None),
        ("event_payment_captured", "payload.payment.entity.amount", 1384.06),
        ("event_payment_captured", "payload.payment.entity.currency", 7),
        ("event_payment_captured", "payload", []),
        ("event_refund_created", "payload.refund.entity.status", "lost"),
        ("event_refund_created", "payload.refund.entity.payment_id", None),
        ("event_payment_dispute_created", f"{DISPUTE}.payment_id", None),
        ("event_payment_dispute_created", "event", "payment.dispute.won"),
    ],
    ids=range(8),
)
def test_undecodable(case: str, path: str, value: Any) -> None:
    kind = body_of("razorpay", case)["event"]
    assert refused("razorpay", kind, changed(body_of("razorpay", case), path, value)) == "undecodable"


@pytest.mark.parametrize(("deducted", "states"), [(0, ["prevented"]), (700, ["lost", "withdrawn"])])
def test_how_a_closed_chargeback_ended_its_money_tells(deducted: int, states: list[str]) -> None:
    body = changed(body_of("razorpay", "event_payment_dispute_created"), "event", "payment.dispute.closed")
    body = changed(body, f"{DISPUTE}.amount_deducted", deducted)
    closed = interpreted("razorpay", "payment.dispute.closed", body)
    assert [one.state for one in closed.facts if one.kind is not FactKind.CAPTURE] == states


PAID = {"id": "pay_1", "amount": 400, "currency": "INR", "status": "captured", "order_id": "order_1", "notes": []}


def paid(kind: str, name: str, payment: Any = PAID, **more: Any) -> dict[str, Any]:
    entity = {"id": f"{name}_1", "amount": 1000, "currency": "INR", "order_id": "order_1", **more}
    order = {"id": "order_1", "amount": 1000, "receipt": "R1"}
    held = {name: {"entity": entity}, "order": {"entity": order}, "payment": {"entity": payment}}
    return {"event": kind, "account_id": "acc_1", "payload": held}


@pytest.mark.parametrize(
    ("kind", "name", "ref"),
    [
        ("payment_link.paid", "payment_link", "session"),
        ("payment_link.partially_paid", "payment_link", "session"),
        ("invoice.paid", "invoice", "session"),
        ("subscription.charged", "subscription", "shared"),
        ("qr_code.credited", "qr_code", "shared"),
        ("virtual_account.credited", "virtual_account", "shared"),
    ],
)
def test_what_stands_behind_a_payment(kind: str, name: str, ref: str) -> None:
    found = interpreted("razorpay", kind, paid(kind, name))
    own = [("terms", "pay_1", "asked", "400"), ("terms", "order_1", "asked", "1000")]
    assert facts(found) == {*own, ("capture", "pay_1", "succeeded", "400")}
    behind = (ref, f"{name}_1")
    assert refs(found) == [("payment", "pay_1"), ("payment", "order_1"), behind, ("reference", "R1")]
    assert found.merchant_account == "acc_1"
    assert interpreted("razorpay", kind, paid(kind, name, None)) == Meaning()
    if ref == "shared":
        long = interpreted("razorpay", kind, paid(kind, name, id="x" * 300))
        assert (long.facts, len(long.refs)) == (found.facts, 3), "what joins nothing loses nothing"
    else:
        assert refused("razorpay", kind, paid(kind, name, id="x" * 300)) == "undecodable", "it would be paid twice"


def test_a_payment_behind_a_link_that_was_refunded_meanwhile_was_taken() -> None:
    found = interpreted(
        "razorpay", "payment_link.paid", paid("payment_link.paid", "payment_link", {**PAID, "status": "refunded"})
    )
    assert ("capture", "pay_1", "succeeded", "400") in facts(found)


@pytest.mark.parametrize(("status", "kinds"), [("authorized", 3), ("failed", 3), ("pending", 3), (None, 2), ("odd", 2)])
def test_a_payment_behind_a_link_stands_where_its_status_says(status: str | None, kinds: int) -> None:
    found = interpreted("razorpay", "invoice.paid", paid("invoice.paid", "invoice", {**PAID, "status": status}))
    assert len(found.facts) == kinds


@pytest.mark.parametrize(("amount", "asked"), [(1000, [("terms", "payment_link_1", "asked", "1000")]), (None, [])])
def test_a_link_that_nobody_pays_any_more(amount: int | None, asked: list[tuple[str, ...]]) -> None:
    kind = "payment_link.expired"
    found = interpreted("razorpay", kind, paid(kind, "payment_link", amount=amount))
    assert facts(found) == {*asked, ("end", "payment_link_1", "expired")}
    assert refs(found) == [("session", "payment_link_1"), ("payment", "order_1")]


def test_a_hold_that_is_given_back_is_no_refund() -> None:
    for kind, found in (("refund.processed", {("void", "pay_1", "canceled")}), ("refund.failed", set())):
        entity = {"id": "rfnd_1", "amount": 400, "currency": "INR", "payment_id": "pay_1"}
        body = paid(kind, "refund", {**PAID, "captured": False}, **entity)
        assert facts(interpreted("razorpay", kind, body)) == found


def test_a_refund_that_shows_its_payment_tells_what_had_been_taken() -> None:
    """Of an endpoint that gets refunds alone, and where the capture's event was lost."""
    entity = {"id": "rfnd_1", "amount": 400, "currency": "INR", "payment_id": "pay_1", "status": "processed"}
    given_back, shown = ("refund", "rfnd_1", "succeeded", "400"), {**PAID, "captured": True}
    body = paid("refund.processed", "refund", shown, **entity)
    taken = ("capture", "pay_1", "succeeded", str(PAID["amount"]))
    assert facts(interpreted("razorpay", "refund.processed", body)) == {given_back, taken}
    for odd in ({"id": "pay_2"}, {"currency": "USD"}, {"currency": 7}, {"amount": "odd"}, {"captured": "odd"}):
        body = paid("refund.processed", "refund", {**shown, **odd}, **entity)
        assert facts(interpreted("razorpay", "refund.processed", body)) == {given_back}


def test_every_order_of_a_life() -> None:
    check_every_order(
        [
            genuine("razorpay", f"event_{name}")
            for name in ("payment_authorized", "payment_captured", "order_paid", "refund_created", "refund_processed")
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="full",
        currency="INR",
        amount=138406,
        authorized=138406,
        captured=138406,
        refunded=138406,
    )


def test_every_order_of_a_failed_try_and_the_next_one_of_the_order() -> None:
    failed = changed(body_of("razorpay", "event_payment_failed"), "payload.payment.entity.order_id", ORDER)
    failed = changed(failed, "payload.payment.entity.amount", 138406)
    records = [made("razorpay", "payment.failed", failed, "e1"), genuine("razorpay", "event_payment_captured")]
    check_every_order(records, provider_ref=KEY, status="captured", amount=138406, captured=138406)
