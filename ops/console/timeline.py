"""A payment's timeline as a picture: where everything stands, for a template to draw; pure.

From left to right the ledger's rows in the order in which they came, spaced by the logarithm of the time between them:
a burst of milliseconds and a refund weeks later are legible in one picture. One track a child (the payment, its
authorization, each capture, refund, dispute); a mark where an event says something of it, large where that was news.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from consumer.facts_json import load_reported
from consumer.fold import newer
from ops.console.words import age, precise, spaced
from ops.documents import major
from schemas.facts import FactKind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from schemas.facts import Fact
    from schemas.payment import Facts

ROWS_MAX: Final = 120
"""Ledger rows that a picture shows: the newest; the table below shows all."""
TRACKS_MAX: Final = 24
"""Children that get a track of their own; the others are in the table."""
LEFT: Final = 190
RIGHT: Final = 60
WIDTH_WANTED: Final = 1080
STEP: Final = 24
"""Between two rows of one moment."""
GAP: Final = 16
DECADE: Final = 15
"""A pause takes GAP, and DECADE more for each power of ten of its milliseconds."""
STRETCH_MAX: Final = 4.0
TOP: Final = 40
RIBBON: Final = 20
TRACK_HEIGHT: Final = 38
CHARACTER: Final = 6.3
"""Width of a character of a label."""
AXIS: Final = 46
EDGE: Final = 8
"""Free at the right of every line."""

_TRACKS: Final[dict[FactKind, tuple[int, str, bool]]] = {
    FactKind.TERMS: (0, "Payment", False),
    FactKind.MODE: (0, "Payment", False),
    FactKind.END: (0, "Payment", False),
    FactKind.ATTEMPT: (1, "Attempts", False),
    FactKind.AUTHORIZATION: (1, "Authorization", False),
    FactKind.ADJUSTMENT: (1, "Authorization", False),
    FactKind.CAPTURE: (2, "Capture", True),
    FactKind.REVERSAL: (2, "Reversal", True),
    FactKind.CAPTURE_TOTAL: (3, "Captures, total", False),
    FactKind.REFUND: (3, "Refund", True),
    FactKind.REFUND_TOTAL: (4, "Refunds, total", False),
    FactKind.DISPUTE: (5, "Dispute", True),
    FactKind.DISPUTE_OUT: (5, "Dispute", True),
    FactKind.DISPUTE_IN: (5, "Dispute", True),
    FactKind.VOID: (6, "Void", False),
    FactKind.OTHER_CURRENCY: (7, "Other currency", False),
    FactKind.MEETING: (8, "Another payment", False),
}
"""A kind of fact: its track's place from the top, its name, and whether each child has one of its own."""
TrackKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class TrackMark:
    """One event in one track. `news`: it reported something new; `label` is empty where there is no room for it."""

    x: float
    y: float
    outcome: str
    news: bool
    title: str
    row_id: int
    label: str = ""


@dataclass(slots=True)
class ChildTrack:
    """One child: its place among the kinds, its name, its own id where it has one, and its marks."""

    order: int
    name: str
    ref: str
    y: float = 0.0
    marks: list[TrackMark] = field(default_factory=list)

    @property
    def begins(self) -> float:
        """Where its line begins: nothing is known of the child before."""
        return self.marks[0].x


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which the payment had one status."""

    status: str
    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment on the axis; `label` is the pause before it or the time of day, empty where there is no room."""

    x: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole drawing in its own units. `left_out` rows are older than what it shows."""

    width: float
    height: float
    tracks: tuple[ChildTrack, ...]
    stretches: tuple[Stretch, ...]
    ticks: tuple[Tick, ...]
    left_out: int
    ribbon_y: float = TOP - RIBBON
    ribbon_height: float = RIBBON
    left: float = LEFT


def draw(rows: Sequence[Mapping[str, Any]], currency: str | None) -> Picture:
    """Return the picture of a payment's ledger rows, in their order."""
    shown = rows[-ROWS_MAX:]
    known: Facts = {}
    for row in rows[: len(rows) - len(shown)]:
        known |= newer(known, load_reported(row["facts"]))
    columns = place([row["recorded_at"] for row in shown])
    tracks: dict[TrackKey, ChildTrack] = {}
    for x, row in zip(columns, shown, strict=True):
        known |= _mark(tracks, x, row, known, currency)
    width = max(WIDTH_WANTED, (columns[-1] if columns else LEFT) + RIGHT)
    ordered = sorted(tracks.values(), key=lambda track: (track.order, track.begins))[:TRACKS_MAX]
    for index, track in enumerate(ordered):
        track.y = TOP + TRACK_HEIGHT * (index + 0.75)
        track.marks = _labelled(track, width)
    return Picture(
        width=width,
        height=TOP + TRACK_HEIGHT * len(ordered) + AXIS,
        tracks=tuple(ordered),
        stretches=tuple(_stretches(shown, columns, width)),
        ticks=tuple(_ticks([row["recorded_at"] for row in shown], columns)),
        left_out=len(rows) - len(shown),
    )


