"""The rules of the fold one by one: what joins to what, and where each bound of a row lies."""

from __future__ import annotations

import pytest

from consumer.fold import asked, facts_of, full_row, held, newer, project, united
from providers.core.payments import (
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    ended,
    mode,
    refund,
    terms,
    void,
)
from schemas.facts import INTENT, ChildState, Fact, FactKind
from schemas.payment import DisputeStatus, Facts, Flag, RefundStatus, Status

pytestmark = pytest.mark.unit

PLACE = (FactKind.CAPTURE, "c")
TERMS = (FactKind.TERMS, "a")
CAPTURE = ChildState("succeeded", 5, "b", 1, "r")


def taken(name: str = "succeeded", amount: int | None = 5, parent: str | None = "b", version: int = 1) -> Fact:
    return Fact(FactKind.CAPTURE, "c", name, amount, parent, version, "r")


def known(*facts: Fact) -> Facts:
    return newer({}, facts)


def asked_for(amount: int | None, version: int = 0) -> Fact:
    return Fact(FactKind.TERMS, "a", "asked", amount, version=version)


@pytest.mark.parametrize(
    ("fact", "joined"),
    [
        (taken(), None),
        (taken("pending"), None),
        (taken(version=0), None),
        (taken(amount=4), None),
        (taken(amount=None), None),
        (taken(parent="a"), None),
        (taken(parent=None), None),
        (taken("pending", 9, version=2), ChildState("pending", 9, "b", 2, "r")),
        (taken(amount=6), ChildState("succeeded", 6, "b", 1, "r")),
        (taken(parent="c"), ChildState("succeeded", 5, "c", 1, "r")),
        (taken("pending", 9, parent="c", version=0), ChildState("succeeded", 5, "c", 1, "r")),
        (Fact(FactKind.CAPTURE, "c", "succeeded", 5, "b", 1, "s"), ChildState("succeeded", 5, "b", 1, "s")),
        (Fact(FactKind.CAPTURE, "c", "succeeded", 5, "b", 1), None),
    ],
    ids=[
        *("the same", "a lower rank", "an older version", "less", "no amount", "a smaller parent", "no parent"),
        *(
            "a newer version",
            "more",
            "a larger parent",
            "a larger parent of old",
            "what it replaces",
            "replaces nothing",
        ),
    ],
)
def test_a_fact_joins_to_what_is_more(fact: Fact, joined: ChildState | None) -> None:
    assert newer({PLACE: CAPTURE}, [fact]) == ({} if joined is None else {PLACE: joined})


def test_an_amount_is_more_than_none_and_a_parent_too() -> None:
    bare = Fact(FactKind.CAPTURE, "c", "succeeded")
    full = Fact(FactKind.CAPTURE, "c", "succeeded", 5, "b", 0, "r")
    assert newer(known(bare), [full]) == {PLACE: ChildState("succeeded", 5, "b", 0, "r")}
    assert newer(known(full), [bare]) == {}
    assert newer({}, [bare, full, bare]) == {PLACE: ChildState("succeeded", 5, "b", 0, "r")}


@pytest.mark.parametrize(
    ("facts", "amount", "low"),
    [
        ([asked_for(5)], 5, None),
        ([asked_for(5), asked_for(5)], 5, None),
        ([asked_for(5), asked_for(7)], 7, 5),
        ([asked_for(7), asked_for(5)], 7, 5),
        ([asked_for(7), asked_for(5, 1)], 5, None),
        ([asked_for(5), asked_for(7), asked_for(6, 1)], 6, 5),
        ([asked_for(5), asked_for(7), asked_for(3, 1)], 3, None),
        ([asked_for(5), asked_for(7), asked_for(None, 1)], None, 5),
        ([asked_for(None), asked_for(7)], 7, None),
    ],
)
def test_of_terms_the_least_amount_is_kept_beside_the_one_that_counts(
    facts: list[Fact], amount: int | None, low: int | None
) -> None:
    state = known(*facts)[TERMS]
    assert (state.amount, state.low) == (amount, low)
    assert known(*reversed(facts))[TERMS] == state
    assert united({}, [known(*facts)]) == united(known(*facts), [known(*facts[:1])]) == known(*facts)
    assert newer({}, facts_of(known(*facts))) == known(*facts)


DISPUTE = dispute("d", "won")


@pytest.mark.parametrize(
    ("facts", "amount"),
    [
        ([captured("c", 5)], 5),
        ([authorized("a", 7)], 7),
        ([authorized("a", 7), captured("c", 5, authorization="a")], 5),
        ([captured("c", 5), refund("r", "succeeded", 2)], 3),
        ([captured("c", 5), refund("r", "succeeded", 5)], 0),
        ([captured("c", 5), refund("r", "succeeded", 6)], 0),
        ([], 0),
    ],
)
def test_an_attempt_holds_what_was_taken_less_what_was_given_back(facts: list[Fact], amount: int) -> None:
    assert held(known(*facts)) == amount
    assert held(known(*facts, DISPUTE)) == amount, "by the rules in full"


