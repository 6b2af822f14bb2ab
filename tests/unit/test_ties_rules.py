"""When an event that nobody signed for is taken for one of the payment that it names, rule by rule."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from events import standard, understood
from memory_tables import payment
from msgspec.structs import replace

from consumer.decode import Event
from consumer.facts_json import dump_reported
from consumer.fold import newer
from consumer.plan import Known
from consumer.ties import taken_for, tied
from consumer.verdict import Dead
from providers.core.payments import attempt, captured, terms
from schemas.dead_letter import Reason
from schemas.facts import Fact, Meaning, Ref, RefKind, Tie

pytestmark = pytest.mark.unit

A, B = UUID(int=1), UUID(int=2)
PAY_1, PAY_2 = (("standard_webhooks", "", "", True, "payment", ref) for ref in ("pay_1", "pay_2"))
ALONE = Meaning(refs=(Ref(RefKind.PAYMENT, "alone"),), facts=(captured("c", 100, authorization="alone"),))
PHONE = "+254708374149"


def event(*, otherwise: Meaning | None = ALONE, refs: tuple[str, ...] = ("pay_1",), **tie: Any) -> Event:
    one = understood(standard("payment.captured"))
    tie = {"amount": 100, "capture": "c", **tie}
    meaning = replace(
        one.meaning,
        refs=tuple(Ref(RefKind.PAYMENT, ref) for ref in refs),
        facts=(captured("c", 100, authorization="pay_1"),),
        tie=Tie(otherwise=otherwise, **tie),
    )
    return replace(one, meaning=meaning)


def about(one: Event, *facts: Fact, phone: str | None = PHONE) -> Event | Dead:
    held = payment(id=A, facts=newer({}, facts), phone=phone)
    return tied(one, Known(refs={PAY_1: A}, payments={A: held}))


def fits(one: Event, *facts: Fact, phone: str | None = PHONE) -> bool:
    found = about(one, *facts, phone=phone)
    assert isinstance(found, Event)
    assert found.meaning is (one.meaning if found is one else ALONE)
    return found is one


@pytest.mark.parametrize(
    ("facts", "fit"),
    [
        ((), True),
        ((terms("pay_1", 100),), True),
        ((terms("pay_1", 101),), False),
        ((attempt("pay_1", "processing", amount=99),), False),
        ((captured("c", 100),), True),
        ((captured("d", 100),), False),
        ((captured("c", 100), captured("d", 1)), False),
        ((captured("pay_1", None),), True),
        ((captured("pay_1", None), captured("d", 1)), False),
    ],
)
def test_money_fits_that_is_all_that_was_asked_and_no_other_capture(facts: tuple[Fact, ...], fit: bool) -> None:  # noqa: FBT001
    """A capture without an amount is what the provider reported before the receipt: the same money."""
    assert fits(event(), *facts) is fit


@pytest.mark.parametrize(
    ("facts", "fit"),
    [
        ((), True),
        ((captured("c", None),), True),
        ((captured("c", 100),), True),
        ((captured("c", 99),), False),
        ((captured("d", 50), captured("c", 200)), True),
        ((captured("d", 50),), True),
    ],
)
def test_a_reversal_fits_up_to_what_its_capture_took(facts: tuple[Fact, ...], fit: bool) -> None:  # noqa: FBT001
    assert fits(event(reversal=True), *facts) is fit


@pytest.mark.parametrize(
    ("payer", "phone", "fit"),
    [
        ("254708374149", PHONE, True),
        ("0708374149", PHONE, True),
        ("2547*****149", PHONE, True),
        ("149", PHONE, True),
        ("148", PHONE, False),
        ("254799994149", PHONE, False),
        ("254708374140", PHONE, False),
        ("2547*****140", PHONE, False),
        ("254708374149 - John Doe", PHONE, True),
        ("John Doe", PHONE, True),
        ("", PHONE, True),
        ("254799994149", None, True),
    ],
)
@pytest.mark.parametrize("reversal", [False, True])
def test_the_payers_number_agrees_as_far_as_both_are_shown(
    payer: str,
    phone: str | None,
    fit: bool,  # noqa: FBT001
    *,
    reversal: bool,
) -> None:
    assert fits(event(payer=payer, reversal=reversal), phone=phone) is fit


def test_what_it_belongs_to_is_its_first_reference_alone() -> None:
    """Its others are its own, and may be another payment's where it was taken for itself before."""
    held = payment(id=A, facts=newer({}, (terms("pay_1", 5),)))
    known = Known(refs={PAY_1: None, PAY_2: A}, payments={A: held})
    one = event(refs=("pay_1", "pay_2"))
    found = tied(one, known)
    assert isinstance(found, Event)
    assert found.meaning is ALONE
    waits = event(refs=("pay_1", "pay_2"), otherwise=None)
    assert tied(waits, known) is waits


def test_what_does_not_fit_is_by_itself_or_refused_and_what_is_not_known_waits() -> None:
    unknown = Known()
    by_itself = tied(event(), unknown)
    assert isinstance(by_itself, Event)
    assert by_itself.meaning is ALONE, "nothing is known that it could belong to"
    waits = event(otherwise=None)
    assert tied(waits, unknown) is waits
    refused = about(event(otherwise=None), terms("pay_1", 5))
    assert isinstance(refused, Dead)
    assert (refused.reason, refused.message) == (
        Reason.CONFLICT,
        "nothing signed ties it to pay_1, and it does not fit there",
    )
    untied = understood(standard("payment.captured"))
    assert tied(untied, unknown) is untied


def test_a_payment_that_was_merged_is_looked_at_where_it_went() -> None:
    gone = payment(id=A, merged_into=B)
    survivor = payment(id=B, facts=newer({}, (terms("pay_1", 5),)))
    found = tied(event(), Known(refs={PAY_1: A}, payments={A: gone, B: survivor}))
    assert isinstance(found, Event)
    assert found.meaning is ALONE


def test_a_copy_is_what_the_first_was_taken_for() -> None:
    """Its payment may know more by now: decided anew, one event would be two."""
    one = event()
    assert taken_for(one, dump_reported(ALONE.facts)).meaning is ALONE
    assert taken_for(one, dump_reported(one.meaning.facts)) is one
    assert taken_for(event(otherwise=None), dump_reported(ALONE.facts)).meaning.tie is not None
    untied = understood(standard("payment.captured"))
    assert taken_for(untied, dump_reported(ALONE.facts)) is untied
