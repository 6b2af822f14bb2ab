"""The shapes of a load: users over time, without Locust."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from load.shapes import SHAPES, spawn_rate, users_at

pytestmark = pytest.mark.unit

TESTS = Path(__file__).parent.parent
SECONDS, USERS = 25.0, 40
MOMENTS = [moment / 10 for moment in range(250)]


def curve(name: str, users: int = USERS) -> list[int]:
    found = [users_at(name, moment, seconds=SECONDS, users=users) for moment in MOMENTS]
    assert None not in found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("users", [1, 3, USERS])
def test_every_shape_is_bounded_and_ends(name: str, users: int) -> None:
    found = curve(name, users)
    assert min(found) >= 1
    assert max(found) == users, "all users are there at some moment, and never more"
    assert users_at(name, SECONDS, seconds=SECONDS, users=users) is None
    assert SHAPES[name].copies >= 1


def test_steady_comes_and_stays() -> None:
    found = curve("steady")
    assert found == sorted(found)
    assert found[0] == 1
    assert set(found[25:]) == {USERS}


def test_a_stair_has_five_steps_of_one_height() -> None:
    found = curve("stair")
    assert sorted(set(found)) == [8, 16, 24, 32, 40]
    assert found == sorted(found)
    assert [found.count(step) for step in sorted(set(found))] == [50] * 5


def test_a_spike_comes_and_goes_at_once() -> None:
    found = curve("spike")
    assert [(before, after) for before, after in pairwise(found) if before != after] == [(8, 40), (40, 8)]
    assert found.count(40) == 50


def test_only_the_storm_posts_the_same_many_times_at_once() -> None:
    assert {name for name, shape in SHAPES.items() if shape.copies > 1} == {"storm"}


def test_a_step_is_taken_within_a_second() -> None:
    assert spawn_rate(USERS) == USERS
    assert spawn_rate(1) == 1
