"""The figures as a table on the terminal."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ops.bench.contenders import NAIVE, STANDARD, SWEEP

COLUMNS: Final = ("contender", "", "events/s", "min", "max", "x naive", "us process", "us Postgres", "us Kafka", "MiB")
SAYS: Final = {one.name: one.says for one in STANDARD + SWEEP}
WIDTH: Final = 140


def cells(name: str, figures: dict[str, Any], ratio: float) -> tuple[str, ...]:
    """Return one contender's row."""
    rate, cpu = figures["events_per_second"], figures["cpu_microseconds_per_event_by"]
    spent = (f"{cpu[who]['median']:,.0f}" if who in cpu else "-" for who in ("process", "postgres", "kafka"))
    rates = (f"{rate[part]:,.0f}" for part in ("median", "min", "max"))
    return (name, SAYS.get(name, ""), *rates, f"{ratio:.1f}", *spent, f"{figures['peak_mib']['median']:,.0f}")


def show(document: dict[str, Any]) -> None:
    """Print contenders and the ratios that count."""
    table = Table(title="Events per second on a preloaded topic, and CPU microseconds an event")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right")  # noqa: PLR2004 - two columns of text
    for name, figures in document["contenders"].items():
        table.add_row(*cells(name, figures, document["ratios"].get(f"{name}/{NAIVE}", 1.0)))
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    shown = {name: ratio for name, ratio in document["ratios"].items() if name == "best/naive" or not _of_naive(name)}
    console.print(", ".join(f"{name} {ratio:.2f}" for name, ratio in shown.items()))


def _of_naive(ratio: str) -> bool:
    return ratio.endswith(f"/{NAIVE}")
