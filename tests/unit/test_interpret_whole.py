"""Each kind's meaning as a whole, of the providers whose other tests look at a fact's key, state and amount alone.

What a fact belongs to and its version decide as much as they do: which capture a refund is of, which of two states is
the later one. So do the references, the merchant account and the mode, by which payments are found and kept apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import providers
from providers.core.refetch import Fetched
from schemas.errors import UninterpretableError
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.unit

AT, UNIX = "2026-09-21T14:18:20.250Z", 1_790_000_300.25
MICROS = 1_790_000_300_250_000


def read(provider: str, kind: str, event: dict[str, Any]) -> Meaning:
    return providers.interpret(provider, kind, json.dumps(event).encode())


def read_again(provider: str, ref: str, value: dict[str, Any]) -> Meaning:
    """Interpret an API's answer as the consumer does."""
    found = providers.find(provider)
    assert found is not None
    assert found.refetch is not None
    body = json.dumps(value).encode()
    answer = found.refetch.answer(ref, 200, body)
    assert isinstance(answer, Fetched), answer
    return providers.interpret(provider, answer.kind, body)


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


def asked(key: str, amount: int) -> Fact:
    return Fact(FactKind.TERMS, key, "asked", amount)


def tried(key: str, state: str, payment: str | None = None, amount: int | None = None) -> Fact:
    return Fact(FactKind.ATTEMPT, key, state, amount, payment)


def reserved(key: str, amount: int) -> Fact:
    return Fact(FactKind.AUTHORIZATION, key, "authorized", amount)


def taken(key: str, amount: int | None, authorization: str | None, version: int = 0) -> Fact:
    return Fact(FactKind.CAPTURE, key, "succeeded", amount, authorization, version)


def untaken(key: str, amount: int | None, authorization: str | None, version: int = 0) -> tuple[Fact, Fact]:
    """Return the facts of a capture that failed."""
    return (
        Fact(FactKind.CAPTURE, key, "pending", amount, authorization),
        Fact(FactKind.REVERSAL, key, "failed", amount, key, version),
    )


def released(key: str, state: str) -> Fact:
    return Fact(FactKind.VOID, key, state)


def ended(key: str, state: str) -> Fact:
    return Fact(FactKind.END, key, state)


def given_back(key: str, state: str, amount: int | None, payment: str | None) -> Fact:
    return Fact(FactKind.REFUND, key, state, amount, payment)


def disputed(key: str, state: str, payment: str, version: int = 0) -> Fact:
    return Fact(FactKind.DISPUTE, key, state, None, payment, version)


def withdrawn(key: str, amount: int | None, number: int = 0) -> Fact:
    return _moved(FactKind.DISPUTE_OUT, key, "withdrawn", amount, number)


def reinstated(key: str, amount: int | None, number: int = 0) -> Fact:
    return _moved(FactKind.DISPUTE_IN, key, "reinstated", amount, number)


def _moved(kind: FactKind, key: str, state: str, amount: int | None, number: int) -> Fact:
    return Fact(kind, f"{key}#{number}", state, amount, key, number) if number else Fact(kind, key, state, amount)


def check_facts(found: Meaning, facts: Iterable[Fact]) -> None:
    assert list(found.facts) == list(facts)


# --- Mollie ------------------------------------------------------------------------------------------------------

EUR = {"value": "10.00", "currency": "EUR"}
MOLLIE: dict[str, Any] = {
    "resource": "payment",
    "id": "tr_1",
    "mode": "live",
    "profileId": "pfl_1",
    "orderId": None,
    "amount": EUR,
    # What the merchant is paid, in the currency of the account: no figure of the payment.
    "settlementAmount": {"value": "9.00", "currency": "USD"},
    "metadata": {"order_id": "ORD-1"},
}


def mollie(kind: str, **entity: Any) -> Meaning:
    whole = MOLLIE | entity
    event = {"type": kind, "entityId": whole["id"], "createdAt": AT, "_embedded": {"entity": whole}}
    return read("mollie", kind, event)


MOLLIE_PAYMENTS: list[tuple[str, dict[str, Any], tuple[Fact, ...], int]] = [
    ("payment.pending", {"status": "pending"}, (tried("tr_1", "processing"),), 0),
    ("payment.authorized", {"status": "authorized"}, (reserved("tr_1", 1000),), 0),
    ("payment.paid", {"status": "paid"}, (taken("tr_1", 1000, "tr_1"),), 0),
    ("payment.paid", {"status": "paid", "method": "directdebit"}, (taken("tr_1", 1000, "tr_1"),), 60),
    ("payment.pending", {"status": "pending", "method": "directdebit"}, (tried("tr_1", "processing"),), 0),
    (
        "payment.paid",
        {"status": "paid", "amountCaptured": {"value": "4.00", "currency": "EUR"}},
        (reserved("tr_1", 1000), taken("tr_1", 400, "tr_1")),
        0,
    ),
    ("payment.failed", {"status": "failed"}, (tried("tr_1", "failed"), released("tr_1", "failed")), 0),
    ("payment.canceled", {"status": "canceled"}, (ended("tr_1", "canceled"),), 0),
    ("payment.expired", {"status": "expired"}, (ended("tr_1", "expired"),), 0),
]


@pytest.mark.parametrize(("kind", "entity", "facts", "days"), MOLLIE_PAYMENTS)
def test_a_payment_of_mollie(kind: str, entity: dict[str, Any], facts: tuple[Fact, ...], days: int) -> None:
    whole = Meaning(
        refs=refs(("payment", "tr_1"), ("reference", "ORD-1")),
        facts=(asked("tr_1", 1000), *facts),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="tr_1",
        merchant_account="pfl_1",
        livemode=True,
        occurred_at=UNIX,
        undoable_days=days,
    )
    assert mollie(kind, **entity) == whole
    if entity["status"] != "pending" or days:
        shown = read_again("mollie", "tr_1", MOLLIE | entity)
        assert (shown.refs, shown.facts, shown.undoable_days) == (whole.refs, whole.facts, days)
        assert (shown.merchant_account, shown.livemode, shown.occurred_at) == ("pfl_1", True, None)


@pytest.mark.parametrize("state", ["canceled", "expired"])
def test_a_try_of_an_order_of_mollie(state: str) -> None:
    found = mollie(f"payment.{state}", status=state, orderId="ord_1")
    assert found.refs == refs(("payment", "tr_1"), ("payment", "ord_1"), ("reference", "ORD-1"))
    assert found.provider_ref == "ord_1"
    assert found.facts == (asked("tr_1", 1000), tried("tr_1", state, "ord_1"), released("tr_1", state))


