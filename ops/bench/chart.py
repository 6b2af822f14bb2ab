"""The figures as a picture: bars with their range, readable on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.bench.contenders import NAIVE, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INK: Final = "#6e7781"
"""Text and axes: a grey of more than 4 to 1 on white and on GitHub's dark page alike."""
OURS: Final = "#2f81f7"
THEIRS: Final = "#d29922"
FLOOR: Final = "#8b949e"
BAR_INCHES: Final = 0.36
WIDTH_INCHES: Final = 8.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender's bar: its median, how far its range goes below and above, and what is written beside it."""

    name: str
    rate: float
    below: float
    above: float
    label: str
    colour: str


def colour_of(name: str) -> str:
    """Return ours, theirs or the floor's colour."""
    if name.startswith(PRODUCT):
        return OURS
    return FLOOR if name.startswith("floor") else THEIRS


def bars(document: dict[str, Any]) -> list[Bar]:
    """Return the bars of a bench document, in its order."""
    found = []
    for name, figures in document["contenders"].items():
        rate = figures["events_per_second"]
        ratio = document["ratios"].get(f"{name}/{NAIVE}", 1.0)
        label = f"{rate['median']:,.0f}  ({ratio:.1f}x)"
        below, above = rate["median"] - rate["min"], rate["max"] - rate["median"]
        found.append(Bar(name, rate["median"], below, above, label, colour_of(name)))
    return found


def draw(document: dict[str, Any], *targets: Path) -> None:
    """Write the chart, in the format that each target's name says."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    shown = bars(document)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif", "font.size": 10}
    ):
        figure, axes = plt.subplots(figsize=(WIDTH_INCHES, 0.9 + BAR_INCHES * len(shown)), layout="constrained")
        _fill(axes, shown)
        for target in targets:
            figure.savefig(target, transparent=True, metadata={"Date": None} if target.suffix == ".svg" else None)
        plt.close(figure)


def _fill(axes: Any, shown: Iterable[Bar]) -> None:
    bars_shown = list(shown)
    places = range(len(bars_shown))
    widest = max(one.rate + one.above for one in bars_shown)
    axes.barh(places, [one.rate for one in bars_shown], color=[one.colour for one in bars_shown], height=0.68)
    spread = ([one.below for one in bars_shown], [one.above for one in bars_shown])
    axes.errorbar(
        [one.rate for one in bars_shown], places, xerr=spread, fmt="none", ecolor=INK, capsize=3, elinewidth=1.2
    )
    for place, one in zip(places, bars_shown, strict=True):
        axes.text(one.rate + one.above + widest * 0.012, place, one.label, va="center", color=INK)
    axes.set_yticks(places, [one.name for one in bars_shown])
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.22)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("events per second, median and range of the rounds (x naive)", color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.grid(visible=True, axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
