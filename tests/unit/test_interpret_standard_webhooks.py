"""What our own shape of a Standard Webhooks payload comes to as facts."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest

import providers
from providers.standard_webhooks import signature
from schemas.dead_letter import Reason
from schemas.errors import SignatureRejected, UninterpretableError
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

TERMS = Fact(FactKind.TERMS, "pay_1", "asked", 1000)
AUTHORIZED = Fact(FactKind.AUTHORIZATION, "pay_1", "authorized", 1000)


def interpret(kind: str, **changes: Any) -> Meaning:
    data = {"payment_id": "pay_1", "reference": "ORD-1", "amount": 1000, "currency": "EUR", **changes}
    body = {"type": kind, "timestamp": "2026-09-21T14:18:20Z", "data": data}
    return providers.interpret("standard_webhooks", kind, json.dumps(body).encode())


FACTS: list[tuple[str, dict[str, Any], tuple[Fact, ...]]] = [
    ("payment.created", {}, (TERMS, Fact(FactKind.ATTEMPT, "pay_1", "created"))),
    ("payment.created", {"amount": None, "currency": None}, (Fact(FactKind.ATTEMPT, "pay_1", "created"),)),
    ("payment.requires_action", {}, (TERMS, Fact(FactKind.ATTEMPT, "pay_1", "requires_action"))),
    ("payment.processing", {}, (TERMS, Fact(FactKind.ATTEMPT, "pay_1", "processing"))),
    ("payment.authorized", {}, (TERMS, AUTHORIZED)),
    ("payment.captured", {}, (Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1"),)),
    ("payment.captured", {"id": "c"}, (Fact(FactKind.CAPTURE, "c", "succeeded", 1000, "pay_1"),)),
    ("payment.captured", {"capture_id": "c"}, (Fact(FactKind.CAPTURE, "c", "succeeded", 1000, "pay_1"),)),
    ("payment.failed", {}, (TERMS, Fact(FactKind.ATTEMPT, "pay_1", "failed"))),
    ("payment.failed", {"id": "try_2"}, (TERMS, Fact(FactKind.ATTEMPT, "try_2", "failed", None, "pay_1"))),
    ("payment.canceled", {}, (TERMS, Fact(FactKind.END, "pay_1", "canceled"))),
    ("payment.expired", {}, (TERMS, Fact(FactKind.END, "pay_1", "expired"))),
    ("payment.refunded", {"refund_id": "r"}, (Fact(FactKind.REFUND, "r", "succeeded", 1000, "pay_1"),)),
    ("payment.refunded", {}, (Fact(FactKind.REFUND_TOTAL, "pay_1", "succeeded", 1000),)),
    ("refund.pending", {"id": "r"}, (Fact(FactKind.REFUND, "r", "pending", 1000, "pay_1"),)),
    ("refund.succeeded", {"refund_id": "r"}, (Fact(FactKind.REFUND, "r", "succeeded", 1000, "pay_1"),)),
    ("refund.failed", {"id": "r"}, (Fact(FactKind.REFUND, "r", "failed", 1000, "pay_1"),)),
    ("dispute.inquiry", {"id": "d"}, (Fact(FactKind.DISPUTE, "d", "inquiry", None, "pay_1"),)),
    ("dispute.opened", {"dispute_id": "d"}, (Fact(FactKind.DISPUTE, "d", "open", None, "pay_1"),)),
    ("dispute.won", {"id": "d"}, (Fact(FactKind.DISPUTE, "d", "won", None, "pay_1"),)),
    ("payment.succeeded", {"total_amount": 900}, (TERMS, Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1"))),
    (
        "payment.succeeded",
        {"amount": None, "total_amount": 1000},
        (TERMS, Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1")),
    ),
    ("payment.cancelled", {}, (TERMS, Fact(FactKind.END, "pay_1", "canceled"))),
    ("dispute.opened", {"id": "d", "amount": "1000"}, (Fact(FactKind.DISPUTE, "d", "open", None, "pay_1"),)),
    ("dispute.challenged", {"id": "d"}, (Fact(FactKind.DISPUTE, "d", "under_review", None, "pay_1"),)),
    ("dispute.expired", {"id": "d"}, (Fact(FactKind.DISPUTE, "d", "lost", None, "pay_1"),)),
    (
        "refund.updated",
        {"payment_id": None, "order_id": "pay_1", "id": "r", "status": "failed"},
        (Fact(FactKind.REFUND, "r", "failed", 1000, "pay_1"),),
    ),
    (
        "dispute.funds_withdrawn",
        {"id": "d"},
        (Fact(FactKind.DISPUTE, "d", "open", None, "pay_1"), Fact(FactKind.DISPUTE_OUT, "d", "withdrawn", 1000)),
    ),
    (
        "dispute.funds_reinstated",
        {"id": "d"},
        (Fact(FactKind.DISPUTE, "d", "open", None, "pay_1"), Fact(FactKind.DISPUTE_IN, "d", "reinstated", 1000)),
    ),
]


@pytest.mark.parametrize(("kind", "changes", "facts"), FACTS, ids=range(len(FACTS)))
def test_facts(kind: str, changes: dict[str, Any], facts: tuple[Fact, ...]) -> None:
    meaning = interpret(kind, **changes)
    assert meaning.facts == facts
    assert meaning.refs == (Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.REFERENCE, "ORD-1"))
    assert meaning.opens == (kind.startswith("payment.") and kind != "payment.refunded")
    assert meaning.occurred_at == 1790000300.0


def test_an_order_that_was_paid() -> None:
    found = interpret("order.paid", payment_id=None, amount=None, id="pay_1", total_amount=1000, currency="eur")
    assert found.facts == (TERMS, Fact(FactKind.CAPTURE, "pay_1", "succeeded", 1000, "pay_1"))
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "EUR", 1000, "pay_1")
    assert interpret("order.paid", id="o1") == Meaning()


def held(state: str, number: int, amount: int | None = 1000) -> Fact:
    kind = FactKind.DISPUTE_OUT if state == "withdrawn" else FactKind.DISPUTE_IN
    key, parent = (f"d#{number}", "d") if number else ("d", None)
    return Fact(kind, key, state, amount, parent, number)


@pytest.mark.parametrize(
    ("kind", "fields", "state", "funds"),
    [
        ("opened", {}, "open", [held("withdrawn", 1)]),
        ("opened", {"dispute_stage": "pre_dispute"}, "open", [held("withdrawn", 0)]),
        ("challenged", {"dispute_stage": "pre_arbitration"}, "under_review", [held("withdrawn", 2)]),
        ("accepted", {}, "lost", [held("withdrawn", 1)]),
        ("lost", {"dispute_stage": 7}, "lost", [held("withdrawn", 1)]),
        ("won", {}, "won", [held("withdrawn", 1), held("reinstated", 1)]),
        ("cancelled", {}, "won", [held("withdrawn", 1), held("reinstated", 1)]),
        ("opened", {"amount": "123456789012"}, "open", [held("withdrawn", 1, 123_456_789_012)]),
        ("opened", {"amount": "10.00"}, "open", [held("withdrawn", 1, None)]),
        ("opened", {"currency": None}, "open", [held("withdrawn", 1, None)]),
    ],
    ids=range(10),
)
def test_a_dispute_of_dodo_holds_its_money(kind: str, fields: dict[str, Any], state: str, funds: list[Fact]) -> None:
    """docs.dodopayments.com, webhooks/intents/dispute: "Funds are held" when one is opened."""
    own = {"dispute_id": "d", "dispute_status": f"dispute_{kind}", "dispute_stage": "dispute", "amount": "1000"}
    first, *moved = interpret(f"dispute.{kind}", **{**own, **fields}).facts
    assert (first.kind, first.key, first.state) == ("dispute", "d", state)
    assert moved == funds


def test_a_later_stage_of_a_dispute_of_dodo_stands_against_an_outcome_of_an_earlier_one() -> None:
    own = {"dispute_id": "d", "amount": "1000"}
    stages = ("pre_dispute", "dispute", "pre_arbitration")
    kinds = ("won", "won", "opened")
    facts = [
        interpret(f"dispute.{kind}", dispute_status=f"dispute_{kind}", dispute_stage=stage, **own).facts[0]
        for kind, stage in zip(kinds, stages, strict=True)
    ]
    versions = [one.version for one in facts]
    assert versions == sorted(set(versions))


POLAR_ORDER = {"payment_id": None, "id": "pay_1", "amount": 900, "tax_amount": 100, "total_amount": 1000}
POLAR_REFUND = {"payment_id": None, "order_id": "pay_1", "id": "r", "status": "succeeded"}


@pytest.mark.parametrize(
    ("kind", "fields", "amount"),
    [
        ("order.paid", {**POLAR_ORDER, "due_amount": 1000, "currency": "usd"}, 1000),
        ("order.paid", {**POLAR_ORDER, "due_amount": 700, "currency": "usd"}, 700),
        ("order.paid", {**POLAR_ORDER, "due_amount": 0, "currency": "usd"}, 0),
        ("order.paid", {**POLAR_ORDER, "currency": "usd"}, 1000),
        ("order.paid", {**POLAR_ORDER, "due_amount": 100000, "currency": "isk"}, 1000),
        ("order.paid", {**POLAR_ORDER, "due_amount": 1000, "currency": "jpy"}, 1000),
        ("order.paid", {**POLAR_ORDER, "due_amount": 1000, "currency": "mga"}, 100000),
        ("refund.created", {**POLAR_REFUND, "amount": 900, "tax_amount": 100, "currency": "usd"}, 1000),
        ("refund.updated", {**POLAR_REFUND, "amount": 900, "tax_amount": 0, "currency": "usd"}, 900),
        ("refund.updated", {**POLAR_REFUND, "amount": 900, "tax_amount": "odd", "currency": "usd"}, 900),
        ("refund.updated", {**POLAR_REFUND, "amount": 90000, "tax_amount": 10000, "currency": "ugx"}, 1000),
    ],
    ids=range(11),
)
def test_polar_charges_what_is_due_and_gives_back_the_tax(kind: str, fields: dict[str, Any], amount: int) -> None:
    """Polar's server: `Order.amount` is without tax, `due_amount` what is charged, `Refund.total_amount` with tax."""
    found = interpret(kind, **fields)
    assert found.facts[-1].amount == found.amount == amount


