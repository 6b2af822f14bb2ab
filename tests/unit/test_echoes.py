"""News that only repeats what a payment shows makes no version of it; of another currency a dispute is seen too."""

from __future__ import annotations

import pytest
from memory_tables import payment

from consumer.fold import newer, project
from consumer.verdict import Recorded, decide, reported_in
from providers.core.payments import attempt, captured, captured_in_all, dispute, terms
from schemas.facts import INTENT, Fact, FactKind, Meaning
from schemas.payment import Outcome

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("held", "news", "outcome"),
    [
        (attempt("a", "processing"), attempt("b", "created"), Outcome.NOOP),
        (attempt("a", "processing"), attempt("b", "processing"), Outcome.NOOP),
        (attempt("a", "processing"), attempt("b", "failed"), Outcome.APPLIED),
        (captured("c", 5), captured_in_all("a", 5), Outcome.NOOP),
        (terms("a", 5), terms("b", 5), Outcome.NOOP),
        (terms("a", 5), terms(INTENT, 5), Outcome.APPLIED),
    ],
    ids=["a try begins", "a try goes on", "a try fails", "a sum again", "terms again", "what a client asked"],
)
def test_what_a_payment_shows_already_is_no_version_of_it(held: Fact, news: Fact, outcome: Outcome) -> None:
    facts = newer({}, [held])
    shown = payment(facts=facts, projection=project(facts), version=1)
    decided = decide(shown, Meaning(facts=(news,)), facts_max=9)
    assert isinstance(decided, Recorded)
    assert (decided.outcome, decided.versioned) == (outcome, outcome is Outcome.APPLIED)
    assert decided.projection == shown.projection


def test_of_money_in_another_currency_a_dispute_is_seen_where_it_tells_no_sum() -> None:
    facts = (dispute("d", "open"), attempt("t", "failed"))
    seen = Fact(FactKind.OTHER_CURRENCY, "d", "seen", None, "USD")
    assert reported_in("EUR", Meaning(facts=facts, currency="USD")) == (*facts, seen)