def place(moments: Sequence[dt.datetime]) -> list[float]:
    """Return where each row stands; short timelines are stretched to the wanted width."""
    steps = [_step((after - before).total_seconds()) for before, after in pairwise(moments)]
    free = WIDTH_WANTED - LEFT - RIGHT
    stretch = min(STRETCH_MAX, max(1.0, free / sum(steps))) if steps else 1.0
    x, columns = LEFT + STEP / 2, []
    for step in [0.0, *steps][: len(moments)]:
        x += step * stretch
        columns.append(round(x, 1))
    return columns


def _step(seconds: float) -> float:
    return STEP if seconds <= 0 else STEP + GAP + DECADE * math.log10(1 + seconds * 1000)


def _mark(
    tracks: dict[TrackKey, ChildTrack], x: float, row: Mapping[str, Any], known: Facts, currency: str | None
) -> Facts:
    """Put an event's marks into its tracks; return what of it was news."""
    reported = load_reported(row["facts"])
    news = newer(known, reported)
    by_track: dict[TrackKey, list[Fact]] = {}
    for fact in reported:
        order, name, own = _TRACKS[fact.kind]
        by_track.setdefault((order, name, fact.key if own else ""), []).append(fact)
    for key, facts in by_track.items():
        fresh = [fact for fact in facts if (fact.kind, fact.key) in news]
        track = tracks.setdefault(key, ChildTrack(*key))
        title = f"{row['event_type']}: {', '.join(_label_of(fact, currency) for fact in facts)} ({row['outcome']})"
        label = max((_label_of(fact, currency) for fact in fresh), key=len, default="")
        track.marks.append(TrackMark(x, 0.0, row["outcome"], bool(fresh), title, row["id"], label))
    return news


def _label_of(fact: Fact, currency: str | None) -> str:
    """Say a fact in a few words."""
    amount = f" {major(fact.amount, currency)}" if fact.amount is not None else ""
    return f"{spaced(fact.state)}{amount}"


def _labelled(track: ChildTrack, width: float) -> list[TrackMark]:
    """Return a track's marks in their place, each with its label where there is room up to the next one."""
    marks = []
    for index, mark in enumerate(track.marks):
        after = next((one.x for one in track.marks[index + 1 :] if one.news), width)
        words = [mark.label, mark.label.partition(" ")[0]] if mark.news else []
        label = next((word for word in words if len(word) * CHARACTER + 10 < after - mark.x), "")
        marks.append(TrackMark(mark.x, track.y, mark.outcome, mark.news, mark.title, mark.row_id, label))
    return marks


def _stretches(rows: Sequence[Mapping[str, Any]], columns: Sequence[float], width: float) -> list[Stretch]:
    """Return the ribbon of statuses: each from the event that brought it."""
    changes: list[tuple[float, str]] = []
    for x, row in zip(columns, rows, strict=True):
        status = row["to_status"]
        if status is not None and (not changes or changes[-1][1] != status):
            changes.append((x, status))
    stretches = []
    for (x, status), (end, _) in pairwise([*changes, (width - EDGE, "")]):
        words = spaced(status)
        stretches.append(Stretch(status, x, end - x, words if len(words) * CHARACTER + 12 < end - x else ""))
    return stretches


def _ticks(moments: Sequence[dt.datetime], columns: Sequence[float]) -> list[Tick]:
    """Return the moments: the time at the first, then how long after it, each where there is room."""
    ticks: list[Tick] = []
    free = 0.0
    for index, (moment, x) in enumerate(zip(moments, columns, strict=True)):
        if index and moment == moments[index - 1]:
            continue
        label = f"+{_pause(moment, moments[0])}" if index else precise(moment)[11:]
        fits = x - len(label) * CHARACTER / 2 >= free
        ticks.append(Tick(x, label if fits else "", f"{precise(moment)} UTC"))
        if fits:
            free = x + len(label) * CHARACTER / 2 + 8
    return ticks


def _pause(moment: dt.datetime, first: dt.datetime) -> str:
    seconds = (moment - first).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else age(seconds)
