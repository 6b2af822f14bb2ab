"""The fold: a join of facts that no order and no repetition changes, and what the joined facts come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fold import broken_invariant, facts_of, newer, project
from schemas.facts import RANKS, Fact, FactKind
from schemas.payment import DisputeStatus, Facts, Projection, RefundStatus, Status

pytestmark = pytest.mark.unit

KEYS = st.sampled_from(["a", "b"])
FACTS = st.sampled_from([(kind, state) for kind, states in RANKS.items() for state in states]).flatmap(
    lambda place: st.builds(Fact, st.just(place[0]), KEYS, st.just(place[1]), st.one_of(st.none(), st.integers(0, 5)))
)
MANY = st.lists(FACTS, max_size=14)


def join(*many: list[Fact]) -> Facts:
    facts: Facts = {}
    for said in many:
        facts |= newer(facts, said)
    return facts


def known(*facts: tuple[str, str, str, int | None]) -> Facts:
    return join([Fact(FactKind(kind), key, state, amount) for kind, key, state, amount in facts])


@given(MANY, MANY)
def test_join_commutes(left: list[Fact], right: list[Fact]) -> None:
    assert join(left, right) == join(right, left)


@given(MANY, MANY, MANY)
def test_join_is_associative(left: list[Fact], middle: list[Fact], right: list[Fact]) -> None:
    assert join(facts_of(join(left, middle)), right) == join(left, facts_of(join(middle, right)))


@given(MANY)
def test_join_is_idempotent(facts: list[Fact]) -> None:
    once = join(facts)
    assert newer(once, facts) == {}
    assert newer(once, facts_of(once)) == {}


@given(MANY, MANY)
def test_join_only_grows(left: list[Fact], right: list[Fact]) -> None:
    before, after = join(left), join(left, right)
    for (kind, key), (state, amount) in before.items():
        later, larger = after[kind, key]
        assert (RANKS[kind][later], -1 if larger is None else larger) >= (
            RANKS[kind][state],
            -1 if amount is None else amount,
        )


@given(st.permutations(list(range(6))), st.data())
def test_projection_looks_at_no_order(order: list[int], data: st.DataObject) -> None:
    facts = [data.draw(FACTS) for _ in order]
    assert project(join(facts)) == project(join([facts[index] for index in order]))


def test_larger_amount_wins_at_the_same_rank_and_a_later_rank_beats_any() -> None:
    place = (FactKind.CAPTURE, "c")
    facts = known(("capture", "c", "succeeded", 5), ("capture", "c", "succeeded", 9), ("capture", "c", "succeeded", 7))
    assert facts[place] == ("succeeded", 9)
    assert newer(facts, [Fact(*place, "failed", 1)]) == {place: ("failed", 1)}
    assert newer(facts, [Fact(*place, "pending", 99)]) == {}
    assert newer({place: ("succeeded", None)}, [Fact(*place, "succeeded", 0)]) == {place: ("succeeded", 0)}


AUTHORIZED = ("authorization", "a", "authorized", 1000)
TAKEN = ("capture", "c", "succeeded", 1000)
MODE = ("mode", "capture", "automatic", None)

STATUSES: list[tuple[list[Any], dict[str, Any]]] = [
    ([], {"status": Status.CREATED}),
    ([("progress", "a", "requires_action", None)], {"status": Status.REQUIRES_ACTION}),
    ([("progress", "a", "processing", None), ("progress", "b", "created", None)], {"status": Status.PROCESSING}),
    ([("attempt", "x", "failed", None), ("progress", "a", "processing", None)], {"status": Status.FAILED}),
    ([("attempt", "x", "failed", None), ("attempt", "y", "succeeded", None)], {"status": Status.CREATED}),
    ([("attempt", "x", "pending", None)], {"status": Status.CREATED}),
    ([AUTHORIZED], {"status": Status.AUTHORIZED, "authorized": 1000, "amount": 1000}),
    ([("authorization", "a", "authorized", 0)], {"status": Status.AUTHORIZED}),
    (
        [AUTHORIZED, ("authorization", "a", "adjusted", 700)],
        {"status": Status.AUTHORIZED, "authorized": 700, "amount": 700},
    ),
    (
        [AUTHORIZED, ("void", "a", "expired", None), ("void", "b", "canceled", None)],
        {"status": Status.CANCELED, "authorized": 1000, "amount": 1000},
    ),
    ([("void", "a", "expired", None)], {"status": Status.EXPIRED}),
    (
        [AUTHORIZED, TAKEN, ("void", "a", "canceled", None)],
        {"status": Status.CAPTURED, "authorized": 1000, "captured": 1000, "amount": 1000},
    ),
    (
        [AUTHORIZED, ("capture", "c", "succeeded", 400), ("capture", "d", "failed", 600)],
        {"status": Status.PARTIALLY_CAPTURED, "authorized": 1000, "captured": 400, "amount": 1000},
    ),
    ([AUTHORIZED, MODE], {"status": Status.CAPTURED, "authorized": 1000, "captured": 1000, "amount": 1000}),
    (
        [AUTHORIZED, ("mode", "capture", "manual", None)],
        {"status": Status.AUTHORIZED, "authorized": 1000, "amount": 1000},
    ),
    (
        [AUTHORIZED, MODE, ("capture", "c", "failed", 1000)],
        {"status": Status.AUTHORIZED, "authorized": 1000, "amount": 1000},
    ),
    (
        [AUTHORIZED, MODE, ("capture", "c", "reversed", 300)],
        {"status": Status.PARTIALLY_CAPTURED, "authorized": 1000, "captured": 700, "amount": 1000},
    ),
    (
        [AUTHORIZED, MODE, ("void", "a", "canceled", None)],
        {"status": Status.CAPTURED, "authorized": 1000, "captured": 1000, "amount": 1000},
    ),
    (
        [AUTHORIZED, ("authorization", "b", "authorized", 900), ("void", "a", "canceled", None)],
        {"status": Status.AUTHORIZED, "authorized": 900, "amount": 900},
    ),
    (
        [AUTHORIZED, ("authorization", "b", "authorized", 900), ("void", "b", "canceled", None), TAKEN],
        {"status": Status.CAPTURED, "authorized": 1000, "captured": 1000, "amount": 1000},
    ),
    (
        [AUTHORIZED, ("authorization", "b", "authorized", 900), ("void", "a", "canceled", None), TAKEN],
        {"status": Status.PARTIALLY_CAPTURED, "authorized": 1900, "captured": 1000, "amount": 1900},
    ),
    ([("terms", "amount", "provider", 900), ("terms", "amount", "intent", 800)], {"amount": 800}),
]


@pytest.mark.parametrize(("facts", "row"), STATUSES)
def test_status_and_amounts(facts: list[Any], row: dict[str, Any]) -> None:
    assert project(known(*facts)) == Projection(**row)


@pytest.mark.parametrize(
    ("facts", "refunded", "status"),
    [
        ([], 0, RefundStatus.NONE),
        ([("refund", "r", "pending", 400)], 0, RefundStatus.PENDING),
        ([("refund", "r", "succeeded", 400), ("refund", "s", "pending", 100)], 400, RefundStatus.PARTIAL),
        ([("refund", "r", "succeeded", 1000)], 1000, RefundStatus.FULL),
        ([("refund", "r", "failed", 400)], 0, RefundStatus.NONE),
        ([("refund", "r", "reversed", 400)], 0, RefundStatus.NONE),
        ([("refund", "r", "canceled", 400)], 0, RefundStatus.NONE),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "succeeded", 400)], 700, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 300), ("refund", "r", "succeeded", 400)], 400, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "pending", 400)], 300, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "failed", 900)], 0, RefundStatus.NONE),
    ],
)
def test_refunds(facts: list[Any], refunded: int, status: RefundStatus) -> None:
    row = project(known(AUTHORIZED, TAKEN, *facts))
    assert (row.refunded, row.refund_status, row.status) == (refunded, status, Status.CAPTURED)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], DisputeStatus.NONE),
        (["inquiry"], DisputeStatus.INQUIRY),
        (["lost", "inquiry"], DisputeStatus.INQUIRY),
        (["open", "inquiry"], DisputeStatus.OPEN),
        (["under_review", "open"], DisputeStatus.UNDER_REVIEW),
        (["won", "lost"], DisputeStatus.LOST),
        (["won", "prevented"], DisputeStatus.WON),
        (["prevented"], DisputeStatus.PREVENTED),
        (["lost_final"], DisputeStatus.LOST),
    ],
)
def test_disputes_of_several_show_the_most_advanced(states: list[str], status: DisputeStatus) -> None:
    facts = known(*(("dispute", str(number), state, None) for number, state in enumerate(states)))
    assert project(facts).dispute_status is status


@pytest.mark.parametrize(
    ("states", "disputed"),
    [(["withdrawn"], 50), (["withdrawn", "reinstated"], 0), (["reinstated", "withdrawn_final"], 50)],
)
def test_disputed_funds(states: list[str], disputed: int) -> None:
    assert project(known(*(("dispute_funds", "d", state, 50) for state in states))).disputed == disputed


def test_invariants_of_money() -> None:
    def broken(*facts: Any) -> str | None:
        joined = known(*facts)
        return broken_invariant(joined, project(joined))

    assert broken(AUTHORIZED, TAKEN, ("refund", "r", "succeeded", 600), ("refund", "s", "pending", 400)) is None
    assert broken(TAKEN) == "captured 1000 exceeds authorized 0"
    assert broken(AUTHORIZED, ("refund", "r", "pending", 1)) == "refunds 0 + 1 pending exceed captured 0"
    said = broken(AUTHORIZED, TAKEN, ("refund", "r", "succeeded", 600), ("refund", "s", "pending", 401))
    assert said == "refunds 600 + 401 pending exceed captured 1000"
    assert broken(AUTHORIZED, TAKEN, ("refund", "r", "pending", None)) is None


@pytest.mark.parametrize(
    ("terms", "captured"), [("intent", 1000), ("provider", 0)], ids=["as asked", "never as echoed"]
)
def test_a_capture_without_an_amount_takes_what_was_asked_for(terms: str, captured: int) -> None:
    facts = [Fact(FactKind.TERMS, "amount", terms, 1000), Fact(FactKind.CAPTURE, "c", "succeeded")]
    projection = project(newer({}, facts))
    assert (projection.captured, projection.authorized) == (captured, captured)
    assert broken_invariant(newer({}, facts), projection) is None
