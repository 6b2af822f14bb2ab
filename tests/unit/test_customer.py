"""Which messages an event owes the customer: by what it gave back, and what of it is sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from memory_tables import payment

from consumer.customer import messages_to
from consumer.fold import newer, project
from consumer.plan import OwedMessage
from providers.core.payments import captured, refund, refunded_in_all
from schemas.facts import Fact, FactKind
from schemas.sms import Template

if TYPE_CHECKING:
    from schemas.payment import Payment, Projection

pytestmark = pytest.mark.unit

PHONE = "+4915112345678"
TAKEN = (captured("c", 1000, authorization="p"),)
BEFORE = project(newer({}, TAKEN))


def owed(
    *news: Fact, old: Projection | None = BEFORE, held: tuple[Fact, ...] = TAKEN, **columns: Any
) -> list[OwedMessage]:
    """Return what the payment's customer is owed after these facts, of which `held` were known."""
    known = newer({}, held)
    added = newer(known, news)
    one = payment(**{"phone": PHONE, "client": "shop", "facts": known | added, **columns})
    one.projection = project(one.facts)
    return messages_to(one, old, added)


def contents(messages: list[OwedMessage]) -> list[tuple[Template, str, int | None]]:
    return [(one.template, one.child, one.amount) for one in messages]


def test_a_message_has_what_its_row_needs() -> None:
    (message,) = owed(refund("r", "succeeded", 300, payment="p"))
    one: Payment = payment()
    assert message == OwedMessage(one.id, "shop", PHONE, Template.REFUNDED, "r", 300)


@pytest.mark.parametrize("state", ["succeeded", "unbooked"])
def test_each_refund_that_gave_money_back_has_a_message_of_its_own(state: str) -> None:
    two = owed(refund("r", state, 300, payment="p"), refund("s", "succeeded", 200, payment="p"))
    assert contents(two) == [(Template.REFUNDED, "r", 300), (Template.REFUNDED, "s", 200)]


@pytest.mark.parametrize("state", ["pending", "failed", "reversed", "canceled"])
def test_a_refund_that_gave_nothing_back_has_none_and_spoils_no_others(state: str) -> None:
    """Counted in, the sums differ: then a sum is reported in the place of each refund, or twice."""
    assert owed(refund("r", state, 300, payment="p")) == []
    both = owed(refund("r", state, 300, payment="p"), refund("s", "succeeded", 200, payment="p"))
    assert contents(both) == [(Template.REFUNDED, "s", 200)]


def test_a_sum_beside_its_refund_is_one_message() -> None:
    """Stripe's charge tells both in one event."""
    both = owed(refund("r", "succeeded", 300, payment="p"), refunded_in_all("p", 300))
    assert contents(both) == [(Template.REFUNDED, "r", 300)]
    assert contents(owed(refunded_in_all("p", 300))) == [(Template.REFUNDED, "300", 300)]


def test_only_what_is_new_is_reported() -> None:
    held = (*TAKEN, refund("r", "succeeded", 300, payment="p"))
    later = owed(refund("s", "succeeded", 200, payment="p"), held=held, old=project(newer({}, held)))
    assert contents(later) == [(Template.REFUNDED, "s", 200)]


@pytest.mark.parametrize("columns", [{"phone": None}, {"livemode": False}, {"phone": None, "livemode": False}])
def test_nothing_is_sent_of_test_money_or_without_a_number(columns: dict[str, Any]) -> None:
    assert owed(refund("r", "succeeded", 300, payment="p"), **columns) == []


def test_a_payment_whose_number_is_new_says_where_it_stands() -> None:
    assert contents(owed(held=(), old=None)) == []
    assert contents(owed(*TAKEN, held=(), old=None)) == [(Template.CAPTURED, "", None)]
    contradicted = Fact(FactKind.MEETING, "x", "met")
    assert owed(contradicted, *TAKEN, held=(), old=None) == []