def test_an_order_s_id_beside_a_payment_s_is_not_the_payment_s() -> None:
    found = interpret("refund.succeeded", order_id="ord_1", id="r")
    assert (found.provider_ref, found.facts[0].parent) == ("pay_1", "pay_1")


def test_a_refund_of_polar_that_tells_no_amount_is_pending_without_one() -> None:
    found = interpret("refund.created", **{**POLAR_REFUND, "status": "pending", "amount": None, "tax_amount": 100})
    assert found.facts == (Fact(FactKind.REFUND, "r", "pending", None, "pay_1"),)


def test_a_sender_that_signs_with_the_shown_text_is_configured_by_its_base64() -> None:
    """Polar's endpoints made before 8 September 2026; the text of a secret is never a key by itself."""
    shown, body, at = "whsec_" + base64.b64encode(b"k" * 24).decode(), b'{"type":"invoice.paid"}', 1_790_000_000
    mac = base64.b64encode(hmac.new(shown.encode(), f"msg_1.{at}.".encode() + body, "sha256").digest()).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": f"v1,{mac}"}
    asked = {"headers": headers, "body": body, "url": "", "now": at}
    configured = "whsec_" + base64.b64encode(shown.encode()).decode()
    (one,) = providers.verify("standard_webhooks", secrets=[configured], **asked)
    assert one.event_id == "msg_1"
    with pytest.raises(SignatureRejected):
        providers.verify("standard_webhooks", secrets=[shown], **asked)


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
@pytest.mark.parametrize("lines", [1, 4])
def test_the_work_that_is_foretold_is_no_less_than_what_is_done(
    monkeypatch: pytest.MonkeyPatch, prefix: str, lines: int
) -> None:
    body, hashed = b"{}" + b" " * 1_000_000, []
    monkeypatch.setattr(signature, "_signed_by", lambda _key, _one, signed: bool(hashed.append(len(signed))))
    presented = ["v1a," + base64.b64encode(bytes([number]) * 64).decode() for number in range(4)]
    signatures = presented if lines > 1 else [" ".join(presented)]
    headers: dict[str, str | list[str]] = {
        f"{prefix}-id": "msg_1", f"{prefix}-timestamp": "1000", f"{prefix}-signature": signatures
    }  # fmt: skip
    key = "whpk_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(SignatureRejected):
        providers.verify("standard_webhooks", headers=headers, body=body, url="", secrets=[key], now=1000)
    assert len(hashed) == 4
    assert providers.work("standard_webhooks", {f"{prefix}-signature": signatures}, len(body)) >= sum(hashed)