MOLLIE_CHILDREN: list[tuple[str, str, tuple[Fact, ...]]] = [
    *((f"refund.{one}", "re_1", (given_back("re_1", "pending", 1000, "tr_1"),))
      for one in ("queued", "pending", "processing")),
    ("refund.refunded", "re_1", (given_back("re_1", "succeeded", 1000, "tr_1"),)),
    ("refund.failed", "re_1", (given_back("re_1", "failed", 1000, "tr_1"),)),
    ("refund.canceled", "re_1", (given_back("re_1", "canceled", 1000, "tr_1"),)),
    ("chargeback.received", "chb_1", (disputed("chb_1", "open", "tr_1"), withdrawn("chb_1", 1000))),
    ("chargeback.reversed", "chb_1", (disputed("chb_1", "won", "tr_1"), reinstated("chb_1", 1000))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "own", "facts"), MOLLIE_CHILDREN)
def test_a_refund_and_a_chargeback_of_mollie(kind: str, own: str, facts: tuple[Fact, ...]) -> None:
    """They are in the profile and the mode that they name; their metadata is their own."""
    what = "refund" if own.startswith("re_") else "dispute"
    assert mollie(kind, id=own, paymentId="tr_1") == Meaning(
        refs=refs(("payment", "tr_1"), (what, own)),
        facts=facts,
        currency="EUR",
        amount=1000,
        provider_ref="tr_1",
        merchant_account="pfl_1",
        livemode=True,
        occurred_at=UNIX,
    )


@pytest.mark.parametrize(
    ("end", "facts"),
    [
        ({}, (disputed("chb_1", "open", "tr_1"), withdrawn("chb_1", 1000))),
        ({"reversedAt": None}, (disputed("chb_1", "open", "tr_1"), withdrawn("chb_1", 1000))),
        ({"reversedAt": AT}, (disputed("chb_1", "won", "tr_1"), reinstated("chb_1", 1000))),
    ],
    ids=["open", "not reversed", "reversed"],
)
def test_a_chargeback_that_mollie_lists_in_its_payment(end: dict[str, Any], facts: tuple[Fact, ...]) -> None:
    listed = {"id": "chb_1", "amount": EUR, **end}
    shown = read_again("mollie", "tr_1", MOLLIE | {"status": "paid", "_embedded": {"chargebacks": [listed]}})
    assert shown.facts == (asked("tr_1", 1000), taken("tr_1", 1000, "tr_1"), *facts)


def test_an_order_of_mollie() -> None:
    order = MOLLIE | {
        "resource": "order",
        "id": "ord_1",
        "status": "created",
        "orderNumber": "7",
        "metadata": None,
        "_embedded": {
            "payments": [MOLLIE | {"status": "open"}],
            "refunds": [{"id": "re_1", "status": "pending", "amount": EUR, "paymentId": "tr_1"}],
        },
    }
    assert read_again("mollie", "ord_1", order) == Meaning(
        refs=refs(("payment", "ord_1"), ("payment", "tr_1"), ("refund", "re_1"), ("reference", "7")),
        facts=(
            asked("ord_1", 1000),
            tried("ord_1", "created"),
            asked("tr_1", 1000),
            tried("tr_1", "created"),
            given_back("re_1", "pending", 1000, "tr_1"),
        ),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="ord_1",
        merchant_account="pfl_1",
        livemode=True,
    )


@pytest.mark.parametrize(("status", "state"), [("canceled", "canceled"), ("expired", "expired"), ("completed", None)])
def test_how_an_order_of_mollie_ends(status: str, state: str | None) -> None:
    found = read_again("mollie", "ord_1", MOLLIE | {"resource": "order", "id": "ord_1", "status": status})
    assert [fact for fact in found.facts if fact.kind is FactKind.END] == ([ended("ord_1", state)] if state else [])


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
def test_mollie_writes_each_currency_in_its_own_decimals(currency: str) -> None:
    value, minor = {"JPY": ("1000", 1000), "EUR": ("1000.00", 100_000), "KWD": ("1000.000", 1_000_000)}[currency]
    found = mollie("payment.paid", status="paid", amount={"value": value, "currency": currency})
    assert found.facts == (asked("tr_1", minor), taken("tr_1", minor, "tr_1"))


def test_nothing_that_was_captured_is_nothing_taken() -> None:
    """A payment that waits for its capture shows a figure of 0, and is only authorized."""
    nothing = {"status": "authorized", "amountCaptured": {"value": "0.00", "currency": "EUR"}}
    assert read_again("mollie", "tr_1", MOLLIE | nothing).facts == (asked("tr_1", 1000), reserved("tr_1", 1000))


def test_a_capture_names_its_payment_before_its_address_does() -> None:
    href = "https://api.mollie.com/v2/payments/tr_2/captures/cpt_1"
    event = {"type": "capture.succeeded", "entityId": "cpt_1", "_links": {"entity": {"href": href}}}
    assert read("mollie", "capture.succeeded", event) == Meaning(ask="tr_2")
    named = event | {"_embedded": {"entity": {"id": "cpt_1", "paymentId": "tr_1"}}}
    assert read("mollie", "capture.succeeded", named) == Meaning(ask="tr_1")


# --- GoCardless --------------------------------------------------------------------------------------------------


def gocardless(kind: str, **links: str) -> Meaning:
    resource, action = kind.split(".")
    event = {"id": "EV1", "created_at": AT, "resource_type": resource, "action": action, "links": links}
    return read("gocardless", kind, event | {"resource_metadata": {"order_id": "ORD-1"}})


def debit(state: str) -> Fact:
    return Fact(FactKind.ATTEMPT, "PM1", state, version=MICROS)


