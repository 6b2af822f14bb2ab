"""Every metric, in one place: its name, its labels, its meaning.

Names follow Prometheus: base units, `_total` for counters, `_seconds` for times. Labels are closed sets, so a sender
can't make series: a provider is one that the settings may name, a reason is a slug of a catalogue.
"""

from __future__ import annotations

from importlib import metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
REGISTRY: Final = CollectorRegistry()

INGRESS_REQUESTS: Final = Counter(
    "ratchet_ingress_requests_total",
    "Requests at the door, by provider (none where it is no webhook of a known one) and outcome.",
    ("provider", "outcome"),
    registry=REGISTRY,
)
INGRESS_REFUSALS: Final = Counter(
    "ratchet_ingress_refusals_total",
    "Requests that the door refused, by provider and reason; of a signature the reason inside, never told outside.",
    ("provider", "reason"),
    registry=REGISTRY,
)
INGRESS_EVENTS: Final = Counter(
    "ratchet_ingress_events_total",
    "Events that the door made durable, by provider and by where: kafka or spool.",
    ("provider", "durability"),
    registry=REGISTRY,
)
INGRESS_SECONDS: Final = Histogram(
    "ratchet_ingress_request_seconds",
    "Time from a request's head to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
BUILD_INFO: Final = Gauge("ratchet_build_info", "Always 1; the version is its label.", ("version",), registry=REGISTRY)
BUILD_INFO.labels(metadata.version("ratchet-payments")).set(1)


def page() -> bytes:
    """Return all metrics in Prometheus's text format."""
    return generate_latest(REGISTRY)
