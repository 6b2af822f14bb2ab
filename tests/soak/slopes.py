"""Whether a figure creeps: a straight line by least squares through each life of a process, with one slope. Pure.

A process that was killed begins anew, so each of its lives has a level of its own and all have one slope (a regression
with fixed effects). What comes before the warm-up is over does not count: caches and pools fill.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP_SECONDS: Final = 900.0
LIFE_WARM_UP_SECONDS: Final = 600.0
"""Of a process that was started anew."""
WARM_UP_SHARE_MAX: Final = 0.2
"""Of a short run."""
POINTS_MIN: Final = 5
ERRORS: Final = 2.0
"""Standard errors that a slope must be above what is tolerated: 95 %."""


@dataclass(frozen=True, slots=True)
class Point:
    """A figure at a time (seconds since the start), in one life: a process's id, or 0."""

    second: float
    value: float
    life: int = 0


@dataclass(frozen=True, slots=True)
class Slope:
    """How a figure moves: an hour, and its standard error; from where to where, over how many points."""

    per_hour: float
    error: float
    first: float
    last: float
    points: int

    def creeps(self, tolerated: float) -> bool:
        """Tell whether it certainly rises by more than is tolerated an hour."""
        return self.per_hour - ERRORS * self.error > tolerated

    def undecided(self, tolerated: float) -> bool:
        """Tell whether it may rise by more than is tolerated, or may not: the run was too short, or too uneven."""
        return not self.creeps(tolerated) and self.per_hour + ERRORS * self.error > tolerated


def after_warm_up(points: Sequence[Point]) -> list[Point]:
    """Leave out the warm-up, that of each life too."""
    if not points:
        return []
    begun, ended = points[0].second, points[-1].second
    share = WARM_UP_SHARE_MAX * (ended - begun)
    first: dict[int, float] = {}
    for point in points:
        first.setdefault(point.life, point.second)
    return [
        point
        for point in points
        if point.second - begun >= min(WARM_UP_SECONDS, share)
        and point.second - first[point.life] >= min(LIFE_WARM_UP_SECONDS, share)
    ]


def later_half(points: Sequence[Point]) -> list[Point]:
    """Return the later half of what comes after the warm-up: what rises at first and levels off is no leak."""
    found = after_warm_up(points)
    middle = (found[0].second + found[-1].second) / 2 if found else 0.0
    return [point for point in found if point.second >= middle]


def slope_of(found: Sequence[Point]) -> Slope | None:
    """Return the slope of points after the warm-up; None where there are too few."""
    lives: defaultdict[int, list[Point]] = defaultdict(list)
    for point in found:
        lives[point.life].append(point)
    free = len(found) - len(lives) - 1
    if len(found) < POINTS_MIN or free <= 0:
        return None
    pairs = [pair for life in lives.values() for pair in _centred(life)]
    spread = sum(second * second for second, _ in pairs)
    if spread == 0:
        return None
    slope = sum(second * value for second, value in pairs) / spread
    left = sum((value - slope * second) ** 2 for second, value in pairs)
    error = sqrt(left / free / spread)
    return Slope(slope * 3600, error * 3600, found[0].value, found[-1].value, len(found))


def _centred(points: Sequence[Point]) -> list[tuple[float, float]]:
    second, value = fmean(point.second for point in points), fmean(point.value for point in points)
    return [(point.second - second, point.value - value) for point in points]


def per_event(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return what a size grew by an event in the first and in the second half; from (events, bytes), in order."""
    if len(points) < POINTS_MIN:
        return None
    start, middle, end = points[0], points[len(points) // 2], points[-1]
    if not start[0] < middle[0] < end[0]:
        return None
    return (middle[1] - start[1]) / (middle[0] - start[0]), (end[1] - middle[1]) / (end[0] - middle[0])