LATE = (debit("failed"), *untaken("PM1", None, "PM1", MICROS))
GOCARDLESS: list[tuple[str, tuple[Fact, ...], int]] = [
    ("created", (debit("created"),), 0),
    ("submitted", (debit("processing"),), 0),
    ("resubmission_requested", (debit("processing"),), 0),
    ("confirmed", (taken("PM1", None, "PM1", MICROS),), 60),
    ("paid_out", (taken("PM1", None, "PM1", MICROS),), 60),
    ("failed", LATE, 0),
    ("late_failure_settled", LATE, 0),
    ("customer_approval_denied", (debit("failed"),), 0),
    ("cancelled", (ended("PM1", "canceled"),), 0),
    ("charged_back", (disputed("PM1", "open", "PM1", MICROS), withdrawn("PM1", None)), 0),
    ("chargeback_settled", (disputed("PM1", "lost", "PM1", MICROS), withdrawn("PM1", None)), 0),
    ("chargeback_cancelled", (disputed("PM1", "won", "PM1", MICROS), reinstated("PM1", None)), 0),
]


@pytest.mark.parametrize(("action", "facts", "days"), GOCARDLESS)
def test_a_debit_of_gocardless(action: str, facts: tuple[Fact, ...], days: int) -> None:
    assert gocardless(f"payments.{action}", payment="PM1") == Meaning(
        refs=refs(("payment", "PM1"), ("reference", "ORD-1")),
        facts=facts,
        provider_ref="PM1",
        occurred_at=UNIX,
        undoable_days=days,
    )


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("created", "pending"),
        ("paid", "succeeded"),
        ("refund_settled", "succeeded"),
        ("failed", "failed"),
        ("funds_returned", "reversed"),
    ],
)
def test_a_refund_of_gocardless_has_no_amount_until_it_is_read(action: str, state: str) -> None:
    assert gocardless(f"refunds.{action}", refund="RF1", payment="PM1") == Meaning(
        refs=refs(("payment", "PM1"), ("refund", "RF1")),
        facts=(given_back("RF1", state, None, "PM1"),),
        provider_ref="PM1",
        occurred_at=UNIX,
    )


@pytest.mark.parametrize("kind", ["subscriptions", "instalment_schedules"])
def test_what_makes_payments_of_gocardless_is_shared_by_them(kind: str) -> None:
    links = {"payment": "PM1", "subscription": "SB1", "instalment_schedule": "IS1", "mandate": "MD1"}
    assert gocardless(f"{kind}.payment_created", **links) == Meaning(
        refs=refs(("payment", "PM1"), ("shared", "SB1"), ("shared", "IS1"), ("shared", "MD1")),
        facts=(debit("created"),),
        provider_ref="PM1",
        occurred_at=UNIX,
    )


CHARGED_BACK = (taken("PM1", None, "PM1"), disputed("PM1", "open", "PM1"), withdrawn("PM1", None))
DEBITS: list[tuple[str, tuple[Fact, ...], int]] = [
    ("pending_customer_approval", (tried("PM1", "created"),), 0),
    ("pending_submission", (tried("PM1", "created"),), 0),
    ("submitted", (tried("PM1", "processing"),), 0),
    ("confirmed", (taken("PM1", None, "PM1"),), 60),
    ("paid_out", (taken("PM1", None, "PM1"),), 60),
    ("customer_approval_denied", (tried("PM1", "failed"),), 0),
    ("failed", (tried("PM1", "failed"), *untaken("PM1", None, "PM1")), 0),
    ("cancelled", (ended("PM1", "canceled"),), 0),
    ("charged_back", CHARGED_BACK, 0),
]


@pytest.mark.parametrize(("status", "facts", "days"), DEBITS)
def test_a_debit_of_gocardless_that_is_read_again(status: str, facts: tuple[Fact, ...], days: int) -> None:
    """Its amount is what was asked for, whatever went back since; a foreign currency is that of the payout alone."""
    shown = {"id": "PM1", "amount": 1000, "amount_refunded": 300, "currency": "GBP", "status": status,
             "fx": {"fx_currency": "EUR", "fx_amount": 1150}, "metadata": {"order_id": "ORD-1"},
             "links": {"subscription": "SB1"}}  # fmt: skip
    back = Fact(FactKind.REFUND_TOTAL, "PM1", "succeeded", 300)
    assert read_again("gocardless", "PM1", {"payments": shown}) == Meaning(
        refs=refs(("payment", "PM1"), ("shared", "SB1"), ("reference", "ORD-1")),
        facts=(asked("PM1", 1000), *facts, back),
        opens=True,
        currency="GBP",
        amount=1000,
        provider_ref="PM1",
        undoable_days=days,
    )


def test_events_and_answers_of_gocardless_count_the_same_time() -> None:
    """What is read again counts from when it was asked for, in the ticks of the events' versions."""
    found = providers.find("gocardless")
    assert found is not None
    assert found.refetch is not None
    assert found.refetch.ticks_per_second * UNIX == MICROS
    versioned = {fact.kind for _, facts, _ in GOCARDLESS for fact in facts if fact.version} - {FactKind.DISPUTE}
    assert versioned <= found.refetch.timed


# --- Checkout.com ------------------------------------------------------------------------------------------------

BALANCES = {"total_authorized": 2000, "total_captured": 1500, "total_refunded": 500}
CHECKOUT: dict[str, Any] = {
    "id": "pay_1",
    "action_id": "act_1",
    "reference": "ORD-1",
    "entity_id": "ent_1",
    "amount": 1000,
    "currency": "EUR",
    "balances": BALANCES,
}


def checkout(kind: str, **data: Any) -> Meaning:
    return read("checkout", kind, {"type": kind, "created_on": AT, "data": CHECKOUT | data})


HELD = reserved("pay_1", 2000)
CHECKOUT_PAYMENTS: list[tuple[str, tuple[Fact, ...], bool]] = [
    ("payment_approved", (asked("pay_1", 1000), reserved("pay_1", 1000)), True),
    ("payment_pending", (asked("pay_1", 1000), tried("pay_1", "processing")), True),
    ("payment_declined", (asked("pay_1", 1000), tried("pay_1", "failed")), True),
    ("payment_canceled", (asked("pay_1", 1000), ended("pay_1", "canceled")), True),
    ("payment_expired", (asked("pay_1", 1000), ended("pay_1", "expired")), True),
    ("payment_voided", (released("pay_1", "canceled"),), False),
    ("payment_authorization_incremented", (HELD,), False),
    ("payment_captured", (HELD, taken("act_1", 1000, "pay_1")), True),
    ("payment_capture_declined", untaken("act_1", 1000, "pay_1"), False),
    ("payment_refunded", (given_back("act_1", "succeeded", 1000, "pay_1"),), False),
    ("payment_refund_declined", (given_back("act_1", "failed", 1000, "pay_1"),), False),
    ("payment_returned", (Fact(FactKind.REVERSAL, "pay_1", "done", 1000, "pay_1"),), False),
]


