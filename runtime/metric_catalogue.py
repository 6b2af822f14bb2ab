"""How a metric is made: registered, and noted in the catalogue that deploy/METRICS.md is written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

REGISTRY: Final = CollectorRegistry()
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


CATALOGUE: Final[list[Entry]] = []
"""Every metric that was made, in the order of `runtime.metrics`."""


def note(name: str, kind: str, meaning: str, labels: Sequence[str] = ()) -> tuple[str, str]:
    """Put a line into the catalogue; return the name and the meaning, which every kind of metric begins with."""
    CATALOGUE.append(Entry(name, kind, tuple(labels), meaning))
    return name, meaning


def counter(name: str, meaning: str, *labels: str) -> Counter:
    """Return a counter that the catalogue lists."""
    return Counter(*note(name, "counter", meaning, labels), labels, registry=REGISTRY)


def gauge(name: str, meaning: str, *labels: str) -> Gauge:
    """Return a gauge that the catalogue lists."""
    return Gauge(*note(name, "gauge", meaning, labels), labels, registry=REGISTRY)


def histogram(name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
    """Return a histogram that the catalogue lists."""
    return Histogram(*note(name, "histogram", meaning, labels), labels, registry=REGISTRY, buckets=buckets)
