"""The board's chart: what became of events, a column a stretch of time, what is well at its foot; pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ops.console.outcomes import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.console.outcomes import ChartSpan

WIDTH: Final = 1000
HEIGHT: Final = 150
LEAST: Final = 2.0
"""Units that even the smallest part of a column gets: one dead letter among a million events has to be seen."""
GAP_PART: Final = 0.18
DAY_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a column: its outcome, its events, where it stands and how high it is."""

    outcome: str
    events: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A stretch of time: when it began, where it stands, and its blocks from its foot to its top."""

    began_at: dt.datetime
    x: float
    width: float
    total: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns that hold anything, the highest one's events, and the times under the axis (where, what)."""

    columns: tuple[Column, ...]
    highest: int
    ticks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT


def chart(counts: Mapping[tuple[dt.datetime, str], int], span: ChartSpan, now: dt.datetime) -> Chart:
    """Draw what was counted in the columns of a span up to now."""
    start = span.begins(now)
    times = [start + dt.timedelta(seconds=number * span.seconds) for number in range(span.columns)]
    totals = {at: sum(counts.get((at, outcome), 0) for outcome in ORDER) for at in times}
    highest = max(totals.values(), default=0)
    step = WIDTH / span.columns
    columns = tuple(
        Column(at, round(number * step, 2), round(step * (1 - GAP_PART), 2), totals[at], _blocks(counts, at, highest))
        for number, at in enumerate(times)
        if totals[at]
    )
    return Chart(columns, highest, _ticks(times, span, step))


def _blocks(counts: Mapping[tuple[dt.datetime, str], int], at: dt.datetime, highest: int) -> tuple[Block, ...]:
    present = [(outcome, counts[at, outcome]) for outcome in ORDER if counts.get((at, outcome))]
    free = HEIGHT - LEAST * len(present)
    blocks, foot = [], float(HEIGHT)
    for outcome, events in present:
        height = LEAST + free * events / highest
        foot -= height
        blocks.append(Block(outcome, events, round(foot, 2), round(height, 2)))
    return tuple(blocks)


def _ticks(times: list[dt.datetime], span: ChartSpan, step: float) -> tuple[tuple[float, str], ...]:
    """Return a few times for the axis: each minute, every fourth hour, each midnight."""
    if span.seconds * span.columns > DAY_SECONDS:
        marked = [(number, f"{at:%a %d}") for number, at in enumerate(times) if at.hour == 0]
    elif span.seconds * span.columns == DAY_SECONDS:
        marked = [(number, f"{at:%H:%M}") for number, at in enumerate(times) if at.minute == 0 and at.hour % 4 == 0]
    else:
        marked = [(number, f"{at:%H:%M}") for number, at in enumerate(times)]
    return tuple((round(number * step, 1), text) for number, text in marked)