@pytest.mark.parametrize(("kind", "facts", "opens"), CHECKOUT_PAYMENTS)
def test_a_payment_of_checkout(kind: str, facts: tuple[Fact, ...], *, opens: bool) -> None:
    """The amount is the action's own: the balances are of all that came before as well."""
    assert checkout(kind) == Meaning(
        refs=refs(("payment", "pay_1"), ("reference", "ORD-1")),
        facts=facts,
        opens=opens,
        currency="EUR",
        amount=1000,
        provider_ref="pay_1",
        merchant_account="ent_1",
        occurred_at=UNIX,
    )


OUT, IN = withdrawn("dsp_1", 1000), reinstated("dsp_1", 1000)
CHECKOUT_DISPUTES: list[tuple[str, str, int, tuple[Fact, ...], str]] = [
    ("received", "open", 1, (), ""),
    ("evidence_required", "open", 1, (OUT,), "evidence_required"),
    ("evidence_submitted", "under_review", 1, (OUT,), "evidence_under_review"),
    ("evidence_acknowledged_by_scheme", "under_review", 1, (OUT,), ""),
    ("resolved", "prevented", 1, (), "resolved"),
    ("canceled", "won", 1, (OUT, IN), "canceled"),
    ("won", "won", 1, (OUT, IN), "won"),
    ("accepted", "lost", 1, (OUT,), "accepted"),
    ("expired", "lost", 1, (OUT,), "expired"),
    ("lost", "lost", 1, (OUT,), "lost"),
    ("arbitration_evidence_submitted", "under_review", 2, (OUT,), "arb_evidence_submitted"),
    ("arbitration_sent_to_scheme", "under_review", 2, (OUT,), "arbitration_under_review"),
    ("arbitration_won", "won", 2, (OUT, IN), "arbitration_won"),
    ("arbitration_lost", "lost", 2, (OUT, withdrawn("dsp_1", 1000, 1)), "arbitration_lost"),
]


@pytest.mark.parametrize(("kind", "state", "stage", "moves", "status"), CHECKOUT_DISPUTES)
def test_a_dispute_of_checkout(kind: str, state: str, stage: int, moves: tuple[Fact, ...], status: str) -> None:
    whole = Meaning(
        refs=refs(("payment", "pay_1"), ("dispute", "dsp_1")),
        facts=(disputed("dsp_1", state, "pay_1", stage << 53), *moves),
        currency="EUR",
        amount=1000,
        provider_ref="pay_1",
        merchant_account="ent_1",
    )
    found = checkout(f"dispute_{kind}", id="dsp_1", payment_id="pay_1")
    assert (found.refs, found.facts, found.merchant_account) == (whole.refs, whole.facts, "ent_1")
    assert (found.opens, found.amount, found.provider_ref, found.occurred_at) == (False, 1000, "pay_1", UNIX)
    if status:
        shown = {"id": "dsp_1", "status": status, "amount": 1000, "currency": "EUR", "entity_id": "ent_1"}
        assert read_again("checkout", "dispute:dsp_1", shown | {"payment": {"id": "pay_1"}}) == whole


IN_ALL = (
    HELD,
    Fact(FactKind.CAPTURE_TOTAL, "pay_1", "succeeded", 1500),
    Fact(FactKind.REFUND_TOTAL, "pay_1", "succeeded", 500),
)


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        *((one, (tried("pay_1", "processing"),)) for one in ("Pending", "Requested", "Active")),
        ("Declined", (tried("pay_1", "failed"),)),
        ("Voided", (released("pay_1", "canceled"),)),
        ("Canceled", (ended("pay_1", "canceled"),)),
        ("Expired", (ended("pay_1", "expired"),)),
        ("Partially Refunded", ()),
        ("Captured", ()),
    ],
)
def test_a_payment_of_checkout_that_is_read_again(status: str, ends: tuple[Fact, ...]) -> None:
    assert read_again("checkout", "pay_1", CHECKOUT | {"status": status}) == Meaning(
        refs=refs(("payment", "pay_1"), ("reference", "ORD-1")),
        facts=(asked("pay_1", 1000), *IN_ALL, *ends),
        opens=True,
        currency="EUR",
        amount=1000,
        provider_ref="pay_1",
    )


def test_a_payout_of_checkout_is_no_payment_when_it_is_read_again() -> None:
    out = CHECKOUT | {"status": "Paid", "destination": {"type": "bank_account"}}
    for source in (None, {"type": "currency_account"}):
        assert read_again("checkout", "pay_1", out | {"source": source}) == Meaning()
    assert read_again("checkout", "pay_1", out | {"source": {"type": "card"}}).facts
    assert read_again("checkout", "pay_1", CHECKOUT | {"status": "Captured", "source": None}).facts


@pytest.mark.parametrize(
    "kind",
    [
        "payment_authentication_failed",
        "payment_authorization_increment_declined",
        "payment_capture_pending",
        "payment_compliance_review",
        "payment_instrument_verified",
        "payment_optimized",
        "payment_paid",
        "payment_refund_pending",
        "payment_retry_scheduled",
        "payment_void_declined",
    ],
)
def test_a_kind_of_checkout_that_moves_nothing(kind: str) -> None:
    assert checkout(kind) == Meaning()


# --- Flutterwave -------------------------------------------------------------------------------------------------

CHARGE: dict[str, Any] = {
    "id": "chg_1",
    "amount": 1000,
    # What the payer paid with the fee, what the merchant gets of it, and the fee: none is the payment's amount.
    "charged_amount": 1014,
    "amount_settled": 986,
    "app_fee": 14,
    "currency": "NGN",
    "reference": "order_1",
    "flw_ref": "FLW-1",
    "created_datetime": AT,
    "meta": {"order_id": "ORD-1"},
}


