"""Which try to pay is open, and how those ended that are not: what ends one, and what is older than it."""

from __future__ import annotations

from itertools import permutations

import pytest

from consumer.children import Children
from consumer.fold import newer
from consumer.payment_attempts import ended_attempts, open_attempt, went_on
from providers.core.payments import attempt, authorized, captured, ended, refund, void
from schemas.facts import ChildState, Fact, FactKind

pytestmark = pytest.mark.unit


def children(*facts: Fact) -> Children:
    return Children(newer({}, facts))


OPEN = attempt("t", "processing", payment="p", version=5)

TRIES: dict[str, tuple[tuple[Fact, ...], str | None]] = {
    "alone": ((OPEN,), "processing"),
    "the furthest is shown": ((attempt("s", "requires_action"), OPEN, attempt("u", "created")), "processing"),
    "held by then": ((OPEN, authorized("x", 1, attempt="t", version=5)), None),
    "held before it": ((OPEN, authorized("x", 1, attempt="t", version=4)), "processing"),
    "held under its own key": ((OPEN, authorized("t", 1, version=5)), None),
    "taken by then": ((OPEN, captured("c", 1, authorization="t", version=5)), None),
    "taken before it": ((OPEN, captured("c", 1, authorization="t", version=4)), "processing"),
    "on its way to be taken": ((OPEN, Fact(FactKind.CAPTURE, "c", "pending", 1, "t", 5)), "processing"),
    "voided by then": ((OPEN, Fact(FactKind.VOID, "t", "canceled", None, None, 5)), None),
    "voided before it": ((OPEN, Fact(FactKind.VOID, "t", "canceled", None, None, 4)), "processing"),
    "its payment was ended": ((OPEN, ended("p", "canceled")), None),
    "another payment was ended": ((OPEN, ended("q", "canceled")), "processing"),
    "another of its payment succeeded": ((OPEN, attempt("u", "succeeded", payment="p", version=5)), None),
    "another of its payment had succeeded before": (
        (OPEN, attempt("u", "succeeded", payment="p", version=4)),
        "processing",
    ),
    "another of its payment failed": ((OPEN, attempt("u", "failed", payment="p", version=5)), "processing"),
    "it had its payment's name alone, and failed under its own": (
        (attempt("p", "processing", version=5), attempt("u", "failed", payment="p", version=5)),
        None,
    ),
    "and where it failed before": (
        (attempt("p", "processing", version=5), attempt("u", "failed", payment="p", version=4)),
        "processing",
    ),
    "and where another is open under its own": (
        (attempt("p", "processing", version=5), attempt("u", "requires_action", payment="p", version=5)),
        "processing",
    ),
    "and where that is of another payment": (
        (attempt("p", "processing", version=5), attempt("u", "failed", payment="q", version=5)),
        "processing",
    ),
    "one that went on hides none that is open beside it": (
        (OPEN, attempt("u", "succeeded", payment="p", version=5), attempt("s", "requires_action", version=5)),
        "requires_action",
    ),
    "nor does one that had money": (
        (OPEN, captured("c", 1, authorization="t", version=5), attempt("s", "created")),
        "created",
    ),
    "nor one that is over": ((attempt("s", "canceled"), attempt("u", "failed"), OPEN), "processing"),
    "held and taken of another": (
        (OPEN, authorized("x", 1, attempt="s", version=5), captured("c", 1, authorization="x", version=5)),
        "processing",
    ),
    "voided of another": ((OPEN, Fact(FactKind.VOID, "s", "canceled", None, None, 5)), "processing"),
    "none": ((), None),
    "all are over": ((attempt("s", "canceled"), attempt("u", "failed"), attempt("v", "succeeded")), None),
    "its payment itself succeeded": ((OPEN, attempt("p", "succeeded", version=5)), None),
    "one of another payment succeeded": ((OPEN, attempt("u", "succeeded", payment="q", version=5)), "processing"),
}


@pytest.mark.parametrize(("facts", "state"), TRIES.values(), ids=TRIES)
def test_which_try_is_open(facts: tuple[Fact, ...], state: str | None) -> None:
    for order in (facts, facts[::-1]):
        assert open_attempt(children(*order)) == state


@pytest.mark.parametrize("order", [*permutations(["created", "requires_action", "processing"])])
def test_of_open_tries_the_furthest_is_shown(order: tuple[str, ...]) -> None:
    """Whatever became known first, and also without the furthest."""
    tries = [attempt(state, state) for state in order]
    assert open_attempt(children(*tries)) == "processing"
    assert open_attempt(children(*(one for one in tries if one.state != "processing"))) == "requires_action"


@pytest.mark.parametrize(
    ("other", "on"),
    [
        (("u", "succeeded", "p", 5), True),
        (("u", "succeeded", "p", 6), True),
        (("u", "succeeded", "p", 4), False),
        (("u", "succeeded", "q", 5), False),
        (("u", "succeeded", None, 5), False),
        (("p", "succeeded", None, 5), True),
        (("u", "failed", "p", 5), False),
        (("p", "failed", None, 5), False),
    ],
)
def test_a_try_goes_on_under_another_name_of_its_payment(other: tuple[str, str, str | None, int], on: bool) -> None:  # noqa: FBT001
    key, name, payment, version = other
    own, known = ChildState("processing", None, "p", 5), ChildState(name, None, payment, version)
    for tries in ({"t": own, key: known}, {key: known, "t": own}):
        assert went_on(tries, "t", own) is on


@pytest.mark.parametrize(
    ("name", "on"),
    [
        *((one, True) for one in ("succeeded", "failed", "expired", "canceled")),
        *((one, False) for one in ("created", "requires_action", "processing")),
    ],
)
def test_one_that_had_its_payment_s_name_alone_ends_with_one_of_its_own(name: str, on: bool) -> None:  # noqa: FBT001
    own = ChildState("processing", None, None, 5)
    assert went_on({"p": own, "t": ChildState(name, None, "p", 5)}, "p", own) is on
    assert not went_on({"p": own}, "p", own)


@pytest.mark.parametrize("state", ["created", "requires_action", "processing", "succeeded"])
def test_what_is_open_or_succeeded_is_no_end(state: str) -> None:
    assert ended_attempts(children(attempt("t", state))) == set()


@pytest.mark.parametrize("state", ["failed", "expired", "canceled"])
def test_tries_and_voids_end_alike(state: str) -> None:
    assert ended_attempts(children(attempt("t", state))) == ended_attempts(children(void("a", state))) == {state}


def test_how_tries_ended() -> None:
    tried = children(attempt("t", "failed"), attempt("u", "processing"), void("a", "expired"))
    assert ended_attempts(tried) == {"failed", "expired"}
    canceled = children(authorized("a", 100), refund("r", "either", 100, payment="a"), attempt("t", "failed"))
    assert ended_attempts(canceled) == {"failed", "canceled"}
