"""News that only repeats what a payment shows makes no version of it."""

from __future__ import annotations

import pytest
from memory_tables import payment

from consumer.fold import newer, project
from consumer.verdict import Recorded, decide
from providers.core.payments import attempt, captured, captured_in_all, terms
from schemas.facts import INTENT, Fact, Meaning
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
