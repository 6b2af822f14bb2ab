"""What each of Adyen's event codes comes to as facts; unsigned fields decide nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

import providers
from schemas.dead_letter import Reason
from schemas.errors import UninterpretableError
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

PAYMENT = Ref(RefKind.PAYMENT, "PAY")
REFERENCE = Ref(RefKind.REFERENCE, "ORD-1")


def interpret(code: str, success: Any = "true", **changes: Any) -> Meaning:
    item = {
        "pspReference": "OWN",
        "originalReference": "PAY",
        "merchantAccountCode": "Shop",
        "merchantReference": "ORD-1",
        "amount": {"currency": "EUR", "value": 1000},
        "eventCode": code,
        "success": success,
        "eventDate": "1970-01-01",
        "reason": "x",
        "additionalData": {"modification.action": "refund"},
    }
    return providers.interpret("adyen", code, json.dumps({**item, **changes}).encode())


PROOF = Fact(FactKind.MODE, "PAY", "automatic")
CAPTURE_FAILED = (
    Fact(FactKind.CAPTURE, "OWN", "pending", 1000, "PAY"),
    Fact(FactKind.REVERSAL, "OWN", "failed", 1000, "OWN"),
)


def refund(state: str) -> Fact:
    return Fact(FactKind.REFUND, "OWN", state, 1000, "PAY")


def void(state: str, key: str = "PAY") -> tuple[Fact, ...]:
    return (Fact(FactKind.VOID, key, state),)


def dispute(state: str, stage: int, funds: FactKind | None = None, number: int = 0) -> tuple[Fact, ...]:
    found = Fact(FactKind.DISPUTE, "OWN", state, None, "PAY", stage << 53)
    if funds is None:
        return (found,)
    moved = "withdrawn" if funds is FactKind.DISPUTE_OUT else "reinstated"
    own, parent = (f"OWN#{number}", "OWN") if number else ("OWN", None)
    return (found, Fact(funds, own, moved, 1000, parent, number), PROOF)


MODIFICATIONS = [
    (
        "AUTHORISATION_ADJUSTMENT",
        "true",
        (Fact(FactKind.ADJUSTMENT, "OWN", "adjusted", 1000, "PAY"),),
    ),
    ("AUTHORISATION_ADJUSTMENT", "false", ()),
    ("CAPTURE", "true", (Fact(FactKind.CAPTURE, "OWN", "succeeded", 1000, "PAY"),)),
    ("CAPTURE", "false", ()),
    ("CAPTURE_FAILED", "true", CAPTURE_FAILED),
    ("CAPTURE_FAILED", "false", CAPTURE_FAILED),
    ("CANCELLATION", "true", void("canceled")),
    ("CANCELLATION", "false", ()),
    ("TECHNICAL_CANCEL", "true", void("canceled")),
    ("CANCEL_OR_REFUND", "true", (refund("either"),)),
    ("CANCEL_OR_REFUND", "false", ()),
    ("EXPIRE", "true", void("expired")),
    ("REFUND", "true", (refund("succeeded"), PROOF)),
    ("REFUND", "false", (refund("failed"),)),
    ("REFUND_WITH_DATA", "true", (refund("succeeded"), PROOF)),
    ("REFUND_FAILED", "true", (refund("failed"), PROOF)),
    ("REFUNDED_REVERSED", "true", (refund("reversed"), PROOF)),
    ("REQUEST_FOR_INFORMATION", "true", dispute("inquiry", 0)),
    ("NOTIFICATION_OF_CHARGEBACK", "true", dispute("open", 1)),
    ("CHARGEBACK", "true", dispute("open", 1, FactKind.DISPUTE_OUT)),
    ("CHARGEBACK_REVERSED", "true", dispute("won", 1, FactKind.DISPUTE_IN)),
    ("PREARBITRATION_WON", "true", dispute("won", 3, FactKind.DISPUTE_IN, 1)),
    ("SECOND_CHARGEBACK", "true", dispute("lost", 2, FactKind.DISPUTE_OUT, 1)),
    ("PREARBITRATION_LOST", "true", dispute("lost", 3, FactKind.DISPUTE_OUT, 1)),
]


@pytest.mark.parametrize(("code", "success", "facts"), MODIFICATIONS, ids=[f"{c[0]}-{c[1]}" for c in MODIFICATIONS])
def test_modification(code: str, success: str, facts: tuple[Fact, ...]) -> None:
    assert interpret(code, success) == Meaning(
        refs=(PAYMENT,),
        facts=facts,
        opens=False,
        currency="EUR",
        amount=1000,
        provider_ref="PAY",
        merchant_account="Shop",
    )


OPENING = [
    (
        "AUTHORISATION",
        "true",
        (
            Fact(FactKind.AUTHORIZATION, "OWN", "authorized", 1000),
            Fact(FactKind.MODE, "OWN", "account"),
        ),
    ),
    ("AUTHORISATION", "false", (Fact(FactKind.ATTEMPT, "OWN", "failed", 1000),)),
    ("PENDING", "true", (Fact(FactKind.ATTEMPT, "OWN", "processing", 1000),)),
]


@pytest.mark.parametrize(("code", "success", "facts"), OPENING, ids=["authorised", "refused", "pending"])
def test_a_try_opens_its_payment(code: str, success: str, facts: tuple[Fact, ...]) -> None:
    meaning = interpret(code, success, originalReference="")
    assert meaning.facts == facts
    assert meaning.opens
    assert meaning.refs == (Ref(RefKind.PAYMENT, "OWN"), REFERENCE)
    assert meaning.provider_ref == "OWN"


def test_a_try_with_an_original_is_tied_to_both() -> None:
    assert interpret("AUTHORISATION").refs == (Ref(RefKind.PAYMENT, "OWN"), PAYMENT, REFERENCE)


def test_a_modification_by_merchant_reference() -> None:
    meaning = interpret("TECHNICAL_CANCEL", originalReference=None)
    assert (meaning.refs, meaning.facts, meaning.provider_ref) == ((REFERENCE,), void("canceled", "OWN"), None)


@pytest.mark.parametrize("code", ["EXPIRE", "CHARGEBACK"])
def test_an_item_of_the_payment_itself(code: str) -> None:
    meaning = interpret(code, originalReference=None)
    assert meaning.refs == (Ref(RefKind.PAYMENT, "OWN"), REFERENCE)
    assert meaning.provider_ref == "OWN"


@pytest.mark.parametrize("code", ["REPORT_AVAILABLE", "NOTIFICATION_OF_FRAUD", "PAYOUT_THIRDPARTY"])
def test_silent(code: str) -> None:
    assert interpret(code, amount=None) == Meaning()


def test_platform_webhook() -> None:
    assert providers.interpret("adyen", "merchant.created", b'{"type": "merchant.created"}') == Meaning()
    with pytest.raises(UninterpretableError, match="undecodable"):
        providers.interpret("adyen", "merchant.created", b'{"type": "merchant.updated"}')


def test_boolean_success() -> None:
    assert interpret("CAPTURE", success=True).facts == interpret("CAPTURE", "true").facts
    assert interpret("CAPTURE", success=False).facts == interpret("CAPTURE", "false").facts


def test_unknown_code() -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret("TELEPORTATION")
    assert refused.value.reason == Reason.UNKNOWN_KIND


@pytest.mark.parametrize(
    "changes",
    [
        {"success": "maybe"},
        {"success": None},
        {"amount": None},
        {"amount": {"currency": "EUR", "value": "1000"}},
        {"amount": {"currency": "EUR", "value": -1}},
        {"amount": {"currency": "E", "value": 1}},
        {"pspReference": None},
        {"pspReference": "x" * 300},
        {"originalReference": "\x00"},
        {"originalReference": None, "merchantReference": None},
        {"eventCode": "REFUND"},
    ],
    ids=range(11),
)
def test_undecodable(changes: dict[str, Any]) -> None:
    with pytest.raises(UninterpretableError) as refused:
        interpret("CAPTURE", **changes)
    assert refused.value.reason == Reason.UNDECODABLE
