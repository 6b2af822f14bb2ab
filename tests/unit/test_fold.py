"""The fold: a join of facts that no order and no repetition changes, and what the joined facts come to."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from choices import picks
from hypothesis import given
from hypothesis import strategies as st
from profiles import MOST, examples

from consumer.adoption import attempt_of
from consumer.children import Children
from consumer.fold import asked, facts_of, full_row, held, newer, project, united
from consumer.plain import plain_row
from schemas.facts import RANKS, ChildState, Fact, FactKind
from schemas.payment import DisputeStatus, Facts, Flag, Payment, Projection, RefundStatus, Status

pytestmark = pytest.mark.unit

KEYS = ("a", "b", "intent")
PLACES = [(kind, state) for kind, states in RANKS.items() for state in states]
AMOUNTS = (*[None] * 6, *range(6))
OTHERS = (*[None] * 3, *KEYS)


def fact_of(drawn: tuple[Any, ...]) -> Fact:
    (kind, state), key, *rest = drawn
    return Fact(kind, key, state, *rest)


FACTS = picks(PLACES, KEYS, AMOUNTS, OTHERS, range(3), OTHERS).map(fact_of)
MANY = st.lists(FACTS, max_size=14)


def join(*many: list[Fact]) -> Facts:
    facts: Facts = {}
    for reported in many:
        facts |= newer(facts, reported)
    return facts


def known(*facts: tuple[Any, ...]) -> Facts:
    return join([Fact(FactKind(kind), *rest) for kind, *rest in facts])


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
    for (kind, key), state in before.items():
        later = after[kind, key]
        assert _order(kind, later) >= _order(kind, state)
        assert state.parent is None or (later.parent or "") >= state.parent
        assert state.replaces is None or (later.replaces or "") >= state.replaces


def _order(kind: FactKind, state: ChildState) -> tuple[int, int, int]:
    return state.version, RANKS[kind][state.name], -1 if state.amount is None else state.amount


@given(st.permutations(list(range(6))), st.data())
def test_projection_looks_at_no_order(order: list[int], data: st.DataObject) -> None:
    facts = [data.draw(FACTS) for _ in order]
    assert project(join(facts)) == project(join([facts[index] for index in order]))


PLAIN_KINDS = ("terms", "mode", "attempt", "authorization", "capture", "refund", "refund_total")
PLAIN_PLACES = [(FactKind(kind), state) for kind in PLAIN_KINDS for state in RANKS[FactKind(kind)]]
PLAIN_FACTS = picks(PLAIN_PLACES, ("a", "b", "c", "intent"), (3, 3, 5, 8, 0, None), OTHERS, range(2)).map(fact_of)


@examples(MOST)
@given(st.lists(PLAIN_FACTS, min_size=1, max_size=9))
def test_the_short_way_gives_the_row_of_the_rules_in_full(facts: list[Fact]) -> None:
    joined = join(facts)
    assert plain_row(joined) in (None, full_row(joined))


@given(MANY)
def test_the_short_way_refuses_what_it_does_not_know(facts: list[Fact]) -> None:
    joined = join(facts)
    assert plain_row(joined) in (None, full_row(joined))


def test_the_short_way_leaves_a_refund_that_may_have_released_a_hold_to_the_rules_in_full() -> None:
    part = [("authorization", "a", "authorized", 1000), ("capture", "c", "succeeded", 400, "a")]
    assert plain_row(known(*part, ("refund", "r", "unbooked", 600, "a"))) is None
    assert plain_row(known(*part, ("refund", "r", "succeeded", 300, "a"))) is not None


@examples(MOST)
@given(st.lists(PLAIN_FACTS, min_size=1, max_size=9))
def test_the_short_way_holds_what_the_rules_in_full_hold(facts: list[Fact]) -> None:
    children = Children(join(facts))
    kept = max(children.captured - children.refunded, 0)
    assert held(join(facts)) == (kept if children.captured else children.live)


SHORT = {
    "asked": [("terms", "p", "asked", 1000), ("attempt", "p", "processing", 1000)],
    "a second try": [("attempt", "p", "requires_action"), ("attempt", "x", "failed", 1000, "p")],
    "a third": [
        ("attempt", "p", "requires_action"),
        ("attempt", "x", "failed", None, "p"),
        ("attempt", "y", "created"),
    ],
    "held": [("authorization", "a", "authorized", 1000, "p"), ("attempt", "p", "processing", 1000)],
    "captured": [("authorization", "a", "authorized", 1000), ("capture", "c", "succeeded", 1000, "a")],
    "over": [("authorization", "a", "authorized", 1000), ("capture", "c", "succeeded", 1100, "a")],
    "over, unnamed": [("authorization", "a", "authorized", 1000), ("capture", "c", "succeeded", 1100)],
    "proved by itself": [("authorization", "a", "authorized", 1000), ("capture", "c", "succeeded", 9, "b")],
    "in part": [("terms", "intent", "asked", 1000), ("capture", "c", "succeeded", 400, "p")],
    "at once": [("authorization", "a", "authorized", 1000), ("mode", "a", "automatic")],
    "as the intent wanted": [
        ("authorization", "a", "authorized", 1000),
        ("mode", "a", "account"),
        ("mode", "intent", "automatic"),
    ],
    "reported by a capture": [
        ("authorization", "a", "authorized", 1000),
        ("mode", "a", "automatic"),
        ("capture", "c", "succeeded", 400),
    ],
    "refunded": [
        ("capture", "c", "succeeded", 1000, "p"),
        ("refund", "r", "succeeded", 400, "p"),
        ("refund", "s", "pending", 100, "other"),
        ("refund_total", "p", "succeeded", 700),
    ],
    "refunded twice": [("capture", "c", "succeeded", 9, "p"), ("refund", "r", "succeeded", 18, "p")],
    "refunded, unbooked": [
        ("authorization", "p", "authorized", 1000),
        ("capture", "c", "succeeded", 1000, "p"),
        ("refund", "r", "unbooked", 400, "p"),
        ("refund", "s", "unbooked", 100),
        ("refund_total", "p", "succeeded", 600),
    ],
    "refunded, unbooked, of an unnamed capture": [
        ("authorization", "p", "authorized", 1000),
        ("capture", "c", "succeeded", 1000),
        ("refund", "r", "unbooked", 1000, "p"),
    ],
    "a refund to come": [("capture", "c", "succeeded", 9, "p"), ("refund", "r", "pending", 9, "p")],
}


@pytest.mark.parametrize("facts", SHORT.values(), ids=SHORT)
def test_plain_payments_go_the_short_way(facts: list[Any]) -> None:
    joined = known(*facts)
    assert plain_row(joined) == full_row(joined)


@pytest.mark.parametrize("first", [5, 0])
def test_what_was_asked_to_begin_with_is_kept(first: int) -> None:
    reported = [Fact(FactKind.TERMS, "p", "asked", first, None, 1), Fact(FactKind.TERMS, "p", "asked", 9, None, 2)]
    named = Fact(FactKind.TERMS, "p", "asked", 9, "order", 2)
    for order in ([*reported, named], [named, *reported]):
        assert join(order) == {(FactKind.TERMS, "p"): ChildState("asked", 9, "order", 2, None, first)}


def test_larger_amount_wins_at_the_same_rank_and_a_later_rank_beats_any() -> None:
    place = (FactKind.REFUND, "r")
    facts = known(("refund", "r", "succeeded", 5), ("refund", "r", "succeeded", 9), ("refund", "r", "succeeded", 7))
    assert facts[place] == ChildState("succeeded", 9)
    assert newer(facts, [Fact(*place, "failed", 1)]) == {place: ChildState("failed", 1)}
    assert newer(facts, [Fact(*place, "pending", 99)]) == {}
    assert newer({place: ChildState("succeeded")}, [Fact(*place, "succeeded", 0)]) == {
        place: ChildState("succeeded", 0)
    }


def test_a_version_beats_any_rank_and_a_parent_is_kept() -> None:
    place = (FactKind.ATTEMPT, "a")
    facts = known(("attempt", "a", "failed", None, "p", 5), ("attempt", "a", "processing", None, None, 6))
    assert facts[place] == ChildState("processing", None, "p", 6)
    assert newer(facts, [Fact(*place, "canceled", None, None, 5)]) == {}


def test_what_an_authorization_replaces_is_kept_and_of_two_names_the_larger_whatever_came_first() -> None:
    """A copy that leaves it out takes nothing back: else the hold of before would count beside the new one."""
    place = (FactKind.AUTHORIZATION, "a")
    reported = [Fact(*place, "authorized", 5, None, 0, name) for name in (None, "o1", "o2")]
    for order in permutations(reported):
        assert join(list(order)) == {place: ChildState("authorized", 5, None, 0, "o2")}
        assert newer(join(list(order)), reported) == {}


def test_terms_follow_the_version_and_remember_the_smallest() -> None:
    reported = [("terms", "a", "asked", 5000, None, 1), ("terms", "a", "asked", 3000, None, 2)]
    for order in (reported, reported[::-1]):
        assert project(known(*order)).amount == 3000
        assert asked(known(*order)) == 3000
    tipped = known(("terms", "a", "asked", 2000, None, 1), ("terms", "a", "asked", 2500, None, 2))
    assert (project(tipped).amount, asked(tipped)) == (2500, 2000)
    assert asked(join(facts_of(tipped))) == 2000


AUTHORIZED = ("authorization", "a", "authorized", 1000)
SECOND = ("authorization", "b", "authorized", 900)
TAKEN = ("capture", "c", "succeeded", 1000, "a")
RETURNED = ("reversal", "p", "done", 1000, "p")
VOID = ("void", "a", "canceled")
TERMS = ("terms", "a", "asked", 1000)
ASKED = ("terms", "intent", "asked", 1000)
AUTOMATIC = ("mode", "a", "automatic")
ACCOUNT = ("mode", "a", "account")
WANTED = ("mode", "intent", "automatic")


def row(status: str, **columns: Any) -> dict[str, Any]:
    return {"status": Status(status), **columns}


def money(status: str, authorized: int, captured: int = 0, amount: int | None = None, **columns: Any) -> dict[str, Any]:
    amount = authorized if amount is None else amount
    return row(status, amount=amount, authorized=authorized, captured=captured, **columns)


OVER = {"flags": (Flag.OVER_CAPTURED,)}
WRONG = {"flags": (Flag.CONTRADICTION,)}
UNDER = {"flags": (Flag.UNDERPAID,)}
ROWS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "nothing": ([], row("created")),
    "needs the customer": ([("attempt", "a", "requires_action")], row("requires_action")),
    "the furthest open try": ([("attempt", "a", "processing"), ("attempt", "b", "requires_action")], row("processing")),
    "an open try beats a failed one": ([("attempt", "x", "failed"), ("attempt", "y", "processing")], row("processing")),
    "a created one does not": ([("attempt", "x", "failed"), ("attempt", "y", "created")], row("failed")),
    "canceled before expired before failed": (
        [("attempt", "x", "failed"), ("attempt", "y", "expired"), ("attempt", "z", "canceled")],
        row("canceled"),
    ),
    "what a try asked is shown": ([("attempt", "x", "failed", 700)], row("failed", amount=700)),
    "a nameless try that failed under its name": (
        [("attempt", "p", "processing"), ("attempt", "x", "failed", None, "p")],
        row("failed"),
    ),
    "a try of an older time ended by a sibling": (
        [("attempt", "x", "requires_action", None, "p", 1), ("attempt", "y", "succeeded", None, "p", 2)],
        row("created"),
    ),
    "an end ends its own tries": (
        [("attempt", "x", "processing", None, "p"), ("end", "p", "canceled")],
        row("canceled"),
    ),
    "an end ends no others": ([("attempt", "x", "processing"), ("end", "p", "expired")], row("processing")),
    "expired": ([("end", "p", "expired")], row("expired")),
    "authorized": ([AUTHORIZED], money("authorized", 1000)),
    "authorizations add": ([AUTHORIZED, SECOND], money("authorized", 1900)),
    "a void ends its own": ([AUTHORIZED, SECOND, VOID], money("authorized", 900)),
    "all void: what they had been": ([AUTHORIZED, VOID], money("canceled", 1000)),
    "expired authorization": ([AUTHORIZED, ("void", "a", "expired")], money("expired", 1000)),
    "an end voids": (
        [
            ("authorization", "a", "authorized", 1000, "t"),
            ("attempt", "t", "created", None, "p"),
            ("end", "p", "expired"),
        ],
        money("expired", 1000),
    ),
    "one takes another's place": (
        [AUTHORIZED, ("authorization", "b", "authorized", 900, None, 0, "a")],
        money("authorized", 900),
    ),
    "the newest of one place": (
        [
            ("authorization", "a", "authorized", 1000, None, 1, "order"),
            ("authorization", "b", "authorized", 900, None, 2, "order"),
        ],
        money("authorized", 900),
    ),
    "adjusted by version": (
        [AUTHORIZED, ("adjustment", "x", "adjusted", 1500, "a", 1), ("adjustment", "y", "adjusted", 700, "a", 2)],
        money("authorized", 700),
    ),
    "adjusted, nothing says which came last": (
        [AUTHORIZED, ("adjustment", "x", "adjusted", 1500, "a"), ("adjustment", "y", "adjusted", 700, "a")],
        money("authorized", 1500, **WRONG),
    ),
    "captured": ([AUTHORIZED, TAKEN], money("captured", 1000, 1000)),
    "in part": ([AUTHORIZED, ("capture", "c", "succeeded", 400, "a")], money("partially_captured", 1000, 400)),
    "in part, the rest released": (
        [AUTHORIZED, ("capture", "c", "succeeded", 400, "a"), VOID],
        money("partially_captured", 1000, 400, **UNDER),
    ),
    "less than asked": ([ASKED, ("capture", "c", "succeeded", 400, "p")], money("partially_captured", 400, 400, 1000)),
    "captures prove their amounts": (
        [("capture", "c", "succeeded", 600, "x"), ("capture", "d", "succeeded", 400, "x")],
        money("captured", 1000, 1000),
    ),
    "over": ([AUTHORIZED, ("capture", "c", "succeeded", 1150, "a")], money("captured", 1000, 1150, **OVER)),
    "over, named by none": ([AUTHORIZED, ("capture", "c", "succeeded", 1150)], money("captured", 1000, 1150, **OVER)),
    "void of what was captured": ([AUTHORIZED, TAKEN, VOID], money("captured", 1000, 1000, **WRONG)),
    "end of what was captured": ([TAKEN, ("end", "p", "canceled")], money("captured", 1000, 1000, **WRONG)),
    "end of what was given back": (
        [TAKEN, ("end", "p", "canceled"), ("refund", "r", "succeeded", 1000)],
        money("captured", 1000, 1000, refunded=1000, refund_status=RefundStatus.FULL),
    ),
    "a failed capture": (
        [AUTHORIZED, ("capture", "c", "pending", 1000, "a"), ("reversal", "c", "failed", 1000, "c")],
        money("authorized", 1000),
    ),
    "a capture that came undone": ([AUTHORIZED, TAKEN, ("reversal", "c", "failed", 1000, "c")], money("failed", 1000)),
    "undone, another one live": (
        [AUTHORIZED, SECOND, TAKEN, ("reversal", "c", "failed", None, "c")],
        money("authorized", 1900),
    ),
    "a try whose money came undone is not open": (
        [AUTHORIZED, TAKEN, ("reversal", "c", "failed", 1000, "c"), ("attempt", "a", "processing")],
        money("failed", 1000),
    ),
    "closed with less than was asked": (
        [("terms", "p", "asked", 1000), ("capture", "c", "succeeded", 400, "p"), ("end", "p", "closed")],
        money("partially_captured", 400, 400, 1000, **UNDER),
    ),
    "reversed in part": ([TAKEN, ("reversal", "r", "done", 300, "c")], money("partially_captured", 1000, 700)),
    "a payment that was returned as a whole": (
        [
            AUTHORIZED,
            ("capture", "c1", "succeeded", 600, "a"),
            ("capture", "c2", "succeeded", 400, "a"),
            ("reversal", "a", "done", 1000, "a"),
        ],
        money("failed", 1000),
    ),
    "a part of a payment that was returned": (
        [TAKEN, ("reversal", "a", "done", 300, "a")],
        money("partially_captured", 1000, 700),
    ),
    "a total that was returned": ([("capture_total", "p", "succeeded", 1000), RETURNED], money("failed", 1000)),
    "a return of another payment": ([TAKEN, RETURNED], money("captured", 1000, 1000)),
    "a reversal that was canceled": ([TAKEN, ("reversal", "r", "canceled", 300, "c")], money("captured", 1000, 1000)),
    "made anew": (
        [("capture", "c", "succeeded", 9, "c", 3), ("reversal", "c", "failed", 9, "c", 2)],
        money("captured", 9, 9),
    ),
    "automatic": ([AUTHORIZED, AUTOMATIC], money("captured", 1000, 1000)),
    "as the intent wanted": ([AUTHORIZED, ACCOUNT, WANTED], money("captured", 1000, 1000)),
    "by hand": ([AUTHORIZED, ACCOUNT], money("authorized", 1000)),
    "the method is by hand": ([AUTHORIZED, ("mode", "a", "manual"), WANTED], money("authorized", 1000)),
    "a void beats the mode": ([AUTHORIZED, AUTOMATIC, VOID], money("canceled", 1000)),
    "a capture beats the mode": (
        [AUTHORIZED, AUTOMATIC, ("capture", "c", "succeeded", 400, "a")],
        money("partially_captured", 1000, 400),
    ),
    "automatic, failed": (
        [AUTHORIZED, AUTOMATIC, ("capture", "c", "pending", 1000, "a"), ("reversal", "c", "failed", 1000, "c")],
        money("failed", 1000),
    ),
    "a cancel or refund of all": ([AUTHORIZED, ACCOUNT, ("refund", "r", "either", 1000, "a")], money("canceled", 1000)),
    "a cancel or refund of a part": (
        [AUTHORIZED, ACCOUNT, ("refund", "r", "either", 300, "a")],
        money("captured", 1000, 1000, refunded=300, refund_status=RefundStatus.PARTIAL),
    ),
    "a cancel or refund of what was captured": (
        [AUTHORIZED, TAKEN, ("refund", "r", "either", 1000, "a")],
        money("captured", 1000, 1000, refunded=1000, refund_status=RefundStatus.FULL),
    ),
    "a card check": ([("authorization", "a", "authorized", 0)], row("captured")),
    "a card check that was voided": ([("authorization", "a", "authorized", 0), VOID], row("canceled")),
    "an order of 0": ([("terms", "a", "asked", 0), ("capture", "c", "succeeded", 0, "a")], row("captured")),
    "the intent's total beats the provider's": (
        [ASKED, ("terms", "a", "asked", 900)],
        row("created", amount=1000, flags=(Flag.AMOUNT_DIFFERS,)),
    ),
    "tenders add up": (
        [ASKED, ("terms", "a", "asked", 200), ("terms", "b", "asked", 800)],
        row("created", amount=1000),
    ),
    "taken whole": ([ASKED, ("capture", "p", "succeeded", None, "p")], money("captured", 1000, 1000)),
    "taken, nothing says how much": ([("capture", "p", "succeeded", None, "p")], row("processing")),
    "another currency": (
        [TAKEN, ("other_currency", "r", "seen", 5, "USD")],
        money("captured", 1000, 1000, flags=(Flag.OTHER_CURRENCY,)),
    ),
}


@pytest.mark.parametrize(("facts", "row"), ROWS.values(), ids=ROWS)
def test_status_and_amounts(facts: list[Any], row: dict[str, Any]) -> None:
    assert project(known(*facts)) == Projection(**row)


@pytest.mark.parametrize(
    ("facts", "authorized", "captured", "status"),
    [
        ([("capture_total", "p", "succeeded", 1000)], 1000, 1000, Status.CAPTURED),
        ([("capture_total", "p", "succeeded", 0)], 0, 0, Status.CAPTURED),
        ([("capture_total", "p", "succeeded", 1000), ("capture", "c", "succeeded", 400, "p")], 1000, 1000, "captured"),
        ([("capture_total", "p", "succeeded", 300), ("capture", "c", "succeeded", 400, "p")], 400, 400, "captured"),
        (
            [
                ("authorization", "a", "authorized", 1000, "p"),
                ("capture", "c", "succeeded", 800, "a"),
                ("capture_total", "p", "succeeded", 800),
            ],
            1000,
            800,
            Status.PARTIALLY_CAPTURED,
        ),
        (
            [("authorization", "a", "authorized", 1000, "p"), ("capture_total", "p", "succeeded", 800)],
            1000,
            800,
            Status.PARTIALLY_CAPTURED,
        ),
        (
            [
                ("capture_total", "p", "succeeded", 500),
                ("capture_total", "q", "succeeded", 300),
                ("capture", "c", "succeeded", 300, "q"),
            ],
            800,
            800,
            Status.CAPTURED,
        ),
    ],
)
def test_a_cumulative_figure_of_captures_counts_what_no_capture_tells(
    facts: list[Any], authorized: int, captured: int, status: Status
) -> None:
    row = project(known(*facts))
    assert (row.authorized, row.captured, row.status) == (authorized, captured, status)


@pytest.mark.parametrize(
    ("facts", "refunded", "status"),
    [
        ([], 0, RefundStatus.NONE),
        ([("refund", "r", "pending", 400)], 0, RefundStatus.PENDING),
        ([("refund", "r", "succeeded", 400), ("refund", "s", "pending", 100)], 400, RefundStatus.PARTIAL),
        ([("refund", "r", "succeeded", 1000)], 1000, RefundStatus.FULL),
        ([("refund", "r", "succeeded", 1200)], 1200, RefundStatus.FULL),
        ([("refund", "r", "failed", 400)], 0, RefundStatus.NONE),
        ([("refund", "r", "reversed", 400)], 0, RefundStatus.NONE),
        ([("refund", "r", "canceled", 400)], 0, RefundStatus.NONE),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "succeeded", 400)], 700, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 300), ("refund", "r", "succeeded", 400)], 400, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "pending", 400)], 300, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "failed", 900)], 0, RefundStatus.NONE),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "canceled", 400)], 300, RefundStatus.PARTIAL),
        ([("refund_total", "a", "succeeded", 700), ("refund", "r", "reversed", 400)], 300, RefundStatus.PARTIAL),
        (
            [("refund_total", "a", "succeeded", 700), ("refund", "r", "succeeded", 400, "other")],
            1100,
            RefundStatus.FULL,
        ),
    ],
)
def test_refunds(facts: list[Any], refunded: int, status: RefundStatus) -> None:
    joined = known(AUTHORIZED, TAKEN, *facts)
    for row in (project(joined), full_row(joined)):
        assert (row.refunded, row.refund_status, row.status) == (refunded, status, Status.CAPTURED)
        assert row.flags == ((Flag.OVER_REFUNDED,) if refunded > 1000 else ())


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], DisputeStatus.NONE),
        (["inquiry"], DisputeStatus.INQUIRY),
        (["lost", "inquiry"], DisputeStatus.INQUIRY),
        (["open", "inquiry"], DisputeStatus.OPEN),
        (["under_review", "open"], DisputeStatus.OPEN),
        (["won", "lost"], DisputeStatus.LOST),
        (["won", "prevented"], DisputeStatus.WON),
        (["prevented"], DisputeStatus.PREVENTED),
    ],
)
def test_disputes_of_several_show_the_one_that_needs_somebody(states: list[str], status: DisputeStatus) -> None:
    facts = known(*(("dispute", str(number), state) for number, state in enumerate(states)))
    assert project(facts).dispute_status is status


OUT, BACK = ("dispute_out", "d", "withdrawn", 1000), ("dispute_in", "d", "reinstated", 1000)
OUT_AGAIN = ("dispute_out", "d#1", "withdrawn", 1000, "d", 1)
BACK_AGAIN = ("dispute_in", "d#1", "reinstated", 1000, "d", 1)


@pytest.mark.parametrize(
    ("taken", "status"),
    [
        ([], DisputeStatus.PREVENTED),
        ([OUT], DisputeStatus.LOST),
        ([OUT_AGAIN], DisputeStatus.LOST),
        ([("dispute_out", "another", "withdrawn", 1000)], DisputeStatus.PREVENTED),
    ],
)
def test_a_dispute_that_nobody_answered_is_lost_where_it_took_money(taken: list[Any], status: DisputeStatus) -> None:
    assert project(known(("dispute", "d", "undefended"), *taken)).dispute_status is status


@pytest.mark.parametrize(
    ("facts", "disputed"),
    [
        ([OUT], 1000),
        ([OUT, BACK], 0),
        ([BACK], 0),
        ([OUT, ("dispute_in", "d", "reinstated", 400)], 600),
        ([OUT, BACK, OUT_AGAIN], 1000),
        ([OUT, OUT_AGAIN], 1000),
        ([OUT, BACK, OUT_AGAIN, BACK_AGAIN], 0),
        ([OUT, BACK_AGAIN], 0),
        ([OUT, ("dispute_in", "d", "reinstated", 400), OUT_AGAIN], 1600),
        ([TAKEN, ("dispute_out", "d", "withdrawn")], 1000),
        ([TAKEN, ("dispute_out", "d", "withdrawn"), ("dispute_in", "d", "reinstated")], 0),
        ([OUT, ("dispute_out", "e", "withdrawn", 5)], 1005),
        ([("dispute_out", "t1", "withdrawn", 3, "d"), ("dispute_out", "t2", "withdrawn", 4, "d")], 7),
    ],
)
def test_disputed_money_is_counted_in_parts(facts: list[Any], disputed: int) -> None:
    assert project(known(*facts)).disputed == disputed


@pytest.mark.parametrize(
    ("facts", "holds", "first", "rank"),
    [
        ([], 0, None, 2),
        ([AUTHORIZED, ("adjustment", "x", "adjusted", 1500, "a")], 1500, 1000, 1),
        ([AUTHORIZED, VOID], 0, 1000, 2),
        ([TERMS, TAKEN, ("refund", "r", "succeeded", 300)], 700, 1000, 0),
        ([TAKEN, ("refund", "r", "succeeded", 1300)], 0, None, 0),
        ([ASKED], 0, 1000, 2),
        ([("attempt", "x", "processing", 700)], 0, 700, 2),
    ],
)
def test_what_an_attempt_holds_and_asked_for(facts: list[Any], holds: int, first: int | None, rank: int) -> None:
    attempt = attempt_of(payment_of(known(*facts)))
    assert (attempt.held, attempt.asked, attempt.place) == (holds, first, rank)


def payment_of(facts: Facts) -> Payment:
    return Payment(UUID(int=1), "p", "", facts=facts, projection=project(facts))


@given(MANY)
def test_what_an_attempt_holds_is_seen_by_its_row_alone_once_money_is_captured(facts: list[Fact]) -> None:
    """And what is live of a hold that nobody captured by its facts: the same as by the rules in full."""
    joined = join(facts)
    attempt, children = attempt_of(payment_of(joined)), Children(joined)
    assert attempt.held == held(joined)
    assert attempt.place == (0 if children.captured else 1 if children.live else 2)


@given(MANY, MANY)
def test_facts_of_several_payments_are_joined_whether_they_meet_or_not(left: list[Fact], right: list[Fact]) -> None:
    one, other = join(left), join(right)
    assert united(one, [other]) == join(facts_of(one), facts_of(other))


def test_money_given_back_of_what_nobody_took_is_flagged() -> None:
    assert project(known(("refund", "r", "succeeded", 400))).flags == (Flag.OVER_REFUNDED,)


def test_a_capture_that_names_no_hold_used_up_none_of_several() -> None:
    holds = [("authorization", key, "authorized", 1000) for key in ("a", "b")]
    facts = known(*holds, ("capture", "c", "succeeded", 400), ("refund", "r", "unbooked", 1000, "a"))
    assert project(facts).refunded == 0
