"""A plain payment's row, case by case: what it comes to, and which payments are left to the rules in full."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from consumer.fold import full_row
from consumer.plain import plain_row
from schemas.facts import ChildState, FactKind
from schemas.payment import Facts, Flag, Projection, RefundStatus, Status

pytestmark = pytest.mark.unit

NEEDS_RULES_IN_FULL = set(FactKind) - {
    *(FactKind.TERMS, FactKind.MODE, FactKind.ATTEMPT, FactKind.AUTHORIZATION, FactKind.CAPTURE),
    *(FactKind.REFUND, FactKind.REFUND_TOTAL),
}


def terms(amount: int | None, key: str = "intent") -> tuple[Any, ...]:
    return "terms", key, "asked", amount


def hold(key: str = "a", amount: int | None = 1000, **more: Any) -> tuple[Any, ...]:
    return "authorization", key, "authorized", amount, more.get("parent"), 0, more.get("replaces")


def taken(amount: int | None, of: str | None = "a", key: str = "c", state: str = "succeeded") -> tuple[Any, ...]:
    return "capture", key, state, amount, of


def refund(state: str, amount: int | None, of: str | None = "a", key: str = "r") -> tuple[Any, ...]:
    return "refund", key, state, amount, of


def total(amount: int | None, of: str = "a") -> tuple[Any, ...]:
    return "refund_total", of, "succeeded", amount


def mode(name: str, key: str = "a") -> tuple[Any, ...]:
    return "mode", key, name


def attempt(key: str, state: str, amount: int | None = None, parent: str | None = None) -> tuple[Any, ...]:
    return "attempt", key, state, amount, parent


def of(*facts: tuple[Any, ...]) -> Facts:
    return {(FactKind(kind), key): ChildState(*rest) for kind, key, *rest in facts}


def paid(captured: int, authorized: int | None = None, amount: int | None = None, **more: Any) -> Projection:
    """Return the row of money that was taken, all that was asked for unless `amount` says otherwise."""
    authorized = captured if authorized is None else authorized
    amount = authorized if amount is None else amount
    status = Status.CAPTURED if captured >= amount else Status.PARTIALLY_CAPTURED
    return Projection(status, amount=amount, authorized=authorized, captured=captured, **more)


def held(authorized: int, amount: int | None = None) -> Projection:
    return Projection(Status.AUTHORIZED, amount=authorized if amount is None else amount, authorized=authorized)


def tried(status: Status, amount: int = 0) -> Projection:
    return Projection(status, amount=amount)


def back(refunded: int, status: RefundStatus = RefundStatus.PARTIAL, **more: Any) -> dict[str, Any]:
    return {"refunded": refunded, "refund_status": status, **more}


OVER = {"flags": (Flag.OVER_CAPTURED,)}
FULL, PENDING = RefundStatus.FULL, RefundStatus.PENDING
TOTALS = [taken(1000), refund("succeeded", 100), refund("failed", 30, key="s"), refund("pending", 20, None, "t")]
ROWS: dict[str, tuple[list[Any], Projection]] = {
    "nothing": ([], tried(Status.CREATED)),
    "asked": ([terms(700)], tried(Status.CREATED, 700)),
    "asked twice alike": ([terms(700), terms(700, "p")], tried(Status.CREATED, 700)),
    "what attempts asked": (
        [attempt("a", "created", 5), attempt("b", "created", 9), attempt("c", "created", 7), attempt("d", "created")],
        tried(Status.CREATED, 9),
    ),
    "what attempts asked beside what was asked": ([terms(7), attempt("a", "failed", 9)], tried(Status.FAILED, 7)),
    "an attempt whose sibling succeeded": (
        [attempt("x", "processing", None, "p"), attempt("y", "succeeded", None, "p")],
        tried(Status.CREATED),
    ),
    "an end whose sibling succeeded": (
        [attempt("x", "failed", None, "p"), attempt("y", "succeeded", None, "p")],
        tried(Status.FAILED),
    ),
    "an attempt that waited for its customer, and whose sibling succeeded": (
        [attempt("x", "requires_action", None, "p"), attempt("y", "succeeded", None, "p")],
        tried(Status.CREATED),
    ),
    "a canceled attempt whose sibling succeeded": (
        [attempt("x", "canceled", None, "p"), attempt("y", "succeeded", None, "p")],
        tried(Status.CANCELED),
    ),
    "a mode of nothing": ([mode("automatic"), attempt("a", "processing")], tried(Status.PROCESSING)),
    "held": ([hold()], held(1000)),
    "held twice": ([hold(), hold("b", 500)], held(1500)),
    "held less than asked": ([terms(2000), hold()], held(1000, 2000)),
    "held and tried": ([hold(), attempt("a", "failed")], held(1000)),
    "a capture that waits": ([hold(), taken(1000, state="pending")], held(1000)),
    "a capture that waits and names no amount": ([hold(), taken(None, state="pending")], held(1000)),
    "by hand": ([hold(), mode("manual"), mode("automatic", "intent")], held(1000)),
    "as the account has it, nobody says how": ([hold(), mode("account")], held(1000)),
    "as the account has it, by hand": ([hold(), mode("account"), mode("manual", "intent")], held(1000)),
    "as the account has it, at once": ([hold(), mode("account"), mode("automatic", "intent")], paid(1000)),
    "at once": ([hold(), mode("automatic")], paid(1000)),
    "at once, by another mode than the intent's": ([hold(), mode("automatic"), mode("manual", "intent")], paid(1000)),
    "one of two at once": ([hold(), hold("b", 500), mode("automatic", "b")], paid(500, 1500)),
    "two at once": ([hold(), hold("b", 500), mode("automatic"), mode("automatic", "b")], paid(1500)),
    "at once, and reported": ([hold(), mode("automatic"), taken(400)], paid(400, 1000)),
    "at once, and another one reported": (
        [hold(), hold("b", 500), mode("automatic"), taken(400, "b")],
        paid(1400, 1500),
    ),
    "at once, and reported without its hold": ([hold(), mode("automatic"), taken(400, None)], paid(400, 1000)),
    "taken": ([hold(), taken(1000)], paid(1000)),
    "taken of no hold": ([taken(1000, None)], paid(1000)),
    "taken in two parts": ([hold(), taken(300), taken(400, key="d")], paid(700, 1000)),
    "taken of two holds": ([hold(), hold("b", 500), taken(1000), taken(500, "b", "d")], paid(1500)),
    "taken less than asked": ([terms(1000), taken(400)], paid(400, 400, 1000)),
    "taken as asked of a larger hold": ([terms(400), hold(), taken(400)], paid(400, 1000, 400)),
    "taken more than asked": ([terms(400), taken(500)], paid(500, 500, 400)),
    "taken of a hold that nobody reported": ([hold(), taken(9, "b")], paid(9, 1009)),
    "over": ([hold(), taken(1001)], paid(1001, 1000, **OVER)),
    "over in two parts": ([hold(), taken(600), taken(401, key="d")], paid(1001, 1000, **OVER)),
    "the first of two over": ([hold(), hold("b"), taken(1100), taken(1, "b", "d")], paid(1101, 2000, **OVER)),
    "the second of two over": ([hold(), hold("b"), taken(1), taken(1100, "b", "d")], paid(1101, 2000, **OVER)),
    "all of it, unnamed": ([hold(), taken(1000, None)], paid(1000)),
    "over, unnamed": ([hold(), taken(1001, None)], paid(1001, 1000, **OVER)),
    "in all not over, partly unnamed": ([hold(), hold("b"), taken(1000), taken(1000, None, "d")], paid(2000)),
    "in all over, partly unnamed": ([hold(), taken(1000), taken(1, None, "d")], paid(1001, 1000, **OVER)),
    "given back in part": ([taken(1000), refund("succeeded", 400)], paid(1000, **back(400))),
    "given back in parts": (
        [taken(1000), refund("succeeded", 400), refund("unbooked", 100, None, "s")],
        paid(1000, **back(500)),
    ),
    "given back": ([taken(1000), refund("succeeded", 1000)], paid(1000, **back(1000, FULL))),
    "given back all that was taken": (
        [terms(1000), taken(400), refund("succeeded", 400)],
        paid(400, 400, 1000, **back(400, FULL)),
    ),
    "given back more than was taken": (
        [taken(1000), refund("succeeded", 1001)],
        paid(1000, **back(1001, FULL, flags=(Flag.OVER_REFUNDED,))),
    ),
    "over both ways": (
        [hold(), taken(1100), refund("succeeded", 1200)],
        paid(1100, 1000, **back(1200, FULL, flags=(Flag.OVER_CAPTURED, Flag.OVER_REFUNDED))),
    ),
    "a refund that waits": ([taken(1000), refund("pending", 400)], paid(1000, **back(0, PENDING))),
    "one that waits beside one that did not": (
        [taken(1000), refund("pending", 400), refund("succeeded", 1, key="s")],
        paid(1000, **back(1)),
    ),
    **{
        f"a refund that {state}": ([taken(1000), refund(state, 400)], paid(1000))
        for state in ("failed", "reversed", "canceled")
    },
    "a refund of nobody knows how much": ([taken(1000), refund("succeeded", None)], paid(1000)),
    "a total": ([taken(1000), total(400)], paid(1000, **back(400))),
    "a total of nobody knows how much": ([taken(1000), total(None)], paid(1000)),
    "a total of what is known": ([*TOTALS, total(150)], paid(1000, **back(100))),
    "a total of more than is known": ([*TOTALS, total(151)], paid(1000, **back(101))),
    "a total of less than is known": ([*TOTALS, total(149)], paid(1000, **back(100))),
    "a total of another payment": ([taken(1000), refund("succeeded", 100), total(60, "b")], paid(1000, **back(160))),
    "two totals": ([taken(1000), refund("succeeded", 100), total(150), total(60, "b")], paid(1000, **back(210))),
    "a total beside a refund of nobody knows how much": (
        [taken(1000), refund("pending", None), total(60)],
        paid(1000, **back(60)),
    ),
    "an unbooked refund of a hold that was taken": (
        [hold(), taken(1000), refund("unbooked", 300)],
        paid(1000, **back(300)),
    ),
    "an unbooked refund of a hold that was taken unnamed": (
        [hold(), taken(1000, None), refund("unbooked", 300)],
        paid(1000, **back(300)),
    ),
    "an unbooked refund of a hold that was taken both ways": (
        [hold(), taken(600), taken(400, None, "d"), refund("unbooked", 300)],
        paid(1000, **back(300)),
    ),
    "an unbooked refund of one of two holds that were taken": (
        [hold(), hold("b"), taken(1000), taken(1000, "b", "d"), refund("unbooked", 300)],
        paid(2000, **back(300)),
    ),
    "a booked refund of a hold with something left": (
        [hold(), taken(600), refund("succeeded", 400)],
        paid(600, 1000, **back(400)),
    ),
}


@pytest.mark.parametrize(("facts", "row"), ROWS.values(), ids=ROWS)
def test_a_plain_payment_comes_to_the_row_of_the_rules_in_full(facts: list[Any], row: Projection) -> None:
    assert plain_row(of(*facts)) == row
    assert full_row(of(*facts)) == row
    assert plain_row(of(*reversed(facts))) == row


LEFT: dict[str, list[Any]] = {
    "asked for 0": [terms(0)],
    "asked for nobody knows what": [terms(None)],
    "asked for two amounts": [terms(700), terms(800, "p")],
    "a hold of 0": [hold("a", 0)],
    "a hold of nobody knows how much": [hold("a", None)],
    "a hold in another's place": [hold(), hold("b", 900, replaces="a")],
    "taken 0": [taken(0)],
    "taken all that was asked for": [terms(1000), taken(None)],
    "a cancel or refund": [hold(), taken(1000), refund("either", 1000)],
    "given back of what nobody took": [hold(), refund("succeeded", 400)],
    "given back and nothing else": [refund("failed", 400)],
    "a total of what nobody took": [hold(), total(400)],
    "a total and nothing else": [total(400)],
    "an unbooked refund of a hold with something left": [hold(), taken(999), refund("unbooked", 1)],
    "an unbooked refund of one of two holds": [
        *(hold(), hold("b"), taken(1000), taken(1000, None, "d"), refund("unbooked", 1000, "b")),
    ],
    "an unbooked refund of one of two holds with 1 left": [
        *(hold(), hold("b"), taken(999), taken(1000, "b", "d"), refund("unbooked", 1)),
    ],
    "an unbooked refund of a hold of 1 of which nothing was taken": [
        *(hold("a", 1), taken(5, "b"), refund("unbooked", 1)),
    ],
    "an unbooked refund beside another one": [
        *(hold(), taken(600), refund("succeeded", 100), refund("unbooked", 400, key="s")),
    ],
}


@pytest.mark.parametrize("facts", LEFT.values(), ids=LEFT)
def test_what_is_not_plain_is_left_to_the_rules_in_full(facts: list[Any]) -> None:
    assert plain_row(of(*facts)) is None
    assert plain_row(of(*reversed(facts))) is None


@pytest.mark.parametrize("kind", sorted(NEEDS_RULES_IN_FULL))
def test_a_child_that_unmakes_or_moves_another_is_left_to_the_rules_in_full(kind: str) -> None:
    assert plain_row(of(hold(), taken(1000), (kind, "a", "some"))) is None


STRENGTH = [
    *((state, Status(state)) for state in ("failed", "expired", "canceled", "requires_action", "processing")),
]
"""Of several attempts the last of these is shown."""


@pytest.mark.parametrize("unshown", ["created", "succeeded"])
def test_of_attempts_the_furthest_open_one_is_shown_and_else_the_strongest_end(unshown: str) -> None:
    for weaker, (state, status) in enumerate(STRENGTH):
        for other in (unshown, *(name for name, _ in STRENGTH[:weaker])):
            for pair in permutations([attempt("a", state), attempt("b", other)]):
                assert plain_row(of(*pair)) == full_row(of(*pair)) == tried(status), (state, other)
        assert plain_row(of(attempt("a", state))) == tried(status)
    assert plain_row(of(attempt("a", unshown))) == tried(Status.CREATED)