@pytest.mark.parametrize("kind", ["charge.completed", "charge.failed"])
@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("succeeded", taken("chg_1", 100_000, "chg_1")),
        ("successful", taken("chg_1", 100_000, "chg_1")),
        ("pending", tried("chg_1", "processing")),
        ("failed", tried("chg_1", "failed")),
        ("voided", ended("chg_1", "canceled")),
    ],
)
def test_a_charge_of_flutterwave(kind: str, status: str, fact: Fact) -> None:
    whole = Meaning(
        refs=refs(("payment", "order_1"), ("payment", "chg_1"), ("reference", "ORD-1"), ("reference", "order_1")),
        facts=(asked("chg_1", 100_000), fact),
        opens=True,
        currency="NGN",
        amount=100_000,
        provider_ref="order_1",
        occurred_at=UNIX,
    )
    charge = CHARGE | {"status": status}
    assert read("flutterwave", kind, {"type": kind, "data": charge}) == whole
    third = charge | {"tx_ref": "order_1", "reference": "of another", "created_datetime": None, "created_at": AT}
    assert read("flutterwave", kind, {"event": kind, "data": third}) == whole


REFUND: dict[str, Any] = {"id": "rfd_1", "charge_id": "chg_1", "reference": "order_1", "amount": 1000,
                          "amount_refunded": 400, "currency": "NGN", "created_datetime": AT}  # fmt: skip


@pytest.mark.parametrize("kind", ["refund.completed", "refund.failed"])
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("new", "pending"),
        ("pending", "pending"),
        ("requires_action", "pending"),
        ("succeeded", "succeeded"),
        ("completed", "succeeded"),
        ("failed", "failed"),
        ("cancelled", "canceled"),
        ("canceled", "canceled"),
    ],
)
def test_a_refund_of_flutterwave(kind: str, status: str, state: str) -> None:
    assert read("flutterwave", kind, {"type": kind, "data": REFUND | {"status": status}}) == Meaning(
        refs=refs(("payment", "chg_1"), ("payment", "order_1"), ("refund", "rfd_1")),
        facts=(given_back("rfd_1", state, 40_000, "chg_1"),),
        currency="NGN",
        amount=40_000,
        occurred_at=UNIX,
    )


@pytest.mark.parametrize("kind", ["chargeback.created", "chargeback.updated"])
@pytest.mark.parametrize("stage", ["new", "second", "pre-arbitration", "arbitration"])
@pytest.mark.parametrize(("status", "state"), [("initiated", "open"), ("declined", "under_review"), ("lost", "lost")])
def test_a_chargeback_of_flutterwave(kind: str, stage: str, status: str, state: str) -> None:
    """Its stages follow one another (v4-api-reference/chargebacks), and within one its last change counts."""
    number = ["new", "second", "pre-arbitration", "arbitration"].index(stage)
    event = {"id": "cb_1", "charge_id": "chg_1", "status": status, "stage": stage, "amount": 1000, "currency": "NGN",
             "created_datetime": "2026-09-01T10:00:00Z", "updated_datetime": AT}  # fmt: skip
    found = read("flutterwave", kind, {"type": kind, "data": event})
    moves = [withdrawn("cb_1", 100_000)] if state == "lost" else []
    check_facts(found, [disputed("cb_1", state, "chg_1", (number << 53) + MICROS), *moves])
    assert found.refs == refs(("payment", "chg_1"), ("dispute", "cb_1"))


@pytest.mark.parametrize("kind", ["charge.teleported", "chargeback.new", "refund.new", "order.authorized"])
def test_a_kind_of_flutterwave_about_money_that_nothing_reads(kind: str) -> None:
    with pytest.raises(UninterpretableError) as error:
        read("flutterwave", kind, {"type": kind, "data": CHARGE})
    assert error.value.reason == "unknown_kind"


# --- Adyen -------------------------------------------------------------------------------------------------------


def adyen(code: str, original: str | None = "PAY", *, success: str = "true", **item: Any) -> Meaning:
    whole = {"eventCode": code, "success": success, "pspReference": "OWN", "originalReference": original,
             "merchantAccountCode": "Shop", "merchantReference": "ORD-1",
             "amount": {"currency": "EUR", "value": 1000}}  # fmt: skip
    return read("adyen", code, whole | item)


ADYEN_DISPUTES: list[tuple[str, str, int, str, int]] = [
    ("REQUEST_FOR_INFORMATION", "inquiry", 0, "", 0),
    ("NOTIFICATION_OF_CHARGEBACK", "open", 1, "", 0),
    ("INFORMATION_SUPPLIED", "under_review", 1, "", 0),
    ("DISPUTE_DEFENSE_PERIOD_ENDED", "undefended", 1, "", 0),
    ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "won", 1, "", 0),
    ("CHARGEBACK", "open", 1, "withdrawn", 0),
    ("CHARGEBACK_REVERSED", "won", 1, "reinstated", 0),
    ("SECOND_CHARGEBACK", "lost", 2, "withdrawn", 1),
    ("PREARBITRATION_OPEN", "open", 3, "", 0),
    ("PREARBITRATION_OPENED", "open", 3, "", 0),
    ("PREARBITRATION_DECLINED", "under_review", 3, "", 0),
    ("PREARBITRATION_ACCEPTED", "lost", 3, "withdrawn", 1),
    ("PREARBITRATION_LOST", "lost", 3, "withdrawn", 1),
    ("PREARBITRATION_WON", "won", 3, "reinstated", 1),
    ("PREARBITRATION_ISSUER_WITHDRAWN", "won", 3, "reinstated", 1),
    ("SCHEME_ARBITRATION", "under_review", 4, "", 0),
    ("SCHEME_ARBITRATION_LOST", "lost", 4, "withdrawn", 1),
    ("SCHEME_ARBITRATION_WON", "won", 4, "reinstated", 1),
]


@pytest.mark.parametrize("dispute", ADYEN_DISPUTES, ids=lambda dispute: dispute[0])
@pytest.mark.parametrize("original", ["PAY", None])
def test_a_dispute_of_adyen(original: str | None, dispute: tuple[str, str, int, str, int]) -> None:
    """Money that moved proves a capture. In older accounts an item without originalReference names the payment."""
    code, state, stage, funds, number = dispute
    payment = original or "OWN"
    moved = {"withdrawn": withdrawn, "reinstated": reinstated}
    money = (moved[funds]("OWN", 1000, number), Fact(FactKind.MODE, payment, "automatic")) if funds else ()
    assert adyen(code, original) == Meaning(
        refs=refs(("payment", payment), *((("reference", "ORD-1"),) if original is None else ())),
        facts=(disputed("OWN", state, payment, stage << 53), *money),
        currency="EUR",
        amount=1000,
        provider_ref=payment,
        merchant_account="Shop",
    )
    assert adyen(code, original, success="false").facts == ()


