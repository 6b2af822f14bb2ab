"""Payments that turn out to be one: which currency and merchant account the survivor has, and which names go over."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID
from memory_tables import payment

from consumer.entries import Entries
from consumer.fold import project
from consumer.grouping import Grouping
from consumer.merging import as_one, currency_of, merchant_account_of, merge
from consumer.plan import Known, Plan
from consumer.resolve import Target
from schemas.facts import ChildState, FactKind

if TYPE_CHECKING:
    from schemas.payment import Payment

pytestmark = pytest.mark.unit


def other(number: int, **columns: Any) -> Payment:
    return payment(id=UUID(int=INTENT_ID.int + number), **columns)


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [("A", ["B"], "A"), (None, [None, "B", "C"], "B"), (None, [None], None), (None, [], None)],
)
def test_what_the_survivor_lacks_the_first_of_the_others_has(
    own: str | None, others: list[str | None], expected: str | None
) -> None:
    same = [other(n, currency=one, merchant_account=one or "") for n, one in enumerate(others, 1)]
    target = Target(payment(currency=own, merchant_account=own or ""), same=same)
    assert currency_of(target) == expected
    assert merchant_account_of(target) == (expected or "")


def test_payments_that_are_one_stand_with_the_facts_of_all_and_one_alone_as_it_is() -> None:
    own = payment(currency="EUR")
    assert as_one(Target(own)) is own
    facts = {(FactKind.CAPTURE, "c"): ChildState("succeeded", 5)}
    joined = as_one(Target(own, same=[other(1, facts=facts)]))
    assert (joined.facts, joined.projection.captured, joined.currency, own.facts) == (facts, 5, "EUR", {})


@pytest.mark.parametrize(("client", "reference"), [(None, "A"), ("shop", "B")])
def test_the_reference_of_a_client_s_intent_stays_and_of_others_the_least(client: str | None, reference: str) -> None:
    survivor, plan = payment(client=client, reference="B"), Plan()
    merged = [other(1, reference="C"), other(2, reference="A"), other(3)]
    entries = Entries(plan, dt.datetime(2026, 11, 28, tzinfo=dt.UTC), 1)
    merge(Target(survivor, same=merged), plan, Grouping(Known(), plan, entries), entries)
    assert survivor.reference == reference
    assert plan.merges == [(one.id, survivor.id) for one in merged]
    assert [row.event_type for row in plan.rows] == ["payment.merged"] * 3


@pytest.mark.parametrize(
    ("own", "others", "shown"),
    [
        (None, ["B", "C"], "B"),
        ("C", ["B", None], "B"),
        ("A", ["B"], "A"),
        ("A", ["HELD", "B"], "HELD"),
        ("HELD", ["A"], "HELD"),
    ],
)
def test_the_provider_s_reference_is_that_of_the_attempt_with_the_money(
    own: str | None, others: list[str | None], shown: str
) -> None:
    facts = {(FactKind.AUTHORIZATION, "HELD"): ChildState("authorized", 5)}
    survivor, plan = payment(provider_ref=own, facts=facts), Plan()
    entries = Entries(plan, dt.datetime(2026, 11, 28, tzinfo=dt.UTC), 1)
    same = [other(number, provider_ref=ref) for number, ref in enumerate(others, 1)]
    merge(Target(survivor, same=same), plan, Grouping(Known(), plan, entries), entries)
    assert survivor.provider_ref == shown
    assert [one.merged_into for one in same] == [survivor.id] * len(same)


def test_what_is_merged_has_a_row_of_its_own_that_moves_nothing_and_sends_nothing() -> None:
    """From where the survivor stood it looked as if it had moved, and its customer got a message of that once more."""
    taken = {(FactKind.CAPTURE, "c"): ChildState("succeeded", 5)}
    merged, plan = other(1, facts=taken, projection=project(taken), phone="+4915112345678"), Plan()
    entries = Entries(plan, dt.datetime(2026, 11, 28, tzinfo=dt.UTC), 1)
    merge(Target(payment(), same=[merged]), plan, Grouping(Known(), plan, entries), entries)
    (row,) = plan.rows
    assert (row.payment_id, row.from_status, row.to_status) == (merged.id, "captured", "captured")
    assert plan.messages == []