@pytest.mark.parametrize(
    ("facts", "amount"),
    [
        ([], None),
        ([captured("c", 5)], None),
        ([mode(INTENT, "manual"), attempt("t", "created")], None),
        ([terms(INTENT, 7)], 7),
        ([terms(INTENT, 7), authorized("a", 9)], 7),
        ([terms(INTENT, 7), terms("a", 5)], 5),
        ([terms("a", 5), terms("b", 6)], 6),
        ([asked_for(5), asked_for(7)], 5),
        ([asked_for(None)], 0),
        ([authorized("a", 9), attempt("t", "created", amount=12)], 9),
        ([authorized("a", 9), authorized("b", 8)], 9),
        ([attempt("t", "created", amount=12), attempt("u", "failed")], 12),
    ],
)
def test_an_attempt_asked_for_its_terms_else_its_intent_s_else_its_holds(facts: list[Fact], amount: int | None) -> None:
    assert asked(known(*facts)) == amount


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], Status.CREATED),
        ([terms("a", 5), captured("c", 5)], Status.CAPTURED),
        ([terms("a", 5), captured("c", 4)], Status.PARTIALLY_CAPTURED),
        ([authorized("a", 5)], Status.AUTHORIZED),
        ([attempt("t", "requires_action")], Status.REQUIRES_ACTION),
        ([attempt("t", "processing")], Status.PROCESSING),
        ([attempt("t", "created")], Status.CREATED),
        ([attempt("t", "failed")], Status.FAILED),
        ([attempt("t", "expired")], Status.EXPIRED),
        ([attempt("t", "canceled"), attempt("u", "failed")], Status.CANCELED),
        ([ended("a", "canceled")], Status.CANCELED),
        ([ended("a", "expired")], Status.EXPIRED),
        ([authorized("a", 5), void("a", "canceled")], Status.CANCELED),
        ([terms("a", 0), captured("c", 0)], Status.CAPTURED),
    ],
)
def test_the_status_is_money_s_then_an_open_try_s_then_the_end_s(facts: list[Fact], status: Status) -> None:
    assert full_row(known(*facts)).status is status
    assert project(known(*facts)).status is status


@pytest.mark.parametrize(
    ("given", "status", "flags"),
    [
        ([], RefundStatus.NONE, ()),
        ([refund("r", "pending", 5)], RefundStatus.PENDING, ()),
        ([refund("r", "failed", 5)], RefundStatus.NONE, ()),
        ([refund("r", "succeeded", 4)], RefundStatus.PARTIAL, ()),
        ([refund("r", "succeeded", 5)], RefundStatus.FULL, ()),
        ([refund("r", "succeeded", 6)], RefundStatus.FULL, (Flag.OVER_REFUNDED,)),
    ],
)
def test_a_refund_is_whole_from_what_was_taken_on(
    given: list[Fact], status: RefundStatus, flags: tuple[Flag, ...]
) -> None:
    row = full_row(known(terms("a", 5), captured("c", 5), *given))
    assert (row.refund_status, row.flags) == (status, flags)


@pytest.mark.parametrize(
    ("amount", "flags"),
    [(0, ()), (1, (Flag.UNDERPAID,)), (4, (Flag.UNDERPAID,)), (5, ()), (6, ())],
)
def test_what_was_taken_in_the_end_is_flagged_below_what_was_asked(amount: int, flags: tuple[Flag, ...]) -> None:
    row = full_row(known(terms("a", 5), captured("c", amount), ended("a", "closed")))
    assert row.flags == flags


def test_of_several_disputes_the_one_that_needs_somebody_is_shown() -> None:
    assert full_row(known(captured("c", 5))).dispute_status is DisputeStatus.NONE
    assert full_row(known(dispute("d", "won"), dispute("e", "lost"))).dispute_status is DisputeStatus.LOST
    assert full_row(known(dispute("d", "won"), dispute("e", "open"))).dispute_status is DisputeStatus.OPEN


ONE = (captured("c1", 40, authorization="p1"), dispute("d1", "open", payment="p1"))
TWO = (authorized("a2", 60, attempt="p2"), captured("c2", 60, authorization="a2"))


@pytest.mark.parametrize(
    ("more", "disputed"),
    [
        ((), 40),
        ((dispute("d2", "open", payment="p2"), dispute_funds("d2", "withdrawn", None)), 40 + 60),
        ((captured("c3", 5, authorization="p1"),), 45),
        ((captured("c3", 5),), 105),
        ((captured("c1", 0, authorization="p1", version=1),), 0),
    ],
    ids=["its own", "each its own", "all captures of it", "a capture may be anybody's", "nothing captured"],
)
def test_a_dispute_without_an_amount_takes_what_was_captured_of_its_own_payment(
    more: tuple[Fact, ...], disputed: int
) -> None:
    """An intent of several attempts shows them united: the others' money is not disputed."""
    shown = project(united({}, [known(*ONE, dispute_funds("d1", "withdrawn", None)), known(*TWO), known(*more)]))
    assert shown.disputed == disputed


@pytest.mark.parametrize("named", [(), (dispute("d1", "open"),), (dispute("d1", "open", payment="unheard of"),)])
def test_a_dispute_of_nobody_knows_which_payment_takes_all(named: tuple[Fact, ...]) -> None:
    assert project(known(*ONE[:1], *TWO, *named, dispute_funds("d1", "withdrawn", None))).disputed == 100