ADYEN_REFUSED: list[tuple[str, tuple[Fact, ...]]] = [
    ("REFUND", (given_back("OWN", "failed", 1000, "PAY"),)),
    ("REFUND_WITH_DATA", (given_back("OWN", "failed", 1000, "PAY"),)),
    ("REFUND_FAILED", (given_back("OWN", "failed", 1000, "PAY"),)),
    ("CAPTURE_FAILED", untaken("OWN", 1000, "PAY")),
    *((code, ()) for code in ("CAPTURE", "CANCELLATION", "TECHNICAL_CANCEL", "CANCEL_OR_REFUND", "EXPIRE")),
    *((code, ()) for code in ("REFUNDED_REVERSED", "AUTHORISATION_ADJUSTMENT")),
]


@pytest.mark.parametrize(("code", "facts"), ADYEN_REFUSED)
def test_what_adyen_refused(code: str, facts: tuple[Fact, ...]) -> None:
    assert adyen(code, success="false").facts == facts


@pytest.mark.parametrize(("success", "facts"), [("true", ()), ("false", (Fact(FactKind.END, "OWN", "canceled", 1000,
                                                                              "intent"),))])  # fmt: skip
def test_an_order_of_adyen_that_closes(success: str, facts: tuple[Fact, ...]) -> None:
    found = adyen("ORDER_CLOSED", None, success=success)
    assert (found.facts, found.opens, found.provider_ref) == (facts, True, "OWN")


@pytest.mark.parametrize("code", ["CAPTURE", "REFUND", "CANCELLATION", "AUTHORISATION_ADJUSTMENT"])
def test_a_modification_of_adyen_is_no_payment_by_its_own_reference(code: str) -> None:
    found = adyen(code, None)
    assert (found.refs, found.provider_ref) == (refs(("reference", "ORD-1")), None)


@pytest.mark.parametrize(
    ("currency", "value", "minor"),
    [("EUR", 1000, 1000), ("CLP", 1000, 10), ("CVE", 10, 1000), ("IDR", 10, 1000), ("ISK", 1000, 10), ("JPY", 10, 10)],
)
def test_adyen_writes_some_currencies_in_units_of_its_own(currency: str, value: int, minor: int) -> None:
    """docs.adyen.com/development-resources/currency-codes."""
    found = adyen("CAPTURE", amount={"currency": currency, "value": value})
    assert (found.amount, found.facts) == (minor, (taken("OWN", minor, "PAY"),))


@pytest.mark.parametrize("success", ["yes", "", 1, None])
def test_what_adyen_s_success_is_not(success: Any) -> None:
    with pytest.raises(UninterpretableError, match="success"):
        adyen("CAPTURE", success=success)


# --- Stripe ------------------------------------------------------------------------------------------------------


def stripe(kind: str, **thing: Any) -> Meaning:
    event = {"type": kind, "created": 1_790_000_300, "data": {"object": {"amount": 1000, "currency": "eur"} | thing}}
    return read("stripe", kind, event)


@pytest.mark.parametrize(("currency", "theirs", "ours"), [("isk", 1000, 10), ("ugx", 1000, 10), ("mga", 10, 1000),
                                                          ("jpy", 10, 10), ("kwd", 1000, 1000)])  # fmt: skip
def test_stripe_writes_some_currencies_in_units_of_its_own(currency: str, theirs: int, ours: int) -> None:
    """docs.stripe.com/currencies: ISK and UGX with two decimals that are always 00, MGA without any."""
    intent = {"id": "pi_1", "amount": theirs, "amount_received": theirs, "currency": currency}
    found = stripe("payment_intent.succeeded", **intent)
    assert (found.amount, {fact.amount for fact in found.facts}) == (ours, {ours})
    shown = read_again("stripe", "pi_1", {"object": "payment_intent", "status": "succeeded"} | intent)
    assert (shown.amount, {fact.amount for fact in shown.facts}) == (ours, {ours})


def test_a_kind_of_stripe_is_read_from_a_body_of_that_kind_alone() -> None:
    event = {"type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1", "amount_received": 1000}}}
    with pytest.raises(UninterpretableError) as error:
        read("stripe", "payment_intent.canceled", event)
    assert error.value.reason == "undecodable"


def test_what_an_intent_of_stripe_took_is_what_it_received_and_not_what_it_asked_for() -> None:
    for received in (400, 1100):
        found = stripe("payment_intent.succeeded", id="pi_1", amount_received=received)
        check_facts(found, [Fact(FactKind.TERMS, "pi_1", "asked", 1000, version=1_790_000_300),
                            taken("pi_1", received, "pi_1")])  # fmt: skip
    with pytest.raises(UninterpretableError) as error:
        stripe("payment_intent.succeeded", id="pi_1")
    assert error.value.reason == "undecodable"


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ({"payment_method_details": {"type": "card"}}, 0),
        ({"payment_method_types": ["card", "sepa_debit"]}, 0),
        ({"payment_method_types": ["sepa_debit", "acss_debit"]}, 90),
        ({"payment_method_details": {"type": "card"}, "payment_method_types": ["sepa_debit"]}, 0),
        ({"payment_method_details": {"type": "sepa_debit"}, "payment_method_types": ["card"]}, 60),
        *(({"payment_method_details": {"type": one}}, 60)
          for one in ("ach_debit", "us_bank_account", "sepa_debit", "bacs_debit", "au_becs_debit", "nz_bank_account")),
        ({"payment_method_details": {"type": "acss_debit"}}, 90),
    ],
)  # fmt: skip
def test_for_how_long_a_charge_of_stripe_may_be_taken_back(given: dict[str, Any], days: int) -> None:
    """By the method that was used, where it is known; else of those that may have been, each must be a debit."""
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_captured": 1000} | given
    assert stripe("charge.succeeded", **charge).undoable_days == days
    assert stripe("payment_intent.succeeded", id="pi_1", amount_received=1000, **given).undoable_days == days
    for kind in ("charge.pending", "charge.failed", "charge.refunded"):
        assert stripe(kind, **charge, amount_refunded=1000).undoable_days == 0


DISPUTE: dict[str, Any] = {"id": "du_1", "charge": "ch_1", "payment_intent": "pi_1"}


def move(amount: int, currency: str = "eur", fee: int = 1500) -> dict[str, Any]:
    return {"amount": amount, "currency": currency, "fee": fee, "net": amount - fee}