def test_other_kinds_say_nothing() -> None:
    assert interpret("invoice.paid") == Meaning()


@pytest.mark.parametrize("kind", ["payment.teleported", "refund.lost", "dispute.x"])
def test_unknown_kind(kind: str) -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret(kind)
    assert refused.value.reason == Reason.UNKNOWN_KIND


def test_a_reference_that_can_be_none_is_left_out() -> None:
    found = interpret("payment.created", reference="\x00")
    assert RefKind.REFERENCE not in {ref.kind for ref in found.refs}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("payment.captured", {"amount": None}),
        ("payment.captured", {"currency": None}),
        ("payment.captured", {"payment_id": None}),
        ("payment.captured", {"amount": "10"}),
        ("payment.authorized", {"amount": -1}),
        ("refund.succeeded", {}),
        ("dispute.opened", {}),
    ],
    ids=range(7),
)
def test_undecodable(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret(kind, **changes)
    assert refused.value.reason == Reason.UNDECODABLE


@pytest.mark.parametrize(
    "kind", ["payment.created", "payment.captured", "refund.succeeded", "dispute.won", "invoice.paid"]
)
def test_a_body_of_another_kind(kind: str) -> None:
    """The kind that a record came as is signed by nobody; a body that could be read as it is none of it."""
    data = {"payment_id": "pay_1", "id": "one", "amount": 1000, "currency": "EUR"}
    body = json.dumps({"type": "payment.failed", "data": data}).encode()
    with pytest.raises(UninterpretableError, match="undecodable"):
        providers.interpret("standard_webhooks", kind, body)


@pytest.mark.parametrize("timestamp", ["yesterday", 7, None, "2026-09-21T14:18:20", "0001-01-01T00:00:00+23:59"])
def test_an_unreadable_time_is_no_time(timestamp: Any) -> None:
    body = {"type": "payment.created", "timestamp": timestamp, "data": {"payment_id": "p"}}
    meaning = providers.interpret("standard_webhooks", "payment.created", json.dumps(body).encode())
    assert meaning.occurred_at is None
