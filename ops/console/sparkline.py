"""Small curves for the board: a history of figures as points of an SVG; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 240
HEIGHT: Final = 40
MARGIN: Final = 3
BAR_WIDTH: Final = 1000
BAR_LEAST: Final = 6
"""Units of a bar that even the smallest share gets, so that it can be seen."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve: `runs` are stretches without a hole, each as the points of a polyline; `end` is the newest point."""

    runs: tuple[str, ...]
    areas: tuple[str, ...]
    end: tuple[float, float] | None
    highest: float
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a bar: its name, its count, where it begins and how wide it is."""

    name: str
    count: int
    x: float
    width: float
    percent: float


def curve(points: Sequence[tuple[float, float | None]], seconds: float) -> Curve:
    """Return the curve of (seconds ago, figure), oldest first, over that many seconds; None is a hole."""
    highest = max((value for _, value in points if value is not None), default=0.0)
    runs: list[list[tuple[float, float]]] = [[]]
    for ago, value in points:
        if value is None:
            runs.append([])
            continue
        x = MARGIN + (WIDTH - 2 * MARGIN) * max(0.0, 1 - ago / seconds)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value / highest if highest else 0.0)
        runs[-1].append((round(x, 1), round(y, 1)))
    drawn = [run for run in runs if run]
    floor = HEIGHT - MARGIN
    return Curve(
        runs=tuple(_points(run) for run in drawn),
        areas=tuple(_points([(run[0][0], floor), *run, (run[-1][0], floor)]) for run in drawn),
        end=drawn[-1][-1] if drawn and points[-1][1] is not None else None,
        highest=highest,
    )


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in run)


def bar(counts: Sequence[tuple[str, int]]) -> list[Share]:
    """Return a bar of `BAR_WIDTH` units divided by the counts; those of 0 are left out."""
    total = sum(count for _, count in counts)
    shares: list[Share] = []
    present = [(name, count) for name, count in counts if count]
    free = BAR_WIDTH - BAR_LEAST * len(present)
    x = 0.0
    for name, count in present:
        width = BAR_LEAST + free * count / total
        shares.append(Share(name, count, round(x, 1), round(width, 1), 100 * count / total))
        x += width
    return shares