DISPUTE_MONEY: list[tuple[str, list[dict[str, Any]], list[Fact]]] = [
    ("charge.dispute.created", [], []),
    ("charge.dispute.created", [move(-1000)], [withdrawn("du_1", 1000)]),
    ("charge.dispute.created", [move(-600), move(-400)], [withdrawn("du_1", 1000)]),
    ("charge.dispute.closed", [move(-1000), move(400)], [withdrawn("du_1", 1000), reinstated("du_1", 400)]),
    ("charge.dispute.funds_withdrawn", [], [withdrawn("du_1", 1000)]),
    ("charge.dispute.funds_withdrawn", [move(-700)], [withdrawn("du_1", 700)]),
    ("charge.dispute.funds_reinstated", [], [reinstated("du_1", 1000)]),
    ("charge.dispute.funds_reinstated", [move(-1000)], [withdrawn("du_1", 1000), reinstated("du_1", 1000)]),
    ("charge.dispute.funds_reinstated", [move(-1000), move(400)],
     [withdrawn("du_1", 1000), reinstated("du_1", 400)]),
    # An account in dollars: what was taken is the disputed sum, what came back is its share.
    ("charge.dispute.closed", [move(-1100, "usd"), move(550, "usd")],
     [withdrawn("du_1", 1000), reinstated("du_1", 500)]),
    ("charge.dispute.closed", [move(-1100, "usd"), move(400)], [withdrawn("du_1", 1000), reinstated("du_1", 363)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "moves", "money"), DISPUTE_MONEY)
def test_what_a_dispute_of_stripe_took_and_gave_back(kind: str, moves: list[dict[str, Any]], money: list[Fact]) -> None:
    """Stripe's fee for the dispute is no money of the payment: the `amount` of a balance transaction is without it."""
    found = stripe(kind, **DISPUTE, status="lost", balance_transactions=moves)
    check_facts(found, [disputed("du_1", "lost", "pi_1", (1 << 53) + 1_790_000_300), *money])
    assert found.refs == refs(("payment", "pi_1"), ("charge", "ch_1"))
    assert found.provider_ref == "pi_1"


@pytest.mark.parametrize(
    ("status", "state", "stage"),
    [
        ("warning_needs_response", "inquiry", 0),
        ("warning_under_review", "inquiry", 0),
        ("warning_closed", "prevented", 0),
        ("needs_response", "open", 1),
        ("under_review", "under_review", 1),
        ("appeal_needs_response", "under_review", 1),
        ("appeal_under_review", "under_review", 1),
        ("prevented", "prevented", 1),
        ("charge_refunded", "prevented", 1),
        ("won", "won", 1),
        ("lost", "lost", 1),
    ],
)
def test_where_a_dispute_of_stripe_stands(status: str, state: str, stage: int) -> None:
    found = stripe("charge.dispute.updated", **DISPUTE, status=status)
    assert found.facts == (disputed("du_1", state, "pi_1", (stage << 53) + 1_790_000_300),)


@pytest.mark.parametrize(
    ("status", "booked", "state"),
    [
        ("pending", None, "pending"),
        ("requires_action", None, "pending"),
        ("succeeded", None, "unbooked"),
        ("succeeded", "txn_1", "succeeded"),
        ("failed", "txn_1", "failed"),
        ("failed", None, "failed"),
        ("canceled", None, "canceled"),
        (None, "txn_1", "succeeded"),
        (None, None, "pending"),
    ],
)
def test_where_a_refund_of_stripe_stands(status: str | None, booked: str | None, state: str) -> None:
    refund = {"id": "re_1", "charge": "ch_1", "payment_intent": "pi_1", "status": status, "balance_transaction": booked}
    for kind in ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"):
        found = stripe(kind, **refund)
        assert found.facts == (given_back("re_1", state, 1000, "pi_1"),)
        assert found.refs == refs(("payment", "pi_1"), ("charge", "ch_1"))


def test_the_refunds_that_a_charge_of_stripe_lists_are_of_its_payment() -> None:
    """A refund that was booked nowhere is what Stripe released."""
    listed = [{"id": "re_1", "amount": 300, "status": "succeeded", "balance_transaction": "txn_1"},
              {"id": "re_2", "amount": 100, "status": "succeeded"}]  # fmt: skip
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_captured": 1000,
              "amount_refunded": 400, "refunds": {"data": listed}}  # fmt: skip
    check_facts(
        stripe("charge.refunded", **charge),
        [
            Fact(FactKind.REFUND_TOTAL, "pi_1", "succeeded", 400),
            given_back("re_1", "succeeded", 300, "pi_1"),
            given_back("re_2", "unbooked", 100, "pi_1"),
        ],
    )


def test_what_a_bank_reserved_of_a_charge_of_stripe_is_less_where_it_says_so() -> None:
    for given, amount in (
        ({}, 1000),
        ({"card": {}}, 1000),
        *(({"card": {"amount_authorized": part}}, part) for part in (600, 0)),
    ):
        found = stripe("charge.succeeded", id="ch_1", captured=False, payment_method_details=given)
        assert [fact.amount for fact in found.facts if fact.kind is FactKind.AUTHORIZATION] == [amount]


def test_a_failed_try_of_stripe_goes_by_its_own_charge_and_method() -> None:
    """The intent's own are those of the next try, where one has begun."""
    error = {"charge": "ch_1", "payment_method": {"id": "pm_1"}}
    found = stripe("payment_intent.payment_failed", id="pi_1", latest_charge="ch_2", payment_method="pm_2",
                   last_payment_error=error)  # fmt: skip
    assert [fact.key for fact in found.facts if fact.kind is FactKind.ATTEMPT] == ["ch_1", "pm_1"]
    for kind in ("charge.failed", "charge.pending"):
        tries = stripe(kind, id="ch_1", payment_intent="pi_1", payment_method="pm_1").facts[1:]
        assert [(fact.key, fact.parent) for fact in tries] == [("ch_1", "pi_1"), ("pm_1", "pi_1")]


SESSION: dict[str, Any] = {"id": "cs_1", "amount": None, "amount_total": 1000, "payment_status": "unpaid"}
SESSION |= {"invoice": "in_1", "subscription": "sub_1", "client_reference_id": "ORD-1", "payment_intent": "pi_1"}
TIES = refs(("payment", "pi_1"), ("payment", "in_1"), ("payment", "cs_1"), ("shared", "sub_1"), ("reference", "ORD-1"))


