"""What each state of each child is worth on a payment that stands, and what of it counts in another currency."""

from __future__ import annotations

from typing import Final

import pytest
from memory_tables import payment

from consumer.fold import newer, project
from consumer.verdict import Recorded, decide, reported_in
from providers.core.payments import attempt, authorized, captured, refund, terms
from schemas.facts import RANKS, Fact, FactKind, Meaning
from schemas.payment import Outcome

pytestmark = pytest.mark.unit

STATES: Final = [(kind, state) for kind, states in RANKS.items() for state in states]
"""The whole vocabulary of facts."""
OF_TRIES: Final = {(FactKind.ATTEMPT, state) for state in RANKS[FactKind.ATTEMPT]}
ACCOMPANY: Final = {
    (FactKind.ATTEMPT, "succeeded"),
    (FactKind.END, "closed"),
    *((kind, state) for kind, state in STATES if kind in (FactKind.TERMS, FactKind.MODE)),
}
"""What says nothing by itself."""
CONTRADICT: Final = {(FactKind.OTHER_CURRENCY, "seen"), (FactKind.MEETING, "met")}
PAID: Final = (
    terms("p", 1000),
    authorized("p", 1000),
    captured("c", 1000, authorization="p"),
    refund("r", "succeeded", 100, payment="p"),
)


def outcome(held: tuple[Fact, ...], news: Fact) -> Outcome:
    """Return what an event that reports `news` does to a payment that holds `held`."""
    facts = newer({}, held)
    one = payment(version=3, currency="EUR", facts=facts, projection=project(facts))
    decided = decide(one, Meaning(facts=(news,)), facts_max=99)
    assert isinstance(decided, Recorded)
    assert decided.versioned is (decided.outcome in (Outcome.APPLIED, Outcome.CONFLICT))
    return decided.outcome


@pytest.mark.parametrize(("kind", "state"), STATES)
def test_what_news_is_worth_on_a_paid_payment(kind: FactKind, state: str) -> None:
    """What is no version is sent to nobody: a refund that failed must be one, and a try that failed before is late."""
    figures = {FactKind.TERMS: 1000, FactKind.CAPTURE_TOTAL: 1000, FactKind.REFUND_TOTAL: 100}
    key = "p" if kind in (FactKind.CAPTURE_TOTAL, FactKind.REFUND_TOTAL) else "n"
    found = outcome(PAID, Fact(kind, key, state, figures.get(kind), "p"))
    known = {*ACCOMPANY, (FactKind.CAPTURE_TOTAL, "succeeded"), (FactKind.REFUND_TOTAL, "succeeded")}
    undone = {
        (FactKind.ADJUSTMENT, "adjusted"),
        (FactKind.REVERSAL, "failed"),
        (FactKind.REVERSAL, "done"),
        (FactKind.END, "expired"),
        (FactKind.END, "canceled"),
    }
    late = {
        *OF_TRIES,
        *((FactKind.VOID, state) for state in RANKS[FactKind.VOID]),
        (FactKind.AUTHORIZATION, "authorized"),
    }
    if (kind, state) in known:
        assert found is Outcome.NOOP
    elif (kind, state) in CONTRADICT | undone:
        assert found is Outcome.CONFLICT
    else:
        assert found is (Outcome.LATE if (kind, state) in late else Outcome.APPLIED)


@pytest.mark.parametrize(("kind", "state"), STATES)
@pytest.mark.parametrize("status", ["processing", "failed"])
def test_what_news_is_worth_on_a_payment_that_is_tried(status: str, kind: FactKind, state: str) -> None:
    """That one try failed is news of it even where the next is under way, or failed before.

    A total of nobody knows how much shows as under way too.
    """
    found = outcome(
        (attempt("t", status, amount=1000),), Fact(kind, "n", state, 1000 if kind is FactKind.TERMS else None)
    )
    same = {"created", "requires_action", "processing"} if status == "processing" else {"created"}
    known = {*ACCOMPANY, (FactKind.REFUND_TOTAL, "succeeded"), *((FactKind.ATTEMPT, one) for one in same)}
    if status == "processing":
        known.add((FactKind.CAPTURE_TOTAL, "succeeded"))
    if (kind, state) in CONTRADICT:
        assert found is Outcome.CONFLICT
    else:
        assert found is (Outcome.NOOP if (kind, state) in known else Outcome.APPLIED)


@pytest.mark.parametrize(("kind", "state"), STATES)
def test_what_counts_of_money_in_another_currency(kind: FactKind, state: str) -> None:
    """A sum of dollars in a row of euros is wrong by their rate; that the payment was canceled is true in any."""
    fact = Fact(kind, "k", state, 5, "p")
    seen = Fact(FactKind.OTHER_CURRENCY, "k", "seen", 5, "USD")
    tells = {FactKind.ATTEMPT, FactKind.VOID, FactKind.END, FactKind.MODE}
    expected = (fact,) if kind in tells else (fact, seen) if kind is FactKind.DISPUTE else (seen,)
    meaning = Meaning(facts=(fact,), currency="USD")
    assert reported_in("EUR", meaning) == expected
    for currency in ("USD", None, ""):
        assert reported_in(currency, meaning) == (fact,)
    assert reported_in("EUR", Meaning(facts=(fact,))) == (fact,)
