"""What becomes of one event: outcome, version, wait or dead letter."""

from __future__ import annotations

from typing import Any

import pytest
from memory_tables import payment

from consumer.fold import newer, project
from consumer.verdict import Dead, Recorded, decide
from schemas.dead_letter import Reason
from schemas.facts import ChildState, Fact, FactKind, Meaning
from schemas.payment import Flag, Outcome, Payment

pytestmark = pytest.mark.unit

Stated = tuple[str, str, str, int | None]
TERMS: Stated = ("terms", "a", "asked", 1000)
CREATED: Stated = ("attempt", "a", "created", None)
AUTHORIZED: Stated = ("authorization", "a", "authorized", 1000)
TAKEN: Stated = ("capture", "a", "succeeded", 1000)
PAID: Stated = ("attempt", "a", "succeeded", None)
RESERVED_ONE: Stated = ("authorization", "a", "authorized", 1)
TAKEN_ONE: Stated = ("capture", "a", "succeeded", 1)
CANCELED: Stated = ("void", "a", "canceled", None)


def facts_of(found: list[Stated]) -> list[Fact]:
    return [Fact(FactKind(kind), key, state, amount) for kind, key, state, amount in found]


def payment_with(found: list[Stated], **columns: Any) -> Payment:
    facts = newer({}, facts_of(found))
    return payment(facts=facts, projection=project(facts), version=1, currency="EUR", **columns)


def verdict(
    before: list[Stated], *fields: Stated, currency: str | None = "EUR", facts_max: int = 100, **options: Any
) -> Any:
    meaning = Meaning(facts=tuple(facts_of(list(fields))), currency=currency)
    return decide(payment_with(before), meaning, facts_max=facts_max, **options)


def test_the_first_event_of_a_payment_is_applied_whatever_it_says() -> None:
    for reported in (TERMS, PAID, CANCELED, CREATED):
        decided = decide(payment(), Meaning(facts=tuple(facts_of([reported]))), facts_max=9)
        assert isinstance(decided, Recorded)
        assert (decided.outcome, decided.versioned) == (Outcome.APPLIED, True)


@pytest.mark.parametrize(
    ("before", "expected", "outcome", "versioned"),
    [
        ([CREATED], [AUTHORIZED], Outcome.APPLIED, True),
        ([CREATED], [CREATED], Outcome.NOOP, False),
        ([CREATED], [], Outcome.NOOP, False),
        ([AUTHORIZED, TAKEN], [AUTHORIZED, TAKEN, PAID], Outcome.NOOP, False),
        ([AUTHORIZED, TAKEN, TERMS], [("terms", "a", "asked", 1500)], Outcome.APPLIED, True),
        ([TERMS, CREATED], [PAID], Outcome.NOOP, False),
        ([AUTHORIZED, TAKEN], [CREATED], Outcome.LATE, False),
        ([AUTHORIZED], [("attempt", "b", "requires_action", None)], Outcome.LATE, False),
        ([AUTHORIZED], [("attempt", "b", "failed", None), TERMS], Outcome.LATE, False),
        ([("attempt", "a", "failed", None)], [("attempt", "b", "failed", None)], Outcome.APPLIED, True),
        ([AUTHORIZED, TAKEN], [AUTHORIZED], Outcome.LATE, False),
        ([AUTHORIZED, TAKEN, TERMS], [("authorization", "a", "authorized", 1500)], Outcome.LATE, True),
        ([AUTHORIZED, TAKEN], [("authorization", "b", "authorized", 10)], Outcome.APPLIED, True),
        ([AUTHORIZED], [AUTHORIZED], Outcome.NOOP, False),
        ([RESERVED_ONE, TAKEN_ONE], [RESERVED_ONE], Outcome.LATE, False),
        ([TAKEN], [AUTHORIZED], Outcome.LATE, False),
        ([AUTHORIZED, TAKEN, TERMS], [TERMS, CREATED], Outcome.LATE, False),
        ([AUTHORIZED, TAKEN], [CANCELED], Outcome.CONFLICT, True),
        ([AUTHORIZED, TAKEN, CANCELED], [CANCELED], Outcome.LATE, False),
        ([AUTHORIZED, TAKEN], [("end", "a", "canceled", None)], Outcome.CONFLICT, True),
        ([AUTHORIZED, TAKEN], [("capture", "b", "succeeded", 1)], Outcome.CONFLICT, True),
        ([AUTHORIZED, ("refund", "r", "succeeded", 5)], [TAKEN], Outcome.APPLIED, True),
        ([("attempt", "a", "failed", None)], [("attempt", "b", "processing", None)], Outcome.APPLIED, True),
        ([CANCELED], [("void", "a", "expired", None)], Outcome.LATE, False),
        ([CANCELED], [CANCELED], Outcome.NOOP, False),
        ([("refund", "r", "failed", 5)], [("refund", "r", "succeeded", 5)], Outcome.LATE, False),
        ([("mode", "a", "automatic", None)], [("mode", "a", "manual", None)], Outcome.NOOP, False),
        ([("dispute", "d", "won", None)], [("dispute", "d", "open", None)], Outcome.LATE, False),
        (
            [("dispute", "d", "under_review", None)],
            [("dispute", "d", "open", None), ("dispute_out", "d", "withdrawn", 10)],
            Outcome.APPLIED,
            True,
        ),
    ],
)
def test_outcomes(before: list[Stated], expected: list[Stated], outcome: Outcome, versioned: bool) -> None:  # noqa: FBT001
    decided = verdict(before, *expected)
    assert isinstance(decided, Recorded)
    assert (decided.outcome, decided.versioned) == (outcome, versioned)
    joined = payment_with(before).facts | decided.news
    assert decided.projection == project(joined)


def test_an_unversioned_verdict_moves_no_column() -> None:
    decided = verdict([AUTHORIZED, TAKEN], CREATED)
    assert decided.news == {(FactKind.ATTEMPT, "a"): ChildState("created")}
    assert decided.projection == payment_with([AUTHORIZED, TAKEN]).projection


def test_another_currency_is_folded_without_its_sums() -> None:
    decided = verdict([AUTHORIZED], TAKEN, CREATED, currency="USD")
    seen = Fact(FactKind.OTHER_CURRENCY, "a", "seen", 1000, "USD")
    assert (decided.outcome, decided.reported) == (Outcome.CONFLICT, (Fact(FactKind.ATTEMPT, "a", "created"), seen))
    assert decided.projection.flags == (Flag.OTHER_CURRENCY,)
    assert decided.projection.captured == 0
    assert isinstance(verdict([AUTHORIZED], currency="USD"), Recorded)
    assert verdict([AUTHORIZED], TAKEN, currency=None).projection.captured == 1000


def test_the_bound_of_facts_counts_children_not_news_of_them() -> None:
    assert isinstance(verdict([AUTHORIZED], TAKEN, facts_max=2), Recorded)
    assert isinstance(verdict([AUTHORIZED, TAKEN], ("capture", "a", "succeeded", 1001), facts_max=2), Recorded)
    decided = verdict([AUTHORIZED], TAKEN, facts_max=1)
    assert isinstance(decided, Dead)
    assert decided.reason is Reason.CONFLICT
    assert "holds 1 facts" in decided.message


def test_what_a_client_asked_is_never_an_echo() -> None:
    assert verdict([AUTHORIZED, PAID], ("mode", "intent", "manual", None)).outcome is Outcome.APPLIED
