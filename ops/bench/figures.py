"""From what the rounds measured to medians, ranges and ratios. Pure."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.bench.contenders import FASTSTREAM, GROUPED, NAIVE, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CPU_OF: Final = ("process", "postgres", "kafka")
FLOOR: Final = "floor-2"


@dataclass(frozen=True, slots=True)
class Round:
    """What one contender took in one round. `cpu_seconds` is by who spent it, `peak_mib` of its largest process."""

    records: int
    seconds: float
    cpu_seconds: Mapping[str, float]
    peak_mib: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.records / self.seconds


def spread(values: Iterable[float], digits: int = 1) -> dict[str, float]:
    """Return median, smallest and largest."""
    known = sorted(values)
    middle, least, most = statistics.median(known), known[0], known[-1]
    return {"median": round(middle, digits), "min": round(least, digits), "max": round(most, digits)}


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all does not exceed (nearest rank)."""
    known = sorted(values)
    return known[max(0, math.ceil(len(known) * share) - 1)]


def report(rounds: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    """Return the document of `bench.json`: figures a contender, and the ratios that count."""
    contenders = {name: _figures(measured) for name, measured in rounds.items()}
    medians = {name: figures["events_per_second"]["median"] for name, figures in contenders.items()}
    return {"contenders": contenders, "ratios": ratios(medians)}


def _figures(rounds: Sequence[Round]) -> dict[str, Any]:
    cpu = {
        who: spread([one.cpu_seconds[who] / one.records * 1e6 for one in rounds])
        for who in CPU_OF
        if all(who in one.cpu_seconds for one in rounds)
    }
    return {
        "events_per_second": spread([one.rate for one in rounds]),
        "cpu_microseconds_per_event": cpu.get("process", {}),
        "cpu_microseconds_per_event_by": cpu,
        "peak_mib": spread([one.peak_mib for one in rounds]),
        "records": rounds[0].records,
        "rounds": len(rounds),
    }


def ratios(medians: Mapping[str, float]) -> dict[str, float]:
    """Return each contender's rate over naive's, and the best of ours over FastStream's best and over the floor."""
    naive = medians[NAIVE]
    found = {f"{name}/{NAIVE}": rate / naive for name, rate in medians.items() if name != NAIVE}
    best = max((rate for name, rate in medians.items() if name.startswith(PRODUCT)), default=None)
    fastest_stream = max((medians[name] for name in FASTSTREAM if name in medians), default=None)
    if best is not None:
        found["best/naive"] = best / naive
        if fastest_stream:
            found["best/faststream"] = best / fastest_stream
        if FLOOR in medians:
            found[f"best/{FLOOR}"] = best / medians[FLOOR]
    if PRODUCT in medians and GROUPED in medians:
        found[f"{GROUPED}/{PRODUCT}"] = medians[GROUPED] / medians[PRODUCT]
    if PRODUCT in medians and FLOOR in medians:
        found[f"{PRODUCT}/{FLOOR}"] = medians[PRODUCT] / medians[FLOOR]
    return {name: round(ratio, 2) for name, ratio in found.items()}
