"""Where a dispute stands, and what of the captured money it holds, round by round."""

from __future__ import annotations

import pytest

from consumer.disputes import money_held, stage_of
from schemas.facts import ChildState

pytestmark = pytest.mark.unit

CAPTURED = 1000
Parts = dict[str, ChildState]


def out(amount: int | None, number: int = 0, dispute: str | None = None) -> ChildState:
    return ChildState("withdrawn", amount, dispute, number)


def back(amount: int | None, number: int = 0, dispute: str | None = None) -> ChildState:
    return ChildState("reinstated", amount, dispute, number)


@pytest.mark.parametrize(
    ("name", "outs", "stage"),
    [
        ("open", {"d": out(5)}, "open"),
        ("undefended", {}, "prevented"),
        ("undefended", {"other": out(5)}, "prevented"),
        ("undefended", {"d": out(5)}, "lost"),
        ("undefended", {"d#1": out(5, 1, "d")}, "lost"),
        ("undefended", {"d": out(5, 0, "other")}, "prevented"),
    ],
)
def test_a_dispute_that_nobody_answered_is_lost_where_it_took_money(name: str, outs: Parts, stage: str) -> None:
    assert stage_of("d", ChildState(name), outs) == stage


@pytest.mark.parametrize(
    ("outs", "ins", "held"),
    [
        ({}, {}, 0),
        ({}, {"d": back(5)}, 0),
        ({"d": out(40)}, {}, 40),
        ({"d": out(None)}, {}, CAPTURED),
        ({"d": out(0)}, {}, 0),
        ({"d": out(40)}, {"d": back(40)}, 0),
        ({"d": out(40)}, {"d": back(15)}, 25),
        ({"d": out(40)}, {"d": back(0)}, 40),
        ({"d": out(40)}, {"d": back(50)}, 0),
        ({"d": out(40)}, {"d": back(None)}, 0),
        ({"d": out(40)}, {"e": back(40)}, 40),
        ({"d": out(40), "e": out(30)}, {"d": back(50)}, 30),
        ({"a": out(40, 0, "d"), "b": out(2, 0, "d")}, {}, 42),
        ({"a": out(None, 0, "d"), "b": out(2, 0, "d")}, {}, CAPTURED),
        ({"a": out(2, 0, "d"), "b": out(None, 0, "d")}, {}, CAPTURED),
        ({"a": out(None, 0, "d"), "b": out(2, 0, "d")}, {"d": back(2)}, CAPTURED - 2),
        ({"d": out(40)}, {"a": back(None, 0, "d"), "b": back(5, 0, "d")}, 0),
        ({"d": out(40)}, {"a": back(5, 0, "d"), "b": back(None, 0, "d")}, 0),
        ({"d": out(40)}, {"a": back(5, 0, "d"), "b": back(7, 0, "d")}, 28),
        ({"d": out(40), "d#1": out(30, 1, "d")}, {}, 30),
        ({"d": out(40), "d#1": out(30, 1, "d")}, {"d": back(15)}, 55),
        ({"d": out(40)}, {"d#1": back(40, 1, "d")}, 0),
        ({"d#2": out(40, 2, "d")}, {"d#1": back(40, 1, "d")}, 40),
    ],
    ids=[
        *("nothing", "given without taken", "taken", "all that was captured", "nothing taken", "given back"),
        *("in part", "nothing back"),
        *("more than taken", "all of it", "another dispute's", "each dispute alone", "two parts", "a part is all"),
        *("the other part is all", "a part is all, some came back", "of two parts back one is all"),
        *("of two parts back the other is all", "two parts back", "a later round", "a later round and a part"),
        *("given back in a later round", "an earlier round's"),
    ],
)
def test_a_dispute_holds_what_it_took_less_what_it_gave_back(outs: Parts, ins: Parts, held: int) -> None:
    assert money_held(outs, ins, {"d": CAPTURED, "e": 7}.__getitem__) == held