@pytest.mark.parametrize(
    ("kind", "status", "facts"),
    [
        ("completed", "unpaid", [tried("pi_1", "created")]),
        ("completed", "no_payment_required", [tried("pi_1", "created")]),
        ("completed", "paid", [tried("pi_1", "created"), taken("pi_1", 1000, "pi_1")]),
        ("async_payment_succeeded", "paid", [tried("pi_1", "created"), taken("pi_1", 1000, "pi_1")]),
        ("async_payment_failed", "unpaid", [Fact(FactKind.ATTEMPT, "pi_1", "failed", version=1_790_000_300)]),
    ],
)
def test_a_session_of_stripe(kind: str, status: str, facts: list[Fact]) -> None:
    """Its try begins before all others, so its time counts where it failed alone; the subscription is shared."""
    found = stripe(f"checkout.session.{kind}", **SESSION | {"payment_status": status})
    total = Fact(FactKind.TERMS, "pi_1", "asked", 1000, version=1_790_000_300)
    check_facts(found, [facts[0], total, *facts[1:]])
    assert (found.refs, found.provider_ref, found.opens) == (TIES, "pi_1", True)


def test_a_session_of_stripe_that_expired() -> None:
    """It closes what is known or promised, and does not wait for what is not. Its invoice was never paid by it."""
    found = stripe("checkout.session.expired", **SESSION)
    check_facts(found, [ended("pi_1", "expired")])
    assert found.refs == tuple(ref for ref in TIES if ref.ref != "in_1")
    assert (found.opens, found.waits, found.provider_ref) == (True, False, "pi_1")


INVOICES: list[tuple[str, dict[str, Any]]] = [
    ("invoice.paid", {"id": "in_1", "subscription": "sub_1", "payment_intent": "pi_1", "charge": "ch_1"}),
    ("invoice.payment_succeeded", {"id": "in_1", "payment_intent": {"id": "pi_1"}, "charge": "ch_1",
                                   "parent": {"subscription_details": {"subscription": "sub_1"}}}),
    ("invoice_payment.paid", {"id": "inpay_1", "invoice": "in_1",
                              "payment": {"type": "payment_intent", "payment_intent": "pi_1", "charge": "ch_1"}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "thing"), INVOICES)
def test_an_invoice_of_stripe_ties_its_payment(kind: str, thing: dict[str, Any]) -> None:
    """A subscription has many invoices, so its id joins nothing; how much was paid the payment's own events say."""
    shared = (("shared", "sub_1"),) if kind.startswith("invoice.") else ()
    found = stripe(kind, **thing)
    check_facts(found, [tried("pi_1", "created")])
    assert found.refs == refs(("payment", "pi_1"), ("charge", "ch_1"), ("payment", "in_1"), *shared)
    assert (found.provider_ref, found.opens) == ("pi_1", True)
    assert stripe(kind, **thing | {"payment_intent": None, "payment": None, "charge": None}) == Meaning()


def test_an_invoice_of_stripe_that_a_bare_charge_paid() -> None:
    found = stripe("invoice.paid", id="in_1", charge="ch_1")
    assert found.refs == refs(("payment", "ch_1"), ("charge", "ch_1"), ("payment", "in_1"))


@pytest.mark.parametrize("kind", ["payment_intent.created", "charge.pending"])
def test_a_payment_of_stripe_goes_by_its_invoice_and_the_shop_s_reference(kind: str) -> None:
    noted = {"order_id": "ORD-2", "reference": "ORD-1"}
    found = stripe(kind, id="pi_1", payment_intent="pi_1", invoice={"id": "in_1"}, metadata=noted)
    assert found.refs[-2:] == refs(("payment", "in_1"), ("reference", "ORD-1"))


def test_a_thin_event_of_an_invoice_asks_about_nothing() -> None:
    """It names no payment that could be asked about, and one that is of another kind than it came as is refused."""
    for kind in ("v1.invoice.paid", "v1.invoice_payment.paid"):
        related = {"id": "in_1", "type": "invoice"}
        assert read("stripe", kind, {"type": kind, "related_object": related}) == Meaning()
    for named, asks in (("refund", "refund:re_1"), ("dispute", "dispute:re_1"), ("charge", "re_1")):
        event = {"type": "v1.refund.updated", "related_object": {"id": "re_1", "type": named}}
        assert read("stripe", "v1.refund.updated", event) == Meaning(ask=asks)
        with pytest.raises(UninterpretableError):
            read("stripe", "v1.refund.created", event)


def test_a_charge_of_stripe_of_which_nothing_was_captured_took_nothing() -> None:
    """Only where `amount_captured` is not shown the charge's own amount stands for it."""
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_refunded": 300}
    for given, amount in ((0, 0), (200, 200), (None, 700)):
        found = stripe("charge.captured", **charge, amount_captured=given)
        assert [fact.amount for fact in found.facts if fact.kind is FactKind.CAPTURE] == [amount]


def test_nothing_goes_back_of_a_charge_of_stripe_of_which_nothing_was_captured() -> None:
    """What was released with a capture of 0 was never taken."""
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_captured": 0, "amount_refunded": 1000}
    assert stripe("charge.refunded", **charge).facts == ()


@pytest.mark.parametrize("listed", [{}, {"refunds": None}, {"refunds": {"data": []}}], ids=["absent", "null", "empty"])
def test_what_went_back_of_a_charge_of_stripe_is_read_again_without_its_list(listed: dict[str, Any]) -> None:
    charge = {"id": "ch_1", "object": "charge", "status": "succeeded", "amount": 1000, "currency": "eur",
              "captured": True, "amount_captured": 1000, "amount_refunded": 400} | listed  # fmt: skip
    assert Fact(FactKind.REFUND_TOTAL, "ch_1", "succeeded", 400) in read_again("stripe", "ch_1", charge).facts


def test_a_session_of_stripe_goes_by_the_shop_s_note_before_its_client_s_reference() -> None:
    """The intent has the note too, and no client's reference: by another name the two would be two orders."""
    for kind in ("completed", "expired"):
        found = stripe(f"checkout.session.{kind}", **SESSION | {"metadata": {"order_id": "ORD-2"}})
        assert found.refs[-1:] == refs(("reference", "ORD-2"))


def test_a_payment_of_no_invoice_of_stripe_ties_nothing() -> None:
    names = {"type": "payment_intent", "payment_intent": "pi_1"}
    assert stripe("invoice_payment.paid", id="inpay_1", invoice=None, payment=names) == Meaning()
