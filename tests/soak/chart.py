"""The looks of a run as a picture, readable on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

INK: Final = "#6e7781"
COLOURS: Final = ("#2f81f7", "#d29922", "#3fb950", "#f85149", "#a371f7", "#8b949e")
MIB: Final = 1024**2
ROLES: Final = ("ingress", "consumer", "relay", "dispatcher", "console", "up")
SERVERS: Final = ("kafka", "postgres", "redis")
TABLES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of several: its title, and what each of its lines shows of a look."""

    title: str
    lines: dict[str, Callable[[dict[str, Any]], float]]


def panels(looks: Sequence[dict[str, Any]]) -> list[Panel]:
    """Return the panels of a run."""
    largest = sorted(looks[-1].get("tables", {}).items(), key=lambda item: -item[1][0])[:TABLES_SHOWN]
    return [
        Panel("memory of the roles, MiB", {name: _process(name, "bytes", MIB) for name in ROLES}),
        Panel("memory of the servers, MiB", {name: _process(name, "bytes", MIB) for name in SERVERS}),
        Panel("open files", {name: _process(name, "files") for name in ROLES}),
        Panel(
            "Postgres: sessions, and processes",
            {
                "sessions": lambda look: float(sum(look["connections"].values())) or float("nan"),
                "processes": _process("postgres", "processes"),
            },
        ),
        Panel("largest tables with indices, MiB", {name: _table(name) for name, _ in largest}),
        Panel(
            "CPU an event, ms", {name: _cost(name) for name in ("ingress", "consumer", "relay", "kafka", "postgres")}
        ),
        Panel(
            "p99, s",
            {
                "answer": lambda look: float(look["answered_p99_seconds"]),
                "record to row": lambda look: float(look["applied_p99_seconds"]),
            },
        ),
        Panel(
            "lag of the consumer, and dead rows in thousands",
            {
                "lag": lambda look: float(sum(look["lag"].values())),
                "dead rows": lambda look: sum(one[2] for one in look["tables"].values()) / 1000,
            },
        ),
    ]


def _process(name: str, what: str, divided: float = 1.0) -> Callable[[dict[str, Any]], float]:
    return lambda look: float(look["processes"][name][what]) / divided


def _cost(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda look: 1000 * float(look["processes"][name]["cpu_seconds"]) / float(look["events_since"])


def _table(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda look: float(look["tables"][name][0]) / MIB


def line_of(looks: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> list[tuple[float, float]]:
    """Return a line's points (minutes, value); a look that lacks the figure is left out."""
    found = []
    for look in looks:
        try:
            found.append((look["second"] / 60, value(look)))
        except (KeyError, TypeError, ZeroDivisionError):
            continue
    return found


def draw(looks: Sequence[dict[str, Any]], target: Path) -> None:
    """Write the chart; nothing where there was no look."""
    if not looks:
        return
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    style = {"svg.fonttype": "none", "svg.hashsalt": "soak", "font.family": "sans-serif", "font.size": 8}
    with mpl.rc_context(style):
        shown = panels(looks)
        figure, places = plt.subplots(
            (len(shown) + 1) // 2, 2, figsize=(9, 2.1 * ((len(shown) + 1) // 2)), layout="constrained"
        )
        kills = [second / 60 for second, _ in looks[-1].get("killed", [])]
        for axes, panel in zip(places.flat, shown, strict=False):
            _fill(axes, panel, looks, kills)
        figure.savefig(target, transparent=True, metadata={"Date": None})
        plt.close(figure)


def _fill(axes: Any, panel: Panel, looks: Sequence[dict[str, Any]], kills: Sequence[float]) -> None:
    for minute in kills:
        axes.axvline(minute, color=INK, alpha=0.35, linewidth=0.6, linestyle=":")
    for (name, value), colour in zip(panel.lines.items(), COLOURS, strict=False):
        line = line_of(looks, value)
        axes.plot([x for x, _ in line], [y for _, y in line], label=name, color=colour, linewidth=1)
    axes.set_title(panel.title, color=INK, loc="left", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes; dotted: a role was killed", color=INK, fontsize=7)
    axes.legend(frameon=False, labelcolor=INK, fontsize=6.5, ncols=3, loc="best")
    axes.tick_params(colors=INK, length=0)
    axes.grid(visible=True, axis="y", color=INK, alpha=0.25, linewidth=0.6)
    for side in axes.spines.values():
        side.set_visible(False)
