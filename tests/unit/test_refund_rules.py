"""What was given back, refund by refund: which count, what a figure of all adds, and what only released a hold."""

from __future__ import annotations

import pytest

from consumer.refunds import TakenMoney, given_back, is_cancel, is_pending
from schemas.facts import RANKS, ChildState, FactKind

pytestmark = pytest.mark.unit

Gross = dict[str | None, int]

STATES = tuple(RANKS[FactKind.REFUND])


def taken(reserved: dict[str, int], gross: Gross) -> TakenMoney:
    return TakenMoney(reserved, gross, sum(gross.values()))


@pytest.mark.parametrize(
    ("payment", "reserved", "gross", "cancel"),
    [
        ("a", {"a": 9}, {}, True),
        ("a", {"a": 9}, {"a": 4}, False),
        ("a", {"a": 9}, {None: 4}, False),
        ("a", {"a": 9}, {"a": 4, None: 4}, False),
        ("a", {"a": 9, "b": 9}, {"b": 4}, True),
        ("z", {"a": 9}, {"a": 4}, False),
        ("z", {"a": 9}, {}, True),
        ("z", {}, {}, True),
        (None, {"a": 9}, {}, True),
        (None, {"a": 9}, {"a": 4}, False),
        (None, {}, {None: 4}, False),
    ],
    ids=[
        *("nothing was taken", "its hold was taken", "any hold may have been", "both", "only another hold was taken"),
        *("its hold is not known and money was taken", "and none was", "nothing is known"),
        *("it names none and nothing was taken", "and a hold was", "and money of no hold by name was"),
    ],
)
def test_a_cancel_or_refund_of_what_nobody_took_is_a_cancel(
    payment: str | None,
    reserved: dict[str, int],
    gross: Gross,
    cancel: bool,  # noqa: FBT001
) -> None:
    money = taken(reserved, gross)
    assert is_cancel(ChildState("either", 9, payment), money) is cancel
    assert given_back({"r": ChildState("either", 9, payment)}, {}, money) == (0 if cancel else 9)


@pytest.mark.parametrize("state", [one for one in STATES if one != "either"])
def test_nothing_else_is_a_cancel(state: str) -> None:
    assert not is_cancel(ChildState(state, 9, "a"), taken({"a": 9}, {}))


@pytest.mark.parametrize("state", STATES)
def test_what_counts_by_id_and_what_is_under_way(state: str) -> None:
    refunds = {"r": ChildState(state, 4, "a"), "s": ChildState("succeeded", 3, "a")}
    counts = state in {"succeeded", "either", "unbooked"}
    assert given_back(refunds, {}, taken({"a": 9}, {"a": 9})) == (7 if counts else 3)
    assert is_pending(refunds) is (state == "pending")
    assert given_back({}, {}, taken({"a": 9}, {"a": 9})) == 0
    assert not is_pending({})


@pytest.mark.parametrize("state", ["succeeded", "either", "unbooked"])
def test_a_refund_of_nobody_knows_how_much_adds_nothing(state: str) -> None:
    refunds = {"r": ChildState(state, None, "a"), "s": ChildState("succeeded", 3, "a")}
    money = taken({"a": 9}, {"a": 9})
    assert given_back(refunds, {}, money) == 3
    assert given_back(refunds, {"a": ChildState("succeeded", 5)}, money) == 5
    assert given_back(refunds, {"a": ChildState("succeeded", None)}, money) == 3
    assert given_back({}, {"a": ChildState("succeeded", None)}, money) == 0


@pytest.mark.parametrize(
    ("refunds", "totals", "amount"),
    [
        ({}, {"a": 5}, 5),
        ({}, {"a": 5, "b": 2}, 7),
        ({"r": ("succeeded", 3, "a")}, {"a": 5}, 5),
        ({"r": ("succeeded", 3, None)}, {"a": 5}, 5),
        ({"r": ("succeeded", 3, "b")}, {"a": 5}, 8),
        ({"r": ("succeeded", 3, "a")}, {"a": 3}, 3),
        ({"r": ("succeeded", 3, "a")}, {"a": 2}, 3),
        ({"r": ("pending", 3, "a")}, {"a": 5}, 2),
        ({"r": ("failed", 3, "a")}, {"a": 5}, 2),
        ({"r": ("failed", 7, "a"), "s": ("succeeded", 1, "a")}, {"a": 5}, 1),
        ({"r": ("succeeded", 3, "a"), "s": ("succeeded", 1, "b")}, {"a": 5, "b": 2}, 7),
    ],
)
def test_a_figure_of_all_refunds_adds_what_is_not_known_by_id(
    refunds: dict[str, tuple[str, int, str | None]], totals: dict[str, int], amount: int
) -> None:
    known = {key: ChildState(*one) for key, one in refunds.items()}
    sums = {key: ChildState("succeeded", one) for key, one in totals.items()}
    assert given_back(known, sums, taken({}, {"a": 9, "b": 9})) == amount


@pytest.mark.parametrize(
    ("payment", "reserved", "gross", "amounts", "back"),
    [
        ("a", {"a": 9}, {}, [9], 0),
        ("a", {"a": 9}, {}, [8], 8),
        ("a", {"a": 9}, {"a": 5}, [4], 0),
        ("a", {"a": 9}, {"a": 5}, [4, 4], 4),
        ("a", {"a": 9}, {"a": 5}, [4, 3], 3),
        ("a", {"a": 9}, {"a": 5}, [9], 9),
        ("a", {"a": 9}, {None: 5}, [4], 0),
        ("a", {"a": 9}, {"a": 3, None: 5}, [1], 0),
        ("a", {"a": 9, "b": 9}, {None: 5}, [9], 0),
        ("a", {"a": 9, "b": 9}, {None: 5}, [4], 4),
        ("a", {"a": 9}, {"a": 9}, [1], 1),
        ("a", {"a": 9}, {"a": 10}, [1], 1),
        ("a", {"a": 9}, {"a": 9}, [0], 0),
        ("z", {"a": 9}, {}, [1], 1),
        ("z", {"a": 9}, {"z": 5}, [1], 1),
        (None, {"a": 9}, {"a": 5}, [1], 1),
        (None, {"a": 9}, {"a": 5}, [4], 4),
    ],
)
def test_what_nothing_accounts_for_released_just_what_its_hold_had_left(
    payment: str | None, reserved: dict[str, int], gross: Gross, amounts: list[int], back: int
) -> None:
    refunds = {str(place): ChildState("unbooked", amount, payment) for place, amount in enumerate(amounts)}
    assert given_back(refunds, {}, taken(reserved, gross)) == back


def test_each_hold_s_rest_is_its_own() -> None:
    refunds = {"r": ChildState("unbooked", 4, "a"), "s": ChildState("unbooked", 4, "b")}
    assert given_back(refunds, {}, taken({"a": 9, "b": 9}, {"a": 5, "b": 6})) == 4
